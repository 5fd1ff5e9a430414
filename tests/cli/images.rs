//! Commands about images: inspect, lint, verify, diff.

use std::fs::{self, File};
use std::path::Path;

use layerforge::image::squashfs::{Options, write};
use layerforge::tree::{TreePath, scan};

use crate::session::{Session, transcript};

/// A folder with a system extension that has one mistake, and its image.
fn extension() -> Session {
    let session = Session::empty();
    session.write("app/usr/lib/extension-release.d/extension-release.app", "ID=debian\nVERSION_ID=13\n");
    session.write("app/usr/share/app/data", "data\n");
    session.write("app/srv/left-out", "x");
    let mut tree = scan(&session.path("app")).unwrap();
    let paths: Vec<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        let meta = &mut tree.get_mut(&path).unwrap().meta;
        (meta.uid, meta.gid, meta.mtime) = (0, 0, 0);
        meta.mode = if path.name().is_some_and(|name| name == b"data") { 0o600 } else { meta.mode & 0o755 };
    }
    write(&tree, &Options::default(), File::create(session.path("app.raw")).unwrap()).unwrap();
    session
}

#[test]
fn an_image_is_inspected_in_every_form() {
    let session = extension();
    insta::assert_snapshot!(transcript([
        &session.run("inspect app.raw"),
        &session.run("inspect app.raw --list"),
        &session.run("inspect app.raw --mtree"),
        &session.run("inspect nothing"),
    ]));
    let json: serde_json::Value = serde_json::from_str(&session.run("inspect app.raw --json").output).unwrap();
    assert_eq!(json["class"], "sysext");
    assert_eq!(json["file_system"]["kind"], "squashfs");
}

#[test]
fn findings_are_told_with_reason_and_mend() {
    let session = extension();
    insta::assert_snapshot!(transcript([
        &session.run("lint app.raw"),
        &session.run("lint app.raw --allow SX12 --quiet"),
        &session.run("lint app.raw --allow SX99"),
        &session.run("lint profiles"),
    ]));
    let json: serde_json::Value = serde_json::from_str(&session.run("lint app.raw --json").output).unwrap();
    assert_eq!(json["findings"][0]["id"], "SX12");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lint.md")).unwrap();
    assert_eq!(session.run("lint --list --markdown").output, page);
    assert_eq!(session.run("lint --list").output.lines().count(), 66);
}

#[test]
fn what_cannot_be_trusted_ends_with_five() {
    let session = extension();
    let run = session.run("verify app.raw");
    assert_eq!(run.code, 5, "{}", run.shown());
    assert!(run.errors.contains("cannot be trusted"), "{}", run.shown());
}

#[test]
fn an_image_is_compared_with_what_it_was_made_of() {
    let session = extension();
    let run = session.run("diff app app.raw");
    assert_eq!(run.code, 1, "{}", run.shown());
    assert_eq!(run.output, "~ /usr/share/app/data  mode 0644 → 0600\n");
    assert_eq!(session.run("diff app.raw app.raw").code, 0);
}
