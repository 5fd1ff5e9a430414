//! Samples that break no rule: images, disks and folders, made by hand.

use super::*;

/// Everything that a subject is made of.
pub(super) struct Sample {
    pub(super) class: Class,
    pub(super) name: &'static str,
    pub(super) format: Format,
    pub(super) tree: Tree,
    pub(super) file_system: Option<FileSystem>,
    pub(super) disk: Option<Ddi>,
    pub(super) random_signature: bool,
    pub(super) container: Option<ContainerConfig>,
    pub(super) published: Vec<PublishedFile>,
    pub(super) siblings: Vec<String>,
    pub(super) target: Target,
}

impl Sample {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut subject = Subject::new(self.class, self.name, self.format, &self.target);
        subject.tree = Some(&self.tree);
        subject.file_system = self.file_system.as_ref();
        subject.disk = self.disk.as_ref();
        subject.random_signature = self.random_signature;
        subject.container = self.container.as_ref();
        subject.published = &self.published;
        subject.siblings = &self.siblings;
        lint(&subject)
    }

    pub(super) fn node(&mut self, path: &str, kind: Kind, mode: u16) -> &mut Self {
        let node = Node { kind, meta: Meta::root_owned(mode, 0) };
        self.tree.insert(path.parse().unwrap(), node).unwrap();
        self.tree.complete(|_| Meta::root_owned(0o755, 0));
        self
    }

    pub(super) fn file(&mut self, path: &str, text: impl AsRef<[u8]>) -> &mut Self {
        self.node(path, Kind::Regular(Content::inline(text.as_ref())), 0o644)
    }

    pub(super) fn directory(&mut self, path: &str) -> &mut Self {
        self.node(path, Kind::directory(), 0o755)
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.node(path, Kind::Symlink(target.as_bytes().into()), 0o777)
    }

    pub(super) fn remove(&mut self, path: &str) -> &mut Self {
        self.tree.remove(&path.parse().unwrap());
        self
    }

    pub(super) fn meta(&mut self, path: &str, edit: impl FnOnce(&mut Meta)) -> &mut Self {
        edit(&mut self.tree.get_mut(&path.parse().unwrap()).unwrap().meta);
        self
    }

    pub(super) fn release(&mut self, text: &str) -> &mut Self {
        let path = if self.class == Class::Confext { CONFEXT } else { SYSEXT };
        self.file(path, text)
    }

    pub(super) fn fault(&mut self, fault: Fault) -> &mut Self {
        self.disk.as_mut().unwrap().faults.push(fault);
        self
    }

    pub(super) fn publish(&mut self, name: &str, text: &str) -> &mut Self {
        self.published.retain(|file| file.name != name);
        self.published.push(PublishedFile { name: name.into(), text: Some(text.into()) });
        self
    }
}

pub(super) const SYSEXT: &str = "/usr/lib/extension-release.d/extension-release.app";
pub(super) const CONFEXT: &str = "/etc/extension-release.d/extension-release.app";
pub(super) const UNIT: &str = "/usr/lib/systemd/system/app.service";
pub(super) const RELEASE: &str = "ID=debian\nVERSION_ID=\"13\"\nARCHITECTURE=x86-64\nEXTENSION_RELOAD_MANAGER=1\n";

pub(super) fn empty(class: Class) -> Sample {
    let mut sample = Sample {
        class,
        name: "app.raw",
        format: Format::Raw,
        tree: Tree::new(),
        file_system: Some(file_system(FileSystemKind::Erofs)),
        disk: None,
        random_signature: false,
        container: None,
        published: Vec::new(),
        siblings: vec!["app.raw".into()],
        target: Target { exposure: Some(95), selinux: false, ..Target::default() },
    };
    sample.tree.complete(|_| Meta::root_owned(0o755, 0));
    sample
}

pub(super) fn file_system(kind: FileSystemKind) -> FileSystem {
    FileSystem {
        kind,
        block_size: 4096,
        size: 4096,
        codecs: vec!["zstd"],
        features: Vec::new(),
        uuid: Some([1; 16]),
        created: Some(0),
        labelled: false,
    }
}

