//! Requests that are repeated where that helps, and led on where they may be.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::{
    Body, FetchError, Headers, Method, Request, Response, Schedule, Shown, Transport, TransportError, is_transient,
};

/// How many redirects one request follows.
const REDIRECTS: usize = 10;

/// Gets what is asked for over a transport.
pub struct Fetcher {
    transport: Box<dyn Transport>,
    schedule: Schedule,
    pause: Box<dyn Fn(Duration) + Send + Sync>,
    told: Box<dyn Fn(&str) + Send + Sync>,
    offline: bool,
    /// Hosts and ports that were not reached when they were asked last.
    unreachable: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fetcher({:?}, offline: {})", self.transport, self.offline)
    }
}

impl Fetcher {
    /// Returns a fetcher over `transport`. When `offline`, it refuses everything but files.
    pub fn new(transport: impl Transport + 'static, offline: bool) -> Self {
        Self {
            transport: Box::new(transport),
            schedule: Schedule::default(),
            pause: Box::new(std::thread::sleep),
            told: Box::new(|_| {}),
            offline,
            unreachable: Mutex::default(),
        }
    }

    /// Returns it with another schedule, and `pause` called instead of sleeping.
    #[must_use]
    pub fn scheduled(mut self, schedule: Schedule, pause: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        (self.schedule, self.pause) = (schedule, Box::new(pause));
        self
    }

    /// Returns it with `told` called with a sentence about every failure after which it tries again.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.told = Box::new(told);
        self
    }

    /// Tells whether the network may not be used.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Tells whether the host of an address was not reached when it was asked last in this run.
    pub fn is_unreachable(&self, url: &Url) -> bool {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).contains(&host(url))
    }

    fn remember(&self, url: &Url, reached: bool) {
        let mut unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        match reached {
            true => drop(unreachable.remove(&host(url))),
            false => drop(unreachable.insert(host(url))),
        }
    }

    /// Does `attempt` until it succeeds, fails for good, or has failed as often as the schedule allows. It is told how
    /// often it has failed.
    ///
    /// # Errors
    /// The last failure.
    pub fn repeat<T, E: Transient>(&self, mut attempt: impl FnMut(u32) -> Result<T, E>) -> Result<T, E> {
        let mut failures = 0;
        loop {
            let error = match attempt(failures) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            failures += 1;
            match self.wait(failures, &error) {
                true => continue,
                false => return Err(error),
            }
        }
    }

    /// Waits until what has failed so often may be tried again; false when it may not.
    pub fn wait(&self, failures: u32, error: &impl Transient) -> bool {
        let pause = error.is_transient().then(|| self.schedule.pause(failures, error.retry_after())).flatten();
        if let Some(pause) = pause {
            (self.told)(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
            (self.pause)(pause);
        }
        pause.is_some()
    }

    /// Sends a request once and returns the answer, whatever its status unless a server says with it that it may answer
    /// otherwise later. What is only looked at is followed to where it is said to be; secrets stay at the origin they are
    /// for, and nothing is followed from TLS to plain text.
    ///
    /// # Errors
    /// When there is no answer, or one that says that it may be another one later.
    pub fn send(&self, request: Request<'_>) -> Result<Response, FetchError> {
        let Request { method, mut url, mut headers, mut body, hurried } = request;
        for _ in 0..=REDIRECTS {
            if self.offline && url.scheme() != "file" {
                return Err(FetchError::Offline { url: Shown(&url).to_string() });
            }
            let body = std::mem::replace(&mut body, Body::Empty);
            let sent = Request { method, url: url.clone(), headers: headers.clone(), body, hurried };
            let failed = |source| FetchError::Transport { url: Shown(&url).to_string(), source };
            let sent = self.transport.send(sent);
            self.remember(&url, !sent.as_ref().is_err_and(TransportError::is_transient));
            let mut response = sent.map_err(failed)?;
            let next = match response.status {
                301 | 302 | 303 | 307 | 308 => response.headers.get("location"),
                status if is_transient(status) => return Err(response.refusal()),
                _ => return Ok(response),
            };
            let Some(next) = next else { return Ok(response) };
            let to = follow(method, &url, next)?;
            if to.origin() != url.origin() {
                headers = headers.without_secrets();
            }
            url = to;
        }
        let (url, to) = (Shown(&url).to_string(), "ever more addresses".to_owned());
        Err(FetchError::Redirect { url, to, reason: "there is no end of it" })
    }

    /// Returns what is at `url`, of at most `limit` bytes.
    ///
    /// # Errors
    /// When it cannot be had, or is longer.
    pub fn bytes(&self, url: &Url, headers: &Headers, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.repeat(|_| self.once(Request::new(Method::Get, url.clone()).headers(headers.clone()), limit))
    }

    /// Returns what is at `url`, of at most `limit` bytes, when it can be had soon: for those who can ask somebody else.
    ///
    /// # Errors
    /// When it cannot be had the first time, or is longer.
    pub fn bytes_soon(&self, url: &Url, headers: &Headers, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.once(Request::new(Method::Get, url.clone()).headers(headers.clone()).hurried(true), limit)
    }

    fn once(&self, request: Request<'_>, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut response = self.send(request)?;
        if response.status != 200 {
            return Err(response.refusal());
        }
        response.bytes(limit)
    }
}

/// A failure of which it is known whether it passes.
pub trait Transient: fmt::Display {
    /// Tells whether the same may succeed later.
    fn is_transient(&self) -> bool;
    /// Returns how long the other side wants to be left alone.
    fn retry_after(&self) -> Option<Duration>;
}

impl Transient for FetchError {
    fn is_transient(&self) -> bool {
        self.is_transient()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

/// Returns what is reached or not.
fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Returns where an answer leads.
fn follow(method: Method, from: &Url, location: &str) -> Result<Url, FetchError> {
    let to = from.join(location);
    let refused = |to: String, reason| FetchError::Redirect { url: Shown(from).to_string(), to, reason };
    let to = to.map_err(|_| refused("no address".into(), "it is not understood"))?;
    let reason = match to.scheme() {
        _ if !method.is_safe() => "only what is fetched may be somewhere else",
        "http" if from.scheme() == "https" => "it would leave TLS",
        "http" | "https" => return Ok(to),
        _ => "only `https:` and `http:` are followed",
    };
    Err(refused(Shown(&to).to_string(), reason))
}
