//! A profile as a graph: what it extends, the layers it stacks, the paths they put into the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::select::Selection;
use crate::build::{self, Stacked};
use crate::error::Error;
use crate::resolve::{Library, Recipe, target_name};
use crate::spec::{Folder, Origin, ProfileDocument, Project, SpecError, Tier, parse};
use crate::tree::{Kind, TreePath};

/// A profile, its layers and their paths. Others are named by their index in the list they are in.
#[derive(Debug, Clone, Serialize)]
pub struct Graph {
    /// The targets whose paths are shown.
    pub targets: Vec<String>,
    /// The profile itself, and after it all that it extends.
    pub profiles: Vec<GraphProfile>,
    /// Layers from the lowest to the highest; the profile's own tables are the last when they say anything.
    pub layers: Vec<GraphLayer>,
}

/// A profile in a graph.
#[derive(Debug, Clone, Serialize)]
pub struct GraphProfile {
    /// Its name.
    pub name: String,
    /// Where it was found.
    pub origin: Origin,
    /// What is shipped, in one sentence.
    pub summary: String,
    /// The profiles it extends.
    pub extends: Vec<usize>,
    /// The layers it names.
    pub layers: Vec<usize>,
}

/// A layer in a graph.
#[derive(Debug, Clone, Serialize)]
pub struct GraphLayer {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub tier: Tier,
    /// Where it was found.
    pub origin: Origin,
    /// What it is for, in one sentence.
    pub summary: String,
    /// The layers it requires.
    pub requires: Vec<usize>,
    /// Its paths, by directory.
    pub groups: Vec<Group>,
}

/// Paths of a layer below one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The directory that all of them are below.
    pub directory: TreePath,
    /// The paths, sorted.
    pub entries: Vec<GraphEntry>,
}

/// A path of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphEntry {
    /// The path.
    pub path: TreePath,
    /// What is there: `file`, `directory`, `symlink`, `whiteout` for a removal, …
    pub kind: &'static str,
    /// What a symbolic link holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The targets that have it, when not all do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// The layer that replaces it wherever it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<usize>,
}

impl Group {
    /// Returns the name in the group's directory that `path`, one of its own, has or is below.
    pub fn name_in<'path>(&self, path: &'path TreePath) -> &'path [u8] {
        let depth = if self.directory.is_root() { 0 } else { self.directory.as_bytes().len() + 1 };
        let below = &path.as_bytes()[depth..];
        below.iter().position(|byte| *byte == b'/').map_or(below, |slash| &below[..slash])
    }
}

/// The groups of all layers together, about; a picture with more is not looked at.
const GROUPS: usize = 48;
/// The most groups of one layer.
const GROUPS_OF_LAYER: usize = 6;
/// A group with at most so many paths stays together, unless its directory is as high as `/usr`.
const SMALL_GROUP: usize = 5;

/// Describes the profile of `selection` for all its targets. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When the profile is invalid or a tree of a layer cannot be read.
pub fn graph(project: &Arc<Project>, selection: &Selection, archives: &Path) -> Result<Graph, Error> {
    let library = selection.library(project)?;
    let recipes = selection.recipes(&library)?;
    let stacked: Vec<_> = recipes.par_iter().map(|recipe| build::stack(recipe, archives)).collect();
    let stacked = stacked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let targets: Vec<String> = recipes.iter().map(|recipe| target_name(&recipe.distro)).collect();
    let mut entries = entries(&targets, &stacked);
    let mut layers = layers(&library, &recipes);
    // Tables that put nothing into the tree are no layer to look at.
    if entries.last().is_some_and(Vec::is_empty) {
        entries.pop();
        layers.pop();
    }
    let limit = (GROUPS / layers.len().max(1)).clamp(1, GROUPS_OF_LAYER);
    for (layer, entries) in layers.iter_mut().zip(entries) {
        layer.groups = groups(entries, limit);
    }
    let mut profiles = Vec::new();
    add_profile(project, selection.profile(), &layers, &mut profiles)?;
    if let Some(head) = profiles.first_mut() {
        head.name.clone_from(&library.name);
        head.layers.extend((library.layers.len()..layers.len()).take(1));
    }
    Ok(Graph { targets, profiles, layers })
}

