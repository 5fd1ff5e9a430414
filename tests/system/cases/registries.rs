//! Images in a real registry: docker-registry on this machine, judged by skopeo, with a proxy before it that does harm.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use layerforge::image::oci::{Annotations, EMPTY, Index, Layout, LayoutWriter, Manifest, media_type};
use serde_json::Value;

use crate::Outcome;
use crate::command::{explain, program, run, run_refused};
use crate::registry::{Fault, Kind, PASSWORD, Proxy, Registry, USER};
use crate::world::World;

/// The bytes of the large file, which does not compress: three chunks of an upload.
const LARGE: usize = 40 << 20;

/// A project with an image, and a cache folder of its own.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new(world: &World, name: &str) -> Outcome<Self> {
        let folder = world.folder(&format!("registries-{name}"))?;
        let bench = Self { folder };
        bench.write("profiles/web.toml", "layers = [\"data\"]\n[distro.debian]\n[file.\"/etc/note\"]\ncontent = \"one\\n\"\n[output.oci]\nlevel = 1\n")?;
        bench.write("layers/data/layer.toml", "tier = \"application\"\n")?;
        let bytes = noise(LARGE);
        let large = bench.folder.join("layers/data/files/usr/share/large");
        fs::create_dir_all(large.parent().unwrap_or(&large)).map_err(explain("make a folder"))?;
        fs::write(&large, bytes).map_err(explain("write the large file"))?;
        bench.render()?;
        Ok(bench)
    }

    fn write(&self, path: &str, text: &str) -> Outcome {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(explain("make a folder"))?;
        fs::write(&path, text).map_err(explain(format!("write {}", path.display())))
    }

    /// Returns the program, with a cache folder called `store` and no credentials.
    fn command(&self, store: &str) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
        command.current_dir(&self.folder).env("LAYERFORGE_STORE", self.folder.join(store));
        command.env("XDG_CONFIG_HOME", self.folder.join("config")).env("DOCKER_CONFIG", self.folder.join("config"));
        command.env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR");
        command
    }

    fn render(&self) -> Outcome<String> {
        run(self.command("store").args(["render", "web"]))
    }

    fn push(&self, reference: &str) -> Outcome<Value> {
        parse(&run(self.command("store").args(["push", "web", reference, "--json"]))?)
    }

    /// Pulls into an empty cache folder and a folder.
    fn pull(&self, reference: &str, name: &str) -> Outcome<PathBuf> {
        let to = self.folder.join(name);
        run(self.command(&format!("store-{name}")).args(["pull", reference]).arg(&to))?;
        Ok(to)
    }

    fn layout(&self) -> PathBuf {
        self.folder.join("out/web/debian/oci/web")
    }
}

/// Returns bytes without a pattern, the same each time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn parse(text: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(explain(format!("read `{text}`")))
}

fn sent<'value>(pushed: &'value Value, how: &str) -> Vec<&'value str> {
    let blobs = pushed["blobs"].as_array().into_iter().flatten();
    blobs.filter(|blob| blob["sent"] == how).filter_map(|blob| blob["digest"].as_str()).collect()
}

fn expect(right: bool, message: impl Into<String>) -> Outcome {
    if right { Ok(()) } else { Err(message.into()) }
}

fn count(seen: &[String], method: &str) -> usize {
    seen.iter().filter(|request| request.starts_with(method)).count()
}

fn digest_of(pushed: &Value) -> Outcome<&str> {
    pushed["digest"].as_str().ok_or_else(|| format!("no digest: {pushed}"))
}

