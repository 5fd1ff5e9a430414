//! From profiles to images, with packages of a folder.

use std::path::Path;

use super::*;
use crate::engine::{RenderRequest, Selection, render};
use crate::event::Silent;
use crate::fetch::{Fetcher, Headers, Request as Sent, Response, Transport, TransportError};
use crate::fs;
use crate::packages::{Mirrors, Network};
use crate::spec::Project;
use crate::store::Store;
use crate::tree::{Content, Kind, Meta, Node, Tree};

/// A network in which there is nothing but the files of this machine.
#[derive(Debug, Clone)]
struct Files;

impl Transport for Files {
    fn send(&self, request: Sent<'_>) -> Result<Response, TransportError> {
        let bytes = fs::read(&request.url.to_file_path().unwrap()).unwrap();
        let headers = Headers::new().with("content-length", bytes.len().to_string());
        Ok(Response { status: 200, headers, url: request.url, body: Box::new(std::io::Cursor::new(bytes)) })
    }
}

fn archive(path: &str, text: &str) -> Vec<u8> {
    let (mut tree, mut bytes) = (Tree::new(), Vec::new());
    let kind = Kind::Regular(Content::inline(text.as_bytes()));
    tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o755, 0) }).unwrap();
    tree.complete(|_| Meta::root_owned(0o755, 0));
    crate::image::write_tar(&tree, &mut bytes).unwrap();
    bytes
}

/// Puts a package with the program of its name into a folder.
pub(in crate::engine) fn package(folder: &Path, name: &str, version: &str, fields: &str) {
    package_of(folder, name, version, fields, &format!("/usr/bin/{name}"));
}

/// Puts a package with a file at a path into a folder.
fn package_of(folder: &Path, name: &str, version: &str, fields: &str, path: &str) {
    let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{fields}");
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", archive("/control", &control)),
        ("data.tar", archive(path, version)),
    ];
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in members {
        let head = format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len());
        bytes.extend(head.bytes());
        bytes.extend(&content);
        bytes.extend((content.len() % 2 == 1).then_some(b'\n'));
    }
    fs::write_atomic(&folder.join(format!("{name}_{version}.deb")), &bytes).unwrap();
}

pub(in crate::engine) fn profile(folder: &Path, name: &str, more: &str) {
    let text = format!(
        "[distro.debian.source.debian]\nwhen = 'false'\n[distro.debian.source.debian-security]\nwhen = 'false'\n\
         [source.own]\ndirectory = 'packages'\n[packages]\nvariant = 'none'\n{more}"
    );
    fs::write_atomic(&folder.join(format!("profiles/{name}.toml")), text.as_bytes()).unwrap();
}

pub(in crate::engine) fn rendered(folder: &Path, name: &str, locked: bool) -> Result<(), Error> {
    let store = Store::open(&folder.join("store")).unwrap();
    let network = Network { fetcher: Fetcher::new(Files, false), mirrors: Mirrors::default(), now: 0 };
    let request = RenderRequest {
        selection: Selection { profile: Some(name.into()), ..Selection::default() },
        destination: Some(folder.join(name)),
        locked,
        network: Some(Arc::new(network)),
        ..RenderRequest::default()
    };
    render(&Arc::new(Project::open(folder)), &store, &request, &Silent, &mut |_| {})
}

#[test]
fn an_extension_over_the_lock_of_another_profile() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    for name in ["packages", "newer", "profiles", "layers"] {
        fs::create_directory(&folder.join(name)).unwrap();
    }
    package(&folder.join("packages"), "base", "1", "");
    package(&folder.join("packages"), "app", "1", "Depends: base\n");
    package(&folder.join("packages"), "more", "1", "");
    profile(folder, "server", "[package.base]\n[output.rootfs]\npackages = 'bundled'\n");
    let extension = "[output.sysext]\npackages = 'bundled'\nformat = 'directory'\nover.lock = 'server'\n";
    profile(folder, "web", &format!("[package.app]\n{extension}"));
    let error = rendered(folder, "web", false).unwrap_err().to_string();
    assert!(error.contains("server.lock` does not exist"), "{error}");

    rendered(folder, "server", false).unwrap();
    rendered(folder, "web", false).unwrap();
    let lock = fs::read_to_string(&folder.join("profiles/web.lock")).unwrap();
    assert!(lock.contains("name = \"app\"") && !lock.contains("name = \"base\""), "{lock}");
    let has = |path: &str| folder.join("web/sysext/web").join(path).exists();
    assert!(has("usr/bin/app") && !has("usr/bin/base") && !has("var"));
    rendered(folder, "web", true).unwrap();

    // What needs a newer base is refused, whatever there is to choose from.
    package(&folder.join("newer"), "base", "2", "");
    package(&folder.join("newer"), "app", "2", "Depends: base (>= 2)\n");
    profile(
        folder,
        "web",
        &format!("[source.newer]\ndirectory = 'newer'\n[package.app]\nversion = '>=2'\n{extension}"),
    );
    let error = rendered(folder, "web", false).unwrap_err().to_string();
    assert!(error.contains("`base` is 1 there, and would become 2: app 2 depends on base >= 2"), "{error}");

    // Another host is another extension: whoever must not change the lock is told.
    profile(folder, "web", &format!("[package.app]\n{extension}"));
    profile(folder, "server", "[package.base]\n[package.more]\n[output.rootfs]\npackages = 'bundled'\n");
    rendered(folder, "server", false).unwrap();
    let error = rendered(folder, "web", true).unwrap_err().to_string();
    assert!(error.contains("web.lock` is stale"), "{error}");
}

