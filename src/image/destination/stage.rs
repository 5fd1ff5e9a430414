//! The hidden folder in which a result is prepared, and what a killed render left in it.
//!
//! ```text
//! .NAME.layerforge/   beside the destination NAME, to exchange the whole folder; or
//! .layerforge/        in the destination, to switch its children
//!   journal           what is going on, as JSON; written first, removed last
//!   new/              the new folder or the new children; after the switch the old ones
//!   old/              old children that no new one takes the place of
//!   record            what the destination holds after the switch; written when `new` is complete
//! ```

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{DestinationError, Options, Result, is_artifact_name, switch};
use crate::event::Event;
use crate::fs::{self, Folder};
use crate::store::{self, Record};

/// The folder with what is new.
pub(super) const NEW: &str = "new";
/// The folder with old children.
pub(super) const OLD: &str = "old";
/// The stage inside a destination.
pub(super) const INSIDE: &str = ".layerforge";
const JOURNAL: &str = "journal";
const NEW_JOURNAL: &str = "journal.new";
const RECORD: &str = "record";

/// Says what is going on in a stage, so that the next run can complete or undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Journal {
    /// The new result is being prepared; nothing is switched yet.
    Prepare,
    /// The destination is going to be exchanged with `new`.
    Exchange {
        /// The inode number of the old folder: when it stands at `new`, the exchange has taken place.
        old: u64,
        /// The children that layerforge makes or made.
        owned: Vec<String>,
        /// The children of others, which are hard links in `new`: names and inode numbers.
        linked: Vec<(Vec<u8>, u64)>,
    },
    /// These children are being switched, in this order.
    Switch(Vec<Switch>),
}

impl Journal {
    /// Tells whether no name in it leads out of the destination.
    fn is_sound(&self) -> bool {
        match self {
            Self::Prepare | Self::Exchange { .. } => true,
            Self::Switch(switches) => switches.iter().all(
                |switch| matches!(switch, Switch::Put(name, _) | Switch::Remove(name, _) if is_artifact_name(name)),
            ),
        }
    }
}

/// One child of the destination to be switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Switch {
    /// The one with this inode number comes from `new`.
    Put(String, u64),
    /// The one with this inode number goes to `old`.
    Remove(String, u64),
}

/// An open stage.
#[derive(Debug)]
pub(super) struct Stage {
    parent: Folder,
    name: Vec<u8>,
    folder: Folder,
}

