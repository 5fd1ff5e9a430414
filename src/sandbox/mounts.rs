//! What a command sees: the root, and what is laid over it while it runs.
//!
//! Comes in: a request, in a new mount namespace. Goes out: the root as `/`, with `/proc`, `/dev`, `/sys`, `/run` and
//! `/tmp` of its own. Always holds: nothing of the host can be reached but what was bound; after [`Mounts::undo`] the root
//! has no directory or file, and no time, that it had not before or that the command did not make.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, Timestamps};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsmount, fsopen, mount, mount_bind_recursive, mount_change, mount_remount,
    move_mount, open_tree, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::message::{Bind, Fault, Request, Stage};
use super::services;

/// The devices that are the same in every sandbox; none of them tells or keeps anything.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];
const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
/// What a file system in memory may take: the machine's memory is not the command's.
const MEMORY: &str = "size=25%,nr_inodes=200k";

/// What is laid over the root.
#[derive(Debug)]
pub(super) struct Mounts {
    /// Copies of mounts of the host, which can be put anywhere without its paths.
    devices: Vec<(PathBuf, OwnedFd)>,
    /// A new `/proc`; the kernel allows it only while the old one can be seen whole.
    processes: OwnedFd,
    binds: Vec<(Bind, bool, OwnedFd)>,
    services: bool,
    /// What is mounted, in that order.
    mounted: Vec<PathBuf>,
    /// What was made to mount something on it, in that order.
    made: Vec<PathBuf>,
}

impl Mounts {
    /// Makes the root that of this process, and nothing else visible.
    ///
    /// # Errors
    /// When the kernel refuses, or the file system of the root is not fit for it.
    pub(super) fn enter(request: &Request) -> Result<Self, Fault> {
        let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        mount_change("/", private).map_err(Fault::in_setup("make mounts private"))?;
        let devices = DEVICES.iter().map(|name| {
            let path = Path::new("/dev").join(name);
            copy_of(&path).map(|copy| (path, copy))
        });
        let binds = request.binds.iter().map(|bind| {
            let source = Path::new(&bind.source);
            Ok((bind.clone(), source.is_dir(), copy_of(source)?))
        });
        let mounts = Self {
            devices: devices.collect::<Result<_, _>>()?,
            processes: new_proc().map_err(Fault::in_setup("mount /proc"))?,
            binds: binds.collect::<Result<_, _>>()?,
            services: request.services,
            mounted: Vec::new(),
            made: Vec::new(),
        };
        pivot(Path::new(&request.root))?;
        Ok(mounts)
    }

    /// Lays everything over the root.
    ///
    /// # Errors
    /// When the kernel refuses, or something else stands where a directory is needed.
    pub(super) fn make(&mut self) -> Result<(), Fault> {
        let proc = Path::new("/proc");
        self.directory(proc)?;
        attach(&self.processes, proc)?;
        self.mounted.push(proc.to_owned());
        self.file_system("tmpfs", "/sys", PLAIN | MountFlags::NOEXEC | MountFlags::RDONLY, "size=4k,mode=0555")?;
        self.devices()?;
        self.file_system("tmpfs", "/run", PLAIN, &format!("{MEMORY},mode=0755"))?;
        make_directory(Path::new("/run/lock"), 0o1777)?;
        if !self.services {
            self.stubs()?;
        }
        self.file_system("tmpfs", "/tmp", PLAIN, &format!("{MEMORY},mode=1777"))?;
        for (bind, directory, copy) in std::mem::take(&mut self.binds) {
            self.bind(&bind, directory, &copy)?;
        }
        Ok(())
    }

    fn devices(&mut self) -> Result<(), Fault> {
        self.file_system("tmpfs", "/dev", MountFlags::NOSUID | MountFlags::NOEXEC, "size=64k,nr_inodes=256,mode=0755")?;
        for (path, copy) in std::mem::take(&mut self.devices) {
            make_file(&path)?;
            attach(&copy, &path)?;
            // The device can be written all the same, but its mode is the host's.
            remount(&path, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC)?;
            self.mounted.push(path);
        }
        for (target, name) in LINKS {
            let path = Path::new("/dev").join(name);
            rustix::fs::symlink(target, &path).map_err(Fault::in_setup(tried("link", &path)))?;
        }
        make_directory(Path::new("/dev/pts"), 0o755)?;
        let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
        self.file_system("devpts", "/dev/pts", terminals, "newinstance,ptmxmode=0666,mode=0620")?;
        make_directory(Path::new("/dev/shm"), 0o1777)?;
        self.file_system("tmpfs", "/dev/shm", PLAIN | MountFlags::NOEXEC, "size=64m,nr_inodes=1k,mode=1777")
    }

