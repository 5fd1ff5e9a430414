//! Certificates (RFC 5280): who signs, and with which public key.

use std::fmt;

use ::der::asn1::AnyRef;
use ::der::{Decode as _, Encode as _};
use rsa::pkcs8::SubjectPublicKeyInfoRef;
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Sha256, Sha384, Sha512};
use x509_cert::certificate::CertificateInner;

use super::der::{INTEGER, SEQUENCE, elements, inside, tag_of};
use super::{Result, SignatureError, ed25519};
use crate::digest::Digest;

/// The digest that a signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A certificate and its public key.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key: PublicKey,
}

/// A public key of a kind that signs images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Certificate {
    /// Reads the first certificate of a PEM text: one who signs stands before those who vouch for him.
    ///
    /// # Errors
    /// When there is none or its public key is of another kind than RSA, P-256, P-384 and Ed25519.
    pub fn from_pem(text: &str) -> Result<Self> {
        let wrong = |reason: String| SignatureError::Certificate(reason);
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
        let block = text.find(begin).and_then(|start| {
            let length = text[start..].find(end)? + end.len();
            Some(&text[start..start + length])
        });
        let block = block.ok_or_else(|| wrong(format!("there is no `{begin}` in it; expected PEM")))?;
        let (_, der) = ::der::pem::decode_vec(block.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        Self::from_der(&der)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none or its public key is of another kind than RSA, P-256, P-384 and Ed25519.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let wrong = |reason: String| SignatureError::Certificate(reason);
        let parsed: CertificateInner = CertificateInner::from_der(der).map_err(|error| wrong(error.to_string()))?;
        let tbs = parsed.tbs_certificate();
        let key = tbs.subject_public_key_info().to_der().map_err(|error| wrong(error.to_string()))?;
        let (issuer, serial) = identity(der)?;
        let subject = tbs.subject().to_string();
        Ok(Self { der: der.to_vec(), subject, issuer, serial, key: PublicKey::from_der(&key)? })
    }

    /// Returns the certificate as PEM.
    pub fn to_pem(&self) -> String {
        ::der::pem::encode_string("CERTIFICATE", ::der::pem::LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// Returns its bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns its digest, which names it in signature partitions.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Returns the name of its owner (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Tells whether `signature` is one of these bytes as [`Signer::sign_bytes`](super::Signer::sign_bytes) makes it.
    pub fn verifies_bytes(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::Ed25519(key) => ed25519::verifies(key, bytes, signature),
            key => key.verifies(Hash::Sha256, Digest::of(bytes).as_bytes(), signature),
        }
    }

    /// Returns the issuer and the serial number as DER elements.
    pub(super) fn identity(&self) -> (&[u8], &[u8]) {
        (&self.issuer, &self.serial)
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Certificate({:?}, {})", self.subject, self.fingerprint())
    }
}

/// Returns issuer and serial number as they stand in a certificate: what is encoded again may differ.
fn identity(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let incomplete = || SignatureError::Certificate("it is incomplete".into());
    let whole = *elements(der)?.first().ok_or_else(incomplete)?;
    let signed = *inside(whole, SEQUENCE)?.first().ok_or_else(incomplete)?;
    let fields = inside(signed, SEQUENCE)?;
    // The version may be left out.
    let mut fields = fields.into_iter().skip_while(|field| tag_of(*field) != INTEGER);
    let bytes = |field: AnyRef<'_>| field.to_der().map_err(|error| SignatureError::Certificate(error.to_string()));
    let serial = bytes(fields.next().ok_or_else(incomplete)?)?;
    let issuer = bytes(fields.nth(1).ok_or_else(incomplete)?)?;
    Ok((issuer, serial))
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    fn from_der(der: &[u8]) -> Result<Self> {
        let wrong = |error: &dyn fmt::Display| SignatureError::Certificate(format!("its public key: {error}"));
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| wrong(&error))?;
        let read = |key: std::result::Result<Self, rsa::pkcs8::spki::Error>| key.map_err(|error| wrong(&error));
        let curve = info.algorithm.parameters_oid().ok();
        if info.algorithm.oid == rsa::pkcs1::ALGORITHM_OID {
            return read(RsaPublicKey::try_from(info).map(Self::Rsa));
        }
        if info.algorithm.oid == ed25519::ED25519 {
            let key = info.subject_public_key.as_bytes().and_then(ed25519::public).map(Self::Ed25519);
            return key.ok_or_else(|| wrong(&"it is no point of Ed25519"));
        }
        match curve {
            Some(curve) if curve == super::key::P256 => read(p256::ecdsa::VerifyingKey::try_from(info).map(Self::P256)),
            Some(curve) if curve == super::key::P384 => read(p384::ecdsa::VerifyingKey::try_from(info).map(Self::P384)),
            _ => Err(SignatureError::Certificate(
                "its public key is neither RSA, ECDSA with P-256 or P-384, nor Ed25519; use a key of one of these kinds".into(),
            )),
        }
    }

    /// Tells whether `signature` was made over the digest `hashed` by this key's owner.
    pub(super) fn verifies(&self, hash: Hash, hashed: &[u8], signature: &[u8]) -> bool {
        use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
        match self {
            Self::Rsa(key) => {
                let scheme = match hash {
                    Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                    Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                    Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
                };
                key.size() <= 1024 && key.verify(scheme, hashed, signature).is_ok()
            }
            Self::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(hashed, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(hashed, &signature).is_ok()),
            // It signs no digests.
            Self::Ed25519(_) => false,
        }
    }
}
