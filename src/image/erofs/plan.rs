//! What an image will hold, before any content is read.
//!
//! Comes in: a tree. Goes out: its inodes, its directories, and its files by content, each with where its bytes will be.
//! Always holds: the plan follows from the tree and the options alone; contents that are the same are one file.

use std::collections::HashMap;

use super::ErofsError;
use super::attributes::SharedAttributes;
use super::format::BLOCK;
use super::options::{CHUNK_MAX, Codec, Options};
use crate::digest::Digest;
use crate::tree::{Content, DeviceNumber, Kind, Node, NodeId, Tree, TreePath};

/// The longest target of a symbolic link, in bytes: what Linux takes.
const TARGET_MAX: usize = 4095;
/// The most that the parts of a device number can be: what an inode has room for.
const DEVICE_MAX: DeviceNumber = DeviceNumber { major: 0xfff, minor: 0xf_ffff };

/// What an image will hold.
#[derive(Debug)]
pub(super) struct Plan<'tree> {
    /// The root first, in the order of the paths.
    pub(super) inodes: Vec<Inode<'tree>>,
    pub(super) directories: Vec<Directory<'tree>>,
    /// Regular files that are not empty, each content once, in the order of their first paths.
    pub(super) files: Vec<File<'tree>>,
    pub(super) packed: Packed,
    /// How files with extents of their own are cut.
    pub(super) chunk: Chunk,
    pub(super) attributes: SharedAttributes<'tree>,
    /// The time that most inodes have.
    pub(super) epoch: i64,
}

/// A node of the tree, however many paths it has.
#[derive(Debug)]
pub(super) struct Inode<'tree> {
    pub(super) node: &'tree Node,
    pub(super) links: u32,
    pub(super) data: Data,
}

/// What an inode holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// No bytes: an empty file, a pipe, a socket, a device.
    Nothing,
    /// The names of the directory with this index.
    Directory(u32),
    /// The target.
    Symlink,
    /// The content of the file with this index.
    File(u32),
}

/// The names in a directory, sorted, without `.` and `..`.
#[derive(Debug)]
pub(super) struct Directory<'tree> {
    pub(super) inode: u32,
    pub(super) parent: u32,
    pub(super) entries: Vec<Entry<'tree>>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'tree> {
    pub(super) name: &'tree [u8],
    pub(super) inode: u32,
}

/// A content that some inodes have.
#[derive(Debug)]
pub(super) struct File<'tree> {
    pub(super) content: &'tree Content,
    /// The first path that has it, for messages.
    pub(super) path: &'tree TreePath,
    /// The first inode that has it.
    pub(super) inode: u32,
    /// How many inodes have it.
    pub(super) inodes: u32,
    pub(super) place: Place,
}

/// Where the bytes of a file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Into blocks of its own as they are; the rest behind its inodes if there is room.
    Flat,
    /// Into compressed extents of its own.
    Chunked,
    /// Into the packed inode, from this byte on.
    Packed(u64),
}

/// The packed inode: small files one behind the other.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// The files, in the order in which they stand.
    pub(super) files: Vec<u32>,
    /// Where its extents begin, multiples of a block, and where the last one ends. What lies between the end of a file and
    /// a multiple of a block is zero.
    pub(super) cuts: Vec<u64>,
}

impl Packed {
    /// Returns its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.cuts.last().copied().unwrap_or(0)
    }

    /// Returns the length of its longest extent in bytes.
    pub(super) fn longest(&self) -> usize {
        self.cuts.windows(2).map(|cut| cut[1] - cut[0]).max().unwrap_or(0) as usize
    }
}

/// The length of the extents of files that have their own, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk(u32);

impl Chunk {
    /// Returns the length of the next extent of a file of which `left` bytes are left. An end that is shorter than a chunk
    /// goes with the chunk before it: alone it would compress worse and leave half a block empty.
    pub(super) fn of(self, left: u64) -> usize {
        if left <= self.longest() as u64 { left as usize } else { self.0 as usize }
    }

    fn longest(self) -> usize {
        (2 * self.0).min(CHUNK_MAX) as usize
    }
}

impl<'tree> Plan<'tree> {
    /// Returns the most bytes that an extent can have.
    pub(super) fn longest_chunk(&self) -> usize {
        self.packed.longest().max(self.chunk.longest())
    }

    /// Plans the image of `tree`.
    ///
    /// # Errors
    /// When a directory is missing above a path, or a node cannot stand in an image.
    pub(super) fn new(tree: &'tree Tree, options: &Options) -> Result<Self, ErofsError> {
        let mut planner = Planner::default();
        for (path, id) in tree.ids() {
            planner.path(path, id, tree.node(id), options)?;
        }
        if planner.inodes.is_empty() {
            return Err(ErofsError::Incomplete { path: TreePath::root() });
        }
        let attributes = SharedAttributes::find(
            tree.links().filter(|(.., first)| first.is_none()).map(|(path, node, _)| (path, node)),
        )?;
        let Planner { inodes, directories, mut files, .. } = planner;
        let packed = pack(&mut files, options.compression.chunk);
        let epoch = most_frequent_time(&inodes);
        let chunk = Chunk(options.compression.chunk);
        Ok(Self { inodes, directories, files, packed, chunk, attributes, epoch })
    }
}

#[derive(Default)]
struct Planner<'tree> {
    inodes: Vec<Inode<'tree>>,
    directories: Vec<Directory<'tree>>,
    files: Vec<File<'tree>>,
    by_node: HashMap<NodeId, u32>,
    by_path: HashMap<&'tree [u8], u32>,
    by_content: HashMap<Digest, u32>,
}

