//! Profiles for Alpine, from a signed index to a tree. There is no apk to ask: what its database has to be is written here.

mod site;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::site::{EPOCH, Site, applications};
use super::packages::open_folder;
use super::repositories::remove;
use super::sandbox::{NOBODY, Seen, look};
use crate::apk::{KEY, bare, package, text};
use crate::command::{explain, program, run};
use crate::repository::Server;
use crate::world::World;
use crate::{Outcome, say};

/// What is installed, by the rules of apk: `@` stands for what the index says of identity and size.
const INSTALLED: &str = include_str!("installed.txt");

const PACKAGES: [&str; 4] = ["app", "app-cache", "fragile", "openrc"];

fn is(what: &str, found: &str, expected: &str) -> Outcome {
    let differs = found.lines().zip(expected.lines()).position(|(one, other)| one != other);
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what} is, from line {differs:?} on other than\n{expected}\nthis:\n{found}")),
    }
}

/// A profile becomes the tree that its packages make, with a database of apk that says so.
pub(super) fn from_profile_to_tree(world: &World) -> Outcome {
    let site = Site::make(world, &world.folder("alpine-tree")?)?;
    site.profile(&PACKAGES, "")?;
    let (own, told) = site.render(&[])?;
    if !told.contains("the post-install of fragile failed with exit code 7") {
        return Err(format!("nothing is said of a script that fails:\n{told}"));
    }
    is("the list of packages", &site.installed(&own)?, INSTALLED)?;
    let scripts =
        run(program("tar").args(["-tzvf"]).arg(own.join("lib/apk/db/scripts.tar.gz")).args(["--utc", "--full-time"]))?;
    let names: Vec<&str> = scripts.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let hex = |name: &str| -> Outcome<String> {
        let (identity, ..) = site.told.get(name).ok_or(format!("{name} is in no index"))?;
        let script = "printf %s \"${0#Q1}\" | base64 --decode | od -An -v -tx1 | tr -d ' \\n'";
        run(program("sh").args(["-c", script, identity]))
    };
    let expected = [
        format!("app-cache-1.0-r0.X{}.trigger", hex("app-cache")?),
        format!("busybox-1.37.0-r20.X{}.trigger", hex("busybox")?),
        format!("fragile-1-r0.X{}.post-install", hex("fragile")?),
        format!("keeper-2.0-r0.X{}.pre-install", hex("keeper")?),
        format!("keeper-2.0-r0.X{}.post-install", hex("keeper")?),
    ];
    if names != expected || scripts.matches("-rwxr-xr-x root/root").count() != 5 {
        return Err(format!("the scripts are\n{scripts}"));
    }
    let identity = |name: &str| site.told[name].0.clone();
    let triggers = format!("{} /usr/share/app/*\n{} /bin /usr/bin\n", identity("app-cache"), identity("busybox"));
    is("the triggers", &text(&own.join("lib/apk/db/triggers"))?, &triggers)?;
    let world_file = "alpine-baselayout\nalpine-release\napp\napp-cache\nbusybox\nfragile\nmusl\nopenrc\n";
    is("the world", &text(&own.join("etc/apk/world"))?, world_file)?;
    is("the architecture", &text(&own.join("etc/apk/arch"))?, "x86_64\n")?;
    let address = &site.server.address;
    let repositories = format!("{address}/v3.23/main\n{address}/v3.23/community\n");
    is("the repositories", &text(&own.join("etc/apk/repositories"))?, &repositories)?;
    is("the key", &text(&own.join("etc/apk/keys").join(KEY))?, &text(&site.repository.key(KEY))?)?;
    // What scripts and triggers have made, in the order of packages and directories.
    is("the index", &text(&own.join("usr/share/app/index"))?, "/usr/share/app/one\n/usr/share/app/two\n")?;
    is("the state", &text(&own.join("var/lib/keeper/state/version"))?, "2.0-r0 keeper post-install\n")?;
    let passwd = "root:x:0:0:root:/root:/bin/sh\nkeeper:x:100:101:keeper:/var/lib/keeper:/sbin/nologin\n";
    is("the accounts", &text(&own.join("etc/passwd"))?, &passwd.replace("100:101", "100:100"))?;
    let seen = look(&own)?;
    let of = |path: &str| seen.get(path).map(|seen| (seen.kind, seen.mode, seen.uid, seen.gid));
    for (path, expected) in [
        ("/var/lib/keeper", ('d', 0o2750, 100, 100)),
        ("/var/lib/keeper/keep.conf", ('f', 0o640, 0, 100)),
        ("/var/lib/keeper/state", ('d', 0o700, 100, 100)),
        ("/etc/shadow", ('f', 0o640, 0, 42)),
        ("/usr/bin/app", ('f', 0o4755, 0, 0)),
        ("/var/empty", ('d', 0o555, 0, 0)),
        ("/bin/cat", ('l', 0o777, 0, 0)),
    ] {
        if of(path) != Some(expected) {
            return Err(format!("`{path}` is {:?}, expected {expected:?}", of(path)));
        }
    }
    // Without scripts only that is missing which nobody can know.
    site.profile(&PACKAGES, "scripts = \"skip\"\n")?;
    let (own, told) = site.render(&[])?;
    if !told.contains("the scripts of these packages were not run, and may be missed: app-cache, fragile, keeper") {
        return Err(format!("it is not said which scripts are missed:\n{told}"));
    }
    // What did not run has not failed.
    is("the list of packages", &site.installed(&own)?, &INSTALLED.replace("\nf:s\n", "\n"))?;
    let skipped = look(&own)?;
    let found = differing(&skipped, &seen);
    let expected = [
        "/lib/apk/db/installed",
        "/usr/share/app/index",
        "/var/lib/fragile",
        "/var/lib/keeper/state",
        "/var/lib/keeper/state/version",
    ];
    if found != expected { Err(format!("other paths differ: {found:?}")) } else { Ok(()) }
}

