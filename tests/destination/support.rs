//! A small project, rendered and looked at from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use layerforge::digest::Digest;
use layerforge::event::{Event, Reporter};
use layerforge::image::{Artifact, Body, Destination, DestinationError, Options, Output, Rendered, Standing, Witness};
use layerforge::store::{Listing, Store};
use layerforge::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// The modification time of everything that is written.
pub(crate) const TIME: i64 = 1_700_000_000;

pub(crate) fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

pub(crate) fn file(text: &str, mode: u16) -> Node {
    Node { kind: Kind::Regular(Content::inline(text.as_bytes())), meta: Meta::root_owned(mode, TIME) }
}

/// Returns a tree of directories, files of several modes, links and hard links; `version` stands in some of the files.
pub(crate) fn tree(version: &str) -> Tree {
    let mut tree = Tree::new();
    tree.insert(path("/etc/version"), file(version, 0o644)).unwrap();
    tree.insert(path("/etc/secret"), file("closed", 0o000)).unwrap();
    tree.insert(path("/usr/bin/tool"), file("#!/bin/sh\n", 0o4755)).unwrap();
    tree.insert(path("/usr/share/first"), file("shared", 0o664)).unwrap();
    tree.link(path("/usr/bin/second"), &path("/usr/share/first")).unwrap();
    let link = Node { kind: Kind::Symlink(b"../usr/bin/tool"[..].into()), meta: Meta::root_owned(0o777, TIME) };
    tree.insert(path("/etc/tool"), link).unwrap();
    for number in 0..40 {
        let text = if number % 8 == 0 { format!("{number} of {version}") } else { number.to_string() };
        tree.insert(path(&format!("/usr/share/data/{}/{number}", number % 5)), file(&text, 0o644)).unwrap();
    }
    for (name, mode) in [("/srv/closed", 0o000), ("/srv/readonly", 0o555), ("/tmp", 0o1777), ("/srv/group", 0o2775)] {
        tree.insert(path(name), Node { kind: Kind::directory(), meta: Meta::root_owned(mode, TIME) }).unwrap();
    }
    tree.insert(path("/srv/readonly/file"), file("inside", 0o444)).unwrap();
    tree.complete(|_| Meta::root_owned(0o755, TIME));
    tree
}

/// Remembers every event as text.
#[derive(Debug, Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<String>>);

impl Reporter for Heard {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

/// Everything a render needs besides its result.
pub(crate) struct Project {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) force: bool,
    pub(crate) heard: Heard,
}

/// What a render said.
pub(crate) type Said = Result<Vec<String>, DestinationError>;

impl Project {
    pub(crate) fn new() -> Self {
        // In memory where there is such a place: kills and thousands of files are no work for a disk.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self { folder: tempfile::tempdir_in(parent).unwrap(), force: false, heard: Heard::default() }
    }

    pub(crate) fn forced(self) -> Self {
        Self { force: true, ..self }
    }