impl<'tree> Planner<'tree> {
    fn path(
        &mut self,
        path: &'tree TreePath,
        id: NodeId,
        node: &'tree Node,
        options: &Options,
    ) -> Result<(), ErofsError> {
        let parent = path.above().next().and_then(|above| self.by_path.get(above)).copied();
        if parent.is_none() && !path.is_root() {
            return Err(ErofsError::Incomplete { path: path.parent().unwrap_or_else(TreePath::root) });
        }
        let inode = match self.by_node.get(&id) {
            Some(inode) => *inode,
            None => {
                let inode = self.inodes.len() as u32;
                let data = self.data(path, node, inode, parent, options)?;
                self.inodes.push(Inode { node, links: u32::from(node.kind.is_directory()), data });
                self.by_node.insert(id, inode);
                inode
            }
        };
        self.inodes[inode as usize].links += 1;
        if let Some(parent) = parent {
            let directory = &mut self.directories[parent as usize];
            directory.entries.push(Entry { name: path.name().unwrap_or_default(), inode });
            if node.kind.is_directory() {
                self.inodes[directory.inode as usize].links += 1;
            }
        }
        Ok(())
    }

    fn data(
        &mut self,
        path: &'tree TreePath,
        node: &'tree Node,
        inode: u32,
        parent: Option<u32>,
        options: &Options,
    ) -> Result<Data, ErofsError> {
        let unfit = |reason| Err(ErofsError::Unfit { path: path.clone(), reason });
        match &node.kind {
            Kind::Directory { .. } => {
                let index = self.directories.len() as u32;
                let parent = parent.map_or(inode, |parent| self.directories[parent as usize].inode);
                self.directories.push(Directory { inode, parent, entries: Vec::new() });
                self.by_path.insert(path.as_bytes(), index);
                Ok(Data::Directory(index))
            }
            _ if path.is_root() => unfit("the root of a tree must be a directory"),
            Kind::Regular(content) if content.length == 0 => Ok(Data::Nothing),
            Kind::Regular(content) => Ok(Data::File(self.file(path, content, inode, options))),
            Kind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                unfit("the target of the symbolic link is empty or has a zero byte in it")
            }
            Kind::Symlink(target) if target.len() > TARGET_MAX => {
                unfit("the target of the symbolic link is longer than 4095 bytes")
            }
            Kind::Symlink(_) => Ok(Data::Symlink),
            Kind::CharacterDevice(number) | Kind::BlockDevice(number)
                if number.major > DEVICE_MAX.major || number.minor > DEVICE_MAX.minor =>
            {
                unfit("its device number is larger than 4095:1048575")
            }
            Kind::CharacterDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket | Kind::Whiteout => {
                Ok(Data::Nothing)
            }
        }
    }

    /// Returns the index of the file with this content.
    fn file(&mut self, path: &'tree TreePath, content: &'tree Content, inode: u32, options: &Options) -> u32 {
        let index = self.files.len() as u32;
        let known = if options.shares() { *self.by_content.entry(content.digest).or_insert(index) } else { index };
        if known == index {
            self.files.push(File { content, path, inode, inodes: 0, place: place(content.length, options) });
        }
        self.files[known as usize].inodes += 1;
        known
    }
}

fn place(length: u64, options: &Options) -> Place {
    match options.compression.codec {
        Codec::None => Place::Flat,
        _ if options.packs() && length < options.compression.chunk.into() => Place::Packed(0),
        // It gains nothing: compressed it would take a block, too.
        _ if length <= BLOCK as u64 && !options.packs() => Place::Flat,
        _ => Place::Chunked,
    }
}

/// Gives each packed file its place.
///
/// Files of one kind stand together, for they compress together. An extent ends where a file begins whose digest says
/// so, once it is long enough: a file that changes then changes its own extent and few after it, and the others are found
/// in the cache.
fn pack(files: &mut [File<'_>], chunk: u32) -> Packed {
    let most = Chunk(chunk).longest() as u64;
    let least = most / 4 * 3;
    let mut order: Vec<u32> = (0..files.len() as u32).collect();
    order.retain(|file| matches!(files[*file as usize].place, Place::Packed(_)));
    order.sort_by_cached_key(|file| kind_name_path(files[*file as usize].path));
    let mut cuts = vec![0];
    let (mut start, mut end) = (0, 0_u64);
    for index in &order {
        let file = &mut files[*index as usize];
        if end - start >= least && file.content.digest.as_bytes()[0].is_multiple_of(4) {
            end = end.next_multiple_of(BLOCK as u64);
            start = end;
            cuts.push(start);
        }
        file.place = Place::Packed(end);
        end += file.content.length;
        while end - start > most {
            start += most;
            cuts.push(start);
        }
    }
    if end > start {
        cuts.push(end);
    }
    Packed { files: order, cuts }
}

/// Returns what orders files so that similar ones stand together: suffix, name, path.
fn kind_name_path(path: &TreePath) -> (&[u8], &[u8], &[u8]) {
    let name = path.name().unwrap_or_default();
    let suffix = name.iter().rposition(|byte| *byte == b'.').filter(|place| *place > 0);
    (suffix.map_or(b"", |place| &name[place..]), name, path.as_bytes())
}

/// Returns the time that most inodes have, of several the earliest.
fn most_frequent_time(inodes: &[Inode<'_>]) -> i64 {
    let mut counts: HashMap<i64, u32> = HashMap::new();
    for inode in inodes {
        *counts.entry(inode.node.meta.mtime).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(time, count)| (*count, std::cmp::Reverse(*time))).map_or(0, |(time, _)| time)
}
