//! Inodes and directories: where each stands, and their bytes.
//!
//! Comes in: the plan, and where the content of every file is. Goes out: blocks of inodes, each followed by its attributes,
//! its index and the end of its data if there is room; then the other blocks of directories; then shared attributes. Always
//! holds: what follows an inode as data lies in one block; the root has a number of 16 bits and nothing has number 0.

use std::io;

use super::directory;
use super::format::{BLOCK, DataLayout, InodeRecord, SLOT};
use super::index::{self, Extent, Stored};
use super::output::{Output, OutputWriter};
use super::plan::{Data, Inode, Plan};
use super::room::Rooms;
use crate::tree::{DeviceNumber, Kind};

/// Bytes of the header that stands before an index.
const INDEX_HEADER: usize = 8;
/// The header says: dense packs, extents of several blocks for both algorithms.
const ADVICE: u16 = 0x1 | 0x2 | 0x4;
/// The header says: the last extent stands behind the index.
const ADVICE_INLINE: u16 = 0x8;
/// Says that a file is wholly in the packed inode.
const WHOLLY_PACKED: u64 = 1 << 63;

/// Where the content of a file is.
#[derive(Debug)]
pub(super) enum Located {
    /// In blocks from this one on; there is a block for what does not fill one.
    Flat { start: u32, tail_block: bool },
    /// In compressed extents.
    Extents(Extents),
    /// In the packed inode, from this byte on.
    Packed(u64),
}

/// Extents that stand one behind the other.
#[derive(Debug, Default)]
pub(super) struct Extents {
    /// The first block.
    pub(super) start: u32,
    pub(super) extents: Vec<Extent>,
    /// The bytes of the last one, when it is stored inline.
    pub(super) inline: Vec<u8>,
}

impl Extents {
    fn is_raw(&self) -> bool {
        self.extents.iter().all(|extent| extent.stored == Stored::Raw)
    }

    fn blocks(&self) -> u32 {
        self.extents.iter().map(|extent| extent.blocks()).sum()
    }
}

/// Everything that inodes are made from. The packed inode, if there is one, has the index after the last of the plan.
#[derive(Debug)]
pub(super) struct Metadata<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// Where each file is.
    pub(super) located: Vec<Located>,
    /// Where the packed inode's content is.
    pub(super) packed: Option<Extents>,
    /// The algorithm of all compressed extents.
    pub(super) algorithm: u8,
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Layout {
    /// The first block of metadata.
    pub(super) start: u32,
    /// The number of each inode: its slot, counted from the first block.
    pub(super) nids: Vec<u64>,
    /// The indices of inodes in the order in which they stand.
    order: Vec<u32>,
    /// For directories and symbolic links with blocks: their inodes and their first blocks.
    blocks: Vec<(u32, u32)>,
    /// The first block of shared attributes.
    pub(super) attributes: u32,
    /// The block after the last one.
    pub(super) end: u64,
}

/// An inode, and the sizes of what follows it.
struct Shape {
    record: InodeRecord,
    /// Bytes from the beginning of the inode to the end of its index.
    head: usize,
    /// Bytes of data behind it.
    tail: usize,
}

/// Returns the bytes that an inode and its attributes take.
fn inode_size(plan: &Plan<'_>, inode: &Inode<'_>, size: u64) -> (bool, usize) {
    let meta = &inode.node.meta;
    let large = [meta.uid, meta.gid, inode.links].into_iter().any(|number| number > u16::MAX.into());
    let extended = large || size > u32::MAX.into() || meta.mtime != plan.epoch;
    (extended, if extended { 64 } else { 32 } + plan.attributes.size(inode.node))
}

/// Returns how many bytes of data there is room for behind `head` bytes, which begin a block if they fill it.
fn room_behind(head: usize) -> usize {
    BLOCK - head % BLOCK
}

/// Returns the bytes from the beginning of an inode of `inode` bytes with its attributes to the end of an index.
fn end_of_index(inode: usize, size: u64) -> usize {
    let base = inode.next_multiple_of(8) + INDEX_HEADER;
    base + index::size(size, base)
}

/// Returns how many bytes of the end of a flat file of `size` bytes do not fit behind the inode `inode`.
pub(super) fn tail_is_inline(plan: &Plan<'_>, inode: &Inode<'_>, size: u64) -> bool {
    let (_, head) = inode_size(plan, inode, size);
    (size % BLOCK as u64) as usize <= room_behind(head)
}

/// Returns how many bytes of the end of a compressed file of `size` bytes there is room for behind the inode `inode`.
pub(super) fn inline_room(plan: &Plan<'_>, inode: &Inode<'_>, size: u64) -> usize {
    room_behind(end_of_index(inode_size(plan, inode, size).1, size))
}

