//! Detached signatures: PKCS#7 `SignedData` (RFC 2315, RFC 5652) with what systemd and the kernel look at.

use ::der::Encode as _;
use ::der::asn1::{AnyRef, ObjectIdentifier};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::certificate::{Certificate, Hash};
use super::der::{
    CONTEXT_0, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, element, elements, inside, tag_of,
};
use super::key::{KeyType, SigningKey};
use super::{Result, SignatureError};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const HASHES: [(Hash, ObjectIdentifier); 3] = [
    (Hash::Sha256, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1")),
    (Hash::Sha384, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2")),
    (Hash::Sha512, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3")),
];

/// A signature that was read.
#[derive(Debug, Clone)]
pub struct Pkcs7 {
    /// Who is said to have signed.
    pub signers: Vec<SignerId>,
    /// Certificates that lie in it. They say nothing about whom to trust.
    pub certificates: Vec<Certificate>,
    /// Whether the signed text lies in it, too.
    pub attached: bool,
    signatures: Vec<SignerInfo>,
}

/// How a signature names who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerId {
    /// By the issuer and the serial number of the certificate, DER elements.
    IssuerAndSerial {
        /// The issuer.
        issuer: Vec<u8>,
        /// The serial number.
        serial: Vec<u8>,
    },
    /// By the identifier of the key: systemd refuses this.
    KeyIdentifier(Vec<u8>),
}

#[derive(Debug, Clone)]
struct SignerInfo {
    hash: Option<Hash>,
    /// The attributes that are signed instead of the text, as a set.
    attributes: Option<Vec<u8>>,
    signature: Vec<u8>,
}

/// Signs `text`: byte for byte what OpenSSL's `PKCS7_sign` gives with `DETACHED`, `NOATTR` and `BINARY`.
pub(super) fn sign(text: &[u8], key: &SigningKey, certificate: &Certificate) -> Result<Vec<u8>> {
    let signature = key.sign(&Sha256::digest(text).into())?;
    let hash = algorithm(HASHES[0].1, NULL);
    let kind = match key.key_type() {
        KeyType::Rsa => algorithm(RSA, NULL),
        // Whose signature there is none of here.
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::Ed25519 => algorithm(ECDSA_SHA256, &[]),
    };
    let (issuer, serial) = certificate.identity();
    let version = element(INTEGER, &[&[1]]);
    let signer = element(
        SEQUENCE,
        &[&version, &element(SEQUENCE, &[issuer, serial]), &hash, &kind, &element(OCTET_STRING, &[&signature])],
    );
    let signed = element(
        SEQUENCE,
        &[
            &version,
            &element(SET, &[&hash]),
            &element(SEQUENCE, &[&identifier(DATA)]),
            &element(CONTEXT_0, &[certificate.der()]),
            &element(SET, &[&signer]),
        ],
    );
    Ok(element(SEQUENCE, &[&identifier(SIGNED_DATA), &element(CONTEXT_0, &[&signed])]))
}

fn identifier(oid: ObjectIdentifier) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

fn algorithm(oid: ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&identifier(oid), parameters])
}

