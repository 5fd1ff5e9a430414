//! The pack of a package: the bytes of its files, and what is known about it.
//!
//! All numbers are little-endian; a text is its length (u32) and its bytes:
//!
//! ```text
//! contents      one behind the other
//! table         count of control files u32; for each: name, mode u16, mtime i64, bytes
//!               count of entries u32; for each: path, kind u8, mode u16, uid u32, gid u32, mtime i64, count of attributes u32,
//!               name and value of each, then by kind:
//!                 0 file         offset u64, length u64, digest (32 bytes)
//!                 1 directory
//!                 2 symlink      target
//!                 3, 4 devices   major u32, minor u32 (character, block)
//!                 5 fifo
//!                 6 link         path of the other name
//! end           start of the table u64, CRC-32 of the table u32, "LFpack01"
//! ```

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{CHUNK, ControlFile, Entry, Item, Unpacked};
use crate::digest::{Digest, Hasher};
use crate::fs;
use crate::packages::reader::Reader;
use crate::tree::{Content, ContentSource, DeviceNumber, Kind, Meta, TreePath, Xattrs};

const MAGIC: &[u8; 8] = b"LFpack01";
const END: usize = 8 + 4 + MAGIC.len();
/// The most bytes of a table: that of a kernel has two million.
const TABLE_BYTES: u64 = 1 << 30;

/// Writes a pack under a temporary name.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    temporary: PathBuf,
    path: Arc<Path>,
    position: u64,
    kept: bool,
}