impl Metadata<'_> {
    fn count(&self) -> usize {
        self.plan.inodes.len() + usize::from(self.packed.is_some())
    }

    fn shape(&self, index: usize) -> Shape {
        let Some(inode) = self.plan.inodes.get(index) else { return self.packed_shape() };
        let size = self.data_size(inode);
        let (extended, inode_end) = inode_size(self.plan, inode, size);
        let meta = &inode.node.meta;
        let record = InodeRecord {
            extended,
            layout: DataLayout::Plain,
            attributes: inode_end - if extended { 64 } else { 32 },
            mode: file_mode(&inode.node.kind) | meta.mode & 0o7777,
            links: inode.links,
            size,
            union: device(&inode.node.kind),
            serial: index as u32,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
        };
        let located = match inode.data {
            Data::File(file) => &self.located[file as usize],
            _ => &Located::Flat { start: 0, tail_block: true },
        };
        match located {
            Located::Flat { start, .. } => {
                let tail = (size % BLOCK as u64) as usize;
                let inline = tail > 0 && tail <= room_behind(inode_end);
                let layout = if inline { DataLayout::Inline } else { DataLayout::Plain };
                let union = if record.union == 0 { *start } else { record.union };
                Shape {
                    record: InodeRecord { layout, union, ..record },
                    head: inode_end,
                    tail: if inline { tail } else { 0 },
                }
            }
            Located::Extents(extents) => compressed(record, inode_end, extents),
            Located::Packed(_) => {
                let head = inode_end.next_multiple_of(8) + 2 * INDEX_HEADER;
                Shape { record: InodeRecord { layout: DataLayout::CompressedFull, ..record }, head, tail: 0 }
            }
        }
    }

    fn packed_shape(&self) -> Shape {
        let size = self.plan.packed.size();
        let extended = size > u32::MAX.into();
        let record = InodeRecord {
            extended,
            layout: DataLayout::Plain,
            attributes: 0,
            mode: file_mode(&Kind::Regular(crate::tree::Content::inline(*b""))),
            links: 1,
            size,
            union: 0,
            serial: self.plan.inodes.len() as u32,
            uid: 0,
            gid: 0,
            mtime: self.plan.epoch,
        };
        let none = Extents::default();
        compressed(record, if extended { 64 } else { 32 }, self.packed.as_ref().unwrap_or(&none))
    }

    fn data_size(&self, inode: &Inode<'_>) -> u64 {
        match (inode.data, &inode.node.kind) {
            (Data::Directory(index), _) => directory::size(&self.plan.directories[index as usize]),
            (Data::Symlink, Kind::Symlink(target)) => target.len() as u64,
            (Data::File(file), _) => self.plan.files[file as usize].content.length,
            _ => 0,
        }
    }

    /// Gives everything its place, from block `start` on.
    pub(super) fn lay_out(&self, start: u32) -> Layout {
        let mut rooms = Rooms::new();
        let mut nids = Vec::with_capacity(self.count());
        let mut blocks = Vec::new();
        for index in 0..self.count() {
            let shape = self.shape(index);
            nids.push(rooms.place(shape.head + shape.tail) / SLOT as u64);
            let data = self.plan.inodes.get(index).map_or(Data::Nothing, |inode| inode.data);
            if matches!(data, Data::Directory(_) | Data::Symlink) {
                let own = (shape.record.size - shape.tail as u64).div_ceil(BLOCK as u64);
                if own > 0 {
                    blocks.push((index as u32, own));
                }
            }
        }
        let mut next = u64::from(start) + rooms.blocks();
        let mut own_blocks = Vec::with_capacity(blocks.len());
        for (inode, count) in blocks {
            own_blocks.push((inode, next as u32));
            next = next.saturating_add(count);
        }
        let mut order: Vec<u32> = (0..nids.len() as u32).collect();
        order.sort_unstable_by_key(|index| nids[*index as usize]);
        let attributes = next as u32;
        let end = next + self.plan.attributes.area().len().div_ceil(BLOCK) as u64;
        Layout { start, nids, order, blocks: own_blocks, attributes, end }
    }

    /// Returns, for flat files, which bytes of the image are to hold the end of which file.
    pub(super) fn tails(&self, layout: &Layout) -> Vec<(u32, u64)> {
        let tail = |(index, inode): (usize, &Inode<'_>)| {
            let Data::File(file) = inode.data else { return None };
            let Located::Flat { .. } = self.located[file as usize] else { return None };
            let shape = self.shape(index);
            (shape.tail > 0).then(|| (file, layout.position(index) + shape.head as u64))
        };
        self.plan.inodes.iter().enumerate().filter_map(tail).collect()
    }

    /// Writes all metadata. Where the ends of flat files belong there are zeros.
    pub(super) fn write(&self, layout: &Layout, output: &Output<'_>) -> io::Result<()> {
        let mut writer = output.writer(layout.byte());
        for index in &layout.order {
            let index = *index as usize;
            writer.pad_to(layout.position(index))?;
            self.write_inode(index, layout, &mut writer)?;
        }
        let mut bytes = Vec::new();
        for (inode, start) in &layout.blocks {
            let shape = self.shape(*inode as usize);
            bytes.clear();
            self.own_data(*inode as usize, layout, &mut bytes);
            bytes.truncate(bytes.len() - shape.tail);
            writer.pad_to(u64::from(*start) * BLOCK as u64)?;
            writer.put(|out| out.extend(&bytes))?;
        }
        writer.pad_to(u64::from(layout.attributes) * BLOCK as u64)?;
        writer.put(|out| out.extend(self.plan.attributes.area()))?;
        writer.pad_to(layout.end * BLOCK as u64)?;
        writer.flush()
    }

    fn write_inode(&self, index: usize, layout: &Layout, writer: &mut OutputWriter<'_>) -> io::Result<()> {
        let mut shape = self.shape(index);
        if let Ok(place) = layout.blocks.binary_search_by_key(&(index as u32), |(inode, _)| *inode) {
            shape.record.union = layout.blocks[place].1;
        }
        let inode = self.plan.inodes.get(index);
        writer.put(|out| {
            let begin = out.len();
            shape.record.encode(out);
            if let Some(inode) = inode {
                self.plan.attributes.encode(inode.node, out);
            }
            let located = match inode.map(|inode| inode.data) {
                None => {
                    encode_extents(self.packed.iter(), self.algorithm, begin, out);
                    return;
                }
                Some(Data::File(file)) => &self.located[file as usize],
                Some(_) => {
                    let mut own = Vec::new();
                    self.own_data(index, layout, &mut own);
                    out.extend(&own[own.len() - shape.tail..]);
                    return;
                }
            };
            match located {
                Located::Flat { .. } => out.resize(out.len() + shape.tail, 0),
                Located::Extents(extents) => encode_extents(std::iter::once(extents), self.algorithm, begin, out),
                Located::Packed(offset) => {
                    out.resize(begin + (out.len() - begin).next_multiple_of(8), 0);
                    out.extend((offset | WHOLLY_PACKED).to_le_bytes());
                    out.extend([0; INDEX_HEADER]);
                }
            }
        })
    }

    /// Appends what a directory or a symbolic link holds.
    fn own_data(&self, index: usize, layout: &Layout, out: &mut Vec<u8>) {
        let inode = &self.plan.inodes[index];
        match (inode.data, &inode.node.kind) {
            (Data::Directory(directory), _) => {
                directory::encode(&self.plan.directories[directory as usize], &self.plan.inodes, &layout.nids, out);
            }
            (Data::Symlink, Kind::Symlink(target)) => out.extend(target),
            _ => {}
        }
    }
}