/// Returns the paths that are not the same.
fn differing<'tree>(own: &'tree BTreeMap<String, Seen>, other: &'tree BTreeMap<String, Seen>) -> Vec<&'tree str> {
    let mut paths: Vec<&str> = own.keys().chain(other.keys()).map(String::as_str).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.retain(|path| own.get(*path) != other.get(*path));
    paths
}

/// The same profile is the same archive, whoever renders it.
pub(super) fn is_alike(world: &World) -> Outcome {
    let folder = open_folder()?;
    let site = Site::make(world, folder.path())?;
    site.profile(&PACKAGES, "")?;
    run(&mut site.project.layerforge(&LOCK))?;
    fs::copy(env!("CARGO_BIN_EXE_layerforge"), folder.path().join("layerforge"))
        .map_err(explain("copy the program"))?;
    run(program("chmod").args(["-R", "a+rX"]).arg(folder.path()))?;
    let mut digests: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, user, ids) in [
        ("root", 0, ""),
        ("root again", 0, ""),
        ("a user with more ids", NOBODY, "65534:300000:65536\n"),
        ("a user with one id", NOBODY, ""),
    ] {
        let place = folder.path().join(name);
        fs::create_dir(&place).map_err(explain("make a folder"))?;
        fs::set_permissions(&place, Permissions::from_mode(0o777)).map_err(explain("open a folder"))?;
        let list = place.join("ids");
        fs::write(&list, ids).map_err(explain("write ids"))?;
        run(&mut as_user(&site.project.folder, folder.path(), &place, user))?;
        let digest = run(program("sha256sum").arg(place.join("rendered/web.tar")))?;
        digests.entry(digest.split(' ').next().unwrap_or_default().to_owned()).or_default().push(name);
    }
    say(&format!("  {digests:?}"));
    if digests.len() == 1 { Ok(()) } else { Err(format!("the archives differ: {digests:?}")) }
}

/// Returns layerforge as a user renders, with the ids that `place` lists.
fn as_user(project: &Path, folder: &Path, place: &Path, user: u32) -> Command {
    let script = "mount --bind \"$PLACE/ids\" /etc/subuid; mount --bind \"$PLACE/ids\" /etc/subgid
        exec setpriv --reuid=\"$USER\" --regid=\"$USER\" --clear-groups \"$@\"";
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(folder.join("layerforge"));
    command.args(["render", "web", "--distro", "alpine", "--arch", "x86_64", "--locked", "--dest"]);
    command.arg(place.join("rendered")).current_dir(project);
    command.env("PLACE", place).env("USER", user.to_string()).env("SOURCE_DATE_EPOCH", EPOCH);
    command.env("LAYERFORGE_STORE", place.join("store")).env("XDG_CONFIG_HOME", place.join("config"));
    command
}

