//! A keyring whose keys are good when master keys vouch for them: that of Arch.

use std::collections::BTreeSet;
use std::path::Path;

use super::certificate::{Certificate, Refusal};
use super::{Keyring, LARGEST, MOST_SIGNATURES, Text, TrustError, detached};
use crate::fs;

/// How many master keys have to vouch for a key: what OpenPGP programs ask of keys that are trusted a little.
const NEEDED: usize = 3;

/// Keys with the masters that vouch for them.
#[derive(Debug, Clone)]
pub struct Web {
    keyring: Keyring,
    /// The fingerprints of the master keys.
    masters: BTreeSet<String>,
    /// The fingerprints of keys that must not be used, whoever vouches for them.
    revoked: BTreeSet<String>,
}

impl Web {
    /// Reads the three files of a keyring of pacman: `NAME.gpg`, `NAME-trusted` with lines `FINGERPRINT:LEVEL:`, and
    /// `NAME-revoked` with lines of fingerprints.
    ///
    /// # Errors
    /// When the keyring is none, or a line is not written as it should be.
    pub fn read(file: &str, keyring: &[u8], trusted: &str, revoked: &str) -> Result<Self, TrustError> {
        let keyring = Keyring::read(file, keyring)?;
        let lines = |text: &str, name: &str| -> Result<BTreeSet<String>, TrustError> {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines
                .map(|line| {
                    let fingerprint = line.split(':').next().unwrap_or_default();
                    let whole = fingerprint.len() >= 40 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
                    let reason = || format!("expected a fingerprint, found `{}`", line.escape_debug());
                    let fault = || TrustError::Keyring { file: format!("{file}-{name}"), reason: reason() };
                    if whole { Ok(fingerprint.to_ascii_uppercase()) } else { Err(fault()) }
                })
                .collect()
        };
        Ok(Self { keyring, masters: lines(trusted, "trusted")?, revoked: lines(revoked, "revoked")? })
    }

    /// Takes a file with its signatures in a file of their own, binary or armoured, at a moment in seconds since 1970.
    /// Returns the fingerprints of the keys whose signatures are good, those of primary keys, sorted.
    ///
    /// # Errors
    /// When the file cannot be read, the signatures have another form, or none is good.
    pub fn verify_file(&self, path: &Path, signatures: &[u8], now: i64) -> Result<Vec<String>, TrustError> {
        self.verify(
            &path.display().to_string(),
            &|| Ok(Box::new(fs::open(path).map_err(std::io::Error::other)?)),
            signatures,
            now,
        )
    }

    /// Takes bytes that messages call `file`, as [`Web::verify_file`] does.
    ///
    /// # Errors
    /// When the signatures have another form, or none is good.
    pub fn verify_bytes(
        &self,
        file: &str,
        bytes: &[u8],
        signatures: &[u8],
        now: i64,
    ) -> Result<Vec<String>, TrustError> {
        self.verify(file, &|| Ok(Box::new(bytes)), signatures, now)
    }

