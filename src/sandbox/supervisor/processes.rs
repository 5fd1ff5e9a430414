//! How many processes and threads a sandbox has.
//!
//! Comes in: the wish for another one, before it is fulfilled. Goes out: whether it may be. Always holds: there are never
//! more than the limit. Nothing is counted as long as there cannot be too many.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fs;

/// The processes and threads of a sandbox.
#[derive(Debug)]
pub(super) struct Processes {
    limit: u32,
    /// How many there are at most: all that were there when they were last counted, and all that began since.
    most: u32,
    refused: bool,
}

impl Processes {
    /// Returns the count of a sandbox that has only the command.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, most: 1, refused: false }
    }

    /// Tells whether one was refused.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    /// Tells whether another one may begin.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub(super) fn start(&mut self) -> io::Result<bool> {
        if self.most >= self.limit {
            self.most = count()?;
        }
        self.refused |= self.most >= self.limit;
        self.most = self.most.saturating_add(1);
        Ok(!self.refused)
    }
}

/// Counts all but the first process, which does the counting.
fn count() -> io::Result<u32> {
    let processes = Path::new("/proc");
    let names = fs::list(processes).map_err(|error| error.source)?;
    let mut count = 0_u32;
    for name in names.iter().filter(|name| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok())) {
        match fs::lstat(&processes.join(name).join("task")) {
            // A directory has two links and one for each directory in it: one for each thread.
            Ok(status) => {
                count = count.saturating_add(u32::try_from(status.nlink()).unwrap_or(u32::MAX).saturating_sub(2))
            }
            // It has ended.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.source),
        }
    }
    Ok(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_when_it_may_be_too_many() {
        // This machine has more processes than three, and fewer than four thousand million.
        let mut few = Processes::new(3);
        assert_eq!([few.start().unwrap(), few.start().unwrap(), few.start().unwrap()], [true, true, false]);
        assert!(few.refused());
        let mut many = Processes { limit: u32::MAX - 1, most: u32::MAX - 1, refused: false };
        assert!(many.start().unwrap() && many.most < u32::MAX / 2);
    }
}
