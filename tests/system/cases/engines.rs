//! Container images in engines that run from trees of their own, for several platforms, over bases that others made; and
//! what is attached, judged by those who wrote the schemas.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use layerforge::image::oci::media_type;
use serde_json::Value;

use super::oci::{Image, REFERENCE, hello, index, json, pulled_by_podman, render, same, write};
use crate::Outcome;
use crate::base::bootstrap;
use crate::command::{explain, program, run, run_refused};
use crate::docker::{BASE, Docker};
use crate::machine::tree::{ENGINES_12, ENGINES_13, Suite};
use crate::project::tool;
use crate::registry::{Kind, Registry};
use crate::verify::matches_entries;
use crate::world::{World, layerforge};

/// Docker 20.10 and containerd 1.6.
pub(super) fn in_debian_12(world: &World) -> Outcome {
    let docker = house(world, &ENGINES_12, "engines-12", "20.10.")?;
    let gzip = render(world, "engines-12-gzip", "format = 'tar'\ncompression = 'gzip'")?;
    in_docker(&docker, &gzip)?;
    in_containerd(world, &docker, "engines-12", &gzip)?;
    let zstd = render(world, "engines-12-zstd", "format = 'tar'")?;
    in_containerd(world, &docker, "engines-12", &zstd)?;
    // This is why the compression is a setting.
    run_refused(docker.command().arg("load").stdin(open(&zstd.path)?))?;
    in_docker(&docker, &render(world, "engines-12-docker", "format = 'docker-archive'")?)
}

/// Docker 26 and containerd 1.7.
pub(super) fn in_debian_13(world: &World) -> Outcome {
    let docker = house(world, &ENGINES_13, "engines-13", "26.")?;
    for keys in ["compression = 'gzip'", "compression = 'zstd'", "compression = 'none'\nmax_layers = 1"] {
        let image = render(world, &format!("engines-13-{}", &keys[15..19]), &format!("format = 'tar'\n{keys}"))?;
        in_docker(&docker, &image)?;
        in_containerd(world, &docker, "engines-13", &image)?;
    }
    in_docker(&docker, &render(world, "engines-13-docker", "format = 'docker-archive'")?)
}

fn house(world: &World, suite: &Suite, name: &str, version: &str) -> Outcome<Docker> {
    let docker = Docker::start_in(&world.tree(suite)?, &world.folder(name)?)?;
    let told = run(docker.command().args(["version", "--format", "{{.Server.Version}}"]))?;
    if told.starts_with(version) { Ok(docker) } else { Err(format!("docker is {told}, expected {version}")) }
}

fn open(path: &Path) -> Outcome<Stdio> {
    fs::File::open(path).map(Stdio::from).map_err(explain(format!("open {}", path.display())))
}

/// Loads an image, compares what a container of it has, and runs it.
fn in_docker(docker: &Docker, image: &Image) -> Outcome {
    run(docker.command().arg("load").stdin(open(&image.path)?))?;
    let root = image.folder.join("root");
    fs::create_dir(&root).map_err(explain("make a folder"))?;
    docker.extract(REFERENCE, &root)?;
    matches_entries(&image.manifest, &root)?;
    fs::remove_dir_all(&root).map_err(explain("remove a tree"))?;
    let options = ["--read-only", "--cap-drop=ALL", "--network=none", "--rm"];
    hello(&run(docker.command().arg("run").args(options).arg(REFERENCE))?)?;
    run(docker.command().args(["rmi", "--force", REFERENCE])).map(drop)
}

