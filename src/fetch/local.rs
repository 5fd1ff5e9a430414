//! `file:` addresses: a mirror on a disk.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Headers, Method, Request, Response, TransportError, TransportFault};
use crate::fs;

/// Answers a request for a file as a server would: 200, 206 for what is left of it, 404, 405.
pub(super) fn send(request: &Request<'_>) -> Result<Response, TransportError> {
    let answer =
        |status, headers, body: Box<dyn Read + Send>| Response { status, headers, url: request.url.clone(), body };
    let nothing = |status| answer(status, Headers::new(), Box::new(io::empty()));
    if !request.method.is_safe() {
        return Ok(nothing(405));
    }
    let path = request.url.to_file_path().map_err(|()| TransportError {
        fault: TransportFault::Protocol,
        reason: "a `file:` address has no host and an absolute path".into(),
    })?;
    let file = fs::open(&path).and_then(|file| match file.metadata() {
        Ok(metadata) => Ok((file, metadata)),
        Err(error) => Err(fs::Error::on("look at", &*path)(error)),
    });
    let (mut file, metadata) = match file {
        Ok((file, metadata)) if metadata.is_file() => (file, metadata),
        Ok(_) => return Ok(nothing(404)),
        Err(error) if error.is_not_found() => return Ok(nothing(404)),
        Err(error) if error.is_unreachable() => return Ok(nothing(403)),
        Err(error) => return Err(TransportError::connection(&error.source)),
    };
    let total = metadata.len();
    let start = request.headers.get("range").and_then(start_of);
    let body = |file| -> Box<dyn Read + Send> {
        if request.method == Method::Head { Box::new(io::empty()) } else { Box::new(file) }
    };
    match start {
        Some(start) if start >= total => Ok(nothing(416)),
        Some(start) => {
            file.seek(SeekFrom::Start(start)).map_err(|error| TransportError::connection(&error))?;
            let headers = Headers::new()
                .with("content-range", format!("bytes {start}-{}/{total}", total - 1))
                .with("content-length", (total - start).to_string());
            Ok(answer(206, headers, body(file)))
        }
        None => Ok(answer(200, Headers::new().with("content-length", total.to_string()), body(file))),
    }
}

/// Reads `bytes=START-`, the only range that is asked for.
fn start_of(range: &str) -> Option<u64> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
