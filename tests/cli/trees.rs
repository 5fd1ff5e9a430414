//! `diff` of everything that can be a tree.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::session::{Session, tar, transcript};

/// Returns a session with `out/web/alpine` rendered and `copy/`, a changed copy of its `rootfs/`.
fn copied() -> Session {
    let session = Session::web();
    session.write("profiles/web.toml", "layers = [\"site\"]\n[distro.alpine]\n[variable.title]\ndefault = \"x\"\n");
    session.write("layers/base/layer.toml", "tier = \"base\"\n[user.www]\nuid = 1234\n[directory.\"/var/www\"]\nowner = \"www\"\n[file.\"/usr/bin/su\"]\ncontent = \"x\"\nmode = \"4755\"\n");
    assert_eq!(session.run("render web -q").code, 0);
    let done =
        Command::new("cp").args(["--archive", "out/web/alpine/rootfs", "copy"]).current_dir(session.path("")).status();
    assert!(done.unwrap().success());
    session
}

#[test]
fn what_was_rendered_is_equal_to_itself_in_every_form() {
    let session = copied();
    for side in ["out/web/alpine", "out/web/alpine/", "out/web/alpine/rootfs", "out/web/alpine/manifest.json"] {
        let run = session.run(&format!("diff {side} out/web/alpine"));
        assert!(run.code == 0 && run.output.is_empty(), "{}", run.shown());
    }
    session.run("render web -q --output tar --dest archive");
    for side in ["archive", "archive/web.tar", "archive/web.tar.manifest.json"] {
        let run = session.run(&format!("diff {side} out/web/alpine"));
        assert!(run.code == 0 && run.output.is_empty(), "{}", run.shown());
    }
    for (compress, option) in [("gzip", "--no-name"), ("zstd", "--quiet"), ("xz", "--quiet")] {
        let done = Command::new(compress)
            .args(["--keep", option, "archive/web.tar"])
            .current_dir(session.path(""))
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    for ending in ["gz", "zst", "xz"] {
        assert_eq!(session.run(&format!("diff archive/web.tar.{ending} out/web/alpine")).code, 0, "{ending}");
    }
}

#[test]
fn every_difference_is_one_line() {
    let session = copied();
    fs::write(session.path("copy/srv/www/index.html"), "<h1>other and longer</h1>\n").unwrap();
    fs::write(session.path("copy/etc/motd"), "X on alpine\n").unwrap();
    fs::set_permissions(session.path("copy/srv/www/robots.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_dir_all(session.path("copy/var")).unwrap();
    symlink("\u{1b}[2J", session.path("copy/odd\u{1b}[31m")).unwrap();
    insta::assert_snapshot!(transcript([
        &session.run("diff out/web/alpine/rootfs copy"),
        &session.run("diff copy out/web/alpine --quiet"),
        &session.run("diff copy copy --owners"),
    ]));
}

#[test]
fn owners_count_where_they_mean_something() {
    let session = copied();
    tar(&session.path("copy"), &session.path("one.tar"), 0);
    tar(&session.path("copy"), &session.path("other.tar"), 7);
    let changed = |line: &str, count: usize| {
        let run = session.run(line);
        assert_eq!((run.code, run.output.lines().count()), (i32::from(count > 0), count), "{}", run.shown());
        run
    };
    let paths = session.run("diff one.tar one.tar").errors;
    let paths: usize =
        paths.trim().strip_prefix("equal: ").and_then(|rest| rest.strip_suffix(" paths")).unwrap().parse().unwrap();
    changed("diff one.tar other.tar", paths);
    let told = changed("diff copy other.tar", 0);
    assert!(told.errors.contains("owners are not compared"), "{}", told.shown());
    assert_eq!(session.run("diff copy other.tar --owners").code, 1);
    let shown = changed("diff one.tar out/web/alpine --times", 2).output;
    assert!(shown.contains("~ /usr/bin/su  mode 0755 → 4755") && shown.contains("owner 0:0 → 1234:1234"), "{shown}");
}

#[test]
fn what_cannot_be_compared_is_trouble() {
    let session = copied();
    session.write("text", "no archive at all\n");
    session.write("manifest.json", "{\n  \"generator\": \"layerforge\",\n  \"version\": 1\n}\n");
    session.write("application/manifest.json", "{ \"name\": \"of a web application\" }\n");
    insta::assert_snapshot!(transcript(&[
        session.run("diff nothing copy"),
        session.run("diff copy text"),
        session.run("diff copy manifest.json"),
        session.run("diff copy"),
        session.run("diff application application"),
    ]));
}

#[test]
fn directories_that_are_only_implied_are_no_difference() {
    let session = Session::empty();
    session.write("tree/etc/nginx/nginx.conf", "x\n");
    fs::set_permissions(session.path("tree/etc"), fs::Permissions::from_mode(0o700)).unwrap();
    let directory = session.path("");
    let done = Command::new("tar")
        .current_dir(&directory)
        .args(["-cf", "files.tar", "-C", "tree", "etc/nginx/nginx.conf"])
        .status();
    assert!(done.unwrap().success());
    assert_eq!(session.run("diff tree files.tar").code, 0);
    assert_eq!(session.run("diff files.tar tree").code, 0);
}
