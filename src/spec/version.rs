//! Versions of the kernel and of systemd that images are made for, and names of units.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A version of Linux, as far as features are concerned: `6.12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
}

impl KernelVersion {
    /// Returns the version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for KernelVersion {
    type Err = String;

    /// Takes `6.12`, and `6.12.3` or `6.12-rc1` for the same.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is no version of Linux: expected two numbers, such as `\"6.12\"`");
        let mut numbers = text.splitn(3, ['.', '-']);
        let mut number = || numbers.next().and_then(|number| number.parse().ok()).ok_or_else(invalid);
        Ok(Self { major: number()?, minor: number()? })
    }
}

impl Serialize for KernelVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KernelVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for KernelVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "KernelVersion".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]+\.[0-9]+([.-].*)?$" })
    }
}

/// A version of systemd: `252`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SystemdVersion(pub u16);

impl SystemdVersion {
    /// The oldest version that images are made for: the first that knows `ARCHITECTURE` and `ID=_any`.
    pub const OLDEST: Self = Self(252);

    /// Tells whether it has what came with `version`.
    pub fn has(self, version: u16) -> bool {
        self.0 >= version
    }
}

impl fmt::Display for SystemdVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for SystemdVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().map_err(|_| format!("`{text}` is no version of systemd: expected a number"))?;
        Ok(Self(number))
    }
}

impl<'de> Deserialize<'de> for SystemdVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer)?.to_string().parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for SystemdVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SystemdVersion".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_compare_by_number() {
        let version = |text: &str| text.parse::<KernelVersion>().unwrap();
        assert!(version("6.9") < version("6.12"));
        assert_eq!(version("6.12.48-cloud"), KernelVersion::new(6, 12));
        for wrong in ["6", "", "six.one", "6.", "-6.1"] {
            assert!(wrong.parse::<KernelVersion>().is_err(), "{wrong}");
        }
    }
}
