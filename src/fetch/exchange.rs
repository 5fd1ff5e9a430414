//! One request and its answer.

use std::fmt;
use std::io::{self, Read};
use std::time::SystemTime;

use url::Url;

use super::schedule::retry_after;
use super::{FetchError, Headers, Shown};

/// How much a server may say about a failure, in bytes.
const DETAIL: u64 = 1024;

/// What is done to an address (RFC 9110, section 9; RFC 5789).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Get what is there.
    Get,
    /// Get what a GET would say about it.
    Head,
    /// Hand something in.
    Post,
    /// Put something there.
    Put,
    /// Add to what is there.
    Patch,
    /// Remove it.
    Delete,
}

impl Method {
    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Tells whether it only looks (RFC 9110, section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// What a request brings along.
pub enum Body<'body> {
    /// Nothing.
    Empty,
    /// Bytes, which can be sent again.
    Bytes(&'body [u8]),
    /// A stream of a known length, which can be sent once.
    Stream {
        /// The stream.
        from: &'body mut dyn Read,
        /// How many bytes of it are sent.
        length: u64,
    },
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::Stream { length, .. } => write!(formatter, "Stream({length})"),
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Request<'body> {
    /// What is done.
    pub method: Method,
    /// To which address.
    pub url: Url,
    /// Fields that are sent along. The length of the body is added.
    pub headers: Headers,
    /// What is sent along.
    pub body: Body<'body>,
    /// Whether somebody else is asked when a connection does not come about soon.
    pub hurried: bool,
}

impl<'body> Request<'body> {
    /// Returns a request without a body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Headers::new(), body: Body::Empty, hurried: false }
    }

    /// Returns it with these fields.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Returns it as one that somebody else is asked after, when a connection does not come about soon.
    #[must_use]
    pub fn hurried(mut self, hurried: bool) -> Self {
        self.hurried = hurried;
        self
    }

    /// Returns it with this body.
    #[must_use]
    pub fn body(mut self, body: Body<'body>) -> Self {
        self.body = body;
        self
    }
}

/// The answer to a request.
pub struct Response {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
    /// Where it comes from, after redirects.
    pub url: Url,
    /// What it brings along.
    pub body: Box<dyn Read + Send>,
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Response({} from {})", self.status, Shown(&self.url))
    }
}

impl Response {
    /// Returns the length of the body, when the answer says it.
    pub fn length(&self) -> Option<u64> {
        self.headers.get("content-length")?.parse().ok()
    }

    /// Reads the body, of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is longer, or breaks off.
    pub fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, FetchError> {
        let url = Shown(&self.url).to_string();
        let mut bytes = Vec::new();
        if self.length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { url, limit });
        }
        match (&mut self.body).take(limit.saturating_add(1)).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > limit => Err(FetchError::TooLarge { url, limit }),
            Ok(_) => Ok(bytes),
            Err(error) => Err(FetchError::Transport { url, source: TransportError::connection(&error) }),
        }
    }

    /// Makes an error of an answer whose status does not serve, with the beginning of what it says.
    pub fn refusal(&mut self) -> FetchError {
        let mut bytes = Vec::new();
        // What is said about a failure only explains it: half of it serves as well.
        let _ = (&mut self.body).take(DETAIL).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let words = text.split(|letter: char| letter.is_control() || letter == ' ');
        let asked = self.headers.get("retry-after");
        FetchError::Status {
            url: Shown(&self.url).to_string(),
            status: self.status,
            detail: words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
            retry_after: asked.and_then(|value| retry_after(value, SystemTime::now())),
        }
    }
}

/// Carries requests to where they are answered.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request and returns the answer, whatever its status. Redirects are not followed.
    ///
    /// # Errors
    /// When there is no answer.
    fn send(&self, request: Request<'_>) -> Result<Response, TransportError>;
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct TransportError {
    /// What kind of failure it is.
    pub fault: TransportFault,
    /// What is wrong.
    pub reason: String,
}

/// The kinds of failures to get an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportFault {
    /// The address cannot be reached, or the connection broke.
    Connection,
    /// Nothing came for too long.
    Timeout,
    /// Who answers is not trusted.
    Certificate,
    /// What answers does not speak TLS, or not as it must.
    Tls,
    /// The address or the answer is not understood.
    Protocol,
}

impl TransportError {
    /// Returns a failure of the connection.
    pub fn connection(error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TransportFault::Timeout,
            _ => TransportFault::Connection,
        };
        Self { fault, reason: error.to_string() }
    }

    /// Tells whether the same request may be answered later.
    pub fn is_transient(&self) -> bool {
        matches!(self.fault, TransportFault::Connection | TransportFault::Timeout)
    }
}
