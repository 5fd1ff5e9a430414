//! The moment in which the new takes the place of the old, and how it is completed after a kill.

use std::io::ErrorKind;

use super::Result;
use super::stage::{Journal, NEW, OLD, Stage, Switch};
use crate::fs::{self, Folder};

/// Switches the children of `destination`, all of which are complete in the stage. Doing it again after an interruption
/// does the rest.
///
/// # Errors
/// When the file system refuses.
pub(super) fn switch_children(stage: &Stage, switches: &[Switch], destination: &Folder) -> fs::Result<()> {
    let new = stage.folder().folder(NEW.as_bytes())?;
    if stage.folder().stamp(OLD.as_bytes())?.is_none() {
        stage.folder().create_folder(OLD.as_bytes(), 0o700)?;
    }
    let old = stage.folder().folder(OLD.as_bytes())?;
    for switch in switches {
        match switch {
            Switch::Put(name, inode) if has(&new, name, *inode)? => put(&new, name.as_bytes(), destination, &old)?,
            Switch::Remove(name, inode) if has(destination, name, *inode)? => {
                move_aside(destination, name.as_bytes(), &old)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn has(folder: &Folder, name: &str, inode: u64) -> fs::Result<bool> {
    Ok(folder.stamp(name.as_bytes())?.is_some_and(|stamp| stamp.inode == inode))
}

fn put(new: &Folder, name: &[u8], destination: &Folder, old: &Folder) -> fs::Result<()> {
    if destination.stamp(name)?.is_some() {
        if new.exchange(name, destination, name).is_ok() {
            return Ok(());
        }
        // A file system that cannot exchange gets two steps, which the next run completes after a kill.
        move_aside(destination, name, old)?;
    }
    new.rename(name, destination, name)
}

fn move_aside(destination: &Folder, name: &[u8], old: &Folder) -> fs::Result<()> {
    match destination.rename(name, old, name) {
        // A directory of a lower layer of an overlay file system cannot be renamed, but removed.
        Err(error) if error.source.kind() == ErrorKind::CrossesDevices => destination.remove_tree(name),
        renamed => renamed,
    }
}

/// Moves what others put into the old folder while the new one was prepared to the destination. The old folder is `new`
/// of the stage since the exchange.
///
/// # Errors
/// When the file system refuses; everything is still there then.
pub(super) fn rescue(
    stage: &Stage,
    owned: &[String],
    linked: &[(Vec<u8>, u64)],
    destination: &Folder,
) -> fs::Result<()> {
    let old = stage.folder().folder(NEW.as_bytes())?;
    for (name, _) in old.children()? {
        let was_linked = |inode| linked.iter().any(|(linked, number)| (&**linked, *number) == (&*name, inode));
        let Some(there) = old.stamp(&name)? else { continue };
        if owned.iter().any(|owned| owned.as_bytes() == &*name) || was_linked(there.inode) {
            continue;
        }
        match destination.stamp(&name)? {
            None => old.rename_to_free(&name, destination, &name)?,
            Some(here) if was_linked(here.inode) => old.rename(&name, destination, &name)?,
            // Replaced once more since: the last one counts.
            Some(_) => {}
        }
    }
    Ok(())
}

/// Completes the switch that `journal` tells of, if it had begun. Returns whether it had: the destination holds the new
/// result then.
///
/// # Errors
/// When the file system refuses.
pub(super) fn complete(stage: &Stage, journal: &Journal, destination: &Folder) -> Result<bool> {
    let present = stage.folder().stamp(NEW.as_bytes())?;
    match (journal, present) {
        (Journal::Prepare, _) => return Ok(false),
        // Removed after the switch.
        (_, None) => {}
        (Journal::Switch(switches), Some(_)) => switch_children(stage, switches, destination)?,
        (Journal::Exchange { old, .. }, Some(present)) if present.inode != *old => return Ok(false),
        (Journal::Exchange { owned, linked, .. }, Some(_)) => rescue(stage, owned, linked, destination)?,
    }
    Ok(true)
}
