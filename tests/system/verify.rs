//! The promise of a rendered folder: after a build every path has exactly its owner and mode inside the image.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Outcome;
use crate::command::explain;

/// Compares the root filesystem at `root` with the `manifest.json` of a rendered folder.
pub(crate) fn matches_manifest(rendered: &Path, root: &Path) -> Outcome {
    matches_entries(&rendered.join("manifest.json"), root)
}

/// Compares the root filesystem at `root` with a manifest, wherever it stands.
pub(crate) fn matches_entries(manifest: &Path, root: &Path) -> Outcome {
    let text = fs::read_to_string(manifest).map_err(explain("read a manifest"))?;
    let manifest: Value = serde_json::from_str(&text).map_err(explain("understand a manifest"))?;
    let entries = manifest["entries"].as_array().ok_or("the manifest has no entries")?;
    if entries.len() < 5 {
        return Err(format!("the manifest has {} entries only", entries.len()));
    }
    let mut differences = Vec::new();
    for entry in entries {
        if let Err(difference) = matches_entry(entry, root) {
            differences.push(format!("{}: {difference}", text_of(entry, "path")));
        }
    }
    for path in manifest["removed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if fs::symlink_metadata(below(root, path)?).is_ok() {
            differences.push(format!("{path}: is there, though it was to be removed"));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(format!("not as promised:\n{}", differences.join("\n"))) }
}

fn matches_entry(entry: &Value, root: &Path) -> Outcome {
    let path = text_of(entry, "path");
    if path == "/" {
        return Ok(());
    }
    let place = below(root, path)?;
    let metadata = fs::symlink_metadata(&place).map_err(|error| error.to_string())?;
    same("kind", text_of(entry, "kind"), kind_of(&metadata))?;
    same("owner", &entry["uid"].to_string(), &metadata.uid().to_string())?;
    same("group", &entry["gid"].to_string(), &metadata.gid().to_string())?;
    if metadata.is_symlink() {
        let target = fs::read_link(&place).map_err(|error| error.to_string())?;
        return same("target", text_of(entry, "target"), &target.to_string_lossy());
    }
    same("mode", text_of(entry, "mode"), &format!("{:04o}", metadata.mode() & 0o7777))?;
    if metadata.is_file() {
        let bytes = fs::read(&place).map_err(|error| error.to_string())?;
        same("size", &entry["size"].to_string(), &bytes.len().to_string())?;
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        same("digest", text_of(entry, "digest").trim_start_matches("sha256:"), &digest)?;
    }
    if let Some(first) = entry["hard_link"].as_str() {
        let first = fs::symlink_metadata(below(root, first)?).map_err(|error| error.to_string())?;
        same("hard link", &first.ino().to_string(), &metadata.ino().to_string())?;
    }
    for (name, value) in entry["xattrs"].as_object().into_iter().flatten() {
        let mut buffer = [0; 4096];
        let length = rustix::fs::lgetxattr(&place, name.as_str(), &mut buffer[..])
            .map_err(|error| format!("{name}: {error}"))?;
        let written: String = buffer[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        same(name, value.as_str().unwrap_or_default(), &written)?;
    }
    Ok(())
}

/// Returns where `path` lies below `root`. A link on the way would lead out of it, and means that something else lies there.
fn below(root: &Path, path: &str) -> Outcome<PathBuf> {
    let mut place = root.to_owned();
    let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        place.push(name);
        if names.peek().is_some() && fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(format!("`{}` is a symbolic link in the image", place.display()));
        }
    }
    Ok(place)
}

fn kind_of(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "character-device",
        () => "block-device",
    }
}

fn text_of<'value>(entry: &'value Value, key: &str) -> &'value str {
    entry[key].as_str().unwrap_or_default()
}

fn same(what: &str, promised: &str, found: &str) -> Outcome {
    if promised == found { Ok(()) } else { Err(format!("{what} is {found}, promised was {promised}")) }
}
