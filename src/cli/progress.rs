//! Events on the terminal: bars where there is one, lines otherwise.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::terminal::Terminal;
use crate::event::{Event, Reporter};

/// Work that ends sooner than this draws no bar: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(200);

/// Shows events.
pub(super) struct Progress<'run> {
    terminal: &'run Terminal,
    bars: MultiProgress,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl<'run> Progress<'run> {
    pub(super) fn new(terminal: &'run Terminal) -> Self {
        Self { terminal, bars: MultiProgress::new(), running: Mutex::default() }
    }

    fn start(&self, work: String) {
        if !self.terminal.bars {
            return;
        }
        let template = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let bar = ProgressBar::new_spinner().with_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let bar = self.bars.add(bar.with_message(work.clone()));
        bar.enable_steady_tick(PATIENCE);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(work, bar);
    }

    fn finish(&self, work: &str) {
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(work) {
            bar.finish_and_clear();
        }
    }
}

impl Reporter for Progress<'_> {
    fn report(&self, event: Event) {
        match event {
            Event::Started { work, .. } => self.start(work),
            Event::Advanced { work, steps } => {
                if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&work) {
                    bar.inc(steps);
                }
            }
            Event::Finished { work } => self.finish(&work),
            Event::Wrote { path } => self.terminal.tell(&format!("wrote {}", path.display())),
            Event::Warning { message, hint } => {
                self.bars.suspend(|| self.terminal.warning(&message, hint.as_deref()));
            }
        }
    }
}
