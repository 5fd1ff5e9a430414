//! Packages in the order in which they can be installed one after the other.

use std::collections::BTreeSet;

/// Orders packages, which it knows by their numbers below `count`, so that each comes after those it needs. Beginning with
/// `roots`, what is needed comes in the order in which `needs` tells it; the others follow by their numbers. In a circle,
/// the one that is met first comes last.
pub(crate) fn by_needs(
    count: usize,
    roots: impl IntoIterator<Item = usize>,
    needs: impl Fn(usize) -> Vec<usize>,
) -> Vec<usize> {
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    for root in roots.into_iter().chain(0..count) {
        // A package with what is left of what it needs. Not by recursion: chains may be long.
        let mut stack: Vec<(usize, std::vec::IntoIter<usize>)> = Vec::new();
        if seen.insert(root) {
            stack.push((root, needs(root).into_iter()));
        }
        while let Some((place, left)) = stack.last_mut() {
            match left.next() {
                Some(next) if seen.insert(next) => stack.push((next, needs(next).into_iter())),
                Some(_) => {}
                None => {
                    order.push(*place);
                    stack.pop();
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_before() {
        let needs = |graph: &'static [&'static [usize]]| move |place: usize| graph[place].to_vec();
        assert_eq!(by_needs(4, [], needs(&[&[3, 1], &[2], &[], &[2]])), [2, 3, 1, 0]);
        assert_eq!(by_needs(3, [2], needs(&[&[], &[], &[0]])), [0, 2, 1]);
        assert_eq!(by_needs(3, [1], needs(&[&[1], &[2], &[0]])), [0, 2, 1], "a circle ends where it began");
        let chain = by_needs(100_000, [], |place| (place + 1 < 100_000).then_some(place + 1).into_iter().collect());
        assert_eq!((chain[0], chain.len()), (99_999, 100_000));
    }
}