/// Skopeo finds in the registry what was pushed, byte for byte.
fn skopeo_agrees(bench: &Bench, reference: &str, digest: &str) -> Outcome {
    let raw =
        run(program("skopeo").args(["inspect", "--tls-verify=false", "--raw"]).arg(format!("docker://{reference}")))?;
    let found = layerforge::digest::Digest::of(raw.as_bytes()).to_string();
    expect(found == digest, format!("skopeo finds {found}, {digest} was pushed"))?;
    let to = bench.folder.join("skopeo");
    let copy = ["copy", "--quiet", "--src-tls-verify=false"];
    run(program("skopeo").args(copy).arg(format!("docker://{reference}")).arg(format!("oci:{}:copy", to.display())))?;
    let blobs = |layout: &Path| -> Outcome<BTreeSet<String>> {
        let names = fs::read_dir(layout.join("blobs/sha256")).map_err(explain("list blobs"))?;
        Ok(names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    expect(blobs(&to)? == blobs(&bench.layout())?, "skopeo copies other blobs than were pushed")?;
    fs::remove_dir_all(&to).map_err(explain("remove the copy"))
}

/// What is pushed is pulled, and only what changed is sent: one layer, configuration and manifest.
pub(super) fn images_are_pushed_and_pulled(world: &World) -> Outcome {
    let bench = Bench::new(world, "plain")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let proxy = Proxy::start(registry.port, |_, _| Fault::None)?;
    let reference = format!("{}/team/web:1", proxy.host());
    let pushed = bench.push(&reference)?;
    skopeo_agrees(&bench, &format!("{}/team/web:1", registry.host()), digest_of(&pushed)?)?;
    let pulled = bench.pull(&reference, "pulled")?;
    run(program("diff").arg("-r").arg(bench.layout().join("blobs")).arg(pulled.join("blobs")))?;
    run(program("skopeo").arg("inspect").arg(format!("oci:{}:1", pulled.display())))?;
    proxy.seen();
    let again = bench.push(&reference)?;
    // One request finds out how the registry is spoken to.
    let seen = proxy.seen();
    expect(
        again["unchanged"] == true && count(&seen, "GET /v2/team") == 1 && count(&seen, "P") == 0,
        format!("{seen:#?}"),
    )?;

    let profile = fs::read_to_string(bench.folder.join("profiles/web.toml")).map_err(explain("read the profile"))?;
    bench.write("profiles/web.toml", &profile.replace("one", "two"))?;
    bench.render()?;
    let changed = bench.push(&reference)?;
    let seen = proxy.seen();
    expect(sent(&changed, "uploaded").len() == 2, format!("one layer and the configuration are sent: {changed:#}"))?;
    expect((count(&seen, "POST"), count(&seen, "PATCH"), count(&seen, "PUT")) == (2, 0, 3), format!("{seen:#?}"))?;
    expect(count(&seen, "HEAD") == 2, format!("what the old image has is not asked for: {seen:#?}"))?;

    let other = bench.push(&format!("{}/team/other:1", proxy.host()))?;
    let all = sent(&other, "mounted").len();
    expect(
        all == other["blobs"].as_array().map_or(0, Vec::len) && all > 2,
        format!("all is taken from the other: {other:#}"),
    )?;
    let offline = run_refused(bench.command("store").args(["pull", "--offline", &reference]))?;
    expect(offline.contains("`--offline` forbids"), offline)?;
    let pinned = format!("{}/team/other@{}", proxy.host(), digest_of(&other)?);
    run(bench.command("store-pulled").args(["pull", &reference])).map(drop)?;
    run(bench.command("store-pulled").args(["pull", "--offline", &pinned])).map(drop)
}

/// TLS with an authority of one's own, and a password: as podman keeps it, and through a helper.
pub(super) fn registries_are_guarded(world: &World) -> Outcome {
    let bench = Bench::new(world, "guarded")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Guarded)?;
    let reference = format!("{}/team/web:1", registry.host());
    let push = ["push", "web", &reference];
    let refused = run_refused(bench.command("store").args(push))?;
    expect(refused.contains("certificate"), format!("an unknown authority is not trusted: {refused}"))?;
    let authority = registry.folder.join("ca.crt");
    let trusting = || {
        let mut command = bench.command("store");
        command.env("SSL_CERT_FILE", &authority).env_remove("SSL_CERT_DIR");
        command
    };
    let refused = run_refused(trusting().args(push))?;
    expect(refused.contains("does not let somebody who has not logged in push to `team/web`"), &refused)?;
    expect(refused.contains("podman login"), &refused)?;

    let login = bench.folder.join("auth.json");
    let entry = |password: &str| {
        let pair = run(program("sh").args(["-c", &format!("printf '{USER}:{password}' | base64")]))?;
        let text = format!(r#"{{"auths": {{"{}": {{"auth": "{}"}}}}}}"#, registry.host(), pair.trim());
        fs::write(&login, text).map_err(explain("write the credentials"))
    };
    entry("wrong")?;
    let refused = run_refused(trusting().args(push).env("REGISTRY_AUTH_FILE", &login))?;
    expect(refused.contains("does not let the user who is logged in"), &refused)?;
    entry(PASSWORD)?;
    let output = trusting().args(push).arg("-vv").env("REGISTRY_AUTH_FILE", &login).output();
    let output = output.map_err(explain("push"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.success() && text.contains("answered"), &text)?;
    expect(!text.contains(PASSWORD) && !text.contains("Basic "), "credentials are in the log")?;

    // The authority in a folder for this registry, the credentials from a helper.
    let certificates = bench.folder.join(format!("config/containers/certs.d/{}", registry.host()));
    fs::create_dir_all(&certificates).map_err(explain("make a folder"))?;
    fs::copy(&authority, certificates.join("ca.crt")).map_err(explain("copy the authority"))?;
    bench.write("config/config.json", &format!(r#"{{"credHelpers": {{"{}": "of-the-test"}}}}"#, registry.host()))?;
    let helper = format!(
        "#!/bin/sh\nread -r server\necho '{{\"ServerURL\": \"'$server'\", \"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'\n"
    );
    bench.write("bin/docker-credential-of-the-test", &helper)?;
    run(program("chmod").arg("+x").arg(bench.folder.join("bin/docker-credential-of-the-test")))?;
    let path = std::env::var("PATH").map_err(explain("read the PATH"))?;
    let path = format!("{}:{path}", bench.folder.join("bin").display());
    run(bench.command("store-other").args(["pull", &reference]).env("PATH", path)).map(drop)
}

/// Failures for a while, slow answers, and a registry that is killed half-way do not stop a push.
pub(super) fn pushes_survive_faults(world: &World) -> Outcome {
    let bench = Bench::new(world, "faults")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let proxy = Proxy::start(registry.port, |request, count| match count % 5 {
        1 => Fault::Status(500),
        3 if request.starts_with("HEAD") => Fault::Status(503),
        4 => Fault::Slow(Duration::from_millis(700)),
        _ => Fault::None,
    })?;
    let pushed = bench.push(&format!("{}/team/web:1", proxy.host()))?;
    skopeo_agrees(&bench, &format!("{}/team/web:1", registry.host()), digest_of(&pushed)?)?;

    // A connection that breaks inside of a chunk.
    let broken = AtomicBool::new(false);
    let proxy = Proxy::start(registry.port, move |request, _| {
        let first = request.starts_with("PATCH") && !broken.swap(true, Ordering::SeqCst);
        if first { Fault::Cut(1 << 20) } else { Fault::None }
    })?;
    let reference = format!("{}/team/cut:1", proxy.host());
    parse(&run(bench.command("store-cut").args(["push", "web", &reference, "--json"]))?)?;
    expect(count(&proxy.seen(), "PATCH") > 2, "the chunk was sent again")?;
    run(bench.command("store-cut-pull").args(["pull", &reference]))?;

    // Half a chunk, and the registry is gone; somebody starts it again.
    let registry = Arc::new(Registry::start(bench.folder.join("second"), Kind::Plain)?);
    let (known, killed) = (Arc::clone(&registry), AtomicBool::new(false));
    let proxy = Proxy::start(registry.port, move |request, _| {
        if !request.starts_with("PATCH") || killed.swap(true, Ordering::SeqCst) {
            return Fault::None;
        }
        known.kill();
        let later = Arc::clone(&known);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1200));
            later.restart()
        });
        Fault::None
    })?;
    let pushed = bench.push(&format!("{}/team/web:1", proxy.host()));
    let judged = pushed
        .and_then(|pushed| skopeo_agrees(&bench, &format!("{}/team/web:1", registry.host()), digest_of(&pushed)?));
    // The proxy goes on listening, and knows the registry: nobody else would end it.
    registry.kill();
    judged
}

/// The next run sends only what is missing of a push that broke off.
pub(super) fn pushes_go_on(world: &World) -> Outcome {
    let bench = Bench::new(world, "resumed")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let broken = Arc::new(AtomicBool::new(true));
    let (know, chunks) = (Arc::clone(&broken), std::sync::atomic::AtomicUsize::new(0));
    let proxy = Proxy::start(registry.port, move |request, _| {
        let chunk = request.starts_with("PATCH") && chunks.fetch_add(1, Ordering::SeqCst) > 0;
        // After the first chunk the registry is as good as gone.
        if know.load(Ordering::SeqCst) && (chunk || chunks.load(Ordering::SeqCst) > 1) {
            Fault::Status(503)
        } else {
            Fault::None
        }
    })?;
    let reference = format!("{}/team/web:1", proxy.host());
    let refused = run_refused(bench.command("store").args(["push", "web", &reference]))?;
    expect(refused.contains("503"), refused)?;
    let first = proxy.seen();
    broken.store(false, Ordering::SeqCst);
    let pushed = bench.push(&reference)?;
    let second = proxy.seen();
    expect(count(&first, "PATCH") > 1, format!("{first:#?}"))?;
    // Three chunks in all: one was sent, one is left but for the last, which ends the upload.
    expect(count(&second, "PATCH") == 1, format!("{second:#?}"))?;
    expect(count(&second, "GET /v2/team/web/blobs/uploads/") >= 1, format!("{second:#?}"))?;
    skopeo_agrees(&bench, &format!("{}/team/web:1", registry.host()), digest_of(&pushed)?)?;

    // A pull that broke off goes on as well.
    let cut = Proxy::start(registry.port, |request, _| {
        if request.starts_with("GET /v2/team/web/blobs/") { Fault::Status(502) } else { Fault::None }
    })?;
    run_refused(bench.command("store-pull").args(["pull", &format!("{}/team/web:1", cut.host())]))?;
    run(bench.command("store-pull").args(["pull", &reference])).map(drop)
}

/// A registry that hands out something else is found out.
pub(super) fn damaged_registries_are_refused(world: &World) -> Outcome {
    let bench = Bench::new(world, "damaged")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let reference = format!("{}/team/web:1", registry.host());
    let pushed = bench.push(&reference)?;
    let largest = pushed["blobs"].as_array().into_iter().flatten().max_by_key(|blob| blob["size"].as_u64());
    let largest = largest.and_then(|blob| blob["digest"].as_str()).ok_or("no blob")?;
    let path = registry.blob(largest.trim_start_matches("sha256:"));
    let good = fs::read(&path).map_err(explain("read a blob of the registry"))?;
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    for (bytes, reason) in [(bad.as_slice(), "has the digest"), (&good[..good.len() - 1], "bytes, expected")] {
        fs::write(&path, bytes).map_err(explain("damage a blob"))?;
        let refused = run_refused(bench.command("store-damaged").args(["pull", &reference]))?;
        expect(refused.contains(reason), format!("`{reason}` is not in: {refused}"))?;
    }
    fs::write(&path, good).map_err(explain("mend the blob"))?;
    run(bench.command("store-damaged").args(["pull", &reference])).map(drop)
}

/// Of two pushes to one tag at once one wins, whole.
pub(super) fn tags_race(world: &World) -> Outcome {
    let bench = Bench::new(world, "race")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let reference = format!("{}/team/web:1", registry.host());
    let one = bench.folder.join("one");
    run(program("cp").arg("-r").arg(bench.layout()).arg(&one))?;
    let profile = fs::read_to_string(bench.folder.join("profiles/web.toml")).map_err(explain("read the profile"))?;
    bench.write("profiles/web.toml", &profile.replace("one", "two"))?;
    bench.render()?;
    let push =
        |layout: &Path, store| parse(&run(bench.command(store).arg("push").arg(layout).args([&reference, "--json"]))?);
    let layout = bench.layout();
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| push(&one, "store-one"));
        (push(&layout, "store-two"), other.join())
    });
    let digests = [first?, second.map_err(|_| "a push panicked")??].map(|pushed| pushed["digest"].to_string());
    let pulled = parse(&run(bench.command("store-three").args(["pull", &reference, "--json"]))?)?;
    expect(digests.contains(&pulled["digest"].to_string()), format!("{digests:?} were pushed: {pulled:#}"))
}

