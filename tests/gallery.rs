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
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use layerforge::cli::diagnostic;
use layerforge::distro::{Architecture, Wish};
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
    let wish = Wish { architecture: Some(Architecture::X86_64), ..Wish::default() };
    let mut case = Case { project: project.clone(), profile: "web".into(), settings: Vec::new(), wish };
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
                assert!(Command::new("mkfifo").arg(project.join(path)).status().unwrap().success());
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

/// Returns what a user reads about `problems`, with paths relative to the project.
fn shown(case: &Case, problems: &[Problem]) -> String {
    let text: String = problems.iter().map(|problem| diagnostic::text(problem, false) + "\n").collect();
    let text = text.replace(&format!("{}/", case.project.display()), "");
    text.replace(&case.project.display().to_string(), ".")
}

/// Runs `check` of each case and hands its name, its description and its unpacked project to it; fails with the names
/// of the cases that failed.
fn for_each_case(check: impl Fn(&str, &str, &Case)) {
    let mut failed = BTreeSet::new();
    for path in cases() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let case = unpack(&text, directory.path());
        let description = text.lines().next().unwrap().trim_start_matches("# ");
        if catch_unwind(AssertUnwindSafe(|| check(&name, description, &case))).is_err() {
            failed.insert(name);
        }
    }
    assert!(failed.is_empty(), "these cases failed: {failed:?}");
}

#[test]
fn every_mistake_has_a_good_message() {
    for_each_case(|name, description, case| {
        let problems = problems(case);
        assert!(!problems.is_empty(), "the mistake is not noticed");
        for problem in &problems {
            problem.place.iter().chain(problem.related.iter().map(|(place, _)| place)).for_each(check_place);
        }
        insta::with_settings!({
            snapshot_path => "gallery",
            prepend_module_to_snapshot => false,
            omit_expression => true,
            description => description,
        }, { insta::assert_snapshot!(name, shown(case, &problems)) });
    });
}

/// Runs `layerforge check` for a case.
fn run(case: &Case, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerforge"));
    command.current_dir(&case.project).env_clear().env("HOME", &case.project).stdin(Stdio::null());
    let architecture = case.wish.architecture.unwrap().as_str();
    command.args(["check", &case.profile, "--arch", architecture]).args(options);
    for setting in &case.settings {
        command.arg("--set").arg(format!("{}={}", setting.name, setting.value));
    }
    command.output().unwrap()
}

#[test]
fn the_program_says_the_same() {
    for_each_case(|_, _, case| {
        let output = run(case, &[]);
        let told = String::from_utf8(output.stderr).unwrap();
        let expected = shown(case, &problems(case));
        assert!(told.starts_with(&expected), "expected:\n{expected}\ntold:\n{told}");
        let rest: Vec<&str> = told[expected.len()..].lines().collect();
        assert!(matches!(rest[..], [last] if last.starts_with("checked ")), "{rest:?}");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"".as_slice()));
    });
}

#[test]
fn the_program_says_the_same_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gallery/several_mistakes.txt");
    let case = unpack(&fs::read_to_string(path).unwrap(), directory.path());
    let output = run(&case, &["--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut expected: Vec<serde_json::Value> = problems(&case).iter().map(diagnostic::json).collect();
    for problem in &mut expected {
        problem["file"] = "profiles/web.toml".into();
    }
    assert_eq!((told["problems"].as_array(), output.status.code()), (Some(&expected), Some(3)));
}