pub(super) fn sysext() -> Sample {
    let mut sample = empty(Class::Sysext);
    sample.release(RELEASE).file("/usr/share/app/data", "x").node(
        "/usr/bin/app",
        Kind::Regular(Content::inline(elf(62, None))),
        0o755,
    );
    sample.file(UNIT, "[Service]\nExecStart=/usr/bin/app\nDynamicUser=yes\n");
    sample.file("/usr/lib/systemd/system/multi-user.target.d/10-app.conf", "[Unit]\nUpholds=app.service\n");
    sample
}

pub(super) fn confext() -> Sample {
    let mut sample = empty(Class::Confext);
    sample.release("ID=debian\nVERSION_ID=13\n").file("/etc/app.conf", "x");
    sample
}

pub(super) fn portable() -> Sample {
    let mut sample = empty(Class::Portable);
    for path in ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/lib/app"] {
        sample.directory(path);
    }
    sample.file("/etc/machine-id", "").file("/etc/resolv.conf", "");
    sample.file("/usr/lib/os-release", "ID=app\nPORTABLE_PREFIXES=app\n");
    sample.node("/usr/bin/app", Kind::Regular(Content::inline(elf(62, None))), 0o755);
    sample.file(UNIT, "[Service]\nExecStart=/usr/bin/app --run\nStateDirectory=app\nDynamicUser=yes\n");
    sample
}

pub(super) fn oci() -> Sample {
    let mut sample = empty(Class::Oci);
    let path = || vec!["/var/lib/app".to_owned()];
    sample.container = Some(ContainerConfig { user: "65532:65532".into(), volumes: path(), writable: path() });
    sample.directory("/var/lib/app");
    sample
}

pub(super) const TRANSFER: &str =
    "[Source]\nMatchPattern=app_@v.raw.xz app_@v.raw\n[Target]\nMatchPattern=app_@v.raw\nInstancesMax=2\n";

pub(super) fn publish() -> Sample {
    let mut sample = empty(Class::Publish);
    let sums = format!("{} *app_1.2.raw\n", Digest::of(b"x").hex());
    sample.publish("app.transfer", TRANSFER).publish("SHA256SUMS", &sums);
    sample.publish("SHA256SUMS.gpg", "").publish("app_1.2.raw", "");
    sample
}

pub(super) fn data(role: PartitionRole) -> (Partition, PartitionType) {
    let kind = PartitionType { role, kind: PartitionKind::Data, architecture: Architecture::X86_64 };
    (Partition::new(kind, Uuid::from_bytes([1; 16]), 20480, 4096), kind)
}

pub(super) fn ddi() -> Sample {
    let mut sample = sysext();
    let data = data(PartitionRole::Root);
    let table = Table {
        disk: Uuid::nil(),
        length: 1 << 20,
        sector: 512,
        first_usable: 17408,
        partitions: vec![data.0.clone()],
    };
    let reading = Reading { table, copy: Copy::Primary, faults: Vec::new() };
    let partition = data.0.clone();
    let record = Ok(signed(b"x"));
    let signature = Some(SignaturePartition { partition, record });
    sample.disk = Some(Ddi { reading, data: Some(data), tree: None, signature, faults: Vec::new() });
    sample.format = Format::Ddi;
    sample
}

pub(super) fn signed(root: &[u8]) -> SignatureRecord {
    let key = SigningKey::from_pem(include_str!("../../../tests/keys/p256.pem"), None::<&Passphrase>).unwrap();
    let certificate = Certificate::from_pem(include_str!("../../../tests/keys/p256.crt")).unwrap();
    Signer::with_key(key, certificate).unwrap().sign(&Digest::of(root)).unwrap()
}

/// A program for a machine, with the loader that it needs.
pub(super) fn elf(machine: u16, loader: Option<&str>) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32] = 64;
    bytes[54] = 56;
    if let Some(loader) = loader {
        bytes[56] = 1;
        bytes[64] = 3;
        bytes[72] = 128;
        bytes[96] = loader.len() as u8 + 1;
        bytes[128..128 + loader.len()].copy_from_slice(loader.as_bytes());
    }
    bytes
}
