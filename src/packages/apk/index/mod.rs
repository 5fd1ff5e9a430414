//! Package indexes: the file `APKINDEX.tar.gz` of a repository, in the second format of apk.
//!
//! Comes in: an index as it was fetched, and the keys that are trusted. Goes out: its [`Pool`]. Always holds: what was
//! signed is verified before it is decompressed; every package has an identity, a name and version that can be part of a
//! path, and a length.
//!
//! An index is two gzip members: a tar archive with signatures, and one with the files `DESCRIPTION` and `APKINDEX`; the
//! signatures are over the second as it is stored.

use std::io::{self, Read};

use super::identity::Identity;
use super::key::{Key, signature_name};
use super::relation::{self, dependencies};
use super::segment::{Segments, Watch};
use crate::packages::model::{Comparison, NewPackage, Pool, PoolBuilder, Qualifier, RelationKind};
use crate::tree::{StreamItem, TarFault, TarStream};

/// The most bytes of one index, decompressed: that of Alpine's largest repository has ten million.
const LARGEST: u64 = 256 << 20;
/// The most bytes of the archive with signatures.
const SIGNATURES: u64 = 1 << 20;

/// An index that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is of the third format.
    #[error(
        "`{file}` is an index of the third format of apk (ADB), which is not supported: name a repository that has an `APKINDEX.tar.gz`"
    )]
    ThirdFormat {
        /// The index.
        file: String,
    },
    /// It has not the form of an index.
    #[error("`{file}` is no index of apk: {reason}")]
    Form {
        /// The index.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It cannot be decompressed or unpacked.
    #[error("cannot unpack `{file}`")]
    Damaged {
        /// The index.
        file: String,
        /// What is wrong with it.
        #[source]
        fault: TarFault,
    },
    /// No trusted key signed it.
    #[error("no signature of `{file}` is good: {}", if refusals.is_empty() { "there is none".to_owned() } else { refusals.join("; ") })]
    Refused {
        /// The index.
        file: String,
        /// What is wrong with each.
        refusals: Vec<String>,
    },
    /// A line is not written as it should be.
    #[error("`{file}`, line {line}: {fault}")]
    Line {
        /// The index.
        file: String,
        /// The line of the member `APKINDEX`, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: String,
    },
}

/// Who has to vouch for an index.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'keys> {
    /// One of these keys.
    Keys(&'keys [Key]),
    /// Nobody: where it comes from is trusted.
    Nobody,
}

/// An index that was read.
#[derive(Debug)]
pub struct Index {
    /// Its packages.
    pub pool: Pool,
    /// What it says about itself: usually the release and commit it was made from.
    pub description: String,
    /// The name of the key that signed it; nothing when nobody had to.
    pub signer: Option<String>,
}

/// Reads an index that messages call `file`: its packages for `architecture`, by Alpine's name, and for all.
///
/// # Errors
/// When nobody who is trusted signed it, or it is not written as it should be.
pub fn read(file: &str, bytes: &[u8], trust: Trust<'_>, architecture: &str) -> Result<Index, IndexError> {
    if bytes.starts_with(b"ADB") {
        return Err(IndexError::ThirdFormat { file: file.to_owned() });
    }
    let reader = Reader { file };
    let (signatures, signed) = reader.signatures(bytes)?;
    let signer = match trust {
        Trust::Nobody => None,
        Trust::Keys(keys) => Some(reader.signer(&signatures, signed, keys)?),
    };
    let (description, text) = reader.files(signed)?;
    Ok(Index { pool: parse(file, &text, architecture)?, description, signer })
}

/// A signature: the name of its file, and its bytes.
type Signature = (String, Vec<u8>);

struct Reader<'file> {
    file: &'file str,
}

