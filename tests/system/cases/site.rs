//! The profile `default`: a static site, built and run as a stranger would.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use layerforge::deploy::{Engine, Program};

use crate::Outcome;
use crate::command::{explain, run, run_refused, wait_for};
use crate::docker::Builder;
use crate::verify::{matches_entries, matches_manifest};
use crate::world::World;

const IMAGE: &str = "localhost/layerforge-test-site:latest";
const WHOLE: &str = "localhost/layerforge-test-whole:latest";

pub(super) fn with_docker(world: &World) -> Outcome {
    let port = free_port()?;
    let rendered = world.render("default", &[format!("http_port={port}")])?;
    world.docker()?.build(Builder::Legacy, &rendered.folder, IMAGE)?;
    let root = world.folder("site-root")?;
    world.docker()?.extract(IMAGE, &root)?;
    matches_manifest(&rendered.folder, &root)?;

    let options = rendered.run_options(IMAGE, Program::Process("nginx"), Engine::Docker)?;
    let container = world.docker()?.start_container(&options)?;
    answers(port).map_err(|message| format!("{message}\n{}", container.log()))?;

    // The root is read-only for everybody, and for this user nothing would be writable anyway.
    let refused = run_refused(&mut container.exec(&["touch", "/etc/nginx/new"]))?;
    contains(&refused, "Read-only file system")?;
    run_refused(&mut container.exec(&["touch", "/srv/www/index.html"]))?;
    contains(&run(&mut container.exec(&["cat", "/proc/1/status"]))?, "CapEff:\t0000000000000000")?;
    contains(&run(&mut container.exec(&["cat", "/proc/1/status"]))?, "NoNewPrivs:\t1")?;
    contains(&run(&mut container.exec(&["id"]))?, "uid=65532(app) gid=65532(app)")?;
    wait_for(Duration::from_secs(60), || container.is_healthy())?;

    run(world.docker()?.command().args(["stop", &container.id]))?;
    same("exit code", &container.inspect("{{.State.ExitCode}}")?, "0")?;
    let log = container.log();
    if log.contains("[alert]") || log.contains("[emerg]") || log.contains("[error]") {
        return Err(format!("nginx complains:\n{log}"));
    }
    contains(&log, "\"GET / HTTP/1.0\" 200")
}

pub(super) fn with_podman(world: &World) -> Outcome {
    let port = free_port()?;
    let rendered = world.render("default", &[format!("http_port={port}")])?;
    world.containers()?.build(&rendered.folder, IMAGE)?;
    world.containers()?.look_into(IMAGE, |root| matches_manifest(&rendered.folder, root))?;

    let mut command = world.containers()?.command("podman");
    command.args(["run", "--detach", "--log-driver=k8s-file"]);
    let id = run(command.args(rendered.run_options(IMAGE, Program::Process("nginx"), Engine::Podman)?))?;
    let outcome = answers(port);
    let log = run(world.containers()?.command("podman").args(["logs", id.trim()])).unwrap_or_default();
    run(world.containers()?.command("podman").args(["rm", "--force", id.trim()]))?;
    outcome.map_err(|message| format!("{message}\n{log}"))
}

/// An image that layerforge writes whole, with the packages of Debian in it: loaded and run, nothing is built.
pub(super) fn in_a_whole_image(world: &World) -> Outcome {
    let project = world.folder("whole")?;
    let profiles = project.join("profiles");
    fs::create_dir_all(&profiles).map_err(explain("make a project"))?;
    let profile = format!(
        "extends = ['default']\n[output.oci]\npackages = 'bundled'\nformat = 'docker-archive'\nreference = '{WHOLE}'\n"
    );
    fs::write(profiles.join("whole.toml"), profile).map_err(explain("write a profile"))?;
    let port = free_port()?;
    let rendered = world.render_in(&project, "whole", &[format!("http_port={port}")])?;
    let archive = rendered.folder.join("oci/whole.tar");
    let manifest = rendered.folder.join("oci.manifest.json");

    let docker = world.docker()?;
    run(docker.command().arg("load").arg("--input").arg(&archive))?;
    let root = world.folder("whole-root")?;
    docker.extract(WHOLE, &root)?;
    matches_entries(&manifest, &root)?;
    let options = rendered.run_options(WHOLE, Program::Process("nginx"), Engine::Docker)?;
    let container = docker.start_container(&options)?;
    answers(port).map_err(|message| format!("{message}\n{}", container.log()))?;
    contains(&run_refused(&mut container.exec(&["touch", "/etc/nginx/new"]))?, "Read-only file system")?;
    contains(&run(&mut container.exec(&["cat", "/proc/1/status"]))?, "CapEff:\t0000000000000000")?;
    contains(&run(&mut container.exec(&["id", "-u"]))?, "65532")?;
    // Both engines give it the same port of the machine.
    drop(container);
    run(docker.command().args(["rmi", "--force", WHOLE]))?;

    let podman = || world.containers().map(|containers| containers.command("podman"));
    run(podman()?.arg("load").arg("--input").arg(&archive))?;
    let mut command = podman()?;
    command.args(["run", "--detach", "--log-driver=k8s-file"]);
    let id = run(command.args(rendered.run_options(WHOLE, Program::Process("nginx"), Engine::Podman)?))?;
    let outcome = answers(port);
    let log = run(podman()?.args(["logs", id.trim()])).unwrap_or_default();
    run(podman()?.args(["rm", "--force", id.trim()]))?;
    outcome.map_err(|message| format!("{message}\n{log}"))
}

/// Asks for the pages of the site.
fn answers(port: u16) -> Outcome {
    let page = wait_for(Duration::from_secs(20), || get(port, "/"))?;
    contains(&page, "HTTP/1.1 200 OK")?;
    contains(&page, "<h1>It works</h1>")?;
    // What a cache could keep for ever, because every file has the same time.
    for header in ["Last-Modified:", "ETag:"] {
        if page.contains(header) {
            return Err(format!("the page has `{header}`:\n{page}"));
        }
    }
    contains(&get(port, "/healthz")?, "\r\n\r\nok\n")?;
    contains(&get(port, "/style.css")?, "Content-Type: text/css")?;
    let missing = get(port, "/missing")?;
    contains(&missing, "HTTP/1.1 404 Not Found")?;
    contains(&missing, "<h1>Not found</h1>")
}

/// Returns the answer to a request, with its header.
fn get(port: u16, path: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(explain("connect"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(explain("set a time limit"))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").map_err(explain("ask"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(explain("read the answer"))?;
    Ok(answer)
}

/// Returns a port of the loopback address that nobody listens on.
pub(super) fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(explain("find a free port"))?;
    Ok(listener.local_addr().map_err(explain("find a free port"))?.port())
}

/// Fails when `text` does not hold `part`.
pub(super) fn contains(text: &str, part: &str) -> Outcome {
    if text.contains(part) { Ok(()) } else { Err(format!("no `{part}` in:\n{text}")) }
}

fn same(what: &str, found: &str, wanted: &str) -> Outcome {
    if found == wanted { Ok(()) } else { Err(format!("{what} is {found}, not {wanted}")) }
}
