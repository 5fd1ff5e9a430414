//! Archives of others: whatever the bytes, the reader ends, and what it gives is sound.

#![no_main]

use std::fs;

use layerforge::digest::Digest;
use layerforge::image::oci::{self, Layout};
use layerforge::tree::{Kind, read_tar};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive");
    fs::write(&file, bytes).unwrap();
    let Ok(tree) = read_tar(&file, folder.path()) else { return };
    for (path, node) in tree.iter() {
        assert!(path.to_string().split('/').all(|name| name != ".." && name != "."));
        if let Kind::Regular(content) = &node.kind
            && let Some(read) = content.read(1 << 20).unwrap()
        {
            assert_eq!(Digest::of(&read), content.digest);
        }
    }
    if let Ok(layout) = Layout::open(&file, folder.path()) {
        oci::check(&layout).ok();
    }
    if oci::recognise(&file, Some(&tree)).is_some() {
        oci::open(&file, Some(tree), folder.path()).ok();
    }
});
