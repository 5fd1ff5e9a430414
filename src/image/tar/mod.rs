//! A tree as a tar archive.
//!
//! Comes in: a tree, or the part of it that is selected. Goes out: one archive, ustar with pax records only where ustar
//! cannot say something (POSIX.1-2017, pax). Always holds: the same tree gives the same bytes; a directory comes before
//! what is in it and nothing else between them, for GNU tar sets its time when it leaves it; a hard link comes after the
//! first name; the content that is written has the digest that the tree says.
//!
//! Owners are numbers without names. Extended attributes are `SCHILY.xattr.` records, which GNU tar, libarchive and
//! container engines read. Whiteouts and opaque directories become the marker files of OCI layers (image-spec, layer.md).

mod header;

use std::collections::HashMap;
use std::io::{self, BufWriter, Read, Write};

use self::header::{BLOCK, Entry};
use crate::digest::Hasher;
use crate::fs;
use crate::tree::{Content, ContentSource, Kind, Meta, Node, NodeId, Tree, TreePath};

/// Bytes copied at a time: few enough that they are still in the cache of the processor when they are copied on.
const CHUNK: usize = 128 << 10;
/// Bytes gathered before they are written: headers and small files.
const GATHERED: usize = 64 << 10;
/// What begins the name of a marker file.
const WHITEOUT: &[u8] = b".wh.";
/// The marker file of an opaque directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A tree that cannot be written as a tar archive.
#[derive(Debug, thiserror::Error)]
pub enum WriteTarError {
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[from] io::Error),
    /// The content of a file cannot be read.
    #[error("cannot write `{path}` into the archive")]
    Content {
        /// The path in the tree.
        path: TreePath,
        /// What went wrong.
        #[source]
        source: fs::Error,
    },
    /// The content of a file is not what it was when the tree was made.
    #[error(
        "cannot write `{path}` into the archive: its content changed meanwhile; run again when nothing writes to it"
    )]
    Changed {
        /// The path in the tree.
        path: TreePath,
    },
    /// Something that no tar archive can hold.
    #[error("cannot write `{path}` into the archive: {reason}")]
    Unfit {
        /// The path in the tree.
        path: TreePath,
        /// Why not, and what to do.
        reason: &'static str,
    },
}

/// Writes the whole tree to `out`.
///
/// # Errors
/// When `out` does, when a content cannot be read or is not what the tree says, and when a node is a socket, a device with
/// a number of more than 21 bits or has a name that begins with `.wh.`, which would remove something in an OCI layer.
pub fn write_tar(tree: &Tree, out: &mut dyn Write) -> Result<(), WriteTarError> {
    write_tar_selected(tree, out, |_, _| true)
}

/// Writes to `out` the paths of the tree that `select` takes. The first selected name of a node holds its content, the
/// others are hard links to it.
///
/// # Errors
/// As [`write_tar`], for what is selected.
pub fn write_tar_selected(
    tree: &Tree,
    out: &mut dyn Write,
    select: impl Fn(&TreePath, &Node) -> bool,
) -> Result<(), WriteTarError> {
    let mut writer = Writer { out: BufWriter::with_capacity(GATHERED, out), buffer: Vec::new() };
    let mut first_names: HashMap<NodeId, &TreePath> = HashMap::new();
    let mut ids: Vec<(&TreePath, NodeId)> = tree.ids().collect();
    ids.sort_by(|(one, _), (other, _)| by_names(one).cmp(by_names(other)));
    for (path, id) in ids {
        let node = tree.node(id);
        if !select(path, node) {
            continue;
        }
        match first_names.get(&id) {
            Some(first) => writer.hard_link(path, &node.meta, first)?,
            None => {
                writer.node(path, node)?;
                first_names.insert(id, path);
            }
        }
    }
    writer.out.write_all(&[0; 2 * BLOCK])?;
    Ok(writer.out.flush()?)
}

