//! Several pools as one.

use super::NameId;
use super::pool::{Pool, Range, Text};
use super::stored::{Shelf, Stored};
use crate::fs;

/// Merges pools. The indexes that packages come from ([`source`](super::Package::source)) are those of the first pool, then
/// those of the second; packages of an earlier pool stand before those of a later one with the same name.
///
/// # Errors
/// When a file cannot be read that a pool is kept in.
pub fn merge(mut pools: Vec<Pool>) -> fs::Result<Pool> {
    if pools.len() == 1 {
        return Ok(pools.remove(0));
    }
    let mut shelves = Vec::new();
    for pool in &mut pools {
        shelves.push(std::mem::take(&mut pool.shelf).all()?);
    }
    let mut bases = Vec::new();
    let mut next = Bases { text: 0, shelf: 0 };
    for (pool, shelf) in pools.iter().zip(&shelves) {
        bases.push(next);
        next = Bases { text: after(next.text, &pool.text), shelf: after(next.shelf, shelf) };
    }
    let mut merged = Pool::default();
    let ids = merge_names(&pools, &bases, &mut merged);
    let mut sources = 0;
    for (number, mut pool) in pools.into_iter().enumerate() {
        pool.rename(|name| NameId(ids[number][name.index()]));
        let last = u16::saturating_add(sources, pool.last_source);
        append(&mut merged, pool, sources, bases[number]);
        (merged.last_source, sources) = (last, last.saturating_add(1));
    }
    merged.packages.sort_by_key(|package| package.name);
    merged.shelf = Shelf::Here(joined(shelves));
    Ok(merged.indexed())
}

/// Where the texts of a pool begin among those of all.
#[derive(Clone, Copy)]
struct Bases {
    text: u32,
    shelf: u32,
}

fn after(base: u32, texts: &[u8]) -> u32 {
    let next = base as usize + texts.len();
    u32::try_from(next).expect("all indexes together are shorter than 4 GiB")
}

/// Joins texts; those of the first, by far the most, stay where they are.
fn joined(texts: Vec<Vec<u8>>) -> Vec<u8> {
    texts
        .into_iter()
        .filter(|texts| !texts.is_empty())
        .reduce(|mut all, more| {
            all.extend(more);
            all
        })
        .unwrap_or_default()
}

/// Lists the names, sorted and each once; returns the new id of every name of every pool. The texts of each begin at its base.
fn merge_names(pools: &[Pool], bases: &[Bases], merged: &mut Pool) -> Vec<Vec<u32>> {
    let mut ids: Vec<Vec<u32>> = pools.iter().map(|pool| Vec::with_capacity(pool.names.len())).collect();
    let head = |ids: &[Vec<u32>], pool: usize| pools[pool].names.get(ids[pool].len()).copied();
    loop {
        let heads = (0..pools.len()).filter_map(|pool| Some((pools[pool].text(head(&ids, pool)?), pool)));
        let Some((least, first)) = heads.min() else { return ids };
        let new = merged.names.len() as u32;
        let text = pools[first].names[ids[first].len()];
        merged.names.push(moved(text, bases[first].text));
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

/// Adds the tables of a pool whose names are those of `merged` already, its first index with the number `source`.
fn append(merged: &mut Pool, pool: Pool, source: u16, bases: Bases) {
    merged.text = joined(vec![std::mem::take(&mut merged.text), pool.text]);
    let shift = |range: Range, base: usize| Range { start: range.start + base as u32, end: range.end + base as u32 };
    let (relations, requirements, provides) =
        (merged.relations.len(), merged.requirements.len(), merged.provides.len());
    merged.packages.extend(pool.packages.into_iter().map(|mut package| {
        for text in [&mut package.version, &mut package.architecture, &mut package.section] {
            *text = moved(*text, bases.text);
        }
        for Stored(text) in [&mut package.location, &mut package.digest, &mut package.origin, &mut package.signature] {
            *text = moved(*text, bases.shelf);
        }
        package.source = package.source.saturating_add(source);
        package.relations = shift(package.relations, relations);
        package.provides = shift(package.provides, provides);
        package
    }));
    merged.relations.extend(pool.relations.into_iter().map(|mut relation| {
        relation.alternatives = shift(relation.alternatives, requirements);
        relation
    }));
    merged.requirements.extend(pool.requirements.into_iter().map(|mut requirement| {
        requirement.version = moved(requirement.version, bases.text);
        requirement
    }));
    merged.provides.extend(pool.provides.into_iter().map(|mut provide| {
        provide.version = moved(provide.version, bases.text);
        provide
    }));
}
