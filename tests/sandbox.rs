//! Commands in a sandbox: what they see, what they cannot do, what is known of them afterwards.
//!
//! Every test runs with each privilege that the caller has; run as root, `as_other_users` runs all of them again as a user
//! with subordinate ids and as one without. The roots borrow `/usr` of the host, with its shell, coreutils and Python.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use layerforge::sandbox::{Command, Device, Fact, Limits, Privilege, Ran, Sandbox, SandboxError, Status};
use layerforge::tree::TreePath;
use tempfile::TempDir;

/// Where the program under test is when the tests run as somebody else.
const PROGRAM: &str = "LAYERFORGE_UNDER_TEST";
/// Which privilege those tests have to be run with.
const PRIVILEGE: &str = "LAYERFORGE_PRIVILEGE";

fn privileges() -> Vec<Privilege> {
    match std::env::var(PRIVILEGE).as_deref() {
        Ok("subordinate") => vec![Privilege::Subordinate],
        Ok("single") => vec![Privilege::Single],
        // Root may do with one id as well.
        _ if rustix::process::geteuid().is_root() => vec![Privilege::Root, Privilege::Single],
        _ => vec![Privilege::Single],
    }
}

/// A root that has the programs of the host.
struct Root {
    folder: TempDir,
    privilege: Privilege,
}

impl Root {
    fn new(privilege: Privilege) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("root");
        for directory in ["", "etc", "usr", "proc", "dev", "run", "tmp", "sys", "data"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            if Path::new("/").join(link).exists() {
                symlink(Path::new("usr").join(link), root.join(link)).unwrap();
            }
        }
        Self { folder, privilege }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("root").join(inside.trim_start_matches('/'))
    }

    fn sandbox(&self) -> Sandbox {
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| env!("CARGO_BIN_EXE_layerforge").into());
        let usr = Path::new("/usr");
        Sandbox::new(self.path("")).program(program).privilege(self.privilege).bind(usr, usr)
    }

    /// Runs a script that has to succeed.
    fn run(&self, script: &str) -> Ran {
        let ran = self.sandbox().run(&shell(script)).unwrap();
        assert_eq!(ran.status, Status::Exited(0), "{:?}: {script}\n{}", self.privilege, ran.log.text());
        ran
    }

    /// Runs a script that has to succeed, and returns what it wrote.
    fn says(&self, script: &str) -> String {
        self.run(script).log.text().trim().to_owned()
    }
}

fn shell(script: &str) -> Command {
    Command::new("sh").argument("-euc").argument(script)
}

fn python(script: &str) -> Command {
    Command::new("python3").argument("-c").argument(script)
}

fn each(test: impl Fn(Root)) {
    for privilege in privileges() {
        test(Root::new(privilege));
    }
}

/// Returns the owners in facts, by path.
fn owners(facts: &[Fact]) -> BTreeMap<String, (u32, u32)> {
    facts.iter().map(|fact| (format!("{:?}", fact.path).replace('"', ""), (fact.uid, fact.gid))).collect()
}

fn fact<'facts>(facts: &'facts [Fact], path: &str) -> Option<&'facts Fact> {
    facts.iter().find(|fact| fact.path.as_bytes() == path.trim_start_matches('/').as_bytes())
}

fn owner(ran: &Ran, path: &str) -> Option<(u32, u32)> {
    fact(&ran.facts, path).map(|fact| (fact.uid, fact.gid))
}

#[test]
fn a_command_runs_as_root_with_a_clean_environment() {
    each(|root| {
        let said = root
            .says("id -u; id -g; pwd; umask; hostname 2>/dev/null || uname -n; env | sort | grep -v ^PWD; nproc; cat");
        let expected = "0\n0\n/\n0022\nlocalhost\nHOME=/root\nLC_ALL=C.UTF-8\n\
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
            SYSTEMD_OFFLINE=1\nTERM=dumb\n1";
        assert_eq!(said, expected);
    });
}

#[test]
fn the_exit_status_arrives() {
    each(|root| {
        assert_eq!(root.sandbox().run(&shell("exit 7")).unwrap().status, Status::Exited(7));
        assert_eq!(root.sandbox().run(&shell("kill -9 $$")).unwrap().status, Status::Killed(9));
        let error = root.sandbox().run_well(&shell("echo one; echo two >&2; exit 3")).unwrap_err();
        assert_eq!(error.to_string(), "`sh` ended with exit code 3; its last lines:\none\ntwo");
        let error = root.sandbox().run(&Command::new("/no/such")).unwrap_err();
        assert!(matches!(&error, SandboxError::Execute { command, .. } if command == "/no/such"), "{error}");
        let error = root.sandbox().run(&shell("true").directory("/nowhere")).unwrap_err();
        assert!(matches!(error, SandboxError::Execute { .. }), "{error}");
    });
}

