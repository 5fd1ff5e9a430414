//! Writes a project to start from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::select::DEFAULT_PROFILE;
use crate::error::Error;
use crate::fs;
use crate::spec::{
    DocumentKind, Embedded, LayerDocument, ProfileDocument, Source, SpecError, embedded_files, nearest, parse, schema,
};

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct InitReport {
    /// The folder.
    pub directory: PathBuf,
    /// The profile to render.
    pub profile: String,
    /// Files that were written, relative to the folder, sorted.
    pub written: Vec<String>,
    /// Whether the folder has a `.gitignore` of its own that lets git see `out/`.
    pub tracks_output: bool,
}

/// The folder of the starter project inside the program.
const STARTER: &str = "starter";
/// The list of what git does not see: the only file of a project that others are likely to have made already.
const IGNORED: &str = ".gitignore";
/// What it says.
const IGNORED_OUTPUT: &str = "/out/";
/// Where a project keeps the schemas that the first line of its documents names.
const SCHEMAS: &str = ".layerforge/schema";
/// Where this program's own repository keeps them.
const SHIPPED_SCHEMAS: &str = "docs/schema";

/// A file to write.
struct Draft {
    bytes: Vec<u8>,
    executable: bool,
}

/// Writes the starter project into `directory`, or the shipped profile `example` with everything it needs. What is
/// there already with the same bytes stays; a folder that has another file in a place that is needed is left as it is.
///
/// # Errors
/// When there is no such example, a file is in the way, or one cannot be written.
pub fn init(directory: &Path, example: Option<&str>) -> Result<InitReport, Error> {
    let mut drafts = BTreeMap::new();
    let starter = embedded_files(STARTER).iter().map(|file| (&file.path[STARTER.len() + 1..], file));
    for (path, file) in starter.filter(|(path, _)| example.is_none() || *path == IGNORED) {
        drafts.insert(path.to_owned(), draft(file));
    }
    if let Some(name) = example {
        for file in example_files(name)? {
            drafts.insert(file.path.to_owned(), draft(file));
        }
    }
    for (name, kind) in
        [("profile", DocumentKind::Profile), ("layer", DocumentKind::Layer), ("distro", DocumentKind::Distro)]
    {
        let bytes = schema_text(kind).into_bytes();
        drafts.insert(format!("{SCHEMAS}/{name}.json"), Draft { bytes, executable: false });
    }
    let tracks_output = keep_ignored(directory, &mut drafts)?;
    let missing = missing(directory, drafts)?;
    for (path, draft) in &missing {
        write(&directory.join(path), draft)?;
    }
    Ok(InitReport {
        directory: directory.to_owned(),
        profile: example.unwrap_or(DEFAULT_PROFILE).to_owned(),
        written: missing.into_keys().collect(),
        tracks_output,
    })
}

/// Returns the JSON Schema of a kind of document as the text of a file.
pub fn schema_text(kind: DocumentKind) -> String {
    format!("{:#}\n", schema(kind))
}

fn draft(file: &Embedded) -> Draft {
    let mut bytes = file.bytes.to_vec();
    // The first line tells editors where the schema is, which is not where this repository has it.
    if let Ok(text) = std::str::from_utf8(file.bytes)
        && let Some((first, rest)) = text.split_once('\n')
        && first.starts_with("#:schema ")
    {
        bytes = format!("{}\n{rest}", first.replace(SHIPPED_SCHEMAS, SCHEMAS)).into_bytes();
    }
    Draft { bytes, executable: file.executable }
}

/// Returns the files of a shipped profile, of those it extends, of all their layers and of the shared templates that
/// these name.
fn example_files(name: &str) -> Result<Vec<&'static Embedded>, Error> {
    let profiles = embedded_files("profiles");
    let names: Vec<&str> = profiles.iter().filter_map(|file| profile_name(file)).collect();
    if !names.contains(&name) {
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("examples: `{}`", names.join("`, `")),
        };
        return Err(Error::Usage { message: format!("there is no example `{name}`"), hint: Some(hint) });
    }
    let (mut profiles_to_read, mut layers_to_read) = (vec![name.to_owned()], Vec::new());
    let mut files = BTreeSet::new();
    while let Some(name) = profiles_to_read.pop() {
        for file in profiles.iter().filter(|file| profile_name(file) == Some(&name) && files.insert(file.path)) {
            let document: ProfileDocument = read(file)?;
            profiles_to_read.extend(document.extends.into_iter().flatten().map(|name| name.value));
            layers_to_read.extend(document.layers.into_iter().flatten().map(|name| name.value));
        }
    }
    while let Some(name) = layers_to_read.pop() {
        for file in embedded_files(&format!("layers/{name}")).iter().filter(|file| files.insert(file.path)) {
            if file.path.strip_prefix("layers/").and_then(|path| path.strip_suffix("/layer.toml")) == Some(&name) {
                let document: LayerDocument = read(file)?;
                layers_to_read.extend(document.requires.into_iter().flatten().map(|name| name.value));
            }
        }
    }
    let all = ["layers", "profiles"].into_iter().flat_map(embedded_files);
    let mut chosen: Vec<&Embedded> = all.filter(|file| files.contains(file.path)).collect();
    add_templates(embedded_files("templates").iter().collect(), &mut chosen);
    Ok(chosen)
}

fn profile_name(file: &Embedded) -> Option<&str> {
    file.path.strip_prefix("profiles/")?.strip_suffix(".toml")
}

