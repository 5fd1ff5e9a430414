//! The Dockerfiles of the shipped profiles, and what a hostile profile cannot do to one.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::distro::{Architecture, Wish};
use crate::resolve::{Library, Recipe, Request, resolve};
use crate::spec::Project;
use crate::tree::{Kind, Meta, Node, Tree};

/// Resolves a profile of the repository.
pub(super) fn recipe(profile: &str, distro: &str) -> Recipe {
    let project = Arc::new(Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let library = Library::load(project, profile).unwrap();
    let (distro, table) = library.distros().unwrap().into_iter().find(|(name, _)| name.as_str() == distro).unwrap();
    let wish = Wish { release: None, architecture: Some(Architecture::X86_64) };
    resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).unwrap()
}

/// Renders a recipe over an empty tree.
fn render(recipe: &Recipe) -> Result<String, DeployError> {
    let tree = Tree::new();
    let process = recipe.outputs.rootfs.as_ref().and_then(|rootfs| rootfs.process.as_deref());
    dockerfile(recipe, &ImageTree { tree: &tree, removed: &[], special: true, process, bundled: false })
}

#[test]
fn shipped_profiles() {
    for (profile, distro) in [
        ("default", "alpine"),
        ("default", "arch"),
        ("default", "debian"),
        ("discourse", "ubuntu"),
        ("postgresql", "debian"),
        ("redis", "alpine"),
    ] {
        insta::assert_snapshot!(format!("{profile}-{distro}"), render(&recipe(profile, distro)).unwrap());
    }
}

/// Texts that mean something to a builder, a shell or a JSON reader.
const HOSTILE: [&str; 12] = [
    "",
    " a  b ",
    "$HOME ${BASE} ${BASE:-x} $(touch pwned)",
    "`touch pwned`",
    "it's",
    "\"quoted\" and \\\"",
    "ends with \\",
    "'; touch pwned; '",
    "# no comment",
    "<<EOF",
    "tab\there",
    "é☃\u{a0}\u{2028}",
];

/// Reads instructions as the format says: comments are dropped, a `\` at the end of a line continues it.
fn instructions(text: &str) -> Vec<(String, String)> {
    let mut logical = vec![String::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let current = logical.last_mut().unwrap();
        match line.strip_suffix('\\') {
            Some(part) => current.push_str(part),
            None => {
                current.push_str(line);
                logical.push(String::new());
            }
        }
    }
    let split = |line: &String| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    logical.iter().filter_map(split).collect()
}

/// Reads the words of ENV and LABEL: double quotes hold spaces, `\` takes the meaning of `"`, `$` and itself.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if characters.peek().is_some_and(|next| "\\\"$".contains(*next)) => word.extend(characters.next()),
            '$' => panic!("`$` would be replaced: {text}"),
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    assert!(!quoted, "{text}");
    words.push(word);
    words
}

fn only<'text>(instructions: &'text [(String, String)], name: &str) -> &'text str {
    let mut found = instructions.iter().filter(|(keyword, _)| keyword == name);
    let text = &found.next().unwrap_or_else(|| panic!("no {name}")).1;
    assert!(found.next().is_none(), "several {name}");
    text
}

fn json(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn values_come_back_as_they_were() {
    for text in HOSTILE {
        let mut recipe = recipe("redis", "alpine");
        recipe.profile.summary = format!("a{text}");
        let process = recipe.contract.processes.get_mut("redis").unwrap();
        let arguments = ["/bin/x", text, "line\nbreak\u{1}"].map(String::from);
        process.command = arguments.into();
        process.environment = [("A", text), ("B", "plain")].map(|(name, text)| (name.into(), text.into())).into();
        process.directory = Some(format!("/w{text}"));
        process.ready.as_mut().unwrap().command = arguments_of(text);
        recipe.triggers = [("t".to_owned(), arguments_of(text))].into();
        let dockerfile = render(&recipe).unwrap();
        let found = instructions(&dockerfile);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let expected =
            "ARG FROM ARG USER RUN COPY ADD RUN LABEL ENV WORKDIR EXPOSE STOPSIGNAL HEALTHCHECK USER ENTRYPOINT";
        assert_eq!(names.join(" "), expected, "{dockerfile}");
        assert_eq!(json(only(&found, "ENTRYPOINT")), recipe.contract.processes["redis"].command);
        assert_eq!(json(only(&found, "HEALTHCHECK").split_once("CMD ").unwrap().1), arguments_of(text));
        assert_eq!(json(&found[7].1), arguments_of(text));
        assert_eq!(words(only(&found, "ENV")), [format!("A={text}"), "B=plain".into()]);
        assert_eq!(words(only(&found, "WORKDIR")), [format!("/w{text}")]);
        let labels = only(&found, "LABEL").replace("\"${BASE}\"", "base");
        assert!(words(&labels).contains(&format!("org.opencontainers.image.description=a{text}")), "{labels}");
    }
}

fn arguments_of(text: &str) -> Vec<String> {
    ["/bin/y", text, "z"].map(String::from).into()
}

/// Runs the shell script of the first RUN with every command replaced by one that tells its arguments.
fn told_commands(dockerfile: &str) -> Vec<Vec<String>> {
    let script = &instructions(dockerfile).into_iter().find(|(name, _)| name == "RUN").unwrap().1;
    let mut replaced = String::from("grep() { printf '%s\\0' grep \"$@\"; printf '\\n'; return 1; }\n");
    for command in ["addgroup", "adduser", "groupadd", "useradd", "gpasswd", "apk", "rm"] {
        replaced.push_str(&format!("{command}() {{ printf '%s\\0' {command} \"$@\"; printf '\\n'; }}\n"));
    }
    let shell = ["/bin/sh", "/usr/bin/sh"].into_iter().find(|shell| Path::new(shell).exists()).unwrap();
    let output = std::process::Command::new(shell)
        .args(["-c", &format!("{replaced}{script}")])
        .env_clear()
        // Nothing else can be found.
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches('\0').split('\0').map(Into::into).collect()).collect()
}

