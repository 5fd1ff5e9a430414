//! How each family of package managers installs packages while an image is built.

use std::collections::BTreeSet;

use super::{DeployError, quote};
use crate::resolve::Recipe;
use crate::spec::Family;

/// The rule of hadolint that asks for versions, for families whose rule there is.
pub(super) fn pinning_rule(family: Family) -> Option<&'static str> {
    match family {
        Family::Apt => Some("DL3008"),
        Family::Apk => Some("DL3018"),
        Family::Pacman => None,
    }
}

/// Returns the shell statements that install the packages of `recipe` and leave no downloads behind; none when it has
/// none.
///
/// Versions are those the repositories have when the image is built: repositories of releases keep no older ones, so a
/// pinned version would be one that soon cannot be installed.
pub(super) fn install(recipe: &Recipe) -> Result<Vec<String>, DeployError> {
    let names: BTreeSet<&str> =
        recipe.packages.values().flat_map(|package| &package.names).map(String::as_str).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = String::new();
    for name in names {
        if name.starts_with('-') {
            return Err(DeployError::value("the name of a package", name, "a `-` that would begin an option"));
        }
        list.push_str("\n    ");
        list.push_str(&quote::shell_word("the name of a package", name)?);
    }
    Ok(match recipe.distro.family {
        Family::Apt => vec![
            // Package scripts start their services. The images of the distributions forbid it with this file
            // (invoke-rc.d(8)); other bases may not have it, and a service that ran leaves sockets, keys and data in
            // the image, or stops the build when its port is taken.
            "policy=/usr/sbin/policy-rc.d".into(),
            "if [ ! -e \"$policy\" ]; then\n    trap 'rm \"$policy\"' EXIT;\n    \
             printf '#!/bin/sh\\nexit 101\\n' > \"$policy\";\n    chmod 0755 \"$policy\";\nfi"
                .into(),
            "export DEBIAN_FRONTEND=noninteractive".into(),
            "apt-get update".into(),
            format!("apt-get install -y --no-install-recommends{list}"),
            "apt-get clean".into(),
            "rm -rf /var/lib/apt/lists/*".into(),
        ],
        Family::Apk => vec![format!("apk add --no-cache{list}")],
        // The whole system is upgraded: a distribution without releases supports nothing else. `pacman -Scc` would ask
        // a question whose default is no.
        Family::Pacman => vec![
            format!("pacman -Syu --noconfirm --needed{list}"),
            "rm -rf /var/cache/pacman/pkg/* /var/lib/pacman/sync/*".into(),
        ],
    })
}