const LOCK: [&str; 4] = ["lock", "web", "--arch", "x86_64"];
const RENDER: [&str; 6] = ["render", "web", "--arch", "x86_64", "--dest", "rendered"];

/// What is asked for is chosen as apk does; what cannot be is explained.
pub(super) fn is_solved(world: &World) -> Outcome {
    let site = Site::make(world, &world.folder("alpine-solved")?)?;
    let project = &site.project;
    for (packages, expected) in [
        (&["app"][..], &["app", "keeper", "libkeep", "mail-b"][..]),
        (&["app", "mail-a"], &["app", "keeper", "libkeep", "mail-a"]),
        (&["app", "openrc"], &["app", "app-openrc", "keeper", "libkeep", "mail-b", "openrc"]),
        (&["app", "docs"], &["app", "app-doc", "docs", "keeper", "libkeep", "mail-b"]),
        (&["openrc", "docs"], &["docs", "openrc"]),
    ] {
        site.profile(packages, "")?;
        run(project.layerforge(&LOCK).arg("--upgrade"))?;
        let base = ["alpine-baselayout", "alpine-release", "busybox", "musl"];
        let locked = project.locked_for("alpine")?;
        let names: Vec<&str> = locked.keys().map(String::as_str).filter(|name| !base.contains(name)).collect();
        if names != expected {
            return Err(format!("for {packages:?} {names:?} are chosen"));
        }
    }
    // Two versions, of which a part of one is asked for.
    let more: Vec<Value> = applications("1.2.3")
        .into_iter()
        .chain([bare("php", "8.3.9-r0", &[]), bare("php", "8.30.1-r0", &[])])
        .collect();
    site.repository.publish("v3.23/community", &more)?;
    for (wish, expected) in [("~8.3", "8.3.9-r0"), (">=8", "8.30.1-r0"), ("~8", "8.30.1-r0")] {
        site.profile(&[], &format!("[package.php]\nversion = \"{wish}\"\n"))?;
        run(project.layerforge(&LOCK).arg("--upgrade"))?;
        if project.locked_for("alpine")?["php"] != expected {
            return Err(format!("for `{wish}` another version is chosen: {:?}", project.locked_for("alpine")?));
        }
    }
    for (packages, more, words) in [
        (&["app", "app-old"][..], "", "app 1.0-r0 conflicts with app-old"),
        (&[], "[package.php]\nversion = \"~8.4\"\n", "php"),
        (&["app"], "exclude = [\"keeper\"]\n", "keeper"),
        (&["nothing"], "", "no package is or provides that"),
    ] {
        site.profile(packages, more)?;
        project.refused(&LOCK, 4, words)?;
    }
    Ok(())
}

