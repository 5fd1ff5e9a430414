//! Places for inodes.

use super::format::{BLOCK, SLOT};

/// How many blocks with room are remembered: more finds better places, in time that grows with it.
const OPEN_MAX: usize = 64;

/// Gives places to inodes, so that what fits into one block stands in one.
#[derive(Debug)]
pub(super) struct Rooms {
    /// Blocks with room: their number and the bytes used.
    open: Vec<(u64, usize)>,
    blocks: u64,
}

impl Rooms {
    /// Returns room from which nothing but the first slot is taken: its number stands for no inode.
    pub(super) fn new() -> Self {
        Self { open: vec![(0, SLOT)], blocks: 1 }
    }

    /// Returns the number of blocks so far.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Returns a place for `size` bytes: within one block, or from the beginning of a block on when one is too small.
    pub(super) fn place(&mut self, size: usize) -> u64 {
        let fitting = self.open.iter().enumerate().filter(|(_, (_, used))| used + size <= BLOCK);
        // The fullest, of several the earliest.
        let best = fitting.max_by_key(|(place, (_, used))| (*used, usize::MAX - place)).map(|(place, _)| place);
        let (block, used) = match best {
            Some(place) => self.open.remove(place),
            None => {
                let block = self.blocks;
                self.blocks += size.div_ceil(BLOCK) as u64;
                (block, 0)
            }
        };
        let position = block * BLOCK as u64 + used as u64;
        let end = (used + size).next_multiple_of(SLOT);
        // Of something long its last block may have room.
        let (last, used) = (block + (end / BLOCK) as u64, end % BLOCK);
        if used > 0 {
            self.open.push((last, used));
        }
        if self.open.len() > OPEN_MAX {
            let fullest = (0..self.open.len()).max_by_key(|place| (self.open[*place].1, usize::MAX - place));
            fullest.map(|place| self.open.remove(place));
        }
        position
    }
}
