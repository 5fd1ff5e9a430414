//! Images with one byte changed.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::command::{explain, program, run};

/// A partition of a signed DDI, in the order in which they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// The file system.
    Data,
    /// The hash tree of dm-verity.
    Hashes,
    /// The signature of the root hash.
    Signature,
}

/// Writes a copy of `image` to `target` that differs in one byte of `part`. Only verity can see it: the file system and
/// the signature are as well-formed as before.
pub(crate) fn damage(image: &Path, target: &Path, part: Part) -> Outcome {
    let mut bytes = fs::read(image).map_err(explain(format!("read {}", image.display())))?;
    let start = start_of(image, part)?;
    let place = match part {
        // Before its superblock an EROFS has 1024 bytes that it does not use.
        Part::Data => start,
        // Behind the superblock of the hash tree.
        Part::Hashes if start_of(image, Part::Signature)? <= start + 4096 => {
            return Err("one block of data has no hash tree".into());
        }
        Part::Hashes => start + 4096 + 7,
        Part::Signature => in_signature(&bytes, start)?,
    };
    let byte = bytes.get_mut(place).ok_or("the image ends too early")?;
    *byte = match part {
        Part::Signature if *byte == b'A' => b'B',
        Part::Signature => b'A',
        Part::Data | Part::Hashes => *byte ^ 1,
    };
    fs::write(target, bytes).map_err(explain(format!("write {}", target.display())))
}

/// Returns the place of a digit near the end of the base64 text of the signature.
fn in_signature(bytes: &[u8], start: usize) -> Outcome<usize> {
    let text: Vec<u8> = bytes[start..].iter().copied().take_while(|byte| *byte != 0).collect();
    let text = String::from_utf8(text).map_err(explain("read the signature"))?;
    let key = "\"signature\":\"";
    let value = text.find(key).ok_or_else(|| format!("no signature in {text}"))? + key.len();
    let end = text[value..].find('"').ok_or_else(|| format!("no end of the signature in {text}"))? + value;
    Ok(start + end - 24)
}

/// Returns where a partition of an image starts, in bytes.
pub(crate) fn start_of(image: &Path, part: Part) -> Outcome<usize> {
    let number = match part {
        Part::Data => "1",
        Part::Hashes => "2",
        Part::Signature => "3",
    };
    let text = run(program("sgdisk").args(["--info", number]).arg(image))?;
    let sector = text.lines().find_map(|line| line.strip_prefix("First sector: ")?.split(' ').next()?.parse().ok());
    sector.map(|sector: usize| sector * 512).ok_or_else(|| format!("no first sector in:\n{text}"))
}
