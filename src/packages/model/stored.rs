//! Texts that only few packages are asked for: where a package is, and its digest.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::pool::Text;
use crate::fs;

/// A text of a pool that is looked up when it is asked for ([`Pool::stored`](super::Pool::stored)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored(pub(super) Text);

/// The texts of a pool that are looked up when they are asked for.
#[derive(Debug, Clone)]
pub(super) enum Shelf {
    /// They are in memory.
    Here(Vec<u8>),
    /// They are in the file that the pool was read from: replaced meanwhile or not, it is the one that was verified.
    File(Arc<Kept>),
}

/// Where texts are kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) file: File,
    pub(super) path: Box<Path>,
    /// Where in the file they begin.
    pub(super) start: u64,
    /// How many bytes they have.
    pub(super) length: u32,
}

impl Default for Shelf {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

impl Shelf {
    /// Returns a text.
    pub(super) fn get(&self, Stored(text): Stored) -> fs::Result<Vec<u8>> {
        match self {
            Self::Here(bytes) => Ok(bytes[text.start as usize..][..text.length as usize].to_vec()),
            Self::File(kept) => kept.read(text),
        }
    }

    /// Returns all texts.
    pub(super) fn all(self) -> fs::Result<Vec<u8>> {
        match self {
            Self::Here(bytes) => Ok(bytes),
            Self::File(kept) => kept.read(Text { start: 0, length: kept.length }),
        }
    }
}

impl Kept {
    fn read(&self, text: Text) -> fs::Result<Vec<u8>> {
        let mut bytes = vec![0; text.length as usize];
        let read = self.file.read_exact_at(&mut bytes, self.start + u64::from(text.start));
        read.map_err(fs::Error::on("read", &*self.path))?;
        Ok(bytes)
    }
}
