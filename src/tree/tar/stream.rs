//! The members of an archive that comes as a stream, as packages have it.
//!
//! Comes in: decompressed bytes. Goes out: member after member, in their order, each followed by its content. Always holds:
//! no path and no hard link leaves the root; names mean what they say, also those that are markers in layers of images.

use std::io::{self, Read};

use super::extended::Extended;
use super::header::{BLOCK, Header, text};
use super::member::{clean, device, target};
use super::{LIMITS, TarFault};
use crate::tree::{Kind, Meta, TreePath};

/// One member of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMember {
    /// Its path.
    pub path: TreePath,
    /// What it is.
    pub item: StreamItem,
    /// Its metadata.
    pub meta: Meta,
    /// The names of its owner and group; empty where only numbers are known.
    pub owner: (Box<[u8]>, Box<[u8]>),
}

/// What a member of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// A regular file, whose bytes the stream gives next.
    File {
        /// Their number.
        length: u64,
    },
    /// Another name of an earlier member.
    Link(TreePath),
    /// Anything else.
    Node(Kind),
}

/// Reads members from a stream. As a reader it gives the content of the member that came last.
#[derive(Debug)]
pub struct TarStream<R> {
    reader: R,
    /// The bytes read so far.
    position: u64,
    /// The bytes of the present content that are still to come, and of the padding behind it.
    content: u64,
    padding: u64,
    members: u64,
    extended_total: u64,
    unpacked: u64,
    /// Whether the end of the bytes after a whole member is the end, too.
    open_end: bool,
}

impl<R: Read> TarStream<R> {
    /// Returns a stream of the members that `reader` holds, of which at most `unpacked` bytes are read.
    pub fn new(reader: R, unpacked: u64) -> Self {
        Self { reader, position: 0, content: 0, padding: 0, members: 0, extended_total: 0, unpacked, open_end: false }
    }

    /// Lets the stream end without its end mark: what is known by its digest is whole where it ends.
    #[must_use]
    pub fn open_ended(self) -> Self {
        Self { open_end: true, ..self }
    }

    /// Returns the bytes read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the next member, or nothing at the end. What is left of the content before is passed over.
    ///
    /// # Errors
    /// When the stream cannot be read, is cut short, or has a member that no tree can hold.
    pub fn next_member(&mut self) -> Result<Option<StreamMember>, TarFault> {
        self.skip()?;
        let mut extended = Extended::default();
        let mut first = true;
        loop {
            let Some(block) = self.block(self.open_end && first)? else { return Ok(None) };
            if block.iter().all(|&byte| byte == 0) {
                if !first {
                    return Err(TarFault::Malformed("no member follows its extended header"));
                }
                self.check_rest()?;
                return Ok(None);
            }
            first = false;
            let header = Header::parse(&block)?;
            match header.type_flag() {
                b'x' => extended.take(&self.extended_bytes(&header)?)?,
                b'L' => extended.path = Some(text(&self.extended_bytes(&header)?).to_vec()),
                b'K' => extended.link = Some(text(&self.extended_bytes(&header)?).to_vec()),
                b'g' => return Err(TarFault::Unsupported("an extended header for all members")),
                _ => return self.member(&header, extended).map(Some),
            }
        }
    }

    fn member(&mut self, header: &Header<'_>, mut extended: Extended) -> Result<StreamMember, TarFault> {
        self.members += 1;
        if self.members > LIMITS.members {
            return Err(TarFault::Limit("members", LIMITS.members));
        }
        if extended.sparse.real_size.is_some() {
            return Err(TarFault::Unsupported("a sparse map"));
        }
        let name = extended.path.take().unwrap_or_else(|| header.name());
        let path = clean(&name)?;
        let (meta, size) = extended.meta(header)?;
        let link = extended.link.as_deref().unwrap_or(header.link());
        let item = match header.type_flag() {
            0 | b'0' if name.ends_with(b"/") => StreamItem::Node(Kind::directory()),
            0 | b'0' | b'7' => StreamItem::File { length: size },
            b'1' => StreamItem::Link(clean(link)?),
            b'2' => StreamItem::Node(Kind::Symlink(target(link)?)),
            b'3' => StreamItem::Node(Kind::CharacterDevice(device(header)?)),
            b'4' => StreamItem::Node(Kind::BlockDevice(device(header)?)),
            b'5' => StreamItem::Node(Kind::directory()),
            b'6' => StreamItem::Node(Kind::Fifo),
            flag => return Err(TarFault::Type(flag)),
        };
        if !matches!(item, StreamItem::File { .. } | StreamItem::Node(Kind::Directory { .. })) && size != 0 {
            return Err(TarFault::Malformed("it is no file and has content all the same"));
        }
        if path.is_root() && item != StreamItem::Node(Kind::directory()) {
            return Err(TarFault::Malformed("it would replace the root of the tree"));
        }
        if let StreamItem::File { length } = item {
            self.content = length;
            self.padding = length.checked_next_multiple_of(BLOCK as u64).map_or(0, |whole| whole - length);
        }
        let owner = extended.owner(header);
        Ok(StreamMember { path, item, meta, owner })
    }

    fn extended_bytes(&mut self, header: &Header<'_>) -> Result<Vec<u8>, TarFault> {
        let size = header.size()?;
        self.extended_total = self.extended_total.saturating_add(size);
        if size > LIMITS.extended || self.extended_total > LIMITS.extended_total {
            return Err(TarFault::Limit("bytes in extended headers", LIMITS.extended));
        }
        let mut bytes = vec![0; size as usize];
        self.fill(&mut bytes)?;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        self.skip()?;
        Ok(bytes)
    }

    /// Reads the next block; nothing at the end of the bytes when there `may_end`.
    fn block(&mut self, may_end: bool) -> Result<Option<[u8; BLOCK]>, TarFault> {
        let mut block = [0; BLOCK];
        let count = self.take(&mut block)?;
        if count == 0 && may_end {
            return Ok(None);
        }
        self.fill(&mut block[count..])?;
        Ok(Some(block))
    }

    /// Passes over what is left of the content and its padding.
    fn skip(&mut self) -> Result<(), TarFault> {
        let mut buffer = [0; 16 * BLOCK];
        let mut left = self.content.saturating_add(self.padding);
        while left > 0 {
            let want = left.min(buffer.len() as u64);
            self.fill(&mut buffer[..want as usize])?;
            left -= want;
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    /// Checks that nothing but zeros follows the end mark.
    fn check_rest(&mut self) -> Result<(), TarFault> {
        let mut buffer = [0; 16 * BLOCK];
        loop {
            let count = self.take(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if buffer[..count].iter().any(|&byte| byte != 0) {
                return Err(TarFault::Unsupported("more after its end mark"));
            }
        }
    }

    /// Reads exactly as many bytes as `buffer` takes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TarFault> {
        let needed = self.position + buffer.len() as u64;
        let mut done = 0;
        while done < buffer.len() {
            match self.take(&mut buffer[done..])? {
                0 => return Err(TarFault::Truncated { needed, length: self.position }),
                count => done += count,
            }
        }
        Ok(())
    }

    fn take(&mut self, buffer: &mut [u8]) -> Result<usize, TarFault> {
        loop {
            match self.reader.read(buffer) {
                Ok(count) => {
                    self.position += count as u64;
                    if self.position > self.unpacked {
                        return Err(TarFault::Limit("bytes in it", self.unpacked));
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let count = self.take(&mut buffer[..want]).map_err(|fault| match fault {
            TarFault::Read(error) => error,
            other => io::Error::other(other),
        })?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.content -= count as u64;
        Ok(count)
    }
}