    /// Puts programs that start nothing over those that start services.
    fn stubs(&mut self) -> Result<(), Fault> {
        // Written to a file system of their own, which nothing but the stubs keeps in the end.
        let staging = Path::new("/tmp");
        self.file_system("tmpfs", "/tmp", MountFlags::NOSUID | MountFlags::NODEV, "size=64k,mode=0755")?;
        let mut stubs = Vec::new();
        for stub in services::STUBS {
            let path = staging.join(stub.name());
            crate::fs::write_new(&path, stub.script.as_bytes(), 0o755)
                .map_err(|error| Fault::new(Stage::Setup, "write stubs", error.to_string()))?;
            stubs.push((stub, copy_of(&path)?));
        }
        unmount(staging, UnmountFlags::DETACH).map_err(Fault::in_setup("unmount /tmp"))?;
        self.mounted.pop();
        for (stub, copy) in stubs {
            let path = Path::new(stub.path);
            if stub.is_wanted(path) {
                self.attach_file(&copy, path)?;
            }
        }
        Ok(())
    }

    fn bind(&mut self, bind: &Bind, directory: bool, copy: &OwnedFd) -> Result<(), Fault> {
        let target = absolute(&bind.target)?;
        if directory {
            for above in ancestors(&target) {
                self.directory(above)?;
            }
            attach(copy, &target)?;
            self.mounted.push(target.clone());
        } else {
            for above in target.parent().map(ancestors).unwrap_or_default() {
                self.directory(above)?;
            }
            self.attach_file(copy, &target)?;
        }
        let access = if bind.writable { MountFlags::empty() } else { MountFlags::RDONLY };
        remount(&target, access | PLAIN)
    }

    fn attach_file(&mut self, copy: &OwnedFd, path: &Path) -> Result<(), Fault> {
        if rustix::fs::stat(path).is_err() {
            untouched(path, || make_file(path))?;
            self.made.push(path.to_owned());
        }
        attach(copy, path)?;
        self.mounted.push(path.to_owned());
        Ok(())
    }

    fn file_system(&mut self, kind: &str, path: &str, flags: MountFlags, options: &str) -> Result<(), Fault> {
        let target = Path::new(path);
        self.directory(target)?;
        let options = std::ffi::CString::new(options).unwrap_or_default();
        mount(kind, target, kind, flags, options.as_c_str()).map_err(Fault::in_setup(tried("mount", target)))?;
        self.mounted.push(target.to_owned());
        Ok(())
    }

    /// Makes a directory where there is nothing.
    fn directory(&mut self, path: &Path) -> Result<(), Fault> {
        match rustix::fs::lstat(path) {
            Ok(status) if status.st_mode & libc::S_IFMT == libc::S_IFDIR => Ok(()),
            Ok(_) => {
                let shown = path.display();
                Err(Fault::new(Stage::Setup, tried("mount", path), format!("`{shown}` of the root is not a directory")))
            }
            Err(rustix::io::Errno::NOENT) => {
                untouched(path, || make_directory(path, 0o755))?;
                self.made.push(path.to_owned());
                Ok(())
            }
            Err(error) => Err(Fault::in_setup(tried("look at", path))(error)),
        }
    }

    /// Takes everything away again.
    ///
    /// # Errors
    /// When the kernel refuses, or the command has put something where a directory was made.
    pub(super) fn undo(mut self) -> Result<(), Fault> {
        while let Some(path) = self.mounted.pop() {
            unmount(&path, UnmountFlags::DETACH).map_err(Fault::on(Stage::Gather, tried("unmount", &path)))?;
        }
        while let Some(path) = self.made.pop() {
            let removed = untouched(&path, || {
                let status = rustix::fs::lstat(&path).map_err(Fault::on(Stage::Gather, tried("look at", &path)))?;
                let directory = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
                let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                match rustix::fs::unlinkat(CWD, &path, flags) {
                    // A directory above a bind, which the command has used for something else as well.
                    Err(rustix::io::Errno::NOTEMPTY) => Ok(()),
                    other => other.map_err(Fault::on(Stage::Gather, tried("remove", &path))),
                }
            });
            removed?;
        }
        Ok(())
    }
}

