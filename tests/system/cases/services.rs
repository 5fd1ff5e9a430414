//! Profiles with state, secrets and jobs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use layerforge::deploy::{Engine, Program};

use super::site::{contains, free_port};
use crate::Outcome;
use crate::command::{explain, run, run_refused, wait_for};
use crate::docker::{Builder, Container};
use crate::verify::matches_manifest;
use crate::world::{Rendered, World};

/// A built profile.
struct Service<'world> {
    world: &'world World,
    image: String,
    rendered: Rendered,
}

impl<'world> Service<'world> {
    /// Renders and builds `profile`, compares the image with its manifest, and writes down `secrets`.
    fn build(world: &'world World, profile: &str, settings: &[String], secrets: &[(&str, &str)]) -> Outcome<Self> {
        let rendered = world.render(profile, settings)?;
        let image = format!("localhost/layerforge-test-{profile}:latest");
        world.docker()?.build(Builder::BuildKit, &rendered.folder, &image)?;
        let root = world.folder(&format!("{profile}-root"))?;
        world.docker()?.extract(&image, &root)?;
        matches_manifest(&rendered.folder, &root)?;
        write_secrets(&rendered.folder.join("secrets"), secrets)?;
        Ok(Self { world, image, rendered })
    }

    /// Starts what the image starts, and waits until it is healthy.
    fn start(&self) -> Outcome<Container<'world>> {
        let container = self.world.docker()?.start_container(&self.options(None)?)?;
        let healthy = wait_for(Duration::from_secs(60), || container.is_healthy());
        healthy.map_err(|message| format!("{message}\n{}", container.log()))?;
        Ok(container)
    }

    /// Runs a job to its end.
    fn run_job(&self, name: &str) -> Outcome<String> {
        let options = self.rendered.run_options(&self.image, Program::Job(name), Engine::Docker)?;
        run(self.world.docker()?.command().args(["run", "--rm"]).args(options))
    }

    /// Runs a script in a container of the process that the image starts.
    fn run_script(&self, script: &str) -> Outcome<String> {
        let mut options = self.options(None)?;
        let image = options.pop().ok_or("a command without an image")?;
        options.extend(["--entrypoint".into(), "/bin/sh".into(), image, "-c".into(), script.into()]);
        run(self.world.docker()?.command().args(["run", "--rm"]).args(options))
    }

    /// Returns how a process is run: the one that is named, or that which the image starts.
    fn options(&self, process: Option<&str>) -> Outcome<Vec<String>> {
        let process = process.or_else(|| self.rendered.started()).ok_or("the image starts nothing")?;
        self.rendered.run_options(&self.image, Program::Process(process), Engine::Docker)
    }

    /// Stops a container the way it asks for.
    fn stop(&self, container: &Container<'_>) -> Outcome {
        run(self.world.docker()?.command().args(["stop", &container.id])).map(drop)
    }
}

/// The cluster is made once, keeps what is written, and takes the password of the secret only.
pub(super) fn postgresql(world: &World) -> Outcome {
    let secrets = [("postgresql_password", "super'user"), ("postgresql_database_password", "it's $a \\secret")];
    let settings = [format!("postgresql_port={}", free_port()?), "postgresql_extensions=hstore".into()];
    let service = Service::build(world, "postgresql", &settings, &secrets)?;
    for path in ["/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/postgresql/17", "/var/lib/postgresql/17"] {
        service.run_script(&format!("! test -e {path}"))?;
    }
    contains(&service.run_job("initialize")?, "made a cluster")?;
    contains(&service.run_job("initialize")?, "nothing to do")?;

    let query = |container: &Container<'_>, password: &str, text: &str| {
        let script = "PGPASSWORD=$1 exec psql -h 127.0.0.1 -U app -At -p \"$2\" app -c \"$3\"";
        let port = settings[0].trim_start_matches("postgresql_port=");
        container.exec(&["sh", "-c", script, "sh", password, port, text])
    };
    let first = service.start()?;
    run(&mut query(&first, secrets[1].1, "create table t (note text); insert into t values ('kept')"))?;
    contains(&run(&mut query(&first, secrets[1].1, "select 'a=>b'::hstore -> 'a'"))?, "b")?;
    contains(&run_refused(&mut query(&first, "wrong", "select 1"))?, "password authentication failed")?;
    run_refused(&mut first.exec(&["touch", "/etc/postgresql/new"]))?;
    service.stop(&first)?;
    contains(&first.log(), "received fast shutdown request")?;
    contains(&first.log(), "database system is shut down")?;
    drop(first);
    contains(&run(&mut query(&service.start()?, secrets[1].1, "select note from t"))?, "kept")
}

/// Data outlives the container, and nobody gets in without a password.
pub(super) fn redis(world: &World) -> Outcome {
    let port = free_port()?.to_string();
    let users = [("redis_users", "user default on >open-sesame ~* &* +@all\n")];
    let service = Service::build(world, "redis", &[format!("redis_port={port}")], &users)?;
    let ask = |container: &Container<'_>, words: &[&str]| {
        container.exec(&[&["valkey-cli", "--no-auth-warning", "-p", &port], words].concat())
    };
    let first = service.start()?;
    contains(&run(&mut ask(&first, &["-a", "open-sesame", "set", "note", "kept"]))?, "OK")?;
    contains(&run(&mut ask(&first, &["get", "note"]))?, "NOAUTH")?;
    service.stop(&first)?;
    drop(first);
    contains(&run(&mut ask(&service.start()?, &["-a", "open-sesame", "get", "note"]))?, "kept")
}

/// nginx takes the configuration, programs trust the organisation, and mutable paths leave the tree.
pub(super) fn discourse(world: &World) -> Outcome {
    let settings = [format!("http_port={}", free_port()?)];
    let service = Service::build(world, "discourse", &settings, &[])?;
    let nginx = service.options(Some("nginx"))?;
    run(service.world.docker()?.command().args(["run", "--rm"]).args(nginx).arg("-t"))?;

    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let certificate = "/usr/local/share/ca-certificates/organisation.crt";
    contains(&service.run_script(&format!("openssl verify -CAfile {bundle} {certificate}"))?, ": OK")?;
    service
        .run_script("touch /usr/lib/discourse/tmp/x /usr/lib/discourse/log/x /usr/lib/discourse/public/uploads/x")?;
    let settings = service.run_script("cat /etc/discourse/saved_settings.yml")?;
    contains(&settings, "contact_email: \"admin@example.org\"")
}

/// Writes the files that an engine mounts where the profile says.
fn write_secrets(folder: &Path, secrets: &[(&str, &str)]) -> Outcome {
    fs::create_dir_all(folder).map_err(explain(format!("make {}", folder.display())))?;
    for (name, value) in secrets {
        let path = folder.join(name);
        fs::write(&path, value).map_err(explain("write a secret"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o444)).map_err(explain("write a secret"))?;
    }
    Ok(())
}
