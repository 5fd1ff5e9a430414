//! Ed25519 (RFC 8032), in the forms that keys and certificates have (RFC 8410).
//!
//! It signs bytes, not a digest of them, and container images only: neither systemd nor the kernel takes it for verity.

use ::der::asn1::{BitString, ObjectIdentifier};
use ::der::{Document, SecretDocument};
use ed25519_dalek::{SIGNATURE_LENGTH, Signer as _, SigningKey, VerifyingKey};
use pkcs8::PrivateKeyInfoRef;
use x509_cert::spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding,
};
use zeroize::Zeroizing;

/// The algorithm of keys and signatures (RFC 8410, 3).
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What stands before the 32 bytes of a private key in PKCS#8, and of a public key in a certificate: there is no choice in them.
const PRIVATE: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const PUBLIC: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Reads the key of a PKCS#8 document; nothing when it is none of 32 bytes.
pub(super) fn from_pkcs8(info: &PrivateKeyInfoRef<'_>) -> Option<SigningKey> {
    match info.private_key.as_bytes() {
        // An octet string in the octet string (RFC 8410, 7).
        [4, 32, key @ ..] => Some(SigningKey::from_bytes(key.try_into().ok()?)),
        _ => None,
    }
}

/// Returns a key as PKCS#8.
pub(super) fn to_pkcs8(key: &SigningKey) -> pkcs8::Result<SecretDocument> {
    let bytes = Zeroizing::new([&PRIVATE[..], key.as_bytes()].concat());
    Ok(SecretDocument::try_from(&bytes[..])?)
}

/// Reads the public key of a certificate.
pub(super) fn public(key: &[u8]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(key.try_into().ok()?).ok()
}

/// Tells whether a signature is one of these bytes.
pub(super) fn verifies(key: &VerifyingKey, bytes: &[u8], signature: &[u8]) -> bool {
    let signature: Result<[u8; SIGNATURE_LENGTH], _> = signature.try_into();
    signature.is_ok_and(|signature| key.verify_strict(bytes, &signature.into()).is_ok())
}

/// Signs bytes.
pub(super) fn sign(key: &SigningKey, bytes: &[u8]) -> Vec<u8> {
    key.sign(bytes).to_vec()
}

/// A key in the eyes of those who make certificates.
pub(super) struct Hand<'key>(pub(super) &'key SigningKey);

/// Its public half.
#[derive(Clone)]
pub(super) struct Public(VerifyingKey);

/// A signature of a certificate.
pub(super) struct Signature(Vec<u8>);

impl p256::ecdsa::signature::Signer<Signature> for Hand<'_> {
    fn try_sign(&self, bytes: &[u8]) -> Result<Signature, p256::ecdsa::signature::Error> {
        Ok(Signature(sign(self.0, bytes)))
    }
}

impl p256::ecdsa::signature::Keypair for Hand<'_> {
    type VerifyingKey = Public;

    fn verifying_key(&self) -> Public {
        Public(self.0.verifying_key())
    }
}

impl DynSignatureAlgorithmIdentifier for Hand<'_> {
    fn signature_algorithm_identifier(&self) -> x509_cert::spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned { oid: ED25519, parameters: None })
    }
}

impl EncodePublicKey for Public {
    fn to_public_key_der(&self) -> x509_cert::spki::Result<Document> {
        Ok(Document::try_from(&[&PUBLIC[..], self.0.as_bytes()].concat()[..])?)
    }
}

impl SignatureBitStringEncoding for Signature {
    fn to_bitstring(&self) -> ::der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}
