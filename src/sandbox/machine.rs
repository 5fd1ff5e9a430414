//! Whether programs of the root run on this machine.
//!
//! Comes in: the start of a program, and what is registered with binfmt_misc. Goes out: nothing, or a [`Fault`] that
//! names the architecture. Always holds: only what is known not to run is refused; the kernel decides about the rest.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::message::{Fault, Stage};
use super::{Command, Privilege, SandboxError};
use crate::distro::Architecture;
use crate::fs;

/// How many bytes of a program the kernel looks at.
const HEADER: usize = 256;
/// How many scripts may be interpreted by scripts.
const INTERPRETERS: usize = 4;
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// What runs programs of other architectures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handler {
    interpreter: PathBuf,
    /// Whether the kernel has the interpreter open, so that it need not be in the root.
    fixed: bool,
    offset: usize,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

/// Returns what is registered on this machine; nothing where that cannot be seen.
pub(super) fn handlers() -> Vec<Handler> {
    let Ok(names) = fs::list(Path::new(REGISTERED)) else { return Vec::new() };
    let texts = names.iter().filter_map(|name| fs::read_to_string(&Path::new(REGISTERED).join(name)).ok());
    texts.filter_map(|text| Handler::read(&text)).collect()
}

impl Handler {
    /// Reads what the kernel tells of a handler; `None` when it is disabled or goes by the name of a file.
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let magic = bytes(field("magic ")?)?;
        let mask = match field("mask ") {
            Some(mask) => bytes(mask)?,
            None => vec![0xff; magic.len()],
        };
        let fits = mask.len() == magic.len();
        (text.starts_with("enabled") && fits).then_some(Self {
            interpreter: PathBuf::from(field("interpreter ")?),
            fixed: field("flags:").is_some_and(|flags| flags.contains('F')),
            offset: field("offset ")?.parse().ok()?,
            magic,
            mask,
        })
    }

    fn takes(&self, header: &[u8]) -> bool {
        let Some(part) = header.get(self.offset..).and_then(|rest| rest.get(..self.magic.len())) else { return false };
        let pairs = part.iter().zip(&self.magic).zip(&self.mask);
        pairs.into_iter().all(|((byte, magic), mask)| byte & mask == magic & mask)
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Makes sure that `command` runs here, in the root that this process is in.
///
/// # Errors
/// When its program is for an architecture that nothing here runs.
pub(super) fn check(command: &Command, privilege: Privilege, handlers: &[Handler]) -> Result<(), Fault> {
    let Some(mut program) = find(command) else { return Ok(()) };
    for _ in 0..INTERPRETERS {
        let Some(header) = read_header(&program) else { return Ok(()) };
        match interpreter(&header) {
            Some(next) => program = next,
            None => return judge(&header, &program, privilege, handlers),
        }
    }
    Ok(())
}

/// Makes sure that this machine has something that runs programs for `architecture`, before there is any.
///
/// # Errors
/// When it is another architecture, and no emulator is registered for it.
pub fn check_architecture(architecture: Architecture) -> Result<(), SandboxError> {
    foreign(Machine::of(architecture), &handlers())
        .map_or(Ok(()), |reason| Err(SandboxError::Foreign { command: "/bin/sh".into(), reason }))
}

/// Returns why no program for a machine runs here.
fn foreign(machine: Machine, handlers: &[Handler]) -> Option<String> {
    let native = Machine::native();
    let runs = machine == native || handlers.iter().any(|handler| handler.takes(&machine.header()));
    (!runs).then(|| {
        format!(
            "it would be a program for {}, this machine is {}, and no emulator is registered",
            machine.name(),
            native.name()
        )
    })
}

fn find(command: &Command) -> Option<PathBuf> {
    let directory = Path::new(&command.directory);
    if command.program.as_bytes().contains(&b'/') {
        return Some(directory.join(&command.program));
    }
    let path = command.environment.get(OsStr::new("PATH"))?;
    let mut places = path.as_bytes().split(|byte| *byte == b':').map(|folder| Path::new(OsStr::from_bytes(folder)));
    places.find_map(|folder| Some(folder.join(&command.program)).filter(|path| path.is_file()))
}

fn read_header(program: &Path) -> Option<Vec<u8>> {
    let mut header = Vec::new();
    fs::open(program).ok()?.take(HEADER as u64).read_to_end(&mut header).ok()?;
    Some(header)
}

/// Returns what a script is interpreted by.
fn interpreter(header: &[u8]) -> Option<PathBuf> {
    let line = header.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.next().map(|word| PathBuf::from(OsString::from(OsStr::from_bytes(word))))
}

fn judge(header: &[u8], program: &Path, privilege: Privilege, handlers: &[Handler]) -> Result<(), Fault> {
    let Some(machine) = Machine::read(header) else { return Ok(()) };
    let refuse = |message: String| Err(Fault::new(Stage::Foreign, "execute the command", message));
    let native = Machine::native();
    if machine == native {
        return Ok(());
    }
    let name = machine.name();
    if machine.is_cousin_of(native) && !handlers.iter().any(|handler| handler.takes(header)) {
        if privilege != Privilege::Single {
            return Ok(());
        }
        return refuse(format!(
            "`{}` is a program for {name}, which run on this machine with subordinate ids or as root only",
            program.display()
        ));
    }
    match handlers.iter().find(|handler| handler.takes(header)) {
        Some(handler) if handler.fixed || handler.interpreter.is_file() => Ok(()),
        Some(handler) => refuse(format!(
            "`{}` is a program for {name}, and its emulator `{}` is not in the root: register it with the flag F",
            program.display(),
            handler.interpreter.display()
        )),
        None => refuse(format!(
            "`{}` is a program for {name}, this machine is {}, and no emulator is registered",
            program.display(),
            native.name()
        )),
    }
}

/// What an ELF program is for (elf(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Machine {
    /// 1: 32 bits, 2: 64 bits.
    class: u8,
    /// 1: little endian, 2: big endian.
    order: u8,
    /// `e_machine`.
    number: u16,
}

