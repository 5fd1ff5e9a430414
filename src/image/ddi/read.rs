//! Images that may hold anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use uuid::Uuid;

use super::MOST_SIGNATURE;
use crate::digest::Digest;
use crate::image::gpt::{
    self, GROW_FILE_SYSTEM, GptError, NO_AUTO, Partition, PartitionKind, PartitionType, READ_ONLY, Reading,
};
use crate::image::signature::{Certificate, SignatureError, SignatureRecord};
use crate::image::verity::{self, Region, Superblock, VerityError};

/// An image as it was found.
#[derive(Debug)]
pub struct Ddi {
    /// The table of partitions and what is wrong with it.
    pub reading: Reading,
    /// The partition with the file system, and what it is for.
    pub data: Option<(Partition, PartitionType)>,
    /// The hash tree of the data.
    pub tree: Option<HashTree>,
    /// The signature of the root hash.
    pub signature: Option<SignaturePartition>,
    /// What is wrong beside the table.
    pub faults: Vec<Fault>,
}

/// The hash tree of an image.
#[derive(Debug)]
pub struct HashTree {
    /// Where it is.
    pub partition: Partition,
    /// What it was made with.
    pub superblock: Superblock,
    /// The digest of its topmost block.
    pub root_hash: Digest,
}

/// The signature partition of an image.
#[derive(Debug)]
pub struct SignaturePartition {
    /// Where it is.
    pub partition: Partition,
    /// What it holds.
    pub record: Result<SignatureRecord, SignatureError>,
}

/// Something wrong with an image whose table can be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is nothing to mount.
    #[error("there is no root or usr partition of a known type")]
    NoData,
    /// systemd takes one of them, or none.
    #[error("there is more than one partition of the type `{0}`")]
    Several(String),
    /// A hash tree or signature of something that is not there.
    #[error("the partition `{found}` is not for the data partition `{data}`")]
    Stray {
        /// The type of the data.
        data: String,
        /// The type that was found.
        found: String,
    },
    /// systemd 260 and later refuse the image of a portable service whose partitions are not read-only.
    #[error("the partition `{0}` is not marked read-only")]
    NotReadOnly(String),
    /// systemd 260 and later refuse the image of a portable service that grows.
    #[error("the partition `{0}` is marked to be grown")]
    Grows(String),
    /// systemd does not find it.
    #[error("the partition `{0}` is marked not to be discovered")]
    NotDiscovered(String),
    /// The hash tree cannot be understood.
    #[error("the hash tree: {0}")]
    Tree(#[source] VerityError),
    /// systemd 258 and later take the root hash from the UUIDs.
    #[error("the root hash is {}, the UUIDs of the partitions say {}", found.hex(), named.hex())]
    RootHash {
        /// The root hash of the tree.
        found: Digest,
        /// The one that the UUIDs make.
        named: Digest,
    },
    /// A signature of nothing.
    #[error("there is a signature but no hash tree")]
    NoTree,
    /// The signature cannot be understood.
    #[error("the signature partition cannot be used")]
    Signature,
    /// The signature is one of another image.
    #[error("the signature is of the root hash {}, the image has {}", signed.hex(), found.hex())]
    SignedHash {
        /// The one that was signed.
        signed: Digest,
        /// The one of the tree.
        found: Digest,
    },
}

/// An image that is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no hash tree.
    #[error("the image has no verity hash tree")]
    NoTree,
    /// There is no signature.
    #[error("the image is not signed")]
    NoSignature,
    /// The partition UUIDs are not halves of the root hash.
    #[error("the root hash of the hash tree is not the one that the UUIDs of the partitions make")]
    RootHash,
    /// Data or tree were changed.
    #[error(transparent)]
    Verity(#[from] VerityError),
    /// The signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signature cannot be understood.
    #[error("the signature partition cannot be used: {0}")]
    Malformed(String),
}

/// Reads what an image of `length` bytes is. Data and tree are not checked: [`Ddi::verify`] does that.
///
/// # Errors
/// When it cannot be read or has no table of partitions.
pub fn read(image: &File, length: u64) -> Result<Ddi, GptError> {
    let reading = gpt::read(image, length)?;
    let mut ddi = Ddi { reading, data: None, tree: None, signature: None, faults: Vec::new() };
    // What reaches out of the image is a fault of the table, and cannot be read.
    let inside = ddi.reading.table.partitions.iter().filter(|partition| partition.end() <= length);
    let known = inside.filter_map(|partition| Some((partition.clone(), partition.kind()?)));
    let known: Vec<(Partition, PartitionType)> = known.collect();
    ddi.flags(&known);
    ddi.data = known.iter().find(|(_, kind)| kind.kind == PartitionKind::Data).cloned();
    let Some((data, data_kind)) = ddi.data.clone() else {
        ddi.faults.push(Fault::NoData);
        return Ok(ddi);
    };
    for (index, (partition, kind)) in known.iter().enumerate() {
        let own = PartitionType { kind: kind.kind, ..data_kind } == *kind;
        if known[..index].iter().any(|(_, earlier)| earlier == kind) {
            ddi.faults.push(Fault::Several(kind.label()));
        } else if kind.kind != PartitionKind::Data && !own {
            ddi.faults.push(Fault::Stray { data: data_kind.label(), found: kind.label() });
        } else if kind.kind == PartitionKind::Verity {
            ddi.add_tree(image, &data, partition);
        }
    }
    let signature = PartitionType { kind: PartitionKind::Signature, ..data_kind };
    if let Some((partition, _)) = known.iter().find(|(_, kind)| *kind == signature) {
        ddi.add_signature(image, partition)?;
    }
    Ok(ddi)
}

