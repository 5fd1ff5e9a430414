//! Access tokens (distribution registry, "Token Authentication Specification" and "OAuth2 Token Authentication").

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Deserialize;
use url::Url;

use super::Credential;
use crate::fetch::{Body, FetchError, Fetcher, Headers, Method, Request, Secret, is_loopback};

/// The largest answer of a token server, in bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// How long a token is good for when nothing is said.
const LIFE: Duration = Duration::from_secs(60);
/// How long before its end a token is taken for ended: what is sent with it takes its time.
const MARGIN: Duration = Duration::from_secs(10);

/// What may be done to which repositories: `repository:NAME:pull,push`.
pub(super) type Scopes = BTreeSet<String>;

/// A token, and until when it is good.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: Secret,
    until: Instant,
}

impl Token {
    /// Tells whether it is good for a while.
    pub(super) fn is_good(&self) -> bool {
        Instant::now() < self.until
    }

    /// Returns the field that shows it (RFC 6750).
    pub(super) fn bearer(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.secret.expose()))
    }
}

/// Where tokens are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenServer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenServer {
    /// Asks for a token. `plain` tells whether the registry is reached over plain http, as its token server may be then.
    ///
    /// # Errors
    /// When it refuses, cannot be reached, or answers something else.
    pub(super) fn token(
        &self,
        fetcher: &Fetcher,
        credential: Option<&Credential>,
        scopes: &Scopes,
        plain: bool,
    ) -> Result<Token, FetchError> {
        let url = self.url(plain)?;
        let bytes = fetcher.repeat(|_| {
            let mut response = match credential {
                Some(Credential::IdentityToken(secret)) => self.exchange(fetcher, &url, secret, scopes)?,
                other => self.get(fetcher, &url, other, scopes)?,
            };
            if response.status != 200 { Err(response.refusal()) } else { response.bytes(ANSWER_MAX) }
        })?;
        let answer: Option<Answer> = serde_json::from_slice(&bytes).ok();
        let wrong = || refused(&url, "the token server answers with something else than a token");
        let Answer { token, access_token, expires_in } = answer.ok_or_else(wrong)?;
        let secret = token.or(access_token).filter(|token| !token.is_empty()).ok_or_else(wrong)?;
        let life = expires_in.map_or(LIFE, Duration::from_secs).min(Duration::from_secs(24 * 60 * 60));
        Ok(Token { secret: Secret::new(secret), until: Instant::now() + life.saturating_sub(MARGIN) })
    }

    fn url(&self, plain: bool) -> Result<Url, FetchError> {
        let url = Url::parse(&self.realm).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        let Some(url) = url else {
            let source = protocol("the registry names a token server whose address is none");
            return Err(FetchError::Transport { url: "the token server".into(), source });
        };
        if url.scheme() == "http" && !plain && !is_loopback(&url) {
            return Err(refused(&url, "the registry names a token server without TLS: nothing is sent there"));
        }
        Ok(url)
    }

    fn get(
        &self,
        fetcher: &Fetcher,
        url: &Url,
        credential: Option<&Credential>,
        scopes: &Scopes,
    ) -> Result<crate::fetch::Response, FetchError> {
        let mut url = url.clone();
        let service = self.service.iter().map(|service| ("service", service.as_str()));
        url.query_pairs_mut().extend_pairs(service.chain(scopes.iter().map(|scope| ("scope", scope.as_str()))));
        let basic = credential.and_then(Credential::basic);
        let headers =
            basic.into_iter().fold(Headers::new(), |headers, basic| headers.with_secret("authorization", basic));
        fetcher.send(Request::new(Method::Get, url).headers(headers))
    }

    /// Hands in a token of identity for one of access (RFC 6749, section 6).
    fn exchange(
        &self,
        fetcher: &Fetcher,
        url: &Url,
        identity: &Secret,
        scopes: &Scopes,
    ) -> Result<crate::fetch::Response, FetchError> {
        let scope = scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", self.service.as_deref().unwrap_or_default())
            .append_pair("client_id", "layerforge")
            .append_pair("scope", &scope)
            .append_pair("refresh_token", identity.expose())
            .finish();
        let form = zeroize::Zeroizing::new(form);
        let headers = Headers::new().with("content-type", "application/x-www-form-urlencoded");
        fetcher.send(Request::new(Method::Post, url.clone()).headers(headers).body(Body::Bytes(form.as_bytes())))
    }
}

fn protocol(reason: &str) -> crate::fetch::TransportError {
    crate::fetch::TransportError { fault: crate::fetch::TransportFault::Protocol, reason: reason.into() }
}

fn refused(url: &Url, reason: &str) -> FetchError {
    FetchError::Transport { url: crate::fetch::Shown(url).to_string(), source: protocol(reason) }
}
