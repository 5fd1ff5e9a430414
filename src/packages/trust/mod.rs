//! Who signed a file: OpenPGP (RFC 9580) with the rules of archives.
//!
//! Comes in: a file with its signatures, the keyring of its source, and a moment. Goes out: the text that was signed, and by
//! whom. A [`Keyring`] is believed whole, as apt does; of a [`Web`] only those keys that master keys vouch for, as pacman
//! does. Always holds: nothing of a file is looked at before one of its signatures is good; text outside of what is signed
//! is never returned.
//!
//! A signature is good when a key of the keyring made it that may sign, is not revoked and not expired at the given moment,
//! over a hash of at least 256 bits. Signatures of unknown keys say nothing, whatever is wrong with them. One good signature
//! is enough: those after it are not looked at.

mod certificate;
mod cleartext;
mod web;

use std::io::{self, Cursor, Read};

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType, SubpacketData};

use certificate::{Certificate, Refusal};
use cleartext::Cleartext;
pub use web::Web;

/// What a signature is over, to be read as often as there are signatures.
type Text<'text> = &'text dyn Fn() -> io::Result<Box<dyn Read + 'text>>;

/// The most bytes of a file with its signatures.
const LARGEST: usize = 16 << 20;
/// The most signatures of one file: three are usual.
const MOST_SIGNATURES: usize = 64;
/// How far a signature may lie in the future, in seconds: clocks differ.
const CLOCK_SKEW: i64 = 10;

/// A file whose signatures are not good.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A keyring cannot be read.
    #[error("`{file}` is no OpenPGP keyring: {reason}")]
    Keyring {
        /// The keyring.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not in the form of a signed one, or has text beside what is signed.
    #[error("`{file}` is not signed as it should be: {reason}")]
    Form {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No signature is good.
    #[error("no signature of `{file}` is good: {}", refusals.join("; "))]
    Refused {
        /// The file.
        file: String,
        /// What is wrong with each.
        refusals: Vec<String>,
    },
}

/// The keys that are trusted for a source.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: Vec<Certificate>,
}

/// A text that was signed by a trusted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The text, without what the form of a signed text adds.
    pub text: String,
    /// The fingerprint of the primary key of whoever made the first good signature.
    pub signer: String,
}

