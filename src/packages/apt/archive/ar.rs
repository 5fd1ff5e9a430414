//! The outer form of a package: an `ar` archive of a version, control files and data (deb(5), ar(5)).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::ArchiveFault;
use crate::packages::compression::Compression;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;
/// The members that are looked at before the data: three are usual.
const MOST_MEMBERS: usize = 16;

/// Where a member lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    offset: u64,
    pub(super) size: u64,
    pub(super) compression: Compression,
}

/// The two parts of a package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) control: Member,
    pub(super) data: Member,
}

/// Finds the parts of the package in `file`, of `length` bytes.
pub(super) fn parts(file: &File, length: u64) -> Result<Parts, ArchiveFault> {
    const FORM: ArchiveFault = ArchiveFault::Form("it is no package of Debian: expected an `ar` archive");
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).map_err(|_| FORM)?;
    if magic != *MAGIC {
        return Err(FORM);
    }
    let mut position = MAGIC.len() as u64;
    let (mut version, mut control) = (false, None);
    for _ in 0..MOST_MEMBERS {
        let (name, member) = header(file, position, length)?;
        position = (member.offset + member.size).next_multiple_of(2);
        let inner = |base: &str| Compression::of_name(&name, base).map(|compression| Member { compression, ..member });
        match name.as_str() {
            "debian-binary" if !version => {
                check_version(file, &member)?;
                version = true;
            }
            _ if !version => return Err(ArchiveFault::Form("its first member is not `debian-binary`")),
            // Kept for extensions of the format: to be passed over.
            name if name.starts_with('_') => {}
            _ => match (control, inner("control.tar"), inner("data.tar")) {
                (None, Some(found), _) => control = Some(found),
                (Some(control), _, Some(data)) => return Ok(Parts { control, data }),
                (None, ..) => return Err(ArchiveFault::Form("expected the member `control.tar`, compressed or not")),
                _ => return Err(ArchiveFault::Form("expected the member `data.tar`, compressed or not")),
            },
        }
    }
    Err(ArchiveFault::Form("it has many members and no data"))
}

fn header(file: &File, position: u64, length: u64) -> Result<(String, Member), ArchiveFault> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, position).map_err(|_| ArchiveFault::Form("it ends before its data"))?;
    if header[58..] != *b"`\n" {
        return Err(ArchiveFault::Form("a header in it does not end as it should"));
    }
    let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).map(str::trim_end);
    let (Ok(name), Ok(size)) = (text(0..16), text(48..58)) else {
        return Err(ArchiveFault::Form("a header in it is not ASCII"));
    };
    let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    let size = size.parse().ok().filter(|_| digits).ok_or(ArchiveFault::Form("a member of it has no length"))?;
    let offset = position + HEADER as u64;
    if offset.checked_add(size).is_none_or(|end| end > length) {
        return Err(ArchiveFault::Form("it is cut short"));
    }
    let name = name.strip_suffix('/').unwrap_or(name).to_owned();
    Ok((name, Member { offset, size, compression: Compression::None }))
}

fn check_version(file: &File, member: &Member) -> Result<(), ArchiveFault> {
    let mut version = [0; 4];
    let read = file.read_exact_at(&mut version, member.offset);
    match read {
        Ok(()) if member.size >= 4 && version.starts_with(b"2.") => Ok(()),
        _ => Err(ArchiveFault::Form("it is of another version of the format than 2")),
    }
}

/// Reads a member from its beginning to its end.
#[derive(Debug)]
pub(super) struct MemberReader<'file> {
    file: &'file File,
    offset: u64,
    left: u64,
}

impl Member {
    pub(super) fn open<'file>(&self, file: &'file File) -> MemberReader<'file> {
        MemberReader { file, offset: self.offset, left: self.size }
    }
}

impl Read for MemberReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..want], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
