//! What of an image other images share: the layers of a profile as neutral and distro parts.
//!
//! Comes in: the trees of the layers, what of each is the same for every distro, the whole tree. Goes out: the [`Part`]s
//! that an image has as layers, the lowest first. Always holds: the parts laid over each other are the whole tree; a
//! neutral part depends on nothing but its layer and the distros it is compared between, never on what is below it, so that
//! it is the same blob in each of their images; nothing is removed that is not there.
//!
//! # When there are more parts than an image may have
//!
//! 1. Neutral parts get all places but one. Where they are too many, the two neighbours with the fewest bytes together become
//!    one, until they fit: this looks at neutral parts only, so that it comes out the same for every distro.
//! 2. Distro parts get the places that are left. Where they are too many, the lowest ones become one, which stands where the
//!    highest of them stood.
//!
//! One place is for the whole tree, then.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::tree::{ChangeKind, Kind, Meta, Node, NodeId, Tree, TreeError, TreePath, diff};

/// A layer of a profile, for one distro.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'tree> {
    /// Its name.
    pub name: &'tree str,
    /// All of it.
    pub own: &'tree Tree,
    /// What of it is the same for every distro, as [`neutral`] returns it.
    pub neutral: &'tree Tree,
}

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it holds, with the directories above it, and whiteouts for what it removes.
    pub tree: Tree,
    /// Whether it is the same for every distro.
    pub neutral: bool,
    /// The names of the layers it comes from.
    pub layers: Vec<String>,
}

/// Returns what is the same in the trees of a layer for every distro: paths with all names of their nodes. Removals are
/// none of it, for what they remove depends on what is below. Directories that only lead somewhere get what `above` says.
pub fn neutral(trees: &[&Tree], above: impl Fn(&TreePath) -> Meta) -> Tree {
    let Some((first, others)) = trees.split_first() else { return Tree::new() };
    let names = names(first);
    let others: Vec<_> = others.iter().map(|tree| (*tree, self::names(tree))).collect();
    let equal = |path: &TreePath, id: NodeId, (other, other_names): &(&Tree, BTreeMap<NodeId, Vec<&TreePath>>)| {
        let found = other.id(path);
        found.is_some_and(|found| is_same(other.node(found), first.node(id)) && other_names[&found] == names[&id])
    };
    let same = first.ids().filter(|(path, id)| {
        first.node(*id).kind != Kind::Whiteout && others.iter().all(|other| equal(path, *id, other))
    });
    let mut tree = part(first, same.map(|(path, _)| path));
    if !tree.is_empty() {
        tree.complete(above);
    }
    tree
}

/// Returns the names of every node of a tree, sorted.
fn names(tree: &Tree) -> BTreeMap<NodeId, Vec<&TreePath>> {
    let mut names: BTreeMap<NodeId, Vec<&TreePath>> = BTreeMap::new();
    tree.ids().for_each(|(path, id)| names.entry(id).or_default().push(path));
    names
}

/// Tells whether two nodes are the same but for what they hide.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Directory { .. }, Kind::Directory { .. }) => one.meta == other.meta,
        _ => one == other,
    }
}

/// Returns some paths of a tree, sorted; nothing in it is opaque.
fn part<'tree>(tree: &'tree Tree, paths: impl IntoIterator<Item = &'tree TreePath>) -> Tree {
    let mut part = Tree::new();
    let mut first_names: BTreeMap<NodeId, &TreePath> = BTreeMap::new();
    for path in paths {
        let Some(id) = tree.id(path) else { continue };
        let node = tree.node(id);
        let kind = if node.kind.is_directory() { Kind::directory() } else { node.kind.clone() };
        // Every path stands in a tree already, so that what is above it is a directory here, too.
        match first_names.get(&id) {
            Some(first) => part.link(path.clone(), first).ok(),
            None => part.insert(path.clone(), Node { kind, meta: node.meta.clone() }).map(drop).ok(),
        };
        first_names.entry(id).or_insert(path);
    }
    part
}

/// Lays a tree with whiteouts and opaque directories over another. Directories that only lead somewhere stay out.
///
/// # Errors
/// When a path lies below something that is no directory.
pub fn lay(below: &mut Tree, over: &Tree) -> Result<(), TreeError> {
    for (path, node, first) in over.links() {
        match (&node.kind, first) {
            (Kind::Whiteout, _) => drop(below.remove(path)),
            (Kind::Directory { opaque }, _) => {
                if *opaque {
                    below.remove_below(path);
                }
                let kind = Kind::directory();
                below.insert(path.clone(), Node { kind, meta: node.meta.clone() })?;
            }
            (_, Some(first)) => below.link(path.clone(), first)?,
            (_, None) => drop(below.insert(path.clone(), node.clone())?),
        }
    }
    Ok(())
}

