//! The members of an archive, one after the other, their content passed over.

use std::os::unix::fs::FileExt;

use super::extended::Extended;
use super::header::{BLOCK, Header, text};
use super::sparse::{Extent, SparseFile, old_gnu_extents, old_gnu_real_size, read_map};
use super::{Limits, Source, TarError, TarFault};
use crate::tree::{DeviceNumber, InvalidPath, Kind, Meta, TreePath};

/// What begins the name of a file that removes (OCI image-spec, layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// What begins the names that the markers themselves keep for special meanings.
const RESERVED: &[u8] = b".wh..wh.";
/// The name of the file that makes its directory opaque.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The longest target that Linux takes for a symbolic link, in bytes.
const TARGET_MAX: usize = 4095;

/// One member: its path and what stands there.
#[derive(Debug)]
pub(super) struct Member {
    /// Where its first header begins.
    pub(super) offset: u64,
    pub(super) path: TreePath,
    pub(super) item: Item,
    pub(super) meta: Meta,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum Item {
    File(Data),
    Link(TreePath),
    Node(Kind),
    /// The path is removed from lower layers.
    Whiteout,
    /// The directory at the path hides what lower layers have in it.
    Opaque,
}

/// Where the bytes of a regular file are.
#[derive(Debug)]
pub(super) enum Data {
    Slice { offset: u64, length: u64 },
    Sparse(SparseFile),
}

/// Returns all members of an archive, in their order.
pub(super) fn read_members(source: &Source) -> Result<Vec<Member>, TarError> {
    let length = source.file.metadata().map_err(crate::fs::Error::on("look at", &*source.plain))?.len();
    let mut reader = Reader {
        source,
        length,
        position: 0,
        name: String::new(),
        global: Extended::default(),
        extended_total: 0,
        sparse_total: 0,
    };
    let mut members = Vec::new();
    loop {
        let offset = reader.position;
        let member = match reader.next() {
            Ok(Some(_)) if members.len() as u64 == source.limits.members => {
                Err(TarFault::Limit("members", source.limits.members))
            }
            member => member,
        };
        match member {
            Ok(Some(member)) => members.push(member),
            Ok(None) => return Ok(members),
            Err(fault) => return Err(source.fault(&reader.name, offset, fault)),
        }
    }
}

struct Reader<'source> {
    source: &'source Source<'source>,
    /// The length of the plain archive.
    length: u64,
    /// Where the next block is.
    position: u64,
    /// The name of the member that is being read, as far as it is known.
    name: String,
    /// What global extended headers said so far.
    global: Extended,
    extended_total: u64,
    sparse_total: u64,
}

