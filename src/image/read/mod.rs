//! Images of others, and our own, as trees.
//!
//! Comes in: a path of the host: a directory, a tar archive, an EROFS or squashfs image, a discoverable disk image that
//! holds one, or a container image. Goes out: its tree, and what is known about the file system and the disk around it. Always holds:
//! everything is taken for hostile: what an image may take of memory is bounded, and what is not understood is an error
//! that says so; contents stay in the image and are read when they are wanted.

mod assembly;
mod erofs;
mod section;
mod squashfs;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ddi::{self, Ddi};
use super::gpt::GptError;
use super::oci::{self, Container, ContainerFormat, OciError};
use crate::fs;
use crate::tree::{
    Incomplete, InvalidPath, ScanError, TarError, Tree, TreeError, TreePath, may_be_archive, read_tar, scan,
};

pub use section::Section;

/// An image, read.
#[derive(Debug)]
pub struct Opened {
    /// What it was taken for.
    pub format: Format,
    /// The file system, unless the format has none.
    pub file_system: Option<FileSystem>,
    /// The disk around it, for a disk image.
    pub disk: Option<Ddi>,
    /// What a container image says.
    pub container: Option<Container>,
    /// What is in it; nothing when the file system is one that is known by name only.
    pub tree: Option<Tree>,
}

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A directory of the host.
    Directory,
    /// A tar archive.
    Tar,
    /// A file system without partitions around it.
    Raw,
    /// A discoverable disk image: a partition table with typed partitions (UAPI.3).
    Ddi,
    /// A container image as a layout (OCI image-spec): a directory, or an archive of one.
    Oci,
    /// A container image as `docker save` writes it.
    DockerArchive,
}

/// What a file system says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSystem {
    /// Which it is.
    pub kind: FileSystemKind,
    /// Its block size, in bytes; nothing known is 0.
    pub block_size: u32,
    /// Its length, in bytes; nothing known is 0.
    pub size: u64,
    /// Compression that it may use.
    pub codecs: Vec<&'static str>,
    /// Features, by the names that the tools of the file system use.
    pub features: Vec<&'static str>,
    /// Its UUID, when it has one.
    #[serde(serialize_with = "uuid_text")]
    pub uuid: Option<[u8; 16]>,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub created: Option<i64>,
    /// Whether a node in it has an SELinux label.
    pub labelled: bool,
}

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystemKind {
    /// EROFS, which is read.
    Erofs,
    /// squashfs 4.0, which is read.
    Squashfs,
    /// ext2, known by name.
    Ext2,
    /// ext3, known by name.
    Ext3,
    /// ext4, known by name.
    Ext4,
    /// btrfs, known by name.
    Btrfs,
    /// XFS, known by name.
    Xfs,
    /// F2FS, known by name.
    F2fs,
    /// FAT, known by name.
    Vfat,
    /// ISO 9660, known by name.
    Iso9660,
    /// An encrypted volume (LUKS), known by name.
    Luks,
}

impl FileSystemKind {
    /// Returns its name as the kernel has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Xfs => "xfs",
            Self::F2fs => "f2fs",
            Self::Vfat => "vfat",
            Self::Iso9660 => "iso9660",
            Self::Luks => "crypto_LUKS",
        }
    }
}

impl FileSystem {
    /// Returns what is known of a file system that is not read.
    fn named(kind: FileSystemKind) -> Self {
        Self {
            kind,
            block_size: 0,
            size: 0,
            codecs: Vec::new(),
            features: Vec::new(),
            uuid: None,
            created: None,
            labelled: false,
        }
    }
}

