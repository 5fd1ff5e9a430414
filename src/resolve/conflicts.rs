//! What may not stand together: checks over all layers of a recipe.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use super::recipe::{Action, Entry, Layer};
use super::resolver::Resolver;
use crate::spec::{Problem, Tier};
use crate::tree::TreePath;

/// An entry and the layer it is of.
type Found<'layers> = (&'layers Layer, &'layers Entry);

/// A layer with some of its entries, sorted.
type Meeting<'layers> = (&'layers Layer, Vec<&'layers Entry>);

/// Entries of several layers, by path.
#[derive(Default)]
struct Seen<'layers> {
    entries: BTreeMap<&'layers [u8], Found<'layers>>,
    /// Every directory above an entry, and perhaps some above none any more.
    holders: HashSet<&'layers [u8]>,
}

impl<'layers> Seen<'layers> {
    fn insert(&mut self, layer: &'layers Layer, entry: &'layers Entry) {
        self.entries.insert(entry.path.as_bytes(), (layer, entry));
        // Nearest first: once one is known, those above it are known too.
        let _known = entry.path.above().find(|above| !self.holders.insert(above));
    }

    /// Returns what is below a path.
    fn below(&self, path: &[u8]) -> Vec<Found<'layers>> {
        if !self.holders.contains(path) {
            return Vec::new();
        }
        let first = [path, b"/"].concat();
        let from = self.entries.range::<[u8], _>((Bound::Excluded(first.as_slice()), Bound::Unbounded));
        from.take_while(|(path, _)| path.starts_with(&first)).map(|(_, found)| *found).collect()
    }
}

impl Resolver<'_> {
    /// Checks the entries of all layers against each other and against the base image.
    pub(super) fn check_layers(&mut self, layers: &[Layer]) {
        let links = self.distro.symlinks.clone();
        let links: Vec<(TreePath, &str)> =
            links.iter().filter_map(|(link, target)| Some((link.parse().ok()?, target.as_str()))).collect();
        for entry in layers.iter().flat_map(|layer| &layer.entries) {
            self.check_reserved(entry);
            self.check_base_links(entry, &links);
        }
        let tiers = [Tier::Base, Tier::Distro, Tier::Application, Tier::Overlay];
        let layers = meeting(layers);
        self.problems.extend(below_leaves(&layers));
        self.problems.extend(tiers.into_iter().flat_map(|tier| conflicts(&layers, tier)));
    }

    /// Refuses names that container engines take for something else.
    fn check_reserved(&mut self, entry: &Entry) {
        if entry.path.name().is_some_and(|name| name.starts_with(b".wh.")) {
            self.problems.push(
                problem_of(entry, format!("`{}` has a reserved name", entry.path))
                    .rule("names that begin with `.wh.` mean removals in container images (OCI image-spec, layer.md)")
                    .help(format!(
                        "to remove a path of a lower layer, say `[remove.\"{}\"]`",
                        without_whiteout(&entry.path)
                    )),
            );
        }
    }

    /// Refuses paths at or below a symbolic link of the base image: a copy would put a directory in its place.
    fn check_base_links(&mut self, entry: &Entry, links: &[(TreePath, &str)]) {
        for (link, target) in links {
            let same_link = matches!(&entry.action, Action::Link(own) if **own == *target.as_bytes());
            let at = entry.path == *link && !same_link && !matches!(entry.action, Action::Remove);
            if !at && !entry.path.is_below(link) {
                continue;
            }
            let rest = entry.path.to_string()[link.to_string().len()..].to_owned();
            let real = format!("{}{rest}", link_target(link, target));
            let title = format!("{} {}", self.distro.title, self.distro.release);
            self.problems.push(
                problem_of(entry, format!("`{}` would replace the link `{link}` of the base image", entry.path))
                    .rule(format!(
                        "in {title} `{link}` is a link to `{target}`; a directory in its place breaks the image"
                    ))
                    .help(format!("write `{real}` instead")),
            );
            return;
        }
    }
}

