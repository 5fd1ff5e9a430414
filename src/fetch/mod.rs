//! Getting bytes from elsewhere, and the one place that knows how.
//!
//! Comes in: addresses of one piece of content, mirrors of each other, with the digest and length it has to have. Goes
//! out: the content, in the store or in memory. Always holds: nothing is handed out that was not verified or bounded; a
//! request that failed for a while is repeated, on a schedule without chance; a download that broke off goes on where it
//! stopped; secrets go to the origin they are for, and are never shown.

mod certificates;
mod download;
mod exchange;
mod fetcher;
mod headers;
mod http;
mod local;
mod logins;
mod parallel;
mod proxy;
mod schedule;
mod shown;

use std::time::Duration;

use url::Url;

use crate::digest::Digest;
use crate::fs;

pub use certificates::CertificateError;
pub use download::Download;
pub use exchange::{Body, Method, Request, Response, Transport, TransportError, TransportFault};
pub use fetcher::{Fetcher, Transient};
pub use headers::{Headers, Secret};
pub use http::{HttpTransport, Settings};
pub use logins::{LoginError, Logins};
pub use parallel::parallel;
pub use proxy::Proxies;
pub use schedule::Schedule;
pub use shown::Shown;

/// A failure to get something from elsewhere, or to bring something there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The network is needed and may not be used.
    #[error("`{url}` is needed, and `--offline` forbids to use the network; run it once without, what it gets is kept")]
    Offline {
        /// What is needed.
        url: String,
    },
    /// A request had no answer.
    #[error("no answer from `{url}`: {source}")]
    Transport {
        /// What was asked for.
        url: String,
        /// Why there is none.
        source: TransportError,
    },
    /// A request was answered with a status that does not serve.
    #[error("`{url}` answered with the status {status}{}", told(detail))]
    Status {
        /// What was asked for.
        url: String,
        /// The status (RFC 9110, section 15).
        status: u16,
        /// What the server says about it; may be empty.
        detail: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// A request was sent somewhere that it does not follow to.
    #[error("`{url}` leads on to `{to}`, where it is not followed: {reason}")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it leads.
        to: String,
        /// Why that is not followed.
        reason: &'static str,
    },
    /// An answer is larger than it may be.
    #[error("`{url}` has more than the {limit} bytes that it may have")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The number of bytes it may have.
        limit: u64,
    },
    /// An answer does not have the length that was announced.
    #[error("`{url}` has {found} bytes, expected {expected}")]
    Length {
        /// What was asked for.
        url: String,
        /// The length it should have.
        expected: u64,
        /// The length it has.
        found: u64,
    },
    /// An answer is something else than what was asked for.
    #[error("`{url}` has the digest {found}, expected {expected}")]
    Digest {
        /// What was asked for.
        url: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// Content is nowhere to be had.
    #[error("{what} cannot be fetched{}", each(failures))]
    Nowhere {
        /// What was to be fetched.
        what: String,
        /// Why not, for every address.
        failures: Vec<Self>,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

fn told(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn each(failures: &[FetchError]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

impl FetchError {
    /// Tells whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.is_transient(),
            Self::Status { status, .. } => is_transient(*status),
            _ => false,
        }
    }

    /// Returns how long the server wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the status, when that is what is wrong.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Nowhere { failures, .. } => match failures.as_slice() {
                [only] => only.status(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Tells whether a status is one of a server that may answer otherwise later (RFC 9110, sections 15.5.9 and 15.6; RFC
/// 6585, section 4).
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Tells whether an address is one of this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
