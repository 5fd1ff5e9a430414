//! Directories that no service makes, for systemd-tmpfiles(8): tmpfiles.d(5).

use super::DeployError;
use super::unit::{UnitFile, UnitOptions};
use crate::resolve::{Recipe, Writable};

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

fn directory(path: &str, writable: &Writable) -> Result<String, DeployError> {
    let path = super::unit::word("a writable path", path)?;
    let (mode, owner) = (writable.mode, writable.owner);
    Ok(format!("d {path} {mode:04o} {} {} -\n", owner.uid, owner.gid))
}
