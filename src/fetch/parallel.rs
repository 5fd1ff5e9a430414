//! Several transfers at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Does `work` for every item, for at most `limit` at once, and returns the results in the order of the items. Once one
/// has failed no other is begun.
///
/// # Errors
/// The failure of the first item, in their order, that has failed.
pub fn parallel<I: Sync, R: Send, E: Send>(
    items: &[I],
    limit: usize,
    work: impl Fn(&I) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<(usize, Result<R, E>)>> = Mutex::default();
    let worker = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..limit.min(items.len()) {
            // A system that has no more threads has this one.
            if std::thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_no_more_than_the_limit_run() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<usize> = (0..50).collect();
        let results = parallel(&items, 3, |item| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(item * 2)
        });
        assert_eq!(results.unwrap(), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn nothing_is_begun_after_a_failure() {
        let begun = AtomicUsize::new(0);
        let result = parallel(&[1, 2, 3, 4], 1, |item| {
            begun.fetch_add(1, Ordering::SeqCst);
            if *item == 2 { Err(*item) } else { Ok(()) }
        });
        assert_eq!((result, begun.into_inner()), (Err(2), 2));
    }
}
