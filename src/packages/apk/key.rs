//! Keys and signatures of apk: RSA with PKCS #1 v1.5 over the bytes of a gzip member.
//!
//! A signature names the file of the key that made it. SHA-1 is what Alpine signs with, so there is no choice but to take it;
//! SHA-256 and SHA-512 are taken, too.

use std::ffi::OsStr;
use std::path::Path;

use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::fs;

/// The shortest keys that are taken, in bits.
const SHORTEST: usize = 2048;
/// The most bytes of a file with a key.
const LARGEST: usize = 64 << 10;

/// A key that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no key of apk: {reason}")]
pub struct KeyError {
    /// The name of its file.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A file of a key that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// A key that packages and indexes are signed with.
#[derive(Debug, Clone)]
pub struct Key {
    name: String,
    key: RsaPublicKey,
}

impl Key {
    /// Reads the file `name` of a key: `NAME.rsa.pub`, in PEM.
    ///
    /// # Errors
    /// When it is none, or too short.
    pub fn read(name: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let fault = |reason: String| KeyError { name: name.to_owned(), reason };
        if !is_key_name(name.as_bytes()) {
            return Err(fault("expected the name of a file".into()));
        }
        let text = std::str::from_utf8(pem).ok().filter(|text| text.len() <= LARGEST);
        let text = text.ok_or_else(|| fault("it is no text, or too long".into()))?;
        let key = RsaPublicKey::from_public_key_pem(text.trim()).map_err(|error| fault(error.to_string()))?;
        let bits = key.n().bits_precision() as usize;
        if key.size() * 8 < SHORTEST {
            return Err(fault(format!("it has {bits} bits; expected {SHORTEST} or more")));
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// Returns the name of its file, by which signatures name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether the key made a signature over `bytes`.
    pub fn verifies(&self, algorithm: Algorithm, bytes: &[u8], signature: &[u8]) -> bool {
        let verified = match algorithm {
            Algorithm::Sha1 => self.key.verify(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(bytes), signature),
            Algorithm::Sha256 => self.key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(bytes), signature),
            Algorithm::Sha512 => self.key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(bytes), signature),
        };
        verified.is_ok()
    }
}

/// What a signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Takes the name of a signature, `.SIGN.RSA256.NAME`, apart; nothing for what is of another kind.
pub(super) fn signature_name(name: &str) -> Option<(Algorithm, &str)> {
    let (kind, key) = name.strip_prefix(".SIGN.")?.split_once('.')?;
    let algorithm = match kind {
        "RSA" => Algorithm::Sha1,
        "RSA256" => Algorithm::Sha256,
        "RSA512" => Algorithm::Sha512,
        _ => return None,
    };
    is_key_name(key.as_bytes()).then_some((algorithm, key))
}

/// The end of the name of a file with a key.
const END: &str = ".pub";

/// Returns the file of a key, or those of all keys in a folder, by their names, sorted: what `signed_by` names.
///
/// # Errors
/// When one cannot be read, or there is none in the folder.
pub fn files(path: &Path) -> Result<Vec<(String, Vec<u8>)>, KeyFileError> {
    let shown = |name: &OsStr| name.to_string_lossy().into_owned();
    if !fs::Stamp::of(path)?.is_directory() {
        // A signature names the file of its key.
        return Ok(vec![(shown(path.file_name().unwrap_or_default()), fs::read(path)?)]);
    }
    let names = fs::list(path)?.into_iter().map(|name| shown(&name)).filter(|name| name.ends_with(END));
    let mut names: Vec<String> = names.collect();
    names.sort();
    if names.is_empty() {
        let reason = format!("no file in it is called `NAME{END}`");
        return Err(KeyError { name: path.display().to_string(), reason }.into());
    }
    names.into_iter().map(|name| Ok((name.clone(), fs::read(&path.join(name))?))).collect()
}

/// Tells whether a name is that of a file and of nothing else: keys are looked up by it.
fn is_key_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name[0] != b'.'
        && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/')
}

#[cfg(test)]
pub(super) mod tests {
    use rsa::RsaPrivateKey;
    use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};

    use super::*;

    /// A key made for tests.
    pub(in crate::packages::apk) fn private() -> RsaPrivateKey {
        RsaPrivateKey::from_pkcs8_pem(include_str!("testdata/key.pem")).unwrap()
    }

    pub(in crate::packages::apk) fn public() -> Key {
        let pem = private().to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        Key::read("test.rsa.pub", pem.as_bytes()).unwrap()
    }

    pub(in crate::packages::apk) fn sign(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        match algorithm {
            Algorithm::Sha1 => private().sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(bytes)),
            Algorithm::Sha256 => private().sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(bytes)),
            Algorithm::Sha512 => private().sign(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(bytes)),
        }
        .unwrap()
    }

    #[test]
    fn signatures_are_of_their_bytes_and_algorithm() {
        for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
            let signature = sign(algorithm, b"text");
            assert!(public().verifies(algorithm, b"text", &signature));
            assert!(!public().verifies(algorithm, b"texts", &signature));
            assert!(!public().verifies(algorithm, b"text", &signature[1..]));
            assert!(!public().verifies(algorithm, b"text", b""));
        }
        assert!(!public().verifies(Algorithm::Sha256, b"text", &sign(Algorithm::Sha1, b"text")));
    }

    #[test]
    fn keys_stand_in_a_file_or_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(files(folder.path()).unwrap_err().to_string().contains("is called `NAME.pub`"));
        for name in ["b.rsa.pub", "a.rsa.pub", "README"] {
            fs::write_atomic(&path(name), name.as_bytes()).unwrap();
        }
        let found = |path: &Path| files(path).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(found(folder.path()), ["a.rsa.pub", "b.rsa.pub"]);
        assert_eq!(found(&path("b.rsa.pub")), ["b.rsa.pub"]);
        assert!(files(&path("none")).is_err());
    }

    #[test]
    fn keys_are_known_by_the_name_of_their_file() {
        assert_eq!(signature_name(".SIGN.RSA.a@b-1.rsa.pub"), Some((Algorithm::Sha1, "a@b-1.rsa.pub")));
        assert_eq!(signature_name(".SIGN.RSA512.k"), Some((Algorithm::Sha512, "k")));
        for name in [".SIGN.DSA.k", ".SIGN.RSA.", ".SIGN.RSA.../k", ".SIGN.RSA.a/b", ".PKGINFO", ".SIGN.RSA"] {
            assert_eq!(signature_name(name), None, "{name}");
        }
        assert!(Key::read("../k", b"").is_err());
        assert!(Key::read("k", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").is_err());
    }
}
