//! Machines judge extensions and portable services.

use std::fs;
use std::path::Path;

use layerforge::image::Manifest;
use layerforge::tree::{diff, scan};

use super::site::contains;
use crate::Outcome;
use crate::command::{explain, program, run, run_refused};
use crate::damage::{Part, damage, start_of};
use crate::machine::Machine;
use crate::machine::tree::{DEBIAN_12, DEBIAN_13, TESTING};
use crate::peer::sysext;
use crate::project::{BOOKWORM, DIRECTORY, Image, Project, TRIXIE, tool};
use crate::scenarios::{
    confext_merges, portable_does_not_start, portable_runs, signed_only, signed_sysext_works, sysext_is_refused,
    sysext_merges, sysext_works, trusting, with_partitions,
};
use crate::verify::matches_entries;
use crate::world::World;

/// Ways to write a sysext, by the name of the image: keys of its output.
const WAYS: [(&str, &str); 9] = [
    ("directory", DIRECTORY),
    ("none", "compression = 'none'"),
    ("fast", "compression = 'fast'"),
    ("usual", ""),
    ("small", "compression = 'small'"),
    ("older-fast", "compression = 'fast'\nkernel = '5.15'"),
    ("older", "kernel = '6.1'"),
    ("squashfs", "filesystem = 'squashfs'"),
    ("squashfs-small", "filesystem = 'squashfs'\ncompression = 'small'"),
];

/// Ways to write a disk image that is not signed.
const UNSIGNED: [(&str, &str); 2] =
    [("partitioned", "format = 'ddi'\nverity = 'none'"), ("hashed", "format = 'ddi'\nverity = 'hash'")];

/// systemd 257 merges what is rendered, in every format; services start, and /etc is filled.
pub(super) fn are_merged(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let project = Project::unpack(world, "merged")?;
    let mut machine = world.machine("merged", &tree)?;
    // Another tool's, to show that the machine is able to judge.
    machine = judge(machine, &sysext(&world.folder("control")?, "control")?, sysext_merges)?;
    for (name, keys) in WAYS {
        machine = judge(machine, &project.render("sysext", name, keys)?.path, sysext_works)?;
    }
    // Not only the first time.
    machine = machine.script("again", &sysext_works("usual.raw"))?;
    for (name, keys) in UNSIGNED {
        let image = project.render("sysext", name, keys)?.path;
        machine = judge(machine, &image, |image| with_partitions(&sysext_works(image)))?;
    }
    for (name, keys) in [("settings", DIRECTORY), ("options", ""), ("choices", "filesystem = 'squashfs'")] {
        machine = judge(machine, &project.render("confext", name, keys)?.path, confext_merges)?;
    }
    machine.run_in_container().map(drop)
}

/// Services of portable images run, from every format, and when an extension brings them.
pub(super) fn are_portable(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let project = Project::unpack(world, "portable")?;
    let mut machine = world.machine("portable", &tree)?;
    for (name, keys) in [("folder", DIRECTORY), ("packed", ""), ("squashed", "filesystem = 'squashfs'")] {
        machine = judge(machine, &project.render("portable", name, keys)?.path, |image| portable_runs(image, &[], ""))?;
    }
    let disk = project.render("portable", "disk", UNSIGNED[0].1)?.path;
    machine = judge(machine, &disk, |image| with_partitions(&portable_runs(image, &[], "")))?;
    // Of the extension the base has to have the mount point of its state.
    let outputs = "[directory.'/var/lib/brought']\n[output.portable]\nsystemd = 257\nprefixes = ['base', 'brought']\n";
    project.write("base", &["judged"], TRIXIE, outputs)?;
    let base = project.make("base", "portable", TRIXIE, &[])?.path;
    let extension = project.render("sysext", "brought", "etc = 'omit'")?.path;
    machine
        .with(&base, "/images/base.raw")?
        .with(&extension, "/images/brought.raw")?
        .script("extension", &portable_runs("base.raw", &["brought.raw"], ""))?
        .run_in_container()
        .map(drop)
}

