//! Images of other tools are read as what the kernel shows, and ours are read by other tools: mkfs.erofs, mksquashfs,
//! unsquashfs, sgdisk, tar, and squashfs in the kernel.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use layerforge::image::read::{self, Format, Opened};
use layerforge::image::squashfs::{Compression, Options, write};
use layerforge::tree::{Kind, Tree, diff, scan};

use crate::Outcome;
use crate::command::{explain, program, run};
use crate::machine::tree::DEBIAN_13;
use crate::world::World;

/// Makes a tree of Debian without what squashfs through the library cannot hold, and with a wide directory.
fn source(world: &World, folder: &Path) -> Outcome<PathBuf> {
    let tree = folder.join("tree");
    run(program("cp").arg("--archive").arg(world.tree(&DEBIAN_13)?.root()).arg(&tree))?;
    // The journal has access lists, which mksquashfs leaves out; most libraries would only take time.
    run(program("rm").arg("-r").arg(tree.join("var/log/journal")).arg(tree.join("usr/lib")))?;
    let wide = tree.join("usr/share/wide");
    fs::create_dir(&wide).map_err(explain("make a directory"))?;
    for index in 0..4_000 {
        fs::write(wide.join(format!("{index:0100}")), format!("{index}")).map_err(explain("write a file"))?;
    }
    run(program("chmod").arg("4711").arg(wide.join(format!("{:0100}", 7))))?;
    run(program("ln").arg(wide.join(format!("{:0100}", 7))).arg(tree.join("usr/share/hard")))?;
    run(program("setfattr").args(["-n", "user.note", "-v", "value"]).arg(tree.join("usr/share/hard")))?;
    Ok(tree)
}

fn opened(image: &Path, folder: &Path) -> Outcome<Opened> {
    read::open(image, folder).map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))
}

fn equal(expected: &Tree, found: &Tree, what: &str) -> Outcome {
    let changes = diff(expected, found);
    if changes.is_empty() && !found.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = changes.iter().take(10).map(ToString::to_string).collect();
    Err(format!("{what}: {} paths differ:\n{}", changes.len(), shown.join("\n")))
}

/// Trees come out of images of other tools as they went in.
pub(super) fn of_other_tools(world: &World) -> Outcome {
    let folder = world.folder("readers")?;
    let tree = source(world, &folder)?;
    let image = folder.join("image");
    let erofs: [&[&str]; 4] =
        [&[], &["-zlz4hc"], &["-zlz4hc,9", "-C65536", "-Eztailpacking"], &["-Eforce-inode-extended"]];
    for options in erofs {
        run(program("mkfs.erofs").args(options).arg(&image).arg(&tree))?;
        is_what_the_kernel_shows(&image, "erofs", &folder).map_err(|why| format!("mkfs.erofs {options:?}, {why}"))?;
        fs::remove_file(&image).map_err(explain("remove the image"))?;
    }
    let squashfs: [&[&str]; 6] = [
        &["-comp", "gzip"],
        &["-comp", "xz"],
        &["-comp", "zstd"],
        &["-comp", "lz4"],
        // Only looking for what is alike mixes up small fragments (see below); that is covered by the others.
        &["-comp", "zstd", "-b", "4096", "-always-use-fragments", "-no-duplicates"],
        &["-comp", "zstd", "-no-fragments", "-noI", "-noX"],
    ];
    let given = scan(&tree).map_err(|error| error.to_string())?;
    for options in squashfs {
        let seen = intact_squashfs(&tree, &given, options, &folder)?;
        let found = opened(&image, &folder).map_err(|why| format!("mksquashfs {options:?}, {why}"))?;
        equal(&seen, &found.tree.unwrap_or_default(), &format!("mksquashfs {options:?}, as the kernel shows it"))?;
        fs::remove_file(&image).map_err(explain("remove the image"))?;
    }
    run(program("tar")
        .args(["--xattrs", "--xattrs-include=*", "--format=pax", "--numeric-owner", "-czf"])
        .arg(&image)
        .arg("-C")
        .arg(&tree)
        .arg("."))?;
    let found = opened(&image, &folder)?;
    equal(&given, &found.tree.unwrap_or_default(), "tar")?;
    run(program("rm").arg("-rf").arg(&tree))?;
    Ok(())
}

/// Makes `image` in `folder` and returns what the kernel shows of it, which is what it was made from. mksquashfs 4.5 mixes up
/// fragments that are alike: one in four images with many small ones had files that neither the kernel nor unsquashfs could
/// read, and none of twenty where it did not look for what is alike. In other forms that is rare, but not unheard of: such an
/// image is no use for judging readers, and is made again.
fn intact_squashfs(tree: &Path, given: &Tree, options: &[&str], folder: &Path) -> Outcome<Tree> {
    let image = folder.join("image");
    let mut why = String::new();
    for _ in 0..5 {
        run(program("mksquashfs").arg(tree).arg(&image).args(["-quiet", "-no-progress", "-noappend"]).args(options))?;
        let seen = mounted(&image, "squashfs", folder);
        match seen.and_then(|seen| equal(given, &seen, "the kernel").map(|()| seen)) {
            Ok(seen) => return Ok(seen),
            Err(damage) => why = damage,
        }
    }
    Err(format!("mksquashfs {options:?} made no intact image in five attempts: {why}"))
}

