//! EROFS images: the kernel and `fsck.erofs` read what was written.

use std::collections::HashMap;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use layerforge::image::erofs::{self, Codec, Compression, Options, Profile};
use layerforge::spec::KernelVersion;
use layerforge::tree::{
    Aspect, Change, Content, DeviceNumber, Kind, Meta, Node, Tree, TreePath, diff, diff_without_times, scan,
};

use crate::Outcome;
use crate::command::{explain, program, run};
use crate::machine::tree::DEBIAN_13;
use crate::world::World;

const BLOCK: usize = 4096;
/// What the fsck.erofs of Debian 12 reads: nothing that is newer than Linux 6.0, and no zstd.
const OLD: KernelVersion = KernelVersion::new(5, 17);
const NEW: KernelVersion = KernelVersion::new(6, 12);

/// Every codec, with and without packing, with small and large chunks.
fn ways() -> Vec<Options> {
    let way = |codec, level, chunk: u32, kernel, packing| Options {
        compression: Compression { codec, level, chunk: chunk << 10 },
        packing,
        ..Options::new(Profile::None, kernel)
    };
    vec![
        way(Codec::None, 0, 256, KernelVersion::new(5, 4), false),
        way(Codec::Lz4, 1, 16, KernelVersion::new(5, 13), false),
        way(Codec::Lz4hc, 9, 128, OLD, false),
        way(Codec::Lz4hc, 3, 1024, NEW, true),
        way(Codec::Zstd, 1, 16, NEW, true),
        way(Codec::Zstd, 3, 256, NEW, true),
        way(Codec::Zstd, 3, 64, NEW, false),
        way(Codec::Zstd, 6, 1024, NEW, true),
    ]
}

fn name(options: &Options) -> String {
    let Compression { codec, level, chunk } = options.compression;
    format!(
        "{codec} {level}, {} KiB, for {}{}",
        chunk >> 10,
        options.target_kernel,
        if options.packing { ", packed" } else { "" }
    )
}

/// The kernel shows every node as it was written.
pub(super) fn kernel(world: &World) -> Outcome {
    let folder = world.folder("erofs-kernel")?;
    for (what, tree) in [("debian", debian(world)?), ("odd", odd()?)] {
        for options in ways() {
            let image = write(&tree, &options, &folder)?;
            mounted(&image, &folder.join("mount"), |root| same(&tree, root))
                .map_err(|error| format!("{what}, {}: {error}", name(&options)))?;
        }
    }
    Ok(())
}

/// fsck.erofs of Debian 13 takes every image apart, and that of the host those that it knows.
pub(super) fn fsck(world: &World) -> Outcome {
    let folder = world.folder("erofs-fsck")?;
    let tools = world.tree(&DEBIAN_13)?;
    let tree = debian(world)?;
    for options in ways() {
        let image = write(&tree, &options, &folder)?;
        let file = image.file_name().unwrap_or_default().to_string_lossy();
        let check = |command: &mut std::process::Command, place: &Path, links: bool| {
            run(command)?;
            let found = scan(place).map_err(|error| error.to_string())?;
            fs::remove_dir_all(place).map_err(explain("remove what was extracted"))?;
            let changes = diff_without_times(&without_special_bits(tree.clone()), &without_special_bits(found));
            let only_links = |change: &Change| {
                !change.differences.is_empty() && change.differences.iter().all(|one| one.aspect == Aspect::HardLink)
            };
            // The directory that they are extracted into is not theirs.
            let real = |change: &&Change| !change.path.is_root() && (links || !only_links(change));
            let changes: Vec<_> = changes.iter().filter(real).collect();
            let differ = |first| Err(format!("{} paths differ: {first:?}", changes.len()));
            changes.first().map_or(Ok(()), differ)
        };
        let mut inside = tools.program("fsck.erofs", &folder);
        inside.args(["--extract=/mnt/extracted", &format!("/mnt/{file}")]);
        check(&mut inside, &folder.join("extracted"), true)
            .map_err(|error| format!("1.8, {}: {error}", name(&options)))?;
        if options.target_kernel <= OLD {
            // The fsck.erofs of Debian 12 makes a file of every hard link.
            let place = folder.join("extracted");
            let mut outside = program("fsck.erofs");
            outside.arg(format!("--extract={}", place.display())).arg(&image);
            check(&mut outside, &place, false).map_err(|error| format!("the host's, {}: {error}", name(&options)))?;
        }
    }
    Ok(())
}

