//! From tables and file trees to the entries of a layer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::attributes::{Attribute, Attributes, is_pattern};
use super::library::LayerSource;
use super::recipe::{Action, Entry, Origin, OriginPlace};
use super::resolver::Resolver;
use super::template::Used;
use crate::spec::{
    self, Conditional, FileTable, Folder, FolderEntry, FolderEntryKind, Located, Place, Problem, Tables, nearest,
};
use crate::tree::{Content, TreePath};

/// The entries of one layer, by path.
pub(super) type Entries = BTreeMap<TreePath, Entry>;

/// Where a layer's own files are, and how templates name them.
pub(super) struct Home<'layer> {
    /// The folder that `source` is relative to.
    pub(super) folder: &'layer Folder,
    /// The prefix of its templates' names, such as `layers/nginx/`; empty for a profile.
    pub(super) prefix: String,
}

impl Resolver<'_> {
    /// Returns the entries of a layer, its own tables of owners and modes applied.
    pub(super) fn layer_entries(&mut self, layer: &LayerSource) -> Vec<Entry> {
        let home = Home { folder: &layer.folder, prefix: format!("layers/{}/", layer.name) };
        let mut entries = Entries::new();
        let sections = std::iter::once(String::new()).chain(self.distro.lineage.clone().into_iter().rev());
        for section in sections {
            if let Some(tree) = layer.trees.get(&section) {
                self.tree_entries(&home, &section, tree, &mut entries);
            }
        }
        let attributes = self.table_entries(&home, &layer.tables, &mut entries);
        for attribute in attributes {
            if !self.apply(&attribute, &mut [&mut entries]) {
                self.unmatched(&attribute, &format!("the layer `{}`", layer.name), &[&entries]);
            }
        }
        entries.into_values().collect()
    }

    /// Returns the entries of the profile's own tables; its tables of owners and modes are applied to every layer.
    pub(super) fn profile_entries(&mut self, tables: &Tables, layers: &mut [super::recipe::Layer]) -> Vec<Entry> {
        let folder = self.project().folder();
        let home = Home { folder: &folder, prefix: String::new() };
        let mut own = Entries::new();
        let attributes = self.table_entries(&home, tables, &mut own);
        if attributes.is_empty() {
            return own.into_values().collect();
        }
        let by_path = |entries: Vec<Entry>| entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let mut all: Vec<Entries> =
            layers.iter_mut().map(|layer| by_path(std::mem::take(&mut layer.entries))).collect();
        all.push(own);
        for attribute in attributes {
            if !self.apply(&attribute, &mut all.iter_mut().collect::<Vec<_>>()) {
                self.unmatched(&attribute, "any layer of the profile", &all.iter().collect::<Vec<_>>());
            }
        }
        let own = all.pop().unwrap_or_default();
        for (layer, entries) in layers.iter_mut().zip(all) {
            layer.entries = entries.into_values().collect();
        }
        own.into_values().collect()
    }

    /// Adds what stands in a file tree. Rendering is spread over threads; the result does not depend on them.
    fn tree_entries(&mut self, home: &Home<'_>, section: &str, tree: &[FolderEntry], entries: &mut Entries) {
        let made: Vec<_> = tree.par_iter().map(|file| self.tree_entry(home, section, file)).collect();
        let mut own = Entries::new();
        for result in made {
            match result {
                Ok(entry) => self.add(entry, &mut own),
                Err(problem) => self.problems.push(*problem),
            }
        }
        // The tree of a distro replaces paths of the tree for all.
        entries.append(&mut own);
    }

    fn tree_entry(&self, home: &Home<'_>, section: &str, file: &FolderEntry) -> Result<Entry, Box<Problem>> {
        let whole = || Place::file(&*file.name);
        let fault = |message: String| Box::new(Problem::at(&whole(), message));
        let mut used = Used::new();
        let is_file = matches!(file.kind, FolderEntryKind::File(_) | FolderEntryKind::Embedded(_));
        let template = file.path.strip_suffix(b".j2").filter(|_| is_file);
        if template.is_some_and(|path| path.is_empty() || path.ends_with(b"/")) {
            return Err(fault("a template without a name".into()));
        }
        let mut path = Cow::Borrowed(template.unwrap_or(&file.path));
        if path.contains(&b'{') && path.windows(2).any(|pair| pair == b"{{") {
            let text =
                String::from_utf8(path.into_owned()).map_err(|_| fault("a name with `{{` must be UTF-8".into()))?;
            let rendered =
                self.library.templates.render_text(&text, &whole(), &self.scope).map_err(|mut problem| {
                    problem.message = format!("in the name of this file: {}", problem.message);
                    Box::new(Problem { place: Some(whole()), label: String::new(), ..*problem })
                })?;
            used.extend(rendered.used);
            path = rendered.text.into_bytes().into();
        }
        let path = TreePath::from_relative(&path).map_err(|error| fault(error.to_string()))?;
        let folder_name = || if section.is_empty() { "files".to_owned() } else { format!("files.{section}") };
        let mut rendered_from = None;
        let (action, executable) = match &file.kind {
            FolderEntryKind::EmptyDirectory => (Action::Directory, true),
            FolderEntryKind::Symlink(target) => (Action::Link(target.clone()), true),
            _ if template.is_some() => {
                let Ok(relative) = std::str::from_utf8(&file.path) else {
                    return Err(fault("the name of a template must be UTF-8".into()));
                };
                let relative = format!("{}/{relative}", folder_name());
                let source = self.library.project.source_in(home.folder, &relative).map_err(first_problem)?;
                let source = source.ok_or_else(|| fault("it went away while it was read".into()))?;
                let rendered =
                    self.library.templates.render(&format!("{}{relative}", home.prefix), &source, &self.scope)?;
                used.extend(rendered.used);
                rendered_from = Some(Place::whole(&source));
                (Action::File(Content::inline(rendered.text.into_bytes())), is_executable(&file.kind))
            }
            kind => (Action::File(self.content_of(kind)?), is_executable(kind)),
        };
        let mode = match action {
            Action::Link(_) => 0o777,
            _ if executable => 0o755,
            _ => 0o644,
        };
        let section = (!section.is_empty()).then(folder_name);
        let origin = Origin { place: OriginPlace::File(Arc::clone(&file.name)), section, template: rendered_from };
        Ok(Entry { path, action, mode, uid: 0, gid: 0, origin, used })
    }

    /// Adds what the tables say; returns the owners and modes they set, the most general first.
    fn table_entries(&mut self, home: &Home<'_>, tables: &Tables, entries: &mut Entries) -> Vec<Attributes> {
        let mut attributes = Vec::new();
        for (key, table) in &tables.file {
            if let Some((path, used)) = self.counted_path(key, table.condition()) {
                if table.template.is_none() && table.source.is_none() && table.content.is_none() {
                    attributes.extend(self.attributes(key, &path, Attribute::of_file(table)));
                } else if let Some(path) = self.literal_path(key, &path)
                    && let Some(entry) = self.file_entry(home, key, path, table, used)
                {
                    attributes.extend(Attributes::own(key, &entry.path, Attribute::of_file(table)));
                    self.add(entry, entries);
                }
            }
        }
        for (key, table) in &tables.directory {
            if let Some((path, used)) = self.counted_path(key, table.condition()) {
                if is_pattern(&path) {
                    attributes.extend(self.attributes(key, &path, Attribute::of_directory(table)));
                } else if let Some(path) = self.literal_path(key, &path) {
                    attributes.extend(Attributes::own(key, &path, Attribute::of_directory(table)));
                    let (action, origin) = (Action::Directory, table_origin(key));
                    self.add(Entry { path, action, mode: 0o755, uid: 0, gid: 0, origin, used }, entries);
                }
            }
        }
        for (key, table) in &tables.link {
            if let Some((path, mut used)) = self.counted_path(key, table.condition()) {
                let Some(target) = &table.target else {
                    self.missing(&key.place, &format!("the link `{}`", **key), "target");
                    continue;
                };
                let before = std::mem::take(&mut self.used);
                let rendered = self.render(target);
                used.append(&mut self.used);
                self.used = before;
                let (Some(path), Some(rendered)) = (self.literal_path(key, &path), rendered) else { continue };
                if rendered.is_empty() {
                    self.problems.push(
                        Problem::at(&target.place, format!("the link `{}` has an empty target", **key))
                            .rule("a link holds a path, absolute or relative to the folder it is in"),
                    );
                    continue;
                }
                let action = Action::Link(rendered.into_bytes().into());
                self.add(Entry { path, action, mode: 0o777, uid: 0, gid: 0, origin: table_origin(key), used }, entries);
            }
        }
        for (key, table) in &tables.remove {
            if let Some((path, used)) = self.counted_path(key, table.condition()) {
                let Some(path) = self.literal_path(key, &path) else { continue };
                let entry =
                    Entry { path, action: Action::Remove, mode: 0, uid: 0, gid: 0, origin: table_origin(key), used };
                self.add(entry, entries);
            }
        }
        attributes.sort_by_key(Attributes::exactness);
        attributes
    }

    fn add(&mut self, entry: Entry, entries: &mut Entries) {
        let from_tree = |other: &&Entry| matches!(other.origin.place, OriginPlace::File(_));
        let is_directory = |entry: &Entry| matches!(entry.action, Action::Directory);
        // An empty directory of a file tree says nothing but that it is there; its table says the rest.
        let described = |other: &&Entry| !(from_tree(other) && is_directory(other) && is_directory(&entry));
        if let Some(other) = entries.get(&entry.path).filter(described) {
            self.problems.push(
                Problem::at(&entry.origin.place.place(), format!("`{}` is described twice", entry.path))
                    .related(&other.origin.place.place(), "here too")
                    .rule("one layer describes each path once: in one table, or in one file tree"),
            );
            return;
        }
        entries.insert(entry.path.clone(), entry);
    }

    fn file_entry(
        &mut self,
        home: &Home<'_>,
        key: &Located<String>,
        path: TreePath,
        table: &FileTable,
        mut used: Used,
    ) -> Option<Entry> {
        let made = match (&table.template, &table.source, &table.content) {
            (Some(name), None, None) => self.template_content(home, name),
            (None, Some(name), None) => self.source_content(home, name),
            (None, None, Some(text)) => {
                self.library.templates.render_text(text, &text.place, &self.scope).map(|rendered| Made {
                    content: Content::inline(rendered.text.into_bytes()),
                    executable: false,
                    template: rendered.used.iter().next().map(|_| text.place.clone()),
                    used: rendered.used,
                })
            }
            (template, source, content) => {
                let places: Vec<_> =
                    [template, source, content].into_iter().flatten().map(|text| &text.place).collect();
                Err(Box::new(
                    Problem::at(places[0], format!("the file `{}` has more than one content", **key))
                        .related(places[1], "the other one")
                        .rule("a file has exactly one of `template`, `source` and `content`"),
                ))
            }
        };
        match made {
            Ok(made) => {
                used.extend(made.used);
                let mode = if made.executable { 0o755 } else { 0o644 };
                let origin = Origin { template: made.template, ..table_origin(key) };
                let action = Action::File(made.content);
                Some(Entry { path, action, mode, uid: 0, gid: 0, origin, used })
            }
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    fn template_content(&self, home: &Home<'_>, name: &Located<String>) -> Result<Made, Box<Problem>> {
        let project = &self.library.project;
        let own = format!("templates/{}", **name);
        let found = match home.prefix.is_empty() {
            true => None,
            false => project.source_in(home.folder, &own).map_err(|error| asked_at(error, name))?,
        };
        let (source, full_name) = match found {
            Some(source) => (source, format!("{}{own}", home.prefix)),
            None => match project.source(&own).map_err(|error| asked_at(error, name))? {
                Some((source, _)) => (source, own),
                None => return Err(Box::new(self.unknown_file(home, name, "template", "templates"))),
            },
        };
        let rendered = self.library.templates.render(&full_name, &source, &self.scope)?;
        Ok(Made {
            content: Content::inline(rendered.text.into_bytes()),
            executable: false,
            template: Some(Place::whole(&source)),
            used: rendered.used,
        })
    }

    fn source_content(&self, home: &Home<'_>, name: &Located<String>) -> Result<Made, Box<Problem>> {
        let rendered = self.library.templates.render_text(name, &name.place, &self.scope)?;
        let found = self.library.project.file_in(home.folder, &rendered.text);
        match found.map_err(|error| asked_at(error, name))? {
            Some(kind) => Ok(Made {
                content: self.content_of(&kind)?,
                executable: is_executable(&kind),
                template: None,
                used: rendered.used,
            }),
            None => {
                let written = Located::new(rendered.text, name.place.clone());
                Err(Box::new(self.unknown_file(home, &written, "source", "")))
            }
        }
    }

    fn content_of(&self, kind: &FolderEntryKind) -> Result<Content, Box<Problem>> {
        match kind {
            FolderEntryKind::File(file) => {
                self.library.project.content(file).map_err(|error| first_problem(error.into()))
            }
            FolderEntryKind::Embedded(file) => Ok(Content::inline(file.bytes)),
            FolderEntryKind::Symlink(_) | FolderEntryKind::EmptyDirectory => Ok(Content::inline([])),
        }
    }

    /// Says that a file below the folder `below` is not there, or is no file.
    fn unknown_file(&self, home: &Home<'_>, name: &Located<String>, what: &str, below: &str) -> Problem {
        let folder = match home.folder {
            Folder::Local(path) => path.join(below),
            Folder::Embedded(path) => PathBuf::from(path).join(below),
        };
        let rule = match (home.prefix.as_str(), below) {
            ("", "") => format!("a {what} is a file of the project, relative to its root"),
            ("", below) => format!("a {what} is a file in `{below}/` of the project"),
            (prefix, "") => format!("a {what} of a layer is a file below `{prefix}`"),
            (prefix, below) => {
                format!("a {what} of a layer is a file in `{prefix}{below}/`, or in `{below}/` of the project")
            }
        };
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        let listed = match home.folder {
            Folder::Local(_) => Folder::Local(folder.join(parent)),
            Folder::Embedded(_) => Folder::Embedded(folder.join(parent).display().to_string()),
        };
        if matches!(home.folder, Folder::Local(_)) && folder.join(&name.value).is_dir() {
            return Problem::at(&name.place, format!("the {what} `{}` is a directory", **name)).rule(rule);
        }
        let names = self.library.project.children(&listed, "").unwrap_or_default();
        let within = |name: String| if parent.is_empty() { name } else { format!("{parent}/{name}") };
        let names: Vec<String> = names.into_iter().map(within).collect();
        let problem = Problem::at(&name.place, format!("the {what} `{}` does not exist", **name));
        match nearest(name, &names.iter().map(String::as_str).collect::<Vec<_>>()) {
            Some(near) => problem.rule(rule).help(format!("did you mean `{near}`?")),
            None => problem.rule(rule),
        }
    }

    /// Renders the path of a table that counts; nothing when it does not count or its path cannot be rendered.
    fn counted_path(&mut self, key: &Located<String>, condition: spec::Condition<'_>) -> Option<(String, Used)> {
        let (counts, mut used) = self.counts(condition);
        // What a condition looked up is used even when it says no.
        self.used.extend(used.iter().cloned());
        if !counts {
            return None;
        }
        match self.library.templates.render_text(key, &key.place, &self.scope) {
            Ok(rendered) => {
                used.extend(rendered.used);
                Some((rendered.text, used))
            }
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    fn literal_path(&mut self, key: &Located<String>, path: &str) -> Option<TreePath> {
        if is_pattern(path) {
            self.problems.push(
                Problem::at(&key.place, format!("`{path}` is a pattern, and this table describes one path"))
                    .rule("patterns stand for paths of file trees, in tables that set owner and mode")
                    .help("write the path; a name that has one of `*?[{` in it comes from a file tree"),
            );
            return None;
        }
        let problem = match path.parse::<TreePath>() {
            Ok(path) if !path.is_root() => return Some(path),
            Ok(_) => Problem::at(&key.place, "`/` is always there and cannot be described"),
            Err(error) => {
                Problem::at(&key.place, error.to_string()).rule("a path is absolute and clean, such as `/etc/app.conf`")
            }
        };
        self.problems.push(problem);
        None
    }
}

/// The content of a file and what it was made from.
struct Made {
    content: Content,
    executable: bool,
    template: Option<Place>,
    used: Used,
}

fn table_origin(key: &Located<String>) -> Origin {
    Origin { place: OriginPlace::Text(key.place.clone()), section: None, template: None }
}

fn is_executable(kind: &FolderEntryKind) -> bool {
    match kind {
        FolderEntryKind::File(file) => file.stamp().mode & 0o100 != 0,
        FolderEntryKind::Embedded(file) => file.executable,
        FolderEntryKind::Symlink(_) | FolderEntryKind::EmptyDirectory => false,
    }
}

/// Turns an error of reading a file that is asked for at `name` into one problem.
fn asked_at(error: spec::SpecError, name: &Located<String>) -> Box<Problem> {
    Box::new(first_problem(error).asked_at(&name.place))
}

/// Turns an error of reading the project into one problem.
fn first_problem(error: spec::SpecError) -> Box<Problem> {
    match error {
        spec::SpecError::Problems(mut problems) if !problems.is_empty() => Box::new(problems.swap_remove(0)),
        spec::SpecError::Problems(_) => Box::new(Problem::anywhere("the project cannot be read")),
        spec::SpecError::File(error) => Box::new(Problem::anywhere(format!("{error}: {}", error.source))),
    }
}