#[test]
fn nothing_of_the_host_is_seen() {
    each(|root| {
        let secret = root.folder.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let outside = secret.to_str().unwrap();
        root.run(&format!("test ! -e {outside}; test ! -e /../{outside}; test ! -e /proc/1/root{outside}"));
        root.run("for link in root exe cwd fd/0 fd/1; do ! readlink /proc/1/$link; done; ! ls /proc/1/root/");
        assert_eq!(root.says("cd /proc; set -- [0-9]*; echo $1 $#"), "1 2");
        assert_eq!(root.says("ls -A /sys /tmp /run"), "/run:\nlock\n\n/sys:\n\n/tmp:");
        assert_eq!(
            root.says("ls -m /dev"),
            "fd, full, null, ptmx, pts, random, shm, stderr, stdin, stdout, tty, urandom,\nzero"
        );
        assert!(!root.says("cut -d' ' -f5 /proc/self/mountinfo").lines().any(|point| point.starts_with("/home")));
    });
}

#[test]
fn there_is_no_network() {
    each(|root| {
        assert_eq!(root.says("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo");
        let script =
            "import socket\ntry:\n socket.create_connection(('192.0.2.1', 80), 2)\nexcept OSError as e: print(e.errno)";
        let ran = root.sandbox().run(&python(script)).unwrap();
        assert_eq!(ran.log.text().trim(), libc_errno("ENETUNREACH"));
        // Unix sockets of the host without a path are in its network namespace.
        let listener = std::os::unix::net::UnixListener::bind_addr(
            &<std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(format!(
                "layerforge-test-{}",
                std::process::id()
            ))
            .unwrap(),
        );
        let script = format!(
            "import socket\ns = socket.socket(socket.AF_UNIX)\ntry:\n s.connect('\\0layerforge-test-{}')\n print('open')\n\
             except OSError as e: print(e.errno)",
            std::process::id()
        );
        assert_eq!(root.sandbox().run(&python(&script)).unwrap().log.text().trim(), libc_errno("ECONNREFUSED"));
        drop(listener);
    });
}

fn libc_errno(name: &str) -> &'static str {
    match name {
        "ENETUNREACH" => "101",
        "ECONNREFUSED" => "111",
        _ => unreachable!(),
    }
}

#[test]
fn nothing_outside_is_written() {
    each(|root| {
        root.run(
            "! touch /usr/layerforge-test 2>/dev/null
             ! sh -c 'echo x > /proc/sys/kernel/core_pattern' 2>/dev/null
             ! sh -c 'echo x > /proc/sysrq-trigger' 2>/dev/null
             ! mount -t tmpfs none /tmp 2>/dev/null
             ! mount -o remount,rw /usr 2>/dev/null
             ! umount /usr 2>/dev/null
             ! chmod 600 /dev/null 2>/dev/null
             ! unshare -m true 2>/dev/null
             ! unshare -U true 2>/dev/null
             ! chroot / true 2>/dev/null",
        );
        assert!(!Path::new("/usr/layerforge-test").exists());
        assert_eq!(fs::metadata("/dev/null").unwrap().permissions().mode() & 0o777, 0o666);
    });
}

#[test]
fn nobody_looks_into_the_first_process() {
    each(|root| {
        root.run("kill -9 1 2>/dev/null || true; kill -TERM 1; kill -STOP 1; sleep 0.1");
        let script = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n\
            for pid in (1, os.getppid()):\n print(libc.ptrace(16, pid, 0, 0), ctypes.get_errno())\n\
            try: open('/proc/1/mem', 'rb'); print('open')\nexcept OSError as e: print(e.errno)\n\
            try: os.readlink('/proc/1/exe'); print('open')\nexcept OSError as e: print(e.errno)";
        let said = root.sandbox().run(&python(script)).unwrap().log.text();
        assert_eq!(said, "-1 1\n-1 1\n13\n13\n");
    });
}

