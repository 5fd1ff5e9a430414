//! The artifacts of one commit: compared with what is there, and written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rayon::prelude::*;

use super::{Body, Destination, FILE_MODE, Rendered, Result, artifact_entry, artifacts, is_artifact_name};
use crate::digest::{Digest, Hasher};
use crate::fs::{self, Folder, Stamp};
use crate::image::directory::{DirectoryError, Layout, Old};
use crate::store::{self, Entry, Listing, Written};

/// What is to be written into a destination, compared with what is there.
pub(super) struct Commit<'commit, 'run> {
    pub(super) destination: &'commit Destination<'run>,
    pub(super) obsolete: Vec<String>,
    artifacts: Vec<Prepared<'commit>>,
    kinds: Vec<&'commit str>,
    inputs: &'commit Listing,
    seconds: i64,
}

/// Where artifacts are written, and from what.
struct Places<'commit> {
    new: &'commit Folder,
    old: &'commit Folder,
    inputs: &'commit Listing,
    seconds: i64,
}

/// An artifact compared with what is there.
pub(super) struct Prepared<'commit> {
    name: &'commit str,
    kind: &'commit str,
    form: Form<'commit>,
    /// What is expected of it on disk; of a writer's file once it has been written or read.
    entry: Option<Entry>,
    /// What is known to be there now.
    known: Option<&'commit Written>,
    /// Whether it is different.
    pub(super) changed: bool,
}

