//! Package indexes: the file `Packages` of a repository (Debian repository format).
//!
//! Comes in: a verified index, compressed as it was fetched. Goes out: its [`Pool`]. Always holds: every package has a name
//! and a version that dpkg takes, a place below its repository, a length and a SHA-256.

use std::io::{self, Read};
use std::sync::mpsc;

use memchr::memmem;

use super::control::{ControlError, Field, Reader, Stanza, shown};
use super::relation::{self, Relations};
use super::version;
use crate::packages::compression::Compression;
use crate::packages::model::{MultiArch, NewPackage, Pool, PoolBuilder, Priority, Qualifier, RelationKind};

/// The bytes that are parsed at a time.
const BLOCK: usize = 2 << 20;
/// The most bytes of one index: that of Debian has sixty million.
const LARGEST: usize = 1 << 30;

/// An index that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It cannot be decompressed.
    #[error("cannot decompress `{file}`")]
    Damaged {
        /// The index.
        file: String,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },
    /// It is longer than any index.
    #[error("`{file}` decompresses to more than {LARGEST} bytes, the most that is taken")]
    TooLarge {
        /// The index.
        file: String,
    },
    /// It is not written as it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Reads an index that messages call `file`: its packages for `architecture`, by Debian's name, and for all.
///
/// # Errors
/// When it cannot be decompressed or is not written as it should be.
pub fn read(file: &str, bytes: &[u8], compression: Compression, architecture: &str) -> Result<Pool, IndexError> {
    // Decompressing takes most of the time: parsing goes on beside it.
    let (sender, receiver) = mpsc::sync_channel(4);
    std::thread::scope(|scope| {
        let decoder = scope.spawn(move || decompress(bytes, compression, &sender));
        let mut parser = Parser::new(file, architecture);
        // Dropping the receiver makes the other side stop.
        let parsed = receiver.into_iter().try_for_each(|block: Vec<u8>| parser.block(&block));
        match decoder.join() {
            Ok(Ok(())) => parsed?,
            Ok(Err(Stop::Damaged(source))) => return Err(IndexError::Damaged { file: file.to_owned(), source }),
            Ok(Err(Stop::TooLarge)) => return Err(IndexError::TooLarge { file: file.to_owned() }),
            Ok(Err(Stop::NobodyListens)) => parsed?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(parser.builder.finish())
    })
}

/// Why decompressing came to an end before its time.
enum Stop {
    Damaged(io::Error),
    TooLarge,
    NobodyListens,
}

/// Sends what `bytes` hold in blocks of whole stanzas.
fn decompress(bytes: &[u8], compression: Compression, to: &mpsc::SyncSender<Vec<u8>>) -> Result<(), Stop> {
    let mut decoder = compression.decoder(bytes, 2).map_err(Stop::Damaged)?;
    let (mut block, mut total) = (Vec::with_capacity(2 * BLOCK), 0);
    loop {
        let read = (&mut decoder).take(BLOCK as u64).read_to_end(&mut block).map_err(Stop::Damaged)?;
        total += read;
        if total > LARGEST {
            return Err(Stop::TooLarge);
        }
        let end = if read == 0 { block.len() } else { memmem::rfind(&block, b"\n\n").map_or(0, |place| place + 2) };
        if end > 0 {
            let mut rest = Vec::with_capacity(2 * BLOCK);
            rest.extend(&block[end..]);
            block.truncate(end);
            to.send(std::mem::replace(&mut block, rest)).map_err(|_| Stop::NobodyListens)?;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// Reads the index of a text that is there whole.
///
/// # Errors
/// When it is not written as it should be.
pub fn parse(file: &str, text: &[u8], architecture: &str) -> Result<Pool, ControlError> {
    let mut parser = Parser::new(file, architecture);
    parser.block(text)?;
    Ok(parser.builder.finish())
}

struct Parser<'index> {
    file: &'index str,
    architecture: &'index [u8],
    builder: PoolBuilder,
    /// The lines of the blocks before.
    lines: usize,
}

/// The fields that say something about relations, in the order in which apt lists them.
const RELATIONS: [(&str, RelationKind); 8] = [
    ("Depends", RelationKind::Depends),
    ("Pre-Depends", RelationKind::PreDepends),
    ("Recommends", RelationKind::Recommends),
    ("Suggests", RelationKind::Suggests),
    ("Enhances", RelationKind::Enhances),
    ("Conflicts", RelationKind::Conflicts),
    ("Breaks", RelationKind::Breaks),
    ("Replaces", RelationKind::Replaces),
];

/// The other fields that are read.
const FIELDS: [&str; 16] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Protected",
    "Important",
    "Priority",
    "Section",
    "Source",
    "Installed-Size",
    "Filename",
    "Size",
    "SHA256",
    "Provides",
    "Package-Type",
];

/// The values of one stanza, by the places in [`FIELDS`] and [`RELATIONS`].
#[derive(Default)]
struct Values<'text> {
    fields: [Option<Field<'text>>; FIELDS.len()],
    relations: [Option<Field<'text>>; RELATIONS.len()],
}

impl<'text> Values<'text> {
    fn of(stanza: &Stanza<'text>) -> Self {
        let mut values = Self::default();
        for field in stanza.fields() {
            let is = |name: &str| field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name.as_bytes());
            if let Some(place) = FIELDS.iter().position(|name| is(name)) {
                values.fields[place] = Some(*field);
            } else if let Some(place) = RELATIONS.iter().position(|(name, _)| is(name)) {
                values.relations[place] = Some(*field);
            }
        }
        values
    }

    /// Returns the value of a field of [`FIELDS`]; empty when it is not there.
    fn get(&self, name: &str) -> &'text [u8] {
        self.field(name).map_or(b"", |field| field.value)
    }

    fn field(&self, name: &str) -> Option<Field<'text>> {
        let place = FIELDS.iter().position(|known| *known == name)?;
        self.fields[place]
    }

    fn is_yes(&self, name: &str) -> bool {
        self.get(name).eq_ignore_ascii_case(b"yes")
    }
}

