//! Signatures for images that are written already.
//!
//! At every moment the image is what it was or what it becomes: the signature is on the disk before the backup table
//! speaks of it, and that before the primary one does. Only where a signature is replaced a crash may leave half of it; such
//! an image is refused by systemd until it is signed again.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use super::read::{Ddi, read};
use super::{DdiError, MOST_SIGNATURE, Result, SIGNATURE_LENGTH};
use crate::digest::Digest;
use crate::image::gpt::{ALIGNMENT, Partition, PartitionKind, PartitionType, Seed, Table};
use crate::image::signature::{SignatureRecord, Signer};
use crate::image::verity::VerityError;

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The root hash that is signed.
    pub root_hash: Digest,
    /// Whether there was a signature before.
    pub replaced: bool,
}

/// Signs an image in place, after every block was checked against its root hash. `image` must be readable and writable.
/// A signature that is there is replaced; otherwise a partition for it is added, in the room that was left or behind
/// everything else. Its UUID is derived from `seed`, or from the identity of the disk.
///
/// # Errors
/// When the image is faulty, has no hash tree or one that does not fit the data, has no room, is in use, or signing,
/// reading or writing fails.
pub fn sign(image: &File, signer: &Signer, seed: Option<Seed>) -> Result<Signed> {
    image.try_lock().map_err(|_| DdiError::Busy)?;
    let signed = sign_locked(image, signer, seed);
    image.unlock()?;
    signed
}

fn sign_locked(image: &File, signer: &Signer, seed: Option<Seed>) -> Result<Signed> {
    let mut end = image;
    let length = end.seek(SeekFrom::End(0))?;
    let ddi = read(image, length)?;
    let kind = check(image, &ddi)?;
    let root_hash = ddi.tree.as_ref().ok_or(DdiError::NoTree)?.root_hash;
    let record = signer.sign(&root_hash)?;
    let table = ddi.reading.table;
    let replaced = ddi.signature.is_some();
    match ddi.signature {
        Some(signature) => {
            let partition = signature.partition;
            image.write_all_at(&padded(&record, partition.length.min(MOST_SIGNATURE))?, partition.offset)?;
            image.sync_data()?;
        }
        None => {
            let seed = seed.unwrap_or_else(|| Seed::from_bytes(table.disk.into_bytes()));
            add(image, table, &record, Partition::new(kind, seed.partition(kind), 0, SIGNATURE_LENGTH))?;
        }
    }
    Ok(Signed { root_hash, replaced })
}

/// Checks that the image is what should be signed; returns the type that its signature has.
fn check(image: &File, ddi: &Ddi) -> Result<PartitionType> {
    use super::Fault::{Grows, NoTree, NotDiscovered, NotReadOnly, Signature, SignedHash};
    let Some((_, data)) = &ddi.data else { return Err(DdiError::NoTree) };
    // Those of the signature are mended by a new one, flags do not change what is signed.
    let others = ddi.faults.iter().filter(|fault| {
        !matches!(fault, Signature | SignedHash { .. } | NoTree | NotReadOnly(_) | Grows(_) | NotDiscovered(_))
    });
    let first = ddi.reading.faults.first().map(ToString::to_string).or(others.map(ToString::to_string).next());
    if let Some(fault) = first {
        return Err(DdiError::Faulty(fault));
    }
    match ddi.verify(image, None) {
        Ok(_) => Ok(PartitionType { kind: PartitionKind::Signature, ..*data }),
        Err(super::VerifyError::NoTree) => Err(DdiError::NoTree),
        Err(super::VerifyError::Verity(error @ VerityError::File(_))) => Err(error.into()),
        Err(error) => Err(DdiError::Faulty(error.to_string())),
    }
}

/// Adds a signature partition.
fn add(image: &File, mut table: Table, record: &SignatureRecord, partition: Partition) -> Result<()> {
    let bytes = padded(record, partition.length)?;
    if !table.is_written_in(image)? {
        return Err(DdiError::NoRoom {
            reason: "its partition table is laid out as layerforge does not write it; make the image anew with \
                     `verity = \"defer\"`",
        });
    }
    let offset = table.end().next_multiple_of(ALIGNMENT);
    let missing = (offset + partition.length).saturating_sub(table.usable_end());
    if missing > 0 {
        if !image.metadata()?.is_file() {
            return Err(DdiError::NoRoom {
                reason: "the device ends behind the last partition; sign the image before it is written there",
            });
        }
        table.length += missing.next_multiple_of(ALIGNMENT);
        image.set_len(table.length)?;
        replace(image, &table)?;
    }
    image.write_all_at(&bytes, offset)?;
    image.sync_data()?;
    table.partitions.push(Partition { offset, ..partition });
    replace(image, &table)
}

/// Writes both copies of the table, the second when the first is on the disk.
fn replace(image: &File, table: &Table) -> Result<()> {
    table.write_backup(image)?;
    image.sync_data()?;
    table.write_primary(image)?;
    Ok(image.sync_all()?)
}

/// Returns the content of a signature partition of `room` bytes.
pub(super) fn padded(record: &SignatureRecord, room: u64) -> Result<Vec<u8>> {
    let mut bytes = record.to_json().into_bytes();
    let length = bytes.len() as u64 + 1;
    if length > room {
        return Err(DdiError::TooLong { length, room });
    }
    bytes.resize(usize::try_from(room).unwrap_or(bytes.len()), 0);
    Ok(bytes)
}