/// Imports an image into containerd, compares every path of it, and runs it.
fn in_containerd(world: &World, docker: &Docker, name: &str, image: &Image) -> Outcome {
    let shared = world.folder(name)?.join("mnt");
    fs::copy(&image.path, shared.join("image.tar")).map_err(explain("copy an archive"))?;
    let ctr = |words: &[&str]| {
        let mut command = docker.beside("ctr")?;
        command.args(["--address", "/mnt/exec/containerd/containerd.sock", "--namespace", "layerforge"]).args(words);
        run(&mut command)
    };
    ctr(&["images", "import", "/mnt/image.tar"])?;
    let checked = ctr(&["images", "check"])?;
    if !checked.lines().any(|line| line.starts_with(REFERENCE) && line.contains("complete")) {
        return Err(format!("the image is not whole: {checked}"));
    }
    fs::create_dir_all(shared.join("view")).map_err(explain("make a folder"))?;
    ctr(&["images", "mount", REFERENCE, "/mnt/view"])?;
    let mut pack = docker.beside("tar")?;
    run(pack.args([
        "-C",
        "/mnt/view",
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-cf",
        "/mnt/view.tar",
        ".",
    ]))?;
    ctr(&["images", "unmount", "/mnt/view"])?;
    hello(&ctr(&["run", "--rm", "--read-only", REFERENCE, "hello"])?)?;
    ctr(&["images", "remove", "--sync", REFERENCE])?;
    let root = image.folder.join("view");
    fs::create_dir(&root).map_err(explain("make a folder"))?;
    let unpack = ["-xf", "view.tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-p", "-C"];
    run(program("tar").current_dir(&shared).args(unpack).arg(&root))?;
    image.is_below(&root)?;
    fs::remove_dir_all(&root).map_err(explain("remove a tree"))
}

/// An image for two processors: engines take the part that is theirs, or that is asked for.
pub(super) fn several_platforms(world: &World) -> Outcome {
    let image = render(world, "platforms", "compression = 'gzip'\narchitectures = ['x86_64', 'aarch64']")?;
    let root = &index(&image.path)?["manifests"][0];
    same("the kind of what is named", &root["mediaType"], media_type::INDEX)?;
    let source = format!("oci:{}:{REFERENCE}", image.path.display());
    let copy = image.folder.join("copy");
    let all = ["copy", "--all", "--preserve-digests", &source];
    run(program("skopeo").args(all).arg(format!("oci:{}:x", copy.display())))?;
    same("digest of the copy", &index(&copy)?["manifests"][0]["digest"], root["digest"].as_str().unwrap_or_default())?;
    run(tool("verify").arg(&copy))?;
    let registry = Registry::start(image.folder.join("registry"), Kind::Plain)?;
    let name = format!("{}/team/hello:1", registry.host());
    run(tool("push").arg(&image.path).arg(&name).env("LAYERFORGE_STORE", image.folder.join("store")))?;
    for architecture in ["amd64", "arm64"] {
        let asked = ["--override-arch", architecture, "inspect", "--config", &source];
        let config: Value = json(&run(program("skopeo").args(asked))?)?;
        same("architecture for skopeo", &config["architecture"], architecture)?;
        let podman = world.containers()?;
        let pull = ["pull", "--quiet", "--tls-verify=false", "--arch", architecture, &name];
        let id = run(podman.command("podman").args(pull))?;
        let told = run(podman.command("podman").args(["inspect", "--format", "{{.Architecture}}", id.trim()]))?;
        same("architecture for podman", &told.trim().into(), architecture)?;
        let docker = world.docker()?;
        run(docker.command().args(["pull", "--quiet", "--platform", &format!("linux/{architecture}"), &name]))?;
        let told = run(docker.command().args(["inspect", "--format", "{{.Architecture}}", &name]))?;
        same("architecture for docker", &told.trim().into(), architecture)?;
        if architecture == "amd64" {
            hello(&run(docker.command().args(["run", "--rm", "--network=none", &name]))?)?;
            podman.look_into(id.trim(), |root| image.is_below(root))?;
        }
        run(docker.command().args(["rmi", "--force", &name]))?;
        run(podman.command("podman").args(["rmi", "--force", id.trim()]))?;
    }
    Ok(())
}

