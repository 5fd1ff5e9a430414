//! Looks for mistakes and waste in all profiles of a project, for every distro.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::memory::Memory;
use super::select::Selection;
use crate::digest::Digest;
use crate::error::Error;
use crate::event::{Event, Reporter};
use crate::fs;
use crate::resolve::{Action, Entry, LayerSource, Library, Recipe, Used, target_name};
use crate::spec::{FolderEntry, FolderEntryKind, Origin, Place, Problem, Project, Severity, SpecError};
use crate::store::{Earlier, Listing, Store};
use crate::tree::TreePath;

/// What was found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// The profiles that were checked, with their targets.
    pub profiles: BTreeMap<String, Vec<String>>,
    /// Everything that is wrong, worst first.
    pub problems: Vec<Problem>,
    /// Files whose content stands in several places.
    pub duplicates: Vec<Duplicate>,
    /// Paths of a layer that a higher one replaces.
    pub shadowed: Vec<Shadowed>,
}

/// One content that stands in several files of layers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Duplicate {
    /// The files, sorted.
    pub files: Vec<String>,
    /// Bytes that one copy would save.
    pub bytes: u64,
    /// Where the one copy should stand.
    pub hoist: String,
}

/// A path of a layer that no target of a profile shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Shadowed {
    /// The profile.
    pub profile: String,
    /// The path.
    pub path: TreePath,
    /// The layer whose word does not count.
    pub layer: String,
    /// The layer that replaces it.
    pub by: String,
    /// In which targets.
    pub targets: Vec<String>,
}

/// What the profiles of a project use of it.
#[derive(Default)]
struct Usage {
    layers: BTreeSet<String>,
    /// Everything that was read or looked for; what was read has a digest.
    inputs: Listing,
    /// Directories and archives that layers take as they are, by real path.
    trees: BTreeSet<PathBuf>,
}

impl Usage {
    fn take(&mut self, library: &Library, recipes: &[Recipe]) {
        self.layers.extend(library.layers.iter().map(|layer| layer.name.clone()));
        let trees = recipes.iter().flat_map(|recipe| &recipe.layers).filter_map(|layer| layer.tree.as_ref());
        self.trees.extend(trees.map(|tree| real(&tree.path)));
    }

    /// Tells whether the file at the absolute `path` was read, by this name or as what a symbolic link leads to.
    fn has(&self, path: &Path) -> bool {
        let is_read =
            |path: &Path| self.inputs.get(path.as_os_str().as_bytes()).is_some_and(|entry| entry.digest.is_some());
        is_read(path) || {
            let real = real(path);
            is_read(&real) || real.ancestors().any(|above| self.trees.contains(above))
        }
    }
}

/// Returns a path without symbolic links; as it is when that cannot be found out.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Checks one profile, or every profile of the project when `selection` names none. What the last check read and is
/// still the same, as the `store` knows, is not hashed again.
///
/// # Errors
/// When a file cannot be read. What users wrote wrong is in the report.
pub fn check(
    project: &Arc<Project>,
    store: &Store,
    selection: &Selection,
    reporter: &dyn Reporter,
) -> Result<CheckReport, Error> {
    let root = real(&project.absolute(project.root()));
    let known = store.sources(&root);
    let unchanged = match known {
        Some(known) => {
            let differing = known.differences(&fs::Folder::open(&root)?)?;
            let unchanged = differing.is_empty().then_some(known.len());
            project.remember(Earlier::new(known, differing));
            unchanged
        }
        None => None,
    };
    let report = report(project, store, selection, reporter)?;
    let mut inputs = project.inputs();
    if unchanged != Some(inputs.len()) {
        inputs.distrust_since(store.opened());
        if let Err(error) = store.keep_sources(&root, inputs) {
            let message = format!("{error} ({}): the next check has to read everything again", error.source);
            reporter.report(Event::Warning { message, hint: None });
        }
    }
    Ok(report)
}

