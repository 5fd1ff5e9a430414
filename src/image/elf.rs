//! The little that images need to know about programs: for which machine they are, and who loads them (System V ABI).

use std::io::{self, Read};

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::distro::Architecture;
use crate::tree::Content;

/// How much of a file is looked at: program headers come first in every program that Linux runs.
const HEAD: u64 = 64 * 1024;

/// A program or shared object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The machine it is for, by its number in the System V ABI; 0 when the headers are damaged.
    pub machine: u16,
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
        let read = match object::FileKind::parse(&head[..]) {
            Ok(object::FileKind::Elf32) => Self::parse::<FileHeader32<Endianness>>(&head),
            Ok(object::FileKind::Elf64) => Self::parse::<FileHeader64<Endianness>>(&head),
            _ => None,
        };
        Ok(Some(read.unwrap_or(Self { machine: 0, interpreter: None })))
    }

    /// Returns the architecture that it is for, when it is one that layerforge knows.
    pub fn architecture(&self) -> Option<Architecture> {
        match object::elf::Machine(self.machine) {
            object::elf::EM_X86_64 => Some(Architecture::X86_64),
            object::elf::EM_AARCH64 => Some(Architecture::Aarch64),
            object::elf::EM_RISCV => Some(Architecture::Riscv64),
            _ => None,
        }
    }

    fn parse<Header: FileHeader>(head: &[u8]) -> Option<Self> {
        let header = Header::parse(head).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, head).unwrap_or_default();
        let interpreter = segments.iter().find_map(|segment| segment.interpreter(endian, head).ok().flatten());
        Some(Self { machine: header.e_machine(endian).0, interpreter: interpreter.map(<[u8]>::to_vec) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_host_is_read() {
        let path = std::env::current_exe().unwrap();
        let elf = Elf::read(&Content::of_file(path.into()).unwrap()).unwrap().unwrap();
        assert_eq!(elf.architecture(), Some(Architecture::host()));
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
