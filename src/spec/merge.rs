//! One document over another.

use super::source::{Located, Table};

/// Something that a later document can change in part.
pub trait Merge {
    /// Lays `over` on top: what it says wins, what it does not say stays.
    fn merge_with(&mut self, over: Self);
}

/// A value that was written replaces the one below it, whole.
impl<T> Merge for Option<Located<T>> {
    fn merge_with(&mut self, over: Self) {
        if over.is_some() {
            *self = over;
        }
    }
}

/// Tables are merged name by name.
impl<K: Ord, V: Merge> Merge for Table<K, V> {
    fn merge_with(&mut self, over: Self) {
        for (key, value) in over {
            // The old key goes: messages should show the place that was written last.
            let merged = match self.remove_entry(&key) {
                Some((_, mut below)) => {
                    below.merge_with(value);
                    below
                }
                None => value,
            };
            self.insert(key, merged);
        }
    }
}

/// Values of a free table replace each other.
impl<T> Merge for Located<T> {
    fn merge_with(&mut self, over: Self) {
        *self = over;
    }
}

/// Implements [`Merge`] for a struct field by field; a field left out does not compile.
macro_rules! merge_fields {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::spec::Merge for $type {
            fn merge_with(&mut self, over: Self) {
                let Self { $($field),* } = over;
                $($crate::spec::Merge::merge_with(&mut self.$field, $field);)*
            }
        }
    };
}
pub(super) use merge_fields;

/// Lists replace each other.
impl<T> Merge for Option<Vec<T>> {
    fn merge_with(&mut self, over: Self) {
        if over.is_some() {
            *self = over;
        }
    }
}

/// Lists replace each other.
impl<T> Merge for Vec<T> {
    fn merge_with(&mut self, over: Self) {
        *self = over;
    }
}
