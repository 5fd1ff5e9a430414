//! Scripts that a package manager runs one after the other, in one sandbox.
//!
//! Comes in: a tree, and steps in their order. Goes out: the tree when all have run. Always holds: what is put there for the
//! steps is gone again; a step that the package manager would go on after is a warning when it fails, any other an error.

use std::fmt::Write as _;

use super::scripts::{self, Ran};
use super::{PackageMaker, PackageSet, PackagesError};
use crate::event::Event;
use crate::packages::step::Step;
use crate::sandbox::Command;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// The directory of what is put there for the steps.
const FOLDER: &str = "/.layerforge";
/// The script that runs all steps.
const DRIVER: &str = "/.layerforge/steps";
/// What failed, a line for each.
const FAILED: &str = "/.layerforge/failed";
/// The most bytes of that.
const FAILED_BYTES: usize = 1 << 20;

/// Runs steps in a sandbox; nothing when there are none.
pub(super) fn run(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    tree: &Tree,
    steps: &[Step],
) -> Result<Option<Ran>, PackagesError> {
    let Some(first) = steps.first() else { return Ok(None) };
    if tree.lookup(&"/bin/sh".parse()?).is_none() {
        return Err(PackagesError::NoShell { package: first.package.clone() });
    }
    let mut prepared = tree.clone();
    let files = steps.iter().filter_map(|step| step.script.clone());
    let files: Vec<(TreePath, Vec<u8>)> = files.chain([(DRIVER.parse()?, driver(steps).into_bytes())]).collect();
    let mut made = vec![FOLDER.parse()?];
    for (path, bytes) in &files {
        let above = path.parent().and_then(|parent| Some((tree.follow(&parent)?, path.name()?)));
        // Directories may be behind links.
        let path = above.and_then(|(parent, name)| parent.join(name).ok()).unwrap_or_else(|| path.clone());
        made.extend(path.ancestors().filter(|above| prepared.get(above).is_none()));
        let kind = Kind::Regular(Content::inline(bytes.clone()));
        prepared.insert(path.clone(), Node { kind, meta: Meta::root_owned(0o755, set.epoch) })?;
        made.push(path);
    }
    prepared.complete(|_| Meta::root_owned(0o755, set.epoch));
    let command = Command::new("/bin/sh").arguments([DRIVER]);
    let mut ran = scripts::execute(maker, set, &prepared, command)?;
    if let Some(Kind::Regular(content)) = ran.tree.get(&FAILED.parse()?).map(|node| &node.kind) {
        let text = content.read(FAILED_BYTES)?.unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            // The number of the step, then its exit code; what scripts write there themselves says nothing.
            let words = line.split_once(' ').and_then(|(number, code)| Some((number.parse::<usize>().ok()?, code)));
            let Some((Some(step), code)) = words.map(|(number, code)| (steps.get(number), code)) else { continue };
            let what = format!("the {} of {} failed with exit code {code}", step.name, step.package);
            maker.reporter.report(Event::Warning {
                message: format!("{what}; the package manager goes on where that happens"),
                hint: Some("what the script should have done may be missing from the tree".into()),
            });
            ran.failed.insert(step.package.clone());
        }
    }
    for path in made.iter().filter(|path| !path.is_root()) {
        ran.tree.remove(path);
    }
    Ok(Some(ran))
}

/// Returns the script that runs all steps.
fn driver(steps: &[Step]) -> String {
    let mut text = String::from("umask 022\ncd /\n");
    for (number, step) in steps.iter().enumerate() {
        let Step { package, name, program, arguments, input, environment, may_fail, .. } = step;
        let what = format!("{name} of {package}");
        let exports: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        let words: Vec<String> = [program].into_iter().chain(arguments).map(|word| quoted(word)).collect();
        let end = end_of(input);
        let from = if input.is_empty() { "< /dev/null".to_owned() } else { format!("<< '{end}'") };
        let (failed, after) = match may_fail {
            true => (quoted(&format!("{number} ")), format!(">> {FAILED}")),
            false => (quoted(&format!("the {what} failed with exit code ")), ">&2 && exit 1".to_owned()),
        };
        let export = if exports.is_empty() { String::new() } else { format!("export {}; ", exports.join(" ")) };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "echo {}", quoted(&format!("{what} ...")));
        let _ = writeln!(text, "( {export}exec {} ) {from} || echo {failed}\"$?\" {after}", words.join(" "));
        if !input.is_empty() {
            let line = if input.ends_with('\n') { "" } else { "\n" };
            let _ = writeln!(text, "{input}{line}{end}");
        }
    }
    text.push_str("exit 0\n");
    text
}

/// Returns a word that is no line of a text.
fn end_of(text: &str) -> String {
    let mut end = "END-OF-INPUT".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('-');
    }
    end
}

/// Returns a text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;

    #[test]
    fn steps_run_as_they_say() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let step = |arguments: &[&str], input: &str, may_fail| Step {
            package: "it's".into(),
            name: "post-install".into(),
            script: None,
            program: "/bin/sh".into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            input: input.to_owned(),
            environment: vec![("WORD".into(), "a 'b' $c".into())],
            may_fail,
        };
        let write = format!("echo \"$WORD $1\" >> {0}; cat >> {0}", out.display());
        let steps = [
            step(&["-c", &write, "x", "$(one)"], "usr/a\nEND-OF-INPUT\nusr/b\n", true),
            step(&["-c", "exit 3"], "", false),
            step(&["-c", &write, "x", "never"], "", true),
        ];
        let text = driver(&steps);
        let ran = std::process::Command::new("/bin/sh").args(["-c", &text]).output().unwrap();
        assert_eq!(ran.status.code(), Some(1), "{text}");
        let error = String::from_utf8(ran.stderr).unwrap();
        assert!(error.contains("the post-install of it's failed with exit code 3"), "{error}");
        let written = fs::read_to_string(&out).unwrap();
        assert_eq!(written, "a 'b' $c $(one)\nusr/a\nEND-OF-INPUT\nusr/b\n");
    }
}