#[test]
fn privileges_are_not_gained() {
    each(|root| {
        let status = root.says("grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -s '\\t ' ' '");
        assert_eq!(status, "CapBnd: 00000000800005fb\nNoNewPrivs: 1\nSeccomp: 2");
    });
}

#[test]
fn owners_follow_files() {
    each(|root| {
        let ran = root.run(
            "cd /data
             echo > before; chown 1:2 before; mv before after
             echo > new; mv new old; chown 3:4 old
             echo > one; chown 5:6 one; ln one two; rm one
             echo > gone; chown 7:8 gone; rm gone; for i in 1 2 3 4 5 6 7 8; do echo > n$i; done
             ln -s nowhere link; chown -h 9:10 link
             echo > target; ln -s target through; chown 11:12 through
             mkdir directory; chown 13 directory; chgrp 14 directory; mv directory moved
             echo > back; chown 15:15 back; chown 0:0 back
             echo > only; chgrp 42 only; echo > shadow+; chown --reference=only shadow+; mv shadow+ only",
        );
        let expected = [
            ("/data/after", (1, 2)),
            ("/data/link", (9, 10)),
            ("/data/moved", (13, 14)),
            ("/data/old", (3, 4)),
            ("/data/only", (0, 42)),
            ("/data/target", (11, 12)),
            ("/data/two", (5, 6)),
        ];
        let expected: BTreeMap<String, (u32, u32)> = expected
            .iter()
            .map(|(path, owner)| {
                (
                    TreePath::from_absolute(path.as_bytes()).map(|path| format!("{path:?}").replace('"', "")).unwrap(),
                    *owner,
                )
            })
            .collect();
        assert_eq!(owners(&ran.facts), expected, "{:?}", root.privilege);
        // On disk, all is the caller's.
        let caller = rustix::process::geteuid().as_raw();
        for name in ["after", "link", "moved", "two"] {
            assert_eq!(fs::symlink_metadata(root.path("data").join(name)).unwrap().uid(), caller, "{name}");
        }
    });
}

#[test]
fn owners_are_set_in_every_way() {
    each(|root| {
        let script = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
os.chdir('/data')
def make(name): return os.open(name, os.O_CREAT | os.O_RDWR, 0o644)
os.chown(make('fd'), 1, 1)
f = make('empty'); assert libc.fchownat(f, b'', 2, 2, 0x1000) == 0
os.symlink('x', 'link'); f = os.open('link', os.O_PATH | os.O_NOFOLLOW); assert libc.fchownat(f, b'', 3, 3, 0x1000) == 0
make('path'); f = os.open('path', os.O_PATH); assert libc.fchownat(f, b'', 4, 4, 0x1000) == 0
os.mkdir('d'); d = os.open('d', os.O_RDONLY); os.close(os.open('in', os.O_CREAT | os.O_RDWR, 0o644, dir_fd=d))
os.chown('in', 5, 5, dir_fd=d)
f = make('proc'); os.chown('/proc/self/fd/%d' % f, 6, 6)
f = make('dev'); os.chown('/dev/fd/%d' % f, 7, 7)
f = make('deleted'); os.unlink('deleted'); os.chown(f, 8, 8)
assert libc.lchown(b'fd', -1, 9) == 0
os.symlink('path', 'sym'); assert libc.lchown(b'sym', 10, 10) == 0
os.symlink('/data/fd', 'absolute'); os.chown('absolute', 11, -1)
assert libc.chown(b'missing', 1, 1) == -1 and ctypes.get_errno() == 2
assert libc.fchownat(99, b'', 1, 1, 0x1000) == -1
assert libc.chown(b'', 1, 1) == -1 and ctypes.get_errno() == 2
assert libc.chown(ctypes.c_void_p(8), 1, 1) == -1 and ctypes.get_errno() == 14
s = os.stat('fd'); assert (s.st_uid, s.st_gid) == (11, 9), s
s = os.stat('d/in'); assert (s.st_uid, s.st_gid) == (5, 5), s
s = os.lstat('sym'); assert (s.st_uid, s.st_gid) == (10, 10), s
s = os.fstat(f); assert (s.st_uid, s.st_gid) == (8, 8), s
s = os.stat('/'); assert (s.st_uid, s.st_gid) == (0, 0), s
";
        let ran = root.sandbox().run(&python(script)).unwrap();
        assert_eq!(ran.status, Status::Exited(0), "{:?}\n{}", root.privilege, ran.log.text());
        for (path, expected) in [
            ("/data/fd", (11, 9)),
            ("/data/empty", (2, 2)),
            ("/data/link", (3, 3)),
            ("/data/path", (4, 4)),
            ("/data/d/in", (5, 5)),
            ("/data/proc", (6, 6)),
            ("/data/dev", (7, 7)),
            ("/data/sym", (10, 10)),
        ] {
            assert_eq!(owner(&ran, path), Some(expected), "{path} {:?}", root.privilege);
        }
        assert_eq!(ran.facts.len(), 8, "{:?}", ran.facts);
    });
}