/// Returns the entries that have to do with another one, by layer: of one path, or one below the other, which is no
/// directory. Most paths are described once.
fn meeting(layers: &[Layer]) -> Vec<Meeting<'_>> {
    let all = layers.iter().enumerate();
    let mut all: Vec<_> =
        all.flat_map(|(index, layer)| layer.entries.iter().map(move |entry| (entry, index))).collect();
    // The layers are sorted: this merges them.
    all.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    let mut meets = vec![false; all.len()];
    // The entries that the present path begins with, by bytes, and that are no directories.
    let mut leaves: Vec<usize> = Vec::new();
    for (index, (entry, _)) in all.iter().enumerate() {
        if index > 0 && all[index - 1].0.path == entry.path {
            (meets[index - 1], meets[index]) = (true, true);
        }
        while leaves.pop_if(|leaf| !entry.path.as_bytes().starts_with(all[*leaf].0.path.as_bytes())).is_some() {}
        for leaf in leaves.iter().filter(|leaf| entry.path.is_below(&all[**leaf].0.path)) {
            (meets[*leaf], meets[index]) = (true, true);
        }
        if !matches!(entry.action, Action::Directory) {
            leaves.push(index);
        }
    }
    let mut meeting: Vec<Meeting<'_>> = layers.iter().map(|layer| (layer, Vec::new())).collect();
    for ((entry, layer), _) in all.into_iter().zip(meets).filter(|(_, meets)| *meets) {
        meeting[layer].1.push(entry);
    }
    meeting
}

/// Reports paths below a file or link of the same layer or a lower one: nothing can be put there.
fn below_leaves(layers: &[Meeting<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut leaves = Seen::default();
    for (layer, entries) in layers {
        for entry in entries {
            let path = entry.path.as_bytes();
            if !matches!(entry.action, Action::Directory) {
                for (_, below) in leaves.below(path) {
                    leaves.entries.remove(below.path.as_bytes());
                }
            }
            match entry.action {
                Action::File(_) | Action::Link(_) => leaves.insert(layer, entry),
                Action::Directory | Action::Remove => drop(leaves.entries.remove(path)),
            }
        }
        // Entries come sorted: most have the directory of the one before.
        let mut clear = None;
        for entry in entries.iter().filter(|entry| !matches!(entry.action, Action::Remove)) {
            let directory = entry.path.above().next();
            if directory == clear {
                continue;
            }
            let Some((other_layer, other)) = entry.path.above().find_map(|path| leaves.entries.get(path)) else {
                clear = directory;
                continue;
            };
            let (kind, help) = match other.action {
                Action::Link(_) => ("link", "write the path that the link leads to"),
                _ => ("file", "let one of them go, or make the upper one a `[directory]`"),
            };
            problems.push(
                problem_of(entry, format!("`{}` lies below the {kind} `{}`", entry.path, other.path))
                    .related(&other.origin.place.place(), format!("the {kind}, in {}", home(other_layer)))
                    .rule("only a directory has something below it")
                    .help(help),
            );
        }
    }
    problems
}

/// Reports what layers of one tier say about paths of each other.
fn conflicts(layers: &[Meeting<'_>], tier: Tier) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = Seen::default();
    for (layer, entries) in layers.iter().filter(|(layer, _)| layer.tier == tier && !layer.is_profile()) {
        for entry in entries.iter().filter(|entry| !matches!(entry.action, Action::Remove)) {
            match hidden_by(entry, &seen) {
                Some((other_layer, other)) => problems.push(conflict(other_layer, other, layer, entry)),
                None => seen.insert(layer, entry),
            }
        }
    }
    problems
}

/// Returns the absolute path that a link leads to.
fn link_target(link: &TreePath, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let parent = link.parent().map(|parent| parent.to_string()).unwrap_or_default();
    let from = if target.starts_with('/') { "" } else { parent.as_str() };
    for part in from.split('/').chain(target.split('/')).filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    format!("/{}", parts.join("/"))
}

fn without_whiteout(path: &TreePath) -> String {
    path.to_string().replacen("/.wh.", "/", 1)
}

/// Says where the entries of a layer are written.
fn home(layer: &Layer) -> String {
    if layer.is_profile() { "the profile".into() } else { format!("the layer `{}`", layer.name) }
}

/// Returns the entry of another layer of the same tier that `entry` would hide: one of the same path that says something
/// else, or one below it when it is no directory.
fn hidden_by<'layers>(entry: &Entry, seen: &Seen<'layers>) -> Option<Found<'layers>> {
    let path = entry.path.as_bytes();
    let same_path = seen.entries.get(path).copied().filter(|(_, other)| !agree(other, entry));
    let leaf = !matches!(entry.action, Action::Directory);
    same_path.or_else(|| seen.below(path).first().copied().filter(|_| leaf))
}

