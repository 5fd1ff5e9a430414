//! Exposure scores, judged by `systemd-analyze security` of a Debian 13 tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use layerforge::lint::exposure;
use serde_json::Value;

use crate::Outcome;
use crate::command::{explain, run};
use crate::machine::tree::{DEBIAN_13, Tree};
use crate::world::World;

/// Units that are generated: the same ones each time.
const UNITS: usize = 500;

/// 500 generated units have the score that the tool gives, from each assessor.
pub(super) fn of_generated_units(world: &World) -> Outcome {
    let sample = |seed| {
        let (unit, drop_in) = Generator(seed as u64).unit();
        Sample { name: format!("generated-{seed}.service"), unit, drop_in }
    };
    let samples: Vec<Sample> = (0..UNITS).map(sample).collect();
    let answers = compare(&world.tree(&DEBIAN_13)?, &world.folder("generated")?, &samples)?;
    let mut seen: BTreeMap<&str, BTreeSet<Answer>> = BTreeMap::new();
    for (field, answer) in answers.iter().flatten() {
        seen.entry(field).or_default().insert(*answer);
    }
    // A generator that leaves an assessor alone would prove nothing about it, nor would one of refused units.
    let still: Vec<&&str> = seen.iter().filter(|(_, answers)| answers.len() < 2).map(|(field, _)| field).collect();
    if seen.len() == 81 && still.is_empty() && answers.len() > UNITS * 3 / 4 {
        return Ok(());
    }
    Err(format!("{} units were scored, by {} assessors; always the same: {still:?}", answers.len(), seen.len()))
}

/// Every service of Debian has the score that the tool gives.
pub(super) fn of_debian_services(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let mut samples = Vec::new();
    for entry in fs::read_dir(tree.root().join("usr/lib/systemd/system")).map_err(explain("list the units"))? {
        let path = entry.map_err(explain("list the units"))?.path();
        let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file && path.extension().is_some_and(|extension| extension == "service") {
            let unit = fs::read_to_string(&path).map_err(explain(format!("read {}", path.display())))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().replace("@.", "@instance.");
            samples.push(Sample { name, unit, drop_in: drop_ins(&path)? });
        }
    }
    // Without a command there is no service to score: the tool does not load it.
    samples.retain(|sample| sample.unit.contains("\nExecStart="));
    let answers = compare(&tree, &world.folder("debian")?, &samples)?;
    if answers.len() > 60 { Ok(()) } else { Err(format!("only {} services were scored", answers.len())) }
}

/// Returns the text of the drop-ins beside a unit, one after another.
fn drop_ins(unit: &Path) -> Outcome<String> {
    let folder = unit.with_extension("service.d");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(String::new()) };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(explain(format!("list {}", folder.display())))?.path());
    }
    paths.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(explain(format!("read {}", path.display())));
    paths.iter().map(read).collect()
}

/// A service to score.
struct Sample {
    name: String,
    unit: String,
    drop_in: String,
}

/// What an assessor answers: whether the service is protected, and what it adds.
type Answer = (Option<bool>, Option<u32>);

/// What the tool answers: the overall exposure in tenths, and the answer of each assessor.
type Answers = (u32, BTreeMap<String, Answer>);