/// Takes away the bits that changing the owner takes away, which the older fsck.erofs does last.
fn without_special_bits(mut tree: Tree) -> Tree {
    let paths: Vec<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(node) = tree.get_mut(&path) {
            node.meta.mode &= 0o1777;
        }
    }
    tree
}

/// A file of 4 GiB, nearly all of it a hole, is written with little memory, and the kernel reads it.
pub(super) fn sparse(world: &World) -> Outcome {
    const SIZE: u64 = 4 << 30;
    let folder = world.folder("erofs-sparse")?;
    let content = folder.join("content");
    fs::create_dir(&content).map_err(explain("make a folder"))?;
    let file = File::create(content.join("sparse")).map_err(explain("make a file"))?;
    file.set_len(SIZE).map_err(explain("make a hole"))?;
    std::os::unix::fs::FileExt::write_all_at(&file, b"in the middle", SIZE / 2 + 4095).map_err(explain("write"))?;
    let tree = scan(&content).map_err(|error| error.to_string())?;
    let options =
        Options { threads: NonZeroUsize::new(2).ok_or("two threads")?, ..Options::new(Profile::Default, NEW) };
    let before = peak()?;
    let image = write(&tree, &options, &folder)?;
    let used = peak()?.saturating_sub(before);
    // Six buffers of four chunks are 12 MiB; the index takes 2 bytes for each of a million blocks.
    if used > 32 << 10 {
        return Err(format!("writing took {used} KiB more memory"));
    }
    mounted(&image, &folder.join("mount"), |root| same(&tree, root))
}

/// Returns the most memory that this process had at once, in KiB.
fn peak() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status").map_err(explain("read the state of the process"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak is told")?;
    line.trim().trim_end_matches(" kB").parse().map_err(explain("understand the peak"))
}

fn debian(world: &World) -> Outcome<Tree> {
    let mut tree = scan(&world.tree(&DEBIAN_13)?.root()).map_err(|error| error.to_string())?;
    // It has access lists, which fsck.erofs does not extract.
    tree.remove(&"/var/log/journal".parse().map_err(explain("name the journal"))?);
    tree.complete(|_| Meta::root_owned(0o755, 0));
    Ok(tree)
}

