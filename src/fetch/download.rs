//! Content of a known digest, into the store.

use std::io::{self, Read};
use std::path::PathBuf;

use url::Url;

use super::{FetchError, Fetcher, Headers, Method, Request, Response, Shown, TransportError, TransportFault};
use crate::digest::Digest;
use crate::event::{Event, Reporter};
use crate::store::{Begun, Partial, Store};

/// Bytes moved at a time.
const CHUNK: usize = 256 * 1024;
/// As many bytes more make up for earlier failures: a long download over a bad line goes on as long as it gets on.
const PROGRESS: u64 = 1 << 20;

/// Content to fetch.
#[derive(Debug, Clone)]
pub struct Download {
    /// How messages name it.
    pub what: String,
    /// Where it is, the best place first, with the fields that are sent to that place.
    pub mirrors: Vec<(Url, Headers)>,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes, when that is known.
    pub length: Option<u64>,
    /// How many bytes it may have when its length is not known.
    pub limit: u64,
}

impl Fetcher {
    /// Returns the file in the store that holds what is asked for, fetched when it is not there yet. What an earlier run
    /// has of it is not fetched again.
    ///
    /// # Errors
    /// When it is at none of the mirrors, or what is there is something else.
    pub fn download(&self, store: &Store, download: &Download, reporter: &dyn Reporter) -> Result<PathBuf, FetchError> {
        let mut partial = match store.begin_download(&download.digest)? {
            Begun::Whole(path) => return Ok(path),
            Begun::Partial(partial) => partial,
        };
        let work = format!("fetch {}", download.what);
        reporter.report(Event::Started { work: work.clone(), total: download.length.unwrap_or(0) });
        let mut told = Told { reporter, work: &work };
        let result = self.rounds(download, &mut partial, &mut told);
        reporter.report(Event::Finished { work });
        result?;
        Ok(partial.keep()?)
    }

    /// Tries every mirror, those last that were not reached before, and again those that may do better later.
    fn rounds(&self, download: &Download, partial: &mut Partial, told: &mut Told<'_>) -> Result<(), FetchError> {
        let mut mirrors: Vec<&(Url, Headers)> = download.mirrors.iter().collect();
        mirrors.sort_by_key(|(url, _)| self.is_unreachable(url));
        let (mut refused, mut rounds) = (Vec::new(), 0);
        loop {
            let mut passing = Vec::new();
            let before = partial.length();
            let mut left = mirrors.len();
            for mirror in std::mem::take(&mut mirrors) {
                left -= 1;
                let hurried = rounds == 0 && left > 0;
                match self.transfer(download, (mirror, hurried), partial, told) {
                    Ok(()) => return Ok(()),
                    Err(error) if error.is_transient() => {
                        mirrors.push(mirror);
                        passing.push(error);
                    }
                    Err(error @ FetchError::File(_)) => return Err(error),
                    Err(error) => refused.push(error),
                }
            }
            rounds = if partial.length() >= before + PROGRESS { 1 } else { rounds + 1 };
            if !passing.last().is_some_and(|error| self.wait(rounds, error)) {
                refused.extend(passing);
                return Err(nowhere(download, refused));
            }
        }
    }

    /// Gets what is missing from one mirror.
    fn transfer(
        &self,
        download: &Download,
        (mirror, hurried): (&(Url, Headers), bool),
        partial: &mut Partial,
        told: &mut Told<'_>,
    ) -> Result<(), FetchError> {
        let held = partial.length();
        let complete = held > 0 && download.length == Some(held);
        if !complete {
            let mut response = self.ask(mirror, hurried, partial)?;
            receive(download, &mut response, partial, told)?;
        }
        let found = partial.digest();
        if found == download.digest {
            return Ok(());
        }
        partial.restart()?;
        if held > 0 {
            // What was there before may have been damaged: the mirror gets the chance to send all of it.
            return self.transfer(download, (mirror, hurried), partial, told);
        }
        Err(FetchError::Digest { url: Shown(&mirror.0).to_string(), expected: download.digest, found })
    }

    /// Asks for what is missing; where a server cannot give that, for all of it.
    fn ask(
        &self,
        (url, headers): &(Url, Headers),
        hurried: bool,
        partial: &mut Partial,
    ) -> Result<Response, FetchError> {
        let request = |headers: Headers| Request::new(Method::Get, url.clone()).headers(headers).hurried(hurried);
        let held = partial.length();
        if held > 0 {
            let response = self.send(request(headers.clone().with("range", format!("bytes={held}-"))))?;
            let start = response.headers.get("content-range").and_then(start_of);
            match response.status {
                206 if start == Some(held) => return Ok(response),
                200 => {
                    partial.restart()?;
                    return Ok(response);
                }
                206 | 416 => partial.restart()?,
                _ => return whole(response),
            }
        }
        whole(self.send(request(headers.clone()))?)
    }
}

/// Reads `bytes START-END/TOTAL` (RFC 9110, section 14.4).
fn start_of(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// What is told about a download.
struct Told<'run> {
    reporter: &'run dyn Reporter,
    work: &'run str,
}

fn nowhere(download: &Download, mut failures: Vec<FetchError>) -> FetchError {
    match (failures.len(), failures.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            failures.extend(last);
            FetchError::Nowhere { what: download.what.clone(), failures }
        }
    }
}

fn whole(mut response: Response) -> Result<Response, FetchError> {
    if response.status == 200 { Ok(response) } else { Err(response.refusal()) }
}

/// Writes the body of an answer behind what is there.
fn receive(
    download: &Download,
    response: &mut Response,
    partial: &mut Partial,
    told: &mut Told<'_>,
) -> Result<(), FetchError> {
    let url = Shown(&response.url).to_string();
    let announced = response.length().map(|length| partial.length().saturating_add(length));
    if let (Some(expected), Some(found)) = (download.length, announced)
        && expected != found
    {
        return Err(FetchError::Length { url, expected, found });
    }
    let limit = download.length.unwrap_or(download.limit);
    let broken =
        |error: &io::Error| FetchError::Transport { url: url.clone(), source: TransportError::connection(error) };
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match response.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(&error)),
        };
        if partial.length() + count as u64 > limit {
            partial.restart()?;
            return Err(FetchError::TooLarge { url, limit });
        }
        partial.write(&buffer[..count])?;
        told.reporter.report(Event::Advanced { work: told.work.to_owned(), steps: count as u64 });
    }
    match download.length.or(announced) {
        Some(expected) if partial.length() < expected => {
            let reason = format!("the connection broke off after {} of {expected} bytes", partial.length());
            Err(FetchError::Transport { url, source: TransportError { fault: TransportFault::Connection, reason } })
        }
        _ => Ok(()),
    }
}
