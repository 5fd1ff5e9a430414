//! How messages name an address.

use std::fmt;

use url::Url;

/// An address without what may be secret in it: no user, no password, no query.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'url>(pub &'url Url);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0;
        write!(formatter, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(url.path())
    }
}