/// Returns a tree of everything that the kernel can show and that is seldom seen.
fn odd() -> Outcome<Tree> {
    let mut tree = Tree::new();
    let path = |text: &str| TreePath::from_absolute(text.as_bytes()).map_err(|error| error.to_string());
    let mut put = |text: &str, kind: Kind, meta: Meta| -> Outcome {
        tree.insert(path(text)?, Node { kind, meta }).map(drop).map_err(|error| error.to_string())
    };
    let plain = || Meta::root_owned(0o640, 1_600_000_000);
    for chunk in [BLOCK, 16 << 10, 256 << 10, 1 << 20] {
        for size in [chunk - 64, chunk - 1, chunk, chunk + 1, 2 * chunk + BLOCK, 3 * chunk / 2 + 1] {
            for (kind, share) in [("text", 3_u64), ("half", 128), ("noise", 256)] {
                put(
                    &format!("/sizes/{kind}-{chunk}-{size}"),
                    Kind::Regular(Content::inline(noise(size, share))),
                    plain(),
                )?;
            }
        }
    }
    let number = |major, minor| DeviceNumber { major, minor };
    put("/null", Kind::CharacterDevice(number(1, 3)), plain())?;
    put("/disk", Kind::BlockDevice(number(259, 70_000)), plain())?;
    put("/pipe", Kind::Fifo, plain())?;
    put("/socket", Kind::Socket, plain())?;
    put("/opaque", Kind::Directory { opaque: true }, plain())?;
    put("/opaque/gone", Kind::Whiteout, Node::whiteout().meta)?;
    put("/link", Kind::Symlink(vec![b't'; 4095].into()), Meta::root_owned(0o777, 5))?;
    put("/old", Kind::directory(), Meta { uid: 100_000, gid: 4_000_000_000, ..Meta::root_owned(0o7755, -100) })?;
    for file in 0..4_u8 {
        let mut meta = plain();
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        meta.xattrs.insert((*b"security.capability").into(), capability.into());
        meta.xattrs.insert((*b"user.own").into(), vec![file; 3000].into());
        put(&format!("/attributes/{file}"), Kind::Regular(Content::inline([file; 100])), meta)?;
    }
    let mut meta = plain();
    meta.xattrs.insert((*b"user.huge").into(), vec![b'h'; 60_000].into());
    put("/attributes/huge", Kind::Regular(Content::inline(noise(100_001, 30))), meta)?;
    for entry in 0..101_000 {
        put(&format!("/dense/{entry}"), Kind::Fifo, plain())?;
    }
    put(&format!("/{}", "n".repeat(255)), Kind::Fifo, plain())?;
    for link in ["/attributes/link", "/-before", "/zz/link"] {
        tree.link(path(link)?, &path("/attributes/0")?).map_err(|error| error.to_string())?;
    }
    tree.complete(|_| Meta::root_owned(0o755, 1_600_000_000));
    Ok(tree)
}

/// Returns bytes of which `share` of 256 cannot be guessed.
fn noise(length: usize, share: u64) -> Vec<u8> {
    let mut state = length as u64 * 256 + share + 1;
    let next = |place: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if (state >> 50) % 256 < share { (state >> 33) as u8 } else { (place / 100) as u8 }
    };
    (0..length).map(next).collect()
}

fn write(tree: &Tree, options: &Options, folder: &Path) -> Outcome<PathBuf> {
    let path = folder.join("image.erofs");
    let file = File::create(&path).map_err(explain("make the image"))?;
    erofs::write(tree, options, &file, 0).map_err(|error| format!("{}: {error}", name(options)))?;
    Ok(path)
}

/// Mounts an image, hands over where, and unmounts it.
fn mounted(image: &Path, place: &Path, look: impl FnOnce(&Path) -> Outcome) -> Outcome {
    fs::create_dir_all(place).map_err(explain("make a folder"))?;
    run(program("mount").args(["-t", "erofs", "-o", "ro,acl"]).arg(image).arg(place))?;
    let seen = look(place);
    seen.and(run(program("umount").arg(place)).map(drop))
}

/// Compares everything below `root` with the tree, numbers of links, too.
fn same(tree: &Tree, root: &Path) -> Outcome {
    let found = scan(root).map_err(|error| error.to_string())?;
    let changes = diff(tree, &found);
    if let Some(first) = changes.first() {
        return Err(format!("{} paths differ: {first:?}", changes.len()));
    }
    let mut links: HashMap<_, u64> = HashMap::new();
    for (path, id) in tree.ids() {
        let directory = tree.node(id).kind.is_directory();
        *links.entry(id).or_default() += if directory { 2 } else { 1 };
        if let (true, Some(parent)) = (directory, path.parent().and_then(|parent| tree.id(&parent))) {
            *links.entry(parent).or_default() += 1;
        }
    }
    for (path, id) in tree.ids() {
        let metadata = fs::symlink_metadata(root.join(path.as_path())).map_err(|error| error.to_string())?;
        if metadata.nlink() != links[&id] {
            return Err(format!("{path} has {} links, not {}", metadata.nlink(), links[&id]));
        }
    }
    Ok(())
}