impl Keyring {
    /// Reads a keyring, binary or armoured, that messages call `file`.
    ///
    /// # Errors
    /// When it is none, or a key in it cannot be read.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, TrustError> {
        let fault = |reason: String| TrustError::Keyring { file: file.to_owned(), reason };
        if bytes.len() > LARGEST {
            return Err(fault(format!("it is longer than {LARGEST} bytes")));
        }
        let certificates: Result<Vec<SignedPublicKey>, pgp::errors::Error> = if bytes.starts_with(b"-----") {
            let (keys, _) =
                SignedPublicKey::from_armor_many(Cursor::new(bytes)).map_err(|error| fault(error.to_string()))?;
            keys.collect()
        } else {
            SignedPublicKey::from_bytes_many(bytes).map_err(|error| fault(error.to_string()))?.collect()
        };
        let certificates = certificates.map_err(|error| fault(error.to_string()))?;
        if certificates.is_empty() {
            return Err(fault("there is no key in it".into()));
        }
        Ok(Self { certificates: certificates.into_iter().map(Certificate::new).collect() })
    }

    /// Returns the keys of several keyrings as one.
    pub fn join(keyrings: impl IntoIterator<Item = Self>) -> Self {
        Self { certificates: keyrings.into_iter().flat_map(|keyring| keyring.certificates).collect() }
    }

    /// Returns the fingerprints of the primary keys, in their order.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(Certificate::fingerprint).collect()
    }

    /// Takes an `InRelease` file, whose text and signatures are in one, at a moment in seconds since 1970.
    ///
    /// # Errors
    /// When it has another form, text outside of what is signed, or no good signature.
    pub fn verify(&self, file: &str, bytes: &[u8], now: i64) -> Result<Signed, TrustError> {
        let message = Cleartext::read(file, bytes)?;
        let signer = self.good(file, &message.signatures, message.signed.as_bytes(), now)?;
        Ok(Signed { text: message.text(), signer })
    }

    /// Takes a `Release` file with its signatures in a file of their own, binary or armoured.
    ///
    /// # Errors
    /// When the signatures have another form or none is good.
    pub fn verify_detached(&self, file: &str, text: &[u8], signatures: &[u8], now: i64) -> Result<Signed, TrustError> {
        let fault = |reason: String| TrustError::Form { file: file.to_owned(), reason };
        if text.len() > LARGEST || signatures.len() > LARGEST {
            return Err(fault(format!("it is longer than {LARGEST} bytes")));
        }
        let signatures = detached(signatures).map_err(|error| fault(error.to_string()))?;
        let signer = self.good(file, &signatures, text, now)?;
        let text = String::from_utf8(text.to_vec()).map_err(|_| fault("it is not UTF-8".into()))?;
        Ok(Signed { text, signer })
    }

    /// Returns who made the first signature that is good; one has to be.
    fn good(&self, file: &str, signatures: &[Signature], text: &[u8], now: i64) -> Result<String, TrustError> {
        if signatures.is_empty() || signatures.len() > MOST_SIGNATURES {
            let reason = format!("it has {} signatures; expected 1 to {MOST_SIGNATURES}", signatures.len());
            return Err(TrustError::Form { file: file.to_owned(), reason });
        }
        let mut refusals = Vec::new();
        for signature in signatures {
            match self.signer(signature, &|| Ok(Box::new(text)), now) {
                Ok(signer) => return Ok(signer),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        Err(TrustError::Refused { file: file.to_owned(), refusals })
    }

    /// Returns the fingerprint of who made a good signature.
    fn signer(&self, signature: &Signature, text: Text<'_>, now: i64) -> Result<String, Refusal> {
        let mut refusal = Refusal::Unknown { issuer: certificate::issuer(signature) };
        for certificate in &self.certificates {
            match certificate.check(signature, text, now) {
                Ok(()) => return Ok(certificate.fingerprint()),
                // Of a key that is known more can be said.
                Err(Refusal::Unknown { .. }) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }
}

/// Returns the text of an `InRelease` file whoever signed it: for sources that nobody has to vouch for.
///
/// # Errors
/// When it has another form, or text outside of what is signed.
pub fn unverified(file: &str, bytes: &[u8]) -> Result<String, TrustError> {
    Ok(Cleartext::read(file, bytes)?.text())
}

/// Reads detached signatures, binary or armoured.
fn detached(bytes: &[u8]) -> Result<Vec<Signature>, pgp::errors::Error> {
    if bytes.starts_with(b"-----") {
        let (signatures, _) = DetachedSignature::from_armor_many(Cursor::new(bytes))?;
        return signatures.map(|signature| signature.map(|signature| signature.signature)).collect();
    }
    let packets = PacketParser::new(bytes).take(MOST_SIGNATURES + 1);
    let signature = |packet| match packet {
        Ok(Packet::Signature(signature)) => Ok(signature),
        Ok(_) => Err(pgp::errors::Error::from("there is something else than signatures in it".to_owned())),
        Err(error) => Err(error),
    };
    packets.map(signature).collect()
}

/// Returns what is wrong with a signature whoever made it.
fn fault(signature: &Signature, now: i64) -> Option<&'static str> {
    let Some(config) = signature.config() else { return Some("it is of a version that is not known") };
    let created = signature.created().map(|time| i64::from(time.as_secs()));
    let expires = signature.signature_expiration_time().map_or(0, |time| i64::from(time.as_secs()));
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        Some("it is not over a text")
    } else if !is_strong(signature.hash_alg()) {
        Some("its hash is weaker than SHA-256")
    } else if config.hashed_subpackets().any(|subpacket| {
        let unknown = matches!(
            subpacket.data,
            SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(_)
        );
        subpacket.is_critical && unknown
    }) {
        Some("it has a part that must be understood and is not")
    } else if created.is_none_or(|created| created > now + CLOCK_SKEW) {
        Some("it was made in the future, or nobody knows when")
    } else if expires > 0 && created.is_some_and(|created| created + expires <= now) {
        Some("its time is over")
    } else {
        None
    }
}

fn is_strong(hash: Option<HashAlgorithm>) -> bool {
    matches!(
        hash,
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

#[cfg(test)]
mod tests;
