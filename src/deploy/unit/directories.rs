//! Writable paths as directories of a unit: systemd.exec(5), "Sandboxing".
//!
//! Each kind has a place on the host: `/var/lib`, `/var/cache`, `/var/log` and `/run`. A path there is the directory
//! itself; any other path is kept at `PLACE/PREFIX/NAME` and bound to where the program looks. systemd makes directories
//! for the user of a unit, so the units of the owner make them and the others find them. Temporary paths are file
//! systems in memory, new at each start; one that must be filled first is a directory of the unit below `/run`.

use std::collections::BTreeMap;

use super::program::Program;
use super::{DeployError, Flavour, command, text};
use crate::resolve::{Recipe, Writable};
use crate::spec::WritableKind;
use crate::tree::TreePath;

/// What a unit says about writable paths.
#[derive(Debug, Default)]
pub(super) struct Directories {
    /// Lists of directories that systemd makes, by kind.
    pub(super) made: BTreeMap<WritableKind, Made>,
    /// Whether directories below `/run` stay when the unit stops, because other units use them.
    pub(super) is_runtime_shared: bool,
    /// Values of `BindPaths=`.
    pub(super) bound: Vec<String>,
    /// Values of `TemporaryFileSystem=`.
    pub(super) temporary: Vec<String>,
    /// Commands that fill directories before the start.
    pub(super) prepare: Vec<String>,
}

/// Directories that one directive names.
#[derive(Debug)]
pub(super) struct Made {
    /// Paths relative to the place of the kind, quoted.
    pub(super) directories: Vec<String>,
    /// The mode of all of them.
    pub(super) mode: u16,
}

/// Returns the directive of a kind and its place on the host.
pub(super) fn directive(kind: WritableKind) -> (&'static str, &'static str) {
    match kind {
        WritableKind::State => ("StateDirectory", "/var/lib"),
        WritableKind::Cache => ("CacheDirectory", "/var/cache"),
        WritableKind::Logs => ("LogsDirectory", "/var/log"),
        WritableKind::Runtime | WritableKind::Temporary => ("RuntimeDirectory", "/run"),
    }
}

/// How a writable path comes into a unit.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// `PrivateTmp=` gives it.
    PrivateTmp,
    /// A file system in memory.
    Memory,
    /// A directory on the host, relative to the place of its kind.
    Directory {
        /// Relative to the place of its kind.
        relative: String,
        /// Whether it is elsewhere in the unit.
        is_bound: bool,
        /// Whether systemd makes it for this unit.
        is_made: bool,
    },
}

fn way(program: &Program<'_>, name: &str, writable: &Writable) -> Way {
    let path = writable.path.to_string();
    if writable.kind == WritableKind::Temporary {
        if matches!(path.as_str(), "/tmp" | "/var/tmp") {
            return Way::PrivateTmp;
        }
        if writable.seed.is_none() && writable.subdirectories.is_empty() {
            return Way::Memory;
        }
        return Way::Directory { relative: format!("{}/{name}", program.unit), is_bound: true, is_made: true };
    }
    let (_, place) = directive(writable.kind);
    // `private` belongs to dynamic users.
    let below = path.strip_prefix(place).and_then(|rest| rest.strip_prefix('/'));
    let below = below.filter(|rest| *rest != "private" && !rest.starts_with("private/"));
    Way::Directory {
        relative: below.map_or_else(|| format!("{}/{name}", program.options.prefix), str::to_owned),
        is_bound: below.is_none(),
        is_made: writable.owner == program.user,
    }
}

/// Returns what the unit of `program` says about writable paths.
pub(super) fn of(program: &Program<'_>, all: &[Program<'_>]) -> Result<Directories, DeployError> {
    let mut directories = Directories {
        is_runtime_shared: all.iter().filter(|other| other.user == program.user).count() > 1,
        ..Directories::default()
    };
    let modes = modes(program);
    for (name, writable) in &program.recipe.contract.writables {
        let path = writable.path.to_string();
        let what = format!("the writable path `{name}`");
        match way(program, name, writable) {
            Way::PrivateTmp => directories.prepare.extend(prepare(&what, writable, writable.mode)?),
            Way::Memory => directories.temporary.push(memory(&what, &path, writable)?),
            Way::Directory { relative, is_bound, is_made } => {
                if !is_made && program.options.flavour == Flavour::Portable && is_unmade(writable, all) {
                    return Err(DeployError::UnmadeDirectory { name: name.clone() });
                }
                directories.add(
                    &what,
                    writable,
                    &Place { relative, is_bound, is_made, mode: modes.get(&kind(writable)) },
                )?;
            }
        }
    }
    Ok(directories)
}

/// Where a writable path is on the host.
struct Place<'modes> {
    relative: String,
    is_bound: bool,
    is_made: bool,
    /// The mode of the directive that makes it.
    mode: Option<&'modes u16>,
}

impl Directories {
    fn add(&mut self, what: &str, writable: &Writable, place: &Place<'_>) -> Result<(), DeployError> {
        let (_, root) = directive(writable.kind);
        let host = format!("{root}/{}", place.relative);
        let path = writable.path.to_string();
        if !place.is_made {
            // Read-only without this; it may not be there yet.
            let source = text::path_word(what, &format!("-{host}"))?;
            self.bound.push(if place.is_bound { pair(what, &format!("-{host}"), &path)? } else { source });
            return Ok(());
        }
        let mode = place.mode.copied().unwrap_or(writable.mode);
        let made = self.made.entry(kind(writable)).or_insert_with(|| Made { directories: Vec::new(), mode });
        made.directories.push(text::path_word(what, &place.relative)?);
        let script = prepare(what, writable, mode)?;
        if script.is_none() {
            for subdirectory in &writable.subdirectories {
                made.directories.push(text::path_word(what, &format!("{}/{subdirectory}", place.relative))?);
            }
        }
        if place.is_bound {
            self.bound.push(pair(what, &host, &path)?);
        }
        self.prepare.extend(script);
        Ok(())
    }
}