fn report(
    project: &Arc<Project>,
    store: &Store,
    selection: &Selection,
    reporter: &dyn Reporter,
) -> Result<CheckReport, Error> {
    let whole = selection.profile.is_none();
    let names = match &selection.profile {
        Some(profile) => vec![profile.clone()],
        None => project_profiles(project)?,
    };
    let mut report = CheckReport::default();
    let mut usage = Usage::default();
    let mut contents = Contents::default();
    for name in names {
        let one = Selection { profile: Some(name.clone()), ..selection.clone() };
        let resolved = one.library(project).and_then(|library| {
            let memory = Memory::of(&library, store, &["check"]);
            let recipes = one.recipes(&library)?;
            memory.keep(&library, reporter);
            Ok((recipes, library))
        });
        match resolved {
            Ok((recipes, library)) => {
                report.profiles.insert(name, recipes.iter().map(|recipe| target_name(&recipe.distro)).collect());
                usage.take(&library, &recipes);
                unused_variables(&library, &recipes, &mut report.problems);
                shadowed(&library, &recipes, &mut report.shadowed);
                contents.take(library);
            }
            Err(Error::Spec(SpecError::Problems(problems))) => {
                let new: Vec<_> = problems.into_iter().filter(|problem| !report.problems.contains(problem)).collect();
                report.problems.extend(new);
            }
            Err(error) => return Err(error),
        }
    }
    // A profile that is not understood uses what nobody knows.
    if whole && report.problems.iter().all(|problem| problem.severity != Severity::Error) {
        usage.inputs = project.inputs();
        unused_layers(project, &usage, &mut report.problems)?;
        unused_files(project, &usage, &contents, &mut report.problems)?;
    }
    report.duplicates = contents.duplicates(project)?;
    report.problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    Ok(report)
}

/// Returns the profiles of the project itself; the program's own when it has none.
fn project_profiles(project: &Project) -> Result<Vec<String>, Error> {
    let names = project.names("profiles", ".toml")?;
    let local = names.values().any(|origin| *origin == Origin::Project);
    Ok(names.into_iter().filter(|(_, origin)| !local || *origin == Origin::Project).map(|(name, _)| name).collect())
}

/// Reports variables that no target of the profile looks up.
fn unused_variables(library: &Library, recipes: &[Recipe], problems: &mut Vec<Problem>) {
    let mut used = Used::new();
    for recipe in recipes {
        used.extend(recipe.used.iter().cloned());
        for entry in recipe.layers.iter().flat_map(|layer| &layer.entries) {
            used.extend(entry.used.iter().cloned());
        }
    }
    let declared: BTreeMap<&String, &Place> =
        recipes.iter().flat_map(|recipe| &recipe.variables).map(|(name, variable)| (name, &variable.place)).collect();
    // A layer of the program may have more variables than a profile needs.
    let own = |place: &Place| place.source.path.is_some();
    for (name, place) in declared.into_iter().filter(|(name, place)| !used.contains(*name) && own(place)) {
        let problem =
            Problem::at(place, format!("the variable `{name}` is not used by the profile `{}`", library.name))
                .warning()
                .help("remove it, or use it in a template, a condition or a table");
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

/// Reports paths that are described but never seen.
fn shadowed(library: &Library, recipes: &[Recipe], found: &mut Vec<Shadowed>) {
    let mut by_words: BTreeMap<(TreePath, String, String), Vec<String>> = BTreeMap::new();
    for recipe in recipes {
        let mut seen: HashMap<&TreePath, (&str, &Entry)> = HashMap::new();
        for layer in &recipe.layers {
            for entry in &layer.entries {
                if let Some((lower, below)) = seen.insert(&entry.path, (&layer.name, entry))
                    && !matches!((&below.action, &entry.action), (Action::Directory, Action::Directory))
                {
                    let words = (entry.path.clone(), lower.to_owned(), layer.name.clone());
                    by_words.entry(words).or_default().push(target_name(&recipe.distro));
                }
            }
        }
    }
    for ((path, layer, by), targets) in by_words {
        found.push(Shadowed { profile: library.name.clone(), path, layer, by, targets });
    }
}

fn unused_layers(project: &Project, usage: &Usage, problems: &mut Vec<Problem>) -> Result<(), Error> {
    for (name, origin) in project.names("layers", "/layer.toml")? {
        if origin == Origin::Project && !usage.layers.contains(&name) {
            let path = project.root().join("layers").join(&name);
            problems.push(
                Problem::anywhere(format!("the layer `{}` is in no profile", path.display()))
                    .warning()
                    .help("remove it, or name it in the `layers` of a profile"),
            );
        }
    }
    Ok(())
}

/// Reports files of layers and templates that nothing reads.
fn unused_files(
    project: &Project,
    usage: &Usage,
    contents: &Contents,
    problems: &mut Vec<Problem>,
) -> Result<(), Error> {
    let mut others = Vec::new();
    for (name, origin) in project.names("layers", "/layer.toml")? {
        if origin == Origin::Project && usage.layers.contains(&name) {
            // The file trees were walked when the layer was read.
            let is_tree = |name: &[u8]| name == b"files" || name.starts_with(b"files.");
            others.extend(project.walk_except(&project.folder(), &format!("layers/{name}"), &is_tree)?);
        }
    }
    others.extend(project.walk(&project.folder(), "templates")?);
    let trees = contents.layers.values().flat_map(|layer| layer.trees.values().flatten());
    let mut files: Vec<&FolderEntry> = trees.chain(&others).collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    for file in files {
        if let FolderEntryKind::File(found) = &file.kind
            && !usage.has(found.path())
            && !is_for_people(found.path())
        {
            problems.push(
                Problem::anywhere(format!("the file `{}` is used by no profile", file.name))
                    .warning()
                    .help("remove it, or name it as `template`, `source` or `tree`"),
            );
        }
    }
    Ok(())
}

/// Tells whether a file is one that nothing has to read: documentation, or hidden, as those of editors and git are.
fn is_for_people(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
        || path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))
}