enum Form<'commit> {
    Directory(Layout<'commit>),
    Bytes(&'commit [u8]),
    /// A function, and whether it reads files of the host.
    Writer(&'commit (dyn Fn(&mut dyn Write) -> io::Result<()> + Sync), bool),
}

impl<'commit, 'run> Commit<'commit, 'run> {
    /// Compares `rendered` with what the destination holds.
    ///
    /// # Errors
    /// When the file system refuses, or a writer fails.
    pub(super) fn prepare(destination: &'commit Destination<'run>, rendered: &'commit Rendered<'_>) -> Result<Self> {
        let judgement = destination.judgement()?;
        let mut prepared = Vec::new();
        let mut obsolete = Vec::new();
        for output in &rendered.outputs {
            let known = destination.known.iter().find(|written| written.kind == output.kind);
            for artifact in &output.artifacts {
                let mut one = Prepared::of(output.kind, artifact.name, &artifact.body, rendered.seconds);
                one.known = known;
                one.changed = one.differs() || !judgement.is_artifact_untouched(artifact.name.as_bytes());
                prepared.push(one);
            }
            for name in known.into_iter().flat_map(artifacts) {
                let made = output.artifacts.iter().any(|artifact| artifact.name.as_bytes() == name);
                let name = std::str::from_utf8(name).ok().filter(|name| !made && is_artifact_name(name));
                if let Some(name) = name
                    && destination.folder.stamp(name.as_bytes())?.is_some()
                {
                    obsolete.push(name.to_owned());
                }
            }
        }
        let kinds = rendered.outputs.iter().map(|output| output.kind).collect();
        let (inputs, seconds) = (&rendered.inputs, rendered.seconds);
        let mut commit = Self { destination, obsolete, artifacts: prepared, kinds, inputs, seconds };
        commit.read_writers()?;
        Ok(commit)
    }

    /// When only files that are written by functions could be different, finds out what they hold before anything is
    /// prepared on disk.
    fn read_writers(&mut self) -> Result<()> {
        let undecided = |one: &Prepared<'_>| matches!(one.form, Form::Writer(..)) && one.known_entry().is_some();
        if !self.obsolete.is_empty() || self.artifacts.iter().any(|one| one.changed && !undecided(one)) {
            return Ok(());
        }
        for one in self.artifacts.iter_mut().filter(|one| undecided(one)) {
            let Form::Writer(write, _) = &one.form else { continue };
            let mut hasher = Hasher::new();
            write(&mut hasher).map_err(fs::Error::on("make", self.destination.path().join(one.name)))?;
            let (digest, size) = hasher.finish();
            one.entry = Some(file_entry(one.name, digest, size, self.seconds));
            one.changed = one.differs();
        }
        Ok(())
    }

    /// Tells whether anything is different.
    pub(super) fn is_new(&self) -> bool {
        !self.obsolete.is_empty() || self.artifacts.iter().any(|artifact| artifact.changed)
    }

    /// Returns the names of the artifacts that are different and those that go away, in this order.
    pub(super) fn changed(&self) -> Vec<String> {
        self.changed_artifacts().map(str::to_owned).chain(self.obsolete.iter().cloned()).collect()
    }

    /// Returns the names of the artifacts that are different, in the order in which they are switched.
    pub(super) fn changed_artifacts(&self) -> impl Iterator<Item = &str> {
        self.artifacts.iter().filter(|artifact| artifact.changed).map(|artifact| artifact.name)
    }

    /// Tells whether a child of the destination is, or was, an artifact of the kinds that are written.
    pub(super) fn owns(&self, name: &[u8]) -> bool {
        self.artifacts.iter().any(|artifact| artifact.name.as_bytes() == name)
            || self.obsolete.iter().any(|obsolete| obsolete.as_bytes() == name)
    }

    /// Returns the names of all children that [`Self::owns`] is true for.
    pub(super) fn owned(&self) -> Vec<String> {
        let made = self.artifacts.iter().map(|artifact| artifact.name.to_owned());
        made.chain(self.obsolete.iter().cloned()).collect()
    }

    /// Writes the artifacts that `wanted` chooses to the empty folder `new`.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn fill(&mut self, new: &Folder, wanted: impl Fn(&Prepared<'_>) -> bool + Sync) -> Result<()> {
        let places = Places { new, old: &self.destination.folder, inputs: self.inputs, seconds: self.seconds };
        let wanted = self.artifacts.par_iter_mut().filter(|artifact| wanted(artifact));
        wanted.try_for_each(|artifact| artifact.write(&places))?;
        // Directories check what they copy; what a function reads can only be checked as a whole.
        let by_function = |artifact: &Prepared<'_>| artifact.changed && matches!(artifact.form, Form::Writer(_, true));
        if !self.artifacts.iter().any(by_function) {
            return Ok(());
        }
        // Of the inputs, only files that were read can be in what it writes.
        let is_read =
            |path: &PathBuf| self.inputs.get(path.as_os_str().as_bytes()).is_some_and(|entry| entry.digest.is_some());
        match self.inputs.differences(&self.destination.folder)?.into_iter().find(is_read) {
            Some(path) => Err(DirectoryError::SourceChanged { path }.into()),
            None => Ok(()),
        }
    }

    /// Returns what is on disk when everything is written, with stamps as expected.
    pub(super) fn written(&self) -> Vec<Written> {
        let kinds = self.kinds.iter().map(|kind| {
            let artifacts = || self.artifacts.iter().filter(|artifact| artifact.kind == *kind);
            let entries = artifacts().filter_map(|artifact| artifact.entry.clone()).collect();
            let mut directories = vec![store::Directory { path: Box::default(), entries, complete: false }];
            for artifact in artifacts() {
                if let Form::Directory(layout) = &artifact.form {
                    directories.extend(layout.listing(artifact.name));
                }
            }
            Written { kind: (*kind).to_owned(), listing: Listing::from_unsorted(directories) }
        });
        kinds.collect()
    }
}

impl<'commit> Prepared<'commit> {
    fn of(kind: &'commit str, name: &'commit str, body: &Body<'commit>, seconds: i64) -> Self {
        let (form, entry) = match body {
            Body::Directory(tree) => {
                let layout = Layout::of(tree);
                let entry = artifact_entry(name, layout.root_stamp(), None);
                (Form::Directory(layout), Some(entry))
            }
            Body::Bytes(bytes) => {
                let entry = file_entry(name, Digest::of(bytes), bytes.len() as u64, seconds);
                (Form::Bytes(bytes), Some(entry))
            }
            Body::Writer(write) => (Form::Writer(*write, true), None),
            Body::Text(write) => (Form::Writer(*write, false), None),
        };
        Self { name, kind, form, entry, known: None, changed: true }
    }

    fn known_entry(&self) -> Option<&'commit Entry> {
        self.known?.listing.get(self.name.as_bytes())
    }

    /// Tells whether it is not what is known to be there.
    fn differs(&self) -> bool {
        let Some((known, entry)) = self.known_entry().zip(self.entry.as_ref()) else { return true };
        match (&self.form, self.known) {
            (Form::Directory(layout), Some(known)) => !layout.is_listed(&known.listing, self.name),
            _ => !known.same_result(entry),
        }
    }

    fn write(&mut self, places: &Places<'_>) -> Result<()> {
        let Places { new, old, inputs, seconds } = *places;
        let name = self.name.as_bytes();
        // What cannot be linked is written again.
        let linked = !self.changed && !matches!(self.form, Form::Directory(_)) && old.link(name, new, name).is_ok();
        if linked {
            return Ok(());
        }
        match &self.form {
            Form::Directory(layout) => {
                let root = self.known.and_then(|known| Some((known, old.folder(name).ok()?)));
                let old = root.as_ref().map(|(known, root)| Old { root, listing: &known.listing, prefix: self.name });
                Ok(layout.write(new, self.name, old, inputs)?)
            }
            Form::Bytes(bytes) => Ok(write_file(new, self.name, seconds, |file| file.write_all(bytes))?),
            Form::Writer(write, _) => {
                let mut hasher = Hasher::new();
                write_file(new, self.name, seconds, |file| {
                    let mut tee = Tee { file: BufWriter::with_capacity(1 << 17, file), hasher: &mut hasher };
                    write(&mut tee)?;
                    tee.flush()
                })?;
                let (digest, size) = hasher.finish();
                self.entry = Some(file_entry(self.name, digest, size, seconds));
                self.changed &= self.differs();
                Ok(())
            }
        }
    }
}

fn file_entry(name: &str, digest: Digest, size: u64, seconds: i64) -> Entry {
    artifact_entry(name, Stamp::expected(Stamp::REGULAR | FILE_MODE, size, seconds), Some(digest))
}

fn write_file(
    folder: &Folder,
    name: &str,
    seconds: i64,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> fs::Result<()> {
    let mut file = folder.create_file(name.as_bytes(), FILE_MODE)?;
    write(&mut file)
        .and_then(|()| fs::set_file_mode(&file, FILE_MODE))
        .and_then(|()| fs::set_file_time(&file, fs::Timestamp::from_seconds(seconds)))
        .map_err(|source| fs::Error { action: "write", path: folder.path_of(name.as_bytes()), source })
}

/// Writes to a file and hashes what it writes.
struct Tee<'run, W: Write> {
    file: W,
    hasher: &'run mut Hasher,
}

impl<W: Write> Write for Tee<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
