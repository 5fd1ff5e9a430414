//! Container images that layerforge writes itself, taken by skopeo, umoci, buildah, podman and docker: each sees the tree
//! that the manifest describes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::owners::special_files;
use crate::Outcome;
use crate::command::{explain, program, run};
use crate::containers::Containers;
use crate::project::tool;
use crate::verify::matches_entries;
use crate::world::{World, layerforge};

/// What the image is called.
pub(super) const REFERENCE: &str = "localhost/layerforge-test-oci:1.2";

/// A layout that umoci unpacks, compressed in the one way that it knows.
pub(super) fn unpacked_by_umoci(world: &World) -> Outcome {
    let image = render(world, "umoci", "compression = 'gzip'\nreference = 'latest'")?;
    let bundle = image.folder.join("bundle");
    let layout = format!("{}:latest:latest", image.path.display());
    run(program("umoci").args(["unpack", "--image", &layout]).arg(&bundle))?;
    image.is(&bundle.join("rootfs"))
}

/// A layout that skopeo looks into and copies, whatever the compression; the digests stay.
pub(super) fn copied_by_skopeo(world: &World) -> Outcome {
    for compression in ["none", "gzip", "zstd"] {
        let image = render(world, &format!("skopeo-{compression}"), &format!("compression = '{compression}'"))?;
        let source = format!("oci:{}:{REFERENCE}", image.path.display());
        let told: Value = json(&run(program("skopeo").args(["inspect", &source]))?)?;
        let config: Value = json(&run(program("skopeo").args(["inspect", "--config", &source]))?)?;
        same("labels", &told["Labels"]["org.opencontainers.image.version"], "1.2")?;
        same("user", &config["config"]["User"], "65532:65532")?;
        same("entrypoint", &config["config"]["Entrypoint"][0], "/usr/bin/hello")?;
        let copy = image.folder.join("copy");
        run(program("skopeo").args(["copy", "--preserve-digests", &source]).arg(format!("oci:{}:x", copy.display())))?;
        let digest = told["Digest"].as_str().ok_or("skopeo tells no digest")?;
        same("digest of the copy", &index(&copy)?["manifests"][0]["digest"], digest)?;
        run(tool("verify").arg(&copy))?;
        run(tool("diff").arg("--times").arg(&image.manifest).arg(&copy))?;
    }
    Ok(())
}

/// Pulls the image of a layout with podman, and returns its number: podman calls it by the path that it is given, and not every
/// path can be a name.
pub(super) fn pulled_by_podman(containers: &Containers, layout: &Path) -> Outcome<String> {
    let (folder, name) = (layout.parent().ok_or("no folder")?, layout.file_name().ok_or("no name")?);
    let source = format!("oci:{}:{REFERENCE}", name.to_string_lossy());
    let id = run(containers.command("podman").args(["pull", "--quiet", &source]).current_dir(folder))?;
    Ok(id.trim().to_owned())
}

/// A layout, and an archive of one, that buildah begins with and podman runs.
pub(super) fn run_by_podman(world: &World) -> Outcome {
    let containers = world.containers()?;
    for (name, keys) in
        [("podman-zstd", "compression = 'zstd'"), ("podman-few", "max_layers = 1\ncompression = 'gzip'")]
    {
        let image = render(world, name, keys)?;
        let id = pulled_by_podman(containers, &image.path)?;
        let id = id.as_str();
        containers.look_into(id, |root| image.is_below(root))?;
        let options = ["--read-only", "--cap-drop=ALL", "--network=none", "--rm"];
        hello(&run(containers.command("podman").arg("run").args(options).arg(id))?)?;
        run(containers.command("podman").args(["rmi", "--force", id]))?;
    }
    let image = render(world, "podman-archive", "format = 'tar'")?;
    run(containers.command("podman").arg("load").arg("--input").arg(&image.path))?;
    containers.look_into(REFERENCE, |root| image.is_below(root))?;
    run(containers.command("podman").args(["rmi", "--force", REFERENCE])).map(drop)
}

/// Archives that docker loads and runs.
pub(super) fn run_by_docker(world: &World) -> Outcome {
    let docker = world.docker()?;
    for (name, keys) in
        [("docker-archive", "format = 'docker-archive'"), ("docker-layout", "format = 'tar'\ncompression = 'gzip'")]
    {
        let image = render(world, name, keys)?;
        run(docker.command().arg("load").arg("--input").arg(&image.path))?;
        let root = world.folder(&format!("oci-{name}-root"))?;
        docker.extract(REFERENCE, &root)?;
        matches_entries(&image.manifest, &root)?;
        let options = ["--read-only", "--cap-drop=ALL", "--network=none", "--rm"];
        hello(&run(docker.command().arg("run").args(options).arg(REFERENCE))?)?;
        run(docker.command().args(["rmi", "--force", REFERENCE]))?;
    }
    Ok(())
}

