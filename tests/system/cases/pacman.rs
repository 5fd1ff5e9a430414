//! Packages of Arch in the eyes of pacman.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use layerforge::image::write_tar;
use layerforge::packages::archive::Fetched;
use layerforge::packages::model::{PackageId, Pool, Reason, Request};
use layerforge::packages::pacman::archive::unpack_all;
use layerforge::packages::pacman::database::{Decisions, install};
use layerforge::packages::pacman::rules::PacmanRules;
use layerforge::packages::pacman::{groups, version};
use layerforge::packages::solve::{Question, check, solve};
use layerforge::packages::trust::Web;

use crate::command::{explain, program, run, run_refused};
use crate::makepkg::Repository;
use crate::world::World;
use crate::{Outcome, say};

/// How many pairs of versions `vercmp` is asked about.
const PAIRS: usize = 3000;

/// Packages of every kind of relation and entry.
const PKGBUILD: &str = r#"
pkgbase=tools
pkgname=(filesystem alpha beta gamma delta)
pkgver=1.0
pkgrel=1
epoch=1
arch=(any)
license=(MIT)
url=https://example.org
package_filesystem() {
    pkgdesc="Directories"
    install -d -m755 "$pkgdir"/{etc,usr/{bin,share},var/lib}
    install -d -m1777 "$pkgdir/tmp"
    ln -s usr/bin "$pkgdir/bin"
    echo 'root:x:0:0::/root:/usr/bin/bash' > "$pkgdir/etc/passwd"
}
package_alpha() {
    depends=('beta>=1' 'libbeta.so=1-64')
    groups=(tooling)
    backup=(etc/alpha.conf)
    optdepends=('gamma: more')
    install=alpha.install
    install -Dm4755 /dev/stdin "$pkgdir/usr/bin/alpha" <<< "program"
    ln "$pkgdir/usr/bin/alpha" "$pkgdir/usr/bin/alpha2"
    ln -s alpha "$pkgdir/usr/bin/al"
    install -Dm600 /dev/stdin "$pkgdir/etc/alpha.conf" <<< "a = 1"
    install -d -m750 "$pkgdir/var/lib/alpha"
    : > "$pkgdir/var/lib/alpha/empty"
}
package_beta() {
    pkgdesc="A library"
    provides=('libbeta.so=1-64' 'virtual')
    conflicts=(betamax)
    replaces=(betamax)
    install -Dm755 /dev/stdin "$pkgdir/usr/share/beta/Ünïcode file" <<< "b"
    install -Dm644 /dev/stdin "$pkgdir/usr/share/beta.d" <<< "sorts before what is in a directory"
}
package_gamma() {
    depends=(alpha)
    groups=(tooling)
    install -Dm644 /dev/stdin "$pkgdir/usr/share/gamma/x" <<< "g"
}
package_delta() {
    depends=(alpha virtual)
    install -Dm644 /dev/stdin "$pkgdir/usr/share/delta/x" <<< "d"
}
"#;

/// The script of a package.
const INSTALL: &str = "post_install() {\n  echo done\n}\n";