struct Writer<'out> {
    out: BufWriter<&'out mut dyn Write>,
    /// Room for a piece of content.
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn node(&mut self, path: &TreePath, Node { kind, meta }: &Node) -> Result<(), WriteTarError> {
        let unfit = |reason| Err(WriteTarError::Unfit { path: path.clone(), reason });
        if path.is_root() && !kind.is_directory() {
            return unfit("the root of a tree must be a directory");
        }
        if path.name().is_some_and(|name| name.starts_with(WHITEOUT)) {
            return unfit("a name that begins with `.wh.` means a removal there; give it another name");
        }
        let entry = |flag| Entry::new(flag, path.as_bytes(), meta);
        match kind {
            Kind::Regular(content) => self.file(path, &entry(b'0').with_size(content.length), content),
            Kind::Directory { opaque } => {
                self.directory(path, meta)?;
                if *opaque {
                    self.marker(path, OPAQUE, meta.mtime)?;
                }
                Ok(())
            }
            Kind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                unfit("the target of the symbolic link is empty or has a zero byte in it")
            }
            Kind::Symlink(target) => Ok(self.out.write_all(&entry(b'2').with_link(target).to_bytes())?),
            Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
                let flag = if matches!(kind, Kind::BlockDevice(_)) { b'4' } else { b'3' };
                let Some(entry) = entry(flag).with_device(*number) else {
                    return unfit("its device number has a part of more than 21 bits");
                };
                Ok(self.out.write_all(&entry.to_bytes())?)
            }
            Kind::Fifo => Ok(self.out.write_all(&entry(b'6').to_bytes())?),
            Kind::Socket => unfit("a socket cannot be archived; remove it, its program makes it when it starts"),
            Kind::Whiteout => {
                let parent = path.parent().unwrap_or_else(TreePath::root);
                self.marker(&parent, &[WHITEOUT, path.name().unwrap_or_default()].concat(), meta.mtime)
            }
        }
    }

    fn directory(&mut self, path: &TreePath, meta: &Meta) -> Result<(), WriteTarError> {
        let name = if path.is_root() { b"./".to_vec() } else { [path.as_bytes(), b"/"].concat() };
        Ok(self.out.write_all(&Entry::new(b'5', &name, meta).to_bytes())?)
    }

    fn hard_link(&mut self, path: &TreePath, meta: &Meta, first: &TreePath) -> Result<(), WriteTarError> {
        let entry = Entry::new(b'1', path.as_bytes(), meta).without_xattrs().with_link(first.as_bytes());
        Ok(self.out.write_all(&entry.to_bytes())?)
    }

    /// Writes the empty file that stands for a removal.
    fn marker(&mut self, directory: &TreePath, name: &[u8], mtime: i64) -> Result<(), WriteTarError> {
        let name = if directory.is_root() { name.to_vec() } else { [directory.as_bytes(), name].join(&b'/') };
        Ok(self.out.write_all(&Entry::new(b'0', &name, &Meta::root_owned(0o644, mtime)).to_bytes())?)
    }

    fn file(&mut self, path: &TreePath, entry: &Entry, content: &Content) -> Result<(), WriteTarError> {
        self.out.write_all(&entry.to_bytes())?;
        if let ContentSource::Inline(bytes) = &content.source {
            self.out.write_all(bytes)?;
        } else {
            self.copy(path, content)?;
        }
        let padding = content.length.next_multiple_of(BLOCK as u64) - content.length;
        Ok(self.out.write_all(&[0; BLOCK][..padding as usize])?)
    }

    /// Copies a content from where it is, and makes sure that it is still the same.
    fn copy(&mut self, path: &TreePath, content: &Content) -> Result<(), WriteTarError> {
        let changed = || WriteTarError::Changed { path: path.clone() };
        let unreadable = |source| WriteTarError::Content { path: path.clone(), source };
        let mut reader = content.open().map_err(unreadable)?;
        let (mut hasher, mut length) = (Hasher::new(), 0);
        let stamped = matches!(content.source, ContentSource::Stamped { .. });
        self.buffer.resize(self.buffer.len().max(content.length.min(CHUNK as u64) as usize), 0);
        loop {
            match reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    length += count as u64;
                    if !stamped {
                        hasher.update(&self.buffer[..count]);
                    }
                    self.out.write_all(&self.buffer[..count])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
                Err(error) => return Err(unreadable(fs::Error::on("read", content.source.path())(error))),
            }
        }
        // A file that has the stamp that it had when it was hashed holds what it held.
        let same = if stamped {
            reader.is_as_hashed() && length == content.length
        } else {
            hasher.finish() == (content.digest, content.length)
        };
        if same { Ok(()) } else { Err(changed()) }
    }
}

/// Returns what orders paths name by name, so that nothing stands between a directory and what is in it: the slash comes
/// before everything that a name can hold.
fn by_names(path: &TreePath) -> impl Iterator<Item = u8> {
    path.as_bytes().iter().map(|&byte| if byte == b'/' { 0 } else { byte })
}

#[cfg(test)]
mod tests;
