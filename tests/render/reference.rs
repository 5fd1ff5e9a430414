//! What a random project has to become: layers as maps, laid over each other entry by entry, templates by replacing
//! words. Slow and simple, so that it can be read.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::{Attributes, Condition, Item, Plant, Site, Source, What};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Directory,
    Link(Vec<u8>),
    /// Only inside of a layer.
    Removal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The index of the layer it comes from.
    pub(crate) layer: Option<usize>,
}

/// What a render has to give for one distro.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) removed: Vec<String>,
    pub(crate) layers: Vec<String>,
}

/// Why a project has to be refused.
pub(crate) type Refusal = String;

type Entries = BTreeMap<String, Node>;

/// What is known of a distro.
struct Facts {
    name: &'static str,
    /// Its own name and those of the distros it is like.
    lineage: &'static [&'static str],
    words: [(&'static str, &'static str); 5],
}

fn facts(distro: &str) -> Facts {
    let words = |name, release, nologin, libc, family| {
        [
            ("{{ distro.name }}", name),
            ("{{ distro.release }}", release),
            ("{{ distro.paths.nologin }}", nologin),
            ("{{ distro.libc }}", libc),
            ("{{ distro.family }}", family),
        ]
    };
    let debian = "/usr/sbin/nologin";
    let (lineage, words): (&[&str], _) = match distro {
        "alpine" => (&["alpine"], words("alpine", "3.23", "/sbin/nologin", "musl", "apk")),
        "debian" => (&["debian"], words("debian", "trixie", debian, "glibc", "apt")),
        "ubuntu" => (&["ubuntu", "debian"], words("ubuntu", "noble", debian, "glibc", "apt")),
        "mine" => (&["mine", "ubuntu", "debian"], words("mine", "noble", debian, "glibc", "apt")),
        other => panic!("no facts of {other}"),
    };
    Facts { name: lineage[0], lineage, words }
}

/// Resolves one project for one distro.
struct Reading<'site> {
    site: &'site Site,
    facts: Facts,
    /// The name of the layer that is being read.
    layer: String,
}

pub(crate) fn expected(site: &Site, distro: &str) -> Result<Expected, Refusal> {
    let mut reading = Reading { site, facts: facts(distro), layer: String::new() };
    let mut layers: Vec<(String, usize, Entries)> = Vec::new();
    for number in order(site) {
        reading.layer = format!("l{number}");
        let layer = &site.layers[number];
        let mut entries = reading.trees(&layer.items)?;
        reading.tables(&layer.items, &mut entries)?;
        reading.patterns(&layer.items, &mut [&mut entries])?;
        layers.push((reading.layer.clone(), layer.tier, entries));
    }
    reading.layer = "profile:web".into();
    let mut own = Entries::new();
    reading.tables(&site.tables, &mut own)?;
    let mut all: Vec<&mut Entries> = layers.iter_mut().map(|(_, _, entries)| entries).chain([&mut own]).collect();
    reading.patterns(&site.tables, &mut all)?;
    let told = layers.iter().any(|(_, _, entries)| entries.get("/var/lib/app").is_some_and(|node| !node.is_removal()));
    if site.writable && !told && !own.contains_key("/var/lib/app") {
        own.insert("/var/lib/app".into(), Node::new(Kind::Directory, 0o750, (65532, 65532)));
    }
    tiers_agree(&layers)?;
    layers.push((reading.layer.clone(), 4, own));
    lay(layers)
}

/// The numbers of the layers, the lowest first: a required one before the one that asks for it, then by tier.
fn order(site: &Site) -> Vec<usize> {
    fn add(site: &Site, number: usize, order: &mut Vec<usize>) {
        if !order.contains(&number) {
            // As `requires` is written: sorted, each once.
            let requires: BTreeSet<usize> = site.layers[number].requires.iter().copied().collect();
            requires.into_iter().for_each(|required| add(site, required, order));
            order.push(number);
        }
    }
    let mut order = Vec::new();
    site.asked.iter().for_each(|number| add(site, *number, &mut order));
    order.sort_by_key(|number| site.layers[*number].tier);
    order
}

impl Node {
    fn new(kind: Kind, mode: u16, (uid, gid): (u32, u32)) -> Self {
        Self { kind, mode, uid, gid, layer: None }
    }

    fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    fn is_removal(&self) -> bool {
        self.kind == Kind::Removal
    }
}