#[test]
fn modes_are_as_chown_leaves_them() {
    each(|root| {
        let ran = root.run(
            "cd /data
             echo > a; chown 1:1 a; chmod 6755 a
             echo > b; chmod 6755 b; chown 1:1 b
             echo > c; chmod 2644 c; chown 1:1 c
             mkdir d; chmod 6755 d; chown 1:1 d
             echo > e; chmod 4711 e
             echo > f; chmod 000 f
             mkdir g; chmod 2775 g; chown 0:8 g; echo > g/new; mkdir g/sub; echo > g/sub/new
             stat -c '%a %u:%g' a b c d",
        );
        assert_eq!(ran.log.text(), "6755 1:1\n755 1:1\n2644 1:1\n6755 1:1\n", "{:?}", root.privilege);
        let mode = |path| fact(&ran.facts, path).map(|fact| fact.mode);
        assert_eq!(["/data/a", "/data/b", "/data/c", "/data/d"].map(mode), [0o6755, 0o755, 0o2644, 0o6755].map(Some));
        // Nothing has to be said of what is on disk; what the caller could not read is said.
        assert_eq!((mode("/data/e"), mode("/data/f")), (None, Some(0)));
        assert_eq!(fs::metadata(root.path("data/e")).unwrap().permissions().mode() & 0o7777, 0o4711);
        assert_eq!(fs::metadata(root.path("data/a")).unwrap().permissions().mode() & 0o7777, 0o6755);
        fs::read(root.path("data/f")).unwrap();
        for path in ["/data/g", "/data/g/new", "/data/g/sub", "/data/g/sub/new"] {
            assert_eq!(owner(&ran, path), Some((0, 8)), "{path} {:?}", root.privilege);
        }
        assert_eq!(mode("/data/g/sub"), Some(0o2755));
    });
}

#[test]
fn devices_are_written_down() {
    each(|root| {
        let ran = root.run(
            "cd /data; mknod -m 640 null c 1 3; chown 0:6 null; mv null renamed; mknod disk b 8 300; mknod pipe p
             mkfifo other; ! mknod disk c 1 1 2>/dev/null",
        );
        let device = |path| fact(&ran.facts, path).and_then(|fact| fact.device);
        assert_eq!(device("/data/renamed"), Some(Device { block: false, major: 1, minor: 3 }));
        assert_eq!(device("/data/disk"), Some(Device { block: true, major: 8, minor: 300 }));
        assert_eq!((owner(&ran, "/data/renamed"), ran.facts.len()), (Some((0, 6)), 2));
        assert_eq!(fact(&ran.facts, "/data/renamed").unwrap().mode, 0o640);
        assert_eq!(fact(&ran.facts, "/data/disk").unwrap().mode, 0o644);
        assert!(fs::metadata(root.path("data/disk")).unwrap().is_file());
        if root.privilege == Privilege::Single {
            let ran =
                root.sandbox().facts(ran.facts).run(&shell("cd /data; stat -c '%F %t:%T %g' renamed disk")).unwrap();
            assert_eq!(ran.log.text(), "character special file 1:3 6\nblock special file 8:12c 0\n");
        }
    });
}

