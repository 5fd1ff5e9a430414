//! Owners and modes that tables set: of the path a table describes, or of those that its pattern matches.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

use super::entries::Entries;
use super::recipe::{Action, Entry, Origin, OriginPlace};
use super::resolver::Resolver;
use super::template::Used;
use crate::spec::{self, DirectoryTable, FileTable, Located, Mode, Place, Problem, nearest};
use crate::tree::TreePath;

/// An owner and a mode, and the paths that get them.
pub(super) struct Attributes {
    matcher: Matcher,
    pattern: String,
    directories: bool,
    mode: Option<Located<Mode>>,
    owner: Option<Located<spec::Account>>,
    group: Option<Located<spec::Account>>,
    place: Place,
}

/// Which paths a table is for.
enum Matcher {
    /// The one path that the table itself describes.
    Own(TreePath),
    /// Those that its key matches: they begin with a text, and match a glob without the leading slash.
    Pattern(String, GlobMatcher),
}

impl Attributes {
    /// Returns the owner and mode that a table gives to the path it describes; nothing when it sets neither. They are
    /// applied after those of patterns, which are more general.
    pub(super) fn own(key: &Located<String>, path: &TreePath, attribute: Attribute<'_>) -> Option<Self> {
        attribute.sets_something().then(|| Self::of(Matcher::Own(path.clone()), path.to_string(), key, attribute))
    }

    fn of(matcher: Matcher, pattern: String, key: &Located<String>, attribute: Attribute<'_>) -> Self {
        Self {
            matcher,
            pattern,
            directories: attribute.directories,
            mode: attribute.mode.cloned(),
            owner: attribute.owner.cloned(),
            group: attribute.group.cloned(),
            place: key.place.clone(),
        }
    }

    /// Returns what orders attributes from the most general to the most exact: a path without pattern is more exact than
    /// any pattern, a longer pattern more than a shorter one.
    pub(super) fn exactness(&self) -> (bool, usize) {
        let exact = matches!(self.matcher, Matcher::Own(_)) || !is_pattern(&self.pattern);
        (exact, self.pattern.len())
    }

    fn is_for(&self, path: &TreePath) -> bool {
        match &self.matcher {
            Matcher::Own(own) => own == path,
            Matcher::Pattern(first, glob) => {
                path.as_bytes().starts_with(first.as_bytes()) && glob.is_match(path.as_path())
            }
        }
    }
}