/// What is in a repository with a tag is taken for those who name the tag, and for what they need.
pub(super) fn has_tags(world: &World) -> Outcome {
    let site = Site::make(world, &world.folder("alpine-tags")?)?;
    let project = &site.project;
    let more = applications("1.2.3").into_iter().chain([bare("helper", "1-r0", &[])]).collect::<Vec<_>>();
    site.repository.publish("v3.23/community", &more)?;
    let edge = [
        bare("docs", "2-r0", &[]),
        bare("helper", "2-r0", &[]),
        bare("libkeep", "2.0-r0", &["provides = so:libkeep.so.1=2.0"]),
        bare("tool", "2.1-r0", &["depend = so:libkeep.so.1", "depend = helper>=2"]),
    ];
    site.repository.publish("edge/main", &edge)?;
    let source = format!(
        "[source.edge]\nmirrors = [\"{}\"]\nsuites = [\"edge\"]\nsigned_by = \"keys\"\ntag = \"edge\"\n",
        site.server.address
    );
    let tool = |name: &str| format!("{source}[package.tool]\nversion = \">=2\"\nnames.alpine = [\"{name}\"]\n");
    let excluded = "exclude = [\"mail-a\"]\n";
    site.profile(&["docs"], &format!("{excluded}{}", tool("tool@edge")))?;
    let (own, _) = site.render(&[])?;
    let locked = project.locked_for("alpine")?;
    for (name, version) in [("docs", "1-r0"), ("helper", "2-r0"), ("libkeep", "1.2.3-r0"), ("tool", "2.1-r0")] {
        if locked.get(name).map(String::as_str) != Some(version) {
            return Err(format!("{name} is another one than {version}: {locked:?}"));
        }
    }
    let world_file = "!mail-a\nalpine-baselayout\nalpine-release\nbusybox\ndocs\nmusl\ntool@edge>=2\n";
    is("the world", &text(&own.join("etc/apk/world"))?, world_file)?;
    let address = &site.server.address;
    let repositories = format!("{address}/v3.23/main\n{address}/v3.23/community\n@edge {address}/edge/main\n");
    is("the repositories", &text(&own.join("etc/apk/repositories"))?, &repositories)?;
    let installed = text(&own.join("lib/apk/db/installed"))?;
    let tagged = installed.split("\n\n").filter(|record| record.contains("\ns:edge"));
    let tagged: Vec<&str> = tagged.filter_map(|record| record.lines().find(|line| line.starts_with("P:"))).collect();
    if tagged != ["P:helper", "P:tool"] {
        return Err(format!("the records of {tagged:?} have the tag"));
    }
    let why = run(&mut project.layerforge(&["why-package", "helper", "web"]))?;
    if !why.contains("helper 2-r0 (edge @edge): tool depends on helper >= 2") {
        return Err(format!("the tag is not told:\n{why}"));
    }
    let lock = text(&project.folder.join("profiles/web.lock"))?;
    if lock.matches("\ntag = \"edge\"\n").count() != 1 {
        return Err(format!("the lock does not name the tag:\n{lock}"));
    }
    // Without the tag nobody gets it; a tag that nobody has is a mistake.
    site.profile(&["docs"], &tool("tool"))?;
    project.refused(&LOCK, 4, "tool 2.1-r0 (only for who asks for it by the tag `@edge`)")?;
    site.profile(&["docs"], &tool("tool@egde"))?;
    project.refused(&LOCK, 3, "did you mean `edge`?")
}

/// A system without apk and shells is what its packages are without them, and says which packages it has.
pub(super) fn without_apk(world: &World) -> Outcome {
    let site = Site::make(world, &world.folder("alpine-distroless")?)?;
    let tools = |name: &str, path: &str| {
        package(name, "3.0.0-r0", &["license = GPL-2.0-only"], &[], &[[path, "file", "755", "root:root", "program"]])
    };
    let more =
        applications("1.2.3").into_iter().chain([tools("apk-tools", "sbin/apk"), tools("libapk", "lib/libapk.so")]);
    let more: Vec<Value> = more.collect();
    let told = site.repository.publish("v3.23/community", &more)?;
    let site = Site { told: site.told.clone().into_iter().chain(told).collect(), ..site };
    let packages = [&PACKAGES[..], &["apk-tools", "libapk"]].concat();
    site.profile(&packages, "")?;
    let (whole, _) = site.render(&[])?;
    let whole_list = site.installed(&whole)?;
    let seen = look(&whole)?;
    site.profile(&packages, "distroless = true\n")?;
    let (own, _) = site.render(&[])?;
    let without = look(&own)?;
    let gone = ["apk-tools", "busybox", "libapk"];
    let records = whole_list.split_inclusive("\n\n");
    let staying = |record: &&str| !gone.iter().any(|name| record.contains(&format!("\nP:{name}\n")));
    is(
        "the list of packages",
        &format!("{}\n", site.installed(&own)?),
        &format!("{}\n", records.filter(staying).collect::<String>()),
    )?;
    // Nothing that stays is changed, and what went is of those packages: a directory when nobody else has it.
    let of_apk = ["/etc/apk", "/lib/apk", "/etc/busybox-paths.d"];
    let of_packages = ["/sbin/apk", "/lib/libapk.so", "/bin/busybox", "/usr/sbin/addgroup", "/usr/sbin/adduser"];
    for (path, node) in seen.iter().filter(|(path, _)| !without.contains_key(*path)) {
        let known = of_packages.contains(&path.as_str()) || of_apk.iter().any(|begin| path.starts_with(begin));
        let leads_there = node.kind == 'l' && node.content.ends_with("busybox");
        if !known && !leads_there {
            return Err(format!("`{path}` is gone, too: {node:?}"));
        }
    }
    for (path, node) in without.iter().filter(|(path, _)| *path != "/lib/apk/db/installed") {
        if seen.get(path) != Some(node) {
            return Err(format!("`{path}` is {node:?}, with apk {:?}", seen.get(path)));
        }
    }
    let dangling = run(program("find").arg(&own).args(["-lname", "*busybox*"]))?;
    let left: Vec<&str> = without.keys().map(String::as_str).filter(|path| path.contains("/apk/")).collect();
    if dangling.is_empty() && left == ["/etc/apk/repositories", "/lib/apk/db", "/lib/apk/db/installed"] {
        return Ok(());
    }
    Err(format!("left are {left:?} and {dangling}"))
}