#[test]
fn facts_go_in_and_come_out() {
    each(|root| {
        fs::write(root.path("data/file"), "").unwrap();
        fs::write(root.path("data/linked"), "").unwrap();
        fs::hard_link(root.path("data/linked"), root.path("data/also")).unwrap();
        symlink("file", root.path("data/link")).unwrap();
        let plain = |path: &str, mode, uid, gid| Fact {
            path: TreePath::from_absolute(path.as_bytes()).unwrap(),
            mode,
            uid,
            gid,
            device: None,
            xattrs: BTreeMap::new(),
        };
        let mut capable = plain("/data/file", 0o4755, 1, 2);
        // VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE.
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        capable.xattrs.insert("security.capability".into(), capability.to_vec());
        let mut null = plain("/data/null", 0o666, 0, 0);
        null.device = Some(Device { block: false, major: 1, minor: 3 });
        let facts = vec![
            plain("/data", 0o2775, 0, 8),
            plain("/data/also", 0o640, 3, 4),
            capable,
            plain("/data/link", 0o777, 5, 6),
            plain("/data/linked", 0o640, 3, 4),
            null,
        ];
        let mut facts: Vec<Fact> = facts;
        facts.sort_by(|one, other| one.path.cmp(&other.path));
        let ran = root
            .sandbox()
            .facts(facts.clone())
            .run(&shell("cd /data; stat -c %u:%g:%a file also linked link"))
            .unwrap();
        assert_eq!(ran.log.text(), "1:2:4755\n3:4:640\n3:4:640\n5:6:777\n", "{:?}", root.privilege);
        assert_eq!(ran.facts, facts, "{:?}", root.privilege);
        // And once more, from what is on disk now.
        let again = root.sandbox().facts(ran.facts).run(&shell("true")).unwrap();
        assert_eq!(again.facts, facts, "{:?}", root.privilege);
        let missing = vec![plain("/data/missing", 0o644, 1, 1)];
        let error = root.sandbox().facts(missing).run(&shell("true")).unwrap_err();
        assert!(error.to_string().contains("/data/missing"), "{error}");
    });
}

#[test]
fn capabilities_are_kept_and_lost() {
    each(|root| {
        let script = "
import os
value = bytes([1,0,0,2, 0,4,0,0, 0,0,0,0, 0,0,0,0, 0,0,0,0])
for name in ('kept', 'lost'):
    open('/data/' + name, 'w').close()
    os.setxattr('/data/' + name, 'security.capability', value)
os.chown('/data/lost', 1, 1)
";
        let ran = root.sandbox().run(&python(script)).unwrap();
        assert_eq!(ran.status, Status::Exited(0), "{}", ran.log.text());
        let kept = fact(&ran.facts, "/data/kept").unwrap();
        assert_eq!(kept.xattrs.get("security.capability").unwrap()[..8], [1, 0, 0, 2, 0, 4, 0, 0]);
        assert_eq!(fact(&ran.facts, "/data/lost").unwrap().xattrs, BTreeMap::new());
    });
}

#[test]
fn another_user_can_be_become() {
    each(|root| {
        let script = "import os\nos.setgroups([5]); os.setgid(7); os.setuid(7); open('/data/x', 'w')";
        fs::set_permissions(root.path("data"), fs::Permissions::from_mode(0o777)).unwrap();
        let ran = root.sandbox().run(&python(script)).unwrap();
        assert_eq!(ran.status, Status::Exited(0), "{}", ran.log.text());
    });
}

#[test]
fn the_log_is_bounded() {
    each(|root| {
        let limits = Limits { log: 1000, ..Limits::default() };
        let ran = root.sandbox().limits(limits).run(&shell("echo first; seq 1 200000; echo last")).unwrap();
        assert!(ran.log.text().len() < 1100 && ran.log.omitted() > 1_000_000);
        assert!(ran.log.text().starts_with("first\n1\n") && ran.log.last_lines(2) == "200000\nlast");
    });
}

#[test]
fn a_command_that_takes_too_long_is_stopped() {
    each(|root| {
        let limits = Limits { time: Duration::from_millis(300), ..Limits::default() };
        let error = root.sandbox().limits(limits).run(&shell("echo begun; sleep 1000 & wait")).unwrap_err();
        assert!(matches!(&error, SandboxError::Stopped { .. }), "{error}");
        assert!(error.to_string().contains("300ms") && error.to_string().contains("begun"), "{error}");
    });
}

#[test]
fn a_command_that_forks_without_end_is_stopped() {
    each(|root| {
        let limits = Limits { processes: 50, time: Duration::from_secs(60), ..Limits::default() };
        // One process that forks, and at a bounded rate: where only counting stops it (as root), a real fork bomb starves
        // the whole machine before the count is taken.
        let script = "import os, time\nwhile True:\n try:\n  if os.fork() == 0: time.sleep(1000)\n except OSError: pass\n time.sleep(0.002)";
        let error = root.sandbox().limits(limits).run(&python(script)).unwrap_err();
        let refused = matches!(&error, SandboxError::Stopped { .. });
        assert!(refused, "{error}");
    });
}