/// Tells whether two entries of one path, which remove nothing, may stand in layers of one tier: order decides about
/// directories only, everything else must come out the same.
fn agree(one: &Entry, other: &Entry) -> bool {
    match (&one.action, &other.action) {
        (Action::Directory, Action::Directory) => true,
        (Action::Link(one), Action::Link(other)) => one == other,
        (Action::File(first), Action::File(second)) => {
            (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid) && first == second
        }
        _ => false,
    }
}

fn conflict(first_layer: &Layer, first: &Entry, second_layer: &Layer, second: &Entry) -> Problem {
    let (one, other, path) = (&first_layer.name, &second_layer.name, &second.path);
    let problem = if first.path == second.path {
        let (what, below, above) = difference(first, second);
        problem_of(second, format!("the layers `{one}` and `{other}` disagree about {what}`{path}`"))
            .label(format!("{above}in the layer `{other}`"))
            .related(&first.origin.place.place(), format!("{below}in the layer `{one}`"))
    } else {
        problem_of(second, format!("`{path}` of the layer `{other}` would hide `{}` of the layer `{one}`", first.path))
            .label("no directory")
            .related(&first.origin.place.place(), "below it")
    };
    problem
        .rule(format!("both are of the {} tier, where no layer may replace a path of another", first_layer.tier.word()))
        .help("remove one, or describe the path in a layer of a higher tier or in the profile, which replace it")
}

/// Says in what two entries of one path differ, and what each says about it.
fn difference(first: &Entry, second: &Entry) -> (&'static str, String, String) {
    let both = |what, word: fn(&Entry) -> String| (what, word(first), word(second));
    match (&first.action, &second.action) {
        (Action::File(one), Action::File(other)) if one != other => both("the content of ", |_| String::new()),
        (Action::File(_), Action::File(_)) if first.mode != second.mode => {
            both("the mode of ", |entry| format!("{:04o} ", entry.mode))
        }
        (Action::File(_), Action::File(_)) => both("the owner of ", |entry| format!("{}:{} ", entry.uid, entry.gid)),
        _ => both("", |entry| match &entry.action {
            Action::Link(target) => format!("a link to `{}` ", String::from_utf8_lossy(target)),
            Action::Directory => "a directory ".into(),
            Action::File(_) => "a file ".into(),
            Action::Remove => "a removal ".into(),
        }),
    }
}

/// Returns a problem at the place of an entry.
fn problem_of(entry: &Entry, message: String) -> Problem {
    Problem::at(&entry.origin.place.place(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_absolute_paths() {
        for (link, target, real) in [
            ("/bin", "usr/bin", "/usr/bin"),
            ("/usr/sbin", "bin", "/usr/bin"),
            ("/var/run", "../run", "/run"),
            ("/var/lock", "/run/lock", "/run/lock"),
        ] {
            assert_eq!(link_target(&link.parse().unwrap(), target), real);
        }
    }
}
