//! The documentation is true: its examples resolve, its results come out, and no key is forgotten.
//!
//! Blocks that begin with ```` ```toml profile NAME ````, ```` ```toml layer NAME ```` or ```` ```toml distro NAME ```` are
//! documents; those that begin with ```` ```LANGUAGE file PATH ```` are other files. Those of one page form one project.
//! ```` ```LANGUAGE result PROFILE PATH ```` is the content that a profile gives to a path.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerforge::cli::diagnostic;
use layerforge::distro::Wish;
use layerforge::resolve::{Action, Library, Recipe, Request, resolve};
use layerforge::spec::{DistroDocument, DocumentKind, Project, SpecError, parse, schema};
use layerforge::tree::ContentSource;
use serde_json::Value;

/// A page of the documentation.
struct Page {
    name: String,
    text: String,
}

/// A fenced block that a project can be made of.
struct Block {
    /// Where it begins: `profiles.md:12`.
    place: String,
    kind: String,
    name: String,
    /// For a result: the path.
    path: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root.join("README.md"));
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(root).unwrap().display().to_string(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    /// Returns the blocks that make a project. A block that says neither what it is nor that it is a file is prose.
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (index, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    let words: Vec<&str> = info.split_whitespace().collect();
                    let word = |index: usize| words.get(index).copied().unwrap_or_default().to_owned();
                    let place = format!("{}:{}", self.name, index + 1);
                    let (kind, name, path) = (word(1), word(2), word(3));
                    open = Some(Block { place, kind, name, path, text: String::new() });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => block.text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name);
        blocks.retain(|block| !block.kind.is_empty());
        blocks
    }

    /// Returns the lines from the heading that holds `words` to the next one of its level or a higher one.
    fn section(&self, words: &str) -> Option<String> {
        let level = |line: &str| line.bytes().take_while(|&byte| byte == b'#').count();
        let mut lines = self.text.lines().skip_while(|line| level(line) == 0 || !line.contains(words));
        let heading = lines.next()?;
        let rest = lines.take_while(|line| level(line) == 0 || level(line) > level(heading));
        Some(rest.map(|line| format!("{line}\n")).collect())
    }
}

/// Writes the blocks of a page as one project.
fn unpack(blocks: &[Block], root: &Path) {
    for block in blocks {
        assert!(!block.name.is_empty(), "{}: the block has no name", block.place);
        let relative = match block.kind.as_str() {
            "profile" => format!("profiles/{}.toml", block.name),
            "layer" => format!("layers/{}/layer.toml", block.name),
            "distro" => format!("distros/{}.toml", block.name),
            "file" => block.name.clone(),
            "result" => continue,
            other => panic!("{}: no document is called `{other}`", block.place),
        };
        let path = root.join(relative);
        assert!(!path.exists(), "{}: the page has two of this name", block.place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &block.text).unwrap();
    }
}

/// Resolves a profile for each of its distros, and for every release of those that `every_release` names.
fn recipes(project: &Arc<Project>, profile: &str, every_release: &[&str]) -> Result<Vec<Recipe>, SpecError> {
    let library = Library::load(Arc::clone(project), profile)?;
    let mut recipes = Vec::new();
    for (distro, table) in library.distros()? {
        let mut releases = vec![None];
        if every_release.contains(&distro.as_str()) {
            let (source, _) = project.source(&format!("distros/{}.toml", *distro))?.unwrap();
            let document: DistroDocument = parse(&source)?;
            releases.extend(document.release.keys().map(|name| Some(name.value.clone())));
        }
        for release in releases {
            let wish = Wish { release, architecture: None };
            let (distro, table) = (distro.clone(), table.clone());
            recipes.push(resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None })?);
        }
    }
    Ok(recipes)
}

fn explain(error: SpecError) -> String {
    match error {
        SpecError::Problems(problems) => problems.iter().map(|problem| diagnostic::text(problem, false)).collect(),
        SpecError::File(error) => format!("{error}: {}", error.source),
    }
}

