//! Files made from an archive: its decompressed copy, and sparse members in full.
//!
//! Comes in: an archive, and a directory to put files into. Goes out: the plain tar file. Always holds: a file in that
//! directory has the name of its origin's digest and is whole.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use liblzma::stream::{CONCATENATED, Stream};

use super::TarError;
use crate::digest::Digest;
use crate::fs;

/// Bytes of a tar header.
const BLOCK: u64 = 512;
/// Bytes decompressed at a time.
const CHUNK: usize = 256 * 1024;
/// The memory that an xz stream may ask for: its largest preset takes 65 MiB, and a window is 1.5 GiB at most.
const XZ_MEMORY: u64 = 256 << 20;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
    Xz,
}

/// The first bytes of compressed files, and how to read them.
const MAGICS: [(&[u8], Result<Compression, &str>); 7] = [
    (b"\x1f\x8b", Ok(Compression::Gzip)),
    (b"\x28\xb5\x2f\xfd", Ok(Compression::Zstd)),
    (b"\xfd7zXZ\0", Ok(Compression::Xz)),
    (b"BZh", Err("bzip2")),
    (b"LZIP", Err("lzip")),
    (b"\x04\x22\x4d\x18", Err("lz4")),
    (b"PK\x03\x04", Err("zip")),
];

/// Tells whether a file may be an archive, by its first bytes: it is compressed, it is empty, or the header of a member
/// stands there, which names the format or at least has numbers of octal digits (tar(5)).
///
/// # Errors
/// When it cannot be read.
pub fn may_be_archive(path: &Path) -> fs::Result<bool> {
    let mut start = Vec::new();
    fs::open(path)?.take(BLOCK).read_to_end(&mut start).map_err(fs::Error::on("read", path))?;
    let is_octal = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0));
    let header = start.get(257..262).is_some_and(|magic| magic == b"ustar")
        || start.get(100..124).is_some_and(is_octal) && start.get(148..156).is_some_and(is_octal);
    Ok(start.is_empty() || header || MAGICS.iter().any(|(magic, _)| start.starts_with(magic)))
}

/// Returns the path of the plain tar file: `archive` itself, or its decompressed copy in the directory `unpacked`, which is
/// made unless it is there already, of at most `limit` bytes.
pub(super) fn plain(archive: &Path, unpacked: &Path, limit: u64) -> Result<PathBuf, TarError> {
    let mut file = fs::open(archive)?;
    let mut start = Vec::new();
    (&file).take(8).read_to_end(&mut start).map_err(fs::Error::on("read", archive))?;
    let compression = match MAGICS.iter().find(|(magic, _)| start.starts_with(magic)) {
        None => return Ok(archive.to_owned()),
        Some((_, Ok(compression))) => *compression,
        Some((_, Err(name))) => return Err(TarError::Compression { archive: archive.to_owned(), name }),
    };
    file.rewind().map_err(fs::Error::on("read", archive))?;
    let (digest, _) = Digest::of_stream(&file).map_err(fs::Error::on("read", archive))?;
    let name = format!("{}.tar", digest.hex());
    let path = unpacked.join(&name);
    if fs::exists(&path)? {
        return Ok(path);
    }
    file.rewind().map_err(fs::Error::on("read", archive))?;
    let damaged = |source| TarError::Damaged { archive: archive.to_owned(), source };
    let decoder = compression.decoder(file).map_err(damaged)?;
    let new = NewFile::create(unpacked)?;
    decompress(archive, decoder, new.file(), limit)?;
    Ok(new.keep(&name)?)
}

impl Compression {
    fn decoder(self, file: File) -> io::Result<Box<dyn Read>> {
        let input = BufReader::with_capacity(CHUNK, file);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
        })
    }
}

fn decompress(archive: &Path, mut decoder: impl Read, mut to: &File, limit: u64) -> Result<(), TarError> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = match decoder.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(TarError::Damaged { archive: archive.to_owned(), source }),
        };
        total += count as u64;
        if total > limit {
            return Err(TarError::TooLarge { archive: archive.to_owned(), limit });
        }
        to.write_all(&buffer[..count]).map_err(fs::Error::on("write the decompressed copy of", archive))?;
    }
}

/// A file under a temporary name, removed again unless it is kept.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl NewFile {
    /// Creates a file in `directory`, which is created when it is missing.
    pub(super) fn create(directory: &Path) -> fs::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_directory(directory)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".{}-{count}.new", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        Ok(Self { file: file.map_err(fs::Error::on("create", &*path))?, path, kept: false })
    }

    /// Returns the file, to be written.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its own name, once its bytes are on the disk: a later run that finds the name finds all of it.
    pub(super) fn keep(mut self, name: &str) -> fs::Result<PathBuf> {
        self.file.sync_data().map_err(fs::Error::on("write", &*self.path))?;
        let path = self.path.with_file_name(name);
        fs::rename(&self.path, &path)?;
        self.kept = true;
        Ok(path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // Something else failed before; that error is the one to report.
            fs::remove_file(&self.path).ok();
        }
    }
}
