//! Whether two directories hold the same.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Result;

/// What is in a directory.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    /// Regular files.
    pub(crate) files: usize,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Directories.
    pub(crate) directories: usize,
}

/// Counts everything below `directory`.
pub(crate) fn count(directory: &Path) -> Result<Count> {
    let mut count = Count::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let below = self::count(&entry.path())?;
            count.files += below.files;
            count.bytes += below.bytes;
            count.directories += below.directories + 1;
        } else if kind.is_file() {
            count.files += 1;
            count.bytes += entry.metadata()?.len();
        }
    }
    Ok(count)
}

/// Refuses directories that differ in names, kinds, modes, owners, modification times or content.
pub(crate) fn same(one: &Path, other: &Path) -> Result<()> {
    let differ = |what: &str| Err(format!("`{}` and `{}` differ in {what}", one.display(), other.display()).into());
    let (here, there) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    let facts = |of: &Metadata| (of.mode(), of.uid(), of.gid(), of.mtime(), of.mtime_nsec());
    if facts(&here) != facts(&there) {
        return differ("mode, owner or time");
    }
    if here.is_symlink() {
        return if fs::read_link(one)? == fs::read_link(other)? { Ok(()) } else { differ("target") };
    }
    if here.is_file() {
        let same_file = (here.dev(), here.ino()) == (there.dev(), there.ino());
        return if same_file || same_bytes(one, other)? { Ok(()) } else { differ("content") };
    }
    let names = |directory: &Path| -> Result<Vec<_>> {
        let mut names: Vec<_> = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let listed = names(one)?;
    if listed != names(other)? {
        return differ("names");
    }
    listed.iter().try_for_each(|name| same(&one.join(name), &other.join(name)))
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    one.read_to_end(&mut here)?;
    other.read_to_end(&mut there)?;
    Ok(here == there)
}
