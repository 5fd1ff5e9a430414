//! The files of the database of apk.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use super::{DatabaseError, Decisions, Package, Tool};
use crate::packages::accounts::Accounts;
use crate::packages::apk::identity::Identity;
use crate::packages::archive::Item;
use crate::packages::claims::Claims;
use crate::packages::writer::Writer;
use crate::tree::{Content, Kind, Tree, TreePath};

/// The scripts of a package, in the order in which they stand in the archive of scripts.
const SCRIPTS: [&str; 7] =
    ["pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade", "trigger"];

/// The most bytes of the records of all packages.
const LIST_BYTES: usize = 256 << 20;

/// Writes the database into the tree.
pub(super) fn write(
    tree: &mut Tree,
    packages: &[Package<'_>],
    decisions: &Decisions,
    claims: &Claims,
) -> Result<(), DatabaseError> {
    let accounts = Accounts::of(tree)?;
    let mut installed = String::new();
    for (number, package) in packages.iter().enumerate() {
        record(&mut installed, number, package, decisions, claims, &accounts);
    }
    let database = folder(tree)?;
    let mut writer = Writer { tree, epoch: decisions.epoch };
    writer.file(&format!("{database}/installed"), 0o644, installed)?;
    writer.file(&format!("{database}/lock"), 0o600, "")?;
    let scripts = scripts(packages, decisions.tool)?;
    match decisions.tool {
        Tool::Two => writer.file(&format!("{database}/scripts.tar"), 0o644, scripts)?,
        Tool::Three => writer.file(&format!("{database}/scripts.tar.gz"), 0o644, gzip(&scripts))?,
    }
    let triggers = packages.iter().filter(|package| !package.info.triggers.is_empty());
    let triggers: String =
        triggers.map(|package| format!("{} {}\n", package.identity, package.info.triggers.join(" "))).collect();
    writer.file(&format!("{database}/triggers"), 0o644, triggers)?;
    let mut world = decisions.world.clone();
    world.sort();
    world.dedup();
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    writer.file("/etc/apk/world", 0o644, lines(&world))?;
    writer.file("/etc/apk/arch", 0o644, format!("{}\n", decisions.architecture))?;
    if !decisions.repositories.is_empty() {
        writer.file("/etc/apk/repositories", 0o644, lines(&decisions.repositories))?;
    }
    for (name, bytes) in &decisions.keys {
        writer.file(&format!("/etc/apk/keys/{name}"), 0o644, bytes.clone())?;
    }
    Ok(())
}

/// Returns where the database is.
fn folder(tree: &Tree) -> Result<String, DatabaseError> {
    let library = tree.follow(&"/lib".parse().map_err(crate::packages::claims::ClaimError::from)?);
    Ok(format!("{}/apk/db", library.map_or("/lib".to_owned(), |path| path.to_string())))
}

/// Writes into the records of packages that a script of theirs failed.
pub(super) fn mark_broken(tree: &mut Tree, packages: &BTreeSet<String>) -> Result<(), DatabaseError> {
    let path: TreePath =
        format!("{}/installed", folder(tree)?).parse().map_err(crate::packages::claims::ClaimError::from)?;
    let Some(Kind::Regular(content)) = tree.get_mut(&path).map(|node| &mut node.kind) else { return Ok(()) };
    let bytes = content.read(LIST_BYTES)?.unwrap_or_default();
    let mut text = Vec::with_capacity(bytes.len() + 8 * packages.len());
    let mut broken = false;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"P:") {
            broken = packages.contains(String::from_utf8_lossy(name).trim_end());
        }
        // The flag stands last of what is said of the package itself.
        if broken && (line.starts_with(b"F:") || line == b"\n") {
            text.extend_from_slice(b"f:s\n");
            broken = false;
        }
        text.extend_from_slice(line);
    }
    *content = Content::inline(text);
    Ok(())
}

