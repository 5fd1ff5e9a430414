//! Private keys.

use std::fmt;

use ::der::SecretDocument;
use ::der::asn1::ObjectIdentifier;
use ::der::pem::LineEnding;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::certificate::PublicKey;
use super::{Result, SignatureError, ed25519};
use crate::digest::Digest;

/// The curves, as parameters of `id-ecPublicKey` name them (RFC 5480).
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Shorter RSA keys than this sign nothing.
const LEAST_RSA_BITS: u32 = 2048;
/// The length of RSA keys that are made.
const RSA_BITS: usize = 4096;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with 4096 bits.
    Rsa,
    /// ECDSA with the curve P-256.
    EcdsaP256,
    /// ECDSA with the curve P-384.
    EcdsaP384,
    /// Ed25519, for container images.
    Ed25519,
}

/// What a private key is encrypted with. It is never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// A private key that signs images. It is never shown.
#[derive(Clone)]
pub struct SigningKey(pub(super) Secret);

#[derive(Clone)]
pub(super) enum Secret {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl Passphrase {
    /// Takes a passphrase.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Takes the first line of a text, as openssl(1) does with `-passin file:`.
    pub fn first_line(text: &Zeroizing<String>) -> Self {
        Self(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase(…)")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({:?}, …)", self.key_type())
    }
}

impl SigningKey {
    /// Reads the first private key of a PEM text: PKCS#8, encrypted (PBES2) or not, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// When there is none, it is of another kind than RSA, P-256, P-384 and Ed25519, an RSA key is shorter than 2048 bits, or the
    /// passphrase is missing or wrong.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self> {
        let (label, block) = private_block(text)?;
        if block.contains("Proc-Type:") {
            return Err(wrong(
                "it is encrypted in the old format; convert it with `openssl pkcs8 -topk8 -in KEY -out NEW`",
            ));
        }
        let (_, document) = SecretDocument::from_pem(block).map_err(|error| wrong(&error.to_string()))?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(document.as_bytes()),
            "RSA PRIVATE KEY" => Self::from_rsa(RsaPrivateKey::from_pkcs1_der(document.as_bytes()).ok()),
            "EC PRIVATE KEY" => Self::from_sec1(document.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => {
                let passphrase = passphrase.ok_or(SignatureError::NoPassphrase)?;
                let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
                let encrypted = encrypted.map_err(|_| wrong("how it is encrypted is not known; expected PBES2"))?;
                let plain = encrypted.decrypt(passphrase.0.as_bytes()).map_err(|_| SignatureError::WrongPassphrase)?;
                // Rubbish is what a wrong passphrase gives when the padding happens to fit.
                if PrivateKeyInfoRef::try_from(plain.as_bytes()).is_err() {
                    return Err(SignatureError::WrongPassphrase);
                }
                Self::from_pkcs8(plain.as_bytes())
            }
            other => Err(wrong(&format!("`{other}` is of another kind than RSA, P-256, P-384 and Ed25519"))),
        }
    }