/// Digest and length of a file, its layer, and the file.
type Found<'trees> = ((Digest, u64), &'trees str, &'trees FolderEntry);

/// The file trees of all layers, as they stand on disk or in the program.
#[derive(Default)]
struct Contents {
    layers: BTreeMap<String, LayerSource>,
}

/// A file of a layer's tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct LayerFile {
    name: Arc<str>,
    origin: Origin,
    layer: String,
    path: Vec<u8>,
}

impl LayerFile {
    fn of(layer: &str, file: &FolderEntry) -> Self {
        let origin = match file.kind {
            FolderEntryKind::Embedded(_) => Origin::Builtin,
            _ => Origin::Project,
        };
        Self { name: Arc::clone(&file.name), origin, layer: layer.to_owned(), path: file.path.clone() }
    }
}

impl Contents {
    fn take(&mut self, library: Library) {
        for layer in library.layers {
            self.layers.entry(layer.name.clone()).or_insert(layer);
        }
    }

    /// Returns contents that stand in several files, at least one of which is the project's own.
    fn duplicates(&self, project: &Project) -> Result<Vec<Duplicate>, Error> {
        let mut contents = self.read(project)?;
        contents.sort_by_key(|(content, ..)| content.0);
        let mut duplicates = Vec::new();
        for same in contents.chunk_by(|(one, ..), (other, ..)| one.0 == other.0) {
            let length = same[0].0.1;
            if length == 0 || same.len() == 1 {
                continue;
            }
            let files: BTreeSet<LayerFile> = same.iter().map(|(_, layer, file)| LayerFile::of(layer, file)).collect();
            if files.len() > 1 && files.iter().any(|file| file.origin == Origin::Project) {
                duplicates.push(Duplicate {
                    files: files.iter().map(|file| file.name.to_string()).collect(),
                    bytes: length * (files.len() as u64 - 1),
                    hoist: hoist(&files),
                });
            }
        }
        duplicates.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.files.cmp(&other.files)));
        Ok(duplicates)
    }

    /// Returns digest and length of every file of the trees, with its layer.
    fn read(&self, project: &Project) -> Result<Vec<Found<'_>>, Error> {
        let trees = self.layers.iter().flat_map(|(layer, source)| source.trees.iter().map(move |tree| (layer, tree)));
        let files: Vec<_> = trees.flat_map(|(layer, (_, tree))| tree.iter().map(move |file| (layer, file))).collect();
        let read = files.par_iter().filter_map(|(layer, file)| {
            let content = match &file.kind {
                FolderEntryKind::File(file) => match project.content(file) {
                    Ok(content) => (content.digest, content.length),
                    Err(error) => return Some(Err(error.into())),
                },
                FolderEntryKind::Embedded(file) => (Digest::of(file.bytes), file.bytes.len() as u64),
                FolderEntryKind::Symlink(_) | FolderEntryKind::EmptyDirectory => return None,
            };
            Some(Ok((content, layer.as_str(), *file)))
        });
        read.collect()
    }
}

/// Says where the one copy of files with equal content should stand.
fn hoist(files: &BTreeSet<LayerFile>) -> String {
    let layers: BTreeSet<&str> = files.iter().map(|file| file.layer.as_str()).collect();
    let paths: BTreeSet<&[u8]> = files.iter().map(|file| file.path.as_slice()).collect();
    match (layers.iter().next(), layers.len(), paths.iter().next(), paths.len()) {
        (Some(layer), 1, Some(path), 1) => {
            format!("`layers/{layer}/files/{}`, for all distros", String::from_utf8_lossy(path))
        }
        (Some(layer), 1, ..) => {
            format!("one template in `layers/{layer}/templates/`, named by a `[file]` table for each path")
        }
        (_, _, Some(path), 1) => {
            let names: Vec<_> = layers.iter().map(|layer| format!("`{layer}`")).collect();
            let path = String::from_utf8_lossy(path);
            format!("a layer that {} require, as `files/{path}`", names.join(" and "))
        }
        _ => "one template in `templates/`, named by a `[file]` table for each path".into(),
    }
}