impl Writer {
    /// Begins the pack that will be at `path` in the directory `packs`, which is created when it is missing.
    pub(super) fn create(packs: &Path, path: &Path) -> fs::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_directory(packs)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = packs.join(format!(".new.{}.{count}", std::process::id()));
        let file = BufWriter::with_capacity(CHUNK, fs::create(&temporary)?);
        Ok(Self { file, temporary, path: path.into(), position: 0, kept: false })
    }

    /// Writes a content, which `fill` gives piece by piece until it gives nothing, through `buffer`.
    pub(super) fn put<E: From<fs::Error>>(
        &mut self,
        buffer: &mut [u8],
        mut fill: impl FnMut(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Content, E> {
        let offset = self.position;
        let mut hasher = Hasher::new();
        loop {
            match fill(buffer)? {
                0 => break,
                count => {
                    hasher.update(&buffer[..count]);
                    self.write(&buffer[..count])?;
                }
            }
        }
        let (digest, length) = hasher.finish();
        Ok(Content { digest, length, source: self.source(offset, length) })
    }

    fn source(&self, offset: u64, length: u64) -> ContentSource {
        source(&self.path, offset, length)
    }

    fn write(&mut self, bytes: &[u8]) -> fs::Result<()> {
        self.position += bytes.len() as u64;
        self.file.write_all(bytes).map_err(fs::Error::on("write", &*self.temporary))
    }

    /// Writes the table and gives the pack its name.
    pub(super) fn finish(mut self, unpacked: &Unpacked) -> fs::Result<()> {
        let start = self.position;
        let mut table = Vec::new();
        put_table(&mut table, unpacked);
        let checksum = crc32fast::hash(&table);
        table.extend(start.to_le_bytes());
        table.extend(checksum.to_le_bytes());
        table.extend(MAGIC);
        self.write(&table)?;
        self.file.flush().map_err(fs::Error::on("write", &*self.temporary))?;
        fs::rename(&self.temporary, &self.path)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.kept {
            // Something else failed before; that error is the one to report.
            fs::remove_file(&self.temporary).ok();
        }
    }
}

fn source(path: &Arc<Path>, offset: u64, length: u64) -> ContentSource {
    match length {
        0 => ContentSource::Inline(Arc::default()),
        _ => ContentSource::Slice { file: path.clone(), offset },
    }
}

fn put_table(table: &mut Vec<u8>, unpacked: &Unpacked) {
    put_number(table, unpacked.control.len());
    for file in &unpacked.control {
        put_text(table, file.name.as_bytes());
        table.extend(file.mode.to_le_bytes());
        table.extend(file.mtime.to_le_bytes());
        put_text(table, &file.bytes);
    }
    put_number(table, unpacked.entries.len());
    unpacked.entries.iter().for_each(|entry| put_entry(table, entry));
}

fn put_entry(table: &mut Vec<u8>, entry: &Entry) {
    put_text(table, entry.path.as_bytes());
    table.push(match &entry.item {
        Item::Node(Kind::Regular(_)) => 0,
        Item::Node(Kind::Symlink(_)) => 2,
        Item::Node(Kind::CharacterDevice(_)) => 3,
        Item::Node(Kind::BlockDevice(_)) => 4,
        Item::Node(Kind::Fifo) => 5,
        Item::Link(_) => 6,
        // Archives hold no sockets and whiteouts.
        Item::Node(_) => 1,
    });
    table.extend(entry.meta.mode.to_le_bytes());
    table.extend(entry.meta.uid.to_le_bytes());
    table.extend(entry.meta.gid.to_le_bytes());
    table.extend(entry.meta.mtime.to_le_bytes());
    put_number(table, entry.meta.xattrs.len());
    for (name, value) in &entry.meta.xattrs {
        put_text(table, name);
        put_text(table, value);
    }
    match &entry.item {
        Item::Node(Kind::Regular(content)) => {
            let offset = if let ContentSource::Slice { offset, .. } = content.source { offset } else { 0 };
            table.extend(offset.to_le_bytes());
            table.extend(content.length.to_le_bytes());
            table.extend(content.digest.as_bytes());
        }
        Item::Node(Kind::Symlink(target)) => put_text(table, target),
        Item::Node(Kind::CharacterDevice(number) | Kind::BlockDevice(number)) => {
            table.extend(number.major.to_le_bytes());
            table.extend(number.minor.to_le_bytes());
        }
        Item::Link(target) => put_text(table, target.as_bytes()),
        Item::Node(_) => {}
    }
}

fn put_text(table: &mut Vec<u8>, text: &[u8]) {
    put_number(table, text.len());
    table.extend(text);
}

fn put_number(table: &mut Vec<u8>, number: usize) {
    table.extend(u32::try_from(number).expect("what archives hold is bounded below 4 GiB").to_le_bytes());
}

/// Reads the pack at `path`; nothing when there is none, or it is damaged or of another version.
pub(super) fn read(path: &Path) -> fs::Result<Option<Unpacked>> {
    let file = match fs::open(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        file => file?,
    };
    let length = file.metadata().map_err(fs::Error::on("look at", path))?.len();
    let Some(end) = length.checked_sub(END as u64) else { return Ok(None) };
    let mut bytes = [0; END];
    file.read_exact_at(&mut bytes, end).map_err(fs::Error::on("read", path))?;
    let mut reader = Reader { bytes: &bytes };
    let (Some(start), Some(checksum)) = (reader.long(), reader.number()) else { return Ok(None) };
    let size = end.checked_sub(start).filter(|size| *size <= TABLE_BYTES);
    let (Some(size), true) = (size, reader.bytes == MAGIC) else { return Ok(None) };
    let mut table = vec![0; size as usize];
    file.read_exact_at(&mut table, start).map_err(fs::Error::on("read", path))?;
    if crc32fast::hash(&table) != checksum {
        return Ok(None);
    }
    Ok(Reader { bytes: &table }.unpacked(&path.into(), start))
}

impl<'bytes> Reader<'bytes> {
    fn text(&mut self) -> Option<&'bytes [u8]> {
        let length = self.number()? as usize;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(text)
    }

    fn path(&mut self) -> Option<TreePath> {
        TreePath::from_relative(self.text()?).ok()
    }

    fn unpacked(mut self, pack: &Arc<Path>, end: u64) -> Option<Unpacked> {
        let mut control = Vec::new();
        for _ in 0..self.number()? {
            control.push(ControlFile {
                name: String::from_utf8(self.text()?.to_vec()).ok()?,
                mode: u16::from_le_bytes(self.array()?),
                mtime: i64::from_le_bytes(self.array()?),
                bytes: self.text()?.to_vec(),
            });
        }
        let mut entries = Vec::new();
        for _ in 0..self.number()? {
            entries.push(self.entry(pack, end)?);
        }
        self.bytes.is_empty().then_some(Unpacked { control, entries })
    }

    fn entry(&mut self, pack: &Arc<Path>, end: u64) -> Option<Entry> {
        let path = self.path()?;
        let [kind] = self.array()?;
        let mut meta = Meta {
            mode: u16::from_le_bytes(self.array()?),
            uid: self.number()?,
            gid: self.number()?,
            mtime: i64::from_le_bytes(self.array()?),
            xattrs: Xattrs::new(),
        };
        for _ in 0..self.number()? {
            meta.xattrs.insert(self.text()?.into(), self.text()?.into());
        }
        let item = match kind {
            0 => Item::Node(Kind::Regular(self.content(pack, end)?)),
            1 => Item::Node(Kind::directory()),
            2 => Item::Node(Kind::Symlink(self.text()?.into())),
            3 => Item::Node(Kind::CharacterDevice(self.device()?)),
            4 => Item::Node(Kind::BlockDevice(self.device()?)),
            5 => Item::Node(Kind::Fifo),
            6 => Item::Link(self.path()?),
            _ => return None,
        };
        Some(Entry { path, item, meta })
    }

    fn content(&mut self, pack: &Arc<Path>, end: u64) -> Option<Content> {
        let (offset, length) = (self.long()?, self.long()?);
        let digest = Digest::from_bytes(self.array()?);
        let inside = offset.checked_add(length).is_some_and(|last| last <= end);
        inside.then(|| Content { digest, length, source: source(pack, offset, length) })
    }

    fn device(&mut self) -> Option<DeviceNumber> {
        Some(DeviceNumber { major: self.number()?, minor: self.number()? })
    }
}
