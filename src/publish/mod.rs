//! Folders of versions: what systemd-sysupdate fetches images from, and what systemd on a host picks the newest from.
//!
//! Comes in: an image, its name and version, and a folder. Goes out: the folder with one version more. Always holds:
//! `SHA256SUMS` never lists a file that is not there whole; no file of a version is ever written over; one process at a time
//! works on a folder; whatever ends it, the same command carries on where it ended.
//!
//! A file appears under its name when all of it is on the disk, the list is switched after that, and files of old versions
//! go when no list names them any more. List and signature are two files: who reads between the two renames has a
//! signature that does not fit, is refused, and comes again.

mod directory;
mod sums;
#[cfg(test)]
mod tests;
mod transfer;
mod version;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::digest::Digest;
use crate::fs;
use directory::Directory;
use sums::{ARMOURED, SIGNATURE, SUMS, Sums};
use transfer::Transfer;
pub use version::{InvalidVersion, Version, compare};

/// A folder that no version can be added to.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The version is none.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    /// The name cannot stand before a version.
    #[error(
        "`{0}` cannot be the name of a published image: expected letters, digits, `.` and `-`, and a letter or digit first"
    )]
    Name(String),
    /// The version is there with other content.
    #[error("`{0}` has been published with other content: give the new image a new version")]
    OtherContent(String),
    /// A version that counts as the same one is there.
    #[error("version {version} counts as the same as that of `{other}`, which is there: give the image a higher one")]
    SameVersion {
        /// The new version.
        version: Version,
        /// The file that is there.
        other: String,
    },
    /// The version would go at once.
    #[error("version {version} is older than the {keep} that are kept: it would be removed at once")]
    TooOld {
        /// The version.
        version: Version,
        /// How many are kept.
        keep: NonZeroUsize,
    },
    /// The list of the folder cannot be understood.
    #[error("line {line} of `SHA256SUMS` {reason}: mend it, or remove the file and publish every version again")]
    Sums {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The list is longer than any.
    #[error("`SHA256SUMS` is longer than {} bytes", sums::MOST_TEXT)]
    LongSums,
    /// The signature that is there would be wrong.
    #[error("`{0}` signs the versions that are there: say with `--gpg` who signs, or remove it")]
    StaleSignature(&'static str),
    /// The command did not give a signature.
    #[error("the signing command `{command}` {reason}")]
    Sign {
        /// The command.
        command: String,
        /// What went wrong.
        reason: String,
    },
    /// A place that hosts cannot fetch from.
    #[error(
        "`{0}` is no place to fetch from: expected a URL with https, http or file, or an absolute path, without spaces"
    )]
    Url(String),
    /// A title that is none.
    #[error("`{0}` cannot be the title of a feature: expected one line of text")]
    Title(String),
}

/// A version to add to a folder.
#[derive(Debug)]
pub struct Publication<'a> {
    /// The image, a regular file.
    pub image: &'a Path,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: Version,
    /// The folder, which is made when it is missing.
    pub directory: &'a Path,
    /// What the folder is for.
    pub layout: &'a Layout,
    /// How many of the newest versions stay; all when nothing is said.
    pub keep: Option<NonZeroUsize>,
    /// The folder of hosts that images of this kind are looked for in.
    pub host_folder: &'a str,
}

/// What a folder of versions is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// For systemd-sysupdate: `NAME_VERSION.raw`, `SHA256SUMS`.
    Sysupdate(Server),
    /// For the host itself, which picks the newest: `NAME.raw.v/NAME_VERSION.raw` (systemd.v(7)).
    Versioned,
}

/// What a folder for systemd-sysupdate has beside images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Where hosts find the folder, for `NAME.transfer`: a URL, or an absolute path. No such file is written without.
    pub url: Option<String>,
    /// The title of the optional feature that the image is, for `NAME.feature`.
    pub feature: Option<String>,
    /// A line for the shell: it gets `SHA256SUMS` on its standard input and gives a detached OpenPGP signature of it on its
    /// standard output.
    pub signer: Option<String>,
}

/// What was done to a folder.
#[derive(Debug, Default, Serialize)]
pub struct Published {
    /// The file of the version.
    pub file: PathBuf,
    /// The digest of the image.
    pub digest: Option<Digest>,
    /// The names of files that are new or have another content.
    pub written: Vec<String>,
    /// The names of files of old versions, which were removed.
    pub removed: Vec<String>,
    /// Names that the list had although no such file was there; it has them no more.
    pub missing: Vec<String>,
    /// Whether the list is signed.
    pub signed: bool,
}

/// Adds a version to a folder. Calls `waiting` once when another process works on it.
///
/// # Errors
/// When it cannot be added; the folder then shows the versions that it has shown before.
pub fn publish(publication: &Publication<'_>, waiting: impl FnOnce()) -> Result<Published, PublishError> {
    let name = publication.name;
    let file = format!("{name}_{}.raw", publication.version);
    if !is_name(name) || file.len() > directory::LONGEST_NAME {
        return Err(PublishError::Name(name.to_owned()));
    }
    match publication.layout {
        Layout::Versioned => {
            let directory = Directory::open(&publication.directory.join(format!("{name}.raw.v")), waiting)?;
            publish_versioned(&directory, publication, file)
        }
        Layout::Sysupdate(server) => {
            let directory = Directory::open(publication.directory, waiting)?;
            publish_listed(&directory, publication, server, file)
        }
    }
}

