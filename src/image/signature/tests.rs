use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

/// Files made with openssl 3.0.
macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/keys/", $name))
    };
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The root hash that the signatures are of.
fn root() -> Digest {
    Digest::of("x")
}

fn key(pem: &[u8]) -> SigningKey {
    SigningKey::from_pem(text(pem), None).unwrap()
}

fn certificate(pem: &[u8]) -> Certificate {
    Certificate::from_pem(text(pem)).unwrap()
}

fn record(signature: &[u8]) -> SignatureRecord {
    SignatureRecord { root_hash: root(), fingerprint: None, signature: signature.to_vec() }
}

#[test]
fn every_form_of_a_key_is_the_same_key() {
    let secret = Passphrase::new("secret".into());
    let plain = key(file!("rsa.pem"));
    assert!(plain.public() == key(file!("rsa-pkcs1.pem")).public());
    for encrypted in [&file!("rsa-encrypted.pem")[..], file!("rsa-scrypt.pem")] {
        let read = |passphrase| SigningKey::from_pem(text(encrypted), passphrase);
        assert!(read(Some(&secret)).unwrap().public() == plain.public());
        assert!(matches!(read(None), Err(SignatureError::NoPassphrase)));
        let wrong = Passphrase::new("Secret".into());
        assert!(matches!(read(Some(&wrong)), Err(SignatureError::WrongPassphrase)));
    }
    assert!(key(file!("p256.pem")).public() == key(file!("p256-sec1.pem")).public());
    assert!(key(file!("p384.pem")).public() == key(file!("p384-sec1.pem")).public());
}