/// Lays a layer over others as container engines do: what stands in the way of a path becomes a directory.
///
/// # Errors
/// Never for trees of layers.
pub(super) fn lay_as_engines(below: &mut Tree, over: &Tree) -> Result<(), TreeError> {
    for path in over.iter().map(|(path, _)| path) {
        let mut above = path.ancestors();
        let standing = above.find_map(|above| Some((below.get(&above)?.kind.is_directory(), above)));
        if let Some((false, above)) = standing
            && over.get(&above).is_none()
        {
            below.insert(above, Node { kind: Kind::directory(), meta: Meta::root_owned(0o755, 0) })?;
        }
    }
    lay(below, over)
}

/// Returns what has to be laid over `below` to get `above`, both complete: with the directories above every path, and a
/// whiteout for whatever is gone. Nothing in it is opaque.
///
/// # Errors
/// Never for complete trees.
pub fn difference(below: &Tree, above: &Tree) -> Result<Tree, TreeError> {
    let (mut changed, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for change in diff(below, above) {
        let paths = if change.change == ChangeKind::Removed { &mut removed } else { &mut changed };
        paths.insert(change.path);
    }
    let touched: BTreeSet<NodeId> = changed.iter().filter_map(|path| above.id(path)).collect();
    let mut chosen: BTreeSet<TreePath> =
        above.ids().filter(|(_, id)| touched.contains(id)).map(|(path, _)| path.clone()).collect();
    // What is below something that is gone, or is no directory any more, goes with it.
    removed.retain(|path| {
        let parent = path.parent().and_then(|parent| above.get(&parent));
        parent.is_some_and(|parent| parent.kind.is_directory())
    });
    let leads: BTreeSet<TreePath> = chosen.iter().chain(&removed).flat_map(TreePath::ancestors).collect();
    chosen.extend(leads);
    let mut tree = part(above, &chosen);
    for path in removed {
        tree.insert(path, Node::whiteout())?;
    }
    Ok(tree)
}

/// Returns the layers of the image with the tree `whole`: `layers` over `base`, which is no part of it. There are at most
/// `limit`, at least one.
///
/// # Errors
/// When a layer does not fit over those below it.
pub fn parts(base: &Tree, layers: &[Shared<'_>], whole: &Tree, limit: usize) -> Result<Vec<Part>, TreeError> {
    let composition = Composition { base, layers, whole };
    let names = |range: RangeInclusive<usize>| layers[range].iter().map(|layer| layer.name.to_owned()).collect();
    if limit <= 1 || layers.is_empty() {
        let tree = difference(base, whole)?;
        let layers = names(0..=layers.len().saturating_sub(1).min(layers.len()));
        return Ok(vec![Part { tree, neutral: false, layers }]);
    }
    let mut steps = composition.steps(limit - 1);
    loop {
        let made = composition.make(&steps)?;
        let count = made.len();
        let parts: Vec<Part> = made.into_iter().map(|(_, part)| part).collect();
        if count <= limit || !join_lowest(&mut steps, count - limit, layers.len()) {
            return Ok(parts);
        }
    }
}

/// What stands in an image one over the other.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The neutral parts of these layers.
    Neutral(RangeInclusive<usize>),
    /// What else there is of these layers.
    Own(RangeInclusive<usize>),
}

/// Joins the lowest `too_many` + 1 steps of distro parts into one; tells whether there was anything to join.
fn join_lowest(steps: &mut Vec<Step>, too_many: usize, layers: usize) -> bool {
    let own: Vec<usize> = (0..steps.len()).filter(|step| matches!(steps[*step], Step::Own(_))).collect();
    let all = Step::Own(0..=layers - 1);
    if steps.last() == Some(&all) && own.len() == 1 {
        return false;
    }
    let last = own[too_many.min(own.len() - 1)];
    let Step::Own(range) = &steps[last] else { return false };
    // Where only one is left it stands highest, with whatever else the whole tree has.
    let joined = if own.len() <= too_many + 1 { all } else { Step::Own(0..=*range.end()) };
    let place = if own.len() <= too_many + 1 { steps.len() } else { last + 1 };
    steps.insert(place, joined);
    for step in own.iter().take(too_many + 1).rev() {
        steps.remove(*step);
    }
    true
}

/// What an image is composed from.
struct Composition<'tree> {
    base: &'tree Tree,
    layers: &'tree [Shared<'tree>],
    whole: &'tree Tree,
}

