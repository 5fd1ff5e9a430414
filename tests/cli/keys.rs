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

#[test]
fn container_images_are_signed_in_place() {
    let session = Session::empty();
    session.write(
        "profiles/web.toml",
        "[distro.debian]\n[file.\"/etc/x\"]\ncontent = \"{{ distro.architecture }}\"\n[output.oci]\n",
    );
    let generate = |kind: &str, name: &str| {
        let run =
            session.run(&format!("key generate --type {kind} --key {name}.key --cert {name}.crt --subject {name}"));
        assert_eq!(run.code, 0, "{}", run.shown());
    };
    generate("ed25519", "one");
    generate("ecdsa-p384", "two");
    for (keys, path) in [
        ("architectures = [\"x86_64\", \"aarch64\"]\n", "out/web/debian/oci/web"),
        ("format = \"tar\"\ncompression = \"gzip\"\n", "out/web/debian/oci/web.tar"),
    ] {
        let profile = fs::read_to_string(session.path("profiles/web.toml")).unwrap();
        let (start, _) = profile.split_once("[output.oci]\n").unwrap();
        session.write("profiles/web.toml", &format!("{start}[output.oci]\n{keys}"));
        // What was signed is not what was rendered any more.
        let rendered = session.run("render web --force");
        assert_eq!(rendered.code, 0, "{}", rendered.shown());
        let images = if path.ends_with("tar") { 1 } else { 2 };
        let unsigned = session.run(&format!("verify {path} --cert one.crt"));
        assert_eq!(unsigned.code, 5, "{}", unsigned.shown());
        for (name, replaced) in [("one", false), ("two", false), ("one", true)] {
            let report = session.run(&format!("sign {path} --key {name}.key --cert {name}.crt --json")).json();
            assert_eq!(report["replaced"].as_bool(), Some(replaced), "{report}");
            assert_eq!(report["manifests"].as_array().unwrap().len(), if images == 1 { 1 } else { 3 }, "{report}");
        }
        for name in ["one", "two"] {
            let report = session.run(&format!("verify {path} --cert {name}.crt --json")).json();
            assert_eq!(report["manifests"].as_array().unwrap().len(), images, "{report}");
        }
        assert_eq!(session.run(&format!("inspect {path}")).code, 0);
    }
    let packed = std::process::Command::new("gzip").arg(session.path("out/web/debian/oci/web.tar")).status().unwrap();
    assert!(packed.success());
    let refused = session.run("sign out/web/debian/oci/web.tar.gz --key one.key --cert one.crt");
    assert!(refused.code == 1 && refused.errors.contains("decompress it, sign it"), "{}", refused.shown());
    assert!(session.run("verify out/web/debian/oci/web.tar.gz --cert one.crt").code == 0, "it is as it was");
    session.write("broken/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    let refused = session.run(&format!("sign {} --key one.key --cert one.crt", session.path("broken").display()));
    assert!(refused.code == 5 && refused.errors.contains("index.json"), "{}", refused.shown());
}
