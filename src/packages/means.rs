//! What choosing and fetching packages works with.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::mirrors::Mirrors;
use crate::event::{Event, Reporter};
use crate::fetch::Fetcher;
use crate::store::Store;

/// How packages are reached.
#[derive(Debug)]
pub struct Network {
    /// Gets what is elsewhere.
    pub fetcher: Fetcher,
    /// What user and machine say about mirrors.
    pub mirrors: Mirrors,
    /// The moment of looking, in seconds since 1970: signatures and releases have their time.
    pub now: i64,
}

/// What choosing and fetching packages works with.
#[derive(Clone, Copy)]
pub struct Means<'run> {
    /// Keeps what was fetched.
    pub store: &'run Store,
    /// Gets what was not.
    pub network: &'run Network,
    /// Is told what is done.
    pub reporter: &'run dyn Reporter,
}

impl fmt::Debug for Means<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Means({:?})", self.network)
    }
}

impl Means<'_> {
    /// Tells whether what is there is old by intent, so that its time may be over: nothing newer can be had.
    pub(super) fn is_old_by_intent(&self) -> bool {
        self.network.mirrors.vendored.is_some() || self.network.fetcher.is_offline()
    }
}

/// Tells of many downloads as one piece of work.
pub(super) struct Together<'run> {
    reporter: &'run dyn Reporter,
    work: String,
    begun: Mutex<bool>,
    total: u64,
}

impl<'run> Together<'run> {
    /// Begins to tell; `total` bytes are expected.
    pub(super) fn new(reporter: &'run dyn Reporter, work: String, total: u64) -> Self {
        Self { reporter, work, begun: Mutex::new(false), total }
    }

    /// Tells that all is done.
    pub(super) fn finish(self) {
        if self.begun.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.reporter.report(Event::Finished { work: self.work });
        }
    }
}

impl Reporter for Together<'_> {
    fn report(&self, event: Event) {
        match event {
            // What is there already is not worth a word.
            Event::Started { .. } => {
                let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
                if !std::mem::replace(&mut *begun, true) {
                    self.reporter.report(Event::Started { work: self.work.clone(), total: self.total });
                }
            }
            Event::Advanced { steps, .. } => self.reporter.report(Event::Advanced { work: self.work.clone(), steps }),
            Event::Finished { .. } => {}
            other => self.reporter.report(other),
        }
    }
}
