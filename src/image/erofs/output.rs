//! The part of a file that an image is written to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::source::Source;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;

/// Where an image is written to: everything of `file` from `start` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<'file> {
    file: &'file File,
    start: u64,
}

impl<'file> Output<'file> {
    /// Takes what stands from `start` on out of the file: what is not written from now on is zero.
    pub(super) fn new(file: &'file File, start: u64) -> io::Result<Self> {
        file.set_len(start)?;
        Ok(Self { file, start })
    }

    /// Writes `bytes` at `position` of the image.
    pub(super) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, self.start + position)
    }

    /// Copies up to `length` of what comes next in `source` to `position` of the image, if the system can do that by itself;
    /// returns how many bytes.
    pub(super) fn copy_from(&self, source: &mut Source<'_>, position: u64, length: u64) -> u64 {
        source.copy(self.file, self.start + position, length)
    }

    /// Makes the image `size` bytes long.
    pub(super) fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_len(self.start + size)
    }

    /// Returns a writer that goes on from `position`.
    pub(super) fn writer(&self, position: u64) -> OutputWriter<'_> {
        OutputWriter { output: self, position, buffer: Vec::new() }
    }
}

/// Writes bytes one behind the other.
#[derive(Debug)]
pub(super) struct OutputWriter<'output> {
    output: &'output Output<'output>,
    /// Where the buffer will be written.
    position: u64,
    buffer: Vec<u8>,
}

impl OutputWriter<'_> {
    /// Puts zeros up to `position`, which was not passed yet.
    pub(super) fn pad_to(&mut self, position: u64) -> io::Result<()> {
        while self.position + (self.buffer.len() as u64) < position {
            let missing = position - self.position - self.buffer.len() as u64;
            self.buffer.resize(self.buffer.len() + missing.min(BUFFER as u64) as usize, 0);
            self.flush_full()?;
        }
        Ok(())
    }

    /// Puts what `encode` appends.
    pub(super) fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        encode(&mut self.buffer);
        self.flush_full()
    }

    fn flush_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes what was put.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.write_at(&self.buffer, self.position)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
