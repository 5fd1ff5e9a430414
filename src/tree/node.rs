//! What stands at a path of a tree.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::digest::{Digest, Hasher};
use crate::fs::{self, Stamp};

/// Extended attributes, by full name (`security.capability`), sorted.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Owner, mode, time and extended attributes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: at most `0o7777`.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of last change, in seconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Meta {
    /// Returns metadata owned by root, without extended attributes.
    pub fn root_owned(mode: u16, mtime: i64) -> Self {
        Self { mode, uid: 0, gid: 0, mtime, xattrs: Xattrs::new() }
    }
}

/// The number of a device (makedev(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// The driver.
    pub major: u32,
    /// The device of that driver.
    pub minor: u32,
}

impl DeviceNumber {
    /// The number of the character device that is a whiteout to overlayfs.
    pub const WHITEOUT: Self = Self { major: 0, minor: 0 };
}

/// What kind of thing a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular(Content),
    /// A directory; an opaque one hides what lower trees have in it.
    Directory {
        /// Whether lower trees' entries of this directory are hidden.
        opaque: bool,
    },
    /// A symbolic link and what it holds.
    Symlink(Box<[u8]>),
    /// A character device.
    CharacterDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Nothing: the path is removed from lower trees.
    Whiteout,
}

impl Kind {
    /// Returns a plain directory.
    pub fn directory() -> Self {
        Self::Directory { opaque: false }
    }

    /// Tells whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }

    /// Returns the word for it in manifests and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Regular(_) => "file",
            Self::Directory { .. } => "directory",
            Self::Symlink(_) => "symlink",
            Self::CharacterDevice(_) => "character-device",
            Self::BlockDevice(_) => "block-device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Whiteout => "whiteout",
        }
    }
}

/// One node: hard links are several paths with one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Owner, mode, time and extended attributes.
    pub meta: Meta,
}

impl Node {
    /// Returns a whiteout; its metadata is always the same, for it says nothing.
    pub fn whiteout() -> Self {
        Self { kind: Kind::Whiteout, meta: Meta::root_owned(0, 0) }
    }
}

/// The content of a regular file: what it is, by digest and length, and where its bytes can be had.
#[derive(Debug, Clone)]
pub struct Content {
    /// The digest of the bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub length: u64,
    /// Where the bytes are.
    pub source: ContentSource,
}

/// Two contents are equal when their bytes are; where they come from does not matter.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.length) == (other.digest, other.length)
    }
}

impl Eq for Content {}

/// Where the bytes of a content are.
#[derive(Debug, Clone)]
pub enum ContentSource {
    /// In memory: rendered text and other small pieces.
    Inline(Arc<[u8]>),
    /// A whole file of the host.
    File(Arc<Path>),
    /// A whole file of the host that had this stamp when it was hashed: as long as it has, nobody need hash it again.
    Stamped {
        /// The file.
        file: Arc<Path>,
        /// What told it apart.
        stamp: Stamp,
    },
    /// A part of a file of the host, such as a member of a tar archive.
    Slice {
        /// The file.
        file: Arc<Path>,
        /// The first byte.
        offset: u64,
    },
    /// A file inside an opened image, read from there whenever it is needed.
    Image {
        /// The image.
        image: Arc<dyn ContentStore>,
        /// What the image knows the file by.
        id: u64,
    },
}

/// An opened image that the contents of its files are read from.
pub trait ContentStore: fmt::Debug + Send + Sync {
    /// Opens the file known as `id`, to be read from its beginning to its end.
    ///
    /// # Errors
    /// When there is no such file or the image is damaged.
    fn open(&self, id: u64) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Returns where the image is, for messages.
    fn path(&self) -> &Path;
}

impl ContentSource {
    /// Returns the file of the host that holds the bytes, for messages; the empty path for bytes in memory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Inline(_) => Path::new(""),
            Self::File(file) | Self::Stamped { file, .. } | Self::Slice { file, .. } => file,
            Self::Image { image, .. } => image.path(),
        }
    }
}

