//! Compression: one thread reads, several compress, one writes in order.
//!
//! Comes in: the plan. Goes out: the extents of each compressed file and of the packed inode, written to the image one
//! behind the other. Always holds: the order of everything is that of the plan; there is a fixed number of buffers, each
//! with room for one chunk and for what it is compressed to, and nobody waits for a buffer that waits for him: the chunk
//! that is written next always has one.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::codec::{Compressor, Outcome, bound};
use super::format::BLOCK;
use super::index::{Extent, Stored};
use super::kernel::Feature;
use super::metadata::Extents;
use super::options::Options;
use super::output::Output;
use super::plan::{File, Place, Plan};
use super::source::Source;
use super::{ErofsError, metadata};

/// Buffers per compressing thread: one in work, one waiting on either side.
const BUFFERS: usize = 3;

/// Room for a chunk and for what it is compressed to.
#[derive(Debug)]
struct Buffers {
    input: Vec<u8>,
    /// A block of zeros, then what the chunk was compressed to: so that the zeros that belong before it are there.
    output: Vec<u8>,
}

/// A run of bytes on its way through the threads.
#[derive(Debug)]
struct Chunk {
    /// Its place in the order of all chunks.
    number: u64,
    /// The file that it is part of, counted among those that are compressed; the packed inode comes last.
    stream: usize,
    /// Whether nothing of that file follows.
    last: bool,
    /// Its bytes: the first of `input`.
    length: usize,
    buffers: Buffers,
}

/// A chunk and what it was compressed to.
type Compressed = (Chunk, io::Result<Outcome>);

/// What was compressed.
#[derive(Debug)]
pub(super) struct Streams {
    /// The extents of each file that has its own, in the order of the plan, then those of the packed inode.
    pub(super) streams: Vec<Extents>,
    /// The block after the last one.
    pub(super) end: u64,
    /// How many chunks there are.
    pub(super) chunks: u64,
    /// How many of them were found in the cache.
    pub(super) cached: u64,
}

/// Compresses everything that the plan wants compressed into the blocks from `start` on.
///
/// # Errors
/// When a content cannot be read or is not what the tree says, or the image cannot be written.
pub(super) fn compress(
    plan: &Plan<'_>,
    options: &Options,
    output: &Output<'_>,
    start: u64,
) -> Result<Streams, ErofsError> {
    let threads = options.threads.get();
    let (free, free_buffers) = channel();
    let (to_workers, chunks) = sync_channel(threads);
    let (to_sink, compressed) = channel();
    let capacity = plan.longest_chunk();
    for _ in 0..threads * BUFFERS {
        let buffers = Buffers { input: vec![0; capacity], output: vec![0; BLOCK + bound(capacity)] };
        free.send(buffers).expect("the receiver is in this function");
    }
    let chunks = Mutex::new(chunks);
    let sink = Sink { plan, options, output, free, next: start, streams: Vec::new(), cached: 0 };
    let feeder = Feeder { plan, free: free_buffers, work: to_workers, number: 0 };
    thread::scope(|scope| {
        let reader = scope.spawn(|| feeder.read_all());
        for to_sink in vec![to_sink; threads] {
            let (chunks, compression, cache) = (&chunks, options.compression, options.cache.as_ref());
            scope.spawn(move || work(chunks, &to_sink, || Compressor::new(compression, cache)));
        }
        let written = sink.write_all(&compressed);
        // Nobody takes what comes now: the others end, too.
        drop(compressed);
        let read = reader.join().expect("the reader does not panic");
        // What was read wrongly is the cause of whatever else went wrong.
        read.and(written)
    })
}

/// Compresses chunks until there are no more, or nobody takes them.
fn work<'a>(
    chunks: &Mutex<Receiver<Chunk>>,
    done: &Sender<Compressed>,
    compressor: impl FnOnce() -> io::Result<Compressor<'a>>,
) {
    let mut compressor = compressor();
    loop {
        // A poisoned lock means that another thread has panicked while it waited: there is nothing half done.
        let next = chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(mut chunk) = next else { return };
        let result = match &mut compressor {
            Ok(compressor) => {
                compressor.compress(&chunk.buffers.input[..chunk.length], &mut chunk.buffers.output[BLOCK..])
            }
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        if done.send((chunk, result)).is_err() {
            return;
        }
    }
}

/// Reads contents and cuts them into chunks.
struct Feeder<'a> {
    plan: &'a Plan<'a>,
    free: Receiver<Buffers>,
    work: SyncSender<Chunk>,
    number: u64,
}

/// The other threads have ended, and say why.
struct Stopped;

