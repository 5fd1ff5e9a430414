//! What images of every kind are told, and that an intact one is told nothing.

mod sample;

use std::collections::BTreeSet;

use uuid::Uuid;

use super::*;
use crate::digest::Digest;
use crate::distro::Architecture;
use crate::image::ddi::{Ddi, Fault, SignaturePartition};
use crate::image::gpt::{
    Copy, Fault as TableFault, Partition, PartitionKind, PartitionRole, PartitionType, Reading, Table,
};
use crate::image::read::{FileSystem, FileSystemKind, Format};
use crate::image::signature::{Certificate, Passphrase, SignatureRecord, Signer, SigningKey};
use crate::spec::Scope;
use crate::tree::{Content, DeviceNumber, Kind, Meta, Node, Tree};
use sample::*;

type Make = fn() -> Sample;
type Edit = fn(&mut Sample);

/// For every rule a sample, an edit that breaks it, and one that comes near and does not.
const CASES: &[(&str, Make, Edit, Edit)] = &[
    (
        "SX01",
        sysext,
        |s| end(s.file("/usr/lib/os-release", "ID=x\n")),
        |s| end(s.file("/usr/share/os-release", "ID=x\n")),
    ),
    ("SX02", sysext, |s| end(s.remove(SYSEXT)), |_| {}),
    ("SX02", confext, |s| end(s.remove(CONFEXT).file("/etc/extension-release.app", RELEASE)), |_| {}),
    ("SX03", sysext, |s| s.name = "other.raw", |s| (s.name, s.target.systemd) = ("app_1.2.raw", 254)),
    ("SX03", sysext, |s| s.name = "app_1.raw", |s| (s.name, s.target.systemd) = ("app.sysext.raw", 255)),
    ("SX03", sysext, |s| s.name = "app.sysext.raw", |_| {}),
    ("SX04", sysext, |s| end(relaxed(s, "a")), |s| end(relaxed(s, "a").remove(SYSEXT))),
    (
        "SX05",
        sysext,
        |s| relaxed(s, "a").remove(SYSEXT).format = Format::Directory,
        |s| end(relaxed(s, "a").remove(SYSEXT)),
    ),
    ("SX06", sysext, |s| end(s.file("/usr/share/r", RELEASE).link(SYSEXT, "../../share/r")), |_| {}),
    ("SX07", sysext, |s| end(s.release("VERSION_ID=13\n")), |s| end(s.release("ID=_any\nARCHITECTURE=x86-64\n"))),
    (
        "SX07",
        sysext,
        |s| end(s.release("ID=_any\n").node("/usr/bin/dyn", program(62, Some("/lib64/ld.so")), 0o755)),
        |s| end(s.node("/usr/bin/dyn", program(62, Some("/lib64/ld.so")), 0o755)),
    ),
    ("SX08", sysext, |s| end(s.release("ID=debian\n")), |s| end(s.release("ID=flatcar\nSYSEXT_LEVEL=1.0\n"))),
    (
        "SX09",
        sysext,
        |s| end(s.release("ID=a\nVERSION_ID=1\nARCHITECTURE=x86_64\n")),
        |s| end(s.release("ID=a\nARCHITECTURE=_any\n")),
    ),
    (
        "SX10",
        sysext,
        |s| end(s.node("/usr/bin/arm", program(183, None), 0o755)),
        |s| end(s.node("/usr/bin/two", program(62, None), 0o755)),
    ),
    ("SX10", sysext, |s| end(s.release("ID=a\nVERSION_ID=1\n")), |s| end(s.release("ID=a\n").remove("/usr/bin/app"))),
    (
        "SX11",
        sysext,
        |s| end(s.release("ID=a\nSYSEXT_SCOPE=initrd\n")),
        |s| end(s.release("ID=a\nSYSEXT_SCOPE=\"initrd system\"\n")),
    ),
    ("SX11", sysext, |s| end(s.release("ID=a\nSYSEXT_SCOPE=\"system moon\"\n")), |_| {}),
    ("SX12", sysext, |s| end(s.file("/srv/x", "x")), |s| end(s.file("/opt/x", "x"))),
    ("SX12", confext, |s| end(s.file("/usr/share/x", "x")), |_| {}),
    (
        "SX13",
        sysext,
        |s| end(s.meta("/usr/share", |m| m.mode = 0o700)),
        |s| end(s.directory("/usr/share/app/own/deep").meta("/usr/share/app/own/deep", |m| m.mode = 0o700)),
    ),
    ("SX14", sysext, |s| end(s.meta("/usr/share", |m| m.uid = 1000)), |s| end(s.meta("/", |m| m.uid = 1000))),
    ("SX14", sysext, |s| end(s.meta("/usr/share/app/data", |m| m.gid = 5)), |_| {}),
    ("SX15", sysext, |s| end(s.link("/usr/lib64", "lib")), |s| end(s.link("/usr/lib/app", "../share/app"))),
    ("SX16", sysext, |s| end(s.tree.insert("/usr/bin/vi".parse().unwrap(), Node::whiteout())), |_| {}),
    ("SX16", sysext, |s| end(s.file("/usr/bin/.wh.vi", "")), |s| end(s.file("/usr/bin/.vi", ""))),
    ("SX16", sysext, |s| end(s.node("/usr/share/app", Kind::Directory { opaque: true }, 0o755)), |_| {}),
    (
        "SX17",
        sysext,
        |s| end(s.file("/usr/lib/x86_64-linux-gnu/libc.so.6", "x")),
        |s| end(s.file("/usr/lib/app/libc.so.7", "x")),
    ),
    ("SX18", sysext, |s| end(s.release("ID=a\nVERSION_ID=1\nARCHITECTURE=x86-64\n")), |_| {}),
    ("SX19", sysext, |s| end(s.file("/usr/lib/systemd/system/b.service", WANTED)), |s| end(s.file(UNIT, WANTED))),
    (
        "SX19",
        sysext,
        |s| end(s.file("/usr/lib/systemd/system/b.service", WANTED)),
        |s| {
            end(s
                .file("/usr/lib/systemd/system/b.service", WANTED)
                .link("/usr/lib/systemd/system/multi-user.target.wants/b.service", "../b.service"))
        },
    ),
    (
        "SX20",
        sysext,
        |s| end(s.file("/usr/lib/sysusers.d/a.conf", "u app 900\n").file(UNIT, "[Service]\nUser=app\n")),
        |s| {
            end(s
                .file("/usr/lib/sysusers.d/a.conf", "u app 900\n")
                .file(UNIT, "[Service]\nUser=app\nDynamicUser=yes\n"))
        },
    ),
    ("SX21", sysext, |s| end(s.file("/usr/local/bin/x", "x")), |s| end(s.directory("/usr/local/bin"))),
    ("SX21", sysext, |s| end(s.file("/etc/app.conf", "x")), |s| end(s.file("/usr/share/factory/etc/app.conf", "x"))),
    (
        "SX22",
        confext,
        |s| end(s.meta("/etc/app.conf", |m| m.mode = 0o755)),
        |s| end(s.meta("/etc/app.conf", |m| m.mode = 0o600)),
    ),
    ("SX23", sysext, |s| end(s.node("/usr/share/fifo", Kind::Fifo, 0o600)), |_| {}),
    (
        "SX23",
        sysext,
        |s| end(s.node("/usr/share/null", Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }), 0o600)),
        |_| {},
    ),
    (
        "SX24",
        sysext,
        |s| (s.name, s.siblings) = ("app_1.raw", vec!["app_1.raw".into(), "app_2.raw".into()]),
        |s| (s.name, s.siblings) = ("app_1.raw", vec!["app_1.raw".into(), "other_2.raw".into()]),
    ),
    (
        "SX25",
        sysext,
        |s| end(s.release("ID=a\nEXTENSION_RESTART_UNITS=app\n")),
        |s| {
            s.target.systemd = 262;
            s.release("ID=a\nEXTENSION_RESTART_UNITS=app.service\n");
        },
    ),
    ("SX25", sysext, |s| end(s.release("ID=a\nEXTENSION_RESTART_UNITS=app.service\n")), |_| {}),
    (
        "SX26",
        sysext,
        |s| (s.name, s.siblings) = ("app-1.2.raw", Vec::new()),
        |s| (s.name, s.siblings) = ("app-1.2.raw", vec!["app.raw".into()]),
    ),
    (
        "FS01",
        sysext,
        |s| s.file_system = Some(file_system(FileSystemKind::Ext2)),
        |s| s.file_system = Some(file_system(FileSystemKind::Ext4)),
    ),
    ("FS01", sysext, |s| s.target.kernel = Some((6, 1)), |s| s.target.kernel = Some((6, 12))),
    ("FS02", sysext, |s| s.file_system.as_mut().unwrap().block_size = 16384, |_| {}),
    (
        "FS03",
        sysext,
        |s| s.file_system.as_mut().unwrap().created = Some(1_700_000_000),
        |s| s.file_system.as_mut().unwrap().created = None,
    ),
    (
        "FS04",
        sysext,
        |s| s.target.selinux = true,
        |s| (s.target.selinux, s.file_system.as_mut().unwrap().labelled) = (true, true),
    ),
    (
        "DD01",
        ddi,
        |s| end(s.fault(Fault::NotReadOnly("root".into()))),
        |s| end(s.fault(Fault::NotDiscovered("root".into()))),
    ),
    ("DD01", ddi, |s| end(s.fault(Fault::Grows("root".into()))), |_| {}),
    ("DD02", ddi, |s| end(s.fault(Fault::NotDiscovered("root".into()))), |_| {}),
    ("DD03", ddi, |s| end(s.fault(Fault::RootHash { found: Digest::of(b"a"), named: Digest::of(b"b") })), |_| {}),
    ("DD04", ddi, |s| s.disk.as_mut().unwrap().data = Some(data(PartitionRole::Usr)), |_| {}),
    (
        "DD04",
        ddi,
        |s| {
            s.tree = Tree::new();
            s.directory("/bin").directory("/lib").directory("/share");
        },
        |_| {},
    ),
    ("DD05", ddi, |s| s.disk.as_mut().unwrap().reading.faults.push(TableFault::CopiesDiffer), |_| {}),
    ("DD06", ddi, |s| end(s.fault(Fault::NoTree)), |_| {}),
    ("DD06", ddi, |s| record(s).root_hash = Digest::of(b"other"), |_| {}),
    ("DD06", ddi, |s| record(s).signature = include_bytes!("../../../tests/keys/rsa-keyid.p7s").to_vec(), |_| {}),
    ("DD07", ddi, |s| record(s).fingerprint = Some(Digest::of(b"other")), |s| record(s).fingerprint = None),
    ("DD08", ddi, |s| s.random_signature = true, |s| (s.random_signature, s.target.reproducible) = (true, false)),
    ("DD09", ddi, |s| end(s.fault(Fault::Several("root-x86-64-verity".into()))), |_| {}),
    ("DD09", ddi, |s| end(s.fault(Fault::Stray { data: "usr".into(), found: "root".into() })), |_| {}),
    ("DD10", ddi, |s| (s.target.signed, s.disk.as_mut().unwrap().signature) = (true, None), |s| s.target.signed = true),
    ("DD10", sysext, |s| s.target.scope = Scope::Initrd, |_| {}),
    (
        "PS01",
        portable,
        |s| end(s.remove("/usr/lib/os-release")),
        |s| end(s.remove("/usr/lib/os-release").file("/etc/os-release", "ID=a\n")),
    ),
    ("PS01", portable, |s| end(s.file("/usr/lib/os-release", "NAME=a\n")), |_| {}),
    ("PS02", portable, |s| s.name = "other.raw", |s| s.name = "app_1.2.raw"),
    (
        "PS02",
        portable,
        |s| end(s.file("/usr/lib/systemd/system/app-x.mount", "x")),
        |s| end(s.file("/usr/lib/systemd/system/app-x.timer", "x")),
    ),
    (
        "PS03",
        portable,
        |s| end(s.file("/usr/lib/os-release", "ID=a\nPORTABLE_PREFIXES=other\n")),
        |s| end(s.file("/usr/lib/os-release", "ID=a\nPORTABLE_PREFIXES=\"b app\"\n")),
    ),
    ("PS03", portable, |s| end(s.file("/usr/lib/os-release", "ID=a\n")), |_| {}),
    ("PS04", portable, |s| end(s.remove("/var/tmp")), |s| end(s.directory("/var/tmp/below"))),
    (
        "PS04",
        portable,
        |s| end(s.remove("/etc/resolv.conf")),
        |s| end(s.remove("/etc/resolv.conf").file("/usr/share/r", "").link("/etc/resolv.conf", "../usr/share/r")),
    ),
    (
        "PS05",
        portable,
        |s| end(s.remove("/var/lib/app")),
        |s| end(s.remove("/var/lib/app").link("/var/lib/app", "private/app").directory("/var/lib/private/app")),
    ),
    (
        "PS05",
        portable,
        |s| end(s.file(UNIT, "[Service]\nBindReadOnlyPaths=/etc/hostname\n")),
        |s| end(s.file(UNIT, "[Service]\nReadWritePaths=-/srv/x\n")),
    ),
    ("PS06", portable, |s| end(s.file("/etc/machine-id", "0123\n")), |_| {}),
    (
        "PS07",
        portable,
        |s| end(s.file("/usr/lib/systemd/system/app.service.d/a.conf", "x")),
        |s| end(s.file("/usr/lib/systemd/system/other.service.d/a.conf", "x")),
    ),
    (
        "PS08",
        portable,
        |s| end(s.file(UNIT, "[Service]\nUser=nobody\n")),
        |s| end(s.file(UNIT, "[Service]\nUser=nobody\nDynamicUser=yes\n")),
    ),
    (
        "PS08",
        portable,
        |s| end(s.file(UNIT, "[Service]\nUser=app\n")),
        |s| end(s.file(UNIT, "[Service]\nUser=app\n").file("/etc/passwd", "app:x:900:900::/:/bin/false\n")),
    ),
    (
        "PS09",
        portable,
        |s| end(s.file(UNIT, "[Service]\nExecStart=-/usr/bin/gone --x\n")),
        |s| end(s.file(UNIT, "[Service]\nExecStart=!/usr/bin/app\n")),
    ),
    (
        "PS09",
        portable,
        |s| end(s.node("/usr/bin/dyn", program(62, Some("/lib64/ld.so")), 0o755)),
        |s| {
            end(s
                .node("/usr/bin/dyn", program(62, Some("/lib64/ld.so")), 0o755)
                .file("/usr/lib64/ld.so", "x")
                .link("/lib64", "usr/lib64"))
        },
    ),
    (
        "PS10",
        portable,
        |s| {
            s.target.profile = "strict".into();
            s.file(UNIT, "[Service]\nTasksMax=64\n");
        },
        |s| end(s.file(UNIT, "[Service]\nTasksMax=64\n")),
    ),
    (
        "PS10",
        portable,
        |s| end(s.file(UNIT, "[Service]\nMemoryDenyWriteExecute=no\n")),
        |s| {
            s.target.profile = "trusted".into();
            s.file(UNIT, "[Service]\nMemoryDenyWriteExecute=no\n");
        },
    ),
    (
        "PS10",
        portable,
        |s| {
            s.target.profile = "nonetwork".into();
            s.file(UNIT, "[Service]\nRestrictAddressFamilies=AF_INET\n");
        },
        |_| {},
    ),
    (
        "PS11",
        portable,
        |s| s.target.user_services = true,
        |s| {
            s.target.user_services = true;
            s.file("/usr/lib/os-release", "ID=a\nPORTABLE_PREFIXES=app\nPORTABLE_SCOPE=any\n");
        },
    ),
    (
        "UN01",
        sysext,
        |s| end(s.file(UNIT, "[Service]\nPrivatePIDs=yes\n")),
        |s| {
            s.target.systemd = 257;
            s.file(UNIT, "[Service]\nPrivatePIDs=yes\n");
        },
    ),
    ("UN02", sysext, |s| s.target.exposure = Some(50), |s| s.target.exposure = None),
    (
        "UN03",
        sysext,
        |s| end(s.file("/usr/lib/sysusers.d/a.conf", "u! app 900\n")),
        |s| {
            s.target.systemd = 257;
            s.file(
                "/usr/lib/sysusers.d/a.conf",
                "u! app 900 \"An app\" /var/lib/app\nm app video\nr - 500-900\ng x -\n",
            );
        },
    ),
    ("UN03", sysext, |s| end(s.file("/usr/lib/sysusers.d/a.conf", "u app 65535\n")), |_| {}),
    (
        "UN03",
        sysext,
        |s| end(s.file("/usr/lib/tmpfiles.d/a.conf", "y /run/app 0755\n")),
        |s| end(s.file("/usr/lib/tmpfiles.d/a.conf", "d+ /run/app ~0755 root root -\nL? %t/x - - - - /y\n")),
    ),
    ("UN03", sysext, |s| end(s.file("/usr/lib/tmpfiles.d/a.conf", "d run/app\n")), |_| {}),
    ("UP01", publish, |s| end(s.publish("app_1+2.raw", "")), |s| end(s.publish("app_1.2~rc1.raw", ""))),
    ("UP02", publish, |s| end(s.publish("other_1.raw", "")), |s| end(s.publish("app_2.raw.xz", ""))),
    ("UP02", publish, |s| end(s.publish("b.transfer", TRANSFER)), |_| {}),
    ("UP02", publish, |s| end(s.publish("SHA256SUMS", &format!("{} */etc/x\n", Digest::of(b"x").hex()))), |_| {}),
    ("UP03", publish, |s| end(s.publish("app.transfer", &TRANSFER.replace("Max=2", "Max=1"))), |_| {}),
    (
        "UP03",
        publish,
        |s| s.published.retain(|file| file.name != "SHA256SUMS.gpg"),
        |s| {
            s.published.retain(|file| file.name != "SHA256SUMS.gpg");
            s.publish("app.transfer", &format!("[Transfer]\nVerify=no\n{TRANSFER}"));
        },
    ),
    (
        "OC01",
        oci,
        |s| s.container.as_mut().unwrap().user = "app".into(),
        |s| s.container.as_mut().unwrap().user = "1".into(),
    ),
    (
        "OC01",
        oci,
        |s| s.container.as_mut().unwrap().user = "0:5".into(),
        |s| (s.container.as_mut().unwrap().user, s.target.non_root) = (String::new(), false),
    ),
    (
        "OC02",
        oci,
        |s| s.container.as_mut().unwrap().writable.push("/var/library".into()),
        |s| s.container.as_mut().unwrap().writable.push("/var/lib/app/x".into()),
    ),
    ("OC02", oci, |s| end(s.remove("/var/lib/app")), |_| {}),
    ("HY01", oci, |s| end(s.file("/etc/app/tls.pem", KEY)), |s| end(s.file("/usr/share/doc/app/tls.pem", KEY))),
    (
        "HY01",
        portable,
        |s| end(s.file("/root/.ssh/id", KEY)),
        |s| end(s.file("/etc/app/tls.pem", "-----BEGIN CERTIFICATE-----\n")),
    ),
    (
        "HY02",
        oci,
        |s| end(s.file("/etc/ssh/ssh_host_rsa_key", KEY)),
        |s| end(s.file("/etc/ssh/ssh_host_rsa_key.pub", "x").file("/etc/ssh/ssh_host_ed25519_key", "")),
    ),
    (
        "HY03",
        oci,
        |s| end(s.file("/var/lib/postgresql/17/main/PG_VERSION", "17\n")),
        |s| end(s.file("/usr/share/postgresql/17/PG_VERSION", "17\n")),
    ),
    ("HY03", oci, |s| end(s.file("/var/lib/mysql/ibdata1", "x")), |s| end(s.directory("/var/lib/mysql"))),
    (
        "HY04",
        oci,
        |s| end(s.file("/var/cache/debconf/passwords.dat", "Name: a/b\nValue: secret\n")),
        |s| end(s.file("/var/cache/debconf/passwords.dat", "Name: a/b\nValue:\n")),
    ),
    (
        "HY05",
        oci,
        |s| end(s.file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")),
        |s| end(s.file("/etc/machine-id", "uninitialized\n")),
    ),
    ("HY06", oci, |s| end(s.node("/usr/bin/su", text("x"), 0o4757)), |s| end(s.node("/usr/bin/su", text("x"), 0o4755))),
    (
        "HY06",
        oci,
        |s| end(s.node("/opt/app", Kind::directory(), 0o777).node("/opt/app/helper", text("x"), 0o4755)),
        |s| end(s.node("/opt/app", Kind::directory(), 0o1777).node("/opt/app/helper", text("x"), 0o2775)),
    ),
    (
        "HY07",
        oci,
        |s| end(s.node("/var/lib/app/.sh", text("x"), 0o4755)),
        |s| end(s.node("/var/lib/app/.sh", text("x"), 0o755)),
    ),
    (
        "HY07",
        portable,
        |s| end(s.node("/etc/app/x", text("x"), 0o2755)),
        |s| end(s.node("/usr/libexec/x", text("x"), 0o2755)),
    ),
];