    /// The destination that tests use unless they need another.
    pub(crate) fn destination(&self) -> PathBuf {
        self.folder.path().join("out/alpine")
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Renders the usual artifacts of `tree` and returns the names of those that changed.
    pub(crate) fn render(&self, tree: &Tree) -> Said {
        self.render_to(&self.destination(), &[rootfs(tree, b"FROM scratch\n")])
    }

    pub(crate) fn render_to(&self, destination: &Path, outputs: &[Kinds<'_>]) -> Said {
        self.render_seen(destination, outputs, Listing::new())
    }

    pub(crate) fn render_seen(&self, destination: &Path, outputs: &[Kinds<'_>], inputs: Listing) -> Said {
        let store = Store::open(&self.store_path()).unwrap();
        let options = Options { store: &store, force: self.force, witness: &|_| Vec::new(), reporter: &self.heard };
        render_with(&options, destination, outputs, inputs)
    }

    /// Tells whether the next render would find nothing to do, by the record alone.
    pub(crate) fn is_unchanged(&self) -> bool {
        let store = Store::open(&self.store_path()).unwrap();
        let options = Options { store: &store, force: false, witness: &|_| Vec::new(), reporter: &self.heard };
        let destination = Destination::lock(&self.destination(), &options).unwrap();
        destination.standing(&Digest::of("key")).unwrap() == Standing::Unchanged
    }
}

pub(crate) fn render_with(options: &Options<'_>, destination: &Path, outputs: &[Kinds<'_>], inputs: Listing) -> Said {
    let destination = Destination::lock(destination, options)?;
    let outputs = outputs
        .iter()
        .map(|(kind, artifacts)| Output {
            kind,
            artifacts: artifacts
                .iter()
                .map(|(name, form)| Artifact {
                    name,
                    body: match form {
                        Form::Directory(tree) => Body::Directory(tree),
                        Form::Bytes(bytes) => Body::Bytes(bytes),
                        Form::Writer(write) => Body::Writer(write),
                    },
                })
                .collect(),
        })
        .collect();
    let committed = destination.commit(Rendered { key: Digest::of("key"), inputs, outputs, seconds: TIME })?;
    let changed = committed.changed().to_vec();
    committed.finish()?;
    Ok(changed)
}

/// An output kind with its artifacts.
pub(crate) type Kinds<'a> = (&'a str, Vec<(&'a str, Form<'a>)>);

/// What [`Body`] says, to be used more than once.
pub(crate) enum Form<'a> {
    Directory(&'a Tree),
    Bytes(&'a [u8]),
    Writer(&'a (dyn Fn(&mut dyn Write) -> std::io::Result<()> + Sync)),
}

/// Returns the artifacts of a render; the manifest names the tree's digest.
pub(crate) fn rootfs<'a>(tree: &'a Tree, dockerfile: &'a [u8]) -> Kinds<'a> {
    let version = match &tree.get(&path("/etc/version")).unwrap().kind {
        Kind::Regular(content) => content.digest.to_string(),
        _ => unreachable!("a file"),
    };
    let manifest = Box::leak(version.into_boxed_str()).as_bytes();
    let directory = ("rootfs", Form::Directory(tree));
    ("rootfs", vec![directory, ("Dockerfile", Form::Bytes(dockerfile)), ("manifest.json", Form::Bytes(manifest))])
}

/// Returns what a manifest would say of [`rootfs`].
pub(crate) fn witness(version: &str) -> Witness {
    let tree = tree(version);
    let manifest = Digest::of(version).to_string();
    let files = [("Dockerfile", "FROM scratch\n"), ("manifest.json", &manifest)];
    let files = files.map(|(name, text)| (name.to_owned(), Digest::of(text), text.len() as u64)).to_vec();
    Witness { kind: "rootfs".into(), directories: vec![("rootfs".into(), tree)], files, seconds: TIME }
}

/// What stands at a path, as far as it is part of a result: kind and mode, time, content, and the first path of the same
/// file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) mode: u32,
    pub(crate) time: (i64, i64),
    pub(crate) content: Vec<u8>,
    pub(crate) same_as: Option<PathBuf>,
}

/// Returns everything below `folder`.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Found> {
    let mut found = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(directory) = left.pop() {
        let mut paths: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let relative = path.strip_prefix(folder).unwrap().to_owned();
            let content = if metadata.is_dir() {
                left.push(path);
                Vec::new()
            } else if metadata.is_symlink() {
                std::os::unix::ffi::OsStringExt::into_vec(fs::read_link(&path).unwrap().into_os_string())
            } else {
                fs::read(&path).unwrap()
            };
            let time = (metadata.mtime(), metadata.mtime_nsec());
            let same_as = if metadata.is_dir() { None } else { files.insert(metadata.ino(), relative.clone()) };
            found.insert(relative, Found { mode: metadata.mode(), time, content, same_as });
        }
    }
    found
}

/// Returns what a render of `tree` into a fresh folder gives.
pub(crate) fn fresh(tree: &Tree) -> BTreeMap<PathBuf, Found> {
    let project = Project::new();
    project.render(tree).unwrap();
    snapshot(&project.destination())
}

/// Returns the names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

pub(crate) fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
