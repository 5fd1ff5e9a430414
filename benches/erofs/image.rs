//! The small process that writes one image.

use std::fs::File;
use std::path::Path;

use layerforge::image::erofs::{self, Codec, Compression, Options, Profile};
use layerforge::store::Store;
use layerforge::tree::{Tree, TreePath, scan};

use crate::Result;

/// Writes an image as the words say: `DIRECTORY IMAGE CODEC[-packed]:LEVEL:KIBIBYTES KERNEL [STORE]`. On the standard error
/// it says when the directory is read.
pub(crate) fn write(words: &[&str]) -> Result<()> {
    let [directory, image, compression, kernel, store @ ..] = words else { return Err("image: too few words".into()) };
    let mut tree = scan(Path::new(directory))?;
    clear_times(&mut tree);
    eprintln!("read");
    let mut options = Options::new(Profile::None, kernel.parse()?);
    let [codec, level, chunk] = compression.split(':').collect::<Vec<_>>()[..] else { return Err("no codec".into()) };
    let name = codec.trim_end_matches("-packed");
    let all = [Codec::None, Codec::Lz4, Codec::Lz4hc, Codec::Zstd];
    let known = all.into_iter().find(|codec| codec.name() == name).ok_or("no such codec")?;
    options.packing = codec != name;
    options.compression = Compression { codec: known, level: level.parse()?, chunk: chunk.parse::<u32>()? << 10 };
    if let [store] = store {
        options.cache = Some(Store::open(Path::new(store))?.chunks(4 << 30));
    }
    erofs::write(&tree, &options, &File::create(image)?, 0)?;
    Ok(())
}

/// Sets every time to zero, as `mkfs.erofs -T0` does.
fn clear_times(tree: &mut Tree) {
    let paths: Vec<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(node) = tree.get_mut(&path) {
            node.meta.mtime = 0;
        }
    }
}
