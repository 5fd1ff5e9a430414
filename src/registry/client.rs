//! One client for everything a run asks of registries.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use url::Url;

use super::access::Way;
use super::token::Scopes;
use super::{CredentialFiles, Endpoint, Mirrors, Reference, RegistryError};
use crate::fetch::{FetchError, Fetcher, Method, Request, TransportFault, is_loopback};

/// How many blobs are sent or fetched at once.
const PARALLEL: usize = 4;

/// The bytes sent at a time. What is smaller is sent in one request.
const CHUNK: u64 = 16 << 20;

/// What a client knows from the beginning.
#[derive(Debug, Default)]
pub struct ClientSettings {
    /// Where credentials are.
    pub credentials: CredentialFiles,
    /// Where registries are.
    pub mirrors: Mirrors,
    /// Whether plain http is spoken to every registry.
    pub plain_http: bool,
}

/// A client of registries. Several threads may use one.
#[derive(Debug)]
pub struct Client {
    pub(super) fetcher: Fetcher,
    pub(super) settings: ClientSettings,
    /// How many blobs are moved at once.
    pub(super) parallel: usize,
    /// How many bytes of a blob are sent at a time.
    pub(super) chunk: u64,
    ways: Mutex<BTreeMap<String, Way>>,
}

/// What is done to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pull,
    Push,
}

impl Action {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
        }
    }

    fn scope(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

/// A repository of a registry.
#[derive(Debug)]
pub struct Repository<'run> {
    pub(super) client: &'run Client,
    pub(super) endpoint: Endpoint,
    pub(super) action: Action,
    base: Url,
}

impl Client {
    /// Returns a client that sends its requests through `fetcher`.
    pub fn new(fetcher: Fetcher, settings: ClientSettings) -> Self {
        Self { fetcher, settings, parallel: PARALLEL, chunk: CHUNK, ways: Mutex::default() }
    }

    /// Returns the repository of a reference, to push to it.
    ///
    /// # Errors
    /// When the registry is blocked or cannot be reached.
    pub fn push_to(&self, reference: &Reference) -> Result<Repository<'_>, RegistryError> {
        self.repository(self.settings.mirrors.push(reference)?, Action::Push)
    }

    /// Returns the repository at an endpoint, to pull from it.
    ///
    /// # Errors
    /// When the registry cannot be reached.
    pub fn pull_from(&self, endpoint: Endpoint) -> Result<Repository<'_>, RegistryError> {
        self.repository(endpoint, Action::Pull)
    }

    fn repository(&self, endpoint: Endpoint, action: Action) -> Result<Repository<'_>, RegistryError> {
        let scheme = self.scheme(&endpoint)?;
        let host = match endpoint.registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let base =
            address(scheme, host, &format!("/v2/{}/", endpoint.repository)).ok_or_else(|| RegistryError::Protocol {
                registry: endpoint.registry.clone(),
                repository: endpoint.repository.clone(),
                reason: "its name makes no address".into(),
            })?;
        Ok(Repository { client: self, endpoint, action, base })
    }

    /// Returns how a registry is spoken to: with TLS, or without when that was asked for, or when it is on this machine and
    /// does not speak it.
    fn scheme(&self, endpoint: &Endpoint) -> Result<&'static str, RegistryError> {
        if self.settings.plain_http {
            return Ok("http");
        }
        let Some(url) =
            address("https", &endpoint.registry, "/v2/").filter(|url| endpoint.insecure || is_loopback(url))
        else {
            return Ok("https");
        };
        if let Some(known) = self.ways().get(&endpoint.registry).and_then(|way| way.scheme) {
            return Ok(known);
        }
        let scheme = match self.fetcher.send(Request::new(Method::Get, url)) {
            Err(FetchError::Transport { source, .. })
                if matches!(
                    source.fault,
                    TransportFault::Tls | TransportFault::Connection | TransportFault::Protocol
                ) =>
            {
                "http"
            }
            Err(source @ (FetchError::Offline { .. } | FetchError::Transport { .. })) => {
                let (registry, repository) = (endpoint.registry.clone(), endpoint.repository.clone());
                return Err(RegistryError::Fetch { registry, repository, source: Box::new(source) });
            }
            _ => "https",
        };
        self.ways().entry(endpoint.registry.clone()).or_default().scheme = Some(scheme);
        Ok(scheme)
    }

    pub(super) fn ways(&self) -> MutexGuard<'_, BTreeMap<String, Way>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(scheme: &str, host: &str, path: &str) -> Option<Url> {
    Url::parse(&format!("{scheme}://{host}{path}")).ok()
}

impl Repository<'_> {
    /// Returns the address of something in the repository: `blobs/sha256:…`.
    pub(super) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        self.base.join(path).map_err(|error| self.protocol(format!("`{path}` makes no address: {error}")))
    }

    /// Returns the address that a registry names in `Location` (RFC 9110, section 10.2.2).
    pub(super) fn location(&self, from: &Url, location: &str) -> Result<Url, RegistryError> {
        let url = from.join(location).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        let url = url.ok_or_else(|| self.protocol("it names no address to go on at"))?;
        if url.scheme() == "http" && self.base.scheme() == "https" {
            return Err(self.protocol("it wants to go on without TLS"));
        }
        Ok(url)
    }

    /// Returns what a token has to be good for.
    pub(super) fn scopes(&self) -> Scopes {
        Scopes::from([self.action.scope(&self.endpoint.repository)])
    }

    /// Returns what a token has to be good for to take blobs from another repository as well.
    pub(super) fn scopes_with(&self, other: &str) -> Scopes {
        let mut scopes = self.scopes();
        scopes.insert(Action::Pull.scope(other));
        scopes
    }

    /// Tells whether an address is one of the registry itself, which may see what is secret.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Returns the address of the repository.
    pub(super) fn url_text(&self) -> &str {
        self.base.as_str()
    }

    /// Tells whether the registry is spoken to without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }
}
