//! `http:` and `https:` addresses.
//!
//! One connection pool for each proxy and each set of trusted certificates; certificates are read when the first `https:`
//! address is asked for.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy, SendBody};
use url::Url;

use super::{
    Body, Headers, Logins, Proxies, Request, Response, Transport, TransportError, TransportFault, certificates, local,
};

/// The fields of an answer are no longer than this, in bytes.
const HEADERS_MAX: usize = 64 * 1024;
/// The field that says who asks (RFC 9110, section 11.6.2).
const AUTHORIZATION: &str = "authorization";
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(20);
/// The same where there is somebody else to ask.
const CONNECT_HURRIED: Duration = Duration::from_secs(3);

/// How the network is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file whose certificates are trusted instead of those of the system.
    pub certificate_file: Option<PathBuf>,
    /// The directory whose certificates are trusted instead of those of the system.
    pub certificate_directory: Option<PathBuf>,
    /// Folders of certificates that are trusted for one host besides: `FOLDER/HOST[:PORT]/*.crt`.
    pub host_certificates: Vec<PathBuf>,
    /// Proxies.
    pub proxies: Proxies,
    /// Who the user is to servers; what a request says itself comes first.
    pub logins: Logins,
    /// How long nothing may come or go before a connection is given up.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate_file: None,
            certificate_directory: None,
            host_certificates: Vec::new(),
            proxies: Proxies::default(),
            logins: Logins::default(),
            idle: Duration::from_secs(90),
        }
    }
}

/// Carries requests over HTTP/1.1, with TLS where the address says so, and to files.
#[derive(Debug)]
pub struct HttpTransport {
    settings: Settings,
    common: OnceLock<Vec<Certificate<'static>>>,
    agents: Mutex<BTreeMap<AgentKey, Agent>>,
}

/// What a connection pool is for: a proxy, and the host when that has certificates of its own.
type AgentKey = (Option<String>, Option<String>);

impl HttpTransport {
    /// Returns a transport. Nothing is read or connected yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, common: OnceLock::new(), agents: Mutex::default() }
    }

    fn agent(&self, url: &Url) -> Result<Agent, TransportError> {
        let proxy = self.settings.proxies.of(url).map(str::to_owned);
        let host =
            (url.scheme() == "https").then(|| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned());
        let key = (proxy, host);
        if let Some(agent) = self.agents.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(agent.clone());
        }
        let roots = if key.1.is_some() { self.roots(url)? } else { Vec::new() };
        let agent = self.make_agent(key.0.as_deref(), roots)?;
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).insert(key, agent.clone());
        Ok(agent)
    }

    fn roots(&self, url: &Url) -> Result<Vec<Certificate<'static>>, TransportError> {
        let unusable = |error: certificates::CertificateError| TransportError {
            fault: TransportFault::Certificate,
            reason: error.to_string(),
        };
        let settings = &self.settings;
        let common = match self.common.get() {
            Some(common) => common,
            None => {
                let (file, directory) =
                    (settings.certificate_file.as_deref(), settings.certificate_directory.as_deref());
                let common = certificates::common(file, directory).map_err(unusable)?;
                self.common.get_or_init(|| common)
            }
        };
        let mut roots = common.clone();
        roots.extend(certificates::of_host(&settings.host_certificates, url).map_err(unusable)?);
        Ok(roots)
    }

    fn make_agent(&self, proxy: Option<&str>, roots: Vec<Certificate<'static>>) -> Result<Agent, TransportError> {
        let proxy = proxy.map(Proxy::new).transpose().map_err(|_| TransportError {
            fault: TransportFault::Protocol,
            // It may have a password in it.
            reason: "the proxy that the environment names is no address: expected `http://HOST:PORT`".into(),
        })?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEADERS_MAX)
            .user_agent(concat!("layerforge/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .tls_config(tls)
            // No limit for looking up names: with one, ureq makes a thread for each lookup and panics where the system has no
            // more threads. The system's resolver has limits of its own (resolv.conf(5)).
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(self.settings.idle))
            .timeout_per_write(Some(self.settings.idle))
            .build();
        Ok(config.new_agent())
    }
}

