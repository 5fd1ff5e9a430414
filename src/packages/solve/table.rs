//! What is known about packages when there is something to say of few of them only.

use std::ops::{Index, IndexMut};

use crate::packages::model::PackageId;

/// A value for each package of a pool. Those that were never touched share one, so that a question that has to do with some
/// thousands of packages does not take memory for seventy thousand.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// For each package, one more than its row; 0 when it has none.
    places: Vec<u32>,
    rows: Vec<T>,
    untouched: T,
}

impl<T: Clone> Table<T> {
    /// Returns a table that has the same value for every package of a pool of so many.
    pub(super) fn new(packages: usize, untouched: T) -> Self {
        Self { places: vec![0; packages], rows: Vec::new(), untouched }
    }
}

impl<T> Index<PackageId> for Table<T> {
    type Output = T;

    fn index(&self, package: PackageId) -> &T {
        match self.places[package.index()] {
            0 => &self.untouched,
            place => &self.rows[place as usize - 1],
        }
    }
}

impl<T: Clone> IndexMut<PackageId> for Table<T> {
    fn index_mut(&mut self, package: PackageId) -> &mut T {
        let place = &mut self.places[package.index()];
        if *place == 0 {
            self.rows.push(self.untouched.clone());
            // There are no more rows than packages, whose ids have 32 bits.
            *place = self.rows.len() as u32;
        }
        &mut self.rows[*place as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_what_was_put_into_it() {
        let mut table = Table::new(5, 7);
        let ids: Vec<PackageId> = (0..5).map(PackageId).collect();
        table[ids[3]] = 1;
        table[ids[0]] += 1;
        assert_eq!(ids.iter().map(|id| table[*id]).collect::<Vec<_>>(), [8, 7, 7, 1, 7]);
        assert_eq!(table.rows.len(), 2);
    }
}
