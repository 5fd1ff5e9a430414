//! The cache of glibc's loader, as ldconfig(8) makes it.
//!
//! Comes in: a tree with libraries. Goes out: `/etc/ld.so.cache`, and the links by which programs know libraries, in
//! directories of `/etc/ld.so.conf`. Always holds: the cache depends on the tree alone, and only trees with `ldconfig` get one.
//!
//! All numbers are in the byte order of the machine, which is little-endian here; places are counted from the start:
//!
//! ```text
//! head       "glibc-ld.so.cache1.1", count u32, length of the texts u32, byte order u8 (2), 3 bytes, extensions u32 (0: none),
//!            12 bytes
//! libraries  for each, sorted: flags u32, name u32, path u32, 4 bytes, hardware u64 (0: any)
//! texts      paths, each with a zero byte behind it; a name is the last part of its path
//! ```
//!
//! Libraries for some processors only (`glibc-hwcaps`) are left out: the loader takes those for all then.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use object::Endianness;
use object::elf::{DT_SONAME, DT_STRTAB, FileHeader64, PT_DYNAMIC};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

use super::PackagesError;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

const CACHE: &str = "/etc/ld.so.cache";
const SETTINGS: &str = "/etc/ld.so.conf";
/// Where ldconfig is.
const PROGRAMS: [&str; 3] = ["/sbin/ldconfig", "/usr/sbin/ldconfig", "/usr/bin/ldconfig"];
/// Where the loader looks whatever the settings say.
const BUILT_IN: [&str; 2] = ["/lib", "/usr/lib"];
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEAD: usize = 48;
const ENTRY: usize = 24;
/// The most bytes of a library that is looked into, and of settings.
const LIBRARY_BYTES: usize = 1 << 30;
const SETTINGS_BYTES: usize = 1 << 20;
/// How deep settings may include others.
const INCLUDED: usize = 8;

/// A line of the cache.
#[derive(Debug, PartialEq, Eq)]
struct Library {
    flags: u32,
    /// The path, in the words of the settings.
    path: Vec<u8>,
    /// Where its name begins.
    name: usize,
}

impl Library {
    fn name(&self) -> &[u8] {
        &self.path[self.name..]
    }
}

/// Makes the cache where there is none.
pub(super) fn make_cache(tree: &mut Tree, epoch: i64) -> Result<(), PackagesError> {
    let has = |path: &str| path.parse().is_ok_and(|path: TreePath| tree.lookup(&path).is_some());
    if has(CACHE) || !PROGRAMS.into_iter().any(has) {
        return Ok(());
    }
    let mut folders = Vec::new();
    settings(tree, SETTINGS.as_bytes(), 0, &mut folders)?;
    folders.extend(BUILT_IN.map(|folder| folder.as_bytes().to_vec()));
    let (mut libraries, mut seen) = (Vec::new(), BTreeSet::new());
    for folder in folders {
        let Ok(path) = TreePath::from_absolute(&folder) else { continue };
        let Some(real) = tree.follow(&path) else { continue };
        if tree.get(&real).is_some_and(|node| node.kind.is_directory()) && seen.insert(real.clone()) {
            libraries.extend(look(tree, &real, path.to_string().as_bytes(), epoch)?);
        }
    }
    // The loader searches from the greatest name on; of several libraries it takes the first.
    libraries.sort_by(|one, other| compare(other.name(), one.name()).then_with(|| other.flags.cmp(&one.flags)));
    let kind = Kind::Regular(Content::inline(written(&libraries)));
    tree.insert(CACHE.parse()?, Node { kind, meta: Meta::root_owned(0o644, epoch) })?;
    Ok(())
}

