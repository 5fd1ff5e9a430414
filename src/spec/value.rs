//! Validated values: what may stand in a document is decided here, once.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A value that is written in a document and rejected there when it is malformed: a string type with a rule.
macro_rules! validated_string {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                let valid: fn(&str) -> bool = $valid;
                match valid(text) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(InvalidValue { text: text.into(), rule: $rule, mend: mend(text, valid) }),
                }
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

/// A text that is not allowed where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not allowed here: expected {rule}{}", mend.as_ref().map_or_else(String::new, |mend| format!("; did you mean `{mend}`?")))]
pub struct InvalidValue {
    /// The text as it was written.
    pub text: String,
    /// What is expected.
    pub rule: &'static str,
    /// The allowed text that is nearest to it.
    pub mend: Option<String>,
}

/// Returns `text` with other separators, and in lower case if need be, when that makes it valid.
fn mend(text: &str, valid: fn(&str) -> bool) -> Option<String> {
    let candidates = ['-', '_'].into_iter().flat_map(|separator| {
        let separated =
            text.trim().replace(|character: char| !character.is_alphanumeric(), separator.encode_utf8(&mut [0; 4]));
        let lower = separated.to_lowercase();
        [separated, lower]
    });
    candidates.into_iter().find(|candidate| valid(candidate))
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 63
        && (bytes[0].is_ascii_lowercase() || bytes[0].is_ascii_digit())
        && bytes.iter().all(|&byte| inner(byte))
}

fn is_identifier(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 63
        && (bytes[0].is_ascii_lowercase() || bytes[0] == b'_')
        && bytes.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_environment_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && !bytes[0].is_ascii_digit()
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_unit_name(text: &str) -> bool {
    let Some((stem, ending)) = text.rsplit_once('.') else { return false };
    let endings = ["service", "socket", "target", "timer", "path", "mount", "slice"];
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":_.@\\-".contains(&byte);
    !stem.is_empty() && text.len() <= 255 && endings.contains(&ending) && stem.bytes().all(allowed)
}

validated_string!(
    /// The name of a profile, layer, distro, process, job or output, and of a user or group.
    Name,
    "^[a-z0-9][a-z0-9._-]{0,62}$",
    "a name of at most 63 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
    is_name
);
validated_string!(
    /// A name that templates can use without brackets: of a variable, secret or writable path.
    Identifier,
    "^[a-z_][a-z0-9_]{0,62}$",
    "a name of at most 63 lower-case letters, digits and `_`, beginning with a letter",
    is_identifier
);
validated_string!(
    /// The name of an environment variable.
    EnvironmentName,
    "^[A-Za-z_][A-Za-z0-9_]*$",
    "a name of letters, digits and `_`, not beginning with a digit",
    is_environment_name
);
validated_string!(
    /// The name of a systemd unit, with its ending.
    UnitName,
    r"^[A-Za-z0-9:_.@\\-]+\.(service|socket|target|timer|path|mount|slice)$",
    "the name of a unit with its ending, such as `nginx.service`",
    is_unit_name
);

validated_string!(
    /// The name of a rule of `layerforge lint`.
    RuleId,
    "^(SX(0[1-9]|1[0-9]|2[0-6])|FS0[1-4]|DD(0[1-9]|10)|PS(0[1-9]|1[01])|UN0[1-3]|UP0[1-3]|OC0[12]|HY0[1-7])$",
    "a rule that `layerforge lint --list` prints, such as `SX21`",
    |text| RULE_IDS.contains(&text)
);

/// Every rule of `layerforge lint`, in the order of its table.
pub const RULE_IDS: [&str; 66] = [
    "SX01", "SX02", "SX03", "SX04", "SX05", "SX06", "SX07", "SX08", "SX09", "SX10", "SX11", "SX12", "SX13", "SX14",
    "SX15", "SX16", "SX17", "SX18", "SX19", "SX20", "SX21", "SX22", "SX23", "SX24", "SX25", "SX26", "FS01", "FS02",
    "FS03", "FS04", "DD01", "DD02", "DD03", "DD04", "DD05", "DD06", "DD07", "DD08", "DD09", "DD10", "PS01", "PS02",
    "PS03", "PS04", "PS05", "PS06", "PS07", "PS08", "PS09", "PS10", "PS11", "UN01", "UN02", "UN03", "UP01", "UP02",
    "UP03", "OC01", "OC02", "HY01", "HY02", "HY03", "HY04", "HY05", "HY06", "HY07",
];

/// Permission bits, written as octal digits in quotes: `"0644"`, `"4755"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(pub u16);

impl FromStr for Mode {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u16::from_str_radix(text, 8) {
            Ok(bits) if digits => Ok(Self(bits)),
            _ => Err(InvalidValue { text: text.into(), rule: MODE_RULE, mend: None }),
        }
    }
}

