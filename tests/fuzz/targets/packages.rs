//! Packages: whatever the bytes, they are unpacked and put together or refused, and nothing leaves the root.

#![no_main]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use layerforge::digest::Digest;
use layerforge::packages::archive::{Fetched, Unpacked};
use layerforge::packages::{apk, apt, pacman};
use layerforge::tree::Tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("package");
    let fetched = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        [Fetched { path: file.clone(), size: bytes.len() as u64, digest: Digest::of(bytes) }]
    };
    let tree = match kind % 3 {
        0 => deb(&fetched(bytes), folder.path()),
        1 => {
            let fetched = fetched(&apk(bytes));
            apk::archive::identify(&file).ok();
            alpine(&fetched, folder.path())
        }
        _ => arch(&fetched(bytes), folder.path()),
    };
    for (path, _) in tree.iter().flat_map(Tree::iter) {
        assert!(path.to_string().split('/').all(|name| name != ".." && name != "."));
    }
});

/// Makes a package of Alpine of what it says about itself and its data, which a fuzzer could not change otherwise: the data is
/// compressed, and vouched for by its digest. The first two bytes are the length of the former.
fn apk(bytes: &[u8]) -> Vec<u8> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Vec::new() };
    let (info, data) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    let data = gzip(data);
    let info = [info, format!("\ndatahash = {}\n", Digest::of(&data).hex()).as_bytes()].concat();
    let mut head = [0; 512];
    let fields: [(usize, &[u8]); 5] = [
        (0, b".PKGINFO"),
        (100, b"0000644"),
        (124, &format!("{:011o}", info.len()).into_bytes()),
        (156, b"0"),
        (257, b"ustar\x0000"),
    ];
    fields.into_iter().for_each(|(place, field)| head[place..place + field.len()].copy_from_slice(field));
    head[148..156].fill(b' ');
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut control = [&head[..], &info].concat();
    control.resize(control.len().next_multiple_of(512), 0);
    [gzip(&control), data].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn all(packages: &[Unpacked]) {
    packages.iter().flat_map(|package| &package.entries).for_each(|entry| drop(entry.path.to_string()));
}

fn deb(fetched: &[Fetched], packs: &Path) -> Option<Tree> {
    apt::archive::control(&fetched[0]).ok();
    let packages = apt::archive::unpack_all(fetched, packs).ok()?;
    all(&packages);
    let decisions = apt::database::Decisions { architecture: "amd64".into(), ..Default::default() };
    apt::database::install(&packages, &decisions, |_| false).ok()
}

fn alpine(fetched: &[Fetched], packs: &Path) -> Option<Tree> {
    let packages = apk::archive::unpack_all(fetched, packs).ok()?;
    all(&packages);
    apk::scripts::steps(&packages, &[]).ok();
    let decisions = apk::database::Decisions { architecture: "x86_64".into(), ..Default::default() };
    apk::database::install(&packages, &decisions, |_| false).ok()
}

fn arch(fetched: &[Fetched], packs: &Path) -> Option<Tree> {
    let packages = pacman::archive::unpack_all(fetched, packs).ok()?;
    all(&packages);
    pacman::database::install(&packages, &Default::default(), |_| false).ok()
}