impl<'index> Parser<'index> {
    fn new(file: &'index str, architecture: &'index str) -> Self {
        Self { file, architecture: architecture.as_bytes(), builder: PoolBuilder::new(), lines: 0 }
    }

    /// Takes whole stanzas.
    fn block(&mut self, text: &[u8]) -> Result<(), ControlError> {
        let mut reader = Reader::new(self.file, text).after_lines(self.lines);
        let mut stanza = Stanza::default();
        while reader.next(&mut stanza)? {
            self.stanza(&stanza, &reader)?;
        }
        self.lines += memchr::memchr_iter(b'\n', text).count();
        Ok(())
    }

    fn stanza<'text>(&mut self, stanza: &Stanza<'text>, reader: &Reader<'text>) -> Result<(), ControlError> {
        let values = Values::of(stanza);
        let name = values.get("Package");
        if let Some(words) = relation::name_fault(name) {
            return Err(reader.error(stanza.offset, format!("`{}` is no package: {words}", shown(name))));
        }
        let wrong = |field: &str, words: &str| {
            let offset = values.field(field).map_or(stanza.offset, |field| field.offset);
            reader.error(offset, format!("the package `{}` has no valid `{field}`: {words}", shown(name)))
        };
        let architecture = values.get("Architecture");
        // What is for others, or no package that dpkg installs.
        if architecture != self.architecture && architecture != b"all" || !values.get("Package-Type").is_empty() {
            return Ok(());
        }
        let version = values.get("Version");
        if let Some(words) = version::fault(version) {
            return Err(wrong("Version", words));
        }
        let location = values.get("Filename");
        if let Some(words) = location_fault(location) {
            return Err(wrong("Filename", words));
        }
        let digest = digest(values.get("SHA256")).ok_or_else(|| wrong("SHA256", "expected 64 hexadecimal digits"))?;
        let size = number(values.get("Size")).ok_or_else(|| wrong("Size", "expected a number of bytes"))?;
        for (place, (_, kind)) in RELATIONS.iter().enumerate() {
            if let Some(field) = values.relations[place] {
                self.relations(&field, *kind).map_err(|fault| at(reader, &field, fault))?;
            }
        }
        if let Some(field) = values.field("Provides") {
            self.provides(&field).map_err(|fault| at(reader, &field, fault))?;
        }
        self.builder.package(&NewPackage {
            essential: values.is_yes("Essential"),
            // Before Debian 12 it had another name.
            protected: values.is_yes("Protected") || values.is_yes("Important"),
            multi_arch: multi_arch(values.get("Multi-Arch"))
                .ok_or_else(|| wrong("Multi-Arch", "expected no, same, foreign or allowed"))?,
            priority: priority(values.get("Priority")),
            location,
            digest: &digest,
            size,
            // In KiB, and only a guess: what is none counts nothing.
            installed_size: number(values.get("Installed-Size")).unwrap_or(0).saturating_mul(1024),
            origin: values.get("Source"),
            section: values.get("Section"),
            ..NewPackage::new(name, version, architecture)
        });
        Ok(())
    }

    fn relations(&mut self, field: &Field<'_>, kind: RelationKind) -> Result<(), relation::Fault> {
        for alternative in Relations::new(field.value) {
            let alternative = alternative?;
            let qualifier = match alternative.architecture {
                b"" => Qualifier::Own,
                b"any" => Qualifier::Any,
                own if own == self.architecture => Qualifier::Own,
                _ => Qualifier::Foreign,
            };
            if alternative.first {
                self.builder.relation(kind);
            }
            self.builder.alternative(alternative.name, qualifier, alternative.comparison, alternative.version);
        }
        Ok(())
    }

    /// Takes what a package provides: a list without alternatives, in one version or none.
    fn provides(&mut self, field: &Field<'_>) -> Result<(), relation::Fault> {
        for alternative in Relations::new(field.value) {
            let alternative = alternative?;
            self.builder.provide(alternative.name, alternative.version);
        }
        Ok(())
    }
}

fn at(reader: &Reader<'_>, field: &Field<'_>, fault: relation::Fault) -> ControlError {
    reader.error(field.offset + fault.offset, format!("in `{}`: {}", shown(field.name), fault.words))
}

/// Returns what is wrong with the place of a package: it becomes part of a URL and of paths.
fn location_fault(location: &[u8]) -> Option<&'static str> {
    if location.is_empty() {
        Some("expected a path relative to the repository")
    } else if !location.iter().all(u8::is_ascii_graphic) {
        Some("it holds spaces or characters that are not ASCII")
    } else if location.first() == Some(&b'/') || location.split(|&byte| byte == b'/').any(|name| name == b"..") {
        Some("it leaves the repository")
    } else {
        None
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

fn digest(hex: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(digest)
}

fn multi_arch(value: &[u8]) -> Option<MultiArch> {
    Some(match value.to_ascii_lowercase().as_slice() {
        b"" | b"no" => MultiArch::No,
        b"same" => MultiArch::Same,
        b"foreign" => MultiArch::Foreign,
        b"allowed" => MultiArch::Allowed,
        _ => return None,
    })
}

fn priority(value: &[u8]) -> Priority {
    match value.to_ascii_lowercase().as_slice() {
        b"required" => Priority::Required,
        b"important" => Priority::Important,
        b"standard" => Priority::Standard,
        b"optional" => Priority::Optional,
        b"extra" => Priority::Extra,
        _ => Priority::Unknown,
    }
}

#[cfg(test)]
mod tests;