fn layers(library: &Library, recipes: &[Recipe]) -> Vec<GraphLayer> {
    let index = |name: &str| library.layers.iter().position(|layer| layer.name == name);
    let layer = |source: &crate::resolve::LayerSource| GraphLayer {
        name: source.name.clone(),
        tier: source.tier,
        origin: if matches!(source.folder, Folder::Local(_)) { Origin::Project } else { Origin::Builtin },
        summary: source.summary.as_ref().map(|summary| summary.value.clone()).unwrap_or_default(),
        requires: source.requires.iter().filter_map(|name| index(name)).collect(),
        groups: Vec::new(),
    };
    let own = recipes.first().and_then(|recipe| recipe.layers.last()).map(|layer| GraphLayer {
        name: layer.name.clone(),
        tier: layer.tier,
        origin: library.origin,
        summary: "The tables of the profile itself".into(),
        requires: Vec::new(),
        groups: Vec::new(),
    });
    library.layers.iter().map(layer).chain(own).collect()
}

/// Adds the profile `name` and those it extends; returns its index.
fn add_profile(
    project: &Project,
    name: &str,
    layers: &[GraphLayer],
    profiles: &mut Vec<GraphProfile>,
) -> Result<usize, Error> {
    if let Some(known) = profiles.iter().position(|profile| profile.name == name) {
        return Ok(known);
    }
    let path = if name.ends_with(".toml") { name.to_owned() } else { format!("profiles/{name}.toml") };
    let Some((source, origin)) = project.source(&path)? else {
        return Err(Error::usage(format!("`{path}` went away while it was read")));
    };
    let document: ProfileDocument = parse(&source).map_err(SpecError::from)?;
    let index = profiles.len();
    let named = document.layers.iter().flatten();
    profiles.push(GraphProfile {
        name: name.to_owned(),
        origin,
        summary: document.summary.map(|summary| summary.value).unwrap_or_default(),
        extends: Vec::new(),
        layers: named.filter_map(|name| layers.iter().position(|layer| layer.name == ***name)).collect(),
    });
    for parent in document.extends.iter().flatten() {
        let parent = add_profile(project, parent, layers, profiles)?;
        profiles[index].extends.push(parent);
    }
    Ok(index)
}

/// What is known of one path of a layer in several targets.
struct Seen {
    link: Option<String>,
    targets: Vec<String>,
    replaced_by: BTreeSet<Option<usize>>,
}

