//! The certificates of authorities as one file, and one by one under their names (update-ca-certificates(8)).
//!
//! Links by the hash of a subject are not made: programs read the one file.

use std::collections::BTreeMap;

use super::Work;
use crate::build::packages::PackagesError;
use crate::tree::TreePath;

const FOLDER: &str = "/usr/share/ca-certificates";

/// Makes `/etc/ssl/certs` where packages bring certificates along.
pub(super) fn make(work: &mut Work<'_>) -> Result<(), PackagesError> {
    let folder: TreePath = FOLDER.parse()?;
    let files = work.tree.below(&folder).filter(|(path, _)| path.as_bytes().ends_with(b".crt"));
    let files: Vec<TreePath> = files.map(|(path, _)| path.clone()).collect();
    let (mut list, mut certificates) = (String::new(), BTreeMap::new());
    for path in &files {
        let Some(text) = work.text(path)? else { continue };
        let shown = path.to_string();
        let relative = shown.strip_prefix(FOLDER).unwrap_or(&shown).trim_start_matches('/');
        list.push_str(relative);
        list.push('\n');
        let name = relative.rsplit('/').next().unwrap_or(relative).trim_end_matches(".crt");
        let name = format!("{}.pem", name.replace(' ', "_").replace(['(', ')'], "=").replace(',', "_"));
        let end = if text.ends_with('\n') { "" } else { "\n" };
        certificates.insert(name, (shown.clone(), format!("{text}{end}")));
    }
    if certificates.is_empty() {
        return Ok(());
    }
    work.put_text("/etc/ca-certificates.conf", 0o644, list)?;
    let whole: String = certificates.values().map(|(_, text)| text.as_str()).collect();
    work.put_text("/etc/ssl/certs/ca-certificates.crt", 0o644, whole)?;
    for (name, (path, _)) in &certificates {
        work.put_link(&format!("/etc/ssl/certs/{name}"), path)?;
    }
    Ok(())
}