/// systemd 252 merges what is rendered for it.
pub(super) fn are_merged_by_debian_12(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_12)?;
    let project = Project::unpack(world, "debian-12")?;
    let mut machine = world.machine("debian-12", &tree)?;
    for (name, keys) in [("older", ""), ("oldest", DIRECTORY), ("squashed", "filesystem = 'squashfs'")] {
        machine = judge(machine, &project.render_for(BOOKWORM, "sysext", name, keys)?.path, sysext_works)?;
    }
    let service = project.render_for(BOOKWORM, "portable", "carried", "")?.path;
    machine = judge(machine, &service, |image| portable_runs(image, &[], ""))?;
    machine.run_in_container().map(drop)
}

/// The newest systemd takes what is rendered.
pub(super) fn are_taken_by_testing(world: &World) -> Outcome {
    let tree = world.tree(&TESTING)?;
    let project = Project::unpack(world, "testing")?;
    let mut machine = world.machine("testing", &tree)?;
    for (name, keys) in [("directory", DIRECTORY), ("usual", ""), ("squashed", "filesystem = 'squashfs'")] {
        machine = judge(machine, &project.render("sysext", name, keys)?.path, sysext_works)?;
    }
    machine = judge(machine, &project.render("confext", "settings", "")?.path, confext_merges)?;
    let service = project.render("portable", "carried", "")?.path;
    machine = judge(machine, &service, |image| portable_runs(image, &[], ""))?;
    let disk = project.render("portable", "disk", UNSIGNED[0].1)?.path;
    machine = judge(machine, &disk, |image| with_partitions(&portable_runs(image, &[], "")))?;
    let transcript = machine.script("version", "systemctl --version")?.run_in_container()?;
    let version = transcript.output("version").lines().find(|line| line.starts_with("systemd "));
    crate::say(&format!("  {}", version.ok_or("systemd does not tell its version")?));
    Ok(())
}