impl Layout {
    /// Returns where the metadata begins, in bytes.
    pub(super) fn byte(&self) -> u64 {
        u64::from(self.start) * BLOCK as u64
    }

    /// Returns where an inode begins, in bytes.
    fn position(&self, index: usize) -> u64 {
        self.byte() + self.nids[index] * SLOT as u64
    }
}

fn compressed(record: InodeRecord, inode_end: usize, extents: &Extents) -> Shape {
    if extents.is_raw() {
        return Shape { record: InodeRecord { union: extents.start, ..record }, head: inode_end, tail: 0 };
    }
    let head = end_of_index(inode_end, record.size);
    let record = InodeRecord { layout: DataLayout::CompressedCompact, union: extents.blocks(), ..record };
    Shape { record, head, tail: extents.inline.len() }
}

/// Appends the header of an index, the index and the last extent if it is stored inline; nothing for a file that could not
/// be compressed.
fn encode_extents<'a>(all: impl Iterator<Item = &'a Extents>, algorithm: u8, begin: usize, out: &mut Vec<u8>) {
    for extents in all.filter(|extents| !extents.is_raw()) {
        out.resize(begin + (out.len() - begin).next_multiple_of(8), 0);
        let inline =
            extents.extents.last().is_some_and(|last| matches!(last.stored, Stored::Inline | Stored::InlineRaw));
        out.extend([0; 2]);
        out.extend((extents.inline.len() as u16).to_le_bytes());
        out.extend((ADVICE | if inline { ADVICE_INLINE } else { 0 }).to_le_bytes());
        out.extend([algorithm, 0]);
        index::encode(&extents.extents, extents.start, out.len() - begin, out);
        out.extend(&extents.inline);
    }
}

fn file_mode(kind: &Kind) -> u16 {
    match kind {
        Kind::Regular(_) => 0o100_000,
        Kind::Directory { .. } => 0o040_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::CharacterDevice(_) | Kind::Whiteout => 0o020_000,
        Kind::BlockDevice(_) => 0o060_000,
        Kind::Fifo => 0o010_000,
        Kind::Socket => 0o140_000,
    }
}

/// Returns the number of a device as inodes hold it, 0 for everything else.
fn device(kind: &Kind) -> u32 {
    match kind {
        Kind::CharacterDevice(DeviceNumber { major, minor }) | Kind::BlockDevice(DeviceNumber { major, minor }) => {
            minor & 0xff | major << 8 | (minor & !0xff) << 12
        }
        _ => 0,
    }
}