/// An image that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// A directory cannot be taken as a tree.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// An archive cannot be taken as a tree.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The file is nothing that an image can be.
    #[error(
        "cannot read `{}`: it is {what}; expected a directory, a tar archive, an EROFS or squashfs image, or a disk \
         image with a GUID partition table", image.display()
    )]
    Unknown {
        /// The file.
        image: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is a container image that cannot be read.
    #[error("cannot read the container image `{}`", image.display())]
    Container {
        /// The image.
        image: PathBuf,
        /// Why not.
        #[source]
        source: Box<OciError>,
    },
    /// The partition table cannot be read.
    #[error("cannot read `{}`", image.display())]
    Disk {
        /// The image.
        image: PathBuf,
        /// What is wrong.
        #[source]
        source: GptError,
    },
    /// The file system in the image is damaged, or has something that trees do not take.
    #[error("cannot read {}`{}`", at.as_ref().map(|path| format!("`{}` in ", shown(path))).unwrap_or_default(), image.display())]
    Damaged {
        /// The image.
        image: PathBuf,
        /// Where in it.
        at: Option<TreePath>,
        /// What is wrong.
        #[source]
        fault: ImageFault,
    },
}

/// The characters of a hostile path that a message shows.
const SHOWN_PATH: usize = 200;

fn shown(path: &TreePath) -> String {
    let text = path.to_string();
    match text.char_indices().nth(SHOWN_PATH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    /// A part of it is not written as the format says.
    #[error("{0}: the image is damaged")]
    Malformed(&'static str),
    /// It has something that is not supported.
    #[error("it has {0}, which is not supported")]
    Unsupported(String),
    /// There is too much of something.
    #[error("there are more {0} than {1}, the most that is taken")]
    Limit(&'static str, u64),
    /// A name or path is none that a tree can have.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A path cannot stand in the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Part of it lies in a lower layer of an overlay mount.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    /// The EROFS image is damaged or uses what is not supported.
    #[error(transparent)]
    Erofs(#[from] erofs_rs::Error),
    /// Reading or decompressing failed.
    #[error(transparent)]
    Read(#[from] std::io::Error),
}

/// Reads the image at `path`; a symbolic link is followed. The directory `unpacked` takes what a compressed tar archive
/// decompresses to, see [`read_tar`].
///
/// # Errors
/// When it is no image, is damaged, or has something that trees do not take.
pub fn open(path: &Path, unpacked: &Path) -> Result<Opened, OpenError> {
    open_within(path, unpacked, CONTENTS)
}

/// How many bytes the files of an image may have, for every byte of the image and besides. A few bytes can claim any
/// number of zeros, which cost nothing but the time to hash them.
const CONTENTS: (u64, u64) = (64, 16 << 30);

fn open_within(path: &Path, unpacked: &Path, contents: (u64, u64)) -> Result<Opened, OpenError> {
    let stat = std::fs::metadata(path).map_err(fs::Error::on("look at", path))?;
    if stat.is_dir() {
        if oci::recognise(path, None).is_some() {
            return open_container(path, Format::Oci, None, unpacked);
        }
        return Ok(Opened::tree(Format::Directory, scan(path)?));
    }
    if !stat.is_file() {
        return Err(OpenError::Unknown { image: path.to_owned(), what: "neither a file nor a directory" });
    }
    let section = Section::open(path)?;
    if has_table(&section) {
        return open_disk(&section, contents);
    }
    if let Some(kind) = recognise(&section)? {
        let (file_system, tree) = read_file_system(&section, kind, contents)?;
        return Ok(Opened { format: Format::Raw, file_system: Some(file_system), disk: None, container: None, tree });
    }
    if !may_be_archive(path)? {
        return Err(OpenError::Unknown { image: path.to_owned(), what: "a file of another kind" });
    }
    let tree = read_tar(path, unpacked)?;
    let format = match oci::recognise(path, Some(&tree)) {
        None => return Ok(Opened::tree(Format::Tar, tree)),
        Some(ContainerFormat::Layout) => Format::Oci,
        Some(ContainerFormat::DockerArchive) => Format::DockerArchive,
    };
    open_container(path, format, Some(tree), unpacked)
}

impl Opened {
    /// Returns a tree that has nothing around it.
    fn tree(format: Format, tree: Tree) -> Self {
        Self { format, file_system: None, disk: None, container: None, tree: Some(tree) }
    }
}

fn open_container(path: &Path, format: Format, archive: Option<Tree>, unpacked: &Path) -> Result<Opened, OpenError> {
    let opened = oci::open(path, archive, unpacked);
    let (container, tree) =
        opened.map_err(|source| OpenError::Container { image: path.to_owned(), source: Box::new(source) })?;
    Ok(Opened { container: Some(container), ..Opened::tree(format, tree) })
}

/// Tells whether a partition table begins where one does, for sectors of 512 or 4096 bytes.
fn has_table(section: &Section) -> bool {
    [512, 4096].into_iter().any(|offset| section.read_at(offset, 8).is_ok_and(|found| found == b"EFI PART"))
}

/// Reads a disk image: its table, and the file system in its data partition.
fn open_disk(section: &Section, contents: (u64, u64)) -> Result<Opened, OpenError> {
    let disk = ddi::read(section.file(), section.length());
    let disk = disk.map_err(|source| OpenError::Disk { image: section.path().to_owned(), source })?;
    let (mut file_system, mut tree) = (None, None);
    if let Some((partition, _)) = &disk.data {
        let part = section.part(partition.offset, partition.length);
        if let Some(kind) = recognise(&part)? {
            let (found, read) = read_file_system(&part, kind, contents)?;
            (file_system, tree) = (Some(found), read);
        }
    }
    Ok(Opened { format: Format::Ddi, file_system, disk: Some(disk), container: None, tree })
}

/// Reads the file system of a kind in a section; one that is known by name only has no tree.
fn read_file_system(
    section: &Section,
    kind: FileSystemKind,
    (factor, besides): (u64, u64),
) -> Result<(FileSystem, Option<Tree>), OpenError> {
    let limit = section.length().saturating_mul(factor).saturating_add(besides);
    match kind {
        FileSystemKind::Erofs => erofs::read(section, limit).map(|(system, tree)| (system, Some(tree))),
        FileSystemKind::Squashfs => squashfs::read(section, limit).map(|(system, tree)| (system, Some(tree))),
        other => Ok((FileSystem::named(other), None)),
    }
}

/// Where the marks of file systems stand: offset, bytes, kind.
const MARKS: [(u64, &[u8], FileSystemKind); 9] = [
    (0, squashfs::MAGIC, FileSystemKind::Squashfs),
    (erofs::SUPERBLOCK, &erofs::MAGIC, FileSystemKind::Erofs),
    (1024 + 56, b"\x53\xef", FileSystemKind::Ext2),
    (0x1_0040, b"_BHRfS_M", FileSystemKind::Btrfs),
    (0, b"XFSB", FileSystemKind::Xfs),
    (1024, b"\x10\x20\xf5\xf2", FileSystemKind::F2fs),
    (0, b"LUKS\xba\xbe", FileSystemKind::Luks),
    (82, b"FAT32   ", FileSystemKind::Vfat),
    (0x8001, b"CD001", FileSystemKind::Iso9660),
];

/// Tells which file system a section holds, if any.
fn recognise(section: &Section) -> Result<Option<FileSystemKind>, OpenError> {
    let has = |offset: u64, mark: &[u8]| {
        let mut found = vec![0; mark.len()];
        section.length() >= offset + mark.len() as u64
            && section.read_exact_at(&mut found, offset).is_ok()
            && found == mark
    };
    let kind = MARKS.iter().find(|(offset, mark, _)| has(*offset, mark)).map(|(.., kind)| *kind);
    Ok(match kind {
        // A journal makes it ext3, extents ext4 (`s_feature_compat`, `s_feature_incompat`).
        Some(FileSystemKind::Ext2) => {
            let mut features = [0; 8];
            section.read_exact_at(&mut features, 1024 + 92).map_err(fs::Error::on("read", section.path()))?;
            Some(match (features[0] & 0x04 != 0, features[4] & 0x40 != 0) {
                (_, true) => FileSystemKind::Ext4,
                (true, false) => FileSystemKind::Ext3,
                (false, false) => FileSystemKind::Ext2,
            })
        }
        other => other,
    })
}

/// Writes 16 bytes as the text form of a UUID (RFC 9562).
pub fn format_uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
    }
    text
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn uuid_text<S: serde::Serializer>(uuid: &Option<[u8; 16]>, serializer: S) -> Result<S::Ok, S::Error> {
    uuid.as_ref().map(format_uuid).serialize(serializer)
}

#[cfg(test)]
mod tests;