#[test]
fn what_cannot_sign_is_refused_with_a_reason() {
    let reason = |pem: &[u8]| SigningKey::from_pem(text(pem), None).unwrap_err().to_string();
    let reasons = [
        reason(file!("rsa-old-encrypted.pem")),
        reason(file!("rsa-1024.pem")),
        reason(file!("p521.pem")),
        reason(file!("rsa.crt")),
        reason(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        Certificate::from_pem(text(file!("rsa.pem"))).unwrap_err().to_string(),
        Signer::with_key(key(file!("p256.pem")), certificate(file!("rsa.crt"))).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn rsa_signatures_are_those_of_openssl() {
    let signer = Signer::with_key(key(file!("rsa.pem")), certificate(file!("rsa.crt"))).unwrap();
    assert!(signer.sign(&root()).unwrap().signature == file!("rsa.p7s"));
}

#[test]
fn ed25519_signs_bytes_as_openssl_does_and_no_disk_image() {
    let signer = Signer::with_key(key(file!("ed25519.pem")), certificate(file!("ed25519.crt"))).unwrap();
    let signature = signer.sign_bytes(b"text").unwrap();
    assert!(signature == file!("ed25519.sig"));
    let verifies = |bytes: &[u8], signature: &[u8]| signer.certificate().verifies_bytes(bytes, signature);
    assert!(verifies(b"text", &signature) && !verifies(b"texts", &signature) && !verifies(b"text", &signature[1..]));
    assert!(!certificate(file!("p256.crt")).verifies_bytes(b"text", &signature));
    let error = signer.sign(&root()).unwrap_err().to_string();
    assert!(error.contains("container images only"), "{error}");
    let again = SigningKey::from_pem(&key(file!("ed25519.pem")).to_pem(None).unwrap(), None).unwrap();
    assert!(again.public() == *signer.certificate().key());
}

#[test]
fn ecdsa_signatures_verify_and_do_not_change() {
    for (pem, own, theirs) in [
        (&file!("p256.pem")[..], &file!("p256.crt")[..], &file!("p256.p7s")[..]),
        (file!("p384.pem"), file!("p384.crt"), file!("p384.p7s")),
    ] {
        let signer = Signer::with_key(key(pem), certificate(own)).unwrap();
        let signature = signer.sign(&root()).unwrap().signature;
        assert!(signature == signer.sign(&root()).unwrap().signature);
        // All but the numbers at the end is what openssl writes, up to the lengths in front.
        let start = certificate(own).der().len();
        assert!(signature[8..start] == theirs[8..start], "{}", own.len());
        record(theirs).verify(&root(), signer.certificate()).unwrap();
    }
}

#[test]
fn signatures_of_openssl_are_judged_as_systemd_does() {
    let rsa = certificate(file!("rsa.crt"));
    let good = [
        &file!("rsa.p7s")[..],
        file!("rsa-nocerts.p7s"),
        file!("rsa-attributes.p7s"),
        file!("rsa-sha512.p7s"),
        file!("rsa-cms.p7s"),
        file!("rsa-attached.p7s"),
    ];
    for (index, signature) in good.into_iter().enumerate() {
        record(signature).verify(&root(), &rsa).unwrap_or_else(|error| panic!("{index}: {error}"));
        let other = Digest::of("y");
        let elsewhere = SignatureRecord { root_hash: other, ..record(signature) };
        assert!(matches!(elsewhere.verify(&other, &rsa), Err(SignatureError::Invalid { .. })), "{index}");
        let stranger = record(signature).verify(&root(), &certificate(file!("p256.crt")));
        assert!(matches!(stranger, Err(SignatureError::OtherSigner { .. })), "{index}");
    }
    record(file!("p256-attributes.p7s")).verify(&root(), &certificate(file!("p256.crt"))).unwrap();
    record(file!("p384-attributes.p7s")).verify(&root(), &certificate(file!("p384.crt"))).unwrap();
    let error = record(file!("rsa-keyid.p7s")).verify(&root(), &rsa).unwrap_err().to_string();
    assert!(error.contains("a key identifier, which systemd refuses"), "{error}");
}

#[test]
fn keys_are_never_shown() {
    let signer = Signer::with_key(key(file!("p256.pem")), certificate(file!("p256.crt"))).unwrap();
    let shown = format!("{signer:?} {:?} {:?}", key(file!("rsa.pem")), Passphrase::new("secret".into()));
    assert_eq!(
        shown.replace(&signer.certificate().fingerprint().to_string(), "…"),
        "Signer { hand: Key(SigningKey(EcdsaP256, …)), certificate: Certificate(\"CN=p256\", …) } \
         SigningKey(Rsa, …) Passphrase(…)"
    );
}

#[test]
fn generated_keys_sign_for_ten_years() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for key_type in [KeyType::EcdsaP256, KeyType::EcdsaP384] {
        let generated = generate(key_type, "me + you, \"=#", now).unwrap();
        assert_eq!(generated.certificate.subject(), "CN=me \\+ you\\, \\\"=#");
        let pem = generated.key.to_pem(None).unwrap();
        let again = SigningKey::from_pem(&pem, None).unwrap();
        let certificate = Certificate::from_pem(&generated.certificate.to_pem()).unwrap();
        Signer::with_key(again, certificate).unwrap().sign(&root()).unwrap();
        let secret = Passphrase::new("secret".into());
        let pem = generated.key.to_pem(Some(&secret)).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert!(SigningKey::from_pem(&pem, Some(&secret)).unwrap().public() == generated.key.public());
    }
    let generated = generate(KeyType::Ed25519, "ed", now).unwrap();
    let signer = Signer::with_key(generated.key, generated.certificate).unwrap();
    assert!(signer.certificate().verifies_bytes(b"text", &signer.sign_bytes(b"text").unwrap()));
    assert!(generate(KeyType::EcdsaP256, "", now).is_err());
}

#[test]
fn a_command_may_sign() {
    let certificate = certificate(file!("rsa.crt"));
    let sign = |command: &str| Signer::with_command(command.into(), certificate.clone()).sign(&root());
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().join("signature");
    crate::fs::write_new(&stored, file!("rsa.p7s"), 0o644).unwrap();
    // It gets the 64 digits and nothing else.
    let command = format!("test \"$(cat | tee '{0}.text')\" = {1} && cat '{0}'", stored.display(), root().hex());
    assert!(sign(&command).unwrap().signature == file!("rsa.p7s"));
    assert_eq!(crate::fs::read(&folder.path().join("signature.text")).unwrap(), root().hex().as_bytes());
    let reasons =
        ["exit 3", "true", "cat", "echo -----BEGIN PKCS7-----", "yes"].map(|command| sign(command).unwrap_err());
    insta::assert_snapshot!(reasons.map(|error| error.to_string()).join("\n"));
}

#[test]
fn the_partition_holds_json_and_zero_bytes() {
    let record = SignatureRecord { fingerprint: Some(Digest::of("z")), ..record(&[1, 2, 3]) };
    let json = record.to_json();
    assert_eq!(
        json,
        format!(
            r#"{{"rootHash":"{}","certificateFingerprint":"{}","signature":"AQID"}}"#,
            root().hex(),
            Digest::of("z").hex()
        )
    );
    let mut partition = json.clone().into_bytes();
    partition.resize(16384, 0);
    assert_eq!(SignatureRecord::parse(&partition).unwrap(), record);
    assert_eq!(SignatureRecord::parse(format!(" {json}\n").as_bytes()).unwrap(), record);
    partition[16000] = b'x';
    assert!(SignatureRecord::parse(&partition).unwrap_err().to_string().contains("behind the JSON"));
    assert!(SignatureRecord::parse(&[0; 512]).unwrap_err().to_string().contains("empty"));
    assert!(SignatureRecord::parse(b"{\"rootHash\":\"00\",\"signature\":\"\"}").is_err());
}

proptest! {
    #[test]
    fn nothing_makes_the_readers_panic(
        which in 0_usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        short: bool,
    ) {
        let files = [&file!("rsa.p7s")[..], file!("rsa-attributes.p7s"), file!("p384.p7s"), file!("rsa-keyid.p7s"), file!("p256-attributes.p7s")];
        let mut bytes = files[which].to_vec();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        if short {
            bytes.truncate(cut.index(bytes.len()));
        }
        let certificate = certificate(file!("rsa.crt"));
        // A byte that nobody looks at may differ; what matters is that this ends.
        let _ = record(&bytes).verify(&root(), &certificate);
        let _ = Certificate::from_der(&bytes);
        let _ = SignatureRecord::parse(&bytes);
    }
}