/// Asks the tool and ourselves about each sample; returns our answers to those that neither refuses.
fn compare(tree: &Tree, folder: &Path, samples: &[Sample]) -> Outcome<Vec<BTreeMap<&'static str, Answer>>> {
    let theirs = ask(tree, folder, samples)?;
    let (mut scored, mut wrong) = (Vec::new(), Vec::new());
    for (sample, theirs) in samples.iter().zip(theirs) {
        let ours = match (exposure::assess(&sample.unit, [&*sample.drop_in]), theirs) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(_), Err(_)) => continue,
            (ours, theirs) => {
                wrong.push(format!("{}: {:?}, the tool {:?}", sample.name, ours.err(), theirs.err()));
                continue;
            }
        };
        let (ours, (tenths, theirs)) = ours;
        let answers: BTreeMap<_, _> = ours.assessments.iter().map(|one| (one.field, (one.set, one.tenths))).collect();
        let mut differences: Vec<String> = answers
            .iter()
            .filter(|(field, answer)| theirs.get(**field) != Some(*answer))
            .map(|(field, answer)| format!("  {field}: {answer:?}, the tool {:?}", theirs.get(*field)))
            .collect();
        if ours.tenths != tenths || theirs.len() != answers.len() {
            differences.push(format!("  overall {}, the tool {tenths}", ours.tenths));
        }
        if !differences.is_empty() {
            wrong.push(format!("{}\n{}\n{}{}", sample.name, differences.join("\n"), sample.unit, sample.drop_in));
        }
        scored.push(answers);
    }
    if wrong.is_empty() { Ok(scored) } else { Err(format!("{} differ; the first: {}", wrong.len(), wrong[0])) }
}

/// Asks the tool about all samples in one go. What it wrote instead of an answer is an error.
fn ask(tree: &Tree, folder: &Path, samples: &[Sample]) -> Outcome<Vec<Outcome<Answers>>> {
    let write = |name: String, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(explain("make a folder"))?;
        fs::write(&path, text).map_err(explain(format!("write {}", path.display())))
    };
    for sample in samples {
        write(sample.name.clone(), &sample.unit)?;
        write(format!("{}.d/10-more.conf", sample.name), &sample.drop_in)?;
    }
    // The folder of a unit is where its drop-ins are found.
    let script = "for unit in *.service; do \
        for format in '' --json=short; do \
            systemd-analyze security --offline=yes --no-pager $format \"/mnt/$unit\" >\"$unit$format\".out 2>&1 || true; \
        done; done";
    run(tree.program("sh", folder).args(["-euc", script]))?;
    let read = |name: &str| fs::read_to_string(folder.join(name)).map_err(explain(format!("read {name}")));
    samples
        .iter()
        .map(|sample| {
            let text = read(&format!("{}.out", sample.name))?;
            let table = read(&format!("{}--json=short.out", sample.name))?;
            Ok(parse(&text, &table).ok_or(text))
        })
        .collect()
}

fn parse(text: &str, table: &str) -> Option<Answers> {
    let overall = text.lines().find_map(|line| line.split_once("Overall exposure level for ")?.1.rsplit_once(": "));
    let overall = tenths(overall?.1.split(' ').next()?)?;
    // Warnings come before the table.
    let table: Value = serde_json::from_str(&table[table.find("[{")?..]).ok()?;
    let mut answers = BTreeMap::new();
    for row in table.as_array()? {
        let exposure = row["exposure"].as_str().and_then(tenths);
        answers.insert(row["json_field"].as_str()?.to_owned(), (row["set"].as_bool(), exposure));
    }
    Some((overall, answers))
}

fn tenths(text: &str) -> Option<u32> {
    text.replace('.', "").parse().ok()
}

/// Makes units from a number, always the same ones.
struct Generator(u64);

