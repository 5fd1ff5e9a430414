//! Writing a result into its destination: what is different, where it is prepared, and the end of the old one.

use std::path::Path;

use super::artifact::Commit;
use super::edit::{Edit, EditKind};
use super::stage::{self, INSIDE, Journal, NEW, Stage, Switch};
use super::{Destination, DestinationError, Rendered, Result, artifact_of, artifacts, switch};
use crate::fs::{self, Folder};
use crate::store::{Listing, Record, Written};

/// A result that is in its place. The old one is still on disk until [`Committed::finish`].
#[derive(Debug)]
#[must_use = "the old result stays on disk until `finish`"]
pub struct Committed<'run> {
    destination: Destination<'run>,
    changed: Vec<String>,
    record: Record,
    /// The kinds whose files are certain to be what the record says.
    certain: Vec<String>,
    staged: Option<Staged>,
}

/// A stage whose content was switched in.
#[derive(Debug)]
struct Staged {
    stage: Stage,
    journal: Journal,
    /// The folder that stands at the destination's path now, locked.
    folder: Folder,
}

impl<'run> Destination<'run> {
    /// Makes `rendered` the content of the destination. When nothing is different, nothing on disk changes.
    ///
    /// # Errors
    /// When something was changed by hand (without force), an input changed meanwhile, or the file system refuses. The
    /// old result is there then.
    pub fn commit(mut self, rendered: Rendered<'_>) -> Result<Committed<'run>> {
        self.refuse_edits(&rendered)?;
        self.forget_edited(&rendered)?;
        let mut commit = Commit::prepare(&self, &rendered)?;
        let others = self.others(&rendered);
        let mut staged = None;
        if commit.is_new() {
            staged = commit.whole(&others)?;
            if staged.is_none() {
                staged = Some(commit.children(&others)?);
            }
        }
        let changed = commit.changed();
        let mut certain: Vec<String> = rendered.outputs.iter().map(|output| output.kind.to_owned()).collect();
        let judgement = self.judgement()?;
        let untouched = |written: &&Written| artifacts(written).all(|name| judgement.is_artifact_untouched(name));
        certain.extend(others.iter().filter(untouched).map(|written| written.kind.clone()));
        let mut outputs = commit.written();
        outputs.extend(others);
        self.made.keep();
        let record = Record { key: Some(rendered.key), inputs: rendered.inputs, outputs };
        Ok(Committed { destination: self, changed, record, certain, staged })
    }

    /// Refuses to replace what was changed by hand in the kinds that are rendered, or was made by somebody else under the
    /// name of an artifact.
    fn refuse_edits(&self, rendered: &Rendered<'_>) -> Result<()> {
        if self.options.force {
            return Ok(());
        }
        let of_kind = |written: &&Written| rendered.outputs.iter().any(|output| output.kind == written.kind);
        let owned: Vec<&[u8]> = self.known.iter().filter(of_kind).flat_map(artifacts).collect();
        let edits = self.edits()?.iter().filter(|edit| owned.contains(&artifact_of(&edit.path)));
        let mut edits: Vec<Edit> = edits.cloned().collect();
        for artifact in rendered.outputs.iter().flat_map(|output| &output.artifacts) {
            let name = artifact.name.as_bytes();
            if !owned.contains(&name) && self.folder.stamp(name)?.is_some() {
                edits.push(Edit { path: artifact.name.into(), kind: EditKind::Added });
            }
        }
        if edits.is_empty() {
            return Ok(());
        }
        edits.sort();
        Err(DestinationError::Edited { path: self.path.clone(), edits })
    }

    /// Forgets what was changed by hand in the kinds that are rendered, so that nothing becomes a link to it.
    fn forget_edited(&mut self, rendered: &Rendered<'_>) -> Result<()> {
        let edits = self.edits()?.to_vec();
        if edits.is_empty() {
            return Ok(());
        }
        let of_kind = |written: &&mut Written| rendered.outputs.iter().any(|output| output.kind == written.kind);
        for written in self.known.iter_mut().filter(of_kind) {
            written.listing.forget(|path| edits.iter().any(|edit| path.starts_with(&edit.path)));
        }
        Ok(())
    }

    /// Returns what is known of the kinds that are not rendered now.
    fn others(&self, rendered: &Rendered<'_>) -> Vec<Written> {
        let rendered = |written: &&Written| rendered.outputs.iter().all(|output| output.kind != written.kind);
        self.known.iter().filter(rendered).cloned().collect()
    }
}

impl Commit<'_, '_> {
    /// Prepares a whole new folder beside the destination and exchanges the two. Returns nothing when that cannot be done
    /// here; nothing is left of it then.
    fn whole(&mut self, others: &[Written]) -> Result<Option<Staged>> {
        let Some((parent, name)) = stage::beside(self.destination.path()) else { return Ok(None) };
        let Some(foreign) = self.foreign_files()? else { return Ok(None) };
        let Ok(parent) = Folder::open(parent) else { return Ok(None) };
        let Ok(stage) = Stage::create(parent, name) else { return Ok(None) };
        match self.exchange(&stage, &foreign, others) {
            Ok(Some((journal, folder))) => Ok(Some(Staged { stage, journal, folder })),
            refused => {
                stage.discard();
                refused.map(|_| None)
            }
        }
    }