/// Tells whether systemd finds the end of a name in `NAME_VERSION.raw`, and nothing else in it.
fn is_name(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    name.bytes().all(valid) && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// Returns the files that tell hosts about the image.
fn companions(
    directory: &Directory,
    publication: &Publication<'_>,
    server: &Server,
) -> Result<Vec<(String, String)>, PublishError> {
    let name = publication.name;
    let mut files = Vec::new();
    if let Some(title) = &server.feature {
        files.push((format!("{name}.feature"), transfer::feature(title)?));
    }
    if let Some(url) = &server.url {
        let signed = server.signer.is_some() || directory.is_signed()?;
        let optional = server.feature.is_some();
        let transfer = Transfer { name, url, host_folder: publication.host_folder, signed, optional };
        files.push((format!("{name}.transfer"), transfer.text()?));
    }
    Ok(files)
}

fn publish_versioned(
    directory: &Directory,
    publication: &Publication<'_>,
    file: String,
) -> Result<Published, PublishError> {
    let versions = versions(directory, publication, |_| true)?;
    let staged = directory.stage(publication.image, &file, None)?;
    let mut published =
        Published { file: directory.path_of(&file), digest: Some(staged.digest), ..Published::default() };
    if staged.is_new {
        directory.show(&file)?;
        directory.sync()?;
        published.written.push(file);
    }
    directory.remove_all(versions, &mut published.removed)?;
    Ok(published)
}

fn publish_listed(
    directory: &Directory,
    publication: &Publication<'_>,
    server: &Server,
    file: String,
) -> Result<Published, PublishError> {
    let companions = companions(directory, publication, server)?;
    let before = directory.text(SUMS)?;
    let mut sums = Sums::parse(before.as_deref().unwrap_or_default())?;
    let old = versions(directory, publication, |name| sums.get(name).is_some())?;
    let staged = directory.stage(publication.image, &file, sums.get(&file))?;
    let mut published =
        Published { file: directory.path_of(&file), digest: Some(staged.digest), ..Published::default() };

    for name in sums.files().filter(|name| **name != *file) {
        if !directory.has(name)? {
            published.missing.push(name.to_owned());
        }
    }
    old.iter().chain(&published.missing).for_each(|name| sums.remove(name));
    sums.insert(&file, staged.digest);
    let after = sums.to_string();
    let changed = before.as_ref() != Some(&after);
    let signature = signature(directory, server, &after, changed)?;

    if staged.is_new {
        directory.show(&file)?;
        directory.sync()?;
        published.written.push(file);
    }
    // The list is last: where it is as it shall be, so is everything before it.
    let signature = signature.map(|bytes| (SIGNATURE.to_owned(), bytes));
    let companions = companions.into_iter().map(|(name, text)| (name, text.into_bytes()));
    for (name, bytes) in companions.chain(signature).chain([(SUMS.to_owned(), after.into_bytes())]) {
        if directory.write(&name, &bytes)? {
            published.written.push(name);
        }
    }
    directory.sync()?;
    directory.remove_all(old, &mut published.removed)?;
    published.signed = directory.is_signed()?;
    Ok(published)
}

/// Returns a signature of the list, when it needs a new one.
fn signature(
    directory: &Directory,
    server: &Server,
    list: &str,
    changed: bool,
) -> Result<Option<Vec<u8>>, PublishError> {
    let stale = |name| if changed && directory.has(name)? { Err(PublishError::StaleSignature(name)) } else { Ok(()) };
    stale(ARMOURED)?;
    match &server.signer {
        Some(command) if changed || !directory.has(SIGNATURE)? => sign(command, list).map(Some),
        Some(_) => Ok(None),
        None => stale(SIGNATURE).map(|()| None),
    }
}

/// Lets a command sign the list.
fn sign(command: &str, list: &str) -> Result<Vec<u8>, PublishError> {
    let failed = |reason| PublishError::Sign { command: command.to_owned(), reason };
    let signature = crate::image::signature::run_command(command, list.as_bytes()).map_err(failed)?;
    // A signature packet in the old or new format, or its ASCII armour (RFC 9580, sections 4.2, 5.2 and 6.2).
    let is_packet = matches!(signature.first(), Some(0x88..=0x8b | 0xc2));
    if is_packet || signature.starts_with(b"-----BEGIN PGP SIGNATURE-----") {
        Ok(signature)
    } else {
        Err(failed("gave no detached OpenPGP signature (`gpg --detach-sign` gives one)".into()))
    }
}

/// Returns the files of versions that are to go, and checks that the new version is none of them and is not there
/// under another name. What counts as a version is what `is_listed`; what is older than all that stay goes, listed or
/// not.
fn versions(
    directory: &Directory,
    publication: &Publication<'_>,
    is_listed: impl Fn(&str) -> bool,
) -> Result<Vec<String>, PublishError> {
    let new = &publication.version;
    let prefix = format!("{}_", publication.name);
    let mut there = Vec::new();
    for name in directory.names()? {
        let version = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".raw"));
        if let Some(version) = version.and_then(|version| version.parse::<Version>().ok()) {
            if version != *new && compare(version.as_str(), new.as_str()).is_eq() {
                return Err(PublishError::SameVersion { version: new.clone(), other: name });
            }
            there.push((version, name));
        }
    }
    let Some(keep) = publication.keep else { return Ok(Vec::new()) };
    let mut counted: Vec<&Version> =
        there.iter().filter(|(version, name)| version != new && is_listed(name)).map(|(version, _)| version).collect();
    counted.push(new);
    counted.sort();
    let oldest = counted[counted.len().saturating_sub(keep.get())].clone();
    if *new < oldest {
        return Err(PublishError::TooOld { version: new.clone(), keep });
    }
    let mut old: Vec<_> = there.into_iter().filter(|(version, _)| *version < oldest).collect();
    old.sort();
    Ok(old.into_iter().map(|(_, name)| name).collect())
}
