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
        self.verify(&path.display().to_string(), &|| Ok(Box::new(fs::open(path).map_err(std::io::Error::other)?)), signatures, now)
    }

    /// Takes bytes that messages call `file`, as [`Web::verify_file`] does.
    ///
    /// # Errors
    /// When the signatures have another form, or none is good.
    pub fn verify_bytes(&self, file: &str, bytes: &[u8], signatures: &[u8], now: i64) -> Result<Vec<String>, TrustError> {
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
            match self.keyring.signer(signature, text, now).and_then(|signer| self.check(&signer, now).map(|()| signer)) {
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
