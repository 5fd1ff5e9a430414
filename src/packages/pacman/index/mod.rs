//! Repository databases: `core.db`, a tar archive with a file `NAME-VERSION/desc` for every package (alpm-repo-db(7)).
//!
//! Comes in: a database, compressed as it was fetched. Goes out: its [`Pool`]. Always holds: every package has a name and a
//! version that can be part of a path, a file beside the database, a length and a SHA-256. The groups of a package are its
//! section, separated by spaces.

use std::io::{self, Read};

use base64ct::{Base64, Encoding as _};

use super::desc::Sections;
use super::relation::{self, Relation};
use super::version;
use crate::packages::compression::Compression;
use crate::packages::model::{Comparison, NewPackage, Pool, PoolBuilder, Qualifier, RelationKind};
use crate::tree::{StreamItem, TarFault, TarStream};

/// The most bytes of one database, decompressed: that of `extra` has thirty million.
const LARGEST: u64 = 256 << 20;
/// The most bytes about one package.
const LARGEST_DESC: u64 = 4 << 20;

/// A database that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It cannot be decompressed or unpacked.
    #[error("cannot unpack `{file}`")]
    Damaged {
        /// The database.
        file: String,
        /// What is wrong with it.
        #[source]
        fault: TarFault,
    },
    /// What it says about a package is not written as it should be.
    #[error("in `{file}`, `{member}`: {fault}")]
    Package {
        /// The database.
        file: String,
        /// The member.
        member: String,
        /// What is wrong with it.
        fault: String,
    },
}

/// Reads a database that messages call `file`: its packages for `architecture`, by Arch's name, and for all.
///
/// # Errors
/// When it cannot be unpacked, or is not written as it should be.
pub fn read(file: &str, bytes: &[u8], architecture: &str) -> Result<Pool, IndexError> {
    let damaged = |fault: TarFault| IndexError::Damaged { file: file.to_owned(), fault };
    let decoder = Compression::of_start(bytes).checked_decoder(bytes).map_err(|error| damaged(error.into()))?;
    let mut stream = TarStream::new(decoder, LARGEST);
    // Written in the order of their names, which decides between providers; nobody promises it, so they are sorted here.
    let mut packages: Vec<(String, Vec<u8>)> = Vec::new();
    while let Some(member) = stream.next_member().map_err(damaged)? {
        let path = String::from_utf8_lossy(member.path.as_bytes()).into_owned();
        match member.item {
            StreamItem::File { length } if path.ends_with("/desc") => {
                if length > LARGEST_DESC {
                    return Err(damaged(TarFault::Limit("bytes about one package", LARGEST_DESC)));
                }
                let mut text = Vec::new();
                stream.read_to_end(&mut text).map_err(|error: io::Error| damaged(error.into()))?;
                packages.push((path, text));
            }
            _ => {}
        }
    }
    packages.sort_by(|one, other| one.0.cmp(&other.0));
    parse(file, &packages, architecture)
}

/// Reads what the members of a database say, each with its name.
///
/// # Errors
/// When one is not written as it should be.
pub fn parse(file: &str, members: &[(String, Vec<u8>)], architecture: &str) -> Result<Pool, IndexError> {
    let mut parser = Parser { builder: PoolBuilder::new(), architecture };
    for (member, text) in members {
        parser.take(text).map_err(|fault| {
            let (file, member) = (file.to_owned(), member.escape_debug().to_string());
            IndexError::Package { file, member, fault }
        })?;
    }
    Ok(parser.builder.finish())
}

struct Parser<'index> {
    builder: PoolBuilder,
    architecture: &'index str,
}

/// The sections that say something about relations.
const RELATIONS: [(&str, RelationKind); 3] =
    [("DEPENDS", RelationKind::Depends), ("CONFLICTS", RelationKind::Conflicts), ("REPLACES", RelationKind::Replaces)];

impl Parser<'_> {
    fn take(&mut self, text: &[u8]) -> Result<(), String> {
        let sections = Sections::parse(text).map_err(|(line, fault)| format!("line {line}: {fault}"))?;
        let architecture = sections.get("ARCH");
        if architecture != self.architecture && architecture != "any" {
            return Ok(());
        }
        let (name, package_version) = (sections.get("NAME"), sections.get("VERSION"));
        if let Some(words) = relation::package_name_fault(name.as_bytes()) {
            return Err(format!("no valid `%NAME%`: {words}"));
        }
        if let Some(words) = version::fault(package_version.as_bytes()) {
            return Err(format!("no valid `%VERSION%`: {words}"));
        }
        let location = sections.get("FILENAME");
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if location.is_empty() || location.starts_with('.') || !location.bytes().all(plain) {
            return Err("no valid `%FILENAME%`: expected the name of a file".into());
        }
        let digest = format!("sha256:{}", sections.get("SHA256SUM")).parse::<crate::digest::Digest>();
        let digest = digest.map_err(|_| "no valid `%SHA256SUM%`: expected 64 hexadecimal digits".to_owned())?;
        let number = |name: &str| {
            let text = sections.get(name);
            let clean = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| clean).ok_or_else(|| format!("no valid `%{name}%`: expected a number"))
        };
        let size = number("CSIZE")?;
        let signature = match sections.get("PGPSIG") {
            "" => Vec::new(),
            text => Base64::decode_vec(text).map_err(|_| "no valid `%PGPSIG%`: expected base64".to_owned())?,
        };
        self.relations(&sections)?;
        let groups = sections.values("GROUPS").join(" ");
        self.builder.package(&NewPackage {
            location: location.as_bytes(),
            digest: digest.as_bytes(),
            size,
            installed_size: number("ISIZE").unwrap_or(0),
            origin: sections.get("BASE").as_bytes(),
            section: groups.as_bytes(),
            signature: &signature,
            ..NewPackage::new(name.as_bytes(), package_version.as_bytes(), architecture.as_bytes())
        });
        Ok(())
    }

    fn relations(&mut self, sections: &Sections<'_>) -> Result<(), String> {
        let parse = |section: &str, value: &str| {
            let fault = |words| format!("in `%{section}%`: `{}`: {words}", value.escape_debug());
            Relation::parse(value.as_bytes()).map(|_| ()).map_err(fault)
        };
        for (section, kind) in RELATIONS {
            for value in sections.values(section) {
                parse(section, value)?;
                self.relation(kind, value);
            }
        }
        for value in sections.values("OPTDEPENDS") {
            // What it is good for follows; the rest is a wish that nobody checks.
            let wish = value.split(": ").next().unwrap_or_default().trim();
            if parse("OPTDEPENDS", wish).is_ok() {
                self.relation(RelationKind::Suggests, wish);
            }
        }
        for value in sections.values("PROVIDES") {
            let Ok(relation) = Relation::parse(value.as_bytes()) else {
                // A soname whose version could not be found out when the package was made.
                if value.ends_with('=') {
                    continue;
                }
                return parse("PROVIDES", value);
            };
            if !matches!(relation.comparison, Comparison::Any | Comparison::Equal) {
                return Err(format!("in `%PROVIDES%`: `{}`: expected `NAME` or `NAME=VERSION`", value.escape_debug()));
            }
            self.builder.provide(relation.name, relation.version);
        }
        Ok(())
    }

    fn relation(&mut self, kind: RelationKind, value: &str) {
        if let Ok(relation) = Relation::parse(value.as_bytes()) {
            self.builder.relation(kind);
            self.builder.alternative(relation.name, Qualifier::Own, relation.comparison, relation.version);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
