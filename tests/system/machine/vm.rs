//! Machines that are virtual: with a kernel of their own, and so with real dm-verity.
//!
//! Nothing is virtualised by hardware, because not every host can. The kernel is that of Debian 13; the root is an
//! overlay in memory upon read-only disks, so that every boot starts from the same state.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::tree::{EMULATOR, Tree};
use super::{Machine, Transcript, ends_within};
use crate::Outcome;
use crate::command::{explain, program, run};

/// How long a virtual machine may take, with all its scripts.
const PATIENCE: Duration = Duration::from_secs(1200);

/// The room that the results of all scripts have.
const RESULTS: u64 = 32 << 20;

/// The modules that the first process needs to reach its root.
const MODULES: [&str; 3] = ["virtio_blk", "erofs", "overlay"];

/// The first process. Its disks are, in this order: the tree, the modules, what is added to the tree, the results.
const INIT: &str = r##"#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
mkdir -p /lower/tree /lower/modules /lower/additions /memory /root
mount -t erofs -o ro /dev/vda /lower/tree
mount -t erofs -o ro /dev/vdb /lower/modules
mount -t erofs -o ro /dev/vdc /lower/additions
mount -t tmpfs -o mode=0755 tmpfs /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/lower/additions:/lower/modules:/lower/tree,upperdir=/memory/upper,workdir=/memory/work overlay /root
exec switch_root /root /usr/lib/systemd/systemd
"##;

/// Units that the scripts do without, and an emulated processor is slow to start.
const MASKED: [&str; 17] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "modprobe@configfs.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "serial-getty@ttyS0.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-logind.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-udev-trigger.service",
    "timers.target",
];

/// An emulator, a kernel with its modules, and a first process that mounts the disks of a machine.
pub(crate) struct Emulator {
    root: PathBuf,
    image: PathBuf,
    initramfs: PathBuf,
    modules: PathBuf,
    /// A shell without libraries, for whoever needs one.
    pub(crate) busybox: PathBuf,
}

impl Emulator {
    /// Returns the emulator, from the cache when it is there.
    pub(crate) fn find_or_make(cache: &Path) -> Outcome<Self> {
        let tree = Tree::find_or_make(cache, &EMULATOR)?;
        let root = tree.root();
        let modules = only_entry(&root.join("usr/lib/modules"))?;
        let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let this = Self {
            image: root.join(format!("boot/vmlinuz-{version}")),
            initramfs: tree.folder.join("initramfs"),
            modules: tree.folder.join("modules.erofs"),
            busybox: root.join("usr/bin/busybox"),
            root,
        };
        if !this.modules.exists() {
            // What the scripts of the package would have done, had it been installed.
            run(program("depmod").arg("--basedir").arg(this.root.join("usr")).arg(&version))?;
            this.write_initramfs(&tree.folder, &modules)?;
            let wrapped = tree.folder.join("modules");
            remake(&wrapped.join("usr/lib"))?;
            run(program("cp").arg("--archive").arg(this.root.join("usr/lib/modules")).arg(wrapped.join("usr/lib")))?;
            erofs(&wrapped, &this.modules)?;
        }
        Ok(this)
    }

    /// Returns a command of the emulator, which runs with the libraries that it was built for.
    fn command(&self) -> Command {
        let mut command = program(self.root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(self.root.join("usr/lib/x86_64-linux-gnu"));
        command.arg(self.root.join("usr/bin/qemu-system-x86_64"));
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.root.join(firmware));
        }
        command
    }

    /// Writes the archive of files that the kernel starts with.
    fn write_initramfs(&self, folder: &Path, modules: &Path) -> Outcome {
        let content = folder.join("initramfs-content");
        for name in ["bin", "dev", "modules"] {
            remake(&content.join(name))?;
        }
        let copy = |from: &Path, to: &str| {
            fs::copy(from, content.join(to)).map(drop).map_err(explain(format!("copy {}", from.display())))
        };
        copy(&self.busybox, "bin/busybox")?;
        symlink("busybox", content.join("bin/sh")).map_err(explain("make bin/sh"))?;
        for (number, module) in in_order(modules, &MODULES)?.iter().enumerate() {
            let name = format!("modules/{number:02}.ko.xz");
            copy(module, &name)?;
            run(program("xz").arg("--decompress").arg(content.join(name)))?;
        }
        let init = content.join("init");
        fs::write(&init, INIT).map_err(explain("write the first process"))?;
        run(program("chmod").arg("0755").arg(&init))?;
        let pack = "find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --file=\"$1\"";
        run(program("sh").current_dir(&content).args(["-c", pack, "sh"]).arg(&self.initramfs)).map(drop)
    }
}