/// Directives with values that they may have, some of them wrong: each touches at least one assessor.
const VALUES: [(&str, &[&str]); 39] = [
    ("User", &["daemon", "root", "nobody", "65532", "0", "", "games", "%u", "-bad", "-1", "007"]),
    ("DynamicUser", SWITCH),
    ("SupplementaryGroups", &["adm", "adm games", "", "4"]),
    ("RootDirectory", &["/srv", "/", "", "//srv/", "srv", "/srv/../etc"]),
    ("RootImage", &["/srv/x.raw", "", "/"]),
    ("NoNewPrivileges", SWITCH),
    ("PrivateDevices", SWITCH),
    ("PrivateMounts", SWITCH),
    ("PrivateNetwork", SWITCH),
    ("PrivateTmp", &["yes", "no", "disconnected", "", "bad"]),
    ("PrivateUsers", &["yes", "no", "self", "identity", "", "bad"]),
    ("ProtectClock", SWITCH),
    ("ProtectControlGroups", &["yes", "no", "private", "strict", "", "bad"]),
    ("ProtectHome", &["yes", "no", "read-only", "tmpfs", "", "READ-ONLY"]),
    ("ProtectHostname", SWITCH),
    ("ProtectKernelLogs", SWITCH),
    ("ProtectKernelModules", SWITCH),
    ("ProtectKernelTunables", SWITCH),
    ("ProtectProc", &["default", "noaccess", "invisible", "ptraceable", "", "bad"]),
    ("ProtectSystem", &["yes", "no", "full", "strict", "", "STRICT"]),
    ("ProcSubset", &["all", "pid", "", "bad"]),
    ("RemoveIPC", SWITCH),
    ("RestrictRealtime", SWITCH),
    ("RestrictSUIDSGID", SWITCH),
    ("LockPersonality", SWITCH),
    ("MemoryDenyWriteExecute", SWITCH),
    ("KeyringMode", &["private", "inherit", "shared", "", "bad"]),
    ("NotifyAccess", &["none", "main", "exec", "all", "", "bad"]),
    ("Delegate", &["yes", "no", "cpu", "cpu memory", "", "bad"]),
    ("UMask", &["0000", "0022", "0027", "0077", "0007", "0066", "077", "", "9", "00027", "7777", "17777"]),
    ("SystemCallArchitectures", &["native", "x86-64", "native x86", "", "bad", "native bad", "x32 arm64"]),
    ("DevicePolicy", &["auto", "closed", "strict", "", "bad"]),
    ("DeviceAllow", &["/dev/null rw", "char-rtc r", "/dev/sda", "", "block-* m", "/etc/x", "/dev/x q", "foo"]),
    ("IPAddressDeny", &["any", "0.0.0.0/0", "::/0", "10.0.0.0/8", "", "bad", "0.0.0.0/0 ::/0", "link-local"]),
    ("IPAddressAllow", &["localhost", "127.0.0.1", "10.0.0.0/8", "", "::1", "any", "bad", "127.0.0.0/7", "multicast"]),
    ("MountImages", &["/srv/x.raw:/mnt", ""]),
    ("LoadCredentialEncrypted", &["key:/etc/key", ""]),
    ("AmbientCapabilities", &["CAP_KILL", "~CAP_KILL", "", "CAP_NOSUCH", "~", "cap_bpf CAP_CHOWN"]),
    (
        "CapabilityBoundingSet",
        &["", "~", "~CAP_SYS_ADMIN", "CAP_NOSUCH", "~CAP_NOSUCH", "5", "~CAP_MAC_ADMIN CAP_MAC_OVERRIDE"],
    ),
];
const SWITCH: &[&str] = &["yes", "no", "true", "0", "On", "", "bad", "\"yes\""];

