//! Directories, files and links that `tmpfiles.d` asks for and that outlive a boot (tmpfiles.d(5)).
//!
//! What lies in `/run`, `/tmp`, `/dev`, `/proc` and `/sys` is made at every boot, and not here; so is what only counts at boot.

use super::{Work, words};
use crate::build::packages::PackagesError;
use crate::tree::{Content, Kind, Meta, Node, TreePath};

/// Where nothing outlives a boot.
const OF_A_BOOT: [&str; 6] = ["/run", "/tmp", "/dev", "/proc", "/sys", "/var/run"];
/// What is copied when nothing else is said.
const FACTORY: &str = "/usr/share/factory";

/// Makes what is not there.
pub(super) fn make(work: &mut Work<'_>) -> Result<(), PackagesError> {
    for line in work.settings("/usr/lib/tmpfiles.d")? {
        let words = words(&line);
        let at = |place: usize| words.get(place).map(String::as_str).filter(|word| *word != "-");
        let (Some(kind), Some(path)) = (at(0), at(1)) else { continue };
        // `%` stands for something of the machine, `!` for the time of a boot.
        let lasts = !OF_A_BOOT.iter().any(|above| path == *above || path.starts_with(&format!("{above}/")));
        if !lasts || path.contains('%') || kind.contains('!') {
            continue;
        }
        let Ok(path) = path.parse::<TreePath>() else { continue };
        let mode =
            at(2).map(|mode| mode.trim_start_matches([':', '~'])).and_then(|mode| u16::from_str_radix(mode, 8).ok());
        let uid = at(3).map_or(Ok(Some(0)), |user| work.id("/etc/passwd", user.trim_start_matches(':')))?;
        let gid = at(4).map_or(Ok(Some(0)), |group| work.id("/etc/group", group.trim_start_matches(':')))?;
        let (Some(uid), Some(gid)) = (uid, gid) else { continue };
        // The argument is the rest of the line.
        let argument = words.get(6..).map(|words| words.join(" ")).filter(|text| !text.is_empty() && text != "-");
        let meta = |usual: u16| Meta { uid, gid, ..Meta::root_owned(mode.unwrap_or(usual) & 0o7777, work.epoch) };
        let factory = || argument.clone().unwrap_or_else(|| format!("{FACTORY}{path}"));
        let node = match kind.trim_end_matches(['+', '-', '=', '~', '^', '$', '?']) {
            "d" | "D" | "v" | "q" | "Q" => Node { kind: Kind::directory(), meta: meta(0o755) },
            "f" | "F" => {
                let bytes = argument.clone().unwrap_or_default().replace("\\n", "\n").into_bytes();
                Node { kind: Kind::Regular(Content::inline(bytes)), meta: meta(0o644) }
            }
            "L" => Node { kind: Kind::Symlink(factory().into_bytes().into()), meta: meta(0o777) },
            "C" => {
                copy(work, &path, &factory())?;
                continue;
            }
            _ => continue,
        };
        work.put(&path, node)?;
    }
    Ok(())
}

/// Copies a file, or a directory with all that is below it, to where nothing is.
fn copy(work: &mut Work<'_>, path: &TreePath, from: &str) -> Result<(), PackagesError> {
    let Ok(from) = from.parse::<TreePath>() else { return Ok(()) };
    let Some(node) = work.tree.get(&from).cloned() else { return Ok(()) };
    let below: Vec<(TreePath, Node)> =
        work.tree.below(&from).map(|(path, node)| (path.clone(), node.clone())).collect();
    if !work.put(path, node)? {
        return Ok(());
    }
    for (source, node) in below {
        let rest = &source.as_bytes()[from.as_bytes().len() + 1..];
        let target = TreePath::from_relative(&[path.as_bytes(), rest].join(&b'/'))?;
        work.put(&target, node)?;
    }
    Ok(())
}
