//! What may not stand together: checks over all layers of a recipe.

use std::collections::HashMap;

use super::recipe::{Action, Entry, Layer};
use super::resolver::Resolver;
use crate::spec::{Problem, Tier};
use crate::tree::TreePath;

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
        self.check_parents(layers);
        for tier in [Tier::Base, Tier::Distro, Tier::Application, Tier::Overlay] {
            let mut seen: HashMap<&TreePath, (&Layer, &Entry)> = HashMap::new();
            for layer in layers.iter().filter(|layer| layer.tier == tier && !is_profile(layer)) {
                for entry in &layer.entries {
                    match seen.get(&entry.path) {
                        Some((other_layer, other)) if !agree(other, entry) => {
                            self.problems.push(conflict(other_layer, other, layer, entry));
                        }
                        _ => drop(seen.insert(&entry.path, (layer, entry))),
                    }
                }
            }
        }
    }

    /// Refuses paths below a file or link of the same layer or a lower one: nothing can be put there.
    fn check_parents(&mut self, layers: &[Layer]) {
        let mut leaves: HashMap<&[u8], (&Layer, &Entry)> = HashMap::new();
        for layer in layers {
            for entry in &layer.entries {
                match entry.action {
                    Action::File(_) | Action::Link(_) => drop(leaves.insert(entry.path.as_bytes(), (layer, entry))),
                    Action::Directory | Action::Remove => drop(leaves.remove(entry.path.as_bytes())),
                }
            }
            // Entries come sorted: most have the directory of the one before.
            let mut clear: Option<&[u8]> = None;
            for entry in layer.entries.iter().filter(|entry| !matches!(entry.action, Action::Remove)) {
                let directory = entry.path.above().next();
                if directory == clear {
                    continue;
                }
                let Some((other_layer, other)) = entry.path.above().find_map(|path| leaves.get(path)) else {
                    clear = directory;
                    continue;
                };
                let (kind, help) = match other.action {
                    Action::Link(_) => ("link", "write the path that the link leads to"),
                    _ => ("file", "let one of them go, or make the upper one a `[directory]`"),
                };
                self.problems.push(
                    problem_of(entry, format!("`{}` lies below the {kind} `{}`", entry.path, other.path))
                        .related(&other.origin.place.place(), format!("the {kind}, in {}", home(other_layer)))
                        .rule("only a directory has something below it")
                        .help(help),
                );
            }
        }
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

/// The tables of a profile form the top of the overlay tier: they may replace anything.
fn is_profile(layer: &Layer) -> bool {
    layer.name.starts_with("profile:")
}

/// Says where the entries of a layer are written.
fn home(layer: &Layer) -> String {
    if is_profile(layer) { "the profile".into() } else { format!("the layer `{}`", layer.name) }
}

/// Tells whether two entries of one path may stand in layers of one tier: order decides about directories and removals
/// only, everything else must come out the same.
fn agree(one: &Entry, other: &Entry) -> bool {
    match (&one.action, &other.action) {
        (Action::Directory, Action::Directory) | (Action::Remove, _) | (_, Action::Remove) => true,
        (Action::Link(one), Action::Link(other)) => one == other,
        (Action::File(first), Action::File(second)) => {
            (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid) && first == second
        }
        _ => false,
    }
}

fn conflict(first_layer: &Layer, first: &Entry, second_layer: &Layer, second: &Entry) -> Problem {
    let (one, other, path) = (&first_layer.name, &second_layer.name, &second.path);
    let (what, below, above) = difference(first, second);
    problem_of(second, format!("the layers `{one}` and `{other}` disagree about {what}`{path}`"))
        .label(format!("{above}in the layer `{other}`"))
        .related(&first.origin.place.place(), format!("{below}in the layer `{one}`"))
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