/// Makes the tree of a host that has the package `base`.
fn host(folder: &Path, version: &str) {
    let os = "ID=debian\nVERSION_ID=13\n";
    let status = format!(
        "Package: base\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\nProvides: ground\n"
    );
    for (path, text) in [
        ("usr/lib/os-release", os),
        ("usr/bin/base", version),
        ("var/lib/dpkg/status", status.as_str()),
        ("var/lib/dpkg/info/base.list", "/.\n/bin\n/bin/base\n"),
    ] {
        let place = folder.join(path);
        let above: Vec<&Path> = place.ancestors().skip(1).take_while(|above| above.starts_with(folder)).collect();
        above.into_iter().rev().for_each(|above| drop(fs::create_directory(above)));
        fs::write_atomic(&place, text.as_bytes()).unwrap();
    }
    std::os::unix::fs::symlink("usr/bin", folder.join("bin")).ok();
}

#[test]
fn an_extension_over_a_tree() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    for name in ["packages", "profiles", "layers"] {
        fs::create_directory(&folder.join(name)).unwrap();
    }
    host(&folder.join("host"), "1");
    package_of(&folder.join("packages"), "app", "1", "Depends: ground, more\n", "/bin/app");
    package(&folder.join("packages"), "more", "1", "");
    let extension =
        |keys: &str| format!("[output.sysext]\npackages = 'bundled'\nformat = 'directory'\n{keys}over.path = 'host'\n");
    profile(folder, "web", &format!("[package.app]\n{}", extension("scanners = true\nsbom = ['spdx']\n")));
    rendered(folder, "web", false).unwrap();
    let has = |path: &str| folder.join("web/sysext/web").join(path).exists();
    assert!(has("usr/bin/app") && has("usr/bin/more") && !has("usr/bin/base") && !has("var") && !has("bin"));
    let lock = fs::read_to_string(&folder.join("profiles/web.lock")).unwrap();
    assert!(lock.contains("name = \"more\"") && !lock.contains("name = \"base\""), "{lock}");
    for list in ["web/sysext.spdx.json", "web/sysext/web/usr/share/sbom/web.spdx.json"] {
        let list = fs::read_to_string(&folder.join(list)).unwrap();
        assert!(list.contains("pkg:deb/debian/app@1?arch=all&distro=debian-13") && !list.contains("debian/base@"));
    }
    rendered(folder, "web", true).unwrap();

    // Files of the host are its own, unless it is said that they are replaced.
    let stolen = "[package.thief]\n";
    package_of(&folder.join("packages"), "thief", "1", "", "/usr/bin/base");
    profile(folder, "thief", &format!("{stolen}{}", extension("")));
    let error = rendered(folder, "thief", false).unwrap_err().to_string();
    assert!(error.contains("the package `thief` has `/usr/bin/base`, which is of `base` on its host"), "{error}");
    package_of(&folder.join("packages"), "thief", "1", "Replaces: base (<< 2)\n", "/usr/bin/base");
    profile(folder, "thief", &format!("{stolen}{}", extension("")));
    rendered(folder, "thief", false).unwrap();
    assert_eq!(fs::read_to_string(&folder.join("thief/sysext/thief/usr/bin/base")).unwrap(), "1");

    // Another host is another extension. The folder of packages is another one by now, too.
    rendered(folder, "web", false).unwrap();
    host(&folder.join("host"), "2");
    let error = rendered(folder, "web", true).unwrap_err().to_string();
    assert!(error.contains("web.lock` is stale") && error.contains("host of the extension"), "{error}");
    rendered(folder, "web", false).unwrap();

    fs::write_atomic(&folder.join("host/usr/lib/os-release"), b"ID=debian\nVERSION_ID=12\n").unwrap();
    let error = rendered(folder, "web", false).unwrap_err().to_string();
    assert!(error.contains("the host `host` is debian 12, and the extension is rendered for debian 13"), "{error}");
    host(&folder.join("host"), "2");
    std::fs::remove_file(folder.join("host/var/lib/dpkg/status")).unwrap();
    let error = rendered(folder, "web", false).unwrap_err().to_string();
    assert!(error.contains("it is not known which packages the host `host` has"), "{error}");
}

#[test]
fn an_extension_over_chosen_packages() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    for name in ["packages", "newer", "profiles", "layers"] {
        fs::create_directory(&folder.join(name)).unwrap();
    }
    package(&folder.join("packages"), "base", "1", "");
    package(&folder.join("packages"), "app", "1", "Depends: base\n");
    let web = "[package.app]\n[output.sysext]\npackages = 'bundled'\nformat = 'directory'\nover.packages = ['base']\n";
    profile(folder, "web", web);
    rendered(folder, "web", false).unwrap();
    let has = |path: &str| folder.join("web/sysext/web").join(path).exists();
    assert!(has("usr/bin/app") && !has("usr/bin/base"));
    let lock = fs::read_to_string(&folder.join("profiles/web.lock")).unwrap();
    assert!(lock.contains(".below]]") && lock.contains("name = \"base\""), "{lock}");
    rendered(folder, "web", true).unwrap();
}
