//! The content of a file, read once and checked.

use std::io::{self, Read};

use super::ErofsError;
use super::plan::File;
use crate::digest::Hasher;
use crate::fs;
use crate::tree::ContentReader;

/// Reads a content from its beginning to its end, and tells at the end whether it is what the tree says.
pub(super) struct Source<'a> {
    file: &'a File<'a>,
    reader: ContentReader<'a>,
    /// Nothing for what is known to be as it was hashed.
    hasher: Option<Hasher>,
}

impl<'a> Source<'a> {
    /// Opens the content of `file`.
    pub(super) fn open(file: &'a File<'a>) -> Result<Self, ErofsError> {
        let reader = file.content.open().map_err(|source| ErofsError::Content { path: file.path.clone(), source })?;
        let hasher = (!reader.is_as_hashed()).then(Hasher::new);
        Ok(Self { file, reader, hasher })
    }

    /// Fills `bytes` with what comes next.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<(), ErofsError> {
        match self.reader.read_exact(bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(self.changed()),
            Err(error) => return Err(self.unreadable(error)),
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    /// Copies up to `length` of what comes next to `position` of `target` without reading it, if nobody need look at it;
    /// returns how many bytes.
    pub(super) fn copy(&mut self, target: &std::fs::File, position: u64, length: u64) -> u64 {
        if self.hasher.is_some() { 0 } else { self.reader.copy_in_kernel(target, position, length) }
    }

    /// Checks what was read, which was all of it.
    pub(super) fn finish(mut self) -> Result<(), ErofsError> {
        let same = match self.hasher.take() {
            Some(hasher) => hasher.finish() == (self.file.content.digest, self.file.content.length),
            None => self.reader.is_as_hashed(),
        };
        if same { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> ErofsError {
        ErofsError::Changed { path: self.file.path.clone() }
    }

    fn unreadable(&self, error: io::Error) -> ErofsError {
        let host = self.file.content.source.path();
        ErofsError::Content { path: self.file.path.clone(), source: fs::Error::on("read", host)(error) }
    }
}