    /// Returns the children that are none of the artifacts; nothing when the folder has to stay the one it is.
    fn foreign_files(&self) -> fs::Result<Option<Vec<Box<[u8]>>>> {
        let folder = &self.destination.folder;
        if folder.is_mount_point()? || folder.has_attributes() {
            return Ok(None);
        }
        let mut foreign = Vec::new();
        for (name, is_directory) in folder.children()? {
            if self.owns(&name) {
                continue;
            }
            if is_directory {
                return Ok(None);
            }
            foreign.push(name);
        }
        Ok(Some(foreign))
    }

    fn exchange(
        &mut self,
        stage: &Stage,
        foreign: &[Box<[u8]>],
        others: &[Written],
    ) -> Result<Option<(Journal, Folder)>> {
        let old = &self.destination.folder;
        stage.folder().create_folder(NEW.as_bytes(), 0o777)?;
        let new = stage.folder().folder(NEW.as_bytes())?;
        self.fill(&new, |_| true)?;
        let mut linked = Vec::with_capacity(foreign.len());
        for name in foreign {
            if old.link(name, &new, name).is_err() {
                return Ok(None);
            }
            linked.extend(new.stamp(name)?.map(|stamp| (name.to_vec(), stamp.inode)));
        }
        if new.take_owner_and_mode(old).is_err() {
            return Ok(None);
        }
        self.conclude(stage, others)?;
        let journal = Journal::Exchange { old: old.id()?.inode, owned: self.owned(), linked };
        stage.write_journal(&journal)?;
        // Whoever comes to the new folder waits as well.
        new.lock(|| {})?;
        let Some((_, name)) = self.destination.path().parent().zip(self.destination.path().file_name()) else {
            return Ok(None);
        };
        let name = std::os::unix::ffi::OsStrExt::as_bytes(name);
        let exchanged = stage.folder().exchange(NEW.as_bytes(), stage.parent(), name);
        Ok(exchanged.is_ok().then_some((journal, new)))
    }

    /// Prepares what changed inside the destination and switches child by child.
    fn children(&mut self, others: &[Written]) -> Result<Staged> {
        let folder = self.destination.folder.folder(b".")?;
        let stage = Stage::create(folder, INSIDE.into())?;
        match self.prepare_children(&stage, others) {
            Ok(journal) => {
                let Journal::Switch(switches) = &journal else { unreachable!("children are switched") };
                // From here on the next run completes what fails.
                switch::switch_children(&stage, switches, &self.destination.folder)?;
                let folder = self.destination.folder.folder(b".")?;
                Ok(Staged { stage, journal, folder })
            }
            Err(error) => {
                stage.discard();
                Err(error)
            }
        }
    }

    fn prepare_children(&mut self, stage: &Stage, others: &[Written]) -> Result<Journal> {
        stage.folder().create_folder(NEW.as_bytes(), 0o777)?;
        let new = stage.folder().folder(NEW.as_bytes())?;
        self.fill(&new, |artifact| artifact.changed)?;
        let mut switches = Vec::new();
        for name in self.changed_artifacts() {
            let stamp = new.stamp(name.as_bytes())?;
            switches.extend(stamp.map(|stamp| Switch::Put(name.to_owned(), stamp.inode)));
        }
        for name in &self.obsolete {
            let stamp = self.destination.folder.stamp(name.as_bytes())?;
            switches.extend(stamp.map(|stamp| Switch::Remove(name.clone(), stamp.inode)));
        }
        self.conclude(stage, others)?;
        let journal = Journal::Switch(switches);
        stage.write_journal(&journal)?;
        Ok(journal)
    }

    /// Writes down for the next run, in case this one does not come to it, what the destination holds after the switch.
    fn conclude(&self, stage: &Stage, others: &[Written]) -> Result<()> {
        let mut outputs = self.written();
        outputs.extend_from_slice(others);
        Ok(stage.write_record(&Record { key: None, inputs: Listing::new(), outputs })?)
    }
}

impl Committed<'_> {
    /// Returns the names of the artifacts that are different now, removed ones included; empty when nothing on disk
    /// changed.
    pub fn changed(&self) -> &[String] {
        &self.changed
    }

    /// Returns the real path of the destination.
    pub fn path(&self) -> &Path {
        self.destination.path()
    }

    /// Removes the old result and keeps the record for the next render. What is interrupted or refused here is made up
    /// for by the next render.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn finish(self) -> Result<()> {
        let Self { destination, mut record, certain, staged, .. } = self;
        if let Some(Staged { stage, journal, folder }) = &staged {
            if let Journal::Exchange { owned, linked, .. } = journal {
                switch::rescue(stage, owned, linked, folder)?;
            }
            stage.remove_switched_out()?;
        }
        let folder = staged.as_ref().map_or(&destination.folder, |staged| &staged.folder);
        // After the removal, which changes the stamps of everything that was linked.
        for written in record.outputs.iter_mut().filter(|written| certain.contains(&written.kind)) {
            written.listing.stamp(folder)?;
        }
        record.inputs.distrust_since(destination.options.store.opened());
        stage::keep(destination.options, &destination.path, &record);
        staged.map_or(Ok(()), |staged| Ok(staged.stage.remove()?))
    }
}