/// What is attached goes along, under the tag of the specification, because this registry knows no referrers.
pub(super) fn what_is_attached_goes_along(world: &World) -> Outcome {
    let bench = Bench::new(world, "attached")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let explain = |error: layerforge::image::oci::OciError| error.to_string();
    let layout = Layout::open(&bench.layout(), &bench.folder).map_err(explain)?;
    let (image, _) = layout.images().map_err(explain)?.remove(0);
    let writer = LayoutWriter::create(&bench.layout()).map_err(explain)?;
    writer.put_bytes(media_type::EMPTY, EMPTY).map_err(explain)?;
    let note = writer.put_bytes("text/plain", b"a note").map_err(explain)?;
    let attached = Manifest::attached("application/x-note", vec![note], image.clone(), Annotations::new());
    let attached = writer.put_bytes(media_type::MANIFEST, &attached.to_bytes()).map_err(explain)?;
    let mut entries = layout.index().manifests.clone();
    entries.push(attached.clone());
    writer.finish(&Index::new(entries)).map_err(explain)?;
    let reference = format!("{}/team/web:1", registry.host());
    let pushed = parse(&run(bench.command("store").arg("push").arg(bench.layout()).args([&reference, "--json"]))?)?;
    expect(pushed["attached"][0] == attached.digest.to_string(), format!("{pushed:#}"))?;
    let tag = format!("docker://{}/team/web:sha256-{}", registry.host(), image.digest.hex());
    let list = parse(&run(program("skopeo").args(["inspect", "--tls-verify=false", "--raw", &tag]))?)?;
    expect(list["manifests"][0]["digest"] == attached.digest.to_string(), format!("{list:#}"))?;
    expect(list["manifests"][0]["artifactType"] == "application/x-note", format!("{list:#}"))?;
    let pulled = Layout::open(&bench.pull(&reference, "pulled")?, &bench.folder).map_err(explain)?;
    let found = pulled.referrers(&image.digest).map_err(explain)?;
    expect(found.len() == 1 && found[0].0.digest == attached.digest, format!("{found:?}"))
}

