//! Extended headers: pax records (POSIX.1-2017, pax, "pax Extended Header"), with the extended attributes of star and
//! libarchive and the sparse maps of GNU tar.

use super::TarFault;
use super::header::Header;
use super::sparse::{Extent, SparseRecords};
use crate::tree::Meta;
use crate::tree::xattrs::Sorted;

/// What extended headers say about the member after them.
#[derive(Debug, Clone, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) user: Option<Box<[u8]>>,
    pub(super) group: Option<Box<[u8]>>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: Sorted,
    pub(super) sparse: SparseRecords,
}

impl Extended {
    /// Returns the names of owner and group of the member after the extended headers.
    pub(super) fn owner(&self, header: &Header<'_>) -> (Box<[u8]>, Box<[u8]>) {
        let (user, group) = header.owner();
        (self.user.clone().unwrap_or_else(|| user.into()), self.group.clone().unwrap_or_else(|| group.into()))
    }

    /// Takes the attributes of the member after the extended headers, and the bytes of its content; what they do not say
    /// its own header does.
    pub(super) fn meta(&mut self, header: &Header<'_>) -> Result<(Meta, u64), TarFault> {
        let meta = Meta {
            mode: header.mode()?,
            uid: self.uid.map_or_else(|| header.uid(), Ok)?,
            gid: self.gid.map_or_else(|| header.gid(), Ok)?,
            mtime: self.mtime.map_or_else(|| header.mtime(), Ok)?,
            xattrs: std::mem::take(&mut self.xattrs.xattrs),
        };
        Ok((meta, self.size.map_or_else(|| header.size(), Ok)?))
    }

    /// Takes the records of an extended header for one member. Keywords without a meaning for a tree are passed over, as
    /// the standard asks.
    pub(super) fn take(&mut self, records: &[u8]) -> Result<(), TarFault> {
        each_record(records, |key, value| self.take_record(key, value))
    }

    /// Takes the records of an extended header for all members after it.
    pub(super) fn take_global(&mut self, records: &[u8]) -> Result<(), TarFault> {
        each_record(records, |key, value| match key {
            b"path" | b"linkpath" | b"size" => {
                Err(TarFault::Malformed("a global extended header names or sizes one member"))
            }
            b"uid" | b"gid" | b"mtime" => self.take_record(key, value),
            _ if key.starts_with(b"SCHILY.xattr.") || key.starts_with(b"LIBARCHIVE.xattr.") => {
                Err(TarFault::Unsupported("extended attributes for all members (a global extended header)"))
            }
            _ => Ok(()),
        })
    }

    fn take_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarFault> {
        match key {
            b"path" => self.path = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"linkpath" => self.link = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"size" => self.size = optional(value, "its `size` record is no number of 64 bits")?,
            b"uid" => self.uid = optional(value, "its `uid` record is no number of 32 bits")?,
            b"uname" => self.user = Some(value.into()),
            b"gname" => self.group = Some(value.into()),
            b"gid" => self.gid = optional(value, "its `gid` record is no number of 32 bits")?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(seconds(value)?) },
            b"SCHILY.acl.access" | b"SCHILY.acl.default" | b"SCHILY.acl.ace" if !value.is_empty() => {
                return Err(TarFault::Unsupported("access control lists as text (archive it with `--no-acls`)"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    // GNU tar writes `=` and `%` in a name as `%3D` and `%25`, for a keyword ends at the first `=`.
                    self.xattrs.take(&unescape(name, |hex| matches!(hex, b"3D" | b"25")), value)?;
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    let name = unescape(name, |_| true);
                    if !self.xattrs.xattrs.contains_key(name.as_slice()) {
                        let value = base64(value).ok_or(TarFault::Malformed("an extended attribute is no base64"))?;
                        self.xattrs.take(&name, &value)?;
                    }
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(name, value)?;
                }
            }
        }
        Ok(())
    }
}

impl SparseRecords {
    /// Takes the record `GNU.sparse.NAME`, of any of the versions 0.0, 0.1 and 1.0.
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), TarFault> {
        const NO_NUMBER: &str = "a `GNU.sparse` record is no number of 64 bits";
        match name {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.real_size = Some(decimal(value, NO_NUMBER)?),
            b"major" => self.major = decimal(value, NO_NUMBER)?,
            b"minor" => self.minor = decimal(value, NO_NUMBER)?,
            b"offset" => self.open_offset = Some(decimal(value, NO_NUMBER)?),
            b"numbytes" => {
                let offset = self.open_offset.take().ok_or(TarFault::Malformed("its sparse map lacks an offset"))?;
                self.extents.push(Extent { offset, length: decimal(value, NO_NUMBER)? });
            }
            b"map" if !value.is_empty() => {
                let numbers: Result<Vec<u64>, _> =
                    value.split(|&byte| byte == b',').map(|number| decimal(number, NO_NUMBER)).collect();
                let numbers = numbers?;
                let (pairs, rest) = numbers.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(TarFault::Malformed("its sparse map lacks a length"));
                }
                self.extents = pairs.iter().map(|&[offset, length]| Extent { offset, length }).collect();
            }
            _ => {}
        }
        Ok(())
    }
}