#[test]
fn a_shell_reads_the_words_that_were_meant() {
    // A shell word may hold a `:`, a field of /etc/passwd may not.
    for text in HOSTILE.into_iter().filter(|text| !text.contains('\t')).map(|text| text.replace(':', "")) {
        for distro in ["alpine", "debian"] {
            let mut recipe = recipe("redis", distro);
            if distro == "debian" {
                // Its installation writes a file by itself, which a test shall not do on a host.
                recipe.packages.clear();
            }
            recipe.groups.insert("web".into(), 7);
            let user = recipe.users.get_mut("app").unwrap();
            user.comment = format!("c{text}");
            user.home = format!("/h{text}");
            user.groups = vec!["web".into()];
            let removed: TreePath = format!("/r{text}").parse().unwrap();
            let tree = Tree::new();
            let image = ImageTree {
                tree: &tree,
                removed: std::slice::from_ref(&removed),
                special: false,
                process: None,
                bundled: false,
            };
            let mut told = told_commands(&dockerfile(&recipe, &image).unwrap());
            told.retain(|command| command[0] != "grep");
            let (home, comment, path) = (&*user_of(&recipe).home, &*user_of(&recipe).comment, &*removed.to_string());
            let nologin = &*recipe.distro.paths["nologin"];
            let expected: Vec<Vec<&str>> = if distro == "alpine" {
                vec![
                    vec!["addgroup", "-S", "-g", "7", "web"],
                    vec!["addgroup", "-S", "-g", "65532", "app"],
                    vec![
                        "adduser", "-S", "-D", "-H", "-u", "65532", "-G", "app", "-h", home, "-s", nologin, "-g",
                        comment, "app",
                    ],
                    vec!["addgroup", "app", "web"],
                    vec!["apk", "add", "--no-cache", "valkey"],
                    vec!["rm", "-rf", "--", path],
                ]
            } else {
                vec![
                    vec!["groupadd", "--system", "--gid", "7", "web"],
                    vec!["groupadd", "--system", "--gid", "65532", "app"],
                    vec![
                        "useradd",
                        "--system",
                        "--no-log-init",
                        "--no-create-home",
                        "--uid",
                        "65532",
                        "--gid",
                        "65532",
                        "--home-dir",
                        home,
                        "--shell",
                        nologin,
                        "--comment",
                        comment,
                        "app",
                    ],
                    vec!["gpasswd", "--add", "app", "web"],
                    vec!["rm", "-rf", "--", path],
                ]
            };
            assert_eq!(told, expected);
        }
    }
}

fn user_of(recipe: &Recipe) -> &crate::resolve::User {
    &recipe.users["app"]
}

/// Returns the message for a recipe that `change` made impossible.
fn refusal(change: impl FnOnce(&mut Recipe)) -> String {
    let mut recipe = recipe("redis", "debian");
    change(&mut recipe);
    render(&recipe).unwrap_err().to_string()
}

fn redis(recipe: &mut Recipe) -> &mut crate::resolve::Process {
    recipe.contract.processes.get_mut("redis").unwrap()
}

