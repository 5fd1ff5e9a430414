//! Several pools as one.

use super::NameId;
use super::pool::{Pool, Range, Text};

/// Merges pools; packages remember by [`source`](super::Package::source) which of them they come from, and those of an
/// earlier pool stand before those of a later one with the same name.
pub fn merge(mut pools: Vec<Pool>) -> Pool {
    if pools.len() == 1 {
        return pools.remove(0);
    }
    let mut merged = Pool::default();
    let mut bases = Vec::new();
    for pool in &pools {
        bases.push(u32::try_from(merged.text.len()).expect("all indexes together are shorter than 4 GiB"));
        merged.text.extend(&pool.text);
    }
    let ids = merge_names(&pools, &bases, &mut merged);
    for (source, mut pool) in pools.into_iter().enumerate() {
        pool.rename(|name| NameId(ids[source][name.index()]));
        append(&mut merged, pool, source, bases[source]);
    }
    merged.packages.sort_by_key(|package| package.name);
    merged.indexed()
}

/// Lists the names, sorted and each once; returns the new id of every name of every pool. The texts of each begin at its base.
fn merge_names(pools: &[Pool], bases: &[u32], merged: &mut Pool) -> Vec<Vec<u32>> {
    let mut ids: Vec<Vec<u32>> = pools.iter().map(|pool| Vec::with_capacity(pool.names.len())).collect();
    let head = |ids: &[Vec<u32>], pool: usize| pools[pool].names.get(ids[pool].len()).copied();
    loop {
        let heads = (0..pools.len()).filter_map(|pool| Some((pools[pool].text(head(&ids, pool)?), pool)));
        let Some((least, first)) = heads.min() else { return ids };
        let new = merged.names.len() as u32;
        let text = pools[first].names[ids[first].len()];
        merged.names.push(moved(text, bases[first]));
        for pool in first..pools.len() {
            if head(&ids, pool).is_some_and(|text| pools[pool].text(text) == least) {
                ids[pool].push(new);
            }
        }
    }
}

fn moved(text: Text, base: u32) -> Text {
    Text { start: text.start + base, length: text.length }
}

/// Adds the tables of a pool whose names are those of `merged` already and whose text begins at `base`.
fn append(merged: &mut Pool, pool: Pool, source: usize, base: u32) {
    let shift = |range: Range, base: usize| Range { start: range.start + base as u32, end: range.end + base as u32 };
    let (relations, requirements, provides) =
        (merged.relations.len(), merged.requirements.len(), merged.provides.len());
    merged.packages.extend(pool.packages.into_iter().map(|mut package| {
        for text in [
            &mut package.version,
            &mut package.architecture,
            &mut package.location,
            &mut package.digest,
            &mut package.origin,
            &mut package.section,
            &mut package.signature,
        ] {
            *text = moved(*text, base);
        }
        package.source = u16::try_from(source).unwrap_or(u16::MAX);
        package.relations = shift(package.relations, relations);
        package.provides = shift(package.provides, provides);
        package
    }));
    merged.relations.extend(pool.relations.into_iter().map(|mut relation| {
        relation.alternatives = shift(relation.alternatives, requirements);
        relation
    }));
    merged.requirements.extend(pool.requirements.into_iter().map(|mut requirement| {
        requirement.version = moved(requirement.version, base);
        requirement
    }));
    merged.provides.extend(pool.provides.into_iter().map(|mut provide| {
        provide.version = moved(provide.version, base);
        provide
    }));
}
