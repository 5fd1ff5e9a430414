//! Signatures of root hashes, as systemd and the kernel accept them for verity, and of plain bytes.
//!
//! Comes in: a private key and certificate as PEM, or a command that signs; the root hash of an image. Goes out: what stands
//! in a signature partition, and whether such a thing was made with a certificate's key. Always holds: what is signed is the
//! root hash as 64 lower-case hexadecimal digits without a newline; a private key is never shown by `Debug` or in an error,
//! and is overwritten in memory when it is dropped.
//!
//! A signature is a detached PKCS#7 without attributes (RFC 2315), for a signer named by issuer and serial number, with
//! SHA-256. RSA signatures are those of PKCS#1 version 1.5; ECDSA ones take their secret number from the message (RFC 6979).
//! Both are the same in every run. Container images are signed without PKCS#7, and by Ed25519 keys as well.

mod certificate;
mod command;
mod der;
mod ed25519;
mod generate;
mod key;
mod pkcs7;
mod record;
mod signer;

#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use command::run_command;
pub use generate::{Generated, generate};
pub use key::{KeyType, Passphrase, SigningKey};
pub use pkcs7::{Pkcs7, SignerId};
pub use record::SignatureRecord;
pub use signer::Signer;

/// Something that cannot sign, or a signature that is none.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The private key cannot be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The private key is encrypted and there is no passphrase.
    #[error("the private key is encrypted and no passphrase is given")]
    NoPassphrase,
    /// The private key is encrypted with something else.
    #[error("the private key cannot be decrypted: the passphrase is wrong, or the file is damaged")]
    WrongPassphrase,
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The certificate is for another key.
    #[error("the certificate `{subject}` is not for this private key: its public key is another one")]
    OtherKey {
        /// The subject of the certificate.
        subject: String,
    },
    /// The command did not give a signature.
    #[error("the signing command `{command}` {reason}")]
    Command {
        /// The command.
        command: String,
        /// What went wrong.
        reason: String,
    },
    /// A signature that cannot be understood.
    #[error("the signature is malformed: {0}")]
    Malformed(String),
    /// A signature by somebody else.
    #[error("the signature is by {found}, not by the certificate `{subject}`")]
    OtherSigner {
        /// Whom it names.
        found: String,
        /// The subject of the certificate.
        subject: String,
    },
    /// A signature of something else, or by another key.
    #[error("the signature is not one of this root hash by the key of `{subject}`")]
    Invalid {
        /// The subject of the certificate.
        subject: String,
    },
}

type Result<T> = std::result::Result<T, SignatureError>;
