//! The little that images need to know about programs: for which machine they are, and who loads them.
//!
//! System V ABI, generic part, and its 64-bit supplement; programs of 32 bits and big-endian ones have no machine here.

use std::io::{self, Read};

use crate::distro::Architecture;
use crate::tree::Content;

/// How much of a file is looked at: program headers come first in every program that Linux runs.
const HEAD: u64 = 64 * 1024;

/// A program or shared object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The machine it is for, when it is one of those known.
    pub machine: Option<Architecture>,
    /// The path of the program that loads it; none for what is linked statically and for shared objects.
    pub interpreter: Option<Vec<u8>>,
}

impl Elf {
    /// Reads the headers of `content`; nothing when it is no ELF file.
    ///
    /// # Errors
    /// When its bytes cannot be read.
    pub fn read(content: &Content) -> io::Result<Option<Self>> {
        if content.length < 64 {
            return Ok(None);
        }
        let mut reader = content.open().map_err(io::Error::other)?;
        let mut head = vec![0; 4];
        reader.read_exact(&mut head)?;
        if head != *b"\x7fELF" {
            return Ok(None);
        }
        reader.take(content.length.min(HEAD) - 4).read_to_end(&mut head)?;
        Ok(Some(Self::parse(&head)))
    }

    fn parse(head: &[u8]) -> Self {
        // Class 2 has 64 bits, data 1 is little-endian.
        if head.get(4..6) != Some(&[2, 1]) {
            return Self { machine: None, interpreter: None };
        }
        let machine = match number(head, 18, 2) {
            Some(62) => Some(Architecture::X86_64),
            Some(183) => Some(Architecture::Aarch64),
            Some(243) => Some(Architecture::Riscv64),
            _ => None,
        };
        Self { machine, interpreter: interpreter(head) }
    }
}

/// Returns the text of the segment that names the interpreter.
fn interpreter(head: &[u8]) -> Option<Vec<u8>> {
    const PT_INTERP: usize = 3;
    let (table, size, count) = (number(head, 32, 8)?, number(head, 54, 2)?, number(head, 56, 2)?);
    for index in 0..count {
        let header = table.checked_add(index.checked_mul(size)?)?;
        if number(head, header, 4)? == PT_INTERP {
            let (offset, length) =
                (number(head, header.checked_add(8)?, 8)?, number(head, header.checked_add(32)?, 8)?);
            let text = head.get(offset..offset.checked_add(length)?)?;
            return Some(text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec());
        }
    }
    None
}

/// Returns the little-endian number of `length` bytes at `offset`.
fn number(bytes: &[u8], offset: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(offset..offset.checked_add(length)?)?;
    let number = bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_host_is_read() {
        let path = std::env::current_exe().unwrap();
        let elf = Elf::read(&Content::of_file(path.into()).unwrap()).unwrap().unwrap();
        assert_eq!(elf.machine, Some(Architecture::host()));
        let interpreter = String::from_utf8(elf.interpreter.unwrap()).unwrap();
        assert!(std::path::Path::new(&interpreter).exists(), "{interpreter}");
    }

    #[test]
    fn what_is_no_program_or_a_damaged_one_does_no_harm() {
        let read = |bytes: &[u8]| Elf::read(&Content::inline(bytes.to_vec())).unwrap();
        assert_eq!(read(b"#!/bin/sh\n"), None);
        let mut bytes = vec![0xff; 4096];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for length in [64, 65, 200, 4096] {
            assert_eq!(read(&bytes[..length]).unwrap().interpreter, None);
        }
    }
}