/// Numbers of machines, classes and orders that distributions are made for.
const MACHINES: [(Machine, &str); 9] = [
    (Machine { class: 2, order: 1, number: 62 }, "x86-64"),
    (Machine { class: 1, order: 1, number: 3 }, "32-bit x86"),
    (Machine { class: 2, order: 1, number: 183 }, "64-bit ARM"),
    (Machine { class: 1, order: 1, number: 40 }, "32-bit ARM"),
    (Machine { class: 2, order: 1, number: 243 }, "64-bit RISC-V"),
    (Machine { class: 2, order: 1, number: 21 }, "64-bit PowerPC (little endian)"),
    (Machine { class: 2, order: 2, number: 22 }, "IBM Z"),
    (Machine { class: 2, order: 1, number: 258 }, "64-bit LoongArch"),
    (Machine { class: 2, order: 1, number: 8 }, "64-bit MIPS"),
];

impl Machine {
    fn read(header: &[u8]) -> Option<Self> {
        let rest = header.strip_prefix(b"\x7fELF")?;
        let (class, order) = (*rest.first()?, *rest.get(1)?);
        let number: [u8; 2] = header.get(18..20)?.try_into().ok()?;
        let number = if order == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
        Some(Self { class, order, number })
    }

    /// Returns what the programs of an architecture are for.
    fn of(architecture: Architecture) -> Self {
        let number = match architecture {
            Architecture::X86_64 => 62,
            Architecture::Aarch64 => 183,
            Architecture::Riscv64 => 243,
        };
        Self { class: 2, order: 1, number }
    }

    /// Returns what a program for it begins with.
    fn header(self) -> Vec<u8> {
        let (number, kind) = match self.order {
            2 => (self.number.to_be_bytes(), [0, 2]),
            _ => (self.number.to_le_bytes(), [2, 0]),
        };
        [&[0x7f, b'E', b'L', b'F', self.class, self.order, 1, 0], &[0; 8][..], &kind, &number].concat()
    }

