//! One header block of a tar archive: ustar (POSIX.1-2017, pax, "ustar Interchange Format"), its GNU variant, and the
//! headers without magic that came before both.

use std::ops::Range;

use super::TarFault;

/// The unit of the format: headers are one block, content is padded to whole blocks.
pub(super) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE_FLAG: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const USER: Range<usize> = 265..297;
const GROUP: Range<usize> = 297..329;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

/// A header block whose checksum is right.
#[derive(Debug)]
pub(super) struct Header<'block>(&'block [u8; BLOCK]);

impl<'block> Header<'block> {
    /// Takes `block` when its checksum is right. Some old programs summed the bytes as signed numbers.
    pub(super) fn parse(block: &'block [u8; BLOCK]) -> Result<Self, TarFault> {
        let summed = |index: usize| if CHECKSUM.contains(&index) { b' ' } else { block[index] };
        let unsigned: i64 = (0..BLOCK).map(|index| i64::from(summed(index))).sum();
        let signed: i64 = (0..BLOCK).map(|index| i64::from(summed(index).cast_signed())).sum();
        match number(&block[CHECKSUM]) {
            Some(sum) if sum == unsigned || sum == signed => Ok(Self(block)),
            _ => Err(TarFault::Checksum),
        }
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[TYPE_FLAG]
    }

    /// The name, with the prefix that only ustar headers have.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        let prefix = if self.0[MAGIC] == *b"ustar\0" { text(&self.0[PREFIX]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, name].join(&b'/') }
    }

    pub(super) fn link(&self) -> &'block [u8] {
        text(&self.0[LINK])
    }

    pub(super) fn mode(&self) -> Result<u16, TarFault> {
        let mode = number(&self.0[MODE]).ok_or(TarFault::Malformed("its mode is no number"))?;
        Ok(u16::try_from(mode & 0o7777).expect("twelve bits fit into sixteen"))
    }

    pub(super) fn uid(&self) -> Result<u32, TarFault> {
        bounded(&self.0[UID], "its owner is no number of 32 bits")
    }

    pub(super) fn gid(&self) -> Result<u32, TarFault> {
        bounded(&self.0[GID], "its group is no number of 32 bits")
    }

    pub(super) fn size(&self) -> Result<u64, TarFault> {
        bounded(&self.0[SIZE], "its size is no number of 63 bits")
    }

    pub(super) fn mtime(&self) -> Result<i64, TarFault> {
        bounded(&self.0[MTIME], "its time is no number of 64 bits")
    }

    /// The names of owner and group, which headers without magic have not.
    pub(super) fn owner(&self) -> (&'block [u8], &'block [u8]) {
        let named = self.0[MAGIC].starts_with(b"ustar");
        if named { (text(&self.0[USER]), text(&self.0[GROUP])) } else { (b"", b"") }
    }

    pub(super) fn device(&self) -> Result<(u32, u32), TarFault> {
        let part = |range| bounded(&self.0[range], "its device number has a part of more than 32 bits");
        Ok((part(MAJOR)?, part(MINOR)?))
    }
}

/// Reads a number field that must fit into `T`.
pub(super) fn bounded<T: TryFrom<i64>>(field: &[u8], reason: &'static str) -> Result<T, TarFault> {
    number(field).and_then(|number| T::try_from(number).ok()).ok_or(TarFault::Malformed(reason))
}

/// Reads a number field: octal digits between spaces and zeros, nothing (zero), or, with the highest bit set, a big-endian
/// two's complement number in the other bits (GNU).
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let sign = if first & 0x40 == 0 { 0 } else { -1_i128 };
        let start = sign << 7 | i128::from(first & 0x7f);
        let value = field[1..].iter().fold(start, |value, &byte| value << 8 | i128::from(byte));
        return i64::try_from(value).ok();
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if !digits.iter().all(|byte| matches!(byte, b'0'..=b'7')) || !rest.iter().all(|byte| matches!(byte, b' ' | 0)) {
        return None;
    }
    Some(digits.iter().fold(0, |value, &digit| value << 3 | i64::from(digit - b'0')))
}

/// Returns the bytes before the first zero.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"12 34\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\x00", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), *expected, "{field:?}");
        }
    }

    #[test]
    fn a_checksum_may_be_of_signed_bytes() {
        let mut block = [0; BLOCK];
        block[0] = 0xe4;
        let sum = |signed: bool| 8 * 32 + if signed { i64::from(0xe4_u8.cast_signed()) } else { 0xe4 };
        for signed in [false, true] {
            block[CHECKSUM].copy_from_slice(format!("{:06o}\0 ", sum(signed)).as_bytes());
            assert!(Header::parse(&block).is_ok());
        }
        block[CHECKSUM].copy_from_slice(b"000000\0 ");
        assert!(matches!(Header::parse(&block), Err(TarFault::Checksum)));
    }
}