/// Versions have the order that vercmp gives them.
pub(super) fn orders_versions_so(world: &World) -> Outcome {
    let folder = world.folder("pacman-versions")?;
    let mut state = 20_261_121_u64;
    let mut next = |below: usize| {
        // Knuth's generator: the same versions on every machine.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    const PARTS: [&str; 22] = [
        "0",
        "1",
        "2",
        "10",
        "01",
        "007",
        "99999999999999999999",
        "a",
        "b",
        "rc",
        "alpha",
        "beta",
        ".",
        ".",
        "_",
        "__",
        "-",
        "-1",
        ":",
        "1:",
        "~",
        "+",
    ];
    let mut made = || -> String {
        let length = 1 + next(6);
        (0..length).map(|_| PARTS[next(PARTS.len())]).collect()
    };
    let mut pairs: Vec<(String, String)> = (0..PAIRS).map(|_| (made(), made())).collect();
    // What differs in one part only is where orders differ.
    for (one, other) in &mut pairs[PAIRS / 2..] {
        *other = format!("{one}{other}");
    }
    // An argument that begins with a hyphen would be an option.
    pairs.retain(|(one, other)| !one.starts_with('-') && !other.starts_with('-'));
    let lines: String = pairs.iter().map(|(one, other)| format!("{one} {other}\n")).collect();
    fs::write(folder.join("pairs"), lines).map_err(explain("write the pairs"))?;
    let script = "while read -r one other; do vercmp \"$one\" \"$other\"; done <pairs";
    let answers = run(program("sh").args(["-c", script]).current_dir(&folder))?;
    let answers: Vec<&str> = answers.lines().collect();
    if answers.len() != pairs.len() {
        return Err(format!("vercmp answered {} of {} questions", answers.len(), pairs.len()));
    }
    for ((one, other), answer) in pairs.iter().zip(&answers) {
        let ours = (version::compare(one.as_bytes(), other.as_bytes()) as i8).to_string();
        if ours != **answer {
            return Err(format!("{one} {other}: vercmp says {answer}, layerforge {ours}"));
        }
    }
    say(&format!("  {} pairs are the same", pairs.len()));
    Ok(())
}

/// What is put together without pacman is what pacman installs; pacman finds nothing wrong with it, and goes on with it.
pub(super) fn and_a_root_of_ours(world: &World) -> Outcome {
    let repository = Repository::start(world.folder("pacman-root")?)?;
    repository.add(&[("PKGBUILD", PKGBUILD), ("alpha.install", INSTALL)], "packager")?;
    let pool = repository.pool()?;
    let requests = groups::expand(&pool, ["filesystem", "tooling"].map(Request::any).to_vec());
    let question = Question { requests, ..Question::default() };
    let solution = solve(&pool, &PacmanRules, &question).map_err(|explanation| explanation.to_string())?;
    let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
    let wrong = check(&pool, &PacmanRules, &ids);
    if ids.len() != 4 || !wrong.is_empty() {
        return Err(format!("{} packages: {wrong:?}", ids.len()));
    }
    let fetched = fetched(&repository, &pool, &ids)?;
    let unpacked = unpack_all(&fetched, &repository.folder.join("packs")).map_err(|error| format!("{error:?}"))?;
    let automatic = |(_, reason): &(&PackageId, &Reason)| !matches!(reason, Reason::Requested(_));
    let name = |id: &PackageId| String::from_utf8_lossy(pool.name(pool.package(*id).name)).into_owned();
    let automatic: BTreeSet<String> = solution.packages.iter().filter(automatic).map(|(id, _)| name(id)).collect();
    let decisions = Decisions { automatic, epoch: 1_700_000_000, ..Decisions::default() };
    let tree = install(&unpacked, &decisions, |_| false).map_err(|error| error.to_string())?;
    let (own, other) = (repository.folder.join("own"), repository.folder.join("other"));
    fs::create_dir(&own).map_err(explain("make a folder"))?;
    let archive = repository.folder.join("own.tar");
    let mut file = fs::File::create(&archive).map_err(explain("make an archive"))?;
    write_tar(&tree, &mut file).map_err(|error| error.to_string())?;
    run(program("tar")
        .args(["--extract", "--preserve-permissions", "--numeric-owner", "--file"])
        .arg(&archive)
        .arg("--directory")
        .arg(&own))?;
    fs::create_dir_all(other.join("var/lib/pacman")).map_err(explain("make a folder"))?;
    repository.pacman(&other, &["-Sy", "filesystem", "tooling"])?;
    compare(&own, &other)?;
    // Dependencies, files with their modes, owners, times and checksums, and the state of the database.
    repository.pacman(&own, &["-Qkk"])?;
    repository.pacman(&own, &["-Qk"])?;
    repository.pacman(&own, &["-Dk"])?;
    if repository.pacman(&own, &["-Qqd"])? != repository.pacman(&other, &["-Qqd"])? {
        return Err("other packages are there for others only".into());
    }
    // One more package comes and goes.
    let before = listing(&own)?;
    repository.pacman(&own, &["-Sy", "delta"])?;
    repository.pacman(&own, &["-Qkk"])?;
    repository.pacman(&own, &["-R", "delta"])?;
    let after: String =
        listing(&own)?.lines().filter(|line| !line.contains("/sync")).map(|line| format!("{line}\n")).collect();
    if after != before {
        let differs = before.lines().zip(after.lines()).find(|(one, other)| one != other);
        return Err(format!("pacman left something behind: {differs:?}"));
    }
    // What pacman would not have installed it refuses here, too.
    let refused = run_refused(&mut repository.pacman_command(&own, &["-R", "beta"]))?;
    if refused.contains("alpha") {
        Ok(())
    } else {
        Err(format!("pacman does not know that alpha needs beta:\n{refused}"))
    }
}