impl Composition<'_> {
    /// Returns the steps with at most `most` neutral parts.
    fn steps(&self, most: usize) -> Vec<Step> {
        // Groups of layers with one neutral part, and about how many bytes it has.
        let mut groups: Vec<(RangeInclusive<usize>, u64)> =
            self.layers.iter().enumerate().map(|(at, layer)| (at..=at, weight(layer.neutral))).collect();
        let count = |groups: &[(_, u64)]| groups.iter().filter(|(_, weight)| *weight > 0).count();
        if count(&groups) > most {
            // Those without stay with the one below them, the first ones with the one above.
            groups = groups.into_iter().fold(
                Vec::new(),
                |mut groups: Vec<(RangeInclusive<usize>, u64)>, (range, weight)| {
                    match groups.last_mut() {
                        Some((last, own)) if weight == 0 || *own == 0 => {
                            (*last, *own) = (*last.start()..=*range.end(), *own + weight);
                        }
                        _ => groups.push((range, weight)),
                    }
                    groups
                },
            );
        }
        while count(&groups) > most {
            let pairs = (0..groups.len() - 1).map(|at| (groups[at].1 + groups[at + 1].1, at));
            let Some((weight, at)) = pairs.min() else { break };
            let upper = groups.remove(at + 1).0;
            groups[at] = (*groups[at].0.start()..=*upper.end(), weight);
        }
        groups.into_iter().flat_map(|(range, _)| [Step::Neutral(range.clone()), Step::Own(range)]).collect()
    }

    /// Makes the parts of all steps; steps that add nothing make none. What is missing in the end is in the last one.
    fn make(&self, steps: &[Step]) -> Result<Vec<(Step, Part)>, TreeError> {
        let mut state = self.base.clone();
        let mut made: Vec<(Step, Part)> = Vec::new();
        for step in steps {
            let (range, tree) = match step {
                Step::Neutral(range) => {
                    let mut tree = Tree::new();
                    for layer in &self.layers[range.clone()] {
                        lay(&mut tree, layer.neutral)?;
                    }
                    lay(&mut state, &tree)?;
                    (range, tree)
                }
                Step::Own(range) if self.is_neutral(range) => continue,
                Step::Own(range) => {
                    let before = state.clone();
                    if range.start() == range.end() {
                        lay(&mut state, self.layers[*range.end()].own)?;
                    } else {
                        // Neutral parts of higher layers are there already: nothing of a lower one goes over them.
                        state = self.base.clone();
                        self.layers[..=*range.end()].iter().try_for_each(|layer| lay(&mut state, layer.own))?;
                    }
                    state.complete(|path| self.meta(path));
                    (range, difference(&before, &state)?)
                }
            };
            if !tree.is_empty() {
                let layers = self.layers[range.clone()].iter().map(|layer| layer.name.to_owned()).collect();
                made.push((step.clone(), Part { tree, neutral: matches!(step, Step::Neutral(_)), layers }));
            }
        }
        let rest = difference(&state, self.whole)?;
        if rest.is_empty() && !made.is_empty() {
            return Ok(made);
        }
        let all = || Step::Own(0..=self.layers.len() - 1);
        match made.pop_if(|(_, part)| !part.neutral) {
            Some((step, part)) => {
                let below = made
                    .iter()
                    .try_fold(self.base.clone(), |mut state, (_, part)| lay(&mut state, &part.tree).map(|()| state))?;
                made.push((step, Part { tree: difference(&below, self.whole)?, ..part }));
            }
            None => {
                let layers = self.layers.iter().map(|layer| layer.name.to_owned()).collect();
                made.push((all(), Part { tree: rest, neutral: false, layers }));
            }
        }
        Ok(made)
    }

    /// Tells whether the neutral parts of the layers in a range are all there is to each.
    fn is_neutral(&self, range: &RangeInclusive<usize>) -> bool {
        let whole = |layer: &Shared<'_>| {
            layer.own.iter().all(|(path, node)| {
                !matches!(node.kind, Kind::Whiteout | Kind::Directory { opaque: true })
                    && layer.neutral.get(path).is_some_and(|neutral| neutral == node)
            })
        };
        range.start() == range.end() && self.layers[range.clone()].iter().all(whole)
    }

    /// Returns what the whole tree says about a directory.
    fn meta(&self, path: &TreePath) -> Meta {
        self.whole.get(path).map_or_else(|| Meta::root_owned(0o755, 0), |node| node.meta.clone())
    }
}

/// Returns about how many bytes the archive of a tree has; none for an empty one.
fn weight(tree: &Tree) -> u64 {
    let content = |node: &Node| if let Kind::Regular(content) = &node.kind { content.length } else { 0 };
    tree.iter().map(|(_, node)| 512 + content(node)).sum()
}

#[cfg(test)]
mod tests;
