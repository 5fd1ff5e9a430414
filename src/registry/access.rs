//! Requests with what a registry wants to know about who sends them.

use std::collections::BTreeMap;

use url::Url;

use super::challenge::{Challenge, challenges};
use super::client::Repository;
use super::token::{Scopes, Token, TokenServer};
use super::{Credential, RegistryError};
use crate::fetch::{Body, FetchError, Headers, Method, Request, Response, Secret, Transient};
use crate::tree::{Content, ContentSource};

/// What was found out about a registry.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// `https`, or `http`; nothing as long as that is not known.
    pub(super) scheme: Option<&'static str>,
    offered: Option<Offered>,
    tokens: BTreeMap<Scopes, Token>,
}

/// How a registry wants to know who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Offered {
    Basic,
    Token(TokenServer),
}

/// What is sent along, as often as it has to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'run> {
    Nothing,
    Bytes(&'run [u8]),
    /// `length` bytes of a content from `offset` on.
    Part {
        content: &'run Content,
        offset: u64,
        length: u64,
    },
}

/// A request to a registry.
#[derive(Debug, Clone)]
pub(super) struct Ask<'run> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Headers,
    pub(super) payload: Payload<'run>,
    pub(super) scopes: Scopes,
}

/// What a registry says of a manifest one of whose blobs it does not find (distribution-spec, "Error Codes").
const BLOB_UNKNOWN: &str = "MANIFEST_BLOB_UNKNOWN";

impl Transient for RegistryError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Fetch { source, .. } if source.is_transient() => true,
            // The blobs that a manifest names are sent, or looked for, before it is. A registry may not find one for a moment
            // while another push brings the same.
            Self::Fetch { source, .. } => {
                matches!(&**source, FetchError::Status { detail, .. } if detail.contains(BLOB_UNKNOWN))
            }
            Self::NotFound { detail, .. } => detail.contains(BLOB_UNKNOWN),
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Fetch { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}

impl<'run> Repository<'run> {
    /// Returns a request without a body.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<Ask<'run>, RegistryError> {
        Ok(self.ask_at(method, self.url(path)?))
    }

    /// Returns a request without a body to an address that the registry named.
    pub(super) fn ask_at(&self, method: Method, url: Url) -> Ask<'run> {
        Ask { method, url, headers: Headers::new(), payload: Payload::Nothing, scopes: self.scopes() }
    }

    /// Sends a request until it is answered, as often as the schedule allows; `what` is what it is about.
    pub(super) fn call(&self, ask: &Ask<'_>, what: &str) -> Result<Response, RegistryError> {
        self.client.fetcher.repeat(|_| self.once(ask, what))
    }

    /// Sends a request once; twice when the registry wants to know who sends it.
    pub(super) fn once(&self, ask: &Ask<'_>, what: &str) -> Result<Response, RegistryError> {
        let shown = self.authorization(&ask.scopes)?;
        let response = self.send(ask, shown.as_ref(), what)?;
        if response.status != 401 || !self.is_home(&ask.url) {
            return Ok(response);
        }
        self.learn(&response);
        self.drop_token(&ask.scopes, shown.as_ref());
        match self.authorization(&ask.scopes)? {
            Some(other) if Some(&other) != shown.as_ref() => self.send(ask, Some(&other), what),
            _ => Ok(response),
        }
    }

    fn send(&self, ask: &Ask<'_>, authorization: Option<&Secret>, what: &str) -> Result<Response, RegistryError> {
        let mut headers = ask.headers.clone();
        if let Some(authorization) = authorization.filter(|_| self.is_home(&ask.url)) {
            headers = headers.with_secret("authorization", authorization.clone());
        }
        let request = Request::new(ask.method, ask.url.clone()).headers(headers);
        let fetcher = &self.client.fetcher;
        let answer = match ask.payload {
            Payload::Nothing => fetcher.send(request),
            Payload::Bytes(bytes) => fetcher.send(request.body(Body::Bytes(bytes))),
            Payload::Part { content, offset, length } => {
                let part = part(content, offset, length);
                let mut stream = part.open()?;
                fetcher.send(request.body(Body::Stream { from: &mut stream, length }))
            }
        };
        answer.map_err(|error| self.failure(error, what))
    }

    /// Takes note of how the registry wants to know who is there.
    fn learn(&self, response: &Response) {
        let offers = challenges(response.headers.all("www-authenticate"));
        let token = offers.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, .. } => {
                Some(Offered::Token(TokenServer { realm: realm.clone(), service: service.clone() }))
            }
            Challenge::Basic => None,
        });
        let offered = token.or_else(|| offers.contains(&Challenge::Basic).then_some(Offered::Basic));
        self.client.ways().entry(self.endpoint.registry.clone()).or_default().offered = offered;
    }

    /// Forgets a token that was shown and not taken. One that another thread has got meanwhile stays.
    fn drop_token(&self, scopes: &Scopes, shown: Option<&Secret>) {
        if let Some(way) = self.client.ways().get_mut(&self.endpoint.registry)
            && way.tokens.get(scopes).is_some_and(|token| Some(&token.bearer()) == shown)
        {
            way.tokens.remove(scopes);
        }
    }

    /// Asks once without a body, so that the registry says how it wants to know who is there, and forgets the token that
    /// was shown and not taken.
    pub(super) fn renew(
        &self,
        scopes: &Scopes,
        shown: Option<&Secret>,
        url: &Url,
        what: &str,
    ) -> Result<(), RegistryError> {
        self.drop_token(scopes, shown);
        self.call(&self.ask_at(Method::Head, url.clone()), what).map(drop)
    }

    /// Returns what is shown to the registry; nothing when it has not asked for anything.
    pub(super) fn authorization(&self, scopes: &Scopes) -> Result<Option<Secret>, RegistryError> {
        // Held while a token is asked for: other threads want the same one.
        let mut ways = self.client.ways();
        let Some(way) = ways.get_mut(&self.endpoint.registry) else { return Ok(None) };
        match &way.offered {
            None => Ok(None),
            Some(Offered::Basic) => Ok(self.credential()?.and_then(|credential| credential.basic())),
            Some(Offered::Token(server)) => {
                if let Some(token) = way.tokens.get(scopes).filter(|token| token.is_good()) {
                    return Ok(Some(token.bearer()));
                }
                let credential = self.credential()?;
                let token = server.token(&self.client.fetcher, credential.as_ref(), scopes, self.is_plain());
                let token = token.map_err(|error| self.failure(error, "token"))?;
                let bearer = token.bearer();
                way.tokens.insert(scopes.clone(), token);
                Ok(Some(bearer))
            }
        }
    }

    fn credential(&self) -> Result<Option<Credential>, RegistryError> {
        self.client.settings.credentials.find(&self.endpoint.registry, &self.endpoint.repository)
    }

    /// Tells whether no credentials are known.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self.credential(), Ok(None))
    }
}

/// Returns `length` bytes of a content from `offset` on. Their digest is not known: it is that of the whole.
fn part(content: &Content, offset: u64, length: u64) -> Content {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let source = match &content.source {
        ContentSource::Inline(bytes) => ContentSource::Inline(bytes.get(start..).unwrap_or_default().into()),
        ContentSource::File(file) => ContentSource::Slice { file: file.clone(), offset },
        ContentSource::Slice { file, offset: first } => {
            ContentSource::Slice { file: file.clone(), offset: first + offset }
        }
        other => other.clone(),
    };
    Content { digest: content.digest, length, source }
}
