//! The small process that writes one image.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use layerforge::image::erofs::{self, Codec, Compression, Options, Profile};
use layerforge::tree::scan;

use crate::Result;

/// Writes an image as the words say: `DIRECTORY IMAGE CODEC[-packed]:LEVEL:CHUNK KERNEL THREADS`.
pub(crate) fn write(words: &[&str]) -> Result<()> {
    let [directory, image, compression, kernel, threads] = words else { return Err("image: five words".into()) };
    let begin = Instant::now();
    let tree = scan(Path::new(directory))?;
    let scanned = begin.elapsed();
    let mut options = Options::new(Profile::None, kernel.parse()?);
    let parts: Vec<&str> = compression.split(':').collect();
    let codec = match parts[0].trim_end_matches("-packed") {
        "none" => Codec::None,
        "lz4" => Codec::Lz4,
        "lz4hc" => Codec::Lz4hc,
        _ => Codec::Zstd,
    };
    options.packing = parts[0].ends_with("-packed");
    options.compression = Compression { codec, level: parts[1].parse()?, chunk: parts[2].parse::<u32>()? << 10 };
    options.threads = threads.parse()?;
    let begin = Instant::now();
    let file = File::create(image)?;
    let image = erofs::write(&tree, &options, &file, 0)?;
    println!("scan {:.1} ms, write {:.1} ms, {:.2} MB", scanned.as_secs_f64() * 1e3, begin.elapsed().as_secs_f64() * 1e3, image.size as f64 / 1e6);
    Ok(())
}
