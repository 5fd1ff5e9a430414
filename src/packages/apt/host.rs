//! The mirrors that apt of this machine uses (sources.list(5)).
//!
//! Comes in: the root of the machine and a source of its own distribution. Goes out: the addresses under which apt has it.
//! Always holds: a file that cannot be read or understood says nothing; a repository of somebody else is not taken for one of
//! the distribution.

use std::path::{Path, PathBuf};

use url::Url;

use super::control::{Reader, Stanza};
use crate::distro::Distro;
use crate::fs;
use crate::packages::host;
use crate::resolve::{PackageSource, SourceContent, address};

/// An entry of the sources of apt.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    addresses: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// The keyring that is named, or the key itself.
    signed_by: Option<String>,
}

/// Returns the addresses under which apt of the machine below `root` has a source of its own distribution; nothing when the
/// machine is of another one.
pub fn mirrors(root: &Path, source: &PackageSource, distro: &Distro) -> Vec<Url> {
    let SourceContent::Suites { suites, components } = &source.content else { return Vec::new() };
    let codename = host::release(root, "VERSION_CODENAME");
    let Some(codename) = codename.filter(|_| host::release(root, "ID").is_some_and(|id| id == distro.id)) else {
        return Vec::new();
    };
    let pocket = |suite: &str, codename: &str| suite.strip_prefix(codename).map(str::to_owned);
    let own = distro.codename.as_deref().unwrap_or(&distro.release);
    let pockets: Vec<String> = suites.iter().filter_map(|suite| pocket(suite, own)).collect();
    let is_same = |entry: &Entry| {
        let mut theirs = entry.suites.iter().filter_map(|suite| pocket(suite, &codename));
        // The pocket without a name is in every distribution and in many a repository of somebody else: those name keys of
        // their own or have other components.
        theirs.any(|pocket| pockets.contains(&pocket))
            && entry.components.iter().any(|component| components.contains(component))
            && entry.signed_by.as_deref().is_none_or(|keys| is_own(keys, distro))
    };
    let mut mirrors: Vec<Url> = Vec::new();
    for entry in entries(root).into_iter().filter(is_same) {
        for mirror in entry.addresses.iter().filter_map(|text| address(text).ok()) {
            if !mirrors.contains(&mirror) {
                mirrors.push(mirror);
            }
        }
    }
    mirrors
}

fn is_own(keys: &str, distro: &Distro) -> bool {
    let keyring = distro.keyring.as_deref().unwrap_or("\0");
    Path::new(keys).file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.starts_with(keyring))
}

/// Returns what the files of apt say, in the order in which it reads them.
fn entries(root: &Path) -> Vec<Entry> {
    let folder = root.join("etc/apt");
    let parts = folder.join("sources.list.d");
    let mut names: Vec<PathBuf> =
        fs::list(&parts).unwrap_or_default().into_iter().map(|name| parts.join(name)).collect();
    names.sort();
    let mut entries = Vec::new();
    for path in std::iter::once(folder.join("sources.list")).chain(names) {
        let Some(text) = host::read(&path) else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(text.lines().filter_map(one_line)),
            Some("sources") => entries.extend(stanzas(&text)),
            _ => {}
        }
    }
    entries
}

/// Reads `deb [OPTIONS] ADDRESS SUITE COMPONENT…`.
fn one_line(line: &str) -> Option<Entry> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = rest.starts_with([' ', '\t']).then(|| rest.trim_start())?;
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry {
        addresses: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.map(str::to_owned),
    })
}