/// Adds the directories that a file of settings names.
fn settings(tree: &Tree, path: &[u8], depth: usize, folders: &mut Vec<Vec<u8>>) -> Result<(), PackagesError> {
    let Ok(path) = TreePath::from_absolute(path) else { return Ok(()) };
    let Some(Kind::Regular(content)) = tree.lookup(&path).map(|node| &node.kind) else { return Ok(()) };
    let text = content.read(SETTINGS_BYTES)?.unwrap_or_default();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        match words.next() {
            Some(b"include") if depth < INCLUDED => {
                for pattern in words {
                    for file in matching(tree, pattern) {
                        settings(tree, &file, depth + 1, folders)?;
                    }
                }
            }
            Some(b"include" | b"hwcap") => {}
            Some(first) => {
                folders.extend([first].into_iter().chain(words).filter(|word| word[0] == b'/').map(<[u8]>::to_vec))
            }
            None => {}
        }
    }
    Ok(())
}

/// Returns the files that `DIRECTORY/*END` stands for, sorted.
fn matching(tree: &Tree, pattern: &[u8]) -> Vec<Vec<u8>> {
    let above = if pattern.starts_with(b"/") { &b""[..] } else { b"/etc/" };
    let pattern = [above, pattern].concat();
    let Some(cut) = pattern.iter().rposition(|byte| *byte == b'/') else { return Vec::new() };
    let (folder, name) = (&pattern[..cut], &pattern[cut + 1..]);
    let Some(star) = name.iter().position(|byte| *byte == b'*') else { return vec![pattern] };
    let (begin, end) = (&name[..star], &name[star + 1..]);
    let Ok(folder) = TreePath::from_absolute(folder) else { return Vec::new() };
    let names = names(tree, &folder).into_iter().filter(|name| {
        name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end) && name[0] != b'.'
    });
    names.map(|name| [&b"/"[..], folder.as_bytes(), b"/", &name].concat()).collect()
}

/// Returns the names in a directory, sorted.
fn names(tree: &Tree, folder: &TreePath) -> Vec<Vec<u8>> {
    let Some(folder) = tree.follow(folder) else { return Vec::new() };
    let depth = folder.as_bytes().len() + usize::from(!folder.is_root());
    let below = tree.below(&folder).map(|(path, _)| &path.as_bytes()[depth..]);
    below.filter(|rest| !rest.contains(&b'/')).map(<[u8]>::to_vec).collect()
}

/// Returns the libraries in a directory, and makes the links that are missing.
fn look(tree: &mut Tree, folder: &TreePath, written: &[u8], epoch: i64) -> Result<Vec<Library>, PackagesError> {
    let mut found: BTreeSet<(Vec<u8>, u32)> = BTreeSet::new();
    let mut missing = Vec::new();
    for name in names(tree, folder) {
        let is_library = name.starts_with(b"lib") || name.starts_with(b"ld-");
        if !is_library || !name.windows(3).any(|part| part == b".so") {
            continue;
        }
        let path = folder.join(&name)?;
        let is_link = matches!(tree.get(&path).map(|node| &node.kind), Some(Kind::Symlink(_)));
        let Some(Kind::Regular(content)) = tree.lookup(&path).map(|node| &node.kind) else { continue };
        let Some(bytes) = content.read(LIBRARY_BYTES)? else { continue };
        let Some((flags, own)) = shared_object(&bytes) else { continue };
        let own = own.filter(|own| !own.is_empty() && !own.contains(&b'/')).unwrap_or_else(|| name.clone());
        // `libz.so` is what developers link with.
        if is_link && name.ends_with(b".so") && own.starts_with(&name) {
            found.insert((name, flags));
        } else if is_link && tree.get(&folder.join(&own)?).is_none() {
            // It stands for a library of another name elsewhere.
            continue;
        } else {
            if tree.get(&folder.join(&own)?).is_none() {
                missing.push((folder.join(&own)?, name));
            }
            found.insert((own, flags));
        }
    }
    for (link, target) in missing {
        if tree.get(&link).is_none() {
            let kind = Kind::Symlink(target.into());
            tree.insert(link, Node { kind, meta: Meta::root_owned(0o777, epoch) })?;
        }
    }
    let library = |(name, flags): (Vec<u8>, u32)| {
        let path = [written, b"/", &name].concat();
        Library { flags, name: path.len() - name.len(), path }
    };
    Ok(found.into_iter().map(library).collect())
}