impl Content {
    /// Returns the content made of `bytes`.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), length: bytes.len() as u64, source: ContentSource::Inline(bytes) }
    }

    /// Reads the file at `path` once and returns it as content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: Arc<Path>) -> fs::Result<Self> {
        let (digest, length) = Digest::of_stream(fs::open(&path)?).map_err(fs::Error::on("read", &*path))?;
        Ok(Self { digest, length, source: ContentSource::File(path) })
    }

    /// Returns the bytes, when there are at most `limit`; nothing when there are more.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self, limit: usize) -> fs::Result<Option<Vec<u8>>> {
        if self.length > limit as u64 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let count = self.open()?.read_to_end(&mut bytes);
        count.map_err(fs::Error::on("read", self.source.path()))?;
        Ok(Some(bytes))
    }

    /// Opens the bytes for reading from their beginning to their end.
    ///
    /// # Errors
    /// When the file that holds them cannot be opened.
    pub fn open(&self) -> fs::Result<ContentReader<'_>> {
        let source = match &self.source {
            ContentSource::Inline(bytes) => ReaderSource::Bytes(bytes),
            ContentSource::File(path) => ReaderSource::Slice { file: fs::open(path)?, offset: 0 },
            ContentSource::Stamped { file: path, stamp } => {
                let file = fs::open(path)?;
                return Ok(ContentReader {
                    source: ReaderSource::Slice { file, offset: 0 },
                    left: self.length,
                    stamped: Some((path, stamp)),
                });
            }
            ContentSource::Slice { file, offset } => ReaderSource::Slice { file: fs::open(file)?, offset: *offset },
            ContentSource::Image { image, id } => {
                let reader = image.open(*id).map_err(fs::Error::on("read a file of", image.path()))?;
                ReaderSource::Image(reader)
            }
        };
        Ok(ContentReader { source, left: self.length, stamped: None })
    }
}

/// Returns the digest of `length` bytes of `file` from `offset` on. A file that ends before is an error of kind
/// `UnexpectedEof`.
pub(super) fn digest_slice(file: &File, mut offset: u64, length: u64) -> io::Result<Digest> {
    // A small file gets a small buffer: clearing a large one takes longer than hashing what is in it.
    const CHUNK: u64 = 128 * 1024;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; length.min(CHUNK) as usize];
    let end = offset + length;
    while offset < end {
        let piece = &mut buffer[..CHUNK.min(end - offset) as usize];
        file.read_exact_at(piece, offset)?;
        hasher.update(piece);
        offset += piece.len() as u64;
    }
    Ok(hasher.finish().0)
}

/// Reads the bytes of a [`Content`]. A file that has become shorter since it was hashed is an error of kind
/// `UnexpectedEof`.
pub struct ContentReader<'content> {
    source: ReaderSource<'content>,
    left: u64,
    /// The path of the file, and the stamp that it had when it was hashed.
    stamped: Option<(&'content Path, &'content Stamp)>,
}

enum ReaderSource<'content> {
    Bytes(&'content [u8]),
    Slice { file: File, offset: u64 },
    Image(Box<dyn Read + Send + 'content>),
}

impl fmt::Debug for ContentReader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ContentReader").field("left", &self.left).finish_non_exhaustive()
    }
}

impl ContentReader<'_> {
    /// Tells whether the bytes are still those that were hashed, as far as that is known without hashing: in memory they
    /// are, and in a file that has the stamp that it had then. Asked after reading, it is true of what was read.
    pub fn is_as_hashed(&self) -> bool {
        match (&self.source, self.stamped) {
            (ReaderSource::Bytes(_), _) => true,
            (ReaderSource::Slice { file, .. }, Some((path, stamp))) => {
                Stamp::of_file(file, path).is_ok_and(|now| now == *stamp)
            }
            _ => false,
        }
    }

    /// Copies up to `length` of the next bytes to `position` of `target` without taking them through this process, where
    /// the file systems can do that; returns how many.
    pub fn copy_in_kernel(&mut self, target: &File, position: u64, length: u64) -> u64 {
        let ReaderSource::Slice { file, offset } = &mut self.source else { return 0 };
        let want = length.min(self.left);
        let (begin, mut to) = (*offset, position);
        while *offset - begin < want {
            let left = usize::try_from(want - (*offset - begin)).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(&*file, Some(offset), target, Some(&mut to), left) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let copied = *offset - begin;
        self.left -= copied;
        copied
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = match &mut self.source {
            ReaderSource::Bytes(bytes) => bytes.read(&mut buffer[..want])?,
            ReaderSource::Slice { file, offset } => {
                let count = file.read_at(&mut buffer[..want], *offset)?;
                *offset += count as u64;
                count
            }
            ReaderSource::Image(reader) => reader.read(&mut buffer[..want])?,
        };
        if count == 0 && want > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was used"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