fn read<T: serde::de::DeserializeOwned>(file: &Embedded) -> Result<T, Error> {
    let text = String::from_utf8_lossy(file.bytes).into_owned();
    let source = Arc::new(Source { name: format!("builtin:{}", file.path), path: None, text });
    Ok(parse(&source).map_err(SpecError::from)?)
}

/// Adds the templates whose names stand in a file that is chosen, in quotes, until there are no more.
fn add_templates(mut templates: Vec<&'static Embedded>, chosen: &mut Vec<&'static Embedded>) {
    let mut next = 0;
    while let Some(file) = chosen.get(next).copied() {
        let text = String::from_utf8_lossy(file.bytes);
        let named = |template: &&Embedded| {
            let name = &template.path["templates/".len()..];
            text.contains(&format!("\"{name}\"")) || text.contains(&format!("'{name}'"))
        };
        chosen.extend(templates.extract_if(.., |template| named(template)));
        next += 1;
    }
}

/// Leaves out the list of what git ignores when the folder has one; tells whether that one misses the results.
fn keep_ignored(directory: &Path, drafts: &mut BTreeMap<String, Draft>) -> Result<bool, Error> {
    let path = directory.join(IGNORED);
    if !fs::exists(&path)? {
        return Ok(false);
    }
    drafts.remove(IGNORED);
    let text = fs::read_to_string(&path)?;
    let out = IGNORED_OUTPUT.trim_matches('/');
    Ok(!text.lines().any(|line| line.trim().trim_matches('/') == out))
}

/// Returns what is not there yet.
fn missing(directory: &Path, drafts: BTreeMap<String, Draft>) -> Result<BTreeMap<String, Draft>, Error> {
    let mut missing = BTreeMap::new();
    let mut in_the_way = Vec::new();
    for (relative, draft) in drafts {
        let path = directory.join(&relative);
        match fs::read(&path) {
            Ok(bytes) if bytes == draft.bytes => {}
            Err(error) if error.is_not_found() && !fs::exists(&path)? => drop(missing.insert(relative, draft)),
            _ => in_the_way.push(format!("`{}`", path.display())),
        }
    }
    if in_the_way.is_empty() {
        return Ok(missing);
    }
    let verb = if in_the_way.len() == 1 { "is" } else { "are" };
    Err(Error::Usage {
        message: format!("{} {verb} there already: nothing was written", in_the_way.join(", ")),
        hint: Some("choose another folder: `layerforge init DIR`".into()),
    })
}

fn write(path: &Path, draft: &Draft) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_directory(parent)?;
    }
    fs::write_atomic(path, &draft.bytes)?;
    if draft.executable {
        let failed = fs::Error::on("change the mode of", path);
        fs::set_file_mode(&fs::open(path)?, 0o755).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(example: &str) -> Vec<&'static str> {
        example_files(example).unwrap().iter().map(|file| file.path).collect()
    }

    #[test]
    fn an_example_brings_the_layers_that_its_layers_require() {
        let paths = paths("redis");
        assert!(paths.contains(&"layers/base/layer.toml"), "required by the layer redis");
        assert!(paths.contains(&"profiles/redis.toml"));
        assert!(!paths.iter().any(|path| path.starts_with("layers/nginx/") || path.ends_with(".lock")));
    }

    #[test]
    fn an_unknown_example_is_told_with_the_nearest_one() {
        let error = example_files("discuorse").unwrap_err();
        assert_eq!((error.exit_code(), error.hint().as_deref()), (2, Some("did you mean `discourse`?")));
    }

    #[test]
    fn templates_are_found_through_each_other() {
        let file = |path, text: &'static str| -> &'static Embedded {
            Box::leak(Box::new(Embedded { path, executable: false, bytes: text.as_bytes() }))
        };
        let one = file("templates/one.j2", "{% include 'two.j2' %}");
        let two = file("templates/two.j2", "");
        let other = file("templates/other.j2", "");
        let mut chosen = vec![file("layers/x/layer.toml", "template = \"one.j2\"")];
        add_templates(vec![one, other, two], &mut chosen);
        let paths: Vec<_> = chosen.iter().map(|file| file.path).collect();
        assert_eq!(paths, ["layers/x/layer.toml", "templates/one.j2", "templates/two.j2"]);
    }

    #[test]
    fn nothing_is_written_when_a_file_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            fs::create_directory(folder.path().join(path).parent().unwrap()).unwrap();
            fs::write_atomic(&folder.path().join(path), text.as_bytes()).unwrap();
        };
        write("layers/site/layer.toml", "tier = \"base\"\n");
        let error = init(folder.path(), None).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("layers/site/layer.toml` is there already"), "{error}");
        assert_eq!(fs::list(folder.path()).unwrap(), ["layers"]);
    }

    #[test]
    fn a_second_time_only_what_is_missing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::write_atomic(&folder.path().join(IGNORED), b"target\n").unwrap();
        let first = init(folder.path(), None).unwrap();
        assert!(first.tracks_output && first.written.iter().any(|path| path == "profiles/default.toml"));
        assert_eq!(fs::read(&folder.path().join(IGNORED)).unwrap(), b"target\n");
        fs::remove_file(&folder.path().join("profiles/default.toml")).unwrap();
        assert_eq!(init(folder.path(), None).unwrap().written, ["profiles/default.toml"]);
    }
}
