//! What an index knows a package by: the SHA-1 of its control part, as it is stored.

use std::fmt;

use base64ct::{Base64, Encoding as _};

use crate::fs;
use crate::packages::model::{PackageId, Pool};

/// The SHA-1 of the control part of a package.
///
/// Alpine has no stronger one. It is what ties a package to its signed index; from then on packages are known by the SHA-256 of
/// their whole file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 20]);

impl Identity {
    /// Returns the identity with these bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Reads `Q1` and base64, as indexes and databases write it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text.strip_prefix(b"Q1")?).ok()?;
        let mut bytes = [0; 20];
        let read = Base64::decode(text, &mut bytes).ok()?;
        (read.len() == 20).then_some(Self(bytes))
    }

    /// Returns that of a package of a pool; nothing when the pool is of another family.
    ///
    /// # Errors
    /// When the file cannot be read that the pool is kept in.
    pub fn of(pool: &Pool, id: PackageId) -> fs::Result<Option<Self>> {
        Ok(pool.stored(pool.package(id).digest)?.try_into().ok().map(Self))
    }

    /// Returns its hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Q1{}", Base64::encode_string(&self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_as_they_are_written() {
        let identity = Identity::from_bytes(std::array::from_fn(|place| place as u8));
        assert_eq!(identity.to_string(), "Q1AAECAwQFBgcICQoLDA0ODxAREhM=");
        assert_eq!(Identity::parse(identity.to_string().as_bytes()), Some(identity));
        assert_eq!(identity.hex(), "000102030405060708090a0b0c0d0e0f10111213");
        for text in [
            "",
            "Q1",
            "Q2AAECAwQFBgcICQoLDA0ODxAREhM=",
            "Q1AAEC",
            "Q1AAECAwQFBgcICQoLDA0ODxAREhMU",
            "Q1!AECAwQFBgcICQoLDA0ODxAREhM=",
        ] {
            assert_eq!(Identity::parse(text.as_bytes()), None, "{text}");
        }
    }
}
