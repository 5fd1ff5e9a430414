//! What scripts of packages of Alpine do for images, done without running them.
//!
//! Comes in: a tree of installed packages. Goes out: the tree with accounts, the links of busybox, the bundle of certificates
//! and the list of shells. Always holds: what is there already stays; the same packages give the same tree.
//!
//! There is nothing to do for libraries: musl looks into `/lib`, `/usr/local/lib` and `/usr/lib` by itself and has no cache,
//! and `ldconfig` of Alpine does nothing.

use super::accounts;
use super::database::{DatabaseError, Decisions, settle};
use super::scripts::{Steps, steps};
use crate::fs;
use crate::packages::accounts::Accounts;
use crate::packages::archive::Unpacked;
use crate::packages::claims::ClaimError;
use crate::packages::step::Left;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// The most bytes of one certificate or list.
const LARGEST: usize = 16 << 20;

/// Does what is known of what scripts do. Returns what was left: whole scripts of which nothing was done stand there by
/// their names.
///
/// # Errors
/// When packages say something about themselves that cannot be, or something in the tree is in the way.
pub fn skip_scripts(tree: &mut Tree, packages: &[Unpacked], decisions: &Decisions) -> Result<Vec<Left>, DatabaseError> {
    let steps = steps(packages, &decisions.world)?;
    let mut left = make_accounts(tree, &steps, decisions.epoch)?;
    settle(tree, packages, decisions)?;
    link_busybox(tree, decisions.epoch)?;
    bundle_certificates(tree, decisions.epoch)?;
    add_shells(tree, &steps, decisions.epoch)?;
    const DONE: [&str; 4] = ["busybox", "ca-certificates", "bash", "zsh"];
    for step in steps.after.iter().filter(|step| !DONE.contains(&step.package.as_str())) {
        left.push(Left { package: step.package.clone(), what: step.name.clone() });
    }
    Ok(left)
}

/// Makes the accounts that scripts make before an installation.
///
/// # Errors
/// When files of accounts cannot be read, or something is in the way.
pub fn make_accounts(tree: &mut Tree, steps: &Steps, epoch: i64) -> Result<Vec<Left>, DatabaseError> {
    let mut accounts = Accounts::of(tree)?;
    let mut left = Vec::new();
    for step in &steps.before {
        let script = step.script.as_ref().map_or(&b""[..], |(_, bytes)| bytes);
        for what in accounts::run(&mut accounts, &String::from_utf8_lossy(script), epoch) {
            left.push(Left { package: step.package.clone(), what });
        }
    }
    if !steps.before.is_empty() {
        accounts.write(tree, epoch)?;
    }
    Ok(left)
}

/// Makes the names of busybox that its list has and that nothing stands at.
///
/// # Errors
/// When the list cannot be read, or something is in the way.
pub fn link_busybox(tree: &mut Tree, epoch: i64) -> Result<(), DatabaseError> {
    let busybox: TreePath = "/bin/busybox".parse().map_err(ClaimError::from)?;
    let lists: TreePath = "/etc/busybox-paths.d".parse().map_err(ClaimError::from)?;
    if tree.lookup(&busybox).is_none() {
        return Ok(());
    }
    let mut names = String::new();
    for (_, node) in tree.below(&lists) {
        names += &text(node)?;
        names.push('\n');
    }
    for name in names.lines().map(str::trim).filter(|name| !name.is_empty()) {
        let path = TreePath::from_relative(name.trim_start_matches('/').as_bytes()).map_err(ClaimError::from)?;
        let Some(parent) = path.parent().and_then(|parent| tree.follow(&parent)) else { continue };
        let path = parent.join(path.name().unwrap_or_default()).map_err(ClaimError::from)?;
        if tree.get(&path).is_none() {
            let kind = Kind::Symlink(b"/bin/busybox".as_slice().into());
            tree.insert(path, Node { kind, meta: Meta::root_owned(0o777, epoch) }).map_err(ClaimError::from)?;
        }
    }
    Ok(())
}

/// Makes the bundle of certificates as `update-ca-certificates` does: those that are listed in `/etc/ca-certificates.conf`,
/// then those of the administrator. Links by hashes, which only programs without the bundle need, are not made.
///
/// # Errors
/// When a certificate cannot be read, or something is in the way.
pub fn bundle_certificates(tree: &mut Tree, epoch: i64) -> Result<(), DatabaseError> {
    let path = |text: &str| text.parse::<TreePath>().map_err(ClaimError::from);
    let Some(list) = tree.get(&path("/etc/ca-certificates.conf")?) else { return Ok(()) };
    let list = text(list)?;
    let shipped = path("/usr/share/ca-certificates")?;
    let mut bundle = String::new();
    let mut take = |node: &Node| -> Result<(), DatabaseError> {
        bundle += text(node)?.trim_end();
        bundle.push('\n');
        Ok(())
    };
    for name in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
        let certificate = TreePath::from_relative([shipped.as_bytes(), b"/", name.as_bytes()].concat().as_slice());
        tree.lookup(&certificate.map_err(ClaimError::from)?).map_or(Ok(()), &mut take)?;
    }
    for (certificate, node) in tree.below(&path("/usr/local/share/ca-certificates")?) {
        if certificate.as_bytes().ends_with(b".crt") {
            take(node)?;
        }
    }
    let target = path("/etc/ssl/certs/ca-certificates.crt")?;
    for above in target.ancestors().collect::<Vec<_>>().into_iter().rev() {
        if tree.get(&above).is_none() {
            let meta = Meta::root_owned(0o755, epoch);
            tree.insert(above, Node { kind: Kind::directory(), meta }).map_err(ClaimError::from)?;
        }
    }
    let kind = Kind::Regular(Content::inline(bundle.into_bytes()));
    tree.insert(target, Node { kind, meta: Meta::root_owned(0o644, epoch) }).map_err(ClaimError::from)?;
    Ok(())
}

/// Adds the shells that scripts add with `add-shell` to `/etc/shells`.
fn add_shells(tree: &mut Tree, steps: &Steps, epoch: i64) -> Result<(), DatabaseError> {
    let path: TreePath = "/etc/shells".parse().map_err(ClaimError::from)?;
    let mut lines = tree.get(&path).map_or(Ok(String::new()), text)?;
    let before = lines.len();
    for step in &steps.after {
        let script = step.script.as_ref().map_or(&b""[..], |(_, bytes)| bytes);
        for line in String::from_utf8_lossy(script).lines() {
            let mut words = line.split_whitespace();
            if words.next().is_some_and(|word| word == "add-shell" || word.ends_with("/add-shell")) {
                let shells = words.map(|word| word.trim_matches(['\'', '"'])).filter(|word| word.starts_with('/'));
                for shell in shells {
                    if !lines.lines().any(|line| line == shell) {
                        lines += &format!("{shell}\n");
                    }
                }
            }
        }
    }
    if lines.len() > before {
        let meta = tree.get(&path).map_or_else(|| Meta::root_owned(0o644, epoch), |node| node.meta.clone());
        let kind = Kind::Regular(Content::inline(lines.into_bytes()));
        tree.insert(path, Node { kind, meta }).map_err(ClaimError::from)?;
    }
    Ok(())
}

/// Returns what a file holds; nothing for what is none, or is too long.
fn text(node: &Node) -> fs::Result<String> {
    let Kind::Regular(content) = &node.kind else { return Ok(String::new()) };
    Ok(String::from_utf8_lossy(&content.read(LARGEST)?.unwrap_or_default()).into_owned())
}
