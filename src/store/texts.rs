//! Texts that an earlier run rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;

/// A text and the names that were looked up while it was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedText {
    /// The text.
    pub text: String,
    /// The names, sorted.
    pub used: BTreeSet<String>,
}

/// Rendered texts by the digest of everything that decides about them.
///
/// Those of an earlier run are known; those that this run asked for or made are what is kept for the next one, so that
/// nothing has to be collected.
#[derive(Debug, Default)]
pub struct Texts {
    known: BTreeMap<Digest, RenderedText>,
    taken: Mutex<BTreeMap<Digest, RenderedText>>,
    learned: AtomicBool,
}

impl Texts {
    /// Returns the texts of an earlier run.
    pub fn new(known: BTreeMap<Digest, RenderedText>) -> Self {
        Self { known, taken: Mutex::default(), learned: AtomicBool::new(false) }
    }

    /// Returns the text that `key` decides, when it is known.
    pub fn get(&self, key: &Digest) -> Option<RenderedText> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = taken.get(key) {
            return Some(text.clone());
        }
        let text = self.known.get(key)?;
        taken.insert(*key, text.clone());
        Some(text.clone())
    }

    /// Takes a text that was rendered.
    pub fn add(&self, key: Digest, text: RenderedText) {
        self.learned.store(true, Ordering::Relaxed);
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(key, text);
    }

    /// Returns the texts that this run asked for or made, when they are others than those that were known.
    pub fn learned(&self) -> Option<BTreeMap<Digest, RenderedText>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let different = self.learned.load(Ordering::Relaxed) || taken.len() < self.known.len();
        different.then(|| taken.clone())
    }
}
