//! What is made up for after an interruption, from states that a kill rarely leaves.

use std::path::{Path, PathBuf};

use super::stage::{Journal, NEW, OLD, Stage, Switch};
use super::{Options, stage, switch};
use crate::event::Silent;
use crate::fs::{self, Folder, Stamp};
use crate::store::{Listing, Record, Store, Written};

/// A destination `out/here` with a stage that is prepared by hand.
struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_directory(&folder.path().join("out/here")).unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        Self { folder, store }
    }

    fn destination(&self) -> PathBuf {
        self.folder.path().join("out/here").canonicalize().unwrap()
    }

    fn write(&self, name: &str, text: &str) -> u64 {
        let path = self.destination().join(name);
        fs::create_directory(path.parent().unwrap()).unwrap();
        fs::write_atomic(&path, text.as_bytes()).unwrap();
        Stamp::of(&path).unwrap().inode
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(&self.destination().join(name)).ok()
    }

    fn recover(&self) -> super::Result<()> {
        let options = Options { store: &self.store, force: false, witness: &|_| Vec::new(), reporter: &Silent };
        stage::recover(&self.destination(), &Folder::open(&self.destination()).unwrap(), &options)
    }

    fn beside(&self) -> Stage {
        let (parent, name) = (self.folder.path().join("out"), b".here.layerforge".to_vec());
        Stage::create(Folder::open(&parent).unwrap(), name).unwrap()
    }

    fn inside(&self) -> Stage {
        Stage::create(Folder::open(&self.destination()).unwrap(), stage::INSIDE.into()).unwrap()
    }

    fn is_clean(&self) -> bool {
        fs::list(&self.folder.path().join("out")).unwrap() == ["here"]
            && !fs::exists(&self.destination().join(stage::INSIDE)).unwrap()
    }
}

fn record(kind: &str) -> Record {
    Record { key: None, inputs: Listing::new(), outputs: vec![Written { kind: kind.into(), listing: Listing::new() }] }
}

#[test]
fn what_others_put_into_the_old_folder_is_rescued() {
    let place = Place::new();
    let linked = ["kept", "replaced before", "replaced after", "deleted after"];
    let linked: Vec<_> = linked.iter().map(|name| (name.as_bytes().to_vec(), place.write(name, "first"))).collect();
    place.write("rootfs/file", "old");
    let stage = place.beside();
    stage.folder().create_folder(NEW.as_bytes(), 0o755).unwrap();
    let new = stage.folder().folder(NEW.as_bytes()).unwrap();
    let old = Folder::open(&place.destination()).unwrap();
    for (name, _) in &linked {
        old.link(name, &new, name).unwrap();
    }
    fs::write_atomic(&new.path().join("manifest.json"), b"new").unwrap();
    // Between the links and the exchange somebody replaces one file and adds others.
    place.write("replaced before", "second");
    place.write("replaced after", "second");
    place.write("added", "second");
    place.write("added directory/file", "second");
    stage.write_record(&record("after")).unwrap();
    let owned = vec!["rootfs".to_owned(), "manifest.json".to_owned()];
    let journal = Journal::Exchange { old: old.id().unwrap().inode, owned, linked };
    stage.write_journal(&journal).unwrap();
    stage.folder().exchange(NEW.as_bytes(), stage.parent(), b"here").unwrap();
    // And after it.
    place.write("replaced after", "third");
    fs::remove_file(&place.destination().join("deleted after")).unwrap();
    place.recover().unwrap();
    assert!(place.is_clean());
    let names = fs::list(&place.destination()).unwrap();
    assert_eq!(names, ["added", "added directory", "kept", "manifest.json", "replaced after", "replaced before"]);
    assert_eq!(place.text("kept").unwrap(), "first");
    assert_eq!(place.text("replaced before").unwrap(), "second");
    assert_eq!(place.text("replaced after").unwrap(), "third");
    assert_eq!(place.text("added directory/file").unwrap(), "second");
    assert_eq!(place.store.record(&place.destination()).unwrap(), record("after"));
}

