//! Random projects: plain data, written to disk in any order.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{Numbers, write};

/// The tiers, the lowest first.
pub(crate) const TIERS: [&str; 4] = ["base", "distro", "application", "overlay"];

/// A project: layers that are called `l0`, `l1`, …, and the profile `web` over them.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) layers: Vec<Layer>,
    /// The layers that the profile names, in its order.
    pub(crate) asked: Vec<usize>,
    /// The profile's own tables.
    pub(crate) tables: Vec<Item>,
    pub(crate) epoch: i64,
    /// Whether the profile declares the writable path `/var/lib/app`.
    pub(crate) writable: bool,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) word: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// An index into [`TIERS`].
    pub(crate) tier: usize,
    /// Layers of lower numbers.
    pub(crate) requires: Vec<usize>,
    pub(crate) items: Vec<Item>,
}

/// A file of a file tree, or a table.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Absolute; the path of a table, and that in a file tree, may be a template.
    pub(crate) path: &'static str,
    pub(crate) what: What,
    /// When it counts, if it is a table.
    pub(crate) condition: Condition,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// In `files/`, or in `files.SECTION/`.
    Tree(Option<&'static str>, Plant),
    File(Source, &'static str, Attributes),
    Directory(Attributes),
    Link(&'static str),
    Remove,
    /// Owner and mode of the files, or of the directories, that the path matches as a pattern.
    Pattern {
        directories: bool,
        attributes: Attributes,
    },
}

/// What stands in a file tree.
#[derive(Debug, Clone)]
pub(crate) enum Plant {
    File { text: &'static str, template: bool, executable: bool },
    Link(&'static str),
    EmptyDirectory,
}

/// Where the content of a `[file]` table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Content,
    Copy { executable: bool },
    Template,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<u16>,
    pub(crate) owner: Option<&'static str>,
    pub(crate) group: Option<&'static str>,
}

impl Attributes {
    fn is_empty(&self) -> bool {
        self.mode.is_none() && self.owner.is_none() && self.group.is_none()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) only: Option<Vec<&'static str>>,
    pub(crate) except: Option<Vec<&'static str>>,
    pub(crate) when: Option<&'static str>,
}

/// Texts; where they are templates, the program renders them with an engine and the reference by replacing words.
const TEXTS: &[&str] = &[
    "",
    "plain\n",
    "no line end",
    "port {{ port }}\n",
    "{{ word }}/{{ distro.name }}/{{ distro.release }}\n",
    "{% if tls %}\ntls on\n{% endif %}\nend\n",
    "{{ distro.paths.nologin }} {{ distro.libc }} {{ distro.family }}",
    "uid {{ user.web.uid }}, layer {{ layer.name }}, {{ word }}{{ word }}\n",
];

/// Paths meet often, as files and as directories; `a b` stands between `a` and what is in it.
const PATHS: &[&str] = &[
    "/etc/app/a",
    "/etc/app/b.conf",
    "/etc/app/{{ word }}.conf",
    "/etc/app/one.conf",
    "/etc/app/sub/a",
    "/etc/app/sub/b",
    "/srv/a",
    "/srv/a b",
    "/srv/a/inner",
    "/srv/ü/x",
    "/srv/data/deep/er/file",
    "/srv/data/deep/other",
    "/srv/data/link",
    "/usr/share/x/1",
    "/usr/share/x/2",
    "/usr/share/x/3",
    "/root/.profile",
    "/tmp/marker",
    "/var/tmp/sub/file",
    "/opt/tool",
    "/opt/{{ distro.name }}/tool",
];

/// Paths that are directories of the ones above.
const DIRECTORIES: &[&str] = &[
    "/etc/app",
    "/etc/app/sub",
    "/srv",
    "/srv/data",
    "/srv/data/deep",
    "/usr/share/x",
    "/root",
    "/opt",
    "/var/lib/app",
];

const PATTERNS: &[&str] = &[
    "/etc/app/*",
    "/etc/**",
    "/srv/**/*",
    "/srv/data/*",
    "/usr/share/x/[12]",
    "/usr/share/x/?",
    "/opt/**/tool",
    "/srv/a",
];

const TARGETS: &[&str] = &["a", "../sub/a", "/etc/passwd", "/nowhere/{x}", "ü"];

/// Distros of the profile. `mine` is like `ubuntu`, which is like `debian`.
pub(crate) const DISTROS: [&str; 4] = ["alpine", "debian", "mine", "ubuntu"];

fn attributes() -> impl Strategy<Value = Attributes> {
    let mode = prop::option::of(select(vec![0o600, 0o640, 0o644, 0o755, 0o4755, 0o2775, 0o1777, 0o000, 0o444]));
    let owner = prop::option::weighted(0.4, select(vec!["\"web\"", "\"db\"", "\"root\"", "1000"]));
    let group = prop::option::weighted(0.2, select(vec!["\"staff\"", "\"db\"", "\"root\"", "5"]));
    (mode, owner, group).prop_map(|(mode, owner, group)| Attributes { mode, owner, group })
}

fn condition() -> impl Strategy<Value = Condition> {
    let distros = || prop::collection::vec(select(vec!["alpine", "debian", "ubuntu", "mine", "arch"]), 1..3);
    let when = select(vec!["tls", "not tls", "port > 5000", "distro.name == 'debian'"]);
    let some = (prop::option::of(distros()), prop::option::of(distros()), prop::option::of(when));
    prop_oneof![
        3 => Just(Condition::default()),
        1 => some.prop_map(|(only, except, when)| Condition { only, except, when }),
    ]
}

fn plant() -> impl Strategy<Value = Plant> {
    prop_oneof![
        6 => (select(TEXTS), any::<bool>(), any::<bool>())
            .prop_map(|(text, template, executable)| Plant::File { text, template, executable }),
        1 => select(TARGETS).prop_map(Plant::Link),
        1 => Just(Plant::EmptyDirectory),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    let copy = any::<bool>().prop_map(|executable| Source::Copy { executable });
    prop_oneof![Just(Source::Content), Just(Source::Template), copy]
}

fn table() -> impl Strategy<Value = (&'static str, What)> {
    let said = || attributes().prop_filter("a pattern says something", |attributes| !attributes.is_empty());
    prop_oneof![
        6 => (select(PATHS), source(), select(TEXTS), attributes())
            .prop_map(|(path, source, text, attributes)| (path, What::File(source, text, attributes))),
        4 => (select(DIRECTORIES), attributes()).prop_map(|(path, attributes)| (path, What::Directory(attributes))),
        2 => (select(PATHS), select(TARGETS)).prop_map(|(path, target)| (path, What::Link(target))),
        2 => prop_oneof![3 => select(PATHS), 1 => select(DIRECTORIES)].prop_map(|path| (path, What::Remove)),
        2 => (select(PATTERNS), any::<bool>(), said()).prop_map(|(path, directories, attributes)| {
            // Without a pattern, the table of a directory is the directory itself.
            let directories = directories && path.contains(['*', '?', '[']);
            (path, What::Pattern { directories, attributes })
        }),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let section = prop_oneof![3 => Just(None), 2 => select(vec!["alpine", "debian", "ubuntu", "mine"]).prop_map(Some)];
    let tree = (select(PATHS), section, plant()).prop_map(|(path, section, plant)| (path, What::Tree(section, plant)));
    let what = prop_oneof![3 => tree, 2 => table()];
    (what, condition()).prop_map(|((path, what), condition)| Item { path, what, condition })
}

fn layer(number: usize) -> impl Strategy<Value = Layer> {
    let requires = prop::collection::vec(0..number.max(1), 0..if number == 0 { 1 } else { 2 });
    let items = prop::collection::vec(item(), 0..7).prop_map(apart);
    (0..TIERS.len(), requires, items).prop_map(|(tier, requires, items)| Layer { tier, requires, items })
}

/// Drops what cannot stand on one disk, or in one document, beside an earlier item.
fn apart(items: Vec<Item>) -> Vec<Item> {
    let meets = |one: &str, other: &str| {
        one == other || one.starts_with(&format!("{other}/")) || other.starts_with(&format!("{one}/"))
    };
    let mut kept: Vec<Item> = Vec::new();
    for item in items {
        let clashes = kept.iter().any(|other| match (&item.what, &other.what) {
            (What::Tree(one, _), What::Tree(other_section, _)) => one == other_section && meets(item.path, other.path),
            (What::Tree(..), _) | (_, What::Tree(..)) => false,
            (one, other_what) => item.path == other.path && kind_of(one) == kind_of(other_what),
        });
        if !clashes {
            kept.push(item);
        }
    }
    kept
}

/// The table that an item stands in.
fn kind_of(what: &What) -> &'static str {
    match what {
        What::Tree(..) => unreachable!("a file tree is no table"),
        What::File(..) | What::Pattern { directories: false, .. } => "file",
        What::Directory(_) | What::Pattern { directories: true, .. } => "directory",
        What::Link(_) => "link",
        What::Remove => "remove",
    }
}

pub(crate) fn site() -> impl Strategy<Value = Site> {
    let layers = (layer(0), layer(1), layer(2), layer(3), layer(4)).prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e]);
    let asked = prop::sample::subsequence((0..5).collect::<Vec<usize>>(), 1..=5).prop_shuffle();
    let own = (table(), condition()).prop_map(|((path, what), condition)| Item { path, what, condition });
    let tables = prop::collection::vec(own, 0..3).prop_map(apart);
    let rest = (select(vec![0, 1_700_000_000]), any::<bool>(), select(vec![80, 8080]), any::<bool>());
    (layers, asked, tables, rest, select(vec!["one", "two"])).prop_map(|(layers, asked, tables, rest, word)| {
        let (epoch, writable, port, tls) = rest;
        Site { layers, asked, tables, epoch, writable, port, tls, word }
    })
}

/// Something to be made on disk.
enum Piece {
    File(String, String, bool),
    Link(String, &'static str),
    Directory(String),
}

impl Site {
    /// Writes the project, its files in an order that `seed` decides.
    pub(crate) fn write(&self, project: &Path, seed: u64) {
        let mut pieces = vec![Piece::File("profiles/web.toml".into(), self.profile(), false)];
        files_of("", &self.tables, &mut pieces);
        for (number, layer) in self.layers.iter().enumerate() {
            let folder = format!("layers/l{number}/");
            let requires: BTreeSet<String> = layer.requires.iter().map(|other| format!("\"l{other}\"")).collect();
            let requires: Vec<String> = requires.into_iter().collect();
            let mut text = format!("tier = \"{}\"\nrequires = [{}]\n", TIERS[layer.tier], requires.join(", "));
            tables(&layer.items, &mut text);
            pieces.push(Piece::File(format!("{folder}layer.toml"), text, false));
            files_of(&folder, &layer.items, &mut pieces);
        }
        let mut numbers = Numbers(seed | 1);
        while !pieces.is_empty() {
            let piece = pieces.swap_remove(numbers.below(pieces.len() as u64) as usize);
            piece.make(project);
        }
    }

    fn profile(&self) -> String {
        let asked: Vec<String> = self.asked.iter().map(|layer| format!("\"l{layer}\"")).collect();
        let mut text = format!(
            "version = \"1\"\nepoch = {}\nlayers = [{}]\n\n[distro.alpine]\n[distro.debian]\n[distro.ubuntu]\n\
             [distro.mine]\nlike = \"ubuntu\"\n\n[variable.port]\ndefault = {}\n[variable.tls]\ndefault = {}\n\
             [variable.word]\ndefault = \"{}\"\n\n[user.web]\nuid = 65532\n[user.db]\nuid = 70\ngid = 71\n\
             [group.staff]\ngid = 500\n",
            self.epoch,
            asked.join(", "),
            self.port,
            self.tls,
            self.word
        );
        if self.writable {
            text.push_str("\n[writable.state]\npath = \"/var/lib/app\"\nkind = \"state\"\nowner = \"web\"\n");
        }
        tables(&self.tables, &mut text);
        text
    }
}

impl Piece {
    fn make(&self, project: &Path) {
        match self {
            Self::File(path, text, executable) => {
                write(&project.join(path), text);
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(project.join(path), fs::Permissions::from_mode(mode)).unwrap();
            }
            Self::Link(path, target) => {
                fs::create_dir_all(project.join(path).parent().unwrap()).unwrap();
                symlink(target, project.join(path)).unwrap();
            }
            Self::Directory(path) => fs::create_dir_all(project.join(path)).unwrap(),
        }
    }
}

/// Adds the files that items stand in, or are made from.
fn files_of(folder: &str, items: &[Item], pieces: &mut Vec<Piece>) {
    for (number, Item { path, what, .. }) in items.iter().enumerate() {
        match what {
            What::Tree(section, plant) => {
                let section = section.map(|section| format!(".{section}")).unwrap_or_default();
                let place = format!("{folder}files{section}{path}");
                pieces.push(match plant {
                    Plant::File { text, template, executable } => {
                        let place = if *template { format!("{place}.j2") } else { place };
                        Piece::File(place, (*text).into(), *executable)
                    }
                    Plant::Link(target) => Piece::Link(place, target),
                    Plant::EmptyDirectory => Piece::Directory(place),
                });
            }
            What::File(Source::Copy { executable }, text, _) => {
                pieces.push(Piece::File(format!("{folder}sources/{number}"), (*text).into(), *executable));
            }
            What::File(Source::Template, text, _) => {
                pieces.push(Piece::File(format!("{folder}templates/{number}.j2"), (*text).into(), false));
            }
            _ => {}
        }
    }
}

/// Adds the tables of items to a document.
fn tables(items: &[Item], text: &mut String) {
    for (number, Item { path, what, condition }) in items.iter().enumerate() {
        if matches!(what, What::Tree(..)) {
            continue;
        }
        writeln!(text, "\n[{}.\"{path}\"]", kind_of(what)).unwrap();
        match what {
            What::File(Source::Content, content, _) => writeln!(text, "content = {}", quoted(content)).unwrap(),
            What::File(Source::Copy { .. }, ..) => writeln!(text, "source = \"sources/{number}\"").unwrap(),
            What::File(Source::Template, ..) => writeln!(text, "template = \"{number}.j2\"").unwrap(),
            What::Link(target) => writeln!(text, "target = {}", quoted(target)).unwrap(),
            _ => {}
        }
        if let What::File(_, _, attributes) | What::Directory(attributes) | What::Pattern { attributes, .. } = what {
            let Attributes { mode, owner, group } = attributes;
            mode.iter().for_each(|mode| writeln!(text, "mode = \"{mode:04o}\"").unwrap());
            owner.iter().for_each(|owner| writeln!(text, "owner = {owner}").unwrap());
            group.iter().for_each(|group| writeln!(text, "group = {group}").unwrap());
        }
        for (key, names) in [("only", &condition.only), ("except", &condition.except)] {
            names.iter().for_each(|names| writeln!(text, "{key} = {names:?}").unwrap());
        }
        condition.when.iter().for_each(|when| writeln!(text, "when = {}", quoted(when)).unwrap());
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