/// Returns the kind whose directive makes a writable path.
fn kind(writable: &Writable) -> WritableKind {
    match writable.kind {
        WritableKind::Temporary => WritableKind::Runtime,
        other => other,
    }
}

/// Returns the mode of each directive of a unit: one for all its directories, and never more than any of them has.
fn modes(program: &Program<'_>) -> BTreeMap<WritableKind, u16> {
    let mut modes = BTreeMap::new();
    for (name, writable) in &program.recipe.contract.writables {
        if matches!(way(program, name, writable), Way::Directory { is_made: true, .. }) {
            modes.entry(kind(writable)).and_modify(|mode| *mode &= writable.mode).or_insert(writable.mode);
        }
    }
    modes
}

/// Writes two paths as one word.
fn pair(what: &str, one: &str, other: &str) -> Result<String, DeployError> {
    for path in [one, other] {
        text::path_word(what, path)?;
    }
    text::word(what, &format!("{one}:{other}"))
}

fn memory(what: &str, path: &str, writable: &Writable) -> Result<String, DeployError> {
    text::path_word(what, path)?;
    let mut options = format!("mode={:04o},nodev,nosuid,noexec", writable.mode);
    if writable.owner.uid != 0 || writable.owner.gid != 0 {
        options.push_str(&format!(",uid={},gid={}", writable.owner.uid, writable.owner.gid));
    }
    if let Some(size) = writable.size {
        options.push_str(&format!(",size={size}"));
    }
    text::word(what, &format!("{path}:{options}"))
}

/// Returns the command that gives a directory what systemd does not: a mode of its own, the content of its seed before
/// the first start, subdirectories beside that content.
fn prepare(what: &str, writable: &Writable, made_with: u16) -> Result<Option<String>, DeployError> {
    let is_temporary = writable.kind == WritableKind::Temporary;
    let is_private_tmp = is_temporary && matches!(writable.path.as_bytes(), b"tmp" | b"var/tmp");
    let differs = made_with != writable.mode && !is_private_tmp;
    let has_seed = writable.seed.is_some();
    if !differs && !has_seed && !is_temporary || is_private_tmp && !has_seed && writable.subdirectories.is_empty() {
        return Ok(None);
    }
    if differs && writable.mode & 0o6000 != 0 {
        let mode = format!("{:04o}", writable.mode);
        return Err(DeployError::unit(
            format!("the mode of {what}"),
            &mode,
            "a set-group bit, and others of its kind have another mode",
        ));
    }
    let mut script = String::new();
    let mut arguments = vec![writable.path.to_string()];
    if is_temporary && !is_private_tmp {
        script.push_str("find \"$0\" -mindepth 1 -delete; ");
    }
    if let Some(seed) = &writable.seed {
        script.push_str("[ -n \"$(ls -A \"$0\")\" ] || cp -a \"$1/.\" \"$0/\"; shift; ");
        arguments.push(seed.to_string());
    }
    if differs {
        script.push_str(&format!("chmod {:04o} \"$0\"; ", writable.mode));
    }
    if !writable.subdirectories.is_empty() {
        let mode = writable.mode & 0o1777;
        script.push_str(&format!("for name do mkdir -p -m {mode:04o} \"$0/$name\"; done; "));
        arguments.extend(writable.subdirectories.iter().cloned());
    }
    let shell = ["/bin/sh", "-euc", script.trim_end().trim_end_matches(';')].map(String::from);
    Ok(Some(command::line(what, &shell.into_iter().chain(arguments).collect::<Vec<_>>())?))
}

/// Tells whether no unit makes a writable path, because none runs as its owner.
fn is_unmade(writable: &Writable, all: &[Program<'_>]) -> bool {
    writable.kind != WritableKind::Temporary && !all.iter().any(|program| program.user == writable.owner)
}

/// Returns the writable paths that no unit makes.
pub(super) fn unmade<'recipe>(recipe: &'recipe Recipe, all: &[Program<'_>]) -> Vec<(String, &'recipe Writable)> {
    let mut found = Vec::new();
    let Some(program) = all.first() else { return found };
    for (name, writable) in &recipe.contract.writables {
        if is_unmade(writable, all)
            && let Way::Directory { relative, .. } = way(program, name, writable)
        {
            found.push((format!("{}/{relative}", directive(writable.kind).1), writable));
        }
    }
    found
}

/// Returns the directories that a read-only image must have for units to mount on.
pub(super) fn mount_points(all: &[Program<'_>]) -> Vec<TreePath> {
    let mut paths = Vec::new();
    for program in all {
        for (name, writable) in &program.recipe.contract.writables {
            if let Way::Directory { relative, .. } = way(program, name, writable) {
                paths.extend(format!("{}/{relative}", directive(writable.kind).1).parse::<TreePath>().ok());
            }
            paths.push(writable.path.clone());
        }
    }
    paths.sort();
    paths.dedup();
    paths.retain(|path| !path.as_bytes().starts_with(b"run/"));
    paths
}
