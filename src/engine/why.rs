//! Why a path of the tree is as it is.

use std::sync::Arc;

use serde::Serialize;

use super::below::{Below, OfPackages, result};
use super::select::Selection;
use crate::build::{self, Stacked};
use crate::error::Error;
use crate::resolve::{Action, Entry, OriginPlace, Recipe, target_name};
use crate::spec::{Problem, Project, SpecError, nearest};
use crate::store::Store;
use crate::tree::TreePath;

/// What decided about a path for one target.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The target: `debian`, `debian-bookworm`.
    pub target: String,
    /// The path.
    pub path: TreePath,
    /// What stands there in the end: `file 0644 0:0 1234 bytes`; nothing when it is not there.
    pub result: Option<String>,
    /// Every layer that had a word on it, the lowest first.
    pub words: Vec<Word>,
    /// What the packages below the layers have there, in outputs that carry them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<OfPackages>,
    /// For a directory that no layer describes: how many paths it is there for.
    pub holds: Option<usize>,
}

/// What one layer said about a path.
#[derive(Debug, Clone, Serialize)]
pub struct Word {
    /// The layer.
    pub layer: String,
    /// Its tier.
    pub tier: &'static str,
    /// What it does: `file`, `directory`, `symlink`, `remove`.
    pub action: &'static str,
    /// Whether its word is the one that counts.
    pub wins: bool,
    /// Where it was written.
    pub origin: String,
    /// The distro section it stands in: `files.debian/`.
    pub section: Option<String>,
    /// The variables and facts that decided, each with the template lines that use it.
    pub decided_by: Vec<Reason>,
}

/// A name that decided about a path.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// The name: `http_port`, `distro.paths.nologin`.
    pub name: String,
    /// Its value here, when it is one.
    pub value: Option<String>,
    /// The lines that use it: `layers/nginx/files/etc/nginx/nginx.conf.j2:12`.
    pub lines: Vec<String>,
}

/// Explains `path` for every target of `selection`.
///
/// # Errors
/// When the profile is invalid, or no target knows the path.
pub fn why(project: &Arc<Project>, store: &Store, selection: &Selection, path: &TreePath) -> Result<Vec<Why>, Error> {
    let library = selection.library(project)?;
    let mut answers = Vec::new();
    let (mut known, mut unknown_packages): (Vec<String>, bool) = (Vec::new(), false);
    let below = Below::of(&library, store)?;
    for recipe in selection.recipes(&library)? {
        let stacked = build::stack(&recipe, &store.archives())?;
        let packages = below.tree(&recipe)?;
        unknown_packages |= packages.is_none() && recipe.outputs.bundled.any();
        let answer =
            Why { packages: packages.and_then(|known| known.at(&recipe, path)), ..explain(&recipe, &stacked, path) };
        if answer.is_empty() {
            known.extend(stacked.tree.iter().map(|(path, _)| path.to_string()));
        }
        answers.push(answer);
    }
    if answers.iter().all(Why::is_empty) {
        let candidates: Vec<&str> = known.iter().map(String::as_str).collect();
        let problem =
            Problem::anywhere(format!("no layer of the profile `{}` says anything about `{path}`", library.name));
        let near = nearest(&path.to_string(), &candidates).map(str::to_owned);
        return Err(SpecError::from(match near {
            _ if unknown_packages => problem.help(
                "its packages are not put together yet: `layerforge render` does that, and then they are looked at",
            ),
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("`layerforge plan` lists every path"),
        })
        .into());
    }
    Ok(answers)
}

impl Why {
    /// Tells whether nobody knows the path.
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.result.is_none() && self.packages.is_none()
    }
}

fn explain(recipe: &Recipe, stacked: &Stacked, path: &TreePath) -> Why {
    let winner = stacked.origins.get(path).copied();
    let mut words = Vec::new();
    for (index, layer) in recipe.layers.iter().enumerate() {
        let entry = layer.entries.iter().find(|entry| entry.path == *path);
        let imported = stacked.stack.layers[index].tree.get(path);
        let base = |action, origin| Word {
            layer: layer.name.clone(),
            tier: layer.tier.word(),
            action,
            wins: winner == Some(index),
            origin,
            section: None,
            decided_by: Vec::new(),
        };
        match (entry, imported, &layer.tree) {
            (Some(entry), _, _) => words.push(Word {
                section: entry.origin.section.clone(),
                decided_by: reasons(recipe, entry),
                ..base(action_word(&entry.action), entry.origin.place.to_string())
            }),
            (None, Some(node), Some(tree)) => words.push(base(node.kind.word(), tree.path.display().to_string())),
            (None, _, _) => {}
        }
    }
    if winner.is_none() && stacked.tree.get(path).is_none() {
        // The last removal is what counts when nothing is there in the end.
        if let Some(last) = words.last_mut() {
            last.wins = true;
        }
    }
    let node = stacked.tree.get(path);
    let holds = (words.is_empty() && node.is_some()).then(|| stacked.tree.below(path).count());
    Why {
        target: target_name(&recipe.distro),
        path: path.clone(),
        result: node.map(result),
        words,
        packages: None,
        holds,
    }
}

fn action_word(action: &Action) -> &'static str {
    match action {
        Action::File(_) => "file",
        Action::Directory => "directory",
        Action::Link(_) => "symlink",
        Action::Remove => "remove",
    }
}

fn reasons(recipe: &Recipe, entry: &Entry) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for name in &entry.used {
        let value =
            recipe.variables.get(name).map(|variable| variable.value.to_string()).or_else(|| fact(recipe, name));
        reasons.push(Reason { name: name.clone(), value, lines: lines(entry, name) });
    }
    reasons
}

/// Returns the value of what templates know besides variables, such as `distro.paths.nologin`.
fn fact(recipe: &Recipe, name: &str) -> Option<String> {
    let (top, rest) = name.split_once('.')?;
    let whole = match top {
        "distro" => serde_json::to_value(&recipe.distro),
        "profile" => serde_json::to_value(&recipe.profile),
        "user" => serde_json::to_value(&recipe.users),
        "group" => serde_json::to_value(&recipe.groups),
        "writable" => serde_json::to_value(&recipe.contract.writables),
        _ => return None,
    };
    let mut value = &whole.ok()?;
    for part in rest.split('.') {
        value = value.get(part)?;
    }
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Returns the lines of an entry's template and of its table that use `name`.
fn lines(entry: &Entry, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut search = |source: &crate::spec::Source, from: usize, to: usize| {
        let part = |character: char| character.is_alphanumeric() || character == '_' || character == '.';
        for (index, line) in source.text.lines().enumerate().take(to).skip(from) {
            if line
                .split(|character| !part(character))
                .any(|word| word == name || word.starts_with(&format!("{name}.")))
            {
                lines.push(format!("{}:{}", source.name, index + 1));
            }
        }
    };
    if let Some(place) = &entry.origin.template {
        let (first, last) = if place.span.is_empty() {
            (0, usize::MAX)
        } else {
            let first = place.line_column().0 - 1;
            (first, first + place.text().lines().count())
        };
        search(&place.source, first, last);
    }
    if let OriginPlace::Text(place) = &entry.origin.place {
        let line = place.line_column().0;
        search(&place.source, line - 1, line);
    }
    lines
}
