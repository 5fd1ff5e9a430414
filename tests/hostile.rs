//! Whatever stands in a profile, a layer, a distro description or a template: reading it never panics, ends, and every
//! problem has a place inside of its text that can be shown.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use layerforge::cli::diagnostic;
use layerforge::distro::{Architecture, Wish};
use layerforge::resolve::{Library, Request, resolve};
use layerforge::spec::{
    DistroDocument, LayerDocument, Located, Place, Problem, ProfileDocument, Project, Source, SpecError, parse,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

/// Pieces that mean something to TOML, to paths or to templates.
const PIECES: [&str; 34] = [
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "\\",
    "\\u",
    "\\U0010ffff",
    "#",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "| shell",
    "/",
    "/../",
    "*",
    "[a-",
    "-1",
    "99999999999999999999",
    "0o7",
    "1979-05-27",
    "é",
    "\u{1b}",
    "\0",
    "\u{202e}",
];

/// A change of a text.
#[derive(Debug, Clone)]
enum Change {
    Insert(Index, &'static str),
    Delete(Index, usize),
    Copy(Index, Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), proptest::sample::select(&PIECES[..])).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Change::Delete(at, length)),
        (any::<Index>(), any::<Index>(), 1..40_usize).prop_map(|(from, to, length)| Change::Copy(from, to, length)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for change in changes {
        let length = characters.len();
        match change {
            Change::Insert(at, piece) => {
                let at = at.index(length + 1);
                characters.splice(at..at, piece.chars());
            }
            Change::Delete(at, count) => {
                let at = at.index(length + 1);
                characters.drain(at..(at + count).min(length));
            }
            Change::Copy(from, to, count) => {
                let (from, to) = (from.index(length + 1), to.index(length + 1));
                let copied: Vec<char> = characters[from..(from + count).min(length)].to_vec();
                characters.splice(to..to, copied);
            }
        }
    }
    characters.into_iter().collect()
}

/// Returns documents and templates to change: those of the program and those of the gallery.
fn seeds() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds = Vec::new();
    for folder in ["profiles", "layers", "src/distro/data", "tests/gallery"] {
        collect(&root.join(folder), &mut seeds);
    }
    seeds.sort();
    seeds
}

fn collect(folder: &Path, seeds: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let text = || fs::read_to_string(&path).unwrap();
        match extension {
            _ if path.is_dir() => collect(&path, seeds),
            "toml" if path.ends_with("layer.toml") => seeds.push(("layers/app/layer.toml".into(), text())),
            "toml" if folder.ends_with("profiles") => seeds.push(("profiles/web.toml".into(), text())),
            "toml" => seeds.push(("distros/mine.toml".into(), text())),
            "j2" => seeds.push(("templates/web.j2".into(), text())),
            "txt" => {
                for file in text().split("\n-- ").skip(1) {
                    let (path, content) = file.split_once(" --").unwrap();
                    if ["profiles/web.toml", "layers/app/layer.toml"].contains(&path) {
                        seeds.push((path.to_owned(), content.trim_start().to_owned()));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Writes a project around one file and resolves it.
fn resolve_with(path: &str, text: &str) -> Vec<Problem> {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        fs::create_dir_all(directory.path().join(path).parent().unwrap()).unwrap();
        fs::write(directory.path().join(path), text).unwrap();
    };
    let body = match path {
        "layers/app/layer.toml" => "layers = [\"app\"]\n",
        "templates/web.j2" => "layers = [\"base\"]\n[file.\"/x\"]\ntemplate = \"web.j2\"\n",
        _ => "",
    };
    let distro = if path == "distros/mine.toml" { "mine" } else { "alpine" };
    write("profiles/web.toml", body);
    write(path, text);
    let told = |error: SpecError| match error {
        SpecError::Problems(problems) => problems,
        SpecError::File(error) => panic!("{error}: {}", error.source),
    };
    let library = match Library::load(Arc::new(Project::open(directory.path())), "web") {
        Ok(library) => library,
        Err(error) => return told(error),
    };
    let distro = Located::new(distro.parse().unwrap(), Place::whole(&library.source));
    let wish = Wish { architecture: Some(Architecture::X86_64), ..Wish::default() };
    let request = Request { distro, table: Default::default(), wish, settings: Vec::new(), epoch: None };
    resolve(&library, &request).err().map(told).unwrap_or_default()
}

fn check(problem: &Problem) {
    for place in problem.place.iter().chain(problem.related.iter().map(|(place, _)| place)) {
        assert!(place.source.text.get(place.span.clone()).is_some(), "{:?} of {place}", place.span);
    }
    assert!(!problem.message.is_empty());
    let text = diagnostic::text(problem, false);
    assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{text:?}");
    let json = diagnostic::json(problem);
    assert_eq!(json["message"].as_str(), Some(problem.message.as_str()));
}

fn parse_as_anything(text: &str) {
    let source = Arc::new(Source { name: "x.toml".into(), path: None, text: text.to_owned() });
    parse::<ProfileDocument>(&source).err().into_iter().for_each(|problem| check(&problem));
    parse::<LayerDocument>(&source).err().into_iter().for_each(|problem| check(&problem));
    parse::<DistroDocument>(&source).err().into_iter().for_each(|problem| check(&problem));
}

/// The same cases every time: a failure is a failure for everyone.
fn cases() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..12)) {
        parse_as_anything(&text);
        parse_as_anything(&pieces.concat());
    }

    #[test]
    fn changed_documents_are_resolved_or_refused(seed in any::<Index>(), changes in proptest::collection::vec(change(), 1..5)) {
        let seeds = SEEDS.with(Clone::clone);
        let (path, text) = &seeds[seed.index(seeds.len())];
        let text = changed(text, &changes);
        if path.ends_with(".toml") {
            parse_as_anything(&text);
        }
        resolve_with(path, &text).iter().for_each(check);
    }
}

thread_local! {
    static SEEDS: Arc<Vec<(String, String)>> = Arc::new(seeds());
}
