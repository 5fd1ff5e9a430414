//! Tells what an image is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::lint::{class_of, name_of};
use crate::error::Error;
use crate::image::ddi::Ddi;
use crate::image::oci::Container;
use crate::image::read::{self, FileSystem, Format, Opened};
use crate::image::signature::Pkcs7;
use crate::lint::{Class, Subject, Target};
use crate::store::Store;
use crate::tree::{Kind, Tree, TreePath};

/// What is known about an image.
#[derive(Debug, Serialize)]
pub struct InspectReport {
    /// Where it is.
    pub path: PathBuf,
    /// What it was taken for.
    pub format: Format,
    /// What it seems to be meant for.
    pub class: Option<Class>,
    /// The disk around it.
    pub disk: Option<Disk>,
    /// The file system.
    pub file_system: Option<FileSystem>,
    /// What a container image says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Fields of its release files, by path.
    pub releases: BTreeMap<TreePath, BTreeMap<String, String>>,
    /// The names of its units.
    pub units: Vec<String>,
    /// How much is in it.
    pub summary: Option<Summary>,
    /// What is in it; nothing when the file system is only known by name.
    #[serde(skip)]
    pub tree: Option<Tree>,
}

/// What is known about a disk image.
#[derive(Debug, Serialize)]
pub struct Disk {
    /// The identity of the disk.
    pub uuid: String,
    /// Its partitions.
    pub partitions: Vec<PartitionLine>,
    /// Whether the data are hashed, and by what.
    pub verity: Option<VerityLine>,
    /// Who signed.
    pub signature: Option<SignatureLine>,
    /// Everything that is wrong with it.
    pub faults: Vec<String>,
}

/// One partition.
#[derive(Debug, Serialize)]
pub struct PartitionLine {
    /// Its label.
    pub label: String,
    /// What it is for, or else the UUID of its type.
    pub kind: String,
    /// Its identity.
    pub uuid: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// Its flags, in hexadecimal digits.
    pub flags: String,
}

/// The hash tree of the data.
#[derive(Debug, Serialize)]
pub struct VerityLine {
    /// The root hash, in hexadecimal digits.
    pub root_hash: String,
    /// Whether the UUIDs of the partitions are its halves.
    pub named_by_uuids: bool,
}

/// The signature of the root hash. Whether it is right says `verify`.
#[derive(Debug, Serialize)]
pub struct SignatureLine {
    /// The root hash that it speaks of.
    pub root_hash: String,
    /// The fingerprint of the certificate that it names.
    pub fingerprint: Option<String>,
    /// The subjects of the certificates in it.
    pub signers: Vec<String>,
}

/// How much is in a tree.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// All paths.
    pub paths: usize,
    /// Regular files, each counted once.
    pub files: usize,
    /// Directories.
    pub directories: usize,
    /// Symbolic links.
    pub symlinks: usize,
    /// Further names of files.
    pub hard_links: usize,
    /// Devices, fifos and sockets.
    pub special: usize,
    /// Bytes of all files, each counted once.
    pub bytes: u64,
    /// Files with a setuid or setgid bit.
    pub privileged: Vec<TreePath>,
    /// Nodes with extended attributes.
    pub with_xattrs: usize,
    /// The digest of the whole tree.
    pub digest: String,
}

/// Looks into an image: a directory, a tar archive, a file system, a disk image, or a container image.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn inspect(store: &Store, path: &Path) -> Result<InspectReport, Error> {
    let Opened { format, file_system, disk, container, tree } = read::open(path, &store.archives())?;
    let name = name_of(path);
    let class = tree.as_ref().and_then(|tree| class_of(tree, &name));
    let target = Target::default();
    let mut subject = Subject::new(class.unwrap_or(Class::Oci), &name, format, &target);
    subject.tree = tree.as_ref();
    let (releases, units) = (subject.release_fields(), subject.unit_names());
    Ok(InspectReport {
        path: path.to_owned(),
        format,
        class,
        disk: disk.as_ref().map(describe),
        file_system,
        container,
        releases,
        units,
        summary: tree.as_ref().map(summarise),
        tree,
    })
}

fn describe(disk: &Ddi) -> Disk {
    let partition = |partition: &crate::image::gpt::Partition| PartitionLine {
        label: partition.label.clone(),
        kind: partition.kind().map_or_else(|| partition.type_uuid.to_string(), |kind| kind.label()),
        uuid: partition.uuid.to_string(),
        offset: partition.offset,
        length: partition.length,
        flags: format!("{:016x}", partition.flags),
    };
    let record = disk.signature.as_ref().and_then(|found| found.record.as_ref().ok());
    Disk {
        uuid: disk.reading.table.disk.to_string(),
        partitions: disk.reading.table.partitions.iter().map(partition).collect(),
        verity: disk.tree.as_ref().map(|tree| VerityLine {
            root_hash: tree.root_hash.hex(),
            named_by_uuids: disk.named_root_hash() == Some(tree.root_hash),
        }),
        signature: record.map(|record| SignatureLine {
            root_hash: record.root_hash.hex(),
            fingerprint: record.fingerprint.map(|digest| digest.hex()),
            signers: Pkcs7::from_der(&record.signature).map_or_else(
                |_| Vec::new(),
                |pkcs7| pkcs7.certificates.iter().map(|certificate| certificate.subject().to_owned()).collect(),
            ),
        }),
        faults: disk.faults().collect(),
    }
}

fn summarise(tree: &Tree) -> Summary {
    let mut summary = Summary { paths: tree.len(), digest: tree.digest().to_string(), ..Summary::default() };
    for (path, node, first) in tree.links() {
        if first.is_some() {
            summary.hard_links += 1;
            continue;
        }
        summary.with_xattrs += usize::from(!node.meta.xattrs.is_empty());
        match &node.kind {
            Kind::Regular(content) => {
                summary.files += 1;
                summary.bytes += content.length;
                if node.meta.mode & 0o6000 != 0 {
                    summary.privileged.push(path.clone());
                }
            }
            Kind::Directory { .. } => summary.directories += 1,
            Kind::Symlink(_) => summary.symlinks += 1,
            _ => summary.special += 1,
        }
    }
    summary
}