/// Returns the paths of each layer, those of all targets together.
fn entries(targets: &[String], stacked: &[Stacked]) -> Vec<Vec<GraphEntry>> {
    let count = stacked.first().map_or(0, |stacked| stacked.stack.layers.len());
    let mut seen: Vec<BTreeMap<(TreePath, &'static str), Seen>> = Vec::new();
    seen.resize_with(count, BTreeMap::new);
    for (target, stacked) in targets.iter().zip(stacked) {
        for (index, layer) in stacked.stack.layers.iter().enumerate() {
            let parents: BTreeSet<TreePath> = layer.tree.iter().filter_map(|(path, _)| path.parent()).collect();
            for (path, node) in layer.tree.iter() {
                // A directory that holds others of the layer is seen through them.
                if path.is_root() || node.kind.is_directory() && parents.contains(path) {
                    continue;
                }
                let link = match &node.kind {
                    Kind::Symlink(target) => Some(String::from_utf8_lossy(target).into_owned()),
                    _ => None,
                };
                let key = (path.clone(), node.kind.word());
                let new = || Seen { link, targets: Vec::new(), replaced_by: BTreeSet::new() };
                let seen = seen[index].entry(key).or_insert_with(new);
                seen.targets.push(target.clone());
                let winner = stacked.origins.get(path).copied();
                seen.replaced_by.insert(winner.filter(|winner| *winner > index));
            }
        }
    }
    let entry = |((path, kind), seen): ((TreePath, &'static str), Seen)| GraphEntry {
        path,
        kind,
        link: seen.link,
        targets: if seen.targets.len() == targets.len() { Vec::new() } else { seen.targets },
        replaced_by: if seen.replaced_by.len() == 1 { seen.replaced_by.into_iter().next().flatten() } else { None },
    };
    seen.into_iter().map(|layer| layer.into_iter().map(entry).collect()).collect()
}

/// Groups paths by directory, as finely as `limit` groups allow: the largest group is taken apart first.
fn groups(entries: Vec<GraphEntry>, limit: usize) -> Vec<Group> {
    let mut open: Vec<Group> = Vec::new();
    let mut done: Vec<Group> = Vec::new();
    open.extend(common_group(entries));
    while let Some(largest) = (0..open.len()).max_by_key(|index| (open[*index].entries.len(), usize::MAX - index)) {
        let group = open.swap_remove(largest);
        let parts = if is_small(&group) { Vec::new() } else { parts(&group) };
        if parts.len() <= 1 || open.len() + done.len() + parts.len() > limit {
            done.push(group);
        } else {
            open.extend(parts);
        }
    }
    done.sort_by(|one, other| one.directory.cmp(&other.directory));
    done
}

/// Tells whether a group is easily read as a whole.
fn is_small(group: &Group) -> bool {
    group.entries.len() <= SMALL_GROUP && group.directory.parent().is_some_and(|above| !above.is_root())
}

/// Takes a group apart: what stands in its directory itself, and one group for each directory below.
fn parts(group: &Group) -> Vec<Group> {
    let mut by_child: BTreeMap<&[u8], Vec<GraphEntry>> = BTreeMap::new();
    for entry in &group.entries {
        let child = group.name_in(&entry.path);
        // What stands in the directory itself stays together.
        let direct = entry.path.name() == Some(child) && entry.path.parent().as_ref() == Some(&group.directory);
        by_child.entry(if direct { b"" } else { child }).or_default().push(entry.clone());
    }
    by_child.into_values().filter_map(common_group).collect()
}

/// Returns the group of `entries` with the deepest directory that holds them all; nothing when there are none.
fn common_group(entries: Vec<GraphEntry>) -> Option<Group> {
    let mut directory = entries.first()?.path.parent()?;
    while let Some(parent) = directory.parent() {
        if entries.iter().all(|entry| entry.path.is_below(&directory)) {
            break;
        }
        directory = parent;
    }
    Some(Group { directory, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(paths: &[&str]) -> Vec<GraphEntry> {
        let entry = |path: &&str| GraphEntry {
            path: path.parse().unwrap(),
            kind: "file",
            link: None,
            targets: Vec::new(),
            replaced_by: None,
        };
        paths.iter().map(entry).collect()
    }

    fn shape(groups: &[Group]) -> Vec<(String, usize)> {
        groups.iter().map(|group| (group.directory.to_string(), group.entries.len())).collect()
    }

    #[test]
    fn paths_are_grouped_by_the_directory_they_share() {
        let paths = ["/etc/nginx/a", "/etc/nginx/b", "/srv/www/c", "/srv/www/d/e"];
        let fine = groups(entries(&paths), 6);
        assert_eq!(shape(&fine), [("/etc/nginx".into(), 2), ("/srv/www".into(), 2)]);
        let more = ["/srv/www/a", "/srv/www/b", "/srv/www/c", "/srv/www/d", "/srv/www/e/f", "/srv/www/e/g"];
        assert_eq!(shape(&groups(entries(&more), 6)), [("/srv/www".into(), 4), ("/srv/www/e".into(), 2)]);
        assert_eq!(shape(&groups(entries(&paths), 1)), [("/".into(), 4)]);
        assert!(groups(Vec::new(), 3).is_empty());
    }

    #[test]
    fn no_path_is_lost_and_the_limit_holds() {
        let paths: Vec<String> = (0..10_000).map(|n| format!("/d{}/e{}/f{}/g{n}", n % 3, n % 7, n % 50)).collect();
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        paths.sort_unstable();
        for limit in 1..=6 {
            let groups = groups(entries(&paths), limit);
            assert!(groups.len() <= limit, "{limit}");
            assert_eq!(groups.iter().map(|group| group.entries.len()).sum::<usize>(), 10_000);
            assert!(groups.iter().all(|group| group.entries.iter().all(|entry| entry.path.is_below(&group.directory))));
        }
    }
}