impl Reader<'_> {
    fn form(&self, reason: &'static str) -> IndexError {
        IndexError::Form { file: self.file.to_owned(), reason }
    }

    fn damaged(&self, fault: impl Into<TarFault>) -> IndexError {
        IndexError::Damaged { file: self.file.to_owned(), fault: fault.into() }
    }

    /// Returns the signatures, and what they are over. An index without any is signed by nobody.
    fn signatures<'bytes>(&self, bytes: &'bytes [u8]) -> Result<(Vec<Signature>, &'bytes [u8]), IndexError> {
        let mut segments = Segments::new(bytes);
        let mut signatures = Vec::new();
        {
            let mut stream = TarStream::new(segments.open(Watch::Nothing), SIGNATURES).open_ended();
            // An index that nobody signed may be long: its first member says what it is.
            while let Some(member) = stream.next_member().map_err(|fault| self.damaged(fault))? {
                let name = String::from_utf8_lossy(member.path.as_bytes()).into_owned();
                if !name.starts_with(".SIGN.") {
                    return if signatures.is_empty() {
                        Ok((signatures, bytes))
                    } else {
                        Err(self.form("among its signatures is something else"))
                    };
                }
                let mut signature = Vec::new();
                stream.read_to_end(&mut signature).map_err(|error| self.damaged(error))?;
                signatures.push((name, signature));
            }
        }
        let place = usize::try_from(segments.position()).unwrap_or(usize::MAX);
        Ok((signatures, bytes.get(place..).unwrap_or_default()))
    }

    /// Returns the name of the key of the first signature that is good.
    fn signer(&self, signatures: &[Signature], signed: &[u8], keys: &[Key]) -> Result<String, IndexError> {
        let mut refusals = Vec::new();
        for (name, signature) in signatures {
            let Some((algorithm, key)) = signature_name(name) else {
                refusals.push(format!("`{}` is of a kind that is not taken", name.escape_debug()));
                continue;
            };
            match keys.iter().find(|known| known.name() == key) {
                None => refusals.push(format!("the key `{key}` is not trusted")),
                Some(known) if known.verifies(algorithm, signed, signature) => return Ok(key.to_owned()),
                Some(_) => refusals.push(format!("the signature of `{key}` does not fit")),
            }
        }
        Err(IndexError::Refused { file: self.file.to_owned(), refusals })
    }

    /// Returns the files `DESCRIPTION` and `APKINDEX`.
    fn files(&self, signed: &[u8]) -> Result<(String, Vec<u8>), IndexError> {
        let mut segments = Segments::new(signed);
        let (mut description, mut text) = (Vec::new(), None);
        {
            let mut stream = TarStream::new(segments.open(Watch::Nothing), LARGEST).open_ended();
            while let Some(member) = stream.next_member().map_err(|fault| self.damaged(fault))? {
                let mut read = |bytes: &mut Vec<u8>| -> io::Result<()> { stream.read_to_end(bytes).map(drop) };
                match member.path.as_bytes() {
                    _ if !matches!(member.item, StreamItem::File { .. }) => {}
                    b"DESCRIPTION" => read(&mut description).map_err(|error| self.damaged(error))?,
                    b"APKINDEX" => {
                        let mut bytes = Vec::new();
                        read(&mut bytes).map_err(|error| self.damaged(error))?;
                        text = Some(bytes);
                    }
                    _ => {}
                }
            }
        }
        if !segments.is_at_end().map_err(|error| self.damaged(error))? {
            return Err(self.form("something follows its last member"));
        }
        let text = text.ok_or_else(|| self.form("there is no file `APKINDEX` in it"))?;
        Ok((String::from_utf8_lossy(&description).trim().to_owned(), text))
    }
}

/// Reads the text of an index.
///
/// # Errors
/// When it is not written as it should be.
pub fn parse(file: &str, text: &[u8], architecture: &str) -> Result<Pool, IndexError> {
    let mut parser = Parser { builder: PoolBuilder::new(), architecture: architecture.as_bytes() };
    let mut record = Record::default();
    let lines = text.split(|&byte| byte == b'\n').chain([&b""[..]]);
    for (number, line) in lines.enumerate() {
        let fault = |(line, fault): (usize, String)| IndexError::Line { file: file.to_owned(), line, fault };
        if line.is_empty() {
            if record.line > 0 {
                parser.take(&std::mem::take(&mut record)).map_err(fault)?;
            }
            continue;
        }
        if record.line == 0 {
            record.line = number + 1;
        }
        record.take(number + 1, line).map_err(fault)?;
    }
    Ok(parser.builder.finish())
}

/// The fields that are read, by their letters; the others say nothing about choosing packages.
const FIELDS: &[u8] = b"CPVASIDpiok";
/// Fields of the same case as those above that may be there all the same.
const OTHERS: &[u8] = b"TUL";