/// A lock is kept, explained, compared with what there is, and vendored.
pub(super) fn is_locked_and_vendored(world: &World) -> Outcome {
    let mut site = Site::make(world, &world.folder("alpine-lock")?)?;
    site.profile(&PACKAGES, "")?;
    site.project.refused(&[&LOCK[..], &["--check"]].concat(), 4, "lock")?;
    run(&mut site.project.layerforge(&LOCK))?;
    run(site.project.layerforge(&LOCK).arg("--check"))?;
    let locked = site.project.locked_for("alpine")?;
    for (package, words) in [
        ("libkeep", "libkeep 1.2.3-r0 (alpine): app depends on so:libkeep.so.1"),
        ("app-openrc", "app-openrc 1.0-r0 (alpine): "),
        ("musl", "musl 1.2.5-r9 (alpine): "),
    ] {
        let why = run(&mut site.project.layerforge(&["why-package", package, "web"]))?;
        if !why.contains(words) {
            return Err(format!("the reason of {package} is another one:\n{why}"));
        }
    }
    let (own, _) = site.render(&[])?;
    let first = look(&own)?;
    run(&mut site.project.layerforge(&["vendor", "vendored", "web", "--arch", "x86_64"]))?;
    // There is something newer.
    site.repository.publish("v3.23/community", &applications("1.2.10"))?;
    let newer = run(&mut site.project.layerforge(&["outdated", "web"]))?;
    if !newer.contains("libkeep") || !newer.contains("1.2.10-r0") || newer.contains("mail-b") {
        return Err(format!("it is not said that a package is outdated:\n{newer}"));
    }
    if site.project.locked_for("alpine")? != locked {
        return Err("`outdated` has changed the lock".into());
    }
    // Without a network, with what is there, and with nothing but the folder.
    site.server = Server::start(&site.project.folder)?;
    run(site.project.layerforge(&LOCK).args(["--upgrade", "--offline"]))?;
    if site.project.locked_for("alpine")?["libkeep"] != "1.2.10-r0" {
        return Err("without a network something else is chosen than with it".into());
    }
    remove(&site.project.folder.join("store"))?;
    site.project.refused(&[&LOCK[..], &["--upgrade"]].concat(), 5, "127.0.0.1")?;
    run(site.project.layerforge(&LOCK).args(["--upgrade", "--vendored", "vendored"]))?;
    if site.project.locked_for("alpine")? != locked {
        return Err("the lock from the vendored folder is another one".into());
    }
    remove(&site.project.folder.join("store"))?;
    let (own, _) = site.render(&["--vendored", "vendored", "--locked"])?;
    let found = look(&own)?;
    let found = differing(&found, &first);
    if !found.is_empty() {
        return Err(format!("the tree from the vendored folder is another one: {found:?}"));
    }
    site.render(&["--offline", "--locked"]).map(drop)
}