impl Reader<'_> {
    /// Returns the next member, or nothing at the end of the archive.
    fn next(&mut self) -> Result<Option<Member>, TarFault> {
        let offset = self.position;
        let mut extended = self.global.clone();
        self.name.clear();
        if self.source.limits.open_end && offset == self.length {
            return Ok(None);
        }
        loop {
            let block = self.block()?;
            if block.iter().all(|&byte| byte == 0) {
                if self.position != offset + BLOCK as u64 {
                    return Err(TarFault::Malformed("no member follows its extended header"));
                }
                self.check_rest()?;
                return Ok(None);
            }
            let header = Header::parse(&block)?;
            self.name = String::from_utf8_lossy(&header.name()).into_owned();
            match header.type_flag() {
                // Solaris had a flag of its own for the same before there was a standard.
                b'x' | b'X' => extended.take(&self.extended_bytes(&header)?)?,
                b'g' => {
                    let records = self.extended_bytes(&header)?;
                    self.global.take_global(&records)?;
                    extended.take_global(&records)?;
                }
                b'L' => extended.path = Some(text(&self.extended_bytes(&header)?).to_vec()),
                b'K' => extended.link = Some(text(&self.extended_bytes(&header)?).to_vec()),
                // The name of the volume, which is no file.
                b'V' => drop(self.content(header.size()?)?),
                _ => return self.member(offset, &block, extended).map(Some),
            }
        }
    }

    /// Reads the member whose last header is `block`, and moves behind its content.
    fn member(&mut self, offset: u64, block: &[u8; BLOCK], mut extended: Extended) -> Result<Member, TarFault> {
        let header = Header::parse(block)?;
        let name = extended.sparse.name.take().or(extended.path.take()).unwrap_or_else(|| header.name());
        self.name = String::from_utf8_lossy(&name).into_owned();
        if name.is_empty() {
            return Err(TarFault::Malformed("it has no name"));
        }
        let path = clean(&name)?;
        let (meta, size) = extended.meta(&header)?;
        let flag = header.type_flag();
        let item = match flag {
            // Before directories had a flag, a slash at the end of the name made one.
            0 | b'0' if name.ends_with(b"/") => Item::Node(Kind::Directory { opaque: extended.xattrs.opaque }),
            0 | b'0' | b'7' if extended.xattrs.whiteout && size == 0 => Item::Node(Kind::Whiteout),
            0 | b'0' | b'7' => Item::File(self.file(size, &extended)?),
            b'S' => Item::File(self.old_gnu_sparse(size, block)?),
            b'1' => Item::Link(clean(extended.link.as_deref().unwrap_or(header.link()))?),
            b'2' => Item::Node(Kind::Symlink(target(extended.link.as_deref().unwrap_or(header.link()))?)),
            b'3' => match device(&header)? {
                DeviceNumber::WHITEOUT => Item::Node(Kind::Whiteout),
                number => Item::Node(Kind::CharacterDevice(number)),
            },
            b'4' => Item::Node(Kind::BlockDevice(device(&header)?)),
            b'5' => Item::Node(Kind::Directory { opaque: extended.xattrs.opaque }),
            b'6' => Item::Node(Kind::Fifo),
            flag => return Err(TarFault::Type(flag)),
        };
        // The size of a directory is what may be put into it; nothing follows (POSIX.1-2017, pax, ustar header block).
        if !matches!(item, Item::File(_) | Item::Node(Kind::Directory { .. })) && size != 0 {
            return Err(TarFault::Malformed("it is no file and has content all the same"));
        }
        let (path, item) = mark(path, item)?;
        if path.is_root() && !matches!(item, Item::Node(Kind::Directory { .. }) | Item::Opaque) {
            return Err(TarFault::Malformed("it would replace the root of the tree"));
        }
        Ok(Member { offset, path, item, meta })
    }

    /// Returns where a file of `size` bytes of the archive has its bytes.
    fn file(&mut self, size: u64, extended: &Extended) -> Result<Data, TarFault> {
        let offset = self.content(size)?;
        let sparse = &extended.sparse;
        let Some(real_size) = sparse.real_size else {
            return Ok(Data::Slice { offset, length: size });
        };
        let (extents, data) = match (sparse.major, sparse.minor) {
            (0, _) => (sparse.extents.clone(), offset),
            (1, 0) => {
                let mut position = offset;
                let next = || {
                    position += BLOCK as u64;
                    if position > offset + size {
                        return Err(TarFault::Malformed("its sparse map is longer than its content"));
                    }
                    self.block_at(position - BLOCK as u64)
                };
                let (extents, blocks) = read_map(next, self.source.limits.extents)?;
                (extents, offset + blocks * BLOCK as u64)
            }
            _ => return Err(TarFault::Unsupported("a sparse map of a version other than 0.0, 0.1 and 1.0")),
        };
        self.sparse(real_size, extents, data, offset + size)
    }

    /// Reads the rest of an old GNU sparse header, and returns where the bytes of the file are.
    fn old_gnu_sparse(&mut self, size: u64, block: &[u8; BLOCK]) -> Result<Data, TarFault> {
        let (mut extents, mut more) = old_gnu_extents(block, true)?;
        while more {
            let (next, further) = old_gnu_extents(&self.block()?, false)?;
            extents.extend(next);
            more = further;
            let limit = self.source.limits.extents;
            if extents.len() as u64 > limit {
                return Err(TarFault::Limit("parts of a sparse file", limit));
            }
        }
        let data = self.content(size)?;
        self.sparse(old_gnu_real_size(block)?, extents, data, data + size)
    }

    fn sparse(&mut self, real_size: u64, extents: Vec<Extent>, data: u64, end: u64) -> Result<Data, TarFault> {
        self.sparse_total = self.sparse_total.saturating_add(real_size);
        let Limits { unpacked, .. } = self.source.limits;
        if self.sparse_total > unpacked {
            return Err(TarFault::Limit("bytes in sparse files", unpacked));
        }
        Ok(Data::Sparse(SparseFile::new(real_size, extents, data, end)?))
    }

    /// Returns the content of an extended header or long name.
    fn extended_bytes(&mut self, header: &Header) -> Result<Vec<u8>, TarFault> {
        let size = header.size()?;
        self.extended_total = self.extended_total.saturating_add(size);
        let Limits { extended, extended_total, .. } = self.source.limits;
        if size > extended {
            return Err(TarFault::Limit("bytes in its extended header", extended));
        }
        if self.extended_total > extended_total {
            return Err(TarFault::Limit("bytes in extended headers", extended_total));
        }
        let offset = self.content(size)?;
        let mut bytes = vec![0; size as usize];
        self.source.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Moves behind a content of `size` bytes, all of which must be there; returns where it begins.
    fn content(&mut self, size: u64) -> Result<u64, TarFault> {
        let offset = self.position;
        let needed = offset.saturating_add(size);
        if needed > self.length {
            return Err(TarFault::Truncated { needed, length: self.length });
        }
        self.position = needed.next_multiple_of(BLOCK as u64);
        Ok(offset)
    }

    /// Reads the next block.
    fn block(&mut self) -> Result<[u8; BLOCK], TarFault> {
        let offset = self.position;
        self.position += BLOCK as u64;
        self.block_at(offset)
    }

    fn block_at(&self, offset: u64) -> Result<[u8; BLOCK], TarFault> {
        let needed = offset + BLOCK as u64;
        if needed > self.length {
            return Err(TarFault::Truncated { needed, length: self.length });
        }
        let mut block = [0; BLOCK];
        self.source.file.read_exact_at(&mut block, offset)?;
        Ok(block)
    }

    /// Checks that nothing but zeros follows the end mark: other programs would read on, and see another tree.
    fn check_rest(&mut self) -> Result<(), TarFault> {
        let mut buffer = [0; 16 * BLOCK];
        while self.position < self.length {
            let want = buffer.len().min(usize::try_from(self.length - self.position).unwrap_or(usize::MAX));
            self.source.file.read_exact_at(&mut buffer[..want], self.position)?;
            if buffer[..want].iter().any(|&byte| byte != 0) {
                return Err(TarFault::Unsupported("more after its end mark (several archives in one file?)"));
            }
            self.position += want as u64;
        }
        Ok(())
    }
}