#[test]
fn what_is_left_running_is_ended() {
    each(|root| {
        let name = format!("{}", 100_000 + std::process::id());
        root.run(&format!("setsid sleep {name} >/dev/null 2>&1 & sleep {name} & sleep 0.05"));
        assert!(!runs(&name), "a process is left");
    });
}

/// Tells whether a process of this machine has a word among its arguments.
fn runs(word: &str) -> bool {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    processes.into_iter().any(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
}

#[test]
fn binds_are_seen_and_leave_nothing() {
    each(|root| {
        let outside = root.folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "seen").unwrap();
        let before = fs::metadata(root.path("")).unwrap().mtime_nsec();
        let sandbox =
            root.sandbox().bind(&outside, Path::new("/mnt/deep/outside")).bind_writable(&outside, Path::new("/mnt/rw"));
        let sandbox = sandbox.bind(&outside.join("file"), Path::new("/etc/file"));
        let ran = sandbox
            .run(&shell("cat /mnt/deep/outside/file /etc/file; ! touch /mnt/deep/outside/x; echo > /mnt/rw/x"))
            .unwrap();
        assert!(ran.log.text().starts_with("seenseen"), "{}", ran.log.text());
        assert_eq!(ran.status, Status::Exited(0));
        assert!(outside.join("x").exists());
        assert!(!root.path("mnt").exists() && !root.path("etc/file").exists());
        assert_eq!(fs::metadata(root.path("")).unwrap().mtime_nsec(), before);
        let error = root.sandbox().bind(&outside, Path::new("/a/../b")).run(&shell("true")).unwrap_err();
        assert!(error.to_string().contains("`..`"), "{error}");
    });
}

#[test]
fn missing_directories_are_made_and_taken_away() {
    each(|root| {
        for name in ["proc", "sys", "dev", "run", "tmp"] {
            fs::remove_dir(root.path(name)).unwrap();
        }
        root.run("test -e /proc/self -a -e /dev/null; echo > /tmp/x; echo > /run/x");
        for name in ["proc", "sys", "dev", "run", "tmp"] {
            assert!(!root.path(name).exists(), "{name}");
        }
        symlink("/data", root.path("run")).unwrap();
        let error = root.sandbox().run(&shell("true")).unwrap_err();
        assert!(error.to_string().contains("`/run` of the root is not a directory"), "{error}");
    });
}

#[test]
fn services_are_not_started() {
    each(|root| {
        fs::create_dir_all(root.path("var/lib/dpkg")).unwrap();
        let before = fs::metadata(root.path("var/lib")).unwrap().mtime();
        // /usr is the host's and cannot be changed: a place of the root is enough to see that stubs come and go.
        fs::remove_dir(root.path("usr")).unwrap();
        fs::create_dir_all(root.path("usr/sbin")).unwrap();
        fs::write(root.path("usr/sbin/start-stop-daemon"), "real").unwrap();
        let mut sandbox = Sandbox::new(root.path("")).privilege(root.privilege);
        sandbox = sandbox.program(std::env::var(PROGRAM).unwrap_or_else(|_| env!("CARGO_BIN_EXE_layerforge").into()));
        for name in ["bin", "lib", "lib64"] {
            let path = Path::new("/usr").join(name);
            if path.exists() {
                sandbox = sandbox.bind(&path, &path);
            }
        }
        let script = "set +e; policy-rc.d x start; echo $?; start-stop-daemon --start 2>&1; echo $?";
        let ran = sandbox.run(&Command::new("/usr/bin/sh").argument("-c").argument(script)).unwrap();
        assert_eq!(ran.log.text(), "101\nstart-stop-daemon: nothing is started here\n0\n");
        assert!(!root.path("usr/sbin/policy-rc.d").exists() && !root.path("usr/bin").exists());
        assert_eq!(fs::read_to_string(root.path("usr/sbin/start-stop-daemon")).unwrap(), "real");
        assert_eq!(fs::metadata(root.path("var/lib")).unwrap().mtime(), before);
        let ran =
            sandbox.services(true).run(&Command::new("/usr/bin/sh").argument("-c").argument("policy-rc.d")).unwrap();
        assert_eq!(ran.status, Status::Exited(127));
    });
}

#[test]
fn unusable_roots_are_refused() {
    each(|root| {
        let error =
            |path: &Path| Sandbox::new(path).privilege(root.privilege).run(&shell("true")).unwrap_err().to_string();
        assert!(error(Path::new("/")).contains("it is the root of this system"));
        assert!(error(&root.path("nothing")).contains("cannot find the root"));
        fs::write(root.path("file"), "").unwrap();
        assert!(error(&root.path("file")).contains("it is not a directory"));
    });
}

