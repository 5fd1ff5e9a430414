//! The cache folder.
//!
//! Comes in: the path of the folder. Goes out: records of earlier renders and content that was expensive to make. Always
//! holds: an entry appears whole by rename; losing the whole folder at any moment costs time and nothing else.

mod chunks;
mod collect;
mod downloads;
mod format;
mod images;
mod inputs;
mod layers;
mod listing;
mod notes;
mod packages;
mod pools;
mod record;
mod texts;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::digest::Digest;
use crate::fs::{self, Folder, Stamp, Timestamp};

pub use chunks::ChunkCache;
pub use collect::{BucketUse, Collected};
pub use downloads::{Begun, Partial};
pub use images::StoredImage;
pub use inputs::{InputFile, Inputs};
use layers::Making;
pub use layers::{MadeLayer, StoredLayer};
pub use listing::{Directory, Entry, Listing};
pub use record::{Earlier, Record, Written};
pub use texts::{RenderedText, Texts};

/// How far a file's time of change has to lie before a render to be trusted, in milliseconds: more than any clock tick.
const TICK: u32 = 20;

/// The age from which a temporary file is taken for abandoned, in seconds.
const ABANDONED: i64 = 24 * 60 * 60;

/// The parts of the cache folder. A part whose layout changes gets a new number: older and newer programs then share one
/// folder without reading each other's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bucket {
    /// `records-2/HEX`: what the last render into a destination saw and wrote; HEX is the SHA-256 of its path.
    Records,
    /// `sources-2/HEX`: what the last check of a project read; HEX is the SHA-256 of the path of its root.
    Sources,
    /// `texts-2/HEX`: what a run rendered from templates; HEX is the SHA-256 of what the run worked on.
    Texts,
    /// `archives-1/HEX`: a decompressed archive; HEX is the SHA-256 of the compressed one.
    Archives,
    /// `chunks-1/HEX`: a compressed chunk of an image.
    Chunks,
    /// `images-1/KEY.DIGEST`: an image; KEY is the digest of what decides about it, DIGEST that of its bytes.
    Images,
    /// `layers-1/KEY.DIGEST`: a layer of a container image; KEY is the digest of what decides about it, DIGEST that of its
    /// bytes.
    Layers,
    /// `diffs-1/HEX`: the digest of the archive that a tree is; HEX is the digest of the tree.
    Diffs,
    /// `downloads-1/HEX`: content from elsewhere; HEX is its SHA-256. `HEX.part` is what there is of it so far.
    Downloads,
    /// `pools-1/HEX`: what a package index was parsed into; HEX is the digest of all that it was made from.
    Pools,
    /// `notes-1/HEX`: a small text about what is elsewhere; HEX is the SHA-256 of what it is about.
    Notes,
    /// `packs-1/HEX`: a package that was unpacked; HEX is the SHA-256 of the package.
    Packs,
    /// `trees-1/HEX`: what a set of packages is as a tree; HEX is the digest of what decides about it.
    Trees,
}

impl Bucket {
    const ALL: [Self; 13] = [
        Self::Records,
        Self::Sources,
        Self::Texts,
        Self::Archives,
        Self::Chunks,
        Self::Images,
        Self::Layers,
        Self::Diffs,
        Self::Downloads,
        Self::Pools,
        Self::Notes,
        Self::Packs,
        Self::Trees,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Records => "records-2",
            Self::Sources => "sources-2",
            Self::Texts => "texts-2",
            Self::Archives => "archives-1",
            Self::Chunks => "chunks-1",
            Self::Images => "images-1",
            Self::Layers => "layers-1",
            Self::Diffs => "diffs-1",
            Self::Downloads => "downloads-1",
            Self::Pools => "pools-1",
            Self::Notes => "notes-1",
            Self::Packs => "packs-1",
            Self::Trees => "trees-1",
        }
    }
}

/// A cache folder that can be written. Any number of processes may use one folder at once.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    opened: Timestamp,
    temporary: bool,
    /// The layers that threads of this process are making.
    making: Making,
}

impl Store {
    /// Opens the cache folder at `path`, creating what is missing.
    ///
    /// # Errors
    /// When it cannot be created or written. [`Store::temporary`] stands in for it then.
    pub fn open(path: &Path) -> fs::Result<Self> {
        for bucket in Bucket::ALL {
            fs::create_directory(&path.join(bucket.name()))?;
        }
        let clock = path.join(format!(".clock.{}", unique()));
        let opened = Stamp::of_file(&fs::create(&clock)?, &clock);
        fs::remove_file(&clock)?;
        let store = Self {
            path: path.to_owned(),
            opened: opened?.changed.before(TICK),
            temporary: false,
            making: Making::default(),
        };
        store.sweep()?;
        Ok(store)
    }

    /// Removes temporary files that killed processes left.
    fn sweep(&self) -> fs::Result<()> {
        let folder = Folder::open(&self.path)?;
        for (name, _) in folder.children()? {
            let old = |stamp: Stamp| stamp.changed.seconds < self.opened.seconds - ABANDONED;
            if name.starts_with(b".") && folder.stamp(&name)?.is_some_and(old) {
                folder.remove_tree(&name)?;
            }
        }
        Ok(())
    }