/// Returns the path that a name stands for: relative to the root, without empty names and `.`.
pub(super) fn clean(name: &[u8]) -> Result<TreePath, InvalidPath> {
    if let Ok(path) = TreePath::from_relative(name.strip_prefix(b"./").unwrap_or(name)) {
        return Ok(path);
    }
    let names: Vec<&[u8]> = name.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    TreePath::from_relative(&names.join(&b'/'))
}

/// Turns an OCI marker file into what it says about another path.
fn mark(path: TreePath, item: Item) -> Result<(TreePath, Item), TarFault> {
    if !path.as_bytes().starts_with(WHITEOUT) && !path.as_bytes().windows(5).any(|window| window == b"/.wh.") {
        return Ok((path, item));
    }
    let (name, directory) = (path.name().unwrap_or_default(), path.parent().unwrap_or_else(TreePath::root));
    if directory.as_bytes().split(|&byte| byte == b'/').any(|name| name.starts_with(WHITEOUT)) {
        return Err(TarFault::Malformed("a directory of its path has the name of a whiteout"));
    }
    if !matches!(item, Item::File(Data::Slice { length: 0, .. })) {
        return Err(TarFault::Malformed("it has the name of a whiteout, but is no empty file"));
    }
    match name.strip_prefix(WHITEOUT) {
        _ if name == OPAQUE => Ok((directory, Item::Opaque)),
        Some(removed) if !name.starts_with(RESERVED) => Ok((directory.join(removed)?, Item::Whiteout)),
        _ => Err(TarFault::Unsupported("a name that is kept for markers")),
    }
}

pub(super) fn target(target: &[u8]) -> Result<Box<[u8]>, TarFault> {
    if target.is_empty() || target.len() > TARGET_MAX || target.contains(&0) {
        return Err(TarFault::Malformed("its target is empty, longer than 4095 bytes or has a zero byte in it"));
    }
    Ok(target.into())
}

pub(super) fn device(header: &Header) -> Result<DeviceNumber, TarFault> {
    let (major, minor) = header.device()?;
    Ok(DeviceNumber { major, minor })
}
