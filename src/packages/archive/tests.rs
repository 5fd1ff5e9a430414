//! Packages that several threads unpack at once. The form is made up: what counts is how often it is read.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Takes any file for a package without contents, but one.
struct Counting {
    read: AtomicUsize,
    faulty: Option<Digest>,
}

impl Form for Counting {
    fn read(&self, _: &File, package: &Fetched, _: u32, _: &mut Pack) -> Result<Unpacked, Failure> {
        self.read.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        if self.faulty == Some(package.digest) {
            return Err(ArchiveFault::Form("it is broken").into());
        }
        let bytes = package.digest.hex().into_bytes();
        let control = vec![ControlFile { name: "control".into(), mode: 0o644, mtime: 0, bytes }];
        Ok(Unpacked { control, entries: Vec::new() })
    }
}

fn fetched(folder: &Path, count: usize) -> Vec<Fetched> {
    let file = |number: usize| {
        let bytes = vec![b'x'; number + 1];
        let path = folder.join(number.to_string());
        fs::write_atomic(&path, &bytes).unwrap();
        Fetched { path, size: bytes.len() as u64, digest: Digest::of(&bytes) }
    };
    (0..count).map(file).collect()
}

#[test]
fn what_several_threads_want_is_unpacked_once() {
    let folder = tempfile::tempdir().unwrap();
    let (packages, packs) = (fetched(folder.path(), 40), folder.path().join("packs"));
    let (form, begin) = (Counting { read: AtomicUsize::new(0), faulty: None }, Barrier::new(4));
    std::thread::scope(|scope| {
        let work = || {
            begin.wait();
            let unpacked = unpack_all(&form, &packages, &packs).unwrap();
            for (one, package) in unpacked.iter().zip(&packages) {
                assert_eq!(one.control[0].bytes, package.digest.hex().as_bytes());
            }
        };
        (0..4).for_each(|_| drop(scope.spawn(work)));
    });
    assert_eq!(form.read.into_inner(), 40);
}

#[test]
fn what_could_not_be_unpacked_is_tried_by_whoever_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (packages, packs) = (fetched(folder.path(), 3), folder.path().join("packs"));
    let form = Counting { read: AtomicUsize::new(0), faulty: Some(packages[1].digest) };
    let begin = Barrier::new(3);
    std::thread::scope(|scope| {
        let work = || {
            begin.wait();
            let error = unpack_all(&form, &packages, &packs).unwrap_err();
            assert!(matches!(error, ArchiveError::Fault { .. }), "{error}");
        };
        (0..3).for_each(|_| drop(scope.spawn(work)));
    });
    let good = Counting { read: AtomicUsize::new(0), faulty: None };
    assert_eq!(unpack_all(&good, &packages, &packs).unwrap().len(), 3);
    assert_eq!(good.read.into_inner(), 1, "the others are there");
}
