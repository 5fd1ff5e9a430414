//! The gallery of messages: each file of `tests/gallery/` is a project with one mistake, its snapshot is what a user
//! reads. To review how the program speaks is to read that folder.
//!
//! A case begins with `# what is wrong`, may go on with directives, and then holds files, each after a line
//! `-- PATH --`. Directives: `profile NAME` (otherwise `web`), `set NAME=VALUE`, `architecture NAME`, `fifo PATH`,
//! `symlink PATH TARGET`, `bytes PATH HEX`, and `outside`, which puts a file beside the project.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerforge::cli::diagnostic;
use layerforge::distro::Wish;
use layerforge::resolve::{Library, Request, Setting, each_once, resolve};
use layerforge::spec::{Place, Problem, Project, Scalar, SpecError};

/// A broken project, unpacked.
struct Case {
    project: PathBuf,
    profile: String,
    settings: Vec<Setting>,
    wish: Wish,
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gallery");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    cases.sort();
    cases
}

fn unpack(text: &str, directory: &Path) -> Case {
    let project = directory.join("project");
    fs::create_dir(&project).unwrap();
    let mut case =
        Case { project: project.clone(), profile: "web".into(), settings: Vec::new(), wish: Wish::default() };
    let write = |path: &str, bytes: &[u8]| {
        fs::create_dir_all(project.join(path).parent().unwrap()).unwrap();
        fs::write(project.join(path), bytes).unwrap();
    };
    let (header, files) = text.split_once("-- ").unwrap_or((text, ""));
    for file in files.split("\n-- ").filter(|file| !file.is_empty()) {
        let (path, content) = file.split_once(" --\n").expect("a file is `-- PATH --` and its content");
        let newline = if content.is_empty() || content.ends_with('\n') { "" } else { "\n" };
        write(path, format!("{content}{newline}").as_bytes());
    }
    for line in header.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["profile", name] => case.profile = (*name).into(),
            ["set", set] => {
                let (name, value) = set.split_once('=').unwrap();
                let value = Scalar::Text(value.into());
                case.settings.push(Setting {
                    name: name.into(),
                    value,
                    origin: "--set".into(),
                    place: None,
                    strict: true,
                });
            }
            ["architecture", name] => case.wish.architecture = Some(name.parse().unwrap()),
            ["outside"] => fs::write(directory.join("outside"), "outside").unwrap(),
            ["symlink", path, target] => {
                write(path, b"");
                fs::remove_file(project.join(path)).unwrap();
                symlink(target, project.join(path)).unwrap();
            }
            ["fifo", path] => {
                write(path, b"");
                fs::remove_file(project.join(path)).unwrap();
                assert!(std::process::Command::new("mkfifo").arg(project.join(path)).status().unwrap().success());
            }
            ["bytes", path, hex @ ..] => {
                let hex = hex.concat();
                let byte = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
                write(path, &(0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>());
            }
            unknown => panic!("unknown directive {unknown:?}"),
        }
    }
    case
}

/// Returns the problems of a project for all of its distros, each once.
fn problems(case: &Case) -> Vec<Problem> {
    let told = |error: SpecError| match error {
        SpecError::Problems(problems) => problems,
        SpecError::File(error) => panic!("a mistake of a user is a problem, not {error}: {}", error.source),
    };
    let library = match Library::load(Arc::new(Project::open(&case.project)), &case.profile) {
        Err(error) => return told(error),
        Ok(library) => library,
    };
    let mut found = Vec::new();
    for (distro, table) in library.distros().unwrap() {
        let (name, wish, settings) = (distro.to_string(), case.wish.clone(), case.settings.clone());
        let request = Request { distro, table, wish, settings, epoch: None };
        found.push((name, resolve(&library, &request).err().map(told).unwrap_or_default()));
    }
    each_once(&found)
}

fn check_place(place: &Place) {
    let text = &place.source.text;
    assert!(text.get(place.span.clone()).is_some(), "{place} is {:?} of {} bytes", place.span, text.len());
}

#[test]
fn every_mistake_has_a_good_message() {
    let mut failed = BTreeSet::new();
    for path in cases() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let case = unpack(&text, directory.path());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let problems = problems(&case);
            assert!(!problems.is_empty(), "the mistake is not noticed");
            let mut shown = String::new();
            for problem in &problems {
                problem.place.iter().chain(problem.related.iter().map(|(place, _)| place)).for_each(check_place);
                shown.push_str(&diagnostic::text(problem, false));
                shown.push('\n');
            }
            let shown = shown.replace(&format!("{}/", case.project.display()), "");
            let shown = shown.replace(&case.project.display().to_string(), ".");
            insta::with_settings!({
                snapshot_path => "gallery",
                prepend_module_to_snapshot => false,
                omit_expression => true,
                description => text.lines().next().unwrap().trim_start_matches("# "),
            }, { insta::assert_snapshot!(name.as_str(), shown) });
        }));
        if outcome.is_err() {
            failed.insert(name);
        }
    }
    assert!(failed.is_empty(), "the messages of these cases changed: {failed:?}");
}