impl Stage {
    /// Makes an empty stage in `parent`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn create(parent: Folder, name: Vec<u8>) -> fs::Result<Self> {
        parent.create_folder(&name, 0o700)?;
        // Whatever the umask left of it.
        parent.set_mode(&name, 0o700)?;
        let folder = parent.folder(&name)?;
        let stage = Self { parent, name, folder };
        match stage.write_journal(&Journal::Prepare) {
            Ok(()) => Ok(stage),
            Err(error) => {
                stage.discard();
                Err(error)
            }
        }
    }

    /// Opens the stage `name` in `parent` that an earlier process left.
    fn find(parent: Folder, name: Vec<u8>) -> Result<Option<(Self, Option<Journal>)>> {
        let in_the_way = || DestinationError::InTheWay { path: parent.path_of(&name) };
        let folder = match parent.stamp(&name)? {
            None => return Ok(None),
            Some(stamp) if !stamp.is_directory() => return Err(in_the_way()),
            Some(_) => parent.folder(&name)?,
        };
        let journal = read(&folder, JOURNAL)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let journal = journal.filter(Journal::is_sound);
        let alone = folder.children()?.iter().all(|(child, _)| **child == *NEW_JOURNAL.as_bytes());
        if journal.is_none() && !alone {
            return Err(in_the_way());
        }
        Ok(Some((Self { parent, name, folder }, journal)))
    }

    /// Returns the folder that holds `new` and `old`.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the folder that the stage stands in.
    pub(super) fn parent(&self) -> &Folder {
        &self.parent
    }

    /// Replaces the journal in one step.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn write_journal(&self, journal: &Journal) -> fs::Result<()> {
        let bytes = serde_json::to_vec(journal).expect("a journal is made of texts and numbers");
        let mut file = self.folder.create_file(NEW_JOURNAL.as_bytes(), 0o600)?;
        let written = file.write_all(&bytes);
        written.map_err(fs::Error::on("write", self.folder.path_of(JOURNAL.as_bytes())))?;
        self.folder.rename(NEW_JOURNAL.as_bytes(), &self.folder, JOURNAL.as_bytes())
    }

    /// Leaves for the next run what the destination holds after the switch.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn write_record(&self, record: &Record) -> fs::Result<()> {
        let mut file = self.folder.create_file(RECORD.as_bytes(), 0o600)?;
        let written = file.write_all(&store::encode_record(record));
        written.map_err(fs::Error::on("write", self.folder.path_of(RECORD.as_bytes())))
    }

    fn read_record(&self) -> fs::Result<Option<Record>> {
        Ok(read(&self.folder, RECORD)?.and_then(|bytes| store::decode_record(&bytes)))
    }

    /// Removes what was switched out.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn remove_switched_out(&self) -> fs::Result<()> {
        self.folder.remove_tree(OLD.as_bytes())?;
        self.folder.remove_tree(NEW.as_bytes())
    }

    /// Removes the stage after a switch. The record outlives what was switched out, and the journal everything: without
    /// it the folder would be taken for somebody else's.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn remove(&self) -> fs::Result<()> {
        self.remove_in_order([NEW, OLD, RECORD, NEW_JOURNAL, JOURNAL])
    }

    /// Removes a stage that was not switched, as far as that goes: the next run does the rest. The record goes first:
    /// without `new` it would stand for a result that was switched in.
    pub(super) fn discard(&self) {
        self.remove_in_order([RECORD, NEW, OLD, NEW_JOURNAL, JOURNAL]).ok();
    }

    fn remove_in_order(&self, names: [&str; 5]) -> fs::Result<()> {
        names.iter().try_for_each(|name| self.folder.remove_tree(name.as_bytes()))?;
        self.parent.remove_tree(&self.name)
    }
}

fn read(folder: &Folder, name: &str) -> fs::Result<Option<Vec<u8>>> {
    match folder.stamp(name.as_bytes())? {
        Some(stamp) if !stamp.is_directory() => fs::read(&folder.path_of(name.as_bytes())).map(Some),
        _ => Ok(None),
    }
}

/// Returns the folder that holds the destination and the name of the stage in it, unless the destination is the root.
pub(super) fn beside(path: &Path) -> Option<(&Path, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name()?.as_bytes();
    Some((path.parent()?, [b".", name, b".layerforge"].concat()))
}

/// Completes or undoes what a killed render was doing with the destination `folder` at `path`.
///
/// # Errors
/// When something else stands at a stage's name or the file system refuses.
pub(super) fn recover(path: &Path, folder: &Folder, options: &Options<'_>) -> Result<()> {
    let outside = match beside(path) {
        // A parent that may not be read never held a stage of this user.
        Some((parent, name)) => match Folder::open(parent) {
            Ok(parent) => Stage::find(parent, name)?,
            Err(error) if error.is_unreachable() => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let inside = Stage::find(folder.folder(b".")?, INSIDE.into())?;
    for (stage, journal) in outside.into_iter().chain(inside) {
        let switched = match &journal {
            None => false,
            Some(journal) => switch::complete(&stage, journal, folder)?,
        };
        if !switched {
            stage.discard();
            continue;
        }
        if let Some(record) = stage.read_record()? {
            keep(options, path, &record);
        }
        stage.remove()?;
    }
    Ok(())
}

/// Keeps `record` in the store; when that fails, no record is better than an old one.
pub(super) fn keep(options: &Options<'_>, destination: &Path, record: &Record) {
    let Err(error) = options.store.keep_record(destination, record) else { return };
    let forgotten = options.store.forget_record(destination);
    let error = forgotten.err().unwrap_or(error);
    options.reporter.report(Event::Warning {
        message: format!("{error} ({}): the next render has to read everything again", error.source),
        hint: None,
    });
}
