//! How a user begins: init, examples, completions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::session::{Session, transcript};

#[test]
fn a_project_starts_in_an_empty_folder() {
    let session = Session::empty();
    let runs = ["init", "check", "render", "render", "init"].map(|line| session.run(line));
    insta::assert_snapshot!(transcript(&runs));
    for distro in ["alpine", "debian"] {
        assert!(session.path(&format!("out/default/{distro}/Dockerfile")).exists());
        let page =
            fs::read_to_string(session.path(&format!("out/default/{distro}/rootfs/srv/www/index.html"))).unwrap();
        assert!(page.contains("<h1>Hello</h1>"), "{page}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let session = Session::empty();
    session.write("mine/profiles/default.toml", "layers = []\n");
    session.write("mine/.gitignore", "/target/\n");
    let refused = session.run("init mine");
    assert_eq!(fs::read_dir(session.path("mine")).unwrap().count(), 2, "nothing was written");
    session.remove("mine/profiles/default.toml");
    insta::assert_snapshot!(transcript([
        &refused,
        &session.run("init mine"),
        &session.run("init other --example rediss")
    ]));
    assert_eq!(fs::read_to_string(session.path("mine/.gitignore")).unwrap(), "/target/\n");
}

#[test]
fn every_example_stands_on_its_own() {
    let shipped = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles")).unwrap();
    let names = shipped.filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".toml").map(str::to_owned)
    });
    let mut count = 0;
    for name in names {
        let session = Session::empty();
        let init = session.run(&format!("init copy --example {name}"));
        assert!(init.code == 0 && init.errors.contains("next: cd copy && layerforge render"), "{}", init.shown());
        let check = session.run("check --project copy");
        assert!(
            check.errors.contains("checked 1 profile for") && check.errors.contains("0 errors, 0 warnings"),
            "{}",
            check.shown()
        );
        let layers = session.run("list layers --json --project copy").json();
        let variables = session.run(&format!("list variables {name} --json --project copy")).json();
        for (variable, line) in variables.as_object().unwrap() {
            assert!(
                !line["place"].as_str().unwrap().starts_with("builtin:"),
                "{name}: {variable} is of a copied layer"
            );
        }
        let own = layers.as_object().unwrap().values().filter(|layer| layer["origin"] == "project").count();
        assert_eq!(own, fs::read_dir(session.path("copy/layers")).unwrap().count());
        let render = session.run(&format!("render {name} --distro debian --project copy"));
        assert_eq!(render.code, 0, "{}", render.shown());
        count += 1;
    }
    assert!(count >= 4, "{count} examples");
}

/// Editors find the schema that the first line of a document names.
#[test]
fn every_document_of_a_new_project_names_a_schema_that_is_there() {
    let session = Session::empty();
    session.run("init --example discourse");
    session.run("init starter");
    let mut documents = Vec::new();
    let mut folders = vec![session.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                documents.push(path);
            }
        }
    }
    assert!(documents.len() > 8);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let schema = text.lines().next().unwrap().strip_prefix("#:schema ").expect("the first line names a schema");
        let schema = fs::read_to_string(document.parent().unwrap().join(schema)).unwrap();
        let kind = if document.ends_with("layer.toml") { "layer" } else { "profile" };
        assert_eq!(schema, session.run(&format!("schema {kind}")).output);
    }
}

#[test]
fn shells_take_their_completions() {
    let session = Session::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = session.run(&format!("completions {shell}"));
        assert!(run.code == 0 && run.errors.is_empty());
        for word in ["render", "--distro", "--example"] {
            assert!(run.output.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
        session.write(&format!("completions.{shell}"), &run.output);
    }
    let offered = "source completions.bash; COMP_WORDS=(layerforge gr); COMP_CWORD=1; \
                   _layerforge layerforge gr layerforge; echo \"${COMPREPLY[@]}\"";
    let done = Command::new("bash").current_dir(session.path("")).args(["--norc", "-c", offered]).output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "graph\n");
}
