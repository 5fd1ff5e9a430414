use std::path::Path;
use std::sync::Arc;

use super::*;

fn stamp(number: u64) -> Stamp {
    Stamp {
        mode: 0o100_644,
        inode: number,
        size: 10 * number,
        modified: Timestamp { seconds: -3, nanoseconds: 999_999_999 },
        changed: Timestamp { seconds: 1_700_000_000 + number as i64, nanoseconds: 7 },
    }
}

fn entry(name: &str, number: u64) -> Entry {
    let digest = number.is_multiple_of(2).then(|| Digest::of(name));
    Entry {
        name: name.as_bytes().into(),
        stamp: (number > 0).then(|| stamp(number)),
        digest,
        shared: u32::from(number == 3) * 9,
    }
}

fn record() -> Record {
    let directory = |path: &str, names: &[&str]| Directory {
        path: path.as_bytes().into(),
        entries: names.iter().zip(0..).map(|(name, number)| entry(name, number)).collect(),
        complete: names.len() == 2,
    };
    let outputs = vec![
        Written {
            kind: "rootfs".into(),
            listing: Listing::from_unsorted(vec![directory("", &["a"]), directory("a", &["b", "c"])]),
        },
        Written { kind: "sysext".into(), listing: Listing::new() },
    ];
    let inputs = Listing::from_unsorted(vec![directory("/p/q", &["x", "y", "\u{e9}", "z"]), directory("/", &["p"])]);
    Record { key: Some(Digest::of("key")), inputs, outputs }
}

#[test]
fn a_record_comes_back_as_it_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.record(Path::new("/out")), None);
    for record in [record(), Record { key: None, ..record() }] {
        store.keep_record(Path::new("/out"), &record).unwrap();
        assert_eq!(store.record(Path::new("/out")), Some(record));
    }
    assert_eq!(store.record(Path::new("/out2")), None);
    store.forget_record(Path::new("/out")).unwrap();
    store.forget_record(Path::new("/out")).unwrap();
    assert_eq!(store.record(Path::new("/out")), None);
}

#[test]
fn a_damaged_record_is_none() {
    let bytes = encode_record(&record());
    assert!(decode_record(&bytes).is_some());
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x40;
        assert_eq!(decode_record(&damaged), None, "byte {position}");
        assert_eq!(decode_record(&bytes[..position]), None, "cut at {position}");
    }
}

#[test]
fn a_hostile_record_costs_no_memory_and_no_panic() {
    let bytes = encode_record(&record());
    let body = &bytes[..bytes.len() - 4];
    for position in 12..body.len() - 4 {
        let mut hostile = body.to_vec();
        hostile[position..position + 4].copy_from_slice(&[0xff; 4]);
        let mut checksum = flate2::Crc::new();
        checksum.update(&hostile);
        hostile.extend(checksum.sum().to_le_bytes());
        // Whatever it holds now: it was read to the end without reserving what a count asks for.
        decode_record(&hostile);
    }
}

#[test]
fn what_is_not_different_is_known_from_earlier() {
    let inputs = Inputs::new();
    inputs.seen(Path::new("/p/listed"), Stamp { mode: 0o040_755, ..stamp(1) });
    let directory = Stamp { mode: 0o040_755, ..stamp(3) };
    let other = Entry { name: (*b"b").into(), stamp: Some(directory), digest: None, shared: 0 };
    let file = Arc::new(InputFile::new(Path::new("/p/listed/a").into(), stamp(2), None));
    let listed = Directory { path: (*b"/p/listed").into(), entries: vec![other], complete: true };
    inputs.listed(listed, [Arc::clone(&file)]);
    file.is_read(Digest::of("a"));
    inputs.absent(Path::new("/p/listed/none"));
    inputs.seen(Path::new("/p/other"), Stamp { mode: 0o040_755, ..stamp(4) });
    inputs.file(Path::new("/p/other/c"), stamp(5), Digest::of("c"));
    let earlier = |differing: &[&str]| Earlier::new(inputs.listing(), differing.iter().map(PathBuf::from));
    let known = |earlier: &Earlier, path: &str| earlier.get(Path::new(path)).map(|entry| (entry.stamp, entry.digest));
    let all = earlier(&[]);
    assert_eq!(known(&all, "/p/listed/a"), Some((Some(stamp(2)), Some(Digest::of("a")))));
    assert_eq!(known(&all, "/p/listed/none"), Some((None, None)), "it is known to be missing");
    assert_eq!(known(&all, "/p/listed/new"), None, "nothing is known of it");
    let children = |earlier: &Earlier, path: &str| {
        let children = earlier.children(Path::new(path))?;
        Some(children.map(|(entry, same)| (entry.name.to_vec(), entry.stamp.filter(|_| same))).collect::<Vec<_>>())
    };
    let both = vec![(b"a".to_vec(), Some(stamp(2))), (b"b".to_vec(), Some(directory))];
    assert_eq!(children(&all, "/p/listed"), Some(both.clone()));
    assert_eq!(children(&all, "/p/other"), None, "not all of it was looked at");
    let edited = earlier(&["/p/listed/b"]);
    assert_eq!(known(&edited, "/p/listed/b"), None);
    assert_eq!(children(&edited, "/p/listed"), Some(vec![both[0].clone(), (b"b".to_vec(), None)]));
    assert_eq!(children(&earlier(&["/p/listed"]), "/p/listed"), None, "a name came or went");
}

