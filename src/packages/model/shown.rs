//! What a pool holds, in words that tests of every family compare.

use super::{PackageId, Pool, Relation};

/// Returns everything that a package asks of others, separated by `; `.
pub(in crate::packages) fn relations(pool: &Pool, id: PackageId) -> String {
    let shown = |relation: &Relation| format!("{} {}", relation.kind.verb(), pool.relation_label(relation));
    pool.relations(id).iter().map(shown).collect::<Vec<_>>().join("; ")
}

/// Returns everything else that a package can be asked for by, with versions, separated by `; `.
pub(in crate::packages) fn provides(pool: &Pool, id: PackageId) -> String {
    let provides = pool.provides(id).iter();
    let shown =
        provides.map(|provide| format!("{}={}", pool.name(provide.name).escape_ascii(), pool.shown(provide.version)));
    shown.collect::<Vec<_>>().join("; ")
}