fn text(text: &str) -> Kind {
    Kind::Regular(Content::inline(text.as_bytes()))
}

/// Ends an edit that gives something back.
fn end<T>(_: T) {}

const KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEA\n-----END PRIVATE KEY-----\n";
const WANTED: &str = "[Service]\nDynamicUser=yes\n[Install]\nWantedBy=multi-user.target\n";

fn program(machine: u16, loader: Option<&str>) -> Kind {
    Kind::Regular(Content::inline(elf(machine, loader)))
}

/// Adds a release file that any name goes with.
fn relaxed<'s>(sample: &'s mut Sample, suffix: &str) -> &'s mut Sample {
    let path = format!("/usr/lib/extension-release.d/extension-release.{suffix}");
    sample.name = "other.raw";
    let set = |meta: &mut Meta| drop(meta.xattrs.insert((*b"user.extension-release.strict").into(), (*b"0").into()));
    sample.meta(SYSEXT, set);
    sample.file(&path, RELEASE).meta(&path, set);
    if sample.tree.get(&SYSEXT.parse().unwrap()).is_some() {
        sample.meta(SYSEXT, set);
    }
    sample
}

fn record(sample: &mut Sample) -> &mut SignatureRecord {
    sample.disk.as_mut().unwrap().signature.as_mut().unwrap().record.as_mut().unwrap()
}