impl Machine<'_> {
    /// Boots a virtual machine, and runs the scripts in it.
    pub(crate) fn run_in_vm(self, emulator: &Emulator) -> Outcome<Transcript> {
        let tree = self.tree.folder.join("root.erofs");
        if !tree.exists() {
            erofs(&self.tree.root(), &tree)?;
        }
        let (additions, results) = (self.folder.join("additions.erofs"), self.folder.join("results.tar"));
        erofs(&self.additions(), &additions)?;
        let room = fs::File::create(&results).map_err(explain("make room for results"))?;
        room.set_len(RESULTS).map_err(explain("make room for results"))?;

        let console = self.folder.join("console");
        let disks = [(&tree, true), (&emulator.modules, true), (&additions, true), (&results, false)];
        let ended = boot(emulator, &disks, &console)?;
        let unpacked = self.folder.join("results");
        remake(&unpacked)?;
        // Without results it holds zeros, an empty archive.
        run(program("tar")
            .args(["--extract", "--no-same-owner", "--directory"])
            .arg(&unpacked)
            .arg("--file")
            .arg(&results))?;
        match (ended, Transcript::read(&unpacked, &self.scripts, &console)) {
            (true, transcript) => transcript,
            (false, Ok(_)) => Err("the virtual machine did not power off".into()),
            (false, Err(message)) => Err(format!("not within {} s: {message}", PATIENCE.as_secs())),
        }
    }
}

/// Boots a virtual machine and returns whether it has ended by itself. In any case it has ended afterwards.
fn boot(emulator: &Emulator, disks: &[(&PathBuf, bool)], console: &Path) -> Outcome<bool> {
    let mut command = emulator.command();
    // Its time is that of the instructions it carries out: on a busy host, nothing in it takes longer than it may.
    command.args(["-accel", "tcg,thread=single", "-icount", "shift=3", "-cpu", "max", "-m", "2048", "-no-reboot"]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-serial"]);
    command.arg(format!("file:{}", console.display()));
    command.arg("-kernel").arg(&emulator.image).arg("-initrd").arg(&emulator.initramfs).arg("-append");
    let masked: String = MASKED.iter().map(|unit| format!(" systemd.mask={unit}")).collect();
    command.arg(format!(
        "console=ttyS0 panic=-1 quiet module_blacklist=btrfs,kvm,kvm_amd,kvm_intel systemd.show_status=no \
         systemd.condition-needs-update=no systemd.unit=layerforge-tests.target{masked}"
    ));
    for (path, read_only) in disks {
        let access = if *read_only { "on" } else { "off" };
        command.arg("-drive");
        command.arg(format!("if=virtio,format=raw,cache=unsafe,readonly={access},file={}", path.display()));
    }
    let mut machine = command.spawn().map_err(explain("run the emulator"))?;
    let ended = ends_within(&mut machine, PATIENCE)?;
    if !ended {
        machine.kill().map_err(explain("kill the emulator"))?;
        machine.wait().map_err(explain("wait for the emulator"))?;
    }
    Ok(ended)
}

/// Writes an EROFS of `folder`, uncompressed: an emulated processor takes its time to decompress.
fn erofs(folder: &Path, image: &Path) -> Outcome {
    let unfinished = image.with_added_extension("unfinished");
    run(program("mkfs.erofs").args(["--quiet", "-T0"]).arg(&unfinished).arg(folder))?;
    fs::rename(&unfinished, image).map_err(explain(format!("write {}", image.display())))
}

/// Returns the files of modules, each after those that it depends on, by the `modules.dep` of depmod(8).
fn in_order(modules: &Path, names: &[&str]) -> Outcome<Vec<PathBuf>> {
    let index = modules.join("modules.dep");
    let index = fs::read_to_string(&index).map_err(explain(format!("read {}", index.display())))?;
    let mut order: Vec<PathBuf> = Vec::new();
    for name in names {
        let file = format!("/{name}.ko.xz:");
        let line = index.lines().find(|line| line.contains(&file)).ok_or_else(|| format!("no module {name}"))?;
        // What a module depends on is listed after it, what is needed first at the end.
        for word in line.split([':', ' ']).filter(|word| !word.is_empty()).rev() {
            let module = modules.join(word);
            if !order.contains(&module) {
                order.push(module);
            }
        }
    }
    Ok(order)
}

fn only_entry(folder: &Path) -> Outcome<PathBuf> {
    let entries = fs::read_dir(folder).map_err(explain(format!("list {}", folder.display())))?;
    let entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    match entries.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(format!("{} holds {} entries, not one", folder.display(), entries.len())),
    }
}

/// Makes a new, empty folder.
fn remake(folder: &Path) -> Outcome {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(explain(format!("remove {}", folder.display())))?;
    }
    fs::create_dir_all(folder).map_err(explain(format!("make {}", folder.display())))
}