/// An image that holds the layers of a profile only, copied over two images that others made: Debian, and one of busybox
/// whose directories are other ones.
pub(super) fn laid_over_others(world: &World) -> Outcome {
    let image = render(world, "overlay", "from = 'scratch'\ncompression = 'gzip'")?;
    let containers = world.containers()?;
    let overlay = pulled_by_podman(containers, &image.path)?;
    let busybox = busybox(&image.folder)?;
    run(containers.command("podman").arg("import").arg(&busybox).arg("localhost/layerforge-test-busybox"))?;
    for (base, own) in [(BASE, "/usr/bin/dpkg"), ("localhost/layerforge-test-busybox", "/bin/busybox")] {
        let folder = image.folder.join("build");
        let text = format!("FROM {base}\nCOPY --from={} / /\nCMD [\"/usr/bin/hello\"]\n", overlay);
        write(&folder, "Dockerfile", &text)?;
        let mut build = containers.command("buildah");
        build.args([
            "build",
            "--quiet",
            "--isolation",
            "chroot",
            "--pull-never",
            "--tag",
            "localhost/layerforge-test-over",
        ]);
        let built = run(build.arg(&folder))?;
        containers.look_into(built.trim(), |root| {
            matches_entries(&image.manifest, root)?;
            if root.join(&own[1..]).exists() { Ok(()) } else { Err(format!("{own} of {base} is gone")) }
        })?;
        let options = ["--read-only", "--cap-drop=ALL", "--network=none", "--rm", "--user=65532:65532"];
        hello(&run(containers.command("podman").arg("run").args(options).arg(built.trim()))?)?;
        run(containers.command("podman").args(["rmi", "--force", built.trim()]))?;
    }
    run(containers.command("podman").args(["rmi", "--force", &overlay, "localhost/layerforge-test-busybox"])).map(drop)
}

/// Returns an archive of a root with nothing but busybox, whose /etc and /srv are not as Debian's are.
fn busybox(folder: &Path) -> Outcome<std::path::PathBuf> {
    let unpacked = folder.join("busybox");
    bootstrap("trixie", &unpacked, &["--variant=extract", "--include=busybox-static", "--format=directory"])?;
    let archive = folder.join("busybox.tar");
    let script = "mkdir -p \"$2/bin\" \"$2/etc\" \"$2/srv\"; cp \"$1\"/usr/bin/busybox \"$2/bin/busybox\"
        for name in sh ls cat; do ln -s busybox \"$2/bin/$name\"; done
        echo root:x:0:0::/:/bin/sh >\"$2/etc/passwd\"; chmod 0750 \"$2/srv\"; tar -C \"$2\" --numeric-owner -cf \"$3\" .";
    let root = folder.join("busybox-root");
    run(program("sh").args(["-euc", script, "sh"]).arg(&unpacked).arg(&root).arg(&archive))?;
    Ok(archive)
}

/// The lists of what is in an image, against the schema of CycloneDX and the validator of SPDX.
pub(super) fn lists_are_valid(world: &World) -> Outcome {
    let folder = world.folder("oci-lists")?;
    let project = folder.join("project");
    let profile = "version = \"1.2\"\nlayers = [\"nginx\", \"static-site\"]\n[distro.debian]\n[distro.alpine]\n[output.oci]\n\
                   sbom = [\"spdx\", \"cyclonedx\"]\nprovenance = true\n";
    write(&project, "profiles/lists.toml", profile)?;
    for distro in ["debian", "alpine"] {
        let rendered = folder.join(distro);
        run(layerforge(&project, "lists").args(["--distro", distro]).arg("--dest").arg(&rendered))?;
        let mut judge = program(world.cache().join("sbom/bin/python"));
        judge.args(["-c", JUDGE]).arg(rendered.join("oci/lists")).arg(&folder);
        let told = run(&mut judge)?;
        same("what was judged", &told.trim().into(), "application/spdx+json application/vnd.cyclonedx+json")?;
    }
    Ok(())
}

const JUDGE: &str = r#"
import json, pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

layout = pathlib.Path(sys.argv[1])
blob = lambda descriptor: layout / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")
cyclonedx = JsonStrictValidator(SchemaVersion.V1_6)
seen = set()
for entry in json.loads((layout / "index.json").read_text())["manifests"]:
    manifest = json.loads(blob(entry).read_text())
    kind = manifest.get("artifactType")
    for layer in manifest["layers"]:
        if kind == "application/vnd.cyclonedx+json":
            text = blob(layer).read_text()
            assert cyclonedx.validate_str(text) is None, cyclonedx.validate_str(text)
            assert cyclonedx.validate_str(text.replace('"specVersion"', '"other"')) is not None, "nothing is refused"
        elif kind == "application/spdx+json":
            copy = pathlib.Path(sys.argv[2]) / "list.spdx.json"
            copy.write_bytes(blob(layer).read_bytes())
            messages = validate_full_spdx_document(parse_file(str(copy)), "SPDX-2.3")
            assert not messages, messages
        else:
            continue
        seen.add(kind)
print(*sorted(seen))
"#;