impl Pkcs7 {
    /// Reads a signature.
    ///
    /// # Errors
    /// When it is no DER or no `SignedData`.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let whole = elements(der)?;
        let [whole] = whole[..] else { return Err(malformed("something follows it, or it is empty")) };
        let content = inside(whole, SEQUENCE)?;
        let [kind, content] = content[..] else { return Err(malformed("it is no ContentInfo")) };
        if !is(kind, SIGNED_DATA) {
            return Err(malformed("it is no SignedData"));
        }
        let content = inside(content, CONTEXT_0)?;
        let [signed] = content[..] else { return Err(malformed("it has no content")) };
        let fields = inside(signed, SEQUENCE)?;
        let [_version, _hashes, content, rest @ ..] = &fields[..] else {
            return Err(malformed("its SignedData is incomplete"));
        };
        let mut parsed = Self {
            signers: Vec::new(),
            certificates: Vec::new(),
            attached: inside(*content, SEQUENCE)?.len() > 1,
            signatures: Vec::new(),
        };
        for field in rest {
            match tag_of(*field) {
                CONTEXT_0 => {
                    let certificates = elements(field.value())?.into_iter().filter_map(|element| element.to_der().ok());
                    // One that is not understood is of no use, and does no harm: it is never what is trusted.
                    parsed.certificates = certificates.filter_map(|der| Certificate::from_der(&der).ok()).collect();
                }
                SET => {
                    for signer in elements(field.value())? {
                        let (id, info) = signer_info(signer)?;
                        parsed.signers.push(id);
                        parsed.signatures.push(info);
                    }
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// Checks that one of the signatures is of `text` by the key of `certificate`. Whether the certificate is to be
    /// trusted, and its dates, are not looked at: systemd and the kernel do not either.
    ///
    /// # Errors
    /// When none names the certificate by issuer and serial number, or the one that does is wrong.
    pub fn verify(&self, text: &[u8], certificate: &Certificate) -> Result<()> {
        let (issuer, serial) = certificate.identity();
        let own = SignerId::IssuerAndSerial { issuer: issuer.to_vec(), serial: serial.to_vec() };
        let mut candidates = self.signers.iter().zip(&self.signatures).filter(|(id, _)| **id == own).peekable();
        let subject = || certificate.subject().to_owned();
        if candidates.peek().is_none() {
            return Err(SignatureError::OtherSigner { found: self.found(), subject: subject() });
        }
        match candidates.any(|(_, info)| info.verifies(text, certificate)) {
            true => Ok(()),
            false => Err(SignatureError::Invalid { subject: subject() }),
        }
    }

    /// Returns whom the signature names, for people.
    fn found(&self) -> String {
        match self.signers.first() {
            None => "nobody".into(),
            Some(SignerId::KeyIdentifier(_)) => {
                "a key identifier, which systemd refuses: sign with issuer and serial number".into()
            }
            Some(id) => {
                let known = self.certificates.iter().find(|certificate| {
                    let (issuer, serial) = certificate.identity();
                    *id == SignerId::IssuerAndSerial { issuer: issuer.to_vec(), serial: serial.to_vec() }
                });
                known.map_or_else(|| "another certificate".into(), |known| format!("`{}`", known.subject()))
            }
        }
    }
}

impl SignerInfo {
    fn verifies(&self, text: &[u8], certificate: &Certificate) -> bool {
        let Some(hash) = self.hash else { return false };
        let signed = match &self.attributes {
            None => text,
            // The attributes are signed, and one of them is the digest of the text (RFC 5652, 5.4).
            Some(attributes) if message_digest(attributes).is_some_and(|found| found == digest(hash, text)) => {
                attributes
            }
            Some(_) => return false,
        };
        certificate.key().verifies(hash, &digest(hash, signed), &self.signature)
    }
}

fn signer_info(signer: AnyRef<'_>) -> Result<(SignerId, SignerInfo)> {
    let fields = inside(signer, SEQUENCE)?;
    let [_version, id, hash, rest @ ..] = &fields[..] else { return Err(malformed("a SignerInfo is incomplete")) };
    let id = match tag_of(*id) {
        SEQUENCE => match inside(*id, SEQUENCE)?[..] {
            [issuer, serial] => SignerId::IssuerAndSerial { issuer: bytes(issuer)?, serial: bytes(serial)? },
            _ => return Err(malformed("a signer is named by something else than issuer and serial number")),
        },
        _ => SignerId::KeyIdentifier(id.value().to_vec()),
    };
    let (attributes, rest) = match rest {
        [attributes, rest @ ..] if tag_of(*attributes) == CONTEXT_0 => {
            (Some(element(SET, &[attributes.value()])), rest)
        }
        _ => (None, rest),
    };
    let [_algorithm, signature, ..] = rest else { return Err(malformed("a SignerInfo has no signature")) };
    let name = inside(*hash, SEQUENCE)?.first().copied();
    let hash = HASHES.iter().find(|(_, oid)| name.is_some_and(|name| is(name, *oid))).map(|(hash, _)| *hash);
    Ok((id, SignerInfo { hash, attributes, signature: signature.value().to_vec() }))
}

/// Returns the digest that signed attributes hold.
fn message_digest(attributes: &[u8]) -> Option<Vec<u8>> {
    let set = *elements(attributes).ok()?.first()?;
    for attribute in inside(set, SET).ok()? {
        if let [name, values] = inside(attribute, SEQUENCE).ok()?[..]
            && is(name, MESSAGE_DIGEST)
        {
            return inside(values, SET).ok()?.first().map(|value| value.value().to_vec());
        }
    }
    None
}

fn digest(hash: Hash, bytes: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        Hash::Sha384 => Sha384::digest(bytes).to_vec(),
        Hash::Sha512 => Sha512::digest(bytes).to_vec(),
    }
}

fn is(element: AnyRef<'_>, oid: ObjectIdentifier) -> bool {
    tag_of(element) == OBJECT_IDENTIFIER && element.value() == oid.as_bytes()
}

fn bytes(element: AnyRef<'_>) -> Result<Vec<u8>> {
    element.to_der().map_err(|error| malformed(&error.to_string()))
}

fn malformed(reason: &str) -> SignatureError {
    SignatureError::Malformed(reason.to_owned())
}