#[test]
fn good_samples_break_no_rule() {
    for sample in [sysext(), confext(), portable(), oci(), publish(), ddi()] {
        assert_eq!(sample.findings(), [], "{:?}", sample.class);
    }
}

#[test]
fn every_rule_is_broken_and_kept() {
    let mut wrong = Vec::new();
    for (index, (id, make, breaks, keeps)) in CASES.iter().enumerate() {
        let findings = |edit: &Edit| {
            let mut sample = make();
            edit(&mut sample);
            sample.findings()
        };
        if !findings(breaks).iter().any(|finding| finding.id == *id) {
            wrong.push(format!("{index}: {id} is not broken: {:?}", findings(breaks)));
        }
        if let Some(finding) = findings(keeps).iter().find(|finding| finding.id == *id) {
            wrong.push(format!("{index}: {id} is broken: {}", finding.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let covered: BTreeSet<&str> = CASES.iter().map(|(id, ..)| *id).collect();
    let table: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(covered, table);
    assert_eq!(RULES.len(), table.len(), "every id stands once");
}

#[test]
fn the_table_has_every_rule_in_order() {
    let numbers = [("SX", 26), ("FS", 4), ("DD", 10), ("PS", 11), ("UN", 3), ("UP", 3), ("OC", 2), ("HY", 7)];
    let all = numbers.iter().flat_map(|(prefix, count)| (1..=*count).map(move |number| format!("{prefix}{number:02}")));
    assert_eq!(RULES.iter().map(|rule| rule.id.to_owned()).collect::<Vec<_>>(), all.collect::<Vec<_>>());
}

#[test]
fn profiles_may_allow_every_rule() {
    assert!(RULES.iter().map(|rule| rule.id).eq(crate::spec::RULE_IDS));
}

#[test]
fn the_page_is_made_from_the_table() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lint.md");
    assert_eq!(
        crate::fs::read_to_string(&page).unwrap(),
        markdown(),
        "layerforge lint --list --markdown > docs/lint.md"
    );
}

/// What somebody might write who knows systemd from hearsay: a release file with a name of its own in the folder of the
/// other class, with keys that mean nothing, and a service that asks for a user nobody makes.
#[test]
fn a_first_attempt_is_flagged() {
    let mut attempt = empty(Class::Confext);
    attempt.name = "forum.raw";
    attempt.file("/usr/lib/extension-release.d/forum.conf", "ID=forum\nVERSION=1.0\nEXTENSION_TYPE=confext\n");
    attempt.file("/etc/forum/forum.conf", "x");
    let ids = |sample: &Sample| sample.findings().iter().map(|finding| finding.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&attempt), BTreeSet::from(["SX02", "SX12"]));
    // Renamed and moved it is still for a distribution that there is not, and says no version.
    let mut renamed = empty(Class::Confext);
    renamed.name = "forum.raw";
    renamed.file("/etc/extension-release.d/extension-release.forum", "ID=forum\nVERSION=1.0\nEXTENSION_TYPE=confext\n");
    assert_eq!(ids(&renamed), BTreeSet::from(["SX08"]));

    let mut service = portable();
    service.name = "forum.raw";
    service.remove("/usr/bin/app").remove(UNIT).remove("/etc/machine-id").remove("/var/tmp");
    service.file("/usr/lib/os-release", "ID=forum\n");
    service.file(
        "/usr/lib/systemd/system/forum.service",
        "[Unit]\nAfter=network-online.target database.service\n\n[Service]\nType=notify\nUser=forum\n\
         ExecStart=/usr/bin/forum-server\nTimeoutStartSec=0\nProtectSystem=strict\nReadOnlyPaths=/\n\
         ReadWritePaths=/var/lib/forum\nReadWritePaths=/var/log/forum\nTasksMax=4096\n",
    );
    service.target.exposure = Some(50);
    assert_eq!(ids(&service), BTreeSet::from(["PS03", "PS04", "PS05", "PS08", "PS09", "UN02"]));
}

#[test]
fn links_are_followed_inside_of_the_tree_only() {
    let mut sample = empty(Class::Portable);
    sample.link("/a", "b").link("/b", "a").link("/out", "../../../usr/x").file("/usr/x", "x").link("/lib", "usr");
    let found = |path: &str| release::resolve(&sample.tree, &path.parse().unwrap()).map(|(path, _)| path.to_string());
    assert_eq!(found("/a"), None);
    assert_eq!(found("/out").as_deref(), Some("/usr/x"));
    assert_eq!(found("/lib/x").as_deref(), Some("/usr/x"));
}

#[test]
fn release_files_are_read_as_systemd_reads_them() {
    let fields = release::parse("# c\nA=1\r\nB=\"two \\\" words\"\nC='it'\n\nD\nA=2\n");
    let shown: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(shown, ["A=2", "B=two \" words", "C=it"]);
}

#[test]
fn a_rule_that_many_places_break_is_told_some_times() {
    let mut sample = sysext();
    for index in 0..100 {
        sample.node(&format!("/usr/share/{index}"), Kind::Fifo, 0o600);
    }
    let findings = sample.findings();
    assert_eq!(findings.len(), 21);
    assert_eq!(findings[20].message, "80 more places break this rule");
}