impl Transport for HttpTransport {
    fn send(&self, mut request: Request<'_>) -> Result<Response, TransportError> {
        let login = self.settings.logins.of(&request.url).filter(|_| request.headers.sent(AUTHORIZATION).is_none());
        if let Some(login) = login {
            request.headers = request.headers.with_secret(AUTHORIZATION, login);
        }
        match request.url.scheme() {
            "file" => local::send(&request),
            "http" | "https" => exchange(&self.agent(&request.url)?, request),
            other => Err(TransportError {
                fault: TransportFault::Protocol,
                reason: format!("`{other}:` addresses are not understood: expected `https:`, `http:` or `file:`"),
            }),
        }
    }
}

fn exchange(agent: &Agent, request: Request<'_>) -> Result<Response, TransportError> {
    let Request { method, url, headers, body, hurried } = request;
    let mut builder = ureq::http::Request::builder().method(method.as_str()).uri(url.as_str());
    for (name, value) in headers.exposed() {
        builder = builder.header(name, value);
    }
    let unsayable = |_| TransportError {
        fault: TransportFault::Protocol,
        reason: "the address or a field of the request holds what cannot be sent".into(),
    };
    let answer = match body {
        Body::Empty if !matches!(method, super::Method::Post | super::Method::Put | super::Method::Patch) => {
            let connect = if hurried { CONNECT_HURRIED } else { CONNECT };
            let request = agent.configure_request(builder.body(()).map_err(unsayable)?);
            agent.run(request.timeout_connect(Some(connect)).build())
        }
        Body::Empty => agent.run(builder.body(&[][..]).map_err(unsayable)?),
        Body::Bytes(bytes) => agent.run(builder.body(bytes).map_err(unsayable)?),
        Body::Stream { from, length } => {
            let mut bounded = from.take(length);
            let builder = builder.header("content-length", length.to_string());
            agent.run(builder.body(SendBody::from_reader(&mut bounded)).map_err(unsayable)?)
        }
    };
    let (parts, body) = answer.map_err(explain)?.into_parts();
    let mut headers = Headers::new();
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            headers = headers.with(name.as_str(), value);
        }
    }
    tracing::debug!(method = method.as_str(), url = %super::Shown(&url), status = parts.status.as_u16(), "answered");
    let body = Box::new(body.into_with_config().limit(u64::MAX).reader());
    Ok(Response { status: parts.status.as_u16(), headers, url, body })
}

fn explain(error: ureq::Error) -> TransportError {
    let of = |fault, reason: String| TransportError { fault, reason };
    match error {
        ureq::Error::Io(error) => match tls_error(&error) {
            Some(tls) => explain_tls(tls),
            None => TransportError::connection(&error),
        },
        ureq::Error::Rustls(error) => explain_tls(&error),
        ureq::Error::Timeout(_) => of(TransportFault::Timeout, "nothing came for too long".into()),
        ureq::Error::HostNotFound => of(TransportFault::Connection, "there is no host of this name".into()),
        ureq::Error::ConnectionFailed => of(TransportFault::Connection, "the connection cannot be made".into()),
        other => of(TransportFault::Protocol, other.to_string()),
    }
}

/// Finds the error of TLS inside of one that the connection reports.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| inner.source()?.downcast_ref())
}

fn explain_tls(error: &rustls::Error) -> TransportError {
    match error {
        rustls::Error::InvalidCertificate(_) => TransportError {
            fault: TransportFault::Certificate,
            reason: format!(
                "{error}; for an authority of your own name its certificate with `SSL_CERT_FILE`, or put it into \
                 `/etc/containers/certs.d/HOST:PORT/`"
            ),
        },
        _ => TransportError { fault: TransportFault::Tls, reason: format!("TLS failed: {error}") },
    }
}