    /// Returns what this program itself is for.
    fn native() -> Self {
        let number = match std::env::consts::ARCH {
            "x86_64" => 62,
            "aarch64" => 183,
            "riscv64" => 243,
            "powerpc64" => 21,
            "s390x" => 22,
            // The filter knows no other.
            _ => 0,
        };
        Self { class: 2, order: if cfg!(target_endian = "big") { 2 } else { 1 }, number }
    }

    /// Tells whether processors of the other kind may run it themselves.
    fn is_cousin_of(self, native: Self) -> bool {
        matches!((self.number, native.number), (3, 62) | (40, 183))
    }

    fn name(self) -> String {
        let known = MACHINES.iter().find(|(machine, _)| *machine == self);
        known.map_or_else(|| format!("machine {}", self.number), |(_, name)| (*name).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QEMU: &str = "enabled\ninterpreter /usr/bin/qemu-s390x-static\nflags: OCF\noffset 0\n\
        magic 7f454c4602020100000000000000000000020016\nmask ffffffffffffff00fffffffffffffffffffeffff\n";

    fn header(class: u8, order: u8, number: u16) -> Vec<u8> {
        Machine { class, order, number }.header()
    }

    fn judged(header: &[u8], privilege: Privilege, handlers: &[Handler]) -> Option<String> {
        judge(header, Path::new("/bin/sh"), privilege, handlers).err().map(|fault| fault.message)
    }

    #[test]
    fn an_emulator_is_needed() {
        let foreign = header(2, 2, 22);
        let message = judged(&foreign, Privilege::Root, &[]).unwrap();
        assert!(message.contains("for IBM Z") && message.contains("no emulator is registered"), "{message}");
        let mut handler = Handler::read(QEMU).unwrap();
        assert_eq!(judged(&foreign, Privilege::Root, &[handler.clone()]), None);
        handler.fixed = false;
        handler.interpreter = "/nowhere/qemu".into();
        assert!(judged(&foreign, Privilege::Root, &[handler]).unwrap().contains("flag F"));
    }

    #[test]
    fn an_architecture_is_judged_before_there_is_a_program() {
        let native = Machine::native();
        let other = Machine::of(if native.number == 183 { Architecture::X86_64 } else { Architecture::Aarch64 });
        let message = foreign(other, &[]).unwrap();
        assert!(message.contains(&other.name()) && message.contains(&native.name()), "{message}");
        let text = format!(
            "enabled\ninterpreter /usr/bin/qemu\nflags: F\noffset 0\nmagic 7f454c460201010000000000000000000200{:02x}00\n\
             mask ffffffffffffff00fffffffffffffffffeffffff\n",
            other.number
        );
        assert_eq!(foreign(other, &[Handler::read(&text).unwrap()]), None);
        assert_eq!(foreign(native, &[]), None);
    }

    #[test]
    fn the_own_architecture_needs_nothing() {
        let native = Machine::native();
        assert_eq!(judged(&header(native.class, native.order, native.number), Privilege::Single, &[]), None);
        assert_eq!(judged(b"no program", Privilege::Single, &[]), None);
        assert_eq!(judged(b"\x7fELF", Privilege::Single, &[]), None);
    }

    #[test]
    fn what_a_processor_also_runs_needs_ids() {
        if Machine::native().number == 62 {
            let cousin = header(1, 1, 3);
            assert_eq!(judged(&cousin, Privilege::Root, &[]), None);
            assert!(judged(&cousin, Privilege::Single, &[]).unwrap().contains("32-bit x86"));
        }
    }

    #[test]
    fn reads_handlers_and_scripts() {
        assert_eq!(Handler::read(&QEMU.replace("enabled", "disabled")), None);
        assert_eq!(Handler::read("enabled\ninterpreter /usr/bin/wine\nflags: \nextension .exe\n"), None);
        assert_eq!(Handler::read("enabled\ninterpreter /x\nflags: \noffset 0\nmagic 7f4\n").unwrap().magic, [0x7f, 4]);
        assert_eq!(Handler::read("enabled\ninterpreter /x\nflags: \noffset 0\nmagic zz\n"), None);
        assert_eq!(interpreter(b"#! /usr/bin/env sh\n").unwrap(), Path::new("/usr/bin/env"));
        assert_eq!(interpreter(b"#!\n"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }
}