#[test]
fn inputs_are_sorted_and_contradictions_untrusted() {
    let inputs = Inputs::new();
    inputs.file(Path::new("/b/two"), stamp(2), Digest::of("two"));
    inputs.absent(Path::new("/a/one"));
    inputs.file(Path::new("/b/one"), stamp(1), Digest::of("one"));
    inputs.seen(Path::new("/b/two"), stamp(2));
    inputs.seen(Path::new("/b/one"), stamp(3));
    inputs.seen(Path::new("/"), stamp(4));
    let listing = inputs.listing();
    let paths: Vec<_> = listing.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [Path::new("/a/one"), Path::new("/b/one"), Path::new("/b/two")]);
    assert_eq!(listing.get(b"/b/two").unwrap().stamp, Some(stamp(2)));
    assert_eq!(listing.get(b"/b/two").unwrap().digest, Some(Digest::of("two")));
    assert_eq!(listing.get(b"/b/one").unwrap().stamp, Some(stamp(1).untrusted()));
    assert_eq!(listing.get(b"/a/one").unwrap().stamp, None);
}

#[test]
fn relative_inputs_are_those_of_the_working_directory() {
    let inputs = Inputs::new();
    inputs.absent(Path::new("nowhere"));
    let expected = std::env::current_dir().unwrap().join("nowhere");
    assert_eq!(inputs.listing().iter().next().unwrap().0, expected);
}

#[test]
fn differences_are_additions_removals_and_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    crate::fs::create_directory(&at("d")).unwrap();
    for name in ["d/kept", "d/changed", "d/removed"] {
        crate::fs::write_atomic(&at(name), b"x").unwrap();
    }
    let inputs = Inputs::new();
    for name in ["d", "d/kept", "d/changed", "d/removed"] {
        inputs.seen(&at(name), Stamp::of(&at(name)).unwrap());
    }
    inputs.absent(&at("e/added"));
    let listing = inputs.listing();
    let base = Folder::open(folder.path()).unwrap();
    assert!(listing.differences(&base).unwrap().is_empty());
    std::thread::sleep(std::time::Duration::from_millis(20));
    crate::fs::write_atomic(&at("d/changed"), b"y").unwrap();
    crate::fs::remove_file(&at("d/removed")).unwrap();
    crate::fs::create_directory(&at("e/added")).unwrap();
    let differences = listing.differences(&base).unwrap();
    assert_eq!(differences, ["d", "d/changed", "d/removed", "e/added"].map(at));
    crate::fs::remove_tree(&at("d")).unwrap();
    crate::fs::write_atomic(&at("d"), b"a file now").unwrap();
    assert_eq!(listing.differences(&base).unwrap().len(), 5);
}

#[test]
fn young_stamps_are_distrusted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    crate::fs::write_atomic(&file, b"x").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    let store = Store::open(&folder.path().join("cache")).unwrap();
    let young = folder.path().join("young");
    crate::fs::write_atomic(&young, b"x").unwrap();
    let inputs = Inputs::new();
    for path in [&file, &young] {
        inputs.file(path, Stamp::of(path).unwrap(), Digest::of("x"));
    }
    let mut listing = inputs.listing();
    listing.distrust_since(store.opened());
    let base = Folder::open(folder.path()).unwrap();
    assert_eq!(listing.differences(&base).unwrap(), [young]);
}

