//! What templates rendered to, remembered from run to run.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::event::{Event, Reporter};
use crate::fs::Stamp;
use crate::resolve::Library;
use crate::store::Store;

/// Where the rendered texts of one kind of run are kept.
pub(super) struct Memory<'store> {
    store: &'store Store,
    of: PathBuf,
}

impl<'store> Memory<'store> {
    /// Hands the texts of the last run for the same profile and `targets` to the templates of `library`.
    pub(super) fn of(library: &Library, store: &'store Store, targets: &[&str]) -> Self {
        let root = library.project.absolute(library.project.root());
        let of = root.join(&library.name).join(targets.join(","));
        // Another build of the program may have other filters.
        if let Some(stamp) = std::env::current_exe().ok().and_then(|program| Stamp::of(&program).ok()) {
            library.templates.remember(store.texts(&of), Digest::of(format!("{stamp:?}")));
        }
        Self { store, of }
    }

    /// Keeps what is new for the next run.
    pub(super) fn keep(&self, library: &Library, reporter: &dyn Reporter) {
        let Some(texts) = library.templates.learned() else { return };
        if let Err(error) = self.store.keep_texts(&self.of, &texts) {
            let message = format!("{error} ({}): the next run has to render all templates again", error.source);
            reporter.report(Event::Warning { message, hint: None });
        }
    }
}
