//! What stands in a signature partition: JSON, and zero bytes behind it (UAPI.2).

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::{Certificate, Pkcs7, Result, SignatureError};
use crate::digest::Digest;

/// A signature of a root hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureRecord {
    /// The root hash that is said to be signed.
    pub root_hash: Digest,
    /// The digest of the certificate that signed, when it is said.
    pub fingerprint: Option<Digest>,
    /// The PKCS#7 signature.
    pub signature: Vec<u8>,
}

/// The keys and their order are those of systemd.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    root_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_fingerprint: Option<String>,
    signature: String,
}

impl SignatureRecord {
    /// Reads a signature partition.
    ///
    /// # Errors
    /// When it does not hold the JSON of a signature with nothing but zero bytes behind it.
    pub fn parse(partition: &[u8]) -> Result<Self> {
        let malformed = |reason: &str| SignatureError::Malformed(reason.to_owned());
        let end = partition.iter().position(|byte| *byte == 0).unwrap_or(partition.len());
        let (text, rest) = partition.split_at(end);
        if text.is_empty() {
            return Err(malformed("the partition is empty"));
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(malformed("something stands behind the JSON, where systemd expects zero bytes"));
        }
        let written: Written = serde_json::from_slice(text)
            .map_err(|error| malformed(&format!("the partition holds no JSON of a signature: {error}")))?;
        let digest = |what: &str, hex: &str| {
            let digest = format!("sha256:{}", hex.to_ascii_lowercase()).parse();
            digest.map_err(|_| malformed(&format!("`{what}` is not 64 hexadecimal digits")))
        };
        let fingerprint = written.certificate_fingerprint.as_deref();
        Ok(Self {
            root_hash: digest("rootHash", &written.root_hash)?,
            fingerprint: fingerprint.map(|hex| digest("certificateFingerprint", hex)).transpose()?,
            signature: Base64::decode_vec(&written.signature).map_err(|_| malformed("`signature` is no base64"))?,
        })
    }

    /// Returns the JSON, as systemd-repart writes it.
    pub fn to_json(&self) -> String {
        let written = Written {
            root_hash: self.root_hash.hex(),
            certificate_fingerprint: self.fingerprint.map(|digest| digest.hex()),
            signature: Base64::encode_string(&self.signature),
        };
        // Texts only: this cannot fail.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Checks that the signature is of `root` by the key of `certificate`.
    ///
    /// # Errors
    /// When it is malformed, of something else or by somebody else.
    pub fn verify(&self, root: &Digest, certificate: &Certificate) -> Result<()> {
        if self.root_hash != *root {
            return Err(SignatureError::Malformed(format!(
                "it speaks of the root hash {}, the image has {}",
                self.root_hash.hex(),
                root.hex()
            )));
        }
        Pkcs7::from_der(&self.signature)?.verify(root.hex().as_bytes(), certificate)
    }
}