/// What is attached to an image is where others look for it: OpenSSL checks the signature, skopeo copies the image with it.
pub(super) fn signed_for_others(world: &World) -> Outcome {
    let keys = world.folder("oci-keys")?;
    let (key, certificate) = (keys.join("key"), keys.join("crt"));
    let mut generate = tool("key");
    generate.args(["generate", "--type", "ecdsa-p256", "--subject", "oci"]);
    run(generate.arg("--key").arg(&key).arg("--cert").arg(&certificate))?;
    let keys = "sbom = ['spdx', 'cyclonedx']\nprovenance = true\nsign = true";
    let image = render_with(
        world,
        "signed",
        keys,
        &["--key", &key.to_string_lossy(), "--cert", &certificate.to_string_lossy()],
    )?;
    run(tool("verify").arg("--cert").arg(&certificate).arg(&image.path))?;
    let manifests = index(&image.path)?["manifests"].as_array().cloned().ok_or("the index has no manifests")?;
    if manifests.len() != 5 {
        return Err(format!("{} manifests, expected the image and four that are attached", manifests.len()));
    }
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        image.path.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    };
    let signature = manifests.last().ok_or("no manifest")?;
    let tag = format!("{}.sig", manifests[0]["digest"].as_str().unwrap_or_default().replace(':', "-"));
    same("tag", &signature["annotations"]["org.opencontainers.image.ref.name"], &tag)?;
    let manifest: Value = json(&fs::read_to_string(blob(signature)).map_err(explain("read a manifest"))?)?;
    let layer = &manifest["layers"][0];
    let text = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap_or_default();
    write(&image.folder, "signature.txt", text)?;
    let script = "base64 -d signature.txt >signature; openssl x509 -in \"$1\" -noout -pubkey >public
        openssl dgst -sha256 -verify public -signature signature \"$2\"";
    let mut check = program("sh");
    check.current_dir(&image.folder).args(["-euc", script, "sh"]).arg(&certificate).arg(blob(layer));
    run(&mut check)?;
    let source = format!("oci:{}:{REFERENCE}", image.path.display());
    let copy = format!("oci:{}:x", image.folder.join("copy").display());
    run(program("skopeo").args(["copy", "--preserve-digests", &source, &copy])).map(drop)
}

/// What is read of an image that docker has saved is what was rendered.
pub(super) fn read_as_docker_saves(world: &World) -> Outcome {
    let docker = world.docker()?;
    let image = render(world, "docker-saved", "format = 'docker-archive'")?;
    run(docker.command().arg("load").arg("--input").arg(&image.path))?;
    let saved = image.folder.join("saved.tar");
    run(docker.command().args(["save", "--output"]).arg(&saved).arg(REFERENCE))?;
    run(docker.command().args(["rmi", "--force", REFERENCE]))?;
    run(tool("diff").arg("--times").arg(&image.manifest).arg(&saved)).map(drop)
}

/// A rendered image.
pub(super) struct Image {
    /// The folder of the case.
    pub(super) folder: PathBuf,
    /// The layout, or the archive.
    pub(super) path: PathBuf,
    /// What it holds, as layerforge says.
    pub(super) manifest: PathBuf,
}

impl Image {
    /// Compares everything in a mounted image with the manifest. The root itself is the engine's own: containers/storage gives
    /// it a mode and the time of now.
    pub(super) fn is_below(&self, root: &Path) -> Outcome {
        matches_entries(&self.manifest, root)?;
        let mut compare = tool("diff");
        compare.args(["--json", "--times", "--owners"]).arg(&self.manifest).arg(root);
        let output = compare.output().map_err(explain("compare trees"))?;
        let told: Value = json(&String::from_utf8_lossy(&output.stdout))?;
        let changes = told["changes"].as_array().ok_or("no changes are told")?;
        match changes.iter().find(|change| change["path"] != "/") {
            Some(change) => Err(format!("not as rendered: {change}")),
            None => Ok(()),
        }
    }

    /// Compares an unpacked image with the manifest: each entry, and the digest of the whole tree.
    fn is(&self, root: &Path) -> Outcome {
        matches_entries(&self.manifest, root)?;
        let manifest = fs::read_to_string(&self.manifest).map_err(explain("read a manifest"))?;
        let manifest: Value = json(&manifest)?;
        let told: Value = json(&run(tool("inspect").arg("--json").arg(root))?)?;
        same("digest of the tree", &told["summary"]["digest"], manifest["tree"].as_str().unwrap_or_default())
    }
}

