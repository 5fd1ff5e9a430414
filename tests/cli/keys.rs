//! Keys and signatures: what is told, what is refused, and that nothing is overwritten or shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use layerforge::distro::Architecture;
use layerforge::image::ddi::{Options, Verity, write};
use layerforge::image::gpt::{PartitionRole, Seed};

use crate::session::{Session, transcript};

/// Writes an image that could be signed, or not.
fn image(session: &Session, name: &str, verity: Verity<'_>) {
    session.write("payload", &"something\n".repeat(10_000));
    let mut payload = fs::File::open(session.path("payload")).unwrap();
    let file = fs::File::options().read(true).write(true).create_new(true).open(session.path(name)).unwrap();
    let (role, architecture, seed) = (PartitionRole::Root, Architecture::X86_64, Seed::from_bytes([7; 16]));
    write(&mut payload, file, &Options { role, architecture, seed, verity }).unwrap();
}

#[test]
fn keys_are_made_and_images_signed() {
    let session = Session::empty();
    image(&session, "image.raw", Verity::Defer);
    image(&session, "plain.raw", Verity::None);
    let generate = "key generate --type ecdsa-p256 --subject tests --key a.key --cert a.crt";
    let mut runs = vec![session.run(generate), session.run(generate)];
    let made = ["a.key", "a.crt"].map(|name| fs::metadata(session.path(name)).unwrap().permissions().mode() & 0o777);
    assert_eq!((made[0], made[1] & !0o022), (0o600, 0o644));
    session.run("key generate --type ecdsa-p384 --key b.key --cert b.crt");
    let encrypted = "key generate --type ecdsa-p256 --key c.key --cert c.crt";
    session.run_with(encrypted, |command| {
        command.env("LAYERFORGE_PASSPHRASE", "secret");
    });
    session.write("wrong", "Secret\n");
    session.write("right", "secret\nand more\n");
    session.write("text.raw", "no image\n");
    let lines = [
        "sign image.raw --key a.key --cert a.crt",
        "sign image.raw --key b.key --cert b.crt",
        "sign image.raw --key a.key --cert b.crt",
        "sign image.raw --key a.crt --cert a.key",
        "sign image.raw --key c.key --cert c.crt",
        "sign image.raw --key c.key --cert c.crt --passphrase-file wrong",
        "sign image.raw --key c.key --cert c.crt --passphrase-file right",
        "sign image.raw --signer false --cert a.crt",
        "sign image.raw --cert a.crt",
        "sign plain.raw --key a.key --cert a.crt",
        "sign text.raw --key a.key --cert a.crt",
        "sign missing.raw --key a.key --cert a.crt",
        "key generate --key a --cert a",
        "key",
    ];
    runs.extend(lines.map(|line| session.run(line)));
    fs::set_permissions(session.path("a.key"), fs::Permissions::from_mode(0o644)).unwrap();
    runs.push(session.run("sign image.raw --key a.key --cert a.crt"));
    insta::assert_snapshot!(transcript(&runs));
    let secrets = fs::read_to_string(session.path("a.key")).unwrap();
    let secret = secrets.lines().nth(1).unwrap();
    assert!(runs.iter().all(|run| !run.shown().contains(secret)));
    let report = session.run("sign image.raw --key b.key --cert b.crt --json").json();
    assert_eq!((report["subject"].as_str(), report["replaced"].as_bool()), (Some("CN=layerforge"), Some(true)));
}