const MODE_RULE: &str = "three or four octal digits in quotes, such as \"0644\"";

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModeVisitor;
        impl Visitor<'_> for ModeVisitor {
            type Value = Mode;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(MODE_RULE)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, _number: i64) -> Result<Mode, E> {
                // 0o644 and 644 are both integers in TOML; only quotes leave no doubt which base is meant.
                Err(E::custom(format!("this mode is a number: expected {MODE_RULE}")))
            }
        }
        deserializer.deserialize_any(ModeVisitor)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

impl JsonSchema for Mode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$", "description": "Permission bits in octal" })
    }
}

/// A value of a variable, or one that may also be written as a template: a boolean, an integer, a text or a list of
/// texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl Scalar {
    /// Returns the word for its type.
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Text(_) => "string",
            Self::List(_) => "list",
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Text(value) => formatter.write_str(value),
            Self::List(values) => formatter.write_str(&values.join(",")),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, an integer, a boolean or a list of strings")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Boolean(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Scalar, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = sequence.next_element()? {
                    values.push(value);
                }
                Ok(Scalar::List(values))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer", "boolean", "array"],
            "items": { "type": "string" },
        })
    }
}

/// A whole number, or a template in quotes that renders to one: `8080` or `"{{ port }}"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Number {
    /// The number itself.
    Value(i64),
    /// A template.
    Template(String),
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an integer, or a template such as \"{{ port }}\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number::Value(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Number, E> {
                Ok(Number::Template(value.to_owned()))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}

/// A user or group: a name that the profile declares, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// A number from 0 to 4294967294.
    Id(u32),
    /// The name of a `[user]` or `[group]` table, or `root`.
    Name(String),
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AccountVisitor;
        impl Visitor<'_> for AccountVisitor {
            type Value = Account;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a user or group, or a number from 0 to 4294967294")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Account, E> {
                // The last number means "leave as it is" to chown(2).
                match u32::try_from(number) {
                    Ok(id) if id != u32::MAX => Ok(Account::Id(id)),
                    _ => {
                        Err(E::custom(format!("{number} is no user or group: expected a number from 0 to 4294967294")))
                    }
                }
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Account, E> {
                Ok(Account::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(AccountVisitor)
    }
}

impl JsonSchema for Account {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Account".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0, "maximum": 4_294_967_294_u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        for name in ["web", "debian-12", "9p", "a.b_c"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "Web", "-a", "a/b", "é", &"a".repeat(64)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
        assert!("tls_key".parse::<Identifier>().is_ok());
        assert!("tls-key".parse::<Identifier>().is_err());
        assert_eq!("Web Server".parse::<Name>().unwrap_err().mend.as_deref(), Some("web-server"));
        assert_eq!("tls-key".parse::<Identifier>().unwrap_err().mend.as_deref(), Some("tls_key"));
        assert_eq!("HTTP-PORT".parse::<EnvironmentName>().unwrap_err().mend.as_deref(), Some("HTTP_PORT"));
        assert_eq!("-".parse::<Name>().unwrap_err().mend, None);
    }

    #[test]
    fn modes_are_octal_text() {
        assert_eq!("0755".parse(), Ok(Mode(0o755)));
        assert_eq!("4755".parse(), Ok(Mode(0o4755)));
        for text in ["", "75", "0o755", "0888", "10755", "+755"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
        assert_eq!(Mode(0o755).to_string(), "0755");
    }
}
