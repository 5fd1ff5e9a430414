//! `manifest.json`: every path of a rendered tree, for people and for programs.

mod packages;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use packages::{ManifestPackage, ManifestSource};

use crate::digest::Digest;
use crate::tree::{Content, ContentSource, DeviceNumber, Kind, Meta, Node, Tree, TreeError, TreePath};

/// What `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `layerforge`: what made the folder that the manifest stands in.
    pub generator: String,
    /// The version of this form.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// The version of what is shipped.
    pub profile_version: String,
    /// The distro.
    pub distro: String,
    /// Its release.
    pub release: String,
    /// The architecture.
    pub architecture: String,
    /// The time of every entry that names none, in seconds since 1970-01-01 UTC.
    pub epoch: i64,
    /// The digest of the whole tree ([`Tree::digest`]).
    pub tree: Digest,
    /// Layers from the lowest to the highest; entries name them by index.
    pub layers: Vec<String>,
    /// Paths that the base image must lose.
    pub removed: Vec<String>,
    /// Where the tree stands beside the manifest as a directory, when that is not where a rootfs does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Paths of the profile that an image does not carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Paths that hide those of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<String>,
    /// Where its packages come from, in the order in which sources are preferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub package_sources: Vec<ManifestSource>,
    /// The packages of the distribution that it carries, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<ManifestPackage>,
    /// The files that were written beside the manifest, by name.
    pub files: BTreeMap<String, ManifestFile>,
    /// Every path, sorted.
    pub entries: Vec<ManifestEntry>,
}

/// A file that was written beside a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// One path of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The absolute path; bytes that are no UTF-8 are written as `\xHH`, a backslash as `\\`.
    pub path: String,
    /// The kind: `file`, `directory`, `symlink`, `character-device`, `block-device`, `fifo`, `socket`.
    pub kind: String,
    /// Permission bits, four octal digits.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// The length of a file, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What a symbolic link holds, written like a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The path whose hard link this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_link: Option<String>,
    /// Major and minor number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<(u32, u32)>,
    /// The time, where it is not the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<i64>,
    /// Extended attributes; values in hexadecimal digits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
    /// The index of the layer it comes from; nothing for a directory that only holds others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
}

/// A text that is no manifest, or one that describes no tree.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not JSON of this form.
    #[error("not a manifest: {0}")]
    Malformed(String),
    /// An entry cannot stand in a tree.
    #[error("not a manifest of a tree: {0}")]
    Tree(#[from] TreeError),
}

/// What an entry takes as text, about: to reserve memory once.
const LINE: usize = 256;
/// How many entries one thread writes at a time.
const CHUNK: usize = 512;
/// The version of the form.
const VERSION: u32 = 1;

/// What wrote a manifest.
pub const GENERATOR: &str = "layerforge";

impl Manifest {
    /// Describes `tree`; `origins` tells the layer of a path.
    pub fn describe(tree: &Tree, origins: &BTreeMap<TreePath, usize>, head: ManifestHead) -> Self {
        let links: Vec<_> = tree.links().collect();
        let describe = |&(path, node, first): &_| entry(path, node, first, head.epoch, origins.get(path).copied());
        let (digest, entries) = rayon::join(|| tree.digest(), || links.par_iter().map(describe).collect());
        Self {
            generator: GENERATOR.into(),
            version: VERSION,
            profile: head.profile,
            profile_version: head.profile_version,
            distro: head.distro,
            release: head.release,
            architecture: head.architecture,
            epoch: head.epoch,
            tree: digest,
            layers: head.layers,
            removed: texts(&head.removed),
            directory: None,
            left_out: Vec::new(),
            hides: Vec::new(),
            package_sources: head.package_sources,
            packages: head.packages,
            files: BTreeMap::new(),
            entries,
        }
    }

