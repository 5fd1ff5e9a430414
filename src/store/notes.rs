//! Small texts about what is elsewhere: where an upload stopped, where a server has something.
//!
//! A note that is not true any more costs a request; without it everything still works.

use std::os::unix::fs::PermissionsExt as _;

use super::{Bucket, Store};
use crate::digest::Digest;
use crate::fs;

impl Store {
    /// Returns the note about what `of` stands for.
    pub fn note(&self, of: &Digest) -> Option<String> {
        fs::read_to_string(&self.note_path(of)).ok()
    }

    /// Keeps a note about what `of` stands for, readable by this user only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_note(&self, of: &Digest, text: &str) -> fs::Result<()> {
        let path = self.note_path(of);
        let temporary = self.path.join(format!(".new.{}", super::unique()));
        let file = fs::create(&temporary)?;
        let written = file
            .set_permissions(std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::io::Write::write_all(&mut &file, text.as_bytes()))
            .map_err(fs::Error::on("write", &*temporary))
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // The first error is the one to report.
            fs::remove_file(&temporary).ok();
        }
        written
    }

    /// Removes the note about what `of` stands for.
    pub fn forget_note(&self, of: &Digest) {
        // One that stays costs a request.
        fs::remove_file(&self.note_path(of)).ok();
    }

    fn note_path(&self, of: &Digest) -> std::path::PathBuf {
        self.path.join(Bucket::Notes.name()).join(of.hex())
    }
}
