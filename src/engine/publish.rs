//! Publishes images: adds a version to a folder that hosts update from.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Serialize;

use super::lint::{class_of, name_of};
use crate::error::Error;
use crate::image::read::{self, Format};
use crate::lint::{Class, Subject, Target};
use crate::publish::{self, Layout, Publication, Published, Version};
use crate::store::Store;
use crate::tree::TreePath;

/// An image to publish.
#[derive(Debug, Clone)]
pub struct PublishRequest {
    /// The image, a file system or a disk image.
    pub image: PathBuf,
    /// The folder.
    pub directory: PathBuf,
    /// What the folder is for.
    pub layout: Layout,
    /// The version; the one that the image gives itself when nothing is said.
    pub version: Option<String>,
    /// How many of the newest versions stay; all when nothing is said.
    pub keep: Option<NonZeroUsize>,
}

/// An image that was published.
#[derive(Debug, Serialize)]
pub struct PublishReport {
    /// The name of the image.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version that the image gives itself.
    pub image_version: Option<String>,
    /// What it is meant for.
    pub class: Class,
    /// Whether anything in the folder is another than before.
    pub changed: bool,
    /// What was done.
    #[serde(flatten)]
    pub published: Published,
}

/// What an image says about itself.
struct Facts {
    class: Class,
    name: String,
    version: Option<String>,
}

/// Adds an image to a folder of versions. Calls `waiting` once when another process works on it.
///
/// # Errors
/// When the image cannot be understood or does not say its version, or it cannot be added.
pub fn publish(store: &Store, request: &PublishRequest, waiting: impl FnOnce()) -> Result<PublishReport, Error> {
    let facts = facts(store, request)?;
    let Some(version) = request.version.as_ref().or(facts.version.as_ref()) else {
        return Err(Error::Usage {
            message: format!("`{}` does not say its version", request.image.display()),
            hint: Some("give it with `--version`, or set `version` in the profile and render again".into()),
        });
    };
    let version: Version = version.parse().map_err(publish::PublishError::from)?;
    let publication = Publication {
        image: &request.image,
        name: &facts.name,
        version: version.clone(),
        directory: &request.directory,
        layout: &request.layout,
        keep: request.keep,
        host_folder: host_folder(facts.class),
    };
    let published = publish::publish(&publication, waiting)?;
    Ok(PublishReport {
        name: facts.name,
        version: version.to_string(),
        image_version: facts.version,
        class: facts.class,
        changed: !published.written.is_empty() || !published.removed.is_empty(),
        published,
    })
}

/// Returns the folder of hosts that images of a class are looked for in (systemd-sysext(8), portablectl(1)).
fn host_folder(class: Class) -> &'static str {
    match class {
        Class::Sysext => "/var/lib/extensions",
        Class::Confext => "/var/lib/confexts",
        Class::Portable | Class::Oci | Class::Publish => "/var/lib/portables",
    }
}

/// Reads what an image says about itself.
fn facts(store: &Store, request: &PublishRequest) -> Result<Facts, Error> {
    let path = &request.image;
    let opened = read::open(path, &store.archives())?;
    if !matches!(opened.format, Format::Raw | Format::Ddi) {
        let message = format!("`{}` is no image", path.display());
        let hint = Some("render it with `--format raw` or `--format ddi`".into());
        return Err(Error::Usage { message, hint });
    }
    let file_name = name_of(path);
    let class = opened.tree.as_ref().and_then(|tree| class_of(tree, &file_name));
    let Some(class) = class else {
        let message = format!("`{}` is no sysext, confext or portable service: it has no release file", path.display());
        return Err(Error::usage(message));
    };
    let target = Target::default();
    let mut subject = Subject::new(class, &file_name, opened.format, &target);
    subject.tree = opened.tree.as_ref();
    let releases = subject.release_fields();
    let plain = file_name.strip_suffix(".raw").unwrap_or(&file_name);
    let stem = plain.split(['_', '+']).next().unwrap_or_default();
    let (name, fields) = match class {
        Class::Sysext | Class::Confext => extension(&releases, plain, stem).ok_or_else(|| {
            Error::usage(format!("`{}` has several release files, and none has its name", path.display()))
        })?,
        // The units of a portable service begin with the name of its file.
        _ => (stem.to_owned(), releases.into_values().next().unwrap_or_default()),
    };
    let keys = match class {
        Class::Sysext => ["SYSEXT_IMAGE_VERSION", "IMAGE_VERSION"],
        Class::Confext => ["CONFEXT_IMAGE_VERSION", "IMAGE_VERSION"],
        _ => ["IMAGE_VERSION"; 2],
    };
    let version = keys.iter().find_map(|key| fields.get(*key).filter(|version| !version.is_empty())).cloned();
    Ok(Facts { class, name, version })
}

type Fields = BTreeMap<String, String>;

/// Returns the name of an extension and the fields of its release file, as systemd looks for it: by the name of the
/// image, or else the only one.
fn extension(releases: &BTreeMap<TreePath, Fields>, plain: &str, stem: &str) -> Option<(String, Fields)> {
    let named: Vec<(&str, &Fields)> = releases
        .iter()
        .filter_map(|(path, fields)| {
            let name = std::str::from_utf8(path.name()?).ok()?;
            Some((name.strip_prefix("extension-release.")?, fields))
        })
        .collect();
    let exact = [plain, stem].into_iter().find_map(|wanted| named.iter().find(|(name, _)| *name == wanted));
    let found = exact.or_else(|| named.first().filter(|_| named.len() == 1));
    found.map(|(name, fields)| ((*name).to_owned(), (*fields).clone()))
}