#[test]
fn foreign_programs_are_named() {
    each(|root| {
        // An ELF header for IBM Z, which nobody tests on.
        let mut program = b"\x7fELF\x02\x02\x01".to_vec();
        program.resize(16, 0);
        program.extend([0, 2, 0, 22]);
        program.resize(64, 0);
        fs::write(root.path("data/foreign"), program).unwrap();
        fs::set_permissions(root.path("data/foreign"), fs::Permissions::from_mode(0o755)).unwrap();
        if fs::read_dir("/proc/sys/fs/binfmt_misc")
            .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().file_name() == "qemu-s390x"))
        {
            return;
        }
        let error = root.sandbox().run(&Command::new("/data/foreign")).unwrap_err();
        assert!(matches!(error, SandboxError::Foreign { .. }) && error.to_string().contains("IBM Z"), "{error}");
        assert!(error.hint().unwrap().contains("binfmt_misc"));
    });
}

#[test]
fn nothing_outlives_the_caller() {
    if let Ok(root) = std::env::var("LAYERFORGE_DOOMED") {
        let wanted = std::env::var("LAYERFORGE_DOOMED_AS").unwrap();
        let privilege = privileges().into_iter().find(|privilege| format!("{privilege:?}") == wanted).unwrap();
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| env!("CARGO_BIN_EXE_layerforge").into());
        let sandbox =
            Sandbox::new(&root).program(program).privilege(privilege).bind(Path::new("/usr"), Path::new("/usr"));
        let word = std::env::var("LAYERFORGE_WORD").unwrap();
        sandbox
            .run(&shell(&format!(
                "echo > /data/x; mkdir -m 700 /data/d; chown 5:5 /data/x /data/d; sleep {word} & setsid sleep {word}"
            )))
            .unwrap();
        return;
    }
    each(|root| {
        let word = format!("{}", 7_000_000 + std::process::id());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_outlives_the_caller"])
            .env("LAYERFORGE_DOOMED", root.path(""))
            .env("LAYERFORGE_DOOMED_AS", format!("{:?}", root.privilege))
            .env("LAYERFORGE_WORD", &word)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| runs(&word));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until(|| !runs(&word));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(root.folder.path().to_str().unwrap()));
        root.sandbox().take_back().unwrap();
        let caller = rustix::process::geteuid().as_raw();
        for path in ["data/x", "data/d"] {
            assert_eq!(fs::metadata(root.path(path)).unwrap().uid(), caller, "{path} {:?}", root.privilege);
        }
    });
}

fn wait_until(happened: impl Fn() -> bool) {
    for _ in 0..600 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within 30 s");
}

#[test]
fn a_machine_without_user_namespaces_is_named() {
    if std::env::var("LAYERFORGE_NAMESPACES").is_ok() {
        let error = Root::new(Privilege::Single).sandbox().run(&shell("true")).unwrap_err();
        assert!(matches!(error, SandboxError::Setup { .. }), "{error}");
        assert!(error.hint().unwrap().contains("sysctl user.max_user_namespaces"), "{error}");
        return;
    }
    let output = std::process::Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "sh",
            "-euc",
            "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"",
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_machine_without_user_namespaces_is_named"])
        .env("LAYERFORGE_NAMESPACES", "none")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}

#[test]
fn as_other_users() {
    if !rustix::process::geteuid().is_root() || std::env::var(PRIVILEGE).is_ok() {
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [tests, program, temporary, ids] = ["tests", "layerforge", "tmp", "ids"].map(|name| folder.path().join(name));
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_layerforge"), &program).unwrap();
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    for (privilege, text) in [("single", ""), ("subordinate", "65534:300000:65536\n")] {
        fs::write(&ids, text).unwrap();
        let script = "mount --bind \"$IDS\" /etc/subuid; mount --bind \"$IDS\" /etc/subgid; shift 0
            exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
        let output = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-euc", script, "sh"])
            .arg(&tests)
            .args(["--skip", "as_other_users"])
            .current_dir("/")
            .env("IDS", &ids)
            .env(PROGRAM, &program)
            .env(PRIVILEGE, privilege)
            .env("TMPDIR", &temporary)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{privilege}:\n{}", String::from_utf8_lossy(&text));
    }
}