#[test]
fn every_example_resolves() {
    let mut count = 0;
    let mut failures = Vec::new();
    for page in pages() {
        let blocks = page.blocks();
        let directory = tempfile::tempdir().unwrap();
        unpack(&blocks, directory.path());
        let project = Arc::new(Project::open(directory.path()));
        let distros: Vec<&str> =
            blocks.iter().filter(|block| block.kind == "distro").map(|block| block.name.as_str()).collect();
        for block in blocks.iter().filter(|block| block.kind != "file" && block.kind != "result") {
            let profile = match block.kind.as_str() {
                "layer" => Some(format!("layers = ['{}']", block.name)),
                "distro" => Some(format!("[distro.{}]", block.name)),
                _ => None,
            };
            // A layer and a distro are tried by a profile that has nothing else.
            let name = match profile {
                Some(text) => {
                    let name = format!("only-{}-{}", block.kind, block.name);
                    fs::create_dir_all(directory.path().join("profiles")).unwrap();
                    fs::write(directory.path().join(format!("profiles/{name}.toml")), text).unwrap();
                    name
                }
                None => block.name.clone(),
            };
            match recipes(&project, &name, &distros) {
                Ok(recipes) => count += recipes.len(),
                Err(error) => failures.push(format!("{}:\n{}", block.place, explain(error))),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count > 45, "only {count} examples were found");
}

/// Returns the first two cells of the rows of tables whose head begins with these two.
fn rows(page: &Page, head: [&str; 2]) -> Vec<(String, String)> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_matches('|').replace("\\|", "\u{1}");
        line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    };
    let mut rows = Vec::new();
    let mut inside = false;
    for line in page.text.lines() {
        let found = if line.starts_with('|') { cells(line) } else { Vec::new() };
        inside = found.len() >= 2 && (inside || found[..2] == head);
        if inside && found[..2] != head && !found[0].starts_with("---") {
            rows.push((found[0].clone(), found[1].clone()));
        }
    }
    rows
}