/// Takes packages by their signatures, those beside them and those in the database.
fn fetched(repository: &Repository, pool: &Pool, ids: &[PackageId]) -> Outcome<Vec<Fetched>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(explain("read the clock"))?;
    let now = now.as_secs().cast_signed();
    let (web, small) = (repository.web(3)?, repository.web(2)?);
    let mut fetched = Vec::new();
    for id in ids {
        let package = pool.package(*id);
        let location = pool.location(*id).map_err(explain("read the database"))?;
        let path = repository.place().join(location);
        let beside = fs::read(format!("{}.sig", path.display())).map_err(explain("read a signature"))?;
        let listed = pool.stored(package.signature).map_err(explain("read the database"))?;
        for signature in [beside.as_slice(), &listed] {
            let signers = web.verify_file(&path, signature, now).map_err(|error| error.to_string())?;
            if signers != [repository.fingerprint("packager")?] {
                return Err(format!("{}: signed by {signers:?}", pool.label(*id)));
            }
            match small.verify_file(&path, signature, now) {
                Err(error) if error.to_string().contains("fewer than three master keys") => {}
                other => return Err(format!("two masters are not enough: {other:?}")),
            }
        }
        let digest = pool.digest(*id).map_err(explain("read the database"))?;
        let digest = digest.ok_or("the database has no digest")?;
        fetched.push(Fetched { path, size: package.size, digest });
    }
    Ok(fetched)
}

/// Everything but times of directories and what a transaction leaves behind, file by file.
pub(super) fn listing(root: &Path) -> Outcome<String> {
    let script = "find . -path ./var/lib/pacman/sync -prune -o ! -type d -printf '%p %y %m %U %G %s %l %n\n' -o \
                  -printf '%p %y %m %U %G\n' | sort";
    run(program("sh").args(["-c", script]).current_dir(root))
}

fn compare(own: &Path, other: &Path) -> Outcome {
    let lines = |root: &Path| -> Outcome<BTreeMap<String, String>> {
        let script = "find . -path ./var/lib/pacman/sync -prune -o -path ./var/lib/pacman/local/\\*/desc -prune -o \
                      ! -type d -printf '%p|%y %m %U %G %s %T@ %l %n\n' -o -printf '%p|%y %m %U %G\n'";
        let listed = run(program("sh").args(["-c", script]).current_dir(root))?;
        let in_database = |path: &str| path.starts_with("./var/lib/pacman");
        let entry = |line: &str| {
            let (path, what) = line.split_once('|')?;
            // pacman writes its database when it does, and closes nothing of it.
            let what = if in_database(path) { what.split(' ').next().unwrap_or_default() } else { what };
            Some((path.to_owned(), what.to_owned()))
        };
        Ok(listed.lines().filter_map(entry).collect())
    };
    let (ours, theirs) = (lines(own)?, lines(other)?);
    let differs = |path: &&String| ours.get(*path) != theirs.get(*path);
    if let Some(path) = ours.keys().chain(theirs.keys()).find(differs) {
        return Err(format!("`{path}` is {:?}; pacman has {:?}", ours.get(path), theirs.get(path)));
    }
    for path in ours.keys().filter(|path| ours[*path].starts_with('f')) {
        let read = |root: &Path| fs::read(root.join(path)).map_err(explain(format!("read {path}")));
        if read(own)? != read(other)? {
            return Err(format!("`{path}` holds something else than with pacman"));
        }
    }
    compare_descriptions(own, other)
}

