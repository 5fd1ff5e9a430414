//! Files that are not compressed: copied from where they are to where they go, several at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::ErofsError;
use super::format::BLOCK;
use super::metadata::Located;
use super::output::Output;
use super::plan::{File, Plan};
use super::source::Source;

/// Bytes copied at a time: a multiple of a block, and few enough to be still in the processor's cache when they are written.
const PIECE: usize = 256 << 10;
/// Files from this length on are copied by the system, without a look at them, when they are as they were hashed.
const IN_KERNEL: u64 = 32 << 10;

/// Copies every flat file to its blocks, and its end to the places in `tails`, which are sorted by file.
///
/// # Errors
/// When a content cannot be read or is not what the tree says, or the image cannot be written; of several errors that of the
/// first file.
pub(super) fn copy(
    plan: &Plan<'_>,
    located: &[Located],
    tails: &[(u32, u64)],
    output: &Output<'_>,
    threads: usize,
) -> Result<(), ErofsError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let worker = || -> Result<(), (usize, ErofsError)> {
        let mut buffer = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= plan.files.len() || failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Located::Flat { start, tail_block } = located[index] else { continue };
            let first = tails.partition_point(|(file, _)| (*file as usize) < index);
            let own = tails[first..].partition_point(|(file, _)| *file as usize == index);
            let target = Target { start, tail_block, tails: &tails[first..first + own] };
            copy_file(&plan.files[index], &target, output, &mut buffer).map_err(|error| {
                failed.store(true, Ordering::Relaxed);
                (index, error)
            })?;
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a copying thread does not panic")).collect()
    });
    let first = results.into_iter().filter_map(Result::err).min_by_key(|(index, _)| *index);
    first.map_or(Ok(()), |(_, error)| Err(error))
}

/// Where a file goes.
struct Target<'a> {
    start: u32,
    tail_block: bool,
    tails: &'a [(u32, u64)],
}

fn copy_file(
    file: &File<'_>,
    target: &Target<'_>,
    output: &Output<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), ErofsError> {
    let length = file.content.length;
    let inline = length - length % BLOCK as u64;
    let mut source = Source::open(file)?;
    let mut position = 0;
    if length >= IN_KERNEL {
        // The end is read, because it may go to several places.
        position = output.copy_from(&mut source, u64::from(target.start) * BLOCK as u64, inline);
    }
    buffer.resize(buffer.len().max((length - position).min(PIECE as u64) as usize), 0);
    while position < length {
        // From a multiple of a block on, so that the last piece holds the whole end.
        let most = PIECE as u64 - position % BLOCK as u64;
        let piece = &mut buffer[..(length - position).min(most) as usize];
        source.read(piece)?;
        let in_blocks = if target.tail_block { piece.len() } else { (inline - position).min(PIECE as u64) as usize };
        if in_blocks > 0 {
            output.write_at(&piece[..in_blocks], u64::from(target.start) * BLOCK as u64 + position)?;
        }
        position += piece.len() as u64;
        if position == length {
            let tail = &piece[piece.len() - (length - inline) as usize..];
            for (_, place) in target.tails {
                output.write_at(tail, *place)?;
            }
        }
    }
    source.finish()
}