impl Reading<'_> {
    fn render(&self, text: &str) -> String {
        let tls = if self.site.tls { "tls on\n" } else { "" };
        let mut text = text.replace("{% if tls %}\ntls on\n{% endif %}\n", tls);
        let port = self.site.port.to_string();
        let words = [("{{ port }}", port.as_str()), ("{{ word }}", self.site.word), ("{{ user.web.uid }}", "65532")];
        for (word, value) in words.into_iter().chain(self.facts.words).chain([("{{ layer.name }}", &*self.layer)]) {
            text = text.replace(word, value);
        }
        text
    }

    fn holds(&self, condition: &Condition) -> bool {
        let like = |names: &Vec<&str>| names.iter().any(|name| self.facts.lineage.contains(name));
        let when = match condition.when {
            None => true,
            Some("tls") => self.site.tls,
            Some("not tls") => !self.site.tls,
            Some("port > 5000") => self.site.port > 5000,
            Some("distro.name == 'debian'") => self.facts.name == "debian",
            Some(other) => panic!("no answer to {other}"),
        };
        condition.only.as_ref().is_none_or(like) && !condition.except.as_ref().is_some_and(like) && when
    }

    fn trees(&self, items: &[Item]) -> Result<Entries, Refusal> {
        let mut entries = Entries::new();
        let mut sections = vec![None];
        sections.extend(self.facts.lineage.iter().rev().copied().map(Some));
        for section in sections {
            let mut own = Entries::new();
            for Item { path, what, .. } in items {
                let What::Tree(stands_in, plant) = what else { continue };
                if *stands_in != section {
                    continue;
                }
                let node = match plant {
                    Plant::File { text, template, executable } => {
                        let text = if *template { self.render(text) } else { (*text).to_owned() };
                        let mode = if *executable { 0o755 } else { 0o644 };
                        Node::new(Kind::File(text.into_bytes()), mode, (0, 0))
                    }
                    Plant::Link(target) => Node::new(Kind::Link(target.as_bytes().to_vec()), 0o777, (0, 0)),
                    Plant::EmptyDirectory => Node::new(Kind::Directory, 0o755, (0, 0)),
                };
                let path = self.render(path);
                if own.insert(path.clone(), node).is_some() {
                    return Err(format!("{path} twice in one file tree"));
                }
            }
            entries.append(&mut own);
        }
        Ok(entries)
    }

    fn tables(&self, items: &[Item], entries: &mut Entries) -> Result<(), Refusal> {
        for Item { path, what, condition } in items {
            let path = self.render(path);
            let node = match what {
                What::Tree(..) | What::Pattern { .. } => continue,
                What::File(source, text, _) => {
                    let text = if matches!(source, Source::Copy { .. }) { (*text).into() } else { self.render(text) };
                    let mode = if *source == (Source::Copy { executable: true }) { 0o755 } else { 0o644 };
                    Node::new(Kind::File(text.into_bytes()), mode, (0, 0))
                }
                What::Directory(_) => Node::new(Kind::Directory, 0o755, (0, 0)),
                What::Link(target) => Node::new(Kind::Link(self.render(target).into_bytes()), 0o777, (0, 0)),
                What::Remove => Node::new(Kind::Removal, 0, (0, 0)),
            };
            if !self.holds(condition) {
                continue;
            }
            // A table may say more about an empty directory of a file tree, and about nothing else.
            let directory = node.is_directory();
            if entries.insert(path.clone(), node).is_some_and(|before| !(directory && before.is_directory())) {
                return Err(format!("{path} is described twice"));
            }
        }
        Ok(())
    }

    /// Applies what tables say of owners and modes to all of the given layers: patterns first, the shortest before the
    /// longer ones, then what tables say of the path they describe.
    fn patterns(&self, items: &[Item], all: &mut [&mut Entries]) -> Result<(), Refusal> {
        let held = || items.iter().filter(|item| self.holds(&item.condition));
        let patterns = held().filter_map(|item| match &item.what {
            What::Pattern { directories, attributes } => Some((item.path, *directories, attributes)),
            _ => None,
        });
        let mut patterns: Vec<_> = patterns.collect();
        patterns.sort_by_key(|(pattern, ..)| (!pattern.contains(['*', '?', '[']), pattern.len(), *pattern));
        for (pattern, directories, attributes) in patterns {
            let is_for = |path: &str| matches(pattern, path);
            if directories {
                add_implied(&is_for, all);
            }
            if !apply(&is_for, directories, attributes, all) {
                return Err(format!("{pattern} matches nothing"));
            }
        }
        for item in held() {
            let (directories, attributes) = match &item.what {
                What::File(_, _, attributes) => (false, attributes),
                What::Directory(attributes) => (true, attributes),
                _ => continue,
            };
            let own = self.render(item.path);
            apply(&|path| path == own, directories, attributes, all);
        }
        Ok(())
    }
}

/// Makes entries of directories that only exist because something is in them, unless some layer describes them.
fn add_implied(is_for: &dyn Fn(&str) -> bool, all: &mut [&mut Entries]) {
    let nodes = || all.iter().flat_map(|entries| entries.iter());
    let told: BTreeSet<String> =
        nodes().filter(|(_, node)| node.is_directory()).map(|(path, _)| path.clone()).collect();
    for entries in all.iter_mut() {
        let implied = entries.iter().filter(|(_, node)| !node.is_removal()).flat_map(|(path, _)| above(path));
        let implied: Vec<String> = implied.map(str::to_owned).collect();
        for path in implied.into_iter().filter(|path| is_for(path) && !told.contains(path)) {
            entries.entry(path).or_insert_with(|| Node::new(Kind::Directory, 0o755, (0, 0)));
        }
    }
}