/// Calls `take` with the key and value of every record `LENGTH KEY=VALUE\n`.
fn each_record(mut records: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> Result<(), TarFault>) -> Result<(), TarFault> {
    const MALFORMED: TarFault = TarFault::Malformed("its extended header is no sequence of `LENGTH KEY=VALUE` lines");
    while !records.is_empty() {
        let space = records.iter().position(|&byte| byte == b' ').ok_or(MALFORMED)?;
        let length = decimal::<usize>(&records[..space], "a record of its extended header has no length")?;
        let record = records.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(MALFORMED)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(MALFORMED)?;
        take(&record[..equals], &record[equals + 1..])?;
        records = &records[length..];
    }
    Ok(())
}

/// Reads decimal digits and nothing else.
pub(super) fn decimal<T: std::str::FromStr>(digits: &[u8], reason: &'static str) -> Result<T, TarFault> {
    let clean = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| clean).and_then(|digits| digits.parse().ok());
    number.ok_or(TarFault::Malformed(reason))
}

fn optional<T: std::str::FromStr>(value: &[u8], reason: &'static str) -> Result<Option<T>, TarFault> {
    if value.is_empty() { Ok(None) } else { decimal(value, reason).map(Some) }
}

/// Reads `SECONDS[.FRACTION]`, which may be negative, rounded down as the kernel does.
fn seconds(value: &[u8]) -> Result<i64, TarFault> {
    const REASON: &str = "its `mtime` record is no time";
    let (negative, digits) = value.strip_prefix(b"-").map_or((false, value), |digits| (true, digits));
    let dot = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
    let fraction = digits[dot..].strip_prefix(b".").unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(TarFault::Malformed(REASON));
    }
    let whole: i64 = decimal(&digits[..dot], REASON)?;
    let rounded = i64::from(negative && fraction.iter().any(|&digit| digit != b'0'));
    Ok(if negative { -whole - rounded } else { whole })
}

/// Replaces each `%XX` whose two digits `wanted` accepts by the byte they stand for.
fn unescape(name: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| first == b'%' && wanted(digits));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

/// Decodes base64, with or without padding (RFC 4648, section 4).
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.split(|&byte| byte == b'=').next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for &digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let whole = (group.len() * 6) / 8;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(records: &[&[u8]]) -> Vec<u8> {
        let line = |record: &&[u8]| {
            let mut length = record.len() + 3;
            while length != length.to_string().len() + record.len() + 2 {
                length += 1;
            }
            [length.to_string().as_bytes(), b" ", record, b"\n"].concat()
        };
        records.iter().flat_map(line).collect()
    }

    fn extended(records: &[u8]) -> Result<Extended, String> {
        let mut extended = Extended::default();
        extended.take(records).map_err(|fault| fault.to_string())?;
        Ok(extended)
    }

    #[test]
    fn records_are_read() {
        let records = lines(&[
            b"path=\xc3\xa9/x=y",
            b"uid=70000",
            b"gid=1",
            b"gid=",
            b"mtime=-1.50",
            b"unknown=v",
            b"SCHILY.xattr.user.a=\n\0",
            b"LIBARCHIVE.xattr.user.%41%3D=AQID",
            b"SCHILY.xattr.user.%3D%25=v",
            b"LIBARCHIVE.xattr.user.a=AQID",
        ]);
        let extended = extended(&records).unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"\xc3\xa9/x=y"[..]));
        assert_eq!((extended.uid, extended.gid, extended.mtime), (Some(70_000), None, Some(-2)));
        let xattrs: Vec<(&[u8], &[u8])> =
            extended.xattrs.xattrs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(xattrs, [(&b"user.=%"[..], &b"v"[..]), (b"user.A=", b"\x01\x02\x03"), (b"user.a", b"\n\0")]);
    }

    #[test]
    fn malformed_records_are_refused() {
        for records in
            ["x", "9 a=b\n", "5 a=b\n", "6 a=bc", "-6 a=b\n", "0 a=b\n", "99999999999999999999999 a=b\n", "6 ab\n"]
        {
            assert!(extended(records.as_bytes()).is_err(), "{records:?}");
        }
        for record in ["uid=-1", "uid=4294967296", "mtime=x", "mtime=1.x", "size=1 ", "mtime=9223372036854775808"] {
            assert!(extended(&lines(&[record.as_bytes()])).is_err(), "{record}");
        }
        let error = extended(&lines(&[b"SCHILY.acl.access=u::r"])).unwrap_err();
        assert!(error.contains("--no-acls"), "{error}");
    }

    #[test]
    fn times_are_rounded_down() {
        for (text, expected) in [("0", 0), ("1.999", 1), ("-1", -1), ("-1.0", -1), ("-0.5", -1), ("-1.5", -2)] {
            assert_eq!(seconds(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn global_records_speak_of_all_members_only() {
        let mut extended = Extended::default();
        extended.take_global(&lines(&[b"uid=12", b"comment=abc"])).unwrap();
        assert_eq!(extended.uid, Some(12));
        assert!(extended.take_global(&lines(&[b"path=ab"])).is_err());
        assert!(extended.take_global(&lines(&[b"SCHILY.xattr.user.a=b"])).is_err());
    }

    #[test]
    fn base64_has_three_endings() {
        for (text, bytes) in [("", &b""[..]), ("AQ", &[1]), ("AQ==", &[1]), ("AQI=", &[1, 2]), ("/+8B", &[255, 239, 1])]
        {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64(b"A*"), None);
    }
}
