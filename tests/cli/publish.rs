//! Folders of versions: what is told, what is refused, and that a killed run leaves what hosts see as it was.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use layerforge::image::squashfs::{Options, write};
use layerforge::tree::{TreePath, scan};

use crate::session::{Session, transcript};

/// Writes the image `NAME.raw` of the files in the folder `NAME`.
fn image(session: &Session, name: &str) {
    let mut tree = scan(&session.path(name)).unwrap();
    let paths: Vec<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        let meta = &mut tree.get_mut(&path).unwrap().meta;
        (meta.uid, meta.gid, meta.mtime) = (0, 0, 0);
    }
    write(&tree, &Options::default(), File::create(session.path(&format!("{name}.raw"))).unwrap()).unwrap();
}

/// A folder with images of extensions, and a command that signs, as far as anybody looks.
fn images() -> Session {
    let session = Session::empty();
    let release = "usr/lib/extension-release.d/extension-release.app";
    for (name, version) in [("app", "1.2"), ("other", "1.2"), ("newer", "1.10"), ("unnumbered", "")] {
        let field = if version.is_empty() { String::new() } else { format!("SYSEXT_IMAGE_VERSION={version}\n") };
        session.write(&format!("{name}/{release}"), &format!("ID=_any\n{field}"));
        session.write(&format!("{name}/usr/share/app"), name);
        image(&session, name);
    }
    session
        .write("settings/etc/extension-release.d/extension-release.settings", "ID=_any\nCONFEXT_IMAGE_VERSION='3'\n");
    session.write("service_7/etc/os-release", "ID=debian\nIMAGE_VERSION=7\n");
    session.write("nothing/srv/file", "");
    ["settings", "service_7", "nothing"].iter().for_each(|name| image(&session, name));
    session.write("gpg", "#!/bin/sh\nprintf '\\302'; sha256sum\n");
    fs::set_permissions(session.path("gpg"), fs::Permissions::from_mode(0o755)).unwrap();
    session
}

fn names(session: &Session, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(session.path(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn versions_are_published() {
    let session = images();
    let lines = [
        "publish app.raw --dir www --url https://example.org/www",
        "publish app.raw --dir www",
        "publish other.raw --dir www",
        "publish newer.raw --dir www --gpg ./gpg --url https://example.org/www",
        "publish unnumbered.raw --dir www --gpg ./gpg",
        "publish unnumbered.raw --dir www --gpg ./gpg --version 2_1",
        "publish unnumbered.raw --dir www --gpg ./gpg --version 2~rc1 --keep 2",
        "publish app.raw --dir www --gpg ./gpg --keep 2",
        "publish newer.raw --dir www --version 3",
        "publish newer.raw --dir www --version 3 --gpg false",
        "publish newer.raw --dir www --version 3 --gpg ./gpg",
        "publish settings.raw --dir www --gpg ./gpg --url /srv/www",
        "publish service_7.raw --dir www --gpg ./gpg --url /srv/www --feature Services",
        "publish service_7.raw --dir www --gpg ./gpg --url srv/www",
        "publish app.raw --dir www --feature Applications",
        "publish nothing.raw --dir www",
        "publish app --dir www",
        "publish missing.raw --dir www",
        "lint www",
        "publish app.raw --dir host --layout v",
        "publish newer.raw --dir host --layout v --keep 1",
        "publish newer.raw --dir host --layout v --gpg ./gpg",
    ];
    insta::assert_snapshot!(transcript(&lines.map(|line| session.run(line))));
    let transfers = ["app", "settings", "service"].map(|name| {
        let text = fs::read_to_string(session.path(&format!("www/{name}.transfer"))).unwrap();
        text.lines().filter(|line| line.contains('=')).map(str::to_owned).collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(transfers.join("\n\n"));
    assert_eq!(names(&session, "host/app.raw.v"), ["app_1.10.raw"]);
    let report = session.run("publish app.raw --dir new --json").json();
    assert_eq!((report["version"].as_str(), report["changed"].as_bool()), (Some("1.2"), Some(true)));
    assert_eq!(report["written"], serde_json::json!(["app_1.2.raw", "SHA256SUMS"]));
}

#[test]
fn a_killed_run_leaves_what_hosts_see() {
    let session = images();
    session.run("publish app.raw --dir www --gpg ./gpg");
    let list = fs::read(session.path("www/SHA256SUMS")).unwrap();
    // Whoever signs kills who asked.
    let mut command = session.command(env!("CARGO_BIN_EXE_layerforge"));
    command.args(["publish", "newer.raw", "--dir", "www", "--gpg", "kill -9 $PPID"]);
    assert_eq!(command.output().unwrap().status.code(), None, "it is killed");
    assert_eq!(fs::read(session.path("www/SHA256SUMS")).unwrap(), list);
    let hidden = ".app_1.10.raw.unfinished";
    assert_eq!(names(&session, "www"), [hidden, "SHA256SUMS", "SHA256SUMS.gpg", "app_1.2.raw"]);
    assert_eq!(session.run("publish newer.raw --dir www --gpg ./gpg").code, 0);
    assert_eq!(names(&session, "www"), ["SHA256SUMS", "SHA256SUMS.gpg", "app_1.10.raw", "app_1.2.raw"]);
}