    /// Returns the text of `manifest.json`: JSON with one entry a line, so that versions can be compared.
    pub fn to_text(&self) -> String {
        let mut text = String::from("{\n");
        let mut head = vec![
            ("generator", json(&self.generator)),
            ("version", json(&self.version)),
            ("profile", json(&self.profile)),
            ("profile_version", json(&self.profile_version)),
            ("distro", json(&self.distro)),
            ("release", json(&self.release)),
            ("architecture", json(&self.architecture)),
            ("epoch", json(&self.epoch)),
            ("tree", json(&self.tree)),
            ("layers", json(&self.layers)),
            ("removed", json(&self.removed)),
        ];
        head.extend(self.directory.iter().map(|directory| ("directory", json(directory))));
        let lists = [("left_out", &self.left_out), ("hides", &self.hides)];
        head.extend(lists.into_iter().filter(|(_, paths)| !paths.is_empty()).map(|(key, paths)| (key, json(paths))));
        if !self.package_sources.is_empty() {
            head.push(("package_sources", json(&self.package_sources)));
        }
        if !self.packages.is_empty() {
            head.push(("packages", format!("[{}\n  ]", lines(&self.packages))));
        }
        head.push(("files", json(&self.files)));
        for (key, value) in head {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  \"{key}\": {value},");
        }
        text.push_str("  \"entries\": [");
        let lines: Vec<String> = self.entries.par_chunks(CHUNK).map(lines).collect();
        text.reserve(lines.iter().map(String::len).sum::<usize>() + LINE);
        for (index, lines) in lines.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "," });
            text.push_str(lines);
        }
        text.push_str("\n  ]\n}\n");
        text
    }

    /// Says which paths of the profile an image does not carry, and which hide those of the host.
    pub fn set_carried(&mut self, left_out: &[TreePath], hides: &[TreePath]) {
        self.left_out = texts(left_out);
        self.hides = texts(hides);
    }

    /// Reads the text of a `manifest.json`.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self =
            serde_json::from_slice(text).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        if manifest.generator != GENERATOR || manifest.version != VERSION {
            let reason = format!("made by `{}`, version {}", manifest.generator, manifest.version);
            return Err(ManifestError::Malformed(reason));
        }
        Ok(manifest)
    }

    /// Returns the paths that the base image must lose.
    ///
    /// # Errors
    /// When one is no path of a tree.
    pub fn removed_paths(&self) -> Result<Vec<TreePath>, ManifestError> {
        self.removed.iter().map(|path| read_path(path).map_err(ManifestError::Malformed)).collect()
    }

    /// Returns the tree that the manifest describes. Its contents have digest and length, but no bytes: they name a file
    /// that does not exist.
    ///
    /// # Errors
    /// When an entry is malformed or cannot stand in a tree.
    pub fn to_tree(&self) -> Result<Tree, ManifestError> {
        let mut tree = Tree::new();
        for entry in &self.entries {
            let malformed = |what: &str| ManifestError::Malformed(format!("`{}`: {what}", entry.path));
            let path = read_path(&entry.path).map_err(|reason| malformed(&reason))?;
            if let Some(first) = &entry.hard_link {
                tree.link(path, &read_path(first).map_err(|reason| malformed(&reason))?)?;
                continue;
            }
            let node =
                entry.node(self.epoch).ok_or_else(|| malformed("its kind, mode or content is not understood"))?;
            tree.insert(path, node)?;
        }
        Ok(tree)
    }
}

/// What a manifest says besides the tree.
#[derive(Debug, Clone)]
pub struct ManifestHead {
    /// The profile.
    pub profile: String,
    /// The version of what is shipped.
    pub profile_version: String,
    /// The distro.
    pub distro: String,
    /// Its release.
    pub release: String,
    /// The architecture.
    pub architecture: String,
    /// The time of every file.
    pub epoch: i64,
    /// Layers from the lowest to the highest.
    pub layers: Vec<String>,
    /// Paths that the base image must lose.
    pub removed: Vec<TreePath>,
    /// Where its packages come from.
    pub package_sources: Vec<ManifestSource>,
    /// The packages that it carries.
    pub packages: Vec<ManifestPackage>,
}

fn entry(path: &TreePath, node: &Node, first: Option<&TreePath>, epoch: i64, layer: Option<usize>) -> ManifestEntry {
    let (mut size, mut digest, mut target, mut device) = (None, None, None, None);
    match &node.kind {
        Kind::Regular(content) => (size, digest) = (Some(content.length), Some(content.digest)),
        Kind::Symlink(holds) => target = Some(written(holds)),
        Kind::CharacterDevice(number) | Kind::BlockDevice(number) => device = Some((number.major, number.minor)),
        Kind::Directory { .. } | Kind::Fifo | Kind::Socket | Kind::Whiteout => {}
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    ManifestEntry {
        path: written(&format_absolute(path)),
        kind: node.kind.word().into(),
        mode: format!("{:04o}", node.meta.mode),
        uid: node.meta.uid,
        gid: node.meta.gid,
        size,
        digest,
        target,
        hard_link: first.map(|first| written(&format_absolute(first))),
        device,
        mtime: (node.meta.mtime != epoch).then_some(node.meta.mtime),
        xattrs: node.meta.xattrs.iter().map(|(name, value)| (written(name), hex(value))).collect(),
        layer,
    }
}

impl ManifestEntry {
    fn node(&self, epoch: i64) -> Option<Node> {
        let device = || self.device.map(|(major, minor)| DeviceNumber { major, minor });
        let kind = match self.kind.as_str() {
            "file" => Kind::Regular(Content {
                digest: self.digest?,
                length: self.size?,
                source: ContentSource::File(std::path::Path::new("").into()),
            }),
            "directory" => Kind::directory(),
            "symlink" => Kind::Symlink(read_bytes(self.target.as_ref()?).ok()?.into()),
            "character-device" => Kind::CharacterDevice(device()?),
            "block-device" => Kind::BlockDevice(device()?),
            "fifo" => Kind::Fifo,
            "socket" => Kind::Socket,
            _ => return None,
        };
        let mut meta = Meta::root_owned(u16::from_str_radix(&self.mode, 8).ok()?, self.mtime.unwrap_or(epoch));
        (meta.uid, meta.gid) = (self.uid, self.gid);
        for (name, value) in &self.xattrs {
            let digits =
                value.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            meta.xattrs.insert(read_bytes(name).ok()?.into(), digits.collect::<Option<Vec<u8>>>()?.into());
        }
        Some(Node { kind, meta })
    }
}

fn texts(paths: &[TreePath]) -> Vec<String> {
    paths.iter().map(|path| written(&format_absolute(path))).collect()
}

fn format_absolute(path: &TreePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

/// Writes bytes as text that [`read_bytes`] reads back.
fn written(bytes: &[u8]) -> String {
    if let Some(plain) = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\\')) {
        return plain.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn read_bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(digits.ok_or_else(|| format!("`{text}` has a malformed escape"))?);
                rest = after;
            }
            (b'\\', _) => return Err(format!("`{text}` has a malformed escape")),
            (byte, _) => bytes.push(byte),
        }
    }
    Ok(bytes)
}