/// Whatever is done to a repository is noticed, and the lock stays what it was.
pub(super) fn is_guarded(world: &World) -> Outcome {
    let site = Site::make(world, &world.folder("alpine-guard")?)?;
    let project = &site.project;
    site.profile(&PACKAGES, "")?;
    let place = site.repository.place("v3.23/community");
    let package = place.join("libkeep-1.2.3-r0.apk");
    let index = place.join("APKINDEX.tar.gz");
    let (good, listed) = (read(&package)?, read(&index)?);
    // Indexes: by a stranger, in the name of the right key, damaged, cut off, unsigned.
    site.repository.publish_as("v3.23/community", &applications("1.2.3"), "stranger", "stranger.rsa.pub")?;
    project.refused(&LOCK, 5, "APKINDEX.tar.gz")?;
    site.repository.publish_as("v3.23/community", &applications("1.2.3"), "stranger", KEY)?;
    project.refused(&LOCK, 5, "does not fit")?;
    site.repository.publish("v3.23/community", &applications("1.2.3"))?;
    for bad in [listed[..listed.len() / 2].to_vec(), flipped(&listed), unsigned(&listed)?, Vec::new()] {
        write(&index, &bad)?;
        project.refused(&LOCK, 5, "APKINDEX.tar.gz")?;
    }
    write(&index, &listed)?;
    // Packages that are not what the index names.
    for (bad, words) in
        [(good[..good.len() - 1].to_vec(), "bytes, expected"), (flipped(&good), "`libkeep 1.2.3-r0` cannot be taken")]
    {
        write(&package, &bad)?;
        project.refused(&LOCK, 5, words)?;
    }
    // Another package of its length: what its records do not say decides.
    site.repository.publish_as("v3.23/community", &applications("1.2.4"), "key", KEY)?;
    fs::copy(place.join("libkeep-1.2.4-r0.apk"), &package).map_err(explain("copy a package"))?;
    write(&index, &listed)?;
    let other = read(&package)?;
    let words = if other.len() == good.len() { "is not the package that its index names" } else { "1.2.3-r0" };
    project.refused(&LOCK, 5, words)?;
    write(&package, &good)?;
    if project.folder.join("profiles/web.lock").exists() {
        return Err("a lock was written".into());
    }
    run(&mut project.layerforge(&LOCK))?;
    let locked = project.locked_for("alpine")?;
    // Something newer comes, and goes again.
    site.repository.publish("v3.23/community", &applications("1.2.10"))?;
    let upgrade = [&LOCK[..], &["--upgrade"]].concat();
    run(&mut project.layerforge(&upgrade))?;
    if project.locked_for("alpine")?["libkeep"] != "1.2.10-r0" {
        return Err("the newer version is not taken".into());
    }
    write(&index, &listed)?;
    let output = project.layerforge(&upgrade).output().map_err(explain("run layerforge"))?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let words =
        "the source `alpine` went back: of 1 packages, such as libkeep 1.2.10-r0, the lock knows a later version";
    if !output.status.success() || !told.contains(words) {
        return Err(format!("nobody is warned of an index that went back:\n{told}"));
    }
    if project.locked_for("alpine")? != locked {
        return Err("the older state is not what it was".into());
    }
    // What the lock names is what is taken, whoever serves it.
    for (bad, words) in [(good[..good.len() - 1].to_vec(), "bytes, expected"), (flipped(&good), "has the digest")] {
        remove(&project.folder.join("store"))?;
        write(&package, &bad)?;
        project.refused(&[&RENDER[..], &["--locked"]].concat(), 5, words)?;
    }
    Ok(())
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() * 2 / 3;
    bytes[middle] ^= 1;
    bytes
}

/// Returns an index without what is signed of it: its second piece.
fn unsigned(index: &[u8]) -> Outcome<Vec<u8>> {
    let starts =
        index.windows(4).enumerate().filter(|(_, window)| *window == [0x1f, 0x8b, 8, 0]).map(|(place, _)| place);
    let second = starts.collect::<Vec<_>>().get(1).copied().ok_or("an index of one piece")?;
    Ok(index[second..].to_vec())
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(explain(format!("read {}", path.display())))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(explain(format!("write {}", path.display())))
}
