//! The order of the rooms: a module uses only those above it in `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the modules in the order of `lib.rs`.
fn modules() -> Vec<String> {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Returns the top-level modules that a text names as `crate::NAME` or inside `crate::{…}`.
fn used(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(inner) => inner.split('}').next().unwrap_or_default(),
            None => rest,
        };
        for part in list.split(',').take(if rest.starts_with('{') { usize::MAX } else { 1 }) {
            let word: String =
                part.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            names.push(word);
        }
    }
    names
}

#[test]
fn no_arrow_points_up() {
    let modules = modules();
    assert!(modules.len() > 10, "the modules of lib.rs are found");
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for (place, module) in modules.iter().enumerate() {
        for file in rust_files(&Path::new("src").join(module)) {
            for name in used(&fs::read_to_string(&file).unwrap()) {
                match modules.iter().position(|other| *other == name) {
                    Some(other) if other > place => wrong.push(format!("{} uses {name}", file.display())),
                    Some(_) => arrows += 1,
                    None => {}
                }
            }
        }
    }
    assert!(arrows > 100, "the arrows are found: {arrows}");
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_prints_and_only_the_sandbox_is_unsafe() {
    for file in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        if !file.starts_with("src/cli") {
            assert!(!text.contains("println!") && !text.contains("io::stdout"), "{name} prints");
        }
        if !file.starts_with("src/sandbox") {
            assert!(!text.contains("unsafe {") && !text.contains("unsafe fn"), "{name} is unsafe");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in rust_files(Path::new("src")) {
        if file.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} has no module documentation", file.display());
    }
}