#[test]
fn what_a_line_cannot_hold_is_refused() {
    let evil = "x\nRUN touch /pwned";
    let messages = [
        refusal(|recipe| recipe.image = evil.into()),
        refusal(|recipe| recipe.profile.version = evil.into()),
        refusal(|recipe| drop(recipe.profile.labels.insert("a".into(), evil.into()))),
        refusal(|recipe| drop(recipe.profile.labels.insert(evil.into(), "a".into()))),
        refusal(|recipe| drop(redis(recipe).environment.insert("A".into(), evil.into()))),
        refusal(|recipe| redis(recipe).directory = Some(evil.into())),
        refusal(|recipe| recipe.users.get_mut("app").unwrap().comment = evil.into()),
        refusal(|recipe| recipe.users.get_mut("app").unwrap().shell = "/bin/sh:0".into()),
        refusal(|recipe| recipe.packages.values_mut().next().unwrap().names = vec![evil.into()]),
        refusal(|recipe| recipe.packages.values_mut().next().unwrap().names = vec!["--force".into()]),
        refusal(|recipe| recipe.contract.writables.values_mut().next().unwrap().path = "/a,b".parse().unwrap()),
    ];
    insta::assert_snapshot!("refused_values", messages.join("\n"));
    let mut recipe = recipe("redis", "debian");
    recipe.profile.name = evil.into();
    // A comment and the name of the image are made to fit; the label is not.
    assert!(render(&recipe).unwrap_err().to_string().contains("image.title"));
}

#[test]
fn what_an_image_cannot_hold_is_refused() {
    let recipe = recipe("redis", "debian");
    let mut tree = Tree::new();
    let directory = Node { kind: Kind::Directory { opaque: true }, meta: Meta::root_owned(0o755, 0) };
    tree.insert("/srv".parse().unwrap(), directory.clone()).unwrap();
    let image = ImageTree { tree: &tree, removed: &[], special: false, process: Some("redis"), bundled: false };
    // What an opaque directory hides has to go.
    assert!(dockerfile(&recipe, &image).unwrap().contains("rm -rf -- \\\n        /srv\n"));
    let root = [TreePath::root()];
    assert_eq!(dockerfile(&recipe, &ImageTree { removed: &root, ..image }), Err(DeployError::RemovedRoot));
    let bytes = [TreePath::from_relative(b"a\xff").unwrap()];
    let not_text = dockerfile(&recipe, &ImageTree { removed: &bytes, ..image }).unwrap_err();
    let unknown = dockerfile(&recipe, &ImageTree { process: Some("web"), ..image }).unwrap_err();
    tree.insert("/srv/.wh.x".parse().unwrap(), directory).unwrap();
    let image = ImageTree { tree: &tree, removed: &[], special: false, process: None, bundled: false };
    let whiteout = dockerfile(&recipe, &image).unwrap_err();
    insta::assert_snapshot!(
        "refused_trees",
        format!("{not_text}\n{unknown}\n{whiteout}\n{}", DeployError::RemovedRoot)
    );
}

#[test]
fn a_profile_without_process_leaves_the_base_to_itself() {
    let mut recipe = recipe("redis", "debian");
    recipe.packages.clear();
    recipe.users.clear();
    recipe.triggers.clear();
    let tree = Tree::new();
    let image = ImageTree { tree: &tree, removed: &[], special: false, process: None, bundled: false };
    let found = instructions(&dockerfile(&recipe, &image).unwrap());
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ARG", "FROM", "ARG", "COPY", "LABEL"]);
}

#[test]
fn engines_are_told_in_their_own_words() {
    let mut recipe = recipe("postgresql", "debian");
    recipe.profile.name = "My Own/..Profile".into();
    recipe.contract.jobs.get_mut("initialize").unwrap().environment.insert("MOTD".into(), "it's\n".into());
    let name = image_name(&recipe);
    assert_eq!(name, "my-own-profile");
    for (engine, size) in [(Engine::Docker, "mode=0755,size=1m"), (Engine::Podman, "tmpfs-size=1m,chown=true")] {
        let job = Program::Job("initialize");
        let image = "registry:5000/team/db:1";
        let arguments = run_command(&recipe, image, Some("postgresql"), job, engine).unwrap();
        assert_eq!(arguments.last().unwrap(), image);
        assert!(arguments.contains(&"db-postgresql_data:/var/lib/postgresql".into()), "{arguments:?}");
        assert!(arguments.contains(&"MOTD=it's\n".into()));
        assert!(arguments.iter().any(|argument| argument.contains(size)), "{arguments:?}");
    }
    let lines = run::lines(&recipe, None, Program::Job("initialize"), Engine::Podman).unwrap();
    assert!(lines.contains(&"--env $'MOTD=it\\'s\\n'".into()), "{lines:?}");
    let missing = run_command(&recipe, "i", None, Program::Job("postgresql"), Engine::Docker).unwrap_err();
    assert_eq!(missing, DeployError::UnknownProgram { kind: "job", name: "postgresql".into() });
}