/// Writes the record of a package: its fields, then directory by directory its files.
fn record(
    text: &mut String,
    number: usize,
    package: &Package<'_>,
    decisions: &Decisions,
    claims: &Claims,
    accounts: &Accounts,
) {
    let info = &package.info;
    let architecture = match info.architecture {
        // An index names the architecture of its repository.
        "noarch" | "" => &decisions.architecture,
        own => own,
    };
    let mut put = |letter: char, value: &str| {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{letter}:{value}");
    };
    put('C', package.identity);
    put('P', info.name);
    put('V', info.version);
    put('A', architecture);
    put('S', package.size);
    put('I', &info.installed_size.to_string());
    put('T', info.description);
    put('U', info.url);
    put('L', info.licence);
    let built = info.built.map(|built| built.to_string()).unwrap_or_default();
    let priority = |priority: u32| if priority == 0 { String::new() } else { priority.to_string() };
    for (letter, value) in [
        ('o', info.origin),
        ('m', info.maintainer),
        ('t', &built),
        ('c', info.commit),
        ('k', &priority(info.provider_priority)),
        ('D', &info.depends.join(" ")),
        ('p', &info.provides.join(" ")),
        ('i', &info.install_if.join(" ")),
        ('r', &info.replaces.join(" ")),
        ('q', &priority(info.replaces_priority)),
        ('s', decisions.tags.get(info.name).map_or("", String::as_str)),
    ] {
        if !value.is_empty() {
            put(letter, value);
        }
    }
    for (directory, meta, files) in directories(number, package, claims) {
        put('F', &directory);
        if let Some(entry) = meta {
            let (uid, gid) = package.owner(entry, accounts);
            let mode = package.unpacked.entries[entry].meta.mode;
            if (uid, gid, mode) != (0, 0, 0o755) {
                put('M', &format!("{uid}:{gid}:{mode:o}"));
            }
        }
        for entry in files {
            let node = &package.unpacked.entries[entry];
            put('R', &String::from_utf8_lossy(node.path.name().unwrap_or_default()));
            let origin = claims.origin(number, entry);
            let (uid, gid) = package.owner(origin, accounts);
            let mode = match &node.item {
                Item::Node(Kind::Symlink(_)) => 0o777,
                _ => package.unpacked.entries[origin].meta.mode,
            };
            if (uid, gid, mode) != (0, 0, 0o644) {
                put('a', &format!("{uid}:{gid}:{mode:o}"));
            }
            let [sum, ..] = package.files[origin];
            if sum != "-" {
                put('Z', sum);
            }
        }
    }
    text.push('\n');
}

/// A directory by its path, with the entry that it is itself and those of what is in it.
type Directory = (String, Option<usize>, Vec<usize>);

/// Returns what a package has, directory by directory, in the order in which directories come first.
fn directories(number: usize, package: &Package<'_>, claims: &Claims) -> Vec<Directory> {
    let mut directories: Vec<Directory> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    let mut place = |path: &[u8], directories: &mut Vec<Directory>| -> usize {
        *places.entry(path.to_vec()).or_insert_with(|| {
            directories.push((String::from_utf8_lossy(path).into_owned(), None, Vec::new()));
            directories.len() - 1
        })
    };
    for (entry, found) in package.unpacked.entries.iter().enumerate() {
        if found.is_directory() {
            // The root itself is no directory of a package.
            if !found.path.is_root() {
                let place = place(found.path.as_bytes(), &mut directories);
                directories[place].1 = Some(entry);
            }
        } else if claims.owns(number, entry) {
            let parent = found.path.parent().unwrap_or_else(crate::tree::TreePath::root);
            let place = place(parent.as_bytes(), &mut directories);
            directories[place].2.push(entry);
        }
    }
    directories
}

/// Makes the archive of the scripts of all packages.
fn scripts(packages: &[Package<'_>], tool: Tool) -> Result<Vec<u8>, DatabaseError> {
    let mut archive = Vec::new();
    for package in packages {
        let (name, version) = (package.info.name, package.info.version);
        let fault = || DatabaseError::Package { package: name.to_owned(), reason: "it has no identity".into() };
        let identity = Identity::parse(package.identity.as_bytes()).ok_or_else(fault)?;
        let identity = match tool {
            Tool::Two => identity.to_string(),
            Tool::Three => format!("X{}", identity.hex()),
        };
        for kind in SCRIPTS {
            if let Some(bytes) = package.script(kind) {
                member(&mut archive, &format!("{name}-{version}.{identity}.{kind}"), bytes, package.info.built);
            }
        }
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

const BLOCK: usize = 512;

/// Adds a file to a tar archive (POSIX.1-2017, pax, "ustar Interchange Format"; a long name as GNU tar has it).
fn member(archive: &mut Vec<u8>, name: &str, bytes: &[u8], mtime: Option<u64>) {
    const NAME: usize = 100;
    if name.len() > NAME {
        block(archive, "././@LongLink", b'L', name.len() + 1, 0);
        archive.extend(name.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    let end = (0..=NAME.min(name.len())).rfind(|end| name.is_char_boundary(*end)).unwrap_or(0);
    block(archive, &name[..end], b'0', bytes.len(), mtime.unwrap_or(0));
    archive.extend(bytes);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

fn block(archive: &mut Vec<u8>, name: &str, flag: u8, size: usize, mtime: u64) {
    let mut header = [0_u8; BLOCK];
    let mut put = |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    // Eleven octal digits reach to the year 2242.
    put(136, &format!("{:011o}", mtime.min(0o77_777_777_777)));
    put(148, "        ");
    put(257, "ustar\x0000");
    put(265, "root");
    put(297, "root");
    put(329, "0000000");
    put(337, "0000000");
    header[156] = flag;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(header);
}

/// Compresses without a time and a name.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing into memory does not fail")
}