fn stanzas(text: &str) -> Vec<Entry> {
    // Comments may stand anywhere.
    let text: String = text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let mut reader = Reader::new("sources", text.as_bytes());
    let mut stanza = Stanza::default();
    let mut entries = Vec::new();
    while let Ok(true) = reader.next(&mut stanza) {
        let get = |name: &str| stanza.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let words = |name| get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let disabled =
            get("Enabled").is_some_and(|value| matches!(&*value.to_lowercase(), "no" | "false" | "off" | "0"));
        if !disabled && words("Types").iter().any(|kind| kind == "deb") {
            entries.push(Entry {
                addresses: words("URIs"),
                suites: words("Suites"),
                components: words("Components"),
                signed_by: get("Signed-By"),
            });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_directory(path.parent().unwrap()).unwrap();
        fs::write_atomic(&path, text.as_bytes()).unwrap();
    }

    #[test]
    fn both_forms_are_read() {
        let entry = |line: &str| one_line(line);
        let plain = entry("deb http://a.example/debian bookworm main contrib # here").unwrap();
        assert_eq!(
            (plain.addresses.as_slice(), plain.components.len()),
            (&["http://a.example/debian".to_owned()][..], 2)
        );
        let signed = entry("deb [arch=amd64 signed-by=/k.gpg] http://a.example/ bookworm main").unwrap();
        assert_eq!(signed.signed_by.as_deref(), Some("/k.gpg"));
        for line in ["", "# deb http://a.example b c", "deb-src http://a.example b c", "deb http://a.example", "deb [x"]
        {
            assert_eq!(entry(line), None, "{line}");
        }
        let text = "# a comment\nTypes: deb deb-src\nURIs: http://a.example/debian\n# inside\nSuites: bookworm \
                    bookworm-updates\nComponents: main\n\nEnabled: no\nTypes: deb\nURIs: http://b.example\nSuites: x\n\n\
                    Types: deb-src\nURIs: http://c.example\nSuites: x\n";
        let entries = stanzas(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].suites, ["bookworm", "bookworm-updates"]);
    }

    #[test]
    fn a_machine_of_the_distribution_knows_its_mirrors() {
        use crate::distro::{Architecture, Wish, describe};
        use crate::spec::{DistroTable, Located, Place, Project};
        let place = Place::file("test");
        let name = Located::new("debian".parse().unwrap(), place);
        let wish = Wish { release: None, architecture: Some(Architecture::X86_64) };
        let project = Project::open(Path::new("/nowhere"));
        let distro = describe(&project, &name, &DistroTable::default(), &wish).unwrap();
        let source = |suites: &[&str]| PackageSource {
            name: "debian".into(),
            content: SourceContent::Suites {
                suites: suites.iter().map(ToString::to_string).collect(),
                components: vec!["main".into()],
            },
            mirrors: Vec::new(),
            fixed: false,
            snapshot: None,
            keys: crate::resolve::Keys::None,
            priority: None,
            tag: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let found = |suites: &[&str]| {
            mirrors(root, &source(suites), &distro).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(found(&["trixie"]).is_empty(), "nothing is known of the machine");
        write(root, "etc/os-release", "NAME=x\nID=debian\nVERSION_CODENAME=bookworm\n");
        write(
            root,
            "etc/apt/sources.list",
            "deb http://a.example/debian bookworm main\ndeb cdrom:[x]/ bookworm main\n\
             deb [signed-by=/usr/share/keyrings/other.gpg] http://other.example/debian bookworm main\n\
             deb http://tools.example/debian bookworm stable\ndeb http://s.example/security bookworm-security main\n",
        );
        write(
            root,
            "etc/apt/sources.list.d/b.sources",
            "Types: deb\nURIs: https://b.example/debian http://a.example/debian/\nSuites: bookworm-updates\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        );
        assert_eq!(found(&["trixie", "trixie-updates"]), ["http://a.example/debian/", "https://b.example/debian/"]);
        assert_eq!(found(&["trixie-security"]), ["http://s.example/security/"]);
        assert!(found(&["trixie-backports"]).is_empty());
        write(root, "etc/os-release", "ID=ubuntu\nVERSION_CODENAME=noble\n");
        assert!(found(&["trixie"]).is_empty(), "another distribution has other packages");
    }
}