    /// Makes a new key from the randomness of the system.
    ///
    /// # Errors
    /// When the system has none.
    pub fn generate(key_type: KeyType) -> Result<Self> {
        use p256::elliptic_curve::Generate as _;
        let none = |_| wrong("the system gives no random numbers");
        Ok(Self(match key_type {
            KeyType::Rsa => {
                // Asked first, so that a system without random numbers gives an error.
                getrandom::u32().map_err(none)?;
                let mut random = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
                let key = RsaPrivateKey::new(&mut random, RSA_BITS).map_err(|error| wrong(&error.to_string()))?;
                Secret::Rsa(Box::new(key))
            }
            KeyType::EcdsaP256 => Secret::P256(p256::ecdsa::SigningKey::try_generate().map_err(none)?),
            KeyType::EcdsaP384 => Secret::P384(p384::ecdsa::SigningKey::try_generate().map_err(none)?),
            KeyType::Ed25519 => {
                let mut bytes = Zeroizing::new([0; 32]);
                getrandom::fill(&mut bytes[..]).map_err(none)?;
                Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&bytes))
            }
        }))
    }

    /// Returns its kind.
    pub fn key_type(&self) -> KeyType {
        match &self.0 {
            Secret::Rsa(_) => KeyType::Rsa,
            Secret::P256(_) => KeyType::EcdsaP256,
            Secret::P384(_) => KeyType::EcdsaP384,
            Secret::Ed25519(_) => KeyType::Ed25519,
        }
    }

    /// Returns the key as PKCS#8 PEM, encrypted when there is a passphrase.
    ///
    /// # Errors
    /// When the system has no random numbers to encrypt with.
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>> {
        let document = match &self.0 {
            Secret::Rsa(key) => key.to_pkcs8_der(),
            Secret::P256(key) => key.to_pkcs8_der(),
            Secret::P384(key) => key.to_pkcs8_der(),
            Secret::Ed25519(key) => ed25519::to_pkcs8(key),
        };
        let failed = |error: pkcs8::Error| wrong(&error.to_string());
        let document = document.map_err(failed)?;
        let text = match passphrase {
            None => document.to_pem("PRIVATE KEY", LineEnding::LF),
            Some(passphrase) => {
                let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(failed)?;
                let encrypted = info.encrypt(passphrase.0.as_bytes()).map_err(failed)?;
                encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
            }
        };
        text.map_err(|error| wrong(&error.to_string()))
    }

    /// Signs bytes, by their SHA-256 or as they are.
    pub(super) fn sign_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        match &self.0 {
            Secret::Ed25519(key) => Ok(ed25519::sign(key, bytes)),
            _ => self.sign(Digest::of(bytes).as_bytes()),
        }
    }

    /// Signs a SHA-256 digest.
    pub(super) fn sign(&self, hashed: &[u8; 32]) -> Result<Vec<u8>> {
        let failed = |_| wrong("signing failed");
        match &self.0 {
            Secret::Rsa(key) => {
                let key = rsa::pkcs1v15::SigningKey::<Sha256>::new((**key).clone());
                let signature: rsa::pkcs1v15::Signature = key.sign_prehash(hashed).map_err(failed)?;
                Ok(Box::<[u8]>::from(signature).into_vec())
            }
            Secret::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign_prehash(hashed).map_err(failed)?;
                Ok(signature.as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::DerSignature = key.sign_prehash(hashed).map_err(failed)?;
                Ok(signature.as_bytes().to_vec())
            }
            Secret::Ed25519(_) => Err(wrong(
                "it is Ed25519, which signs container images only: systemd and the kernel take RSA, or ECDSA with P-256 or P-384",
            )),
        }
    }

    pub(super) fn public(&self) -> PublicKey {
        match &self.0 {
            Secret::Rsa(key) => PublicKey::Rsa(key.to_public_key()),
            Secret::P256(key) => PublicKey::P256(*key.verifying_key()),
            Secret::P384(key) => PublicKey::P384(*key.verifying_key()),
            Secret::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| wrong("it is no PKCS#8"))?;
        if info.algorithm.oid == rsa::pkcs1::ALGORITHM_OID {
            return Self::from_rsa(RsaPrivateKey::from_pkcs8_der(der).ok());
        }
        if info.algorithm.oid == ed25519::ED25519 {
            let key = ed25519::from_pkcs8(&info).map(|key| Self(Secret::Ed25519(key)));
            return key.ok_or_else(|| wrong("it is not 32 bytes long, as Ed25519 is"));
        }
        let key = match info.algorithm.parameters_oid() {
            Ok(P256) => p256::ecdsa::SigningKey::from_pkcs8_der(der).ok().map(Secret::P256),
            Ok(P384) => p384::ecdsa::SigningKey::from_pkcs8_der(der).ok().map(Secret::P384),
            _ => {
                return Err(wrong(
                    "it is neither RSA, ECDSA with P-256 or P-384, nor Ed25519; use a key of one of these kinds",
                ));
            }
        };
        key.map(Self).ok_or_else(|| wrong("its numbers do not belong together"))
    }

    fn from_rsa(key: Option<RsaPrivateKey>) -> Result<Self> {
        let key = key.ok_or_else(|| wrong("its numbers do not belong together, or it is too long"))?;
        let bits = key.n().bits();
        if bits < LEAST_RSA_BITS {
            return Err(wrong(&format!("it is RSA with {bits} bits; use {LEAST_RSA_BITS} or more")));
        }
        Ok(Self(Secret::Rsa(Box::new(key))))
    }

    fn from_sec1(der: &[u8]) -> Result<Self> {
        let small = p256::SecretKey::from_sec1_der(der).ok().map(|key| Secret::P256(key.into()));
        let key = small.or_else(|| p384::SecretKey::from_sec1_der(der).ok().map(|key| Secret::P384(key.into())));
        key.map(Self).ok_or_else(|| wrong("its curve is neither P-256 nor P-384; use a key with one of these"))
    }
}

/// Returns the label and the text of the first block that holds a private key.
fn private_block(text: &str) -> Result<(&str, &str)> {
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let block = &rest[start..];
        let label = block[11..].split("-----").next().unwrap_or_default();
        let end = format!("-----END {label}-----");
        let Some(length) = block.find(&end).map(|place| place + end.len()) else { break };
        if label.ends_with("PRIVATE KEY") {
            return Ok((label, &block[..length]));
        }
        rest = &block[length..];
    }
    Err(wrong("there is no `-----BEGIN PRIVATE KEY-----` in it; expected PEM"))
}

fn wrong(reason: &str) -> SignatureError {
    SignatureError::Key(reason.to_owned())
}
