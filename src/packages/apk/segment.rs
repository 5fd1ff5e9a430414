//! Files that are made of several gzip members, one after the other (RFC 1952, 2.2): indexes and packages of apk.
//!
//! Comes in: the bytes of a file. Goes out: a reader for what each member holds, and the digests of the members as they are
//! stored. Always holds: borders are where the compressed data ends, never where bytes look like a header.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use sha1::{Digest as _, Sha1};

use crate::digest::{Digest, Hasher};

/// Which digest of a stored member is made.
#[derive(Debug)]
pub(super) enum Watch {
    Nothing,
    Sha1(Sha1),
    Sha256(Box<Hasher>),
}

/// Counts and hashes what is consumed.
#[derive(Debug)]
pub(super) struct Counted<R> {
    input: BufReader<R>,
    position: u64,
    watch: Watch,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let bytes = &self.input.buffer()[..count];
        match &mut self.watch {
            Watch::Nothing => {}
            Watch::Sha1(hasher) => hasher.update(bytes),
            Watch::Sha256(hasher) => hasher.update(bytes),
        }
        self.position += count as u64;
        self.input.consume(count);
    }
}

/// Reads a file member by member.
#[derive(Debug)]
pub(super) struct Segments<R> {
    input: Counted<R>,
}

impl<R: Read> Segments<R> {
    pub(super) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(crate::packages::archive::CHUNK, input);
        Self { input: Counted { input, position: 0, watch: Watch::Nothing } }
    }

    /// Returns where the next member begins.
    pub(super) fn position(&self) -> u64 {
        self.input.position
    }

    /// Tells whether the file has come to its end.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.is_empty())
    }

    /// Opens the next member, which has to be read to its end before the one after it.
    pub(super) fn open(&mut self, watch: Watch) -> Segment<'_, R> {
        self.input.watch = watch;
        Segment(GzDecoder::new(&mut self.input))
    }

    /// Returns the SHA-1 of the member read last, as it is stored.
    pub(super) fn sha1(&mut self) -> [u8; 20] {
        match std::mem::replace(&mut self.input.watch, Watch::Nothing) {
            Watch::Sha1(hasher) => hasher.finalize().into(),
            _ => [0; 20],
        }
    }

    /// Returns the SHA-256 of the member read last, as it is stored.
    pub(super) fn sha256(&mut self) -> Option<Digest> {
        match std::mem::replace(&mut self.input.watch, Watch::Nothing) {
            Watch::Sha256(hasher) => Some(hasher.finish().0),
            _ => None,
        }
    }
}

/// What a member holds.
#[derive(Debug)]
pub(super) struct Segment<'file, R: Read>(GzDecoder<&'file mut Counted<R>>);

impl<R: Read> Read for Segment<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