/// Sets owner and mode of files, or of directories; tells whether there was one.
fn apply(is_for: &dyn Fn(&str) -> bool, directories: bool, attributes: &Attributes, all: &mut [&mut Entries]) -> bool {
    let mut matched = false;
    for (_, node) in all.iter_mut().flat_map(|entries| entries.iter_mut()).filter(|(path, _)| is_for(path)) {
        let counts = match node.kind {
            Kind::File(_) => !directories,
            Kind::Directory => directories,
            Kind::Link(_) | Kind::Removal => false,
        };
        if counts {
            matched = true;
            node.mode = attributes.mode.unwrap_or(node.mode);
            (node.uid, node.gid) = account((node.uid, node.gid), attributes);
        }
    }
    matched
}

fn account((mut uid, mut gid): (u32, u32), attributes: &Attributes) -> (u32, u32) {
    if let Some(owner) = attributes.owner {
        (uid, gid) = match owner {
            "\"web\"" => (65532, 65532),
            "\"db\"" => (70, 71),
            "\"root\"" => (0, 0),
            number => (number.parse().unwrap(), number.parse().unwrap()),
        };
    }
    if let Some(group) = attributes.group {
        gid = match group {
            "\"staff\"" => 500,
            "\"db\"" => 71,
            "\"root\"" => 0,
            number => number.parse().unwrap(),
        };
    }
    (uid, gid)
}

/// No two layers of a tier may differ about a path, nor may one have something below what is no directory of another.
fn tiers_agree(layers: &[(String, usize, Entries)]) -> Result<(), Refusal> {
    for (number, (_, tier, entries)) in layers.iter().enumerate() {
        for (other_number, (_, other_tier, other_entries)) in layers.iter().enumerate() {
            if tier != other_tier || number == other_number {
                continue;
            }
            for (path, node) in entries {
                let same = other_entries.get(path).is_none_or(|other| {
                    other.is_removal()
                        || node.is_removal()
                        || (other.is_directory() && node.is_directory())
                        || node == other
                });
                if !same {
                    return Err(format!("two layers of a tier differ about {path}"));
                }
                for above in above(path) {
                    if other_entries.get(above).is_some_and(|other| !other.is_directory() && !other.is_removal()) {
                        return Err(format!("{path} stands below {above} of another layer of the tier"));
                    }
                }
            }
        }
    }
    Ok(())
}

fn lay(layers: Vec<(String, usize, Entries)>) -> Result<Expected, Refusal> {
    let mut nodes = Entries::new();
    let mut removed = BTreeSet::new();
    let mut names = Vec::new();
    for (number, (name, _, entries)) in layers.into_iter().enumerate() {
        for path in entries.keys() {
            if above(path).any(|above| entries.get(above).is_some_and(|node| !node.is_directory())) {
                return Err(format!("{path} stands below something else of its layer"));
            }
        }
        for (path, node) in entries {
            if above(&path).any(|above| nodes.get(above).is_some_and(|node| !node.is_directory())) {
                return Err(format!("{path} stands below something of a lower layer"));
            }
            if !node.is_directory() {
                nodes.retain(|below, _| !below.starts_with(&format!("{path}/")));
            }
            if node.is_removal() {
                nodes.remove(&path);
                removed.insert(path);
            } else {
                nodes.insert(path, Node { layer: Some(number), ..node });
            }
        }
        names.push(name);
    }
    let implied: BTreeSet<String> = nodes.keys().flat_map(|path| above(path)).map(str::to_owned).collect();
    for path in implied.into_iter().chain(["/".to_owned()]) {
        let mode = match path.as_str() {
            "/root" => 0o700,
            "/tmp" | "/var/tmp" => 0o1777,
            _ => 0o755,
        };
        nodes.entry(path).or_insert_with(|| Node::new(Kind::Directory, mode, (0, 0)));
    }
    let removed = removed.into_iter().filter(|path| !nodes.contains_key(path)).collect();
    Ok(Expected { nodes, removed, layers: names })
}

/// Returns the directories above a path, without the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().filter(|(index, character)| *index > 0 && *character == '/').map(|(index, _)| &path[..index])
}

/// Tells whether a pattern matches a path, name by name.
fn matches(pattern: &str, path: &str) -> bool {
    fn names(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**"], path) => !path.is_empty(),
            (["**", rest @ ..], path) => (0..=path.len()).any(|skipped| names(rest, &path[skipped..])),
            ([first, rest @ ..], [name, others @ ..]) => {
                characters(first.as_bytes(), name.as_bytes()) && names(rest, others)
            }
            _ => false,
        }
    }
    fn characters(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], name) => (0..=name.len()).any(|taken| characters(rest, &name[taken..])),
            ([b'?', rest @ ..], [_, others @ ..]) => characters(rest, others),
            ([b'[', one, other, b']', rest @ ..], [byte, others @ ..]) => {
                (byte == one || byte == other) && characters(rest, others)
            }
            ([byte, rest @ ..], [same, others @ ..]) => byte == same && characters(rest, others),
            _ => false,
        }
    }
    names(&pattern.split('/').collect::<Vec<_>>(), &path.split('/').collect::<Vec<_>>())
}