/// Directives that take lists, and the words that may be in them.
const LISTS: [(&str, &[&str]); 4] = [
    (
        "RestrictAddressFamilies",
        &[
            "AF_UNIX",
            "AF_INET",
            "AF_INET6",
            "AF_NETLINK",
            "AF_PACKET",
            "AF_ALG",
            "af_vsock",
            "AF_LOCAL",
            "none",
            "AF_NOSUCH",
        ],
    ),
    ("RestrictNamespaces", &["user", "pid", "net", "uts", "mnt", "cgroup", "ipc", "time", "yes", "bad"]),
    (
        "CapabilityBoundingSet",
        &[
            "CAP_SYS_TIME",
            "CAP_SYS_PACCT",
            "CAP_KILL",
            "CAP_WAKE_ALARM",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_IPC_OWNER",
            "CAP_LINUX_IMMUTABLE",
            "CAP_IPC_LOCK",
            "CAP_SYS_MODULE",
            "CAP_BPF",
            "CAP_SYS_TTY_CONFIG",
            "CAP_SYS_BOOT",
            "CAP_SYS_CHROOT",
            "CAP_BLOCK_SUSPEND",
            "CAP_LEASE",
            "CAP_MKNOD",
            "CAP_CHOWN",
            "CAP_FSETID",
            "CAP_SETFCAP",
            "CAP_SETUID",
            "CAP_SETGID",
            "CAP_SETPCAP",
            "CAP_MAC_ADMIN",
            "CAP_MAC_OVERRIDE",
            "CAP_SYS_RAWIO",
            "CAP_SYS_PTRACE",
            "CAP_SYS_NICE",
            "CAP_SYS_RESOURCE",
            "CAP_NET_ADMIN",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_BROADCAST",
            "CAP_NET_RAW",
            "CAP_AUDIT_CONTROL",
            "CAP_AUDIT_READ",
            "CAP_AUDIT_WRITE",
            "CAP_SYS_ADMIN",
            "CAP_SYSLOG",
            "CAP_PERFMON",
            "CAP_CHECKPOINT_RESTORE",
        ],
    ),
    (
        "SystemCallFilter",
        &[
            "@system-service",
            "@clock",
            "@cpu-emulation",
            "@debug",
            "@module",
            "@mount",
            "@obsolete",
            "@privileged",
            "@raw-io",
            "@reboot",
            "@resources",
            "@swap",
            "@setuid",
            "@chown",
            "@basic-io",
            "@known",
            "@nosuch",
            "mount",
            "mount:EPERM",
            "@mount:kill",
            "@clock:5",
            "@swap:bad",
            "@reboot:9999",
            "reboot",
            "swapon",
            "modify_ldt",
            "read",
            "nosuch",
            "nice",
            "chown",
            "umount",
            "clock_settime64",
            "@default",
            "@file-system",
            "@process",
            "@network-io",
            "@sandbox",
            "fsconfig",
            "ptrace:ENOSYS",
        ],
    ),
];

impl Generator {
    /// Returns the next number below `end` (SplitMix64).
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn pick<'list, T>(&mut self, list: &'list [T]) -> &'list T {
        &list[self.below(list.len())]
    }

    /// Makes a unit and a drop-in.
    fn unit(mut self) -> (String, String) {
        // Numbers that follow each other shall not give units that do.
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95);
        let mut unit = String::from("[Unit]\nDescription=Generated\nUser=nobody\n\n[Service]\nExecStart=/bin/true\n");
        // From almost bare units to crowded ones.
        for _ in 0..self.below(60) {
            let line = self.line();
            unit.push_str(&line);
        }
        unit.push_str("\n[Install]\nWantedBy=multi-user.target\nPrivateTmp=yes\n");
        let mut drop_in = String::from("# more\n[Service]\n");
        for _ in 0..self.below(8) {
            let line = self.line();
            drop_in.push_str(&line);
        }
        (unit, drop_in)
    }

    fn line(&mut self) -> String {
        match self.below(10) {
            0 => "; a comment that ends with a backslash \\\n".into(),
            1 | 2 => {
                let (key, words) = *self.pick(&LISTS);
                self.list(key, words)
            }
            _ => {
                let (key, values) = *self.pick(&VALUES);
                // What makes the tool refuse a whole unit shall be rare.
                let value = *self.pick(values);
                let is_fatal =
                    matches!((key, value), ("User", "-1" | "007") | ("RootDirectory", "srv" | "/srv/../etc"));
                if is_fatal && self.below(20) > 0 { String::new() } else { format!("{key}={value}\n") }
            }
        }
    }

    fn list(&mut self, key: &str, words: &[&str]) -> String {
        let mut value = String::from(*self.pick(&["", "~", "", "~"]));
        for _ in 0..self.below(4) {
            value.push_str(self.pick::<&str>(words));
            value.push_str(self.pick::<&str>(&[" ", "  ", " \\\n  ", " \\\n# between\n\t"]));
        }
        // The line ends here, and not with what continues it.
        value.push_str(self.pick::<&str>(words));
        format!("{key} = {value}\n")
    }
}