#[test]
fn stamps_are_taken_only_of_expected_results() {
    let folder = tempfile::tempdir().unwrap();
    crate::fs::write_atomic(&folder.path().join("file"), b"12").unwrap();
    let found = Stamp::of(&folder.path().join("file")).unwrap();
    let listing = |stamp: Stamp| {
        let entry = Entry { name: b"file"[..].into(), stamp: Some(stamp.untrusted()), digest: None, shared: 0 };
        Listing::from_unsorted(vec![Directory { path: Box::default(), entries: vec![entry], complete: false }])
    };
    let base = Folder::open(folder.path()).unwrap();
    let mut expected = listing(found);
    expected.stamp(&base).unwrap();
    assert!(expected.differences(&base).unwrap().is_empty());
    let mut other = listing(Stamp { size: 3, ..found });
    other.stamp(&base).unwrap();
    assert_eq!(other.differences(&base).unwrap(), [Path::new("file")]);
}

#[test]
fn a_temporary_store_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::temporary(folder.path()).unwrap();
    store.keep_record(Path::new("/out"), &record()).unwrap();
    assert!(store.record(Path::new("/out")).is_some());
    drop(store);
    assert!(fs::list(folder.path()).unwrap().is_empty());
}

#[test]
fn a_place_that_cannot_be_written_is_no_store() {
    let error = Store::open(Path::new("/proc/nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create directory `/proc/nowhere"), "{error}");
}

#[test]
fn abandoned_files_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    crate::fs::write_atomic(&folder.path().join(".new.1.1"), b"x").unwrap();
    let is_there = || fs::list(folder.path()).unwrap().iter().any(|name| name == ".new.1.1");
    store.sweep().unwrap();
    assert!(is_there(), "another process may be writing it");
    store.opened.seconds += ABANDONED + 60;
    store.sweep().unwrap();
    assert!(!is_there());
}

#[test]
fn rendered_texts_come_back_and_only_what_is_used_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let of = Path::new("/p/web");
    let text = |text: &str| RenderedText { text: text.into(), used: ["port".to_owned()].into() };
    let texts = store.texts(of);
    assert_eq!(texts.get(&Digest::of("a")), None);
    texts.add(Digest::of("a"), text("one"));
    texts.add(Digest::of("b"), text(""));
    store.keep_texts(of, &texts.learned().unwrap()).unwrap();
    let texts = store.texts(of);
    assert_eq!(texts.get(&Digest::of("a")), Some(text("one")));
    assert_eq!(texts.learned(), Some(BTreeMap::from([(Digest::of("a"), text("one"))])), "the other was not asked for");
    assert_eq!(texts.get(&Digest::of("b")), Some(text("")));
    assert_eq!(texts.learned(), None);
}

#[test]
fn damaged_texts_are_none() {
    let text = RenderedText { text: "text".into(), used: ["port".to_owned()].into() };
    let bytes = format::encode_texts(&BTreeMap::from([(Digest::of("a"), text)]));
    assert!(format::decode_texts(&bytes).is_some());
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x40;
        assert_eq!(format::decode_texts(&damaged), None, "byte {position}");
        assert_eq!(format::decode_texts(&bytes[..position]), None, "cut at {position}");
    }
}

#[test]
fn what_is_kept_for_folders_that_are_gone_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    let (here, gone) = (folder.path().join("here"), folder.path().join("gone"));
    fs::create_directory(&here).unwrap();
    for owner in [&here, &gone] {
        store.keep_record(owner, &record()).unwrap();
        store.keep_sources(owner, Listing::new()).unwrap();
        store.keep_texts(&owner.join("web/debian"), &BTreeMap::new()).unwrap();
    }
    fs::write_atomic(&store.archives().join("unpacked"), b"x").unwrap();
    let collected = store.collect().unwrap();
    assert_eq!((collected.removed, collected.freed > 0), (3, true));
    assert_eq!(
        collected.left.iter().map(|left| left.entries).collect::<Vec<_>>(),
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!((store.record(&here), store.record(&gone)), (Some(record()), None));
    assert!(store.sources(&here).is_some());
    assert_eq!(store.collect().unwrap().removed, 0);

    store.keep_record(&gone, &record()).unwrap();
    store.collect_some(&here).unwrap();
    assert_eq!((store.record(&here), store.record(&gone)), (Some(record()), None));
}
