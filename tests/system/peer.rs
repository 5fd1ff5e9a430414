//! An extension that no tool made, of a content that scenarios know. It is the control group: what a machine says about it
//! shows that the machine is able to judge.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::command::explain;

/// Makes the sysext `name` for Debian 13 below `folder`: a note, and a service that starts when the extension is merged.
pub(crate) fn sysext(folder: &Path, name: &str) -> Outcome<PathBuf> {
    let units = "usr/lib/systemd/system";
    let tree = folder.join(name);
    for (path, text) in [
        (
            format!("usr/lib/extension-release.d/extension-release.{name}"),
            "ID=debian\nVERSION_ID=13\nEXTENSION_RELOAD_MANAGER=1\n".to_owned(),
        ),
        (format!("usr/share/{name}/note"), format!("note of {name}\n")),
        (format!("{units}/{name}.service"), "[Service]\nExecStart=/bin/sleep infinity\n".to_owned()),
        (format!("{units}/multi-user.target.d/10-{name}.conf"), format!("[Unit]\nUpholds={name}.service\n")),
    ] {
        let place = tree.join(path);
        let above = place.parent().unwrap_or(&tree);
        fs::create_dir_all(above).map_err(explain(format!("make {}", above.display())))?;
        fs::write(&place, text).map_err(explain(format!("write {}", place.display())))?;
    }
    Ok(tree)
}
