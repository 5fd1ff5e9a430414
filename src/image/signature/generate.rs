//! New keys, with certificates that vouch for themselves.

use std::time::{Duration, SystemTime};

use ::der::Encode as _;
use p256::ecdsa::signature::{Keypair, Signer};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding, SubjectPublicKeyInfo,
    SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};

use super::key::Secret;
use super::{Certificate, KeyType, Result, SignatureError, SigningKey, ed25519};

/// How long a certificate is valid: ten years. Neither systemd nor the kernel asks; tools of people do.
const VALID: Duration = Duration::from_secs(3652 * 24 * 3600);

/// A new key and its certificate.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The private key.
    pub key: SigningKey,
    /// The certificate.
    pub certificate: Certificate,
}

/// Makes a key and a certificate of it for the common name `subject`, valid for ten years from `now` on.
///
/// # Errors
/// When the name is empty or longer than 64 characters, or the system has no random numbers.
pub fn generate(key_type: KeyType, subject: &str, now: SystemTime) -> Result<Generated> {
    let name = common_name(subject)?;
    let key = SigningKey::generate(key_type)?;
    let der = match &key.0 {
        Secret::Rsa(key) => {
            let signer = rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new((**key).clone());
            build::<_, rsa::pkcs1v15::Signature>(&signer, name, now)
        }
        Secret::P256(key) => build::<_, p256::ecdsa::DerSignature>(key, name, now),
        Secret::P384(key) => build::<_, p384::ecdsa::DerSignature>(key, name, now),
        Secret::Ed25519(key) => build::<_, ed25519::Signature>(&ed25519::Hand(key), name, now),
    };
    let certificate = Certificate::from_der(&der.map_err(|reason| SignatureError::Certificate(reason.to_string()))?)?;
    Ok(Generated { key, certificate })
}

/// Returns the name that has only a common name (X.520 allows 64 characters).
fn common_name(subject: &str) -> Result<Name> {
    let wrong = |reason: &str| SignatureError::Certificate(format!("the subject `{subject}` {reason}"));
    if subject.is_empty() || subject.chars().count() > 64 || subject.chars().any(char::is_control) {
        return Err(wrong("is not 1 to 64 characters"));
    }
    // RFC 4514, 2.4.
    let mut text = String::from("CN=");
    for (place, character) in subject.char_indices() {
        let edge = place == 0 || place + 1 == subject.len();
        if ",+\"\\<>;=".contains(character) || (edge && " #".contains(character)) {
            text.push('\\');
        }
        text.push(character);
    }
    text.parse().map_err(|_| wrong("cannot be the name of a certificate"))
}

fn build<K, S>(key: &K, name: Name, now: SystemTime) -> std::result::Result<Vec<u8>, x509_cert::builder::Error>
where
    K: Signer<S> + Keypair + DynSignatureAlgorithmIdentifier,
    K::VerifyingKey: EncodePublicKey,
    S: SignatureBitStringEncoding,
{
    let public = key.verifying_key().to_public_key_der()?;
    let public = SubjectPublicKeyInfo::try_from(public.as_bytes())?;
    let validity = Validity::new(Time::try_from(now)?, Time::try_from(now + VALID)?);
    let serial = SerialNumber::generate(&mut getrandom::rand_core::UnwrapErr(getrandom::SysRng));
    let builder = CertificateBuilder::new(Own(name), serial, validity, public)?;
    Ok(builder.build::<_, S>(key)?.to_der()?)
}

/// A certificate that is its own issuer and signs data, but no other certificate.
struct Own(Name);

impl BuilderProfile for Own {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        public: SubjectPublicKeyInfoRef<'_>,
        _issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let name = tbs.subject();
        let usage = KeyUsage(KeyUsages::DigitalSignature.into());
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        Ok(vec![
            (&constraints).to_extension(name, &[])?,
            (&usage).to_extension(name, &[])?,
            (&SubjectKeyIdentifier::try_from(public)?).to_extension(name, &[])?,
        ])
    }
}