pub(super) fn render(world: &World, name: &str, keys: &str) -> Outcome<Image> {
    render_with(world, name, keys, &[])
}

fn render_with(world: &World, name: &str, keys: &str, arguments: &[&str]) -> Outcome<Image> {
    let folder = world.folder(&format!("oci-{name}"))?;
    let project = folder.join("project");
    let reference = if keys.contains("reference") { String::new() } else { format!("reference = {REFERENCE:?}\n") };
    write(&project, "profiles/shapes.toml", &format!("{PROFILE}{reference}{keys}\n"))?;
    write(&project, "layers/below/layer.toml", BELOW)?;
    write(&project, "layers/above/layer.toml", ABOVE)?;
    let tree = project.join("layers/below/tree");
    for (path, text) in [("one", "the same file twice\n"), ("server", "a program\n"), ("owned", "of somebody\n")] {
        write(&tree.join("opt/app"), path, text)?;
    }
    special_files(&tree).map_err(explain("write a tree"))?;
    write(&project, "hello.c", "#include <stdio.h>\nint main(void) { return puts(\"hello from inside\") < 0; }\n")?;
    let hello = tree.join("usr/bin/hello");
    fs::create_dir_all(tree.join("usr/bin")).map_err(explain("make a folder"))?;
    run(program("cc").args(["-static", "-O1", "-s", "-o"]).arg(&hello).arg(project.join("hello.c")))?;
    fs::set_permissions(&hello, Permissions::from_mode(0o755)).map_err(explain("set a mode"))?;
    let rendered = folder.join("rendered");
    let mut command = layerforge(&project, "shapes");
    command.args(["--distro", "debian", "--output", "oci"]).args(arguments).arg("--dest").arg(&rendered);
    run(&mut command)?;
    let archive = rendered.join("oci/shapes.tar");
    let path = if archive.exists() { archive } else { rendered.join("oci/shapes") };
    Ok(Image { folder, path, manifest: rendered.join("oci.manifest.json") })
}

pub(super) fn write(folder: &Path, name: &str, text: &str) -> Outcome {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))
        .and_then(|()| fs::write(&path, text))
        .map_err(explain(format!("write {}", path.display())))
}

pub(super) fn index(layout: &Path) -> Outcome<Value> {
    json(&fs::read_to_string(layout.join("index.json")).map_err(explain("read an index"))?)
}

pub(super) fn json(text: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(explain("understand JSON"))
}

pub(super) fn same(what: &str, found: &Value, expected: &str) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, expected {expected}")) }
}

pub(super) fn hello(said: &str) -> Outcome {
    if said.trim() == "hello from inside" { Ok(()) } else { Err(format!("the container says {said:?}")) }
}

const PROFILE: &str = r##"
version = "1.2"
epoch = 1000000000
layers = ["below", "above"]
[distro.debian]
[distro.alpine]
[process.hello]
command = ["/usr/bin/hello"]
user = 65532
[writable.state]
kind = "state"
path = "/var/lib/hello"
owner = 65532
[output.oci]
"##;

const BELOW: &str = r##"
tier = "application"
tree = "tree"
[group.team]
gid = 7777
[user.other]
uid = 4321
[file."/usr/bin/become"]
content = "#!/bin/sh\n"
mode = "4755"
[file."/usr/bin/as-team"]
content = "#!/bin/sh\n"
mode = "2755"
group = "team"
[file."/etc/which"]
content = "{{ distro.name }}\n"
[file."/etc/gone"]
content = "not for long\n"
[file."/srv/gone/deep/file"]
content = "not for long\n"
[file."/srv/becomes-a-file/note"]
content = "not for long\n"
[file."/srv/becomes-a-directory"]
content = "not for long\n"
[directory."/srv/other"]
mode = "0700"
owner = "other"
[file."/srv/other/note"]
content = "x\n"
mode = "0400"
owner = "other"
[link."/srv/link"]
target = "other/note"
"##;

const ABOVE: &str = r##"
tier = "overlay"
[remove."/etc/gone"]
[remove."/srv/gone"]
[remove."/never/there"]
[file."/srv/becomes-a-file"]
content = "a file\n"
[file."/srv/becomes-a-directory/note"]
content = "in a directory\n"
[directory."/srv/becomes-a-directory"]
mode = "0755"
[file."/srv/other/second"]
content = "of another layer\n"
[file."/opt/app/one"]
content = "no link any more\n"
"##;
