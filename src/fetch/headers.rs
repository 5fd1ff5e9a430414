//! The fields of requests and answers.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text that is never shown from now on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the value of a field that says who asks (RFC 7617).
    pub fn basic(user: &str, password: &str) -> Self {
        let pair = Zeroizing::new(format!("{user}:{password}"));
        Self::new(format!("Basic {}", Base64::encode_string(pair.as_bytes())))
    }

    /// Returns the text, to be sent.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Fields by name, in the order in which they were added (RFC 9110, section 5).
#[derive(Debug, Clone, Default)]
pub struct Headers {
    plain: Vec<(String, String)>,
    /// Those that only the origin may see that they are for.
    secret: Vec<(String, Secret)>,
}

impl Headers {
    /// Returns no fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.plain.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a field that only the origin may see that it is for: a redirect elsewhere goes without it.
    #[must_use]
    pub fn with_secret(mut self, name: &str, value: Secret) -> Self {
        self.secret.push((name.to_owned(), value));
        self
    }

    /// Returns the value of the first field of a name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the values of every field of a name, in any case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.plain.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// Returns the value of the first field of a name as it is sent, be it secret.
    pub(crate) fn sent(&self, name: &str) -> Option<&str> {
        self.exposed().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the fields without those that only their origin may see.
    pub(super) fn without_secrets(&self) -> Self {
        Self { plain: self.plain.clone(), secret: Vec::new() }
    }

    /// Returns every field, to be sent.
    pub(super) fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        let plain = self.plain.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        plain.chain(self.secret.iter().map(|(name, value)| (name.as_str(), value.expose())))
    }
}