/// Compares what the databases of two roots say about each package.
pub(super) fn compare_descriptions(own: &Path, other: &Path) -> Outcome {
    for entry in fs::read_dir(own.join("var/lib/pacman/local")).map_err(explain("list the database"))? {
        let name = entry.map_err(explain("list the database"))?.file_name();
        let desc = |root: &Path| -> Outcome<String> {
            let path = root.join("var/lib/pacman/local").join(&name).join("desc");
            if !path.exists() {
                return Ok(String::new());
            }
            let text = fs::read_to_string(&path).map_err(explain(format!("read {}", path.display())))?;
            // The time of the installation, and what only pacman 7 writes.
            let sections =
                text.split("\n\n%").filter(|one| !one.starts_with("INSTALLDATE%") && !one.starts_with("XDATA%"));
            Ok(sections.collect::<Vec<_>>().join("\n\n%").trim_end().to_owned())
        };
        let (ours, theirs) = (desc(own)?, desc(other)?);
        if ours != theirs {
            return Err(format!("of {}: ours\n{ours}\npacman's\n{theirs}", name.to_string_lossy()));
        }
    }
    Ok(())
}

/// Of the keys of Arch those are good that gpg finds good with the same masters.
pub(super) fn keyring_of_arch(world: &World) -> Outcome {
    let folder = world.folder("pacman-keyring")?;
    let shared = Path::new("/usr/share/keyrings");
    let text = |name: &str| fs::read_to_string(shared.join(name)).map_err(explain(format!("read {name}")));
    let keyring = fs::read(shared.join("archlinux.gpg")).map_err(explain("read the keyring of Arch"))?;
    let (trusted, revoked) = (text("archlinux-trusted")?, text("archlinux-revoked")?);
    let web = Web::read("archlinux", &keyring, &trusted, &revoked).map_err(|error| error.to_string())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(explain("read the clock"))?;
    let ours: BTreeSet<String> = web.valid(now.as_secs().cast_signed()).into_iter().collect();
    // What pacman-key does: a key of one's own vouches for the masters, which are trusted a little.
    let script = "chmod 700 . && gpg --batch --import \"$0/archlinux.gpg\" && \
        gpg --batch --passphrase '' --pinentry-mode loopback --quick-gen-key own ed25519 sign never && \
        cut -d: -f1 \"$0/archlinux-trusted\" | while read -r key; do gpg --batch --yes --quick-lsign-key \"$key\" || true; done && \
        gpg --batch --import-ownertrust \"$0/archlinux-trusted\" && gpg --batch --check-trustdb";
    run(program("sh").args(["-c", script]).arg(shared).current_dir(&folder).env("GNUPGHOME", &folder))?;
    let listed = run(program("gpg").args(["--batch", "--with-colons", "--list-keys"]).env("GNUPGHOME", &folder))?;
    let (mut theirs, mut valid, mut own) = (BTreeSet::new(), false, true);
    for line in listed.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[0] {
            "pub" => (valid, own) = (matches!(fields[1], "f" | "u"), fields[1] == "u"),
            "fpr" if std::mem::take(&mut valid) && !own => drop(theirs.insert(fields[9].to_owned())),
            _ => {}
        }
    }
    let revoked: BTreeSet<String> = revoked.lines().map(|line| line.trim().to_owned()).collect();
    theirs.retain(|key| !revoked.contains(key));
    say(&format!("  {} keys are good here, {} with gpg", ours.len(), theirs.len()));
    let extra: Vec<&String> = ours.difference(&theirs).collect();
    let missing: Vec<&String> = theirs.difference(&ours).collect();
    if extra.is_empty() && missing.is_empty() {
        Ok(())
    } else {
        Err(format!("only here: {extra:?}; only with gpg: {missing:?}"))
    }
}