/// The kernel shows in an image every node that its manifest tells, and no other.
pub(super) fn are_their_manifests(world: &World) -> Outcome {
    let project = Project::unpack(world, "compared")?;
    let mount = world.folder("compared-mount")?;
    let ways = WAYS.iter().filter(|(name, _)| *name != "directory").chain(&UNSIGNED);
    for (kind, odd) in [("sysext", false), ("confext", false), ("portable", true)] {
        for (way, keys) in ways.clone() {
            // squashfs holds no attributes.
            let odd = odd && !keys.contains("squashfs");
            let layers: &[&str] = if odd { &["judged", "odd"] } else { &["judged"] };
            let name = format!("{kind}-{way}");
            project.write(&name, layers, TRIXIE, &format!("[output.{kind}]\n{keys}\n"))?;
            let image = project.make(&name, kind, TRIXIE, &[])?;
            is_its_manifest(&image, &mount).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

fn is_its_manifest(image: &Image, mount: &Path) -> Outcome {
    let text = fs::read(&image.manifest).map_err(explain("read the manifest"))?;
    let manifest = Manifest::read(&text).map_err(|error| error.to_string())?;
    let partitions = run(program("sgdisk").arg("--print").arg(&image.path)).unwrap_or_default();
    let start = if partitions.contains("root-x86-64") { start_of(&image.path, Part::Data)? } else { 0 };
    run(program("mount").args(["-o", &format!("ro,loop,offset={start}")]).arg(&image.path).arg(mount))?;
    let outcome = matches_entries(&image.manifest, mount).and_then(|()| {
        let promised = manifest.to_tree().map_err(|error| error.to_string())?;
        let found = scan(mount).map_err(|error| error.to_string())?;
        match diff(&promised, &found).first() {
            Some(change) => Err(format!("the first difference: {change}")),
            None => Ok(()),
        }
    });
    run(program("umount").arg(mount))?;
    outcome
}

/// The room that a partition table takes at the beginning and at the end of a small disk image.
const TABLE: usize = 20480;

/// In a machine with dm-verity an image counts as signed only as long as every byte is as it was, and the signer known.
pub(super) fn are_signed(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let emulator = world.emulator()?;
    let project = Project::unpack(world, "signed")?;
    let folder = world.folder("sealed")?;
    let pair = |name: &str| [folder.join(format!("{name}.key")), folder.join(format!("{name}.crt"))];
    let (known, stranger) = (pair("known"), pair("stranger"));
    for [key, certificate] in [&known, &stranger] {
        run(tool("key").args(["generate", "--key"]).arg(key).arg("--cert").arg(certificate))?;
    }
    let (key, certificate) = (known[0].display().to_string(), known[1].display().to_string());
    let by_known = ["--key", &key, "--cert", &certificate];
    let keys = "format = 'ddi'\nverity = 'signed'";
    let signed = |kind, name| {
        project.write(name, &["judged"], TRIXIE, &format!("[output.{kind}]\n{keys}\n"))?;
        let image = project.make(name, kind, TRIXIE, &by_known)?.path;
        run(tool("verify").arg(&image).args(&by_known[2..])).map(|_| image)
    };
    let (image, service) = (signed("sysext", "sealed")?, signed("portable", "carried")?);
    run_refused(tool("verify").arg(&image).arg("--cert").arg(&stranger[1]))?;
    let unsigned = project.render("portable", "naked", "")?.path;

    // Signed later it is the same, but for the identity of one partition: whoever signs does not know the seed.
    let at_once = folder.join("sealed-at-once.raw");
    fs::copy(&image, &at_once).map_err(explain("copy an image"))?;
    let later = project.render("sysext", "sealed", "format = 'ddi'\nverity = 'defer'")?.path;
    run_refused(tool("verify").arg(&later).args(&by_known[2..]))?;
    run(tool("sign").arg(&later).args(by_known))?;
    run(tool("verify").arg(&later).args(&by_known[2..]))?;
    let [one, other] = [&at_once, &later].map(|path| fs::read(path).map_err(explain("read an image")));
    let (one, other) = (one?, other?);
    if one.len() != other.len() || one[TABLE..one.len() - TABLE] != other[TABLE..one.len() - TABLE] {
        return Err("the image that was signed later is another".into());
    }

    let works = signed_sysext_works("sealed.raw");
    let mut machine = world
        .machine("signed", &tree)?
        .with(&later, "/images/sealed.raw")?
        .with(&service, "/images/carried.raw")?
        .with(&unsigned, "/images/naked.raw")?
        .with(&known[1], "/images/known.crt")?
        .with(&stranger[1], "/images/stranger.crt")?
        .script("signed", &trusting("known.crt", &works))?
        .script("unknown", &sysext_is_refused("sealed.raw"))?
        .script("stranger", &trusting("stranger.crt", &sysext_is_refused("sealed.raw")))?;
    for part in [Part::Data, Part::Hashes, Part::Signature] {
        let name = format!("{part:?}").to_lowercase();
        let damaged = world.folder(&format!("sealed/{name}"))?.join("sealed.raw");
        damage(&at_once, &damaged, part)?;
        run_refused(tool("verify").arg(&damaged).args(&by_known[2..]))?;
        machine = machine
            .with(&damaged, &format!("/images/{name}/sealed.raw"))?
            .script(&name, &trusting("known.crt", &sysext_is_refused(&format!("{name}/sealed.raw"))))?;
    }
    let runs = signed_only("carried.raw", &portable_runs("carried.raw", &[], ""));
    let transcript = machine
        .with(&at_once, "/images/at-once/sealed.raw")?
        .script("at-once", &trusting("known.crt", &signed_sysext_works("at-once/sealed.raw")))?
        .script("portable", &trusting("known.crt", &runs))?
        .script("portable-unknown", &signed_only("carried.raw", &portable_does_not_start("carried.raw")))?
        .script("portable-unsigned", &signed_only("naked.raw", &portable_does_not_start("naked.raw")))?
        .run_in_vm(&emulator)?;
    // What has been refused, has been for the right reason.
    contains(transcript.output("unknown"), "worked neither via the kernel nor in userspace")?;
    contains(transcript.output("stranger"), "Userspace PKCS#7 validation failed")?;
    contains(transcript.output("signature"), "Userspace PKCS#7 validation failed")?;
    contains(&transcript.journal, ": data block 0 is corrupted")?;
    contains(&transcript.journal, ": metadata block 1 is corrupted")
}

/// Adds an image and what is asked of it to a machine.
fn judge<'tree>(machine: Machine<'tree>, image: &Path, scenario: impl Fn(&str) -> String) -> Outcome<Machine<'tree>> {
    let file = image.file_name().unwrap_or_default().to_string_lossy();
    machine.with(image, &format!("/images/{file}"))?.script(&file, &scenario(&file))
}