    /// Makes an empty cache folder in the directory `parent` that goes away with the value.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn temporary(parent: &Path) -> fs::Result<Self> {
        let name = format!("layerforge-{}", unique());
        let parent_folder = Folder::open(parent)?;
        parent_folder.remove_tree(name.as_bytes())?;
        parent_folder.create_folder(name.as_bytes(), 0o700)?;
        let mut store = Self::open(&parent.join(name))?;
        store.temporary = true;
        Ok(store)
    }

    /// Returns the moment since which changes of files are not told apart from reading them: shortly before the store
    /// was opened, by the file system's clock.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Returns what the last render into `destination` left; nothing when there is none or it is damaged.
    /// `destination` is the real path, without links.
    pub fn record(&self, destination: &Path) -> Option<Record> {
        self.read(Bucket::Records, destination)
    }

    /// Returns what the last check of the project at `root`, a real path, read; nothing when there was none or it is
    /// damaged.
    pub fn sources(&self, root: &Path) -> Option<Listing> {
        Some(self.read(Bucket::Sources, root)?.inputs)
    }

    /// Keeps what a check of the project at `root` read.
    ///
    /// # Errors
    /// When it cannot be written; what was there is still there then.
    pub fn keep_sources(&self, root: &Path, inputs: Listing) -> fs::Result<()> {
        let record = Record { key: None, inputs, outputs: Vec::new() };
        self.keep(Bucket::Sources, root, &format::encode(&record))
    }

    /// Keeps `record` for the next render into `destination`.
    ///
    /// # Errors
    /// When it cannot be written; the one that was there is still there then.
    pub fn keep_record(&self, destination: &Path, record: &Record) -> fs::Result<()> {
        self.keep(Bucket::Records, destination, &format::encode(record))
    }

    /// Returns the texts that the last run of what `of` names rendered; none when there was none or they are damaged.
    pub fn texts(&self, of: &Path) -> Texts {
        let known = fs::read(&self.entry(Bucket::Texts, of)).ok();
        let known = known.and_then(|bytes| format::decode_texts(collect::without_owner(&bytes)?.0));
        Texts::new(known.unwrap_or_default())
    }

    /// Keeps the rendered texts for the next run of what `of` names.
    ///
    /// # Errors
    /// When they cannot be written; what was there is still there then.
    pub fn keep_texts(&self, of: &Path, texts: &BTreeMap<Digest, RenderedText>) -> fs::Result<()> {
        self.keep(Bucket::Texts, of, &format::encode_texts(texts))
    }

    fn read(&self, bucket: Bucket, of: &Path) -> Option<Record> {
        let bytes = fs::read(&self.entry(bucket, of)).ok()?;
        format::decode(collect::without_owner(&bytes)?.0)
    }

    fn keep(&self, bucket: Bucket, of: &Path, bytes: &[u8]) -> fs::Result<()> {
        self.put(&self.entry(bucket, of), &collect::with_owner(bytes, owner(bucket, of)))
    }

    /// Puts an entry in its place, whole.
    fn put(&self, entry: &Path, bytes: &[u8]) -> fs::Result<()> {
        let temporary = self.path.join(format!(".new.{}", unique()));
        let written = fs::create(&temporary)
            .and_then(|mut file| file.write_all(bytes).map_err(fs::Error::on("write", &*temporary)));
        let kept = written.and_then(|()| fs::rename(&temporary, entry));
        if kept.is_err() {
            // The first error is the one to report; what could not be written may not be removable either.
            fs::remove_file(&temporary).ok();
        }
        kept
    }

    /// Removes what is kept for `destination`.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn forget_record(&self, destination: &Path) -> fs::Result<()> {
        match fs::remove_file(&self.entry(Bucket::Records, destination)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the directory that keeps what archives were unpacked to, each file named by a digest.
    pub fn archives(&self) -> PathBuf {
        self.path.join(Bucket::Archives.name())
    }

    /// Returns the compressed chunks of images, of which [`ChunkCache::collect`] leaves at most `limit` bytes.
    pub fn chunks(&self, limit: u64) -> ChunkCache {
        ChunkCache::new(self.path.join(Bucket::Chunks.name()), self.path.clone(), limit)
    }

    /// Returns where the entry for a path is kept.
    fn entry(&self, bucket: Bucket, of: &Path) -> PathBuf {
        self.path.join(bucket.name()).join(Digest::of(of.as_os_str().as_bytes()).hex())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.temporary {
            // It lies in a directory for temporary files; there is nobody to tell and nothing to mend.
            fs::remove_tree(&self.path).ok();
        }
    }
}

/// Returns the path whose end is the end of an entry: the destination, or the root of the project.
fn owner(bucket: Bucket, of: &Path) -> &Path {
    match bucket {
        // The root, the profile, the targets.
        Bucket::Texts => of.parent().and_then(Path::parent).unwrap_or(of),
        _ => of,
    }
}

/// Returns the bytes of a record, for keeping it elsewhere than in a store.
pub fn encode_record(record: &Record) -> Vec<u8> {
    format::encode(record)
}

/// Returns the record that bytes of [`encode_record`] hold, or nothing when they are damaged or of another version.
pub fn decode_record(bytes: &[u8]) -> Option<Record> {
    format::decode(bytes)
}

/// Returns a name that no other thread or living process uses for a temporary file.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests;
