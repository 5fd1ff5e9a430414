//! What tables mean: small projects, resolved.

use std::path::Path;
use std::sync::Arc;

use super::{Action, Entry, Library, OverPackages, Recipe, Request, resolve};
use crate::distro::Wish;
use crate::spec::{Project, SpecError};
use crate::tree::{Content, ContentSource};

/// Resolves the profile `web` of a project with these files for the distro that it names first. Problems come as their
/// messages.
fn recipe(files: &[(&str, &str)]) -> Result<Recipe, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        crate::fs::create_directory(path.parent().unwrap()).unwrap();
        crate::fs::write_atomic(&path, text.as_bytes()).unwrap();
    }
    resolved(directory.path()).map_err(|error| match error {
        SpecError::Problems(problems) => problems.into_iter().map(|problem| problem.message).collect(),
        SpecError::File(error) => panic!("{error}: {}", error.source),
    })
}

fn resolved(root: &Path) -> Result<Recipe, SpecError> {
    let library = Library::load(Arc::new(Project::open(root)), "web")?;
    let (distro, table) = library.distros()?.into_iter().next().unwrap();
    resolve(&library, &Request { distro, table, wish: Wish::default(), settings: Vec::new(), epoch: None })
}

/// Returns the entry of the highest layer that describes `path`.
fn entry<'recipe>(recipe: &'recipe Recipe, path: &str) -> &'recipe Entry {
    let mut entries = recipe.layers.iter().rev().flat_map(|layer| &layer.entries);
    entries.find(|entry| entry.path.to_string() == path).unwrap_or_else(|| panic!("no `{path}`"))
}