/// The fields of one package.
#[derive(Debug, Default)]
struct Record<'text> {
    /// Its first line, counted from 1; 0 when it has none yet.
    line: usize,
    values: [Option<(usize, &'text [u8])>; FIELDS.len()],
    /// Whether it has a field that has to be understood and is not: apk does not install such packages.
    unknown: bool,
}

impl<'text> Record<'text> {
    fn take(&mut self, number: usize, line: &'text [u8]) -> Result<(), (usize, String)> {
        let [letter, b':', value @ ..] = line else {
            return Err((number, "expected a letter, a colon and a value".into()));
        };
        match FIELDS.iter().position(|field| field == letter) {
            Some(place) if self.values[place].is_some() => {
                return Err((number, format!("the field `{}` stands twice", letter.escape_ascii())));
            }
            Some(place) => self.values[place] = Some((number, value)),
            None if letter.is_ascii_uppercase() && !OTHERS.contains(letter) => self.unknown = true,
            None => {}
        }
        Ok(())
    }

    fn field(&self, letter: u8) -> (usize, &'text [u8]) {
        let place = FIELDS.iter().position(|field| *field == letter).unwrap_or_default();
        self.values[place].unwrap_or((self.line, b""))
    }

    fn get(&self, letter: u8) -> &'text [u8] {
        self.field(letter).1
    }
}

struct Parser<'index> {
    builder: PoolBuilder,
    architecture: &'index [u8],
}

impl Parser<'_> {
    fn take(&mut self, record: &Record<'_>) -> Result<(), (usize, String)> {
        let name = record.get(b'P');
        let shown = |text: &[u8]| text[..text.len().min(100)].escape_ascii().to_string();
        let wrong = |letter: u8, words: &str| {
            (
                record.field(letter).0,
                format!("the package `{}` has no valid `{}`: {words}", shown(name), char::from(letter)),
            )
        };
        if let Some(words) = relation::package_name_fault(name) {
            return Err((record.field(b'P').0, format!("`{}` is no package: {words}", shown(name))));
        }
        let architecture = record.get(b'A');
        if record.unknown || !architecture.is_empty() && architecture != self.architecture && architecture != b"noarch"
        {
            return Ok(());
        }
        let version = record.get(b'V');
        if version.is_empty() || !version.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/') {
            return Err(wrong(b'V', "expected a version that can be part of the name of a file"));
        }
        let identity = Identity::parse(record.get(b'C'));
        let identity = identity.ok_or_else(|| wrong(b'C', "expected `Q1` and the base64 of 20 bytes"))?;
        let number = |letter: u8| match record.get(letter) {
            b"" => Ok(0),
            text => number(text).ok_or_else(|| wrong(letter, "expected a number")),
        };
        let priority = i32::try_from(number(b'k')?).map_err(|_| wrong(b'k', "expected a number of 31 bits"))?;
        self.relations(record.get(b'D'), false).map_err(|words| wrong(b'D', words))?;
        self.relations(record.get(b'i'), true).map_err(|words| wrong(b'i', words))?;
        self.provides(record.get(b'p')).map_err(|words| wrong(b'p', words))?;
        let architecture = if architecture.is_empty() { self.architecture } else { architecture };
        let location = [self.architecture, b"/", name, b"-", version, b".apk"].concat();
        self.builder.package(&NewPackage {
            location: &location,
            digest: identity.as_bytes(),
            size: number(b'S')?,
            installed_size: number(b'I')?,
            origin: record.get(b'o'),
            provider_priority: priority,
            ..NewPackage::new(name, version, architecture)
        });
        Ok(())
    }

    /// Takes dependencies, or with `install_if` what has to be there for the package to come by itself.
    fn relations(&mut self, field: &[u8], install_if: bool) -> Result<(), &'static str> {
        for dependency in dependencies(field) {
            let dependency = dependency?;
            self.builder.relation(match (install_if, dependency.conflict) {
                (false, false) => RelationKind::Depends,
                (false, true) => RelationKind::Conflicts,
                (true, false) => RelationKind::InstallIf,
                (true, true) => RelationKind::InstallUnless,
            });
            self.builder.alternative(dependency.name, Qualifier::Own, dependency.comparison, dependency.version);
        }
        Ok(())
    }

    fn provides(&mut self, field: &[u8]) -> Result<(), &'static str> {
        for dependency in dependencies(field) {
            let dependency = dependency?;
            if dependency.conflict || !matches!(dependency.comparison, Comparison::Any | Comparison::Equal) {
                return Err("expected `NAME` or `NAME=VERSION`");
            }
            self.builder.provide(dependency.name, dependency.version);
        }
        Ok(())
    }
}

/// Reads decimal digits and nothing else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
pub(super) mod tests;
