//! How fast an image is read by the kernel.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::Result;

/// How many random reads there are.
const READS: u64 = 4000;

/// Reads every file below `directory`.
pub(crate) fn all(directory: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for (path, _) in files(directory)? {
        let mut file = File::open(path)?;
        while file.read(&mut buffer)? > 0 {}
    }
    Ok(())
}

/// Reads 4 KiB at random places of random files, always the same ones.
pub(crate) fn randomly(directory: &Path) -> Result<()> {
    let files: Vec<(PathBuf, u64)> = files(directory)?.into_iter().filter(|(_, size)| *size > 0).collect();
    let mut state = 1_u64;
    let mut buffer = Vec::with_capacity(4096);
    for _ in 0..READS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (path, size) = &files[(state >> 33) as usize % files.len()];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start((state >> 20) % size / 4096 * 4096))?;
        // The end of a file is less.
        file.take(4096).read_to_end(&mut buffer)?;
        buffer.clear();
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push((entry.path(), entry.metadata()?.len()));
        }
    }
    Ok(found)
}