impl Feeder<'_> {
    fn read_all(mut self) -> Result<(), ErofsError> {
        let mut stream = 0;
        for file in self.plan.files.iter().filter(|file| file.place == Place::Chunked) {
            let mut source = Source::open(file)?;
            let mut left = file.content.length;
            while left > 0 {
                let Ok(mut buffers) = self.free.recv() else { return Ok(()) };
                let length = self.plan.chunk.of(left);
                source.read(&mut buffers.input[..length])?;
                left -= length as u64;
                if self.send(stream, left == 0, length, buffers).is_err() {
                    return Ok(());
                }
            }
            source.finish()?;
            stream += 1;
        }
        self.read_packed(stream)
    }

    fn read_packed(&mut self, stream: usize) -> Result<(), ErofsError> {
        let packed = &self.plan.packed;
        let mut files = packed.files.iter().map(|index| &self.plan.files[*index as usize]).peekable();
        // The file that is being read, and how much of it is left.
        let mut reading: Option<(Source<'_>, usize)> = None;
        for cut in packed.cuts.windows(2) {
            let Ok(mut buffers) = self.free.recv() else { return Ok(()) };
            let mut rest = &mut buffers.input[..(cut[1] - cut[0]) as usize];
            loop {
                let (mut source, left) = match reading.take() {
                    Some(reading) => reading,
                    None => match files.next_if(|file| matches!(file.place, Place::Packed(begin) if begin < cut[1])) {
                        Some(file) => (Source::open(file)?, file.content.length as usize),
                        None => break,
                    },
                };
                let (piece, others) = rest.split_at_mut(left.min(rest.len()));
                source.read(piece)?;
                rest = others;
                if left > piece.len() {
                    reading = Some((source, left - piece.len()));
                    break;
                }
                source.finish()?;
            }
            rest.fill(0);
            if self.send(stream, cut[1] == packed.size(), (cut[1] - cut[0]) as usize, buffers).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn send(&mut self, stream: usize, last: bool, length: usize, buffers: Buffers) -> Result<(), Stopped> {
        let chunk = Chunk { number: self.number, stream, last, length, buffers };
        self.number += 1;
        self.work.send(chunk).map_err(|_| Stopped)
    }
}

/// Writes chunks in their order.
struct Sink<'a> {
    plan: &'a Plan<'a>,
    options: &'a Options,
    output: &'a Output<'a>,
    free: Sender<Buffers>,
    /// The next free block.
    next: u64,
    streams: Vec<Extents>,
    cached: u64,
}

impl Sink<'_> {
    fn write_all(mut self, compressed: &Receiver<Compressed>) -> Result<Streams, ErofsError> {
        let inline_room = self.inline_room();
        let mut early = BTreeMap::new();
        let mut number = 0;
        while let Ok((chunk, result)) = compressed.recv() {
            early.insert(chunk.number, (chunk, result));
            while let Some((chunk, result)) = early.remove(&number) {
                let outcome = result.map_err(ErofsError::Compress)?;
                self.cached += u64::from(outcome.cached);
                self.write(&chunk, outcome.length, &inline_room)?;
                // Nobody may need it any more.
                self.free.send(chunk.buffers).ok();
                number += 1;
            }
        }
        Ok(Streams { streams: self.streams, end: self.next, chunks: number, cached: self.cached })
    }

    fn write(&mut self, chunk: &Chunk, compressed: usize, inline_room: &[usize]) -> Result<(), ErofsError> {
        if self.streams.len() == chunk.stream {
            let start = u32::try_from(self.next).map_err(|_| ErofsError::TooLarge)?;
            self.streams.push(Extents { start, ..Extents::default() });
        }
        let Chunk { length, last, buffers: Buffers { input, output }, .. } = chunk;
        let room = if *last { inline_room.get(chunk.stream).copied().unwrap_or(0) } else { 0 };
        let best = compressed.min(*length);
        let stored = if best < BLOCK && best <= room {
            let raw = compressed >= *length;
            let bytes = if raw { &input[..best] } else { &output[BLOCK..BLOCK + best] };
            self.streams[chunk.stream].inline = bytes.to_vec();
            if raw { Stored::InlineRaw } else { Stored::Inline }
        } else if compressed.div_ceil(BLOCK) < length.div_ceil(BLOCK) {
            let end = BLOCK + compressed;
            // Zeros stand before what was compressed: the block before it has them.
            let begin = end - compressed.next_multiple_of(BLOCK);
            self.write_blocks(&output[begin..end])?;
            Stored::Blocks(compressed.div_ceil(BLOCK) as u16)
        } else {
            self.write_blocks(&input[..*length])?;
            Stored::Raw
        };
        self.streams[chunk.stream].extents.push(Extent { length: *length as u32, stored });
        Ok(())
    }

    fn write_blocks(&mut self, bytes: &[u8]) -> Result<(), ErofsError> {
        self.output.write_at(bytes, self.next * BLOCK as u64)?;
        self.next += bytes.len().div_ceil(BLOCK) as u64;
        Ok(())
    }

    /// Returns for each stream how many bytes of its end can stand behind its inode.
    fn inline_room(&self) -> Vec<usize> {
        let room = |file: &File<'_>| {
            // What several inodes share cannot stand behind one of them.
            if file.inodes > 1 || !Feature::InlineTails.is_in(self.options.target_kernel) {
                return 0;
            }
            metadata::inline_room(self.plan, &self.plan.inodes[file.inode as usize], file.content.length)
        };
        self.plan.files.iter().filter(|file| file.place == Place::Chunked).map(room).collect()
    }
}