/// Returns for which machine a library of 64 bits is, in the numbers of the cache, and the name that it gives itself; nothing
/// for what is none.
fn shared_object(bytes: &[u8]) -> Option<(u32, Option<Vec<u8>>)> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let flags = match header.e_machine(endian) {
        object::elf::EM_X86_64 => 0x0303,
        object::elf::EM_AARCH64 => 0x0a03,
        object::elf::EM_RISCV => 0x1003,
        _ => return None,
    };
    let segments = header.program_headers(endian, bytes).ok()?;
    let dynamic = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC)?;
    let dynamic = dynamic.dynamic(endian, bytes).ok()??;
    let value = |tag| dynamic.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
    let name = || {
        let address = value(DT_STRTAB)?.checked_add(value(DT_SONAME)?)?;
        let rest = segments.iter().find_map(|segment| {
            let start = address.checked_sub(segment.p_vaddr(endian))?;
            segment.data(endian, bytes).ok()?.get(usize::try_from(start).ok()?..).filter(|rest| !rest.is_empty())
        })?;
        Some(rest.split(|byte| *byte == 0).next()?.to_vec())
    };
    Some((flags, name()))
}

/// Compares names as the loader does: numbers by their value, and digits after everything else.
fn compare(mut one: &[u8], mut other: &[u8]) -> Ordering {
    loop {
        let ordering = match (one, other) {
            ([], []) => return Ordering::Equal,
            ([a, ..], [b, ..]) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (x, y) = (number(&mut one), number(&mut other));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            ([a, ..], _) if a.is_ascii_digit() => return Ordering::Greater,
            (_, [b, ..]) if b.is_ascii_digit() => return Ordering::Less,
            ([a, rest @ ..], [b, others @ ..]) => {
                (one, other) = (rest, others);
                a.cmp(b)
            }
            ([], _) => return Ordering::Less,
            (_, []) => return Ordering::Greater,
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

/// Takes the number that a text begins with, without zeros in front.
fn number<'text>(text: &mut &'text [u8]) -> &'text [u8] {
    let (digits, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
    *text = rest;
    &digits[digits.iter().take_while(|byte| **byte == b'0').count()..]
}

/// Writes the cache. Its texts are shorter than 4 GiB, as the paths of a tree are.
fn written(libraries: &[Library]) -> Vec<u8> {
    let texts: usize = libraries.iter().map(|library| library.path.len() + 1).sum();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(number(libraries.len()));
    bytes.extend(number(texts));
    bytes.push(2);
    bytes.resize(HEAD, 0);
    let mut place = HEAD + ENTRY * libraries.len();
    for Library { flags, path, name } in libraries {
        bytes.extend(flags.to_le_bytes());
        bytes.extend(number(place + name));
        bytes.extend(number(place));
        bytes.extend([0; 12]);
        place += path.len() + 1;
    }
    for library in libraries {
        bytes.extend(&library.path);
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a library for x86-64 that gives itself a name, or none when that is empty.
    fn library(name: &str) -> Vec<u8> {
        let texts = [b"\0", name.as_bytes(), b"\0"].concat();
        let header = |kind: u32, start: u64, size: u64| {
            let numbers = [start, start, start, size, size, 8];
            [&kind.to_le_bytes()[..], &4u32.to_le_bytes(), &numbers.map(u64::to_le_bytes).concat()].concat()
        };
        let entry = |tag: u64, value: u64| [tag.to_le_bytes(), value.to_le_bytes()].concat();
        let named = if name.is_empty() { entry(0, 0) } else { entry(14, 1) };
        let dynamic = [entry(5, 224), named, entry(0, 0)].concat();
        let whole = (64 + 112 + 48 + texts.len()) as u64;
        let start =
            [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[3, 0, 62, 0, 1, 0, 0, 0], &[0; 8], &64u64.to_le_bytes()].concat();
        let counts = [&[0; 12][..], &[64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]].concat();
        [start, counts, header(1, 0, whole), header(2, 176, 48), dynamic, texts].concat()
    }

    fn tree(files: &[(&str, Vec<u8>)], links: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, bytes) in files {
            let kind = Kind::Regular(Content::inline(bytes.clone()));
            tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        }
        for (path, target) in links {
            let kind = Kind::Symlink(target.as_bytes().into());
            tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o777, 0) }).unwrap();
        }
        tree.complete(|_| Meta::root_owned(0o755, 0));
        tree
    }

    /// Reads a cache back: name and path of every library.
    fn listed(tree: &Tree) -> Vec<(String, String)> {
        let Kind::Regular(content) = &tree.get(&CACHE.parse().unwrap()).unwrap().kind else { panic!("no file") };
        let bytes = content.read(1 << 20).unwrap().unwrap();
        let number = |place: usize| u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap()) as usize;
        let text =
            |place: usize| String::from_utf8(bytes[place..].split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap();
        assert_eq!(HEAD + number(20) * ENTRY + number(24), bytes.len());
        let entries = (0..number(20)).map(|index| HEAD + index * ENTRY);
        entries.map(|place| (text(number(place + 4)), text(number(place + 8)))).collect()
    }

    #[test]
    fn libraries_are_listed_as_ldconfig_does() {
        let files = [
            ("/usr/sbin/ldconfig", Vec::new()),
            ("/etc/ld.so.conf", b"# all\ninclude /etc/ld.so.conf.d/*.conf\n".to_vec()),
            ("/etc/ld.so.conf.d/b.conf", b"/lib/x\n".to_vec()),
            ("/etc/ld.so.conf.d/a.conf", b"/opt/app # ours\n/usr/lib/x /nowhere\n".to_vec()),
            ("/etc/ld.so.conf.d/not.txt", b"/srv\n".to_vec()),
            ("/srv/libs.so.1", library("libs.so.1")),
            ("/usr/lib/x/libz.so.1.3", library("libz.so.1")),
            ("/usr/lib/x/libz2.so.10", library("libz2.so.10")),
            ("/usr/lib/x/libz10.so.1", library("")),
            ("/usr/lib/x/libtext.so", b"INPUT(-lz)".to_vec()),
            ("/usr/lib/x/plain.so.1", library("plain.so.1")),
            ("/opt/app/libz.so.1", library("libz.so.1")),
            ("/usr/lib/libnew.so.1.2", library("libnew.so.1")),
        ];
        let links = [
            ("/lib", "usr/lib"),
            ("/usr/lib/x/libz.so.1", "libz.so.1.3"),
            ("/usr/lib/x/libz.so", "libz.so.1"),
            ("/usr/lib/x/libother.so", "libz.so.1"),
            ("/usr/lib/x/libdead.so.1", "nowhere"),
        ];
        let mut tree = tree(&files, &links);
        make_cache(&mut tree, 0).unwrap();
        let expected = [
            ("libz10.so.1", "/usr/lib/x/libz10.so.1"),
            ("libz2.so.10", "/usr/lib/x/libz2.so.10"),
            ("libz.so.1", "/opt/app/libz.so.1"),
            ("libz.so.1", "/usr/lib/x/libz.so.1"),
            ("libz.so", "/usr/lib/x/libz.so"),
            ("libnew.so.1", "/lib/libnew.so.1"),
        ];
        assert_eq!(listed(&tree), expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
        let made = &tree.get(&"/usr/lib/libnew.so.1".parse().unwrap()).unwrap().kind;
        assert!(matches!(made, Kind::Symlink(target) if **target == *b"libnew.so.1.2"));
    }

    #[test]
    fn damaged_libraries_do_no_harm() {
        let whole = library("libx.so.1");
        assert_eq!(shared_object(&whole), Some((0x0303, Some(b"libx.so.1".to_vec()))));
        for length in 0..whole.len() {
            shared_object(&whole[..length]);
        }
        for place in 0..whole.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = value;
                shared_object(&bytes);
            }
        }
    }

    #[test]
    fn without_ldconfig_there_is_no_cache() {
        let mut tree = tree(&[("/usr/lib/libz.so.1", library("libz.so.1"))], &[]);
        make_cache(&mut tree, 0).unwrap();
        assert!(tree.get(&CACHE.parse().unwrap()).is_none());
    }
}
