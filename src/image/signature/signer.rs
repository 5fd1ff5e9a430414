//! Who signs: a key that is here, or a command that reaches one elsewhere.

use super::{Certificate, Result, SignatureError, SignatureRecord, SigningKey, pkcs7, run_command};
use crate::digest::Digest;

/// Signs root hashes in the name of a certificate.
#[derive(Debug, Clone)]
pub struct Signer {
    hand: Hand,
    certificate: Certificate,
}

#[derive(Debug, Clone)]
enum Hand {
    Key(Box<SigningKey>),
    /// A line for the shell.
    Command(String),
}

impl Signer {
    /// Returns who signs with `key`.
    ///
    /// # Errors
    /// When the certificate is for another key.
    pub fn with_key(key: SigningKey, certificate: Certificate) -> Result<Self> {
        if key.public() != *certificate.key() {
            return Err(SignatureError::OtherKey { subject: certificate.subject().to_owned() });
        }
        Ok(Self { hand: Hand::Key(Box::new(key)), certificate })
    }

    /// Returns who signs through `command`, a line for `sh -c`: it gets the 64 digits on its standard input and gives a
    /// detached PKCS#7 signature of them, DER, on its standard output.
    pub fn with_command(command: String, certificate: Certificate) -> Self {
        Self { hand: Hand::Command(command), certificate }
    }

    /// Returns the certificate in whose name is signed.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs bytes with SHA-256: PKCS#1 version 1.5 with an RSA key, ASN.1 with an ECDSA one; as they are with an Ed25519 one.
    ///
    /// # Errors
    /// When signing fails, or a command signs: it is only ever asked for PKCS#7.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        match &self.hand {
            Hand::Key(key) => key.sign_bytes(bytes),
            Hand::Command(command) => Err(SignatureError::Command {
                command: command.clone(),
                reason: "gives PKCS#7, which container images are not signed with: sign with a key".into(),
            }),
        }
    }

    /// Signs a root hash. What comes from a command is checked with the certificate.
    ///
    /// # Errors
    /// When the command fails or gives something else than a signature of this hash by the owner of the certificate.
    pub fn sign(&self, root: &Digest) -> Result<SignatureRecord> {
        let text = root.hex();
        let signature = match &self.hand {
            Hand::Key(key) => pkcs7::sign(text.as_bytes(), key, &self.certificate)?,
            Hand::Command(command) => run(command, text.as_bytes())?,
        };
        let fingerprint = Some(self.certificate.fingerprint());
        let record = SignatureRecord { root_hash: *root, fingerprint, signature };
        record.verify(root, &self.certificate)?;
        Ok(record)
    }
}

/// Asks a command for a signature, DER.
fn run(command: &str, input: &[u8]) -> Result<Vec<u8>> {
    let failed = |reason: String| SignatureError::Command { command: command.to_owned(), reason };
    let output = run_command(command, input).map_err(failed)?;
    if output.starts_with(b"-----BEGIN") || output.starts_with(b"MIME") {
        return Err(failed("gave text: expected DER (`-outform DER` with openssl)".into()));
    }
    Ok(output)
}
