//! Machines judge extensions and portable services.

use std::path::Path;

use super::site::contains;
use crate::Outcome;
use crate::damage::{Part, damage};
use crate::machine::Machine;
use crate::machine::tree::{DEBIAN_12, DEBIAN_13};
use crate::peer::{FOR_DEBIAN_13, Peer};
use crate::scenarios::{
    confext_merges, portable_does_not_start, portable_is_refused, portable_runs, signed_only, signed_sysext_merges,
    sysext_is_refused, sysext_merges, trusting,
};
use crate::world::World;

/// systemd merges directories, EROFS of every codec and SquashFS.
pub(super) fn are_merged(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let peer = Peer::new(&tree, world.folder("extensions")?);
    let sysext = |name| peer.sysext(name, FOR_DEBIAN_13);
    let images = [
        sysext("directory")?,
        peer.erofs(&sysext("plain")?, &[])?,
        peer.erofs(&sysext("lz4hc")?, &["-zlz4hc", "-C65536"])?,
        peer.erofs(&sysext("zstd")?, &["-zzstd", "-C65536", "-Efragments,dedupe"])?,
        peer.squashfs(&sysext("squashfs")?)?,
    ];
    let mut machine = world.machine("extensions", &tree)?;
    for image in &images {
        machine = judge(machine, image, sysext_merges)?;
    }
    for image in [peer.confext("settings", FOR_DEBIAN_13)?, peer.erofs(&peer.confext("options", FOR_DEBIAN_13)?, &[])?]
    {
        machine = judge(machine, &image, confext_merges)?;
    }
    machine.run_in_container().map(drop)
}

/// Services of portable images run, from a directory and from an image, and when an extension brings them.
pub(super) fn are_portable(world: &World) -> Outcome {
    let (tree, busybox) = (world.tree(&DEBIAN_13)?, world.emulator()?.busybox);
    let peer = Peer::new(&tree, world.folder("portable")?);
    let mut machine = world.machine("portable", &tree)?;
    for image in [peer.portable("folder", &busybox)?, peer.erofs(&peer.portable("packed", &busybox)?, &[])?] {
        machine = judge(machine, &image, |image| portable_runs(image, &[], ""))?;
    }
    let base = peer.erofs(&peer.portable_base("base", "brought")?, &[])?;
    let extension = peer.erofs(&peer.portable_extension("brought", &busybox)?, &[])?;
    machine
        .with(&base, "/images/base.raw")?
        .with(&extension, "/images/brought.raw")?
        .script("extension", &portable_runs("base.raw", &["brought.raw"], ""))?
        .run_in_container()
        .map(drop)
}

/// systemd 252 merges the image of a sysext.
pub(super) fn are_merged_by_debian_12(world: &World) -> Outcome {
    let (tools, tree) = (world.tree(&DEBIAN_13)?, world.tree(&DEBIAN_12)?);
    let peer = Peer::new(&tools, world.folder("extensions-12")?);
    let image = peer.erofs(&peer.sysext("older", "ID=debian\nVERSION_ID=12\n")?, &["-zlz4hc"])?;
    judge(world.machine("debian-12", &tree)?, &image, sysext_merges)?.run_in_container().map(drop)
}

/// In a machine with dm-verity an image counts as signed only as long as every byte is as it was, and the signer known.
pub(super) fn are_signed(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let emulator = world.emulator()?;
    let peer = Peer::new(&tree, world.folder("signed")?);
    let (known, stranger) = (peer.signer("known")?, peer.signer("stranger")?);
    let image = peer.ddi(&peer.sysext("sealed", FOR_DEBIAN_13)?, "sysext", &known)?;
    let service = peer.ddi(&peer.portable("carried", &emulator.busybox)?, "portable", &known)?;
    let unsigned = peer.erofs(&peer.portable("naked", &emulator.busybox)?, &[])?;
    let merges = signed_sysext_merges("sealed.raw");
    let mut machine = world
        .machine("signed", &tree)?
        .with(&image, "/images/sealed.raw")?
        .with(&service, "/images/carried.raw")?
        .with(&unsigned, "/images/naked.raw")?
        .with(&known.certificate, "/images/known.crt")?
        .with(&stranger.certificate, "/images/stranger.crt")?
        .script("signed", &trusting("known.crt", &merges))?
        .script("unknown", &sysext_is_refused("sealed.raw"))?
        .script("stranger", &trusting("stranger.crt", &sysext_is_refused("sealed.raw")))?;
    for part in [Part::Data, Part::Hashes, Part::Signature] {
        let name = format!("{part:?}").to_lowercase();
        let damaged = world.folder(&format!("signed/{name}"))?.join("sealed.raw");
        damage(&image, &damaged, part)?;
        machine = machine
            .with(&damaged, &format!("/images/{name}/sealed.raw"))?
            .script(&name, &trusting("known.crt", &sysext_is_refused(&format!("{name}/sealed.raw"))))?;
    }
    let runs = signed_only("carried.raw", &portable_runs("carried.raw", &[], ""));
    let transcript = machine
        .script("again", &trusting("known.crt", &merges))?
        .script("portable", &trusting("known.crt", &runs))?
        .script("portable-unknown", &portable_is_refused("carried.raw"))?
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
