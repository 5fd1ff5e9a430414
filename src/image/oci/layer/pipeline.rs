//! Compression beside hashing: one thread makes the archive, one hashes it, several compress, one hashes and writes in order.
//!
//! Comes in: a function that writes a plain archive. Goes out: the compressed one. Always holds: the bytes do not depend
//! on the number of threads, for chunks have a fixed size; there is a fixed number of buffers, and the chunk that is written
//! next always has one.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::codec::{Codec, Compressor};
use crate::digest::{Digest, Hasher};

/// A run of bytes of the archive on its way through the threads.
struct Chunk {
    number: u64,
    input: Vec<u8>,
    /// What it was compressed to.
    output: Vec<u8>,
}

/// What went through.
pub(super) struct Passed {
    /// The digest and length of the plain archive.
    pub(super) plain: (Digest, u64),
    /// The digest and length of what was written.
    pub(super) written: (Digest, u64),
}

/// Compresses what `make` writes to `out`.
///
/// # Errors
/// What `make` fails with; what `failed` makes of an error of `out` or the codec.
pub(super) fn pass<E: Send>(
    codec: Codec,
    threads: usize,
    make: impl FnOnce(&mut dyn Write) -> Result<(), E> + Send,
    out: &mut dyn Write,
    failed: impl Fn(io::Error) -> E,
) -> Result<Passed, E> {
    let (free, free_buffers) = channel();
    for _ in 0..2 * threads + 2 {
        free.send((Vec::new(), Vec::new())).expect("the receiver is in this function");
    }
    // None of these fills: there are only so many buffers.
    let (to_hasher, plain) = channel();
    let (to_workers, chunks) = channel();
    let (to_sink, compressed) = channel();
    let chunks = Mutex::new(chunks);
    let feeder = Feeder { chunk: codec.chunk(), number: 0, free: free_buffers, full: to_hasher, current: None };
    thread::scope(|scope| {
        let maker = scope.spawn(move || feeder.feed(make));
        let hasher = scope.spawn(move || hash(&plain, &to_workers));
        for to_sink in vec![to_sink; threads] {
            let chunks = &chunks;
            scope.spawn(move || work(codec, chunks, &to_sink));
        }
        let written = sink(codec, &compressed, &free, out);
        // Nobody takes what comes now: the others end, too.
        drop((compressed, free));
        let plain = hasher.join().expect("hashing does not panic");
        // What cannot be made is the cause of whatever else went wrong, unless it could not be handed on.
        match (maker.join().expect("the archive is made without a panic"), written) {
            (Made::Failed(error), Ok(_)) => Err(error),
            (_, Err(error)) => Err(failed(error)),
            (Made::Whole, Ok(written)) => Ok(Passed { plain, written: written.unwrap_or(plain) }),
        }
    })
}

/// How making the archive ended.
enum Made<E> {
    Whole,
    Failed(E),
}

/// Cuts what is written into chunks.
struct Feeder {
    chunk: usize,
    number: u64,
    free: Receiver<(Vec<u8>, Vec<u8>)>,
    full: Sender<Chunk>,
    current: Option<Chunk>,
}

impl Feeder {
    fn feed<E>(mut self, make: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Made<E> {
        match make(&mut self) {
            Ok(()) => {
                // Whoever does not take it has an error to tell.
                self.send().ok();
                Made::Whole
            }
            Err(error) => Made::Failed(error),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        match self.current.take() {
            Some(chunk) => self.full.send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }

    fn room(&mut self) -> io::Result<&mut Chunk> {
        if self.current.is_none() {
            let (mut input, output) = self.free.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            input.clear();
            input.reserve(self.chunk);
            self.current = Some(Chunk { number: self.number, input, output });
            self.number += 1;
        }
        self.current.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Feeder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = self.chunk;
        let chunk = self.room()?;
        let count = bytes.len().min(limit - chunk.input.len());
        chunk.input.extend_from_slice(&bytes[..count]);
        if chunk.input.len() == limit {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes chunks in their order and hands them on.
fn hash(chunks: &Receiver<Chunk>, on: &Sender<Chunk>) -> (Digest, u64) {
    let mut hasher = Hasher::new();
    while let Ok(chunk) = chunks.recv() {
        hasher.update(&chunk.input);
        if on.send(chunk).is_err() {
            break;
        }
    }
    hasher.finish()
}

/// Compresses chunks until there are no more, or nobody takes them.
fn work(codec: Codec, chunks: &Mutex<Receiver<Chunk>>, done: &Sender<(Chunk, io::Result<()>)>) {
    let mut compressor = Compressor::new(codec);
    loop {
        // A poisoned lock means that another thread has panicked while it waited: there is nothing half done.
        let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut chunk) = next else { return };
        let result = match &mut compressor {
            Ok(Some(compressor)) => compressor.compress(&chunk.input, &mut chunk.output),
            Ok(None) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        if done.send((chunk, result)).is_err() {
            return;
        }
    }
}

/// Writes chunks in their order; returns digest and length of what was written, unless they are those of the archive.
fn sink(
    codec: Codec,
    compressed: &Receiver<(Chunk, io::Result<()>)>,
    free: &Sender<(Vec<u8>, Vec<u8>)>,
    out: &mut dyn Write,
) -> io::Result<Option<(Digest, u64)>> {
    let mut hasher = Hasher::new();
    let mut early = BTreeMap::new();
    let mut next = 0;
    while let Ok((chunk, result)) = compressed.recv() {
        early.insert(chunk.number, (chunk, result));
        while let Some((chunk, result)) = early.remove(&next) {
            result?;
            if codec == Codec::Plain {
                out.write_all(&chunk.input)?;
            } else {
                hasher.update(&chunk.output);
                out.write_all(&chunk.output)?;
            }
            // Nobody may need it any more.
            free.send((chunk.input, chunk.output)).ok();
            next += 1;
        }
    }
    Ok((codec != Codec::Plain).then(|| hasher.finish()))
}
