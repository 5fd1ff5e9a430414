//! Directories that no service makes, and what /etc gets from the factory, for systemd-tmpfiles(8): tmpfiles.d(5).

use super::DeployError;
use super::unit::{UnitFile, UnitOptions};
use crate::image::FactoryEntry;
use crate::resolve::{Recipe, Writable};
use crate::tree::Kind;

/// Returns `/usr/lib/tmpfiles.d/PREFIX.conf` with a line for each writable path in `unmade`, when there is one. A path is
/// beside its place on the host.
///
/// # Errors
/// When a path has no form there.
pub(super) fn file(
    recipe: &Recipe,
    options: &UnitOptions,
    unmade: &[(String, &Writable)],
) -> Result<Option<UnitFile>, DeployError> {
    let mut text = String::new();
    for (host, writable) in unmade {
        text.push_str(&directory(host, writable)?);
        for subdirectory in &writable.subdirectories {
            text.push_str(&directory(&format!("{host}/{subdirectory}"), writable)?);
        }
        if let Some(seed) = &writable.seed {
            let what = format!("a path of the profile `{}`", recipe.profile.name);
            // Copied into a directory that is empty.
            text.push_str(&format!(
                "C {} - - - - {}\n",
                super::unit::word(&what, host)?,
                super::unit::word(&what, &seed.to_string())?
            ));
        }
    }
    if text.is_empty() {
        return Ok(None);
    }
    UnitFile::text(&format!("/usr/lib/tmpfiles.d/{}.conf", options.prefix), text).map(Some)
}

/// Returns `/usr/lib/tmpfiles.d/PREFIX-etc.conf`, which puts what is missing of `entries` into /etc, when there are any.
/// Files come from the same path in /usr/share/factory, with the owner and mode that the profile gives them.
///
/// # Errors
/// When a path has no form there.
pub fn factory(entries: &[FactoryEntry], options: &UnitOptions) -> Result<Vec<UnitFile>, DeployError> {
    let mut text = String::new();
    for FactoryEntry { path, node } in entries {
        let place = utf8(&[b"/", path.as_bytes()].concat())?;
        let place = super::unit::word("a path of /etc", &place)?;
        let (mode, uid, gid) = (node.meta.mode, node.meta.uid, node.meta.gid);
        text.push_str(&match &node.kind {
            Kind::Symlink(target) => {
                format!("L {place} - - - - {}\n", super::unit::word("a link of /etc", &utf8(target)?)?)
            }
            Kind::Directory { .. } => format!("d {place} {mode:04o} {uid} {gid} -\n"),
            _ => format!("C {place} {mode:04o} {uid} {gid} -\n"),
        });
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![UnitFile::text(&format!("/usr/lib/tmpfiles.d/{}-etc.conf", options.prefix), text)?])
}

fn utf8(bytes: &[u8]) -> Result<String, DeployError> {
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| DeployError::unit("a path of /etc", &shown(), "bytes that are no UTF-8"))
}

fn directory(path: &str, writable: &Writable) -> Result<String, DeployError> {
    let path = super::unit::word("a writable path", path)?;
    let (mode, owner) = (writable.mode, writable.owner);
    Ok(format!("d {path} {mode:04o} {} {} -\n", owner.uid, owner.gid))
}