fn tried(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}

fn copy_of(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).map_err(Fault::in_setup(tried("bind", path)))
}

/// Makes a file system of the processes of this namespace. Reading is enough: where the caller is root, the settings of
/// the kernel could be written else.
fn new_proc() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn attach(copy: &OwnedFd, path: &Path) -> Result<(), Fault> {
    move_mount(copy, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Fault::in_setup(tried("mount", path)))
}

fn pivot(root: &Path) -> Result<(), Fault> {
    let on = |what: &str| Fault::in_setup(tried(what, root));
    mount_bind_recursive(root, root).map_err(on("bind"))?;
    let flags = rustix::fs::statvfs(root).map_err(on("look at"))?.f_flag;
    for (flag, word) in [(StatVfsMountFlags::NOEXEC, "noexec"), (StatVfsMountFlags::RDONLY, "read-only")] {
        if flags.contains(flag) {
            let message = format!("it lies on a file system that is mounted {word}");
            return Err(Fault::new(Stage::Setup, tried("use", root), message));
        }
    }
    // Devices that stand in the root already are of no use, and programs with setuid are none.
    remount(root, PLAIN)?;
    chdir(root).map_err(on("enter"))?;
    // The old root is now stacked on the new one, and taken off.
    pivot_root(".", ".").map_err(on("make a root of"))?;
    unmount(".", UnmountFlags::DETACH).map_err(Fault::in_setup("leave the root of the host"))?;
    chdir("/").map_err(on("enter"))
}

/// Adds flags to a mount; those it has, a user namespace cannot take from it.
fn remount(path: &Path, flags: MountFlags) -> Result<(), Fault> {
    let has = rustix::fs::statvfs(path).map_err(Fault::in_setup(tried("look at", path)))?.f_flag;
    let kept = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.iter().filter(|(flag, _)| has.contains(*flag)).fold(flags, |all, (_, flag)| all | *flag);
    mount_remount(path, MountFlags::BIND | kept, c"").map_err(Fault::in_setup(tried("mount", path)))
}

fn make_directory(path: &Path, mode: u32) -> Result<(), Fault> {
    let mode = Mode::from_raw_mode(mode);
    let made = rustix::fs::mkdir(path, mode).and_then(|()| rustix::fs::chmod(path, mode));
    made.map_err(Fault::in_setup(tried("make", path)))
}

fn make_file(path: &Path) -> Result<(), Fault> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let made = rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o600));
    made.map(drop).map_err(Fault::in_setup(tried("make", path)))
}

/// Changes what is in the directory of `path`, but not the directory's times.
fn untouched(path: &Path, change: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let before = rustix::fs::stat(parent).map_err(Fault::in_setup(tried("look at", parent)))?;
    change()?;
    let time = |seconds: i64, nanoseconds: u64| rustix::time::Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(before.st_atime, before.st_atime_nsec),
        last_modification: time(before.st_mtime, before.st_mtime_nsec),
    };
    rustix::fs::utimensat(CWD, parent, &times, AtFlags::empty())
        .map_err(Fault::in_setup(tried("set the times of", parent)))
}

fn absolute(path: &OsStr) -> Result<PathBuf, Fault> {
    let path = Path::new(path);
    let clean = path.is_absolute() && path.components().all(|part| part != std::path::Component::ParentDir);
    let invalid = || Fault::new(Stage::Setup, tried("bind to", path), "the path is not absolute, or has `..` in it");
    if clean && path != Path::new("/") { Ok(path.to_owned()) } else { Err(invalid()) }
}

/// Returns `path` and what is above it but `/`, from above.
fn ancestors(path: &Path) -> Vec<&Path> {
    let mut all: Vec<&Path> = path.ancestors().filter(|above| above.parent().is_some()).collect();
    all.reverse();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_absolute() {
        assert!(absolute(OsStr::new("/a/b")).is_ok());
        for path in ["a", "/a/../b", "/", ""] {
            assert!(absolute(OsStr::new(path)).is_err(), "{path}");
        }
        assert_eq!(ancestors(Path::new("/a/b/c")), ["/a", "/a/b", "/a/b/c"].map(Path::new));
        assert!(ancestors(Path::new("/")).is_empty());
    }
}
