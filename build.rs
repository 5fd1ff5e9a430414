//! Puts the program's own profiles, layers, templates and distro descriptions into the program, with the executable
//! bit of each file, as one sorted table: `embedded.rs` in the build folder, read by `src/spec/embedded.rs`.

#![expect(clippy::disallowed_methods, reason = "a build script cannot use the library's own file system")]

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folders to embed, and the name each has inside the program.
const FOLDERS: [(&str, &str); 5] = [
    ("src/engine/starter", "starter"),
    ("layers", "layers"),
    ("profiles", "profiles"),
    ("src/distro/data", "distros"),
    ("templates", "templates"),
];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for (folder, name) in FOLDERS {
        // Cargo takes a folder that is not there for one that has changed, every time.
        if root.join(folder).is_dir() {
            println!("cargo:rerun-if-changed={folder}");
        }
        collect(&root.join(folder), name, &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        let executable = fs::metadata(path)?.permissions().mode() & 0o111 != 0;
        let path = path.to_str().expect("the repository's own paths are UTF-8");
        writeln!(
            table,
            "    Embedded {{ path: {name:?}, executable: {executable}, bytes: include_bytes!({path:?}) }},"
        )
        .expect("writing to a string cannot fail");
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("embedded.rs"), table)
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = format!("{name}/{}", file_name.to_str().expect("the repository's own names are UTF-8"));
        if entry.file_type()?.is_dir() {
            println!("cargo:rerun-if-changed={}", entry.path().display());
            collect(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
