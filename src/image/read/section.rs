//! A part of a file that holds a file system.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::fs;

/// Bytes of a file of the host, read where they are wanted.
#[derive(Debug, Clone)]
pub struct Section {
    file: Arc<File>,
    path: Arc<Path>,
    offset: u64,
    length: u64,
}

impl Section {
    /// Opens the whole of the regular file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> fs::Result<Self> {
        let file = fs::open(path)?;
        let length = file.metadata().map_err(fs::Error::on("look at", path))?.len();
        Ok(Self { file: Arc::new(file), path: path.into(), offset: 0, length })
    }

    /// Returns the part of it that begins at `offset` and has `length` bytes, as far as it is there.
    pub fn part(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        let length = length.min(self.length - offset);
        Self { offset: self.offset + offset, length, ..self.clone() }
    }

    /// Returns the number of bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the file that the section is a part of.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Of kind `UnexpectedEof` when the section ends before; whatever the file says otherwise.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the image is cut short"));
        }
        self.file.read_exact_at(buffer, self.offset + offset)
    }

    /// Returns `length` bytes from `offset` on. `length` is a bound that the caller has checked.
    ///
    /// # Errors
    /// As [`Self::read_exact_at`].
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