fn read_path(text: &str) -> Result<TreePath, String> {
    TreePath::from_absolute(&read_bytes(text)?).map_err(|error| error.to_string())
}

/// Returns the lines of some entries or packages, with commas between them.
fn lines(entries: &[impl Serialize]) -> String {
    let mut text = Vec::with_capacity(entries.len() * LINE);
    for (index, entry) in entries.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b"\n    " } else { b",\n    " });
        serde_json::to_writer(&mut text, entry).expect("manifests hold only strings, numbers and lists");
    }
    String::from_utf8(text).expect("JSON is UTF-8")
}

fn json(value: &impl Serialize) -> String {
    let mut text = Vec::with_capacity(LINE);
    serde_json::to_writer(&mut text, value).expect("manifests hold only strings, numbers and lists");
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        let mut meta = Meta::root_owned(0o4755, 7);
        meta.xattrs.insert(b"security.capability"[..].into(), [1, 0xff][..].into());
        let path = TreePath::from_relative(b"usr/a\\b\xff").unwrap();
        tree.insert(path.clone(), Node { kind: Kind::Regular(Content::inline(*b"x")), meta }).unwrap();
        tree.link("/usr/link".parse().unwrap(), &path).unwrap();
        let device = Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 });
        tree.insert("/dev/null".parse().unwrap(), Node { kind: device, meta: Meta::root_owned(0o666, 0) }).unwrap();
        let link = Kind::Symlink(b"../\xfe"[..].into());
        tree.insert("/etc/l".parse().unwrap(), Node { kind: link, meta: Meta::root_owned(0o777, 0) }).unwrap();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        tree
    }

    fn package(name: &str) -> ManifestPackage {
        ManifestPackage {
            name: name.into(),
            version: "1:2-3".into(),
            architecture: "amd64".into(),
            purl: format!("pkg:deb/debian/{name}@1%3A2-3?arch=amd64"),
            sha256: Digest::of(name),
            source: "own".into(),
        }
    }

    fn manifest() -> Manifest {
        let head = ManifestHead {
            profile: "web".into(),
            profile_version: "1".into(),
            distro: "alpine".into(),
            release: "3.22".into(),
            architecture: "x86_64".into(),
            epoch: 0,
            layers: vec!["base".into()],
            removed: vec!["/etc/gone".parse().unwrap()],
            package_sources: vec![ManifestSource { name: "own".into(), suite: String::new(), trusted: true }],
            packages: ["a", "b"].map(package).into(),
        };
        Manifest::describe(&tree(), &BTreeMap::from([("/etc/l".parse().unwrap(), 0)]), head)
    }

    #[test]
    fn a_tree_comes_back_from_its_manifest() {
        let read = Manifest::read(manifest().to_text().as_bytes()).unwrap();
        assert_eq!(read, manifest());
        assert_eq!(read.to_tree().unwrap().digest(), tree().digest());
    }

    #[test]
    fn the_text_has_one_entry_a_line() {
        insta::assert_snapshot!(manifest().to_text());
    }

    #[test]
    fn other_files_are_refused() {
        assert!(Manifest::read(b"{}").is_err());
        let other = manifest().to_text().replace("\"generator\": \"layerforge\"", "\"generator\": \"other\"");
        assert!(Manifest::read(other.as_bytes()).is_err());
        assert!(read_bytes("a\\").is_err());
        assert!(read_bytes("a\\xzz").is_err());
    }
}
