//! Judges images and directories, ours or anybody's.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::distro;
use crate::error::Error;
use crate::fs;
use crate::image::oci::Container;
use crate::image::read::{self, Format};
use crate::lint::{self, Class, ContainerConfig, Finding, PublishedFile, Severity, Subject, Target};
use crate::spec::{FactsTable, Project};
use crate::store::Store;
use crate::tree::{Tree, TreePath};

/// What to judge, and for what.
#[derive(Debug, Clone)]
pub struct LintRequest {
    /// The image or directory.
    pub path: PathBuf,
    /// What it is meant for; found out from what is in it when nothing is said.
    pub class: Option<Class>,
    /// For what systems it is meant, but for the versions of their parts.
    pub target: Target,
    /// The oldest systemd that must take it; that of the release that it names when nothing is said, or else 252.
    pub systemd: Option<u32>,
    /// Rules that may be broken.
    pub allow: Vec<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct LintReport {
    /// What was judged.
    pub path: PathBuf,
    /// What it was taken to be meant for.
    pub class: Class,
    /// The oldest systemd that it was judged for.
    pub systemd: u32,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

impl LintReport {
    /// Returns the number of errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

/// The longest text of a published folder that is read, in bytes.
const TEXT: u64 = 1 << 20;

/// Judges an image or directory.
///
/// # Errors
/// When it cannot be read, or when nothing tells what it is meant for.
pub fn lint_image(project: &Project, store: &Store, request: &LintRequest) -> Result<LintReport, Error> {
    let path = &request.path;
    if let Some(unknown) = request.allow.iter().find(|id| lint::rule(id).is_none()) {
        return Err(Error::usage(format!("there is no rule `{unknown}`: `layerforge lint --list` prints them")));
    }
    let name = name_of(path);
    let published = if request.class.is_none_or(|class| class == Class::Publish) { published(path)? } else { None };
    let (class, systemd, findings) = match published {
        Some(files) => {
            let target = target(request, None);
            let mut subject = Subject::new(Class::Publish, &name, Format::Directory, &target);
            subject.published = &files;
            (Class::Publish, target.systemd, lint::lint(&subject))
        }
        None => judge(project, store, request, &name)?,
    };
    let allowed = |finding: &Finding| !request.allow.iter().any(|id| id == finding.id);
    let findings = findings.into_iter().filter(allowed).collect();
    Ok(LintReport { path: path.clone(), class, systemd, findings })
}

fn judge(
    project: &Project,
    store: &Store,
    request: &LintRequest,
    name: &str,
) -> Result<(Class, u32, Vec<Finding>), Error> {
    let opened = read::open(&request.path, &store.archives())?;
    let container = opened.container.as_ref().map(container_config);
    let class = request.class.or(container.as_ref().map(|_| Class::Oci));
    let class = class.or_else(|| opened.tree.as_ref().and_then(|tree| class_of(tree, name)));
    let Some(class) = class else {
        let message = format!("nothing in `{}` tells what it is meant for", request.path.display());
        let hint = "say it with `--class`: sysext, confext, portable, oci or publish".to_owned();
        return Err(Error::Usage { message, hint: Some(hint) });
    };
    let siblings = siblings(&request.path);
    let facts = facts_of(project, opened.tree.as_ref(), class)?;
    let target = target(request, facts.as_ref());
    let mut subject = Subject::new(class, name, opened.format, &target);
    subject.tree = opened.tree.as_ref();
    subject.file_system = opened.file_system.as_ref();
    subject.disk = opened.disk.as_ref();
    subject.siblings = &siblings;
    subject.container = container.as_ref();
    Ok((class, target.systemd, lint::lint(&subject)))
}

/// Returns what is known about the release that the release files of an image name.
fn facts_of(project: &Project, tree: Option<&Tree>, class: Class) -> Result<Option<FactsTable>, Error> {
    let target = Target::default();
    let mut subject = Subject::new(class, "", Format::Directory, &target);
    subject.tree = tree;
    for fields in subject.release_fields().values() {
        if let (Some(id), Some(version)) = (fields.get("ID"), fields.get("VERSION_ID")) {
            return Ok(distro::facts_of_release(project, id, version)?);
        }
    }
    Ok(None)
}

/// Completes the systems that an image is meant for: by what was asked, or else by what is known about its release.
fn target(request: &LintRequest, facts: Option<&FactsTable>) -> Target {
    let mut target = request.target.clone();
    let systemd = || facts?.systemd.as_ref().map(|systemd| systemd.value.0.into());
    let kernel = || facts?.kernel.as_ref().map(|kernel| (kernel.value.major.into(), kernel.value.minor.into()));
    target.systemd = request.systemd.or_else(systemd).unwrap_or(target.systemd);
    target.kernel = target.kernel.or_else(kernel);
    target
}

/// Returns what the rules of container images look at.
fn container_config(container: &Container) -> ContainerConfig {
    let run = container.config.config.clone().unwrap_or_default();
    let volumes = run.volumes.unwrap_or_default().into_keys().collect();
    ContainerConfig { user: run.user, volumes, writable: Vec::new() }
}

/// Returns the name of an image, also when it is given as `.`.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().map(ToOwned::to_owned);
    let name = name.or_else(|| path.canonicalize().ok()?.file_name().map(ToOwned::to_owned));
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the names that lie beside an image; a folder that cannot be listed tells nothing.
fn siblings(path: &Path) -> Vec<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::list(parent).unwrap_or_default();
    names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Returns the files of a folder of versions, when it is one.
fn published(path: &Path) -> Result<Option<Vec<PublishedFile>>, Error> {
    if !std::fs::metadata(path).is_ok_and(|stat| stat.is_dir()) {
        return Ok(None);
    }
    let names = fs::list(path)?;
    let is_text = |name: &str| name.ends_with(".transfer") || name == "SHA256SUMS";
    if !names.iter().any(|name| is_text(&name.to_string_lossy())) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for name in names {
        let file = path.join(&name);
        let name = name.to_string_lossy().into_owned();
        let short = std::fs::metadata(&file).is_ok_and(|stat| stat.is_file() && stat.len() <= TEXT);
        let text =
            if is_text(&name) && short { Some(String::from_utf8_lossy(&fs::read(&file)?).into_owned()) } else { None };
        files.push(PublishedFile { name, text });
    }
    Ok(Some(files))
}

/// Tells what a tree seems to be meant for, by what is in it and by its name.
pub(super) fn class_of(tree: &Tree, name: &str) -> Option<Class> {
    let has = |path: &str| {
        path.parse::<TreePath>().is_ok_and(|path| tree.get(&path).is_some() || tree.below(&path).next().is_some())
    };
    let plain = name.strip_suffix(".raw").unwrap_or(name);
    let tops = || {
        tree.iter()
            .filter_map(|(path, _)| path.as_bytes().split(|byte| *byte == b'/').next())
            .filter(|top| !top.is_empty())
    };
    if plain.ends_with(".sysext") || has("/usr/lib/extension-release.d") {
        Some(Class::Sysext)
    } else if plain.ends_with(".confext") || has("/etc/extension-release.d") {
        Some(Class::Confext)
    } else if has("/etc/os-release") || has("/usr/lib/os-release") {
        Some(Class::Portable)
    } else if tops().next().is_none() {
        None
    } else if tops().all(|top| top == b"etc") {
        Some(Class::Confext)
    } else if tops().all(|top| top == b"usr" || top == b"opt") {
        Some(Class::Sysext)
    } else {
        None
    }
}
