//! The header blocks of one member.

use crate::tree::{DeviceNumber, Meta, Xattrs};

/// The unit of the format.
pub(super) const BLOCK: usize = 512;

/// The largest numbers of the two kinds of number fields.
const SEVEN_DIGITS: u64 = 0o7_777_777;
const ELEVEN_DIGITS: u64 = 0o77_777_777_777;
/// The bytes of the name and link fields, and of the prefix field.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// One member of an archive, before its content.
#[derive(Debug)]
pub(super) struct Entry<'tree> {
    flag: u8,
    name: &'tree [u8],
    meta: &'tree Meta,
    xattrs: Option<&'tree Xattrs>,
    size: u64,
    link: &'tree [u8],
    device: DeviceNumber,
}

impl<'tree> Entry<'tree> {
    /// Returns a member without content; `name` is relative to the root.
    pub(super) fn new(flag: u8, name: &'tree [u8], meta: &'tree Meta) -> Self {
        let device = DeviceNumber { major: 0, minor: 0 };
        Self { flag, name, meta, xattrs: Some(&meta.xattrs), size: 0, link: b"", device }
    }

    pub(super) fn with_size(self, size: u64) -> Self {
        Self { size, ..self }
    }

    pub(super) fn with_link(self, link: &'tree [u8]) -> Self {
        Self { link, ..self }
    }

    pub(super) fn without_xattrs(self) -> Self {
        Self { xattrs: None, ..self }
    }

    /// Sets the device number, unless it is too large: pax has no record for it.
    pub(super) fn with_device(self, device: DeviceNumber) -> Option<Self> {
        let fits = u64::from(device.major.max(device.minor)) <= SEVEN_DIGITS;
        fits.then_some(Self { device, ..self })
    }

    /// Returns the header blocks: the extended header with its records, when there are any, and the ustar header.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (prefix, name) = split(self.name).unwrap_or((b"", b""));
        let mut records = Vec::new();
        if name.is_empty() {
            record(&mut records, b"path", self.name);
        }
        if self.link.len() > NAME || !self.link.is_ascii() {
            record(&mut records, b"linkpath", self.link);
        }
        for (key, number, most) in [
            (&b"size"[..], self.size, ELEVEN_DIGITS),
            (b"uid", u64::from(self.meta.uid), SEVEN_DIGITS),
            (b"gid", u64::from(self.meta.gid), SEVEN_DIGITS),
        ] {
            if number > most {
                record(&mut records, key, number.to_string().as_bytes());
            }
        }
        if u64::try_from(self.meta.mtime).is_ok_and(|mtime| mtime <= ELEVEN_DIGITS) {
            // The header can say it.
        } else {
            record(&mut records, b"mtime", self.meta.mtime.to_string().as_bytes());
        }
        for (name, value) in self.xattrs.into_iter().flatten() {
            record(&mut records, &[b"SCHILY.xattr.", &*escaped(name)].concat(), value);
        }
        let mut bytes = Vec::with_capacity(BLOCK);
        if !records.is_empty() {
            let plain = plain_name(self.name);
            let meta = Meta::root_owned(0o644, 0);
            let header = Entry { size: records.len() as u64, ..Entry::new(b'x', b"", &meta) };
            bytes.extend(header.block(b"", &[b"PaxHeaders/", &plain[..plain.len().min(NAME - 11)]].concat()));
            bytes.append(&mut records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        if name.is_empty() {
            bytes.extend(self.block(b"", &plain_name(self.name)));
        } else {
            bytes.extend(self.block(prefix, name));
        }
        bytes
    }

    fn block(&self, prefix: &[u8], name: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block[..NAME], name);
        octal(&mut block[100..107], u64::from(self.meta.mode));
        octal(&mut block[108..115], u64::from(self.meta.uid));
        octal(&mut block[116..123], u64::from(self.meta.gid));
        octal(&mut block[124..135], self.size);
        octal(&mut block[136..147], u64::try_from(self.meta.mtime).unwrap_or(0));
        block[148..156].fill(b' ');
        block[156] = self.flag;
        put(&mut block[157..257], &plain_name(self.link));
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..336], u64::from(self.device.major));
        octal(&mut block[337..344], u64::from(self.device.minor));
        put(&mut block[345..500], prefix);
        let sum = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block[148..154], sum);
        block[154] = 0;
        block
    }
}

/// Splits a name into the prefix and name fields, when it fits into them.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME {
        return Some((b"", name));
    }
    // The first slash that leaves a name short enough; what follows it must not be empty.
    let start = (name.len() - NAME - 1).max(1);
    let slash = start + name.get(start..name.len() - 1)?.iter().position(|&byte| byte == b'/')?;
    (slash <= PREFIX).then(|| (&name[..slash], &name[slash + 1..]))
}

/// Returns what a header can hold of a name: for programs that do not read extended headers.
fn plain_name(name: &[u8]) -> Vec<u8> {
    name.iter().take(NAME).map(|&byte| if byte.is_ascii() { byte } else { b'_' }).collect()
}

/// Copies `bytes` to the beginning of a field.
fn put(field: &mut [u8], bytes: &[u8]) {
    field[..bytes.len()].copy_from_slice(bytes);
}

/// Fills a field with octal digits; zeros when the number is too large, for then an extended header has it.
fn octal(field: &mut [u8], number: u64) {
    let fits = number >> (3 * field.len()) == 0;
    let mut rest = if fits { number } else { 0 };
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
}

/// Adds the record `LENGTH KEY=VALUE\n`, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

/// Writes `=` and `%` in the name of an attribute as GNU tar does: a keyword ends at the first `=`.
fn escaped(name: &[u8]) -> Vec<u8> {
    let escape = |&byte: &u8| match byte {
        b'=' => b"%3D".to_vec(),
        b'%' => b"%25".to_vec(),
        _ => vec![byte],
    };
    name.iter().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_a_slash() {
        let long = |first: usize, second: usize| format!("{}/{}", "a".repeat(first), "b".repeat(second)).into_bytes();
        assert_eq!(split(b"short").map(|(_, name)| name), Some(&b"short"[..]));
        let fits = long(155, 100);
        let (prefix, name) = split(&fits).unwrap();
        assert_eq!((prefix.len(), name.len()), (155, 100));
        assert_eq!(split(&long(156, 100)), None);
        assert_eq!(split(&long(100, 101)), None);
        assert_eq!(split(&[b'a'; 101]), None);
        assert_eq!(split("größe".as_bytes()), None);
        let directory = [&[b'a'; 101][..], b"/"].concat();
        assert_eq!(split(&directory), None, "nothing would be left after the slash");
    }

    #[test]
    fn records_count_themselves() {
        for (value, start) in
            [(0, "8 path=\n"), (1, "9 path=v\n"), (2, "11 path=vv\n"), (90, "99 path=v"), (91, "101 path=v")]
        {
            let mut records = Vec::new();
            record(&mut records, b"path", &b"v".repeat(value));
            let text = String::from_utf8(records).unwrap();
            assert!(text.starts_with(start), "{text}");
            assert_eq!(text.split(' ').next().unwrap(), text.len().to_string());
        }
    }
}