    fn verify(&self, file: &str, text: Text<'_>, signatures: &[u8], now: i64) -> Result<Vec<String>, TrustError> {
        let form = |reason: String| TrustError::Form { file: file.to_owned(), reason };
        if signatures.len() > LARGEST {
            return Err(form(format!("its signatures are longer than {LARGEST} bytes")));
        }
        let signatures = detached(signatures).map_err(|error| form(error.to_string()))?;
        if signatures.is_empty() || signatures.len() > MOST_SIGNATURES {
            let reason = format!("it has {} signatures; expected 1 to {MOST_SIGNATURES}", signatures.len());
            return Err(form(reason));
        }
        let (mut signers, mut refusals) = (BTreeSet::new(), Vec::new());
        for signature in &signatures {
            match self.keyring.signer(signature, text, now).and_then(|signer| self.check(&signer, now).map(|()| signer))
            {
                Ok(signer) => drop(signers.insert(signer)),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        if signers.is_empty() {
            return Err(TrustError::Refused { file: file.to_owned(), refusals });
        }
        Ok(signers.into_iter().collect())
    }

    /// Checks that a key of the keyring is a master, or that enough masters vouch for it.
    fn check(&self, fingerprint: &str, now: i64) -> Result<(), Refusal> {
        let refused = |reason| Refusal::Key { key: fingerprint.to_owned(), reason };
        if self.revoked.contains(fingerprint) {
            return Err(refused("is revoked by the distribution"));
        }
        if self.masters.contains(fingerprint) {
            return Ok(());
        }
        let mut certificates = self.keyring.certificates.iter();
        let own = certificates.find(|certificate| certificate.fingerprint() == fingerprint);
        let masters = self.living_masters(now);
        match own.map(|own| own.vouched_for(&masters, now)) {
            Some(NEEDED..) => Ok(()),
            _ => Err(refused("is vouched for by fewer than three master keys")),
        }
    }

    fn living_masters(&self, now: i64) -> Vec<&Certificate> {
        let is_master = |certificate: &&Certificate| {
            let fingerprint = certificate.fingerprint();
            self.masters.contains(&fingerprint) && !self.revoked.contains(&fingerprint)
        };
        self.keyring.certificates.iter().filter(is_master).filter(|one| one.check_alive(now).is_ok()).collect()
    }

    /// Returns the fingerprints of the keys that may sign packages at a moment, in the order of the keyring.
    pub fn valid(&self, now: i64) -> Vec<String> {
        let certificates = self.keyring.certificates.iter().filter(|certificate| certificate.check_alive(now).is_ok());
        let fingerprints = certificates.map(Certificate::fingerprint);
        fingerprints.filter(|fingerprint| self.check(fingerprint, now).is_ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    //! The files in `testdata/web` were made by gpg 2.2 with `--faked-system-time`, the keys without a passphrase. Masters 1
    //! to 3 vouch for `good`, `banned` and `revoked`, masters 1 and 2 for `twice`, nobody for `bare`; master 3 takes back what it
    //! said of `revoked`, and `banned` stands in the list of revoked keys.

    use super::*;

    const FOLDER: &str = "src/packages/trust/testdata/web";
    /// 2026-01-01, a year after the keys were made.
    const NOW: i64 = 1_767_225_600;
    const DAY: i64 = 24 * 60 * 60;

    fn file(name: &str) -> Vec<u8> {
        fs::read(&Path::new(FOLDER).join(name)).unwrap()
    }

    fn web() -> Web {
        let text = |name| String::from_utf8(file(name)).unwrap();
        Web::read("keyring", &file("keyring.gpg"), &text("keyring-trusted"), &text("keyring-revoked")).unwrap()
    }

    fn verify(name: &str, now: i64) -> Result<usize, String> {
        let signatures = file(&format!("{name}.sig"));
        let found = web().verify_file(&Path::new(FOLDER).join("package"), &signatures, now);
        found.map(|signers| signers.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_good_when_three_masters_vouch_for_it() {
        assert_eq!(verify("good", NOW), Ok(1));
        assert_eq!(verify("master1", NOW), Ok(1), "a master vouches for itself");
        for name in ["twice", "bare", "revoked"] {
            let error = verify(name, NOW).unwrap_err();
            assert!(error.contains("fewer than three master keys"), "{name}: {error}");
        }
        assert!(verify("banned", NOW).unwrap_err().contains("is revoked by the distribution"));
        assert!(verify("good", NOW + 10 * 365 * DAY).unwrap_err().contains("is expired"));
        // Before the master took back its word; the signature had not been made then.
        let february = 1_736_000_000;
        assert_eq!(web().valid(february).len(), 5);
        assert_eq!(web().valid(NOW).len(), 4, "three masters and one packager");
    }

    #[test]
    fn what_was_signed_cannot_be_changed() {
        let (package, signature) = (file("package"), file("good.sig"));
        assert!(web().verify_bytes("package", &package, &signature, NOW).is_ok());
        for place in 0..package.len() {
            let mut changed = package.clone();
            changed[place] ^= 1;
            assert!(web().verify_bytes("package", &changed, &signature, NOW).is_err(), "byte {place}");
        }
        for length in 0..signature.len() {
            assert!(web().verify_bytes("package", &package, &signature[..length], NOW).is_err(), "{length} bytes");
        }
        for place in 0..signature.len() {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            // Hints outside of what is signed do not count.
            let _ = web().verify_bytes("package", &package, &changed, NOW);
        }
    }

    #[test]
    fn lists_are_fingerprints() {
        let read = |trusted: &str, revoked: &str| Web::read("keyring", &file("keyring.gpg"), trusted, revoked);
        assert!(read("# none\n\n", "").is_ok());
        for wrong in ["4E755892C0FB48A7:4:\n", "nothing\n"] {
            let error = read(wrong, "").unwrap_err().to_string();
            assert!(error.contains("`keyring-trusted` is no OpenPGP keyring: expected a fingerprint"), "{error}");
            assert!(read("", wrong).is_err());
        }
    }
}