const BASE: &str = "\
[distro.debian]
[file.\"/usr/lib/os-release\"]
content = \"ID=debian\\nVERSION_ID={{ distro.version_id }}\\n\"
[link.\"/etc/os-release\"]
target = \"../usr/lib/os-release\"
[file.\"/etc/doomed\"]
content = \"of the base\\n\"
[directory.\"/srv/private\"]
mode = \"0711\"
[output.oci]
compression = \"gzip\"
";

/// A profile stands on an image: pinned, its layers as they are, its directories as they were.
pub(super) fn profiles_stand_on_images(world: &World) -> Outcome {
    let bench = Bench::new(world, "base")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    bench.write("profiles/base.toml", BASE)?;
    run(bench.command("store").args(["render", "base"]))?;
    let base = format!("{}/base/debian:1", registry.host());
    let pushed = parse(&run(bench.command("store").args(["push", "base", &base, "--json"]))?)?;
    let profile = format!(
        "[from]\nimage = \"{}/base/{{{{ distro.name }}}}:1\"\n[distro.debian]\n[file.\"/srv/private/note\"]\ncontent = \"x\"\n\
         [remove.\"/etc/doomed\"]\n[output.oci]\ncompression = \"gzip\"\n[output.rootfs]\n",
        registry.host()
    );
    bench.write("profiles/web.toml", &profile)?;
    bench.render()?;
    let lock = fs::read_to_string(bench.folder.join("profiles/web.lock")).map_err(explain("read the lock"))?;
    expect(lock.contains(digest_of(&pushed)?), format!("the digest is in the lock: {lock}"))?;
    let dockerfile = fs::read_to_string(bench.folder.join("out/web/debian/Dockerfile")).map_err(explain("read it"))?;
    expect(dockerfile.contains(&format!("ARG BASE={base}@{}", digest_of(&pushed)?)), dockerfile)?;
    let child = bench.push(&format!("{}/shop/web:1", registry.host()))?;
    expect(!sent(&child, "mounted").is_empty(), format!("the layers of the base are there already: {child:#}"))?;
    skopeo_agrees(&bench, &format!("{}/shop/web:1", registry.host()), digest_of(&child)?)?;

    let inspected = run(bench.command("store").args(["inspect", "--mtree"]).arg(bench.layout()))?;
    let line =
        |path: &str| inspected.lines().find(|line| line.split(' ').next() == Some(path)).unwrap_or_default().to_owned();
    expect(line("./srv/private").contains("mode=0711"), format!("the directory of the base stays: {inspected}"))?;
    expect(line("./etc/doomed").is_empty() && !line("./usr/lib/os-release").is_empty(), inspected)?;

    // The tag moves; the profile does not, until it is told to.
    bench.write("profiles/base.toml", &BASE.replace("of the base", "of another base"))?;
    run(bench.command("store").args(["render", "base"]))?;
    run(bench.command("store").args(["push", "base", &base]))?;
    run(bench.command("store").args(["lock", "web", "--check"]))?;
    let upgraded = run(bench.command("store").args(["lock", "web", "--upgrade"]))?;
    expect(upgraded.contains("digest of debian"), upgraded)?;

    bench.write(
        "profiles/web.toml",
        &profile.replace("[distro.debian]", "[distro.ubuntu]").replace("{{ distro.name }}", "debian"),
    )?;
    let refused = run_refused(bench.command("store").args(["render", "web"]))?;
    expect(refused.contains("is debian") && refused.contains("rendered for ubuntu"), refused)
}

/// Images that mean harm are refused or stay inside.
pub(super) fn hostile_images_are_contained(world: &World) -> Outcome {
    let bench = Bench::new(world, "hostile")?;
    bench.write(
        "profiles/web.toml",
        "[from]\npath = \"base.tar\"\n[distro.debian]\n[file.\"/etc/note\"]\ncontent = \"x\"\n[output.oci]\n",
    )?;
    let script =
        "set -e; rm -rf t; mkdir -p t/etc; cd t; printf 'ID=debian\\nVERSION_ID=13\\n' > etc/os-release; echo x > x; ";
    let make = |rest: &str| run(program("sh").args(["-c", &format!("{script}{rest}")]).current_dir(&bench.folder));
    let render =
        || bench.command("store").args(["render", "web", "--dest", "hostile"]).output().map_err(explain("render"));
    for (archive, reason) in [
        ("tar cPf ../base.tar etc x --transform 's,^x$,../../x,'", "has `.` or `..` in it"),
        ("(tar cf - etc; head -c 2200000000 /dev/zero) | gzip -1 > ../base.tar", "bytes come out"),
        ("tar cf - etc | head -c 1000 > ../base.tar", "cut short"),
    ] {
        make(archive)?;
        let output = render()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(
            !output.status.success() && text.contains(reason),
            format!("`{archive}`: `{reason}` is not in: {text}"),
        )?;
        expect(!bench.folder.join("hostile").join("oci").exists(), "nothing was written")?;
    }
    make("ln -s /etc/passwd abs; ln -s ../../../../etc out; mknod disk b 8 0; tar cf ../base.tar etc abs out disk")?;
    let output = render()?;
    expect(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    let devices = run(program("find").arg(bench.folder.join("hostile")).args(["-type", "b", "-o", "-type", "l"]))?;
    expect(devices.trim().is_empty(), format!("links and devices are in layers only: {devices}"))
}

/// A pull of a user who may have no more threads: one after the other, without a crash.
pub(super) fn pulls_need_no_threads(world: &World) -> Outcome {
    let bench = Bench::new(world, "threads")?;
    let registry = Registry::start(bench.folder.join("registry"), Kind::Plain)?;
    let reference = format!("{}/team/web:1", registry.host());
    bench.push(&reference)?;
    // The folder of the case and the program may lie where nobody else may look.
    let home = tempfile::tempdir().map_err(explain("make a folder"))?;
    let script = "cp \"$1\" \"$2/program\"; chmod 0755 \"$2\" \"$2/program\"; mkdir -m 0777 \"$2/store\"; cd \"$2\"
        exec setpriv --reuid=65534 --regid=65534 --clear-groups prlimit --nproc=1:1 \"$2/program\" pull \"$3\"";
    let mut pull = program("sh");
    pull.args(["-euc", script, "sh", env!("CARGO_BIN_EXE_layerforge")]).arg(home.path()).arg(&reference);
    run(pull.env("LAYERFORGE_STORE", home.path().join("store")).env("HOME", home.path())).map(drop)
}
