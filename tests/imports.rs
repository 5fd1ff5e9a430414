//! Trees taken as they are: `tree = "directory"` and `tree = "archive.tar.gz"` of a layer.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A project with one layer whose tree is `tree`.
fn project(tree: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("profiles/default.toml", "layers = [\"lower\", \"import\"]\n[distro.debian]\n[output.rootfs]\n");
    write("layers/lower/layer.toml", "tier = \"base\"\n");
    write("layers/lower/files/etc/gone", "gone\n");
    write("layers/lower/files/etc/stays", "stays\n");
    write("layers/import/layer.toml", &format!("tier = \"application\"\ntree = \"{tree}\"\n"));
    write("layers/import/tree/etc/one", "one\n");
    folder
}

fn render(project: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_layerforge"))
        .args(["render", "--distro", "debian"])
        .current_dir(project)
        .env("LAYERFORGE_STORE", project.join("store"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    told
}

fn manifest(project: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(project.join("out/default/debian/manifest.json")).unwrap()).unwrap()
}

#[test]
fn an_edit_inside_an_imported_directory_is_noticed() {
    let project = project("tree");
    let deep = project.path().join("layers/import/tree/etc/one");
    render(project.path());
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(render(project.path()).contains("up to date"));
    fs::write(&deep, "two\n").unwrap();
    render(project.path());
    assert_eq!(fs::read_to_string(project.path().join("out/default/debian/rootfs/etc/one")).unwrap(), "two\n");
}

#[test]
fn an_archive_keeps_owners_special_bits_links_and_removals() {
    let project = project("import.tar.gz");
    let layer = project.path().join("layers/import");
    let tree = layer.join("tree");
    fs::write(tree.join("etc/.wh.gone"), "").unwrap();
    fs::hard_link(tree.join("etc/one"), tree.join("etc/other")).unwrap();
    let archive = Command::new("tar")
        .args(["--owner=7:7", "--group=42:42", "--mode=u=rwxs,go=rx", "--mtime=@0", "-czf"])
        .arg(layer.join("import.tar.gz"))
        .args(["-C".as_ref(), tree.as_os_str(), "etc".as_ref()])
        .status()
        .unwrap();
    assert!(archive.success());
    render(project.path());
    let manifest = manifest(project.path());
    let entry =
        |path: &str| manifest["entries"].as_array().unwrap().iter().find(|entry| entry["path"] == path).cloned();
    let one = entry("/etc/one").unwrap();
    assert_eq!((&one["mode"], &one["uid"], &one["gid"]), (&"4755".into(), &7.into(), &42.into()));
    assert_eq!(entry("/etc/other").unwrap()["hard_link"], "/etc/one");
    assert_eq!(entry("/etc/gone"), None);
    assert_eq!(manifest["removed"], serde_json::json!(["/etc/gone"]));
    assert!(entry("/etc/stays").is_some());
    // What a COPY cannot carry goes through the archive, and GNU tar agrees about it.
    let listed = Command::new("tar").args(["-tvf"]).arg(project.path().join("out/default/debian/rootfs.tar")).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    assert!(listed.contains("-rwsr-xr-x 7/42"), "{listed}");
    assert!(listed.contains("etc/other link to etc/one"), "{listed}");
}

#[test]
fn imports_of_one_tier_must_agree() {
    let project = project("tree");
    let second = project.path().join("layers/second/tree/etc");
    fs::create_dir_all(&second).unwrap();
    fs::write(project.path().join("layers/second/layer.toml"), "tier = \"application\"\ntree = \"tree\"\n").unwrap();
    let profile = "layers = [\"import\", \"second\"]\n[distro.debian]\n[output.rootfs]\n";
    fs::write(project.path().join("profiles/default.toml"), profile).unwrap();
    fs::write(second.join("one"), "one\n").unwrap();
    render(project.path());
    fs::write(second.join("one"), "another\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_layerforge"))
        .args(["render", "--distro", "debian"])
        .current_dir(project.path())
        .env("LAYERFORGE_STORE", project.path().join("store"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("the layers `import` and `second` disagree about `/etc/one`"), "{told}");
}
