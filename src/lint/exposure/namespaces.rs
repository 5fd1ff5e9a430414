//! `RestrictNamespaces=`.

use super::words;

/// The kinds of namespaces, each a bit at its place.
const KINDS: [&str; 8] = ["cgroup", "ipc", "net", "mnt", "pid", "user", "uts", "time"];
const ALL: u8 = u8::MAX;

/// Kinds of namespaces that may be made; nothing is said about them at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NamespaceSet(Option<u8>);

impl NamespaceSet {
    /// Assigns a value: a boolean, or a list of kinds, inverted with `~`. A list with an unknown kind is ignored.
    pub(super) fn assign(&mut self, value: &str) {
        if value.is_empty() {
            self.0 = None;
            return;
        }
        if let Some(is_restricted) = words::boolean(value) {
            self.0 = Some(if is_restricted { 0 } else { ALL });
            return;
        }
        let (is_inverted, list) = value.strip_prefix('~').map_or((false, value), |list| (true, list));
        let bits: Option<Vec<u8>> = words::split(list).iter().map(|word| bit(word)).collect();
        let Some(named) = bits.map(|bits| bits.into_iter().fold(0, |set, bit| set | bit)) else { return };
        self.0 = Some(match (self.0, is_inverted) {
            (None, false) => named,
            (None, true) => ALL & !named,
            (Some(known), false) => known | named,
            (Some(known), true) => known & !named,
        });
    }

    /// Tells whether namespaces of `kind` may be made.
    pub(super) fn allows(self, kind: &str) -> bool {
        self.0.unwrap_or(ALL) & bit(kind).unwrap_or(0) != 0
    }
}

fn bit(kind: &str) -> Option<u8> {
    KINDS.iter().position(|known| *known == kind).map(|place| 1 << place)
}
