//! What the stages tell while they work.
//!
//! Comes in: nothing. Goes out: [`Event`]s to a [`Reporter`], which alone knows about terminals. Always holds: a stage
//! works the same whoever listens.

use std::path::PathBuf;

/// Something worth telling a person while work goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A piece of work begins; `total` steps are expected.
    Started {
        /// What is done, as a phrase: `render default for alpine`.
        work: String,
        /// Number of [`Event::Advanced`] steps that will follow, when known.
        total: u64,
    },
    /// `steps` more steps of `work` are done.
    Advanced {
        /// The work as it was started.
        work: String,
        /// Steps done since the last event.
        steps: u64,
    },
    /// A piece of work ended.
    Finished {
        /// The work as it was started.
        work: String,
    },
    /// A file or directory was written.
    Wrote {
        /// Where it stands.
        path: PathBuf,
    },
    /// Something that does not stop the work but should be known.
    Warning {
        /// The sentence to show.
        message: String,
        /// What to do about it, when there is something to do.
        hint: Option<String>,
    },
}

/// Takes events. Stages call it from several threads.
pub trait Reporter: Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: Event) {}
}
