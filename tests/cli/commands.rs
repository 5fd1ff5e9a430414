//! Commands about a project: render, plan, why, list, check, graph; help, exit codes, streams, colours.

use crate::session::{Session, transcript};

const COMMANDS: [&str; 14] = [
    "render",
    "check",
    "plan",
    "why",
    "list",
    "diff",
    "graph",
    "init",
    "sign",
    "publish",
    "key",
    "schema",
    "completions",
    "man",
];

#[test]
fn every_command_explains_itself() {
    let session = Session::empty();
    let mut runs = vec![session.run("--help")];
    runs.extend(COMMANDS.iter().map(|command| session.run(&format!("{command} --help"))));
    runs.push(session.run("key generate --help"));
    insta::assert_snapshot!(transcript(&runs));
    let version = session.run("--version");
    assert_eq!(version.output, format!("layerforge {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_manual_has_every_command_and_option() {
    let session = Session::empty();
    let manual = session.run("man").output;
    for command in COMMANDS {
        assert!(manual.contains(&format!("\n.SS {command}\n")), "{command}");
        for option in session.run(&format!("{command} --help")).output.split_whitespace() {
            let option = option.trim_end_matches([',', '.', '`', '"']);
            if option.starts_with("--") && option != "--help" && option.len() > 2 {
                assert!(manual.contains(&option.replace('-', "\\-")), "{command} {option}");
            }
        }
    }
    insta::assert_snapshot!(manual);
}

#[test]
fn a_project_is_planned_rendered_and_edited() {
    let session = Session::web();
    let mut runs = vec![session.run("plan web"), session.run("render web"), session.run("render web")];
    session.write("layers/site/files/srv/www/index.html.j2", "<h1>{{ title }}!</h1>\n");
    session.remove("layers/base/files.debian/etc/issue");
    session.write("layers/base/files/etc/new", "x\n");
    runs.extend(
        ["plan web", "render web --distro debian", "plan web --distro debian", "render web -q"]
            .map(|line| session.run(line)),
    );
    insta::assert_snapshot!(transcript(&runs));
    assert!(runs.iter().filter(|run| run.line.contains("render")).all(|run| run.output.is_empty()));
}

#[test]
fn why_tells_who_decided() {
    let session = Session::web();
    let lines = [
        "why /etc/motd web",
        "why /srv/www/robots.txt web",
        "why /srv/www web",
        "why /etc/issue web",
        "why /etc/mtod web",
        "why etc/motd web",
    ];
    insta::assert_snapshot!(transcript(&lines.map(|line| session.run(line))));
}

#[test]
fn lists_are_tables() {
    let session = Session::web();
    let with_environment = session.run_with("list variables web --set title=x", |command| {
        command.env("LAYERFORGE_VAR_TITLE", "y").env("LAYERFORGE_VAR_OTHER", "ignored");
    });
    let environment = session.run_with("list variables web", |command| {
        command.env("LAYERFORGE_VAR_TITLE", "y");
    });
    let mut runs = vec![session.run("list profiles"), session.run("list distros"), with_environment, environment];
    session.write("layers/nginx/layer.toml", "tier = \"overlay\"\nsummary = \"Instead of the one that is built in\"\n");
    let layers = session.run("list layers");
    let own = |line: &&str| ["base ", "nginx ", "site ", "redis "].iter().any(|name| line.starts_with(name));
    let shown: Vec<&str> = layers.output.lines().filter(own).collect();
    insta::assert_snapshot!(format!("{}\n{}", transcript(&runs), shown.join("\n")));
    runs.push(layers);
    assert!(runs.iter().all(|run| run.errors.is_empty()));
}

#[test]
fn check_finds_waste() {
    let session = Session::web();
    let clean = session.run("check");
    session.write("layers/lonely/layer.toml", "tier = \"base\"\n");
    session.write("layers/site/templates/unused.j2", "");
    session.write("layers/site/unused.crt", "certificate\n");
    session.write("layers/site/README.md", "for people\n");
    session.write("layers/site/files.arch/etc/unused", "for a distro of no profile\n");
    session.write("layers/site/files.debian/etc/issue2", "Debian\n");
    session.write("layers/site/used.crt", "certificate of the organisation\n");
    session.write("layers/site/templates/used.j2", "{% include \"part.j2\" %}\n");
    session.write("templates/part.j2", "part\n");
    session.write("templates/unused.j2", "part\n");
    session.write("layers/site/trees/a/etc/taken", "with its directory\n");
    session.write(
        "layers/site/layer.toml",
        "tier = \"application\"\nrequires = [\"base\"]\ntree = \"trees/a\"\n[variable.unused]\ntype = \"string\"\n\
         default = \"\"\n[file.\"/etc/used\"]\ntemplate = \"used.j2\"\n[file.\"/etc/used.crt\"]\nsource = \"used.crt\"\n",
    );
    let runs = [clean, session.run("check"), session.run("check web"), session.run("check --quiet")];
    insta::assert_snapshot!(transcript(&runs));
    assert!(runs.iter().all(|run| run.code == 0 && run.output.is_empty()));
}

#[test]
fn this_repository_is_without_mistake_and_waste() {
    let session = Session::empty();
    let run = session.run(&format!("check --project {}", env!("CARGO_MANIFEST_DIR")));
    let sum = "0 errors, 0 warnings, 0 duplicated bytes";
    assert!(
        run.code == 0 && run.errors.starts_with("checked ") && run.errors.trim_end().ends_with(sum),
        "{}",
        run.shown()
    );
}

#[test]
fn exit_codes_tell_what_failed() {
    let session = Session::web();
    let unlocked = session.run("render web --locked");
    session.run("render web -q");
    session.write("profiles/web.lock", "what is this\n");
    let malformed = session.run("render web --force --set title=Other --locked");
    session.remove("profiles/web.lock");
    session.run("render web -q --set title=New");
    session.write(
        "profiles/web.toml",
        "layers = [\"site\"]\n[distro.alpine]\n[variable.title]\ndefault = \"x\"\n[package.curl]\n",
    );
    let stale = session.run("render web --locked");
    session.write("elsewhere/important", "not made by layerforge\n");
    let runs = [
        session.run("render web -q"),
        session.run("render web --dest elsewhere"),
        session.run("render web --set title"),
        session.run("render web --colour always"),
        session.run("frobnicate"),
        session.run("render wbe"),
        unlocked,
        malformed,
        stale,
    ];
    insta::assert_snapshot!(transcript(&runs));
    assert_eq!(runs.map(|run| run.code), [0, 1, 2, 2, 2, 3, 4, 4, 4]);
}

#[test]
fn data_is_json_when_asked_for() {
    let session = Session::web();
    session.run("render web -q");
    session.write("layers/base/files/etc/motd.j2", "{{ title }}\n");
    let count = |line: &str, pointer: &str, least: usize| {
        let run = session.run(line);
        let value = run.json();
        let found = value.pointer(pointer).unwrap_or_else(|| panic!("{line} has no {pointer}: {value:#}"));
        let number = found.as_array().map_or(found.as_object().map_or(1, serde_json::Map::len), Vec::len);
        assert!(number >= least, "{line}: {found:#}");
    };
    count("plan web --json", "/0/outputs/0/changes", 1);
    count("why /etc/motd web --json", "/1/words/0/decided_by", 1);
    count("list --json", "/profiles/web/distros", 2);
    count("list variables web --json", "/title", 1);
    count("check --json", "/profiles/web", 2);
    count("graph web --json", "/layers/1/groups/0/entries", 1);
    count("diff out/web/alpine out/web/debian --json", "/changes/1/differences", 1);
    count("schema layer --json", "/properties/tier", 1);
    count("render web --json", "/1/changed", 1);
    session.write("profiles/web.toml", "layres = []\n");
    let check = session.run("check --json");
    assert_eq!((check.code, check.json()["problems"][0]["line"].as_u64()), (3, Some(1)));
}

#[test]
fn graphs_are_drawn() {
    let session = Session::web();
    let dot = session.run("graph web --format dot");
    insta::assert_snapshot!(dot.shown());
    let svg = session.run("graph web");
    assert!(svg.output.starts_with("<svg ") && svg.output.ends_with("</svg>\n"));
    for word in ["robots.txt", "base", "site", "built in"] {
        assert_eq!(svg.output.contains(word), word != "built in", "{word}");
    }
    assert_eq!(session.run("graph web --jobs 1").output, svg.output);
}

#[test]
fn colours_are_for_terminals() {
    let session = Session::web();
    let escape = '\u{1b}';
    assert!(!session.run("why /etc/motd web").output.contains(escape), "a pipe is no terminal");
    assert!(session.run("why /etc/motd web --color always").output.contains(escape));
    assert!(session.run("check nothing --color always").errors.contains(escape));
    let on_terminal = |variable: &str, value: &str| {
        let mut command = session.command("script");
        let line = format!("{} why /etc/motd web", env!("CARGO_BIN_EXE_layerforge"));
        command
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env(variable, value);
        let done = command.output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(on_terminal("NO_COLOR", "").contains(escape));
    assert!(!on_terminal("NO_COLOR", "1").contains(escape));
    assert!(!on_terminal("TERM", "dumb").contains(escape));
}

#[test]
fn paths_are_shown_as_they_were_given() {
    let session = Session::web();
    session.write("profiles/web.toml", "layers = [\"sight\"]\n");
    for (line, shown) in [
        ("check", " profiles/web.toml:1:11"),
        ("check --project .", " profiles/web.toml:1:11"),
        ("check ./profiles/web.toml", " profiles/web.toml:1:11"),
        ("check --project ../project", " ../project/profiles/web.toml:1:11"),
        ("check ../project/profiles/web.toml", " ../project/profiles/web.toml:1:11"),
    ] {
        let run = session.run(line);
        assert!(run.code == 3 && run.errors.contains(shown), "{}", run.shown());
    }
    let absolute = session.run(&format!("check --project {}", session.path("").display()));
    assert!(absolute.errors.contains(" [DIR]/project/profiles/web.toml:1:11"), "{}", absolute.shown());
}

#[test]
fn an_image_is_planned_against_the_image_that_is_there() {
    let session = Session::web();
    session.write("layers/base/files/usr/share/note", "one\n");
    let fresh = session.run("plan web --distro debian --output sysext");
    let rendered = session.run("render web --distro debian --output sysext");
    let unchanged = session.run("plan web --distro debian --output sysext");
    session.write("layers/base/files/usr/share/note", "another\n");
    let edited = session.run("plan web --distro debian --output sysext --output rootfs");
    insta::assert_snapshot!(transcript(&[fresh, rendered, unchanged, edited]));
}