impl Ddi {
    /// Returns everything that is wrong, as sentences.
    pub fn faults(&self) -> impl Iterator<Item = String> {
        self.reading.faults.iter().map(ToString::to_string).chain(self.faults.iter().map(ToString::to_string))
    }

    /// Returns the root hash that the UUIDs of the partitions make.
    pub fn named_root_hash(&self) -> Option<Digest> {
        let (data, _) = self.data.as_ref()?;
        let halves = [data.uuid.into_bytes(), self.tree.as_ref()?.partition.uuid.into_bytes()].concat();
        Some(Digest::from_bytes(halves.try_into().ok()?))
    }

    /// Checks every block of data and tree against the root hash that the UUIDs make, and, when a certificate is given,
    /// that the root hash is signed by its key.
    ///
    /// # Errors
    /// When something is missing or wrong; the first bad block is named.
    pub fn verify(&self, image: &File, certificate: Option<&Certificate>) -> Result<Digest, VerifyError> {
        let (Some((data, _)), Some(tree)) = (&self.data, &self.tree) else { return Err(VerifyError::NoTree) };
        let root = self.named_root_hash().filter(|named| *named == tree.root_hash).ok_or(VerifyError::RootHash)?;
        if let Some(certificate) = certificate {
            let signature = self.signature.as_ref().ok_or(VerifyError::NoSignature)?;
            let record = signature.record.as_ref().map_err(|error| VerifyError::Malformed(error.to_string()))?;
            record.verify(&root, certificate)?;
        }
        verity::verify(region(image, data), region(image, &tree.partition), &root)?;
        Ok(root)
    }

    fn flags(&mut self, known: &[(Partition, PartitionType)]) {
        for (partition, kind) in known {
            let flag = |flag| partition.flags & flag != 0;
            let checks = [
                (!flag(READ_ONLY)).then(|| Fault::NotReadOnly(kind.label())),
                flag(GROW_FILE_SYSTEM).then(|| Fault::Grows(kind.label())),
                flag(NO_AUTO).then(|| Fault::NotDiscovered(kind.label())),
            ];
            self.faults.extend(checks.into_iter().flatten());
        }
    }

    fn add_tree(&mut self, image: &File, data: &Partition, partition: &Partition) {
        let tree = region(image, partition);
        let found = Superblock::read(tree).and_then(|superblock| {
            let root_hash = superblock.root_hash(region(image, data), tree)?;
            Ok(HashTree { partition: partition.clone(), superblock, root_hash })
        });
        match found {
            Ok(tree) => {
                let root_hash = tree.root_hash;
                self.tree = Some(tree);
                let named = self.named_root_hash().filter(|named| *named != root_hash);
                self.faults.extend(named.map(|named| Fault::RootHash { found: root_hash, named }));
            }
            Err(error) => self.faults.push(Fault::Tree(error)),
        }
    }

    fn add_signature(&mut self, image: &File, partition: &Partition) -> io::Result<()> {
        let record = if partition.length > MOST_SIGNATURE {
            Err(SignatureError::Malformed(format!("a partition of {} bytes cannot hold it", partition.length)))
        } else {
            let mut bytes = vec![0; usize::try_from(partition.length).unwrap_or_default()];
            image.read_exact_at(&mut bytes, partition.offset)?;
            SignatureRecord::parse(&bytes)
        };
        match (&record, &self.tree) {
            (Err(_), _) => self.faults.push(Fault::Signature),
            (_, None) => self.faults.push(Fault::NoTree),
            (Ok(record), Some(tree)) if record.root_hash != tree.root_hash => {
                self.faults.push(Fault::SignedHash { signed: record.root_hash, found: tree.root_hash });
            }
            _ => {}
        }
        self.signature = Some(SignaturePartition { partition: partition.clone(), record });
        Ok(())
    }
}

/// Returns a partition as a part of the image.
pub(super) fn region<'file>(image: &'file File, partition: &Partition) -> Region<'file> {
    Region { file: image, offset: partition.offset, length: partition.length }
}

/// Returns the UUIDs that a root hash gives to data and hash tree.
pub(super) fn halves(root: &Digest) -> [Uuid; 2] {
    let bytes = root.as_bytes();
    let half = |start: usize| {
        let mut half = [0; 16];
        half.copy_from_slice(&bytes[start..start + 16]);
        Uuid::from_bytes(half)
    };
    [half(0), half(16)]
}