fn text(entry: &Entry) -> String {
    match &entry.action {
        Action::File(Content { source: ContentSource::Inline(bytes), .. }) => String::from_utf8_lossy(bytes).into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_path_of_its_own_is_more_exact_than_any_pattern() {
    let layer = "tier = 'application'
        [user.app]
        uid = 65532
        [file.'/etc/secret']
        content = 'x'
        mode = '0600'
        owner = 'app'
        [file.'/etc/plain']
        content = 'x'
        [file.'/etc/*']
        mode = '0640'
        owner = 0
        [directory.'/srv/data']
        mode = '0700'
        [directory.'/srv/*']
        mode = '0711'
        [directory.'/srv/{one,two}']
        mode = '0750'";
    let web = "layers = ['site']\n[distro.debian]";
    let recipe =
        recipe(&[("profiles/web.toml", web), ("layers/site/layer.toml", layer), ("layers/site/files/srv/one/x", "x")])
            .unwrap();
    let modes: Vec<u16> = ["/etc/secret", "/etc/plain", "/srv/data", "/srv/one"]
        .map(|path| entry(&recipe, path).mode)
        .into_iter()
        .collect();
    assert_eq!(modes, [0o600, 0o640, 0o700, 0o750]);
    assert_eq!(entry(&recipe, "/etc/secret").uid, 65532);
}

#[test]
fn a_profile_sets_owners_and_modes_of_what_layers_describe() {
    let layer = "tier = 'application'\n[file.'/etc/secret']\ncontent = 'x'\nmode = '0600'";
    let web = "layers = ['site']\n[distro.debian]\n[file.'/etc/*']\nmode = '0444'";
    let recipe = recipe(&[("profiles/web.toml", web), ("layers/site/layer.toml", layer)]).unwrap();
    assert_eq!(entry(&recipe, "/etc/secret").mode, 0o444);
}

#[test]
fn a_table_says_more_about_an_empty_directory_of_a_tree() {
    let directory = tempfile::tempdir().unwrap();
    crate::fs::create_directory(&directory.path().join("layers/site/files/srv/data")).unwrap();
    crate::fs::create_directory(&directory.path().join("profiles")).unwrap();
    let layer = "tier = 'application'\n[directory.'/srv/data']\nmode = '0700'";
    let write = |path: &str, text: &str| crate::fs::write_atomic(&directory.path().join(path), text.as_bytes());
    write("layers/site/layer.toml", layer).unwrap();
    write("profiles/web.toml", "layers = ['site']\n[distro.debian]").unwrap();
    assert_eq!(entry(&resolved(directory.path()).unwrap(), "/srv/data").mode, 0o700);
}

#[test]
fn labels_know_the_profile() {
    let web = "version = '1.4.0'\n[distro.debian]\n[labels]\nrelease = '{{ profile.name }} {{ profile.version }}'";
    let recipe = recipe(&[("profiles/web.toml", web)]).unwrap();
    assert_eq!(recipe.profile.labels["release"], "web 1.4.0");
}

#[test]
fn a_writable_path_belongs_to_the_user_that_all_processes_run_as() {
    let web = "layers = ['base']
        [distro.debian]
        [writable.data]
        path = '/data'
        kind = 'state'
        [process.one]
        command = ['/bin/one']
        user = 'app'";
    let alone = recipe(&[("profiles/web.toml", web)]).unwrap();
    assert_eq!(
        (alone.contract.writables["data"].owner.uid, alone.contract.writables["data"].owner.gid),
        (65532, 65532)
    );
    let other = format!("{web}\n[process.two]\ncommand = ['/bin/two']\nuser = 7");
    assert_eq!(recipe(&[("profiles/web.toml", &other)]).unwrap().contract.writables["data"].owner.uid, 0);
    let absent = format!("{other}\nwhen = 'false'");
    assert_eq!(recipe(&[("profiles/web.toml", &absent)]).unwrap().contract.writables["data"].owner.uid, 65532);
}

#[test]
fn templates_know_how_a_secret_is_handed_over() {
    let web = "[distro.debian]
        [secret.tls_key]
        [secret.token]
        environment = 'TOKEN'
        [file.'/etc/app.conf']
        content = '{{ secret.tls_key.file }} {{ secret.token.environment }}'";
    let recipe = recipe(&[("profiles/web.toml", web)]).unwrap();
    assert_eq!(text(entry(&recipe, "/etc/app.conf")), "/run/secrets/tls_key TOKEN");
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (table, message) in [
        ("[trigger.a]\ncommand = []", "the trigger `a` has no `command`"),
        (
            "[secret.a]\nenvironment = 'X'\n[secret.b]\nenvironment = 'X'",
            "the secrets `a` and `b` are handed over in the same place",
        ),
    ] {
        let web = format!("[distro.debian]\n{table}");
        assert_eq!(recipe(&[("profiles/web.toml", &web)]).unwrap_err(), [message]);
    }
    let problems = recipe(&[("profiles/web.toml", "epoch = -1\n[distro.debian]")]).unwrap_err();
    assert_eq!(problems, ["the epoch -1 lies before 1970"]);
}

#[test]
fn a_distro_that_names_releases_has_no_others() {
    let web = "[distro.ubuntu]\nrelease = 'trixie'";
    let problems = recipe(&[("profiles/web.toml", web)]).unwrap_err();
    assert_eq!(problems, ["the distro `ubuntu` has no release `trixie`"]);
    let derivative = "like = 'debian'\n[release.trixie.facts.paths]\nnginx = '/opt/nginx'";
    let files = [("profiles/web.toml", "[distro.company]"), ("distros/company.toml", derivative), ("layers/.keep", "")];
    let recipe = recipe(&files).unwrap();
    assert_eq!(recipe.distro.paths["nginx"], "/opt/nginx");
    assert_eq!((recipe.distro.codename.as_deref(), recipe.distro.title.as_str()), (Some("trixie"), "Debian GNU/Linux"));
}

#[test]
fn a_sysext_with_packages_says_what_its_host_has() {
    let read = |keys: &str| {
        recipe(&[("profiles/web.toml", &format!("[distro.debian]\n[package.nginx]\n[output.sysext]\n{keys}"))])
    };
    let over = |keys: &str| read(&format!("packages = 'bundled'\n{keys}")).unwrap().extension().unwrap().over;
    let chosen = |variant, names: &[&str]| OverPackages::Chosen {
        variant,
        requests: names.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(over("over.packages = 'standard'"), chosen(crate::spec::PackageVariant::Standard, &[]));
    assert_eq!(over("over.packages = ['dbus']"), chosen(crate::spec::PackageVariant::Minbase, &["dbus"]));
    assert_eq!(over("over.lock = 'server'"), OverPackages::Lock("server".into()));
    assert_eq!(over("over.image = 'debian:13'"), OverPackages::Image("debian:13".into()));
    assert_eq!(
        read("scanners = true").unwrap_err(),
        ["there is nothing to list for scanners: the extension carries no packages"]
    );
    assert!(read("packages = 'external'").unwrap().extension().is_none());
    let bundled = "packages = 'bundled'\n";
    for (keys, message) in [
        ("", "which packages does the host have?"),
        ("over.path = 'host'", "`host` does not exist"),
        ("over.image = 'a b'", "`a b` is no name of an image"),
        ("over.packages = 'everything'", "`everything` is no variant"),
        ("over.packages = 3", "`over.packages` is of type integer"),
        ("over.lock = 'web'", "the extension would be laid over itself"),
        ("over = { lock = 'server', packages = 'minbase' }", "`over` names two hosts: `packages` and `lock`"),
        ("over.packages = 'minbase'\netc = 'omit'", "the content that packages have in /etc goes into the factory"),
    ] {
        assert_eq!(read(&format!("{bundled}{keys}")).unwrap_err(), [message], "{keys}");
    }
    assert_eq!(read("over.lock = 'server'").unwrap_err(), ["`over.lock` says nothing here"]);
    let confext = "[distro.debian]\n[output.confext]\nover.packages = 'minbase'";
    assert_eq!(recipe(&[("profiles/web.toml", confext)]).unwrap_err(), ["`over.packages` is for a sysext"]);
}

#[test]
fn alpine_and_arch_have_sources() {
    let sources = |profile: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profiles/web.toml");
        crate::fs::create_directory(path.parent().unwrap()).unwrap();
        let text = format!("{profile}\n[output.rootfs]\npackages = 'bundled'\n");
        crate::fs::write_atomic(&path, text.as_bytes()).unwrap();
        let library = Library::load(Arc::new(Project::open(directory.path())), "web").unwrap();
        let (distro, table) = library.distros().unwrap().into_iter().next().unwrap();
        let wish = Wish { release: None, architecture: Some(crate::distro::Architecture::X86_64) };
        let recipe = resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).unwrap();
        let source = recipe.bundled().unwrap().sources.remove(0);
        let crate::resolve::SourceContent::Suites { suites, components } = source.content else { panic!() };
        (source.mirrors[0].to_string(), suites.join(" "), components.join(" "))
    };
    let texts = |one: &str, other: &str, third: &str| (one.to_owned(), other.to_owned(), third.to_owned());
    let alpine = "https://dl-cdn.alpinelinux.org/alpine/";
    assert_eq!(sources("[distro.alpine]\nrelease = '3.22'"), texts(alpine, "v3.22", "main community"));
    assert_eq!(sources("[distro.alpine]\nrelease = 'edge'"), texts(alpine, "edge", "main community"));
    let day = "https://archive.archlinux.org/repos/2026/04/01/";
    assert_eq!(sources("[distro.arch]\nsnapshot = '20260401T000000Z'"), texts(day, "core extra", ""));
}