/// Returns the content of a file that the profile's own tables describe.
fn content(recipe: &Recipe, path: &str) -> String {
    let mut entries = recipe.layers.last().unwrap().entries.iter();
    let entry = entries.find(|entry| entry.path.to_string() == path).unwrap_or_else(|| panic!("no `{path}`"));
    let Action::File(content) = &entry.action else { panic!("`{path}` is no file") };
    let ContentSource::Inline(bytes) = &content.source else { panic!("`{path}` is not rendered") };
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_result_is_what_comes_out() {
    let mut count = 0;
    for page in pages() {
        let blocks = page.blocks();
        let directory = tempfile::tempdir().unwrap();
        unpack(&blocks, directory.path());
        let project = Arc::new(Project::open(directory.path()));
        for result in blocks.iter().filter(|block| block.kind == "result") {
            let recipe = recipes(&project, &result.name, &[]).map_err(explain).unwrap().remove(0);
            assert_eq!(content(&recipe, &result.path), result.text, "{}", result.place);
            count += 1;
        }
    }
    assert!(count >= 2, "only {count} results were found");
}

#[test]
fn every_condition_is_an_expression() {
    let page = pages().into_iter().find(|page| page.name.ends_with("templates.md")).unwrap();
    let rows = rows(&page, ["expression", "holds"]);
    assert!(rows.len() > 5, "only {} conditions were found", rows.len());
    let mut profile = String::from("extends = ['filters']\n");
    for (index, (expression, _)) in rows.iter().enumerate() {
        let when = serde_json::to_string(expression.trim_matches('`')).unwrap();
        profile.push_str(&format!("[file.'/{index}']\ncontent = 'yes'\nwhen = {when}\n"));
    }
    let directory = tempfile::tempdir().unwrap();
    unpack(&page.blocks(), directory.path());
    fs::write(directory.path().join("profiles/rows.toml"), profile).unwrap();
    let recipe = recipes(&Arc::new(Project::open(directory.path())), "rows", &[]).map_err(explain).unwrap().remove(0);
    for (index, (expression, _)) in rows.iter().enumerate() {
        assert_eq!(content(&recipe, &format!("/{index}")), "yes", "{expression}");
    }
}

#[test]
fn every_filter_gives_what_the_table_says() {
    let page = pages().into_iter().find(|page| page.name.ends_with("templates.md")).unwrap();
    let rows = rows(&page, ["Template", "Result"]);
    assert!(rows.len() > 25, "only {} rows were found", rows.len());
    let code = |cell: &str| cell.trim_matches('`').to_owned();
    let mut profile = String::from("extends = ['filters']\n");
    for (index, (template, _)) in rows.iter().enumerate() {
        let content = serde_json::to_string(&code(template)).unwrap();
        profile.push_str(&format!("[file.'/{index:03}']\ncontent = {}\n", content));
    }
    let directory = tempfile::tempdir().unwrap();
    unpack(&page.blocks(), directory.path());
    fs::write(directory.path().join("profiles/rows.toml"), profile).unwrap();
    let recipe = recipes(&Arc::new(Project::open(directory.path())), "rows", &[]).map_err(explain).unwrap().remove(0);
    for (index, (template, result)) in rows.iter().enumerate() {
        assert_eq!(content(&recipe, &format!("/{index:03}")), code(result).replace('⏎', "\n"), "{template}");
    }
    for filter in ["shell", "ini", "yaml", "json", "toml", "nginx", "octal", "sha256", "bytes"] {
        assert!(
            rows.iter().any(|(template, _)| template.contains(&format!("| {filter} "))),
            "`{filter}` has no example"
        );
    }
}

/// The heading of the section that describes each table of the schemas.
const SECTIONS: [(&str, &str); 37] = [
    ("ProfileDocument", "Keys of a profile"),
    ("LayerDocument", "Keys of `layer.toml`"),
    ("DistroDocument", "Keys of a description"),
    ("DistroTable", "`[distro.NAME]`"),
    ("VariableTable", "`[variable.NAME]`"),
    ("PackageTable", "`[package.NAME]`"),
    ("UserTable", "`[user.NAME]`"),
    ("GroupTable", "`[group.NAME]`"),
    ("FileTable", "`[file.\"/path\"]`"),
    ("DirectoryTable", "`[directory.\"/path\"]`"),
    ("LinkTable", "`[link.\"/path\"]`"),
    ("RemoveTable", "`[remove.\"/path\"]`"),
    ("TriggerTable", "`[trigger.NAME]`"),
    ("WritableTable", "`[writable.NAME]`"),
    ("ProcessTable", "`[process.NAME]`"),
    ("ProbeTable", "`[process.NAME.ready]`"),
    ("MetricsTable", "`[process.NAME.metrics]`"),
    ("LimitsTable", "`[process.NAME.limits]`"),
    ("JobTable", "`[job.NAME]`"),
    ("SecretTable", "`[secret.NAME]`"),
    ("LintTable", "`[lint]`"),
    ("FromTable", "`[from]`"),
    ("OutputTables", "`[output.KIND]`"),
    ("RootfsTable", "`[output.rootfs]`"),
    ("TarTable", "`[output.tar]`"),
    ("SysextTable", "Images: `[output.sysext]`"),
    ("ConfextTable", "Images: `[output.sysext]`"),
    ("PortableTable", "Images: `[output.sysext]`"),
    ("OverTable", "Images: `[output.sysext]`"),
    ("OciTable", "Container images: `[output.oci]`"),
    ("FactsTable", "`[facts]`"),
    ("CommandsTable", "`[facts.commands]`"),
    ("ReleaseTable", "`[release.NAME]`"),
    ("Labels", "`[labels]`"),
    ("PackagesTable", "`[packages]`"),
    ("AnswerTable", "`[packages.answers.\"PACKAGE/QUESTION\"]`"),
    ("SourceTable", "`[source.NAME]`"),
];

#[test]
fn every_key_and_value_is_described() {
    let pages = pages();
    let mut missing = BTreeSet::new();
    for kind in [DocumentKind::Profile, DocumentKind::Layer, DocumentKind::Distro] {
        let schema = schema(kind);
        let title = match kind {
            DocumentKind::Profile => "ProfileDocument",
            DocumentKind::Layer => "LayerDocument",
            DocumentKind::Distro => "DistroDocument",
        };
        let definitions = schema["$defs"].as_object().unwrap();
        let tables = definitions.iter().map(|(name, table)| (name.clone(), table)).chain([(title.to_owned(), &schema)]);
        for (name, table) in tables {
            let Some(properties) = table["properties"].as_object() else {
                missing.extend(values(table).filter(|value| !pages.iter().any(|page| mentions(&page.text, value))));
                continue;
            };
            let (_, heading) = SECTIONS.iter().find(|(table, _)| *table == name).expect(&name);
            let section = pages.iter().find_map(|page| page.section(heading)).expect(heading);
            let keys = properties.keys().filter(|key| !mentions(&section, key));
            missing.extend(keys.map(|key| format!("{heading}: {key}")));
        }
    }
    assert!(missing.is_empty(), "not described: {missing:#?}");
}

/// Returns the words that an enum of a schema allows.
fn values(table: &Value) -> impl Iterator<Item = String> {
    let listed = table["enum"].as_array().into_iter().flatten();
    let described = table["oneOf"].as_array().into_iter().flatten().map(|one| &one["const"]);
    listed.chain(described).filter_map(Value::as_str).map(str::to_owned)
}

/// Tells whether `text` names `word` in backticks.
fn mentions(text: &str, word: &str) -> bool {
    text.contains(&format!("`{word}`"))
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    for page in &pages {
        let folder = Path::new(&page.name).parent().unwrap();
        for link in page.text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { PathBuf::from(&page.name) } else { folder.join(file) };
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists(), "{}: {link}", page.name);
            let target = pages.iter().find(|page| Path::new(&page.name) == path);
            if let Some(target) = target.filter(|_| !anchor.is_empty()) {
                let found = target.text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
                assert!(found, "{}: no heading `{link}`", page.name);
            }
        }
    }
}

/// Returns the anchor of a heading: letters, digits, `-` and `_` of it, in lower case, with `-` for blanks.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}