/// Compares what is read from an image with what the kernel mounts.
fn is_what_the_kernel_shows(image: &Path, kind: &str, folder: &Path) -> Outcome {
    let found = opened(image, folder)?.tree.unwrap_or_default();
    equal(&mounted(image, kind, folder)?, &found, "as the kernel shows it")
}

/// Returns the tree that the kernel shows of an image.
fn mounted(image: &Path, kind: &str, folder: &Path) -> Outcome<Tree> {
    let place = folder.join("mounted");
    fs::create_dir_all(&place).map_err(explain("make a directory"))?;
    run(program("mount").args(["-t", kind, "-o", "ro,loop"]).arg(image).arg(&place))?;
    let seen = scan(&place).map_err(|error| error.to_string());
    run(program("umount").arg(&place))?;
    seen
}

/// The file system in a disk that sgdisk made is found.
pub(super) fn of_sgdisk(world: &World) -> Outcome {
    let folder = world.folder("sgdisk")?;
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("usr/lib")).map_err(explain("make directories"))?;
    fs::write(tree.join("usr/lib/os-release"), "ID=x\n").map_err(explain("write a file"))?;
    let expected = scan(&tree).map_err(|error| error.to_string())?;
    let (payload, disk) = (folder.join("payload"), folder.join("disk"));
    run(program("mkfs.erofs").arg(&payload).arg(&tree))?;
    run(program("truncate").args(["-s", "16M"]).arg(&disk))?;
    // 8304 is what sgdisk calls the root partition of x86-64.
    run(program("sgdisk").args(["-n", "1:2048:+4M", "-t", "1:8304", "-A", "1:set:60"]).arg(&disk))?;
    run(program("dd").arg(format!("if={}", payload.display())).arg(format!("of={}", disk.display())).args([
        "bs=512",
        "seek=2048",
        "conv=notrunc",
        "status=none",
    ]))?;
    let found = opened(&disk, &folder)?;
    if found.format != Format::Ddi || found.disk.is_none() {
        return Err(format!("taken for {:?}", found.format));
    }
    equal(&expected, &found.tree.unwrap_or_default(), "sgdisk")
}

/// Our squashfs is what the kernel mounts and unsquashfs unpacks.
pub(super) fn squashfs_elsewhere(world: &World) -> Outcome {
    let folder = world.folder("squashfs")?;
    let source = source(world, &folder)?;
    let mut tree = scan(&source).map_err(|error| error.to_string())?;
    // The library writes no extended attributes and no time of the root, and a hard link becomes a file of its own.
    if let Some(root) = tree.get_mut(&layerforge::tree::TreePath::root()) {
        root.meta.mtime = 0;
    }
    tree.remove(&"/usr/share/hard".parse().map_err(|_| "a path")?);
    let paths: Vec<_> =
        tree.iter().filter(|(_, node)| !node.meta.xattrs.is_empty()).map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(node) = tree.get_mut(&path) {
            node.meta.xattrs.clear();
        }
    }
    let part = part_of(&tree);
    for (compression, tree) in [(Compression::Zstd, &tree), (Compression::Gzip, &part), (Compression::Xz, &part)] {
        let image = folder.join("image.raw");
        let sink = File::create(&image).map_err(explain("make the image"))?;
        let options = Options { compression, ..Options::default() };
        write(tree, &options, sink).map_err(|error| error.to_string())?;
        let seen = mounted(&image, "squashfs", &folder)?;
        equal(&unlinked(tree), &seen, &format!("the kernel, {compression:?}"))?;
        let unpacked = folder.join("unpacked");
        run(program("unsquashfs").args(["-no-progress", "-quiet", "-d"]).arg(&unpacked).arg(&image))?;
        let seen = scan(&unpacked).map_err(|error| error.to_string());
        run(program("rm").arg("-rf").arg(&unpacked))?;
        equal(&unlinked(tree), &seen?, &format!("unsquashfs, {compression:?}"))?;
    }
    Ok(())
}

/// Returns a tree without its libraries and programs, which take a slow codec long to compress.
fn part_of(tree: &Tree) -> Tree {
    let mut part = tree.clone();
    for path in ["/usr/lib", "/usr/bin", "/usr/sbin", "/boot"] {
        if let Ok(path) = path.parse() {
            part.remove(&path);
        }
    }
    part
}

/// Returns the tree with every hard link as a file of its own.
fn unlinked(tree: &Tree) -> Tree {
    let mut copy = Tree::new();
    for (path, node) in tree.iter() {
        let mut node = node.clone();
        if let Kind::Symlink(_) = node.kind {
            node.meta.mode = 0o777;
        }
        let _ = copy.insert(path.clone(), node);
    }
    copy
}