impl Resolver<'_> {
    /// Reads a table that only sets owner and mode of what `path`, which may be a pattern, matches.
    pub(super) fn attributes(
        &mut self,
        key: &Located<String>,
        path: &str,
        attribute: Attribute<'_>,
    ) -> Option<Attributes> {
        if !attribute.sets_something() {
            self.problems.push(Problem::at(&key.place, format!("the table of `{path}` says nothing")).rule(
                "a file has `template`, `source` or `content`, or sets `mode`, `owner` or `group` of a path of a tree",
            ).help("give it a `content`; an empty file has `content = \"\"`"));
            return None;
        }
        let relative = path.strip_prefix('/').unwrap_or(path);
        let glob = GlobBuilder::new(relative).literal_separator(true).backslash_escape(true).build();
        match glob {
            Ok(glob) if path.starts_with('/') => {
                // Most paths do not even begin as the pattern does.
                let first = relative.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
                let matcher = Matcher::Pattern(first.to_owned(), glob.compile_matcher());
                Some(Attributes::of(matcher, path.to_owned(), key, attribute))
            }
            Ok(_) => {
                self.problems
                    .push(Problem::at(&key.place, format!("`{path}` is not absolute: it must begin with `/`")));
                None
            }
            Err(error) => {
                self.problems.push(Problem::at(&key.place, format!("`{path}` is no pattern: {}", error.kind())).rule(
                    "`*` stands for a part of a name, `**` for any number of directories, `[ab]` and `{a,b}` for one of them",
                ));
                None
            }
        }
    }

    /// Sets owner and mode of what an attribute matches; tells whether it matched anything.
    pub(super) fn apply(&mut self, attribute: &Attributes, all: &mut [&mut Entries]) -> bool {
        let account = (attribute.owner.is_some() || attribute.group.is_some())
            .then(|| self.account(attribute.owner.as_ref(), attribute.group.as_ref()));
        let mut matched = false;
        let implied = attribute.directories && matches!(attribute.matcher, Matcher::Pattern(..));
        // What one layer describes keeps its mode where others only have something in it.
        let described: BTreeSet<TreePath> = match implied {
            true => all.iter().flat_map(|entries| described_directories(attribute, entries)).collect(),
            false => BTreeSet::new(),
        };
        for entries in all {
            if implied {
                add_implied(attribute, entries, &described);
            }
            let own = match &attribute.matcher {
                Matcher::Own(path) => entries.range_mut::<TreePath, _>(path..=path),
                Matcher::Pattern(..) => entries.range_mut::<TreePath, _>(..),
            };
            for (path, entry) in own {
                let kind = match entry.action {
                    Action::File(_) => !attribute.directories,
                    Action::Directory => attribute.directories,
                    Action::Link(_) | Action::Remove => false,
                };
                if !kind || !attribute.is_for(path) {
                    continue;
                }
                matched = true;
                if let Some(mode) = &attribute.mode {
                    entry.mode = mode.0;
                }
                if let Some(account) = account {
                    if attribute.owner.is_some() {
                        entry.uid = account.uid;
                    }
                    entry.gid = account.gid;
                }
            }
        }
        matched
    }

    /// Reports a table that matched nothing.
    pub(super) fn unmatched(&mut self, attribute: &Attributes, whole: &str, all: &[&Entries]) {
        if matches!(attribute.matcher, Matcher::Own(_)) {
            // What the table describes was refused, which was told there.
            return;
        }
        let kind = if attribute.directories { "directory" } else { "file" };
        let paths: Vec<String> = all.iter().flat_map(|entries| entries.keys()).map(ToString::to_string).collect();
        let near = nearest(&attribute.pattern, &paths.iter().map(String::as_str).collect::<Vec<_>>());
        self.problems.push(
            Problem::at(&attribute.place, format!("`{}` matches no {kind} of {whole}", attribute.pattern))
                .rule("a table without content sets owner and mode of paths that come from file trees")
                .help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if attribute.directories => "correct the pattern, or remove the table".into(),
                    None => "correct the path, or give the file a `template`, `source` or `content`".into(),
                }),
        );
    }
}

/// Returns the directories that have entries of their own and that a pattern matches.
fn described_directories(attribute: &Attributes, entries: &Entries) -> impl Iterator<Item = TreePath> {
    let directories = entries.values().filter(|entry| matches!(entry.action, Action::Directory));
    directories.map(|entry| entry.path.clone()).filter(|path| attribute.is_for(path))
}

/// Makes directories that only exist because something is in them entries of their own, where a pattern matches them and
/// no layer describes them.
fn add_implied(attribute: &Attributes, entries: &mut Entries, described: &BTreeSet<TreePath>) {
    let implied: BTreeSet<TreePath> = entries
        .values()
        .filter(|entry| !matches!(entry.action, Action::Remove))
        .flat_map(|entry| entry.path.ancestors())
        .filter(|path| !path.is_root() && !described.contains(path) && attribute.is_for(path))
        .collect();
    for path in implied {
        entries.entry(path.clone()).or_insert_with(|| Entry {
            path,
            action: Action::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            origin: Origin { place: OriginPlace::Text(attribute.place.clone()), section: None, template: None },
            used: Used::new(),
        });
    }
}

/// The keys that set owner and mode, of whichever table.
pub(super) struct Attribute<'table> {
    directories: bool,
    mode: Option<&'table Located<Mode>>,
    owner: Option<&'table Located<spec::Account>>,
    group: Option<&'table Located<spec::Account>>,
}

impl<'table> Attribute<'table> {
    fn sets_something(&self) -> bool {
        self.mode.is_some() || self.owner.is_some() || self.group.is_some()
    }

    pub(super) fn of_file(table: &'table FileTable) -> Self {
        let FileTable { mode, owner, group, .. } = table;
        Self { directories: false, mode: mode.as_ref(), owner: owner.as_ref(), group: group.as_ref() }
    }

    pub(super) fn of_directory(table: &'table DirectoryTable) -> Self {
        let DirectoryTable { mode, owner, group, .. } = table;
        Self { directories: true, mode: mode.as_ref(), owner: owner.as_ref(), group: group.as_ref() }
    }
}

/// Tells whether a path stands for several.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}