#[test]
fn a_stage_that_was_not_exchanged_is_dropped() {
    let place = Place::new();
    place.write("rootfs/file", "old");
    place.store.keep_record(&place.destination(), &record("before")).unwrap();
    let stage = place.beside();
    stage.folder().create_folder(NEW.as_bytes(), 0o755).unwrap();
    fs::write_atomic(&stage.folder().path().join("new/file"), b"new").unwrap();
    stage.write_record(&record("after")).unwrap();
    let old = Folder::open(&place.destination()).unwrap().id().unwrap().inode;
    stage.write_journal(&Journal::Exchange { old, owned: Vec::new(), linked: Vec::new() }).unwrap();
    place.recover().unwrap();
    assert!(place.is_clean());
    assert_eq!(fs::list(&place.destination()).unwrap(), ["rootfs"]);
    assert_eq!(place.store.record(&place.destination()).unwrap(), record("before"));
}

/// Prepares a switch of three children in a stage: `rootfs` and `Dockerfile` come, `rootfs.tar` goes.
fn prepare_switch(place: &Place) -> (Stage, Vec<Switch>) {
    place.write("rootfs/file", "old");
    place.write("Dockerfile", "old");
    let tar = place.write("rootfs.tar", "old");
    let stage = place.inside();
    let new = stage.folder().path().join(NEW);
    fs::create_directory(&new.join("rootfs")).unwrap();
    fs::write_atomic(&new.join("rootfs/file"), b"new").unwrap();
    fs::write_atomic(&new.join("Dockerfile"), b"new").unwrap();
    let inode = |name: &str| Stamp::of(&new.join(name)).unwrap().inode;
    let put = |name: &str| Switch::Put(name.to_owned(), inode(name));
    let switches = vec![put("rootfs"), put("Dockerfile"), Switch::Remove("rootfs.tar".into(), tar)];
    stage.write_record(&record("after")).unwrap();
    stage.write_journal(&Journal::Switch(switches.clone())).unwrap();
    (stage, switches)
}

fn is_switched(place: &Place) -> bool {
    place.is_clean()
        && place.text("rootfs/file").as_deref() == Some("new")
        && place.text("Dockerfile").as_deref() == Some("new")
        && place.text("rootfs.tar").is_none()
        && place.store.record(&place.destination()) == Some(record("after"))
}

#[test]
fn an_interrupted_switch_is_completed_from_every_step() {
    for done in 0..=3 {
        let place = Place::new();
        let (stage, switches) = prepare_switch(&place);
        let destination = Folder::open(&place.destination()).unwrap();
        switch::switch_children(&stage, &switches[..done], &destination).unwrap();
        place.recover().unwrap();
        assert!(is_switched(&place), "{done} steps");
    }
}

#[test]
fn a_switch_without_exchange_is_completed_from_its_middle() {
    let place = Place::new();
    let (stage, _) = prepare_switch(&place);
    stage.folder().create_folder(OLD.as_bytes(), 0o700).unwrap();
    let old = stage.folder().folder(OLD.as_bytes()).unwrap();
    Folder::open(&place.destination()).unwrap().rename(b"rootfs", &old, b"rootfs").unwrap();
    place.recover().unwrap();
    assert!(is_switched(&place));
}

#[test]
fn an_edit_after_an_interrupted_removal_stays() {
    let place = Place::new();
    let (stage, switches) = prepare_switch(&place);
    let destination = Folder::open(&place.destination()).unwrap();
    switch::switch_children(&stage, &switches, &destination).unwrap();
    place.write("Dockerfile", "mine");
    place.write("rootfs.tar", "mine");
    place.recover().unwrap();
    assert!(place.is_clean());
    assert_eq!(place.text("Dockerfile").unwrap(), "mine");
    assert_eq!(place.text("rootfs.tar").unwrap(), "mine");
}

#[test]
fn a_stage_that_was_just_begun_or_almost_removed_is_dropped() {
    let place = Place::new();
    let path = place.folder.path().join("out/.here.layerforge");
    for leftovers in [&[][..], &["journal.new"]] {
        fs::create_directory(&path).unwrap();
        for name in leftovers {
            fs::write_atomic(&path.join(name), b"{").unwrap();
        }
        place.recover().unwrap();
        assert!(place.is_clean(), "{leftovers:?}");
    }
    fs::create_directory(&path).unwrap();
    fs::write_atomic(&path.join("journal"), b"{").unwrap();
    assert!(matches!(place.recover(), Err(super::DestinationError::InTheWay { path: told }) if told == *path));
    assert!(fs::exists(Path::new(&path)).unwrap());
}
