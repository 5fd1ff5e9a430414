//! A Debian root, made from the mirror that the host itself uses.

use std::path::Path;
use std::process::Command;

use crate::Result;
pub(crate) use crate::command::{done, said};

/// Makes the root of Debian 13 with some packages at `root`.
pub(crate) fn bootstrap(root: &Path, variant: &str, packages: &str) -> Result<()> {
    let mut debian = Command::new("mmdebstrap");
    debian.args(["--quiet", "--mode=root"]).arg(format!("--variant={variant}")).arg(format!("--include={packages}"));
    for line in said(Command::new("apt-config").arg("dump"))?.lines() {
        if line.starts_with("Acquire::http") && line.contains("::Proxy ") {
            debian.arg(format!("--aptopt={line}"));
        }
    }
    done(debian.arg("trixie").arg(root).arg(source()?))
}

/// Returns where the packages come from: the mirror that the host itself uses.
fn source() -> Result<String> {
    let format = "$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let targets = said(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let mirror =
        targets.lines().find_map(|line| line.strip_prefix("Debian|main|")).ok_or("the host has no Debian mirror")?;
    Ok(format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} trixie main"))
}
