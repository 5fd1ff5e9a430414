//! Images made by other tools, of a content that scenarios know. They are the control group: what a machine says about
//! them shows that the machine is able to judge.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::command::{explain, program, run};
use crate::machine::tree::Tree;

/// Makes images below a folder, with the tools of a tree and of the host.
pub(crate) struct Peer<'tree> {
    tools: &'tree Tree,
    folder: PathBuf,
}

/// Who signs images: PEM files of a private key and its certificate.
pub(crate) struct Signer {
    pub(crate) key: PathBuf,
    pub(crate) certificate: PathBuf,
}

/// The release fields of an extension that fits Debian 13 only.
pub(crate) const FOR_DEBIAN_13: &str = "ID=debian\nVERSION_ID=13\n";

impl<'tree> Peer<'tree> {
    pub(crate) fn new(tools: &'tree Tree, folder: PathBuf) -> Self {
        Self { tools, folder }
    }

    /// Makes the tree of the sysext `name`: a note, and a service that starts when the extension is merged.
    pub(crate) fn sysext(&self, name: &str, release: &str) -> Outcome<PathBuf> {
        let units = "usr/lib/systemd/system";
        let unit = format!("[Service]\nExecStart=/bin/sleep infinity\n# {name}\n");
        let release = format!("{release}EXTENSION_RELOAD_MANAGER=1\n");
        self.tree(
            name,
            &[
                (&format!("usr/lib/extension-release.d/extension-release.{name}"), &release),
                (&format!("usr/share/{name}/note"), &format!("note of {name}\n")),
                // More than one block, so that verity has a tree.
                (&format!("usr/share/{name}/filler"), &"filler\n".repeat(5000)),
                (&format!("{units}/{name}.service"), &unit),
                (&format!("{units}/multi-user.target.d/10-{name}.conf"), &format!("[Unit]\nUpholds={name}.service\n")),
            ],
        )
    }

    /// Makes the tree of the confext `name`: a note.
    pub(crate) fn confext(&self, name: &str, release: &str) -> Outcome<PathBuf> {
        self.tree(
            name,
            &[
                (&format!("etc/extension-release.d/extension-release.{name}"), release),
                (&format!("etc/{name}/note"), &format!("note of {name}\n")),
            ],
        )
    }

    /// Makes the tree of the portable service `name`, which runs `program`, a static busybox.
    pub(crate) fn portable(&self, name: &str, busybox: &Path) -> Outcome<PathBuf> {
        let tree = self.portable_base(name, name)?;
        self.write(&tree, &format!("var/lib/{name}/.keep"), "")?;
        self.service(&tree, name, busybox)?;
        Ok(tree)
    }

    /// Makes the tree of a portable image without services, that extensions of the prefix `services` bring.
    pub(crate) fn portable_base(&self, name: &str, services: &str) -> Outcome<PathBuf> {
        let release = format!("{FOR_DEBIAN_13}PORTABLE_PREFIXES={services}\n");
        let tree = self.tree(
            name,
            &[
                ("usr/lib/os-release", &release),
                ("etc/os-release", &release),
                ("etc/machine-id", ""),
                ("etc/resolv.conf", ""),
            ],
        )?;
        for folder in ["proc", "sys", "dev", "run", "tmp", "var/tmp", &format!("var/lib/{services}")] {
            fs::create_dir_all(tree.join(folder)).map_err(explain(format!("make {folder}")))?;
        }
        Ok(tree)
    }

    /// Makes the tree of a sysext that brings the portable service `name` to an image made by [`Self::portable_base`].
    pub(crate) fn portable_extension(&self, name: &str, busybox: &Path) -> Outcome<PathBuf> {
        let release = format!("{FOR_DEBIAN_13}PORTABLE_PREFIXES={name}\n");
        let tree = self.tree(name, &[(&format!("usr/lib/extension-release.d/extension-release.{name}"), &release)])?;
        self.service(&tree, name, busybox)?;
        Ok(tree)
    }

    /// Puts a service that leaves a note in its state directory, and the program that it runs, into a tree.
    fn service(&self, tree: &Path, name: &str, busybox: &Path) -> Outcome {
        let unit = format!(
            "[Service]\nStateDirectory={name}\n\
             ExecStart=/usr/bin/busybox sh -c 'echo note of {name} >$STATE_DIRECTORY/note; \
             exec /usr/bin/busybox sleep 1000000'\n"
        );
        self.write(tree, &format!("usr/lib/systemd/system/{name}.service"), &unit)?;
        let place = tree.join("usr/bin/busybox");
        fs::create_dir_all(tree.join("usr/bin")).map_err(explain("make usr/bin"))?;
        fs::copy(busybox, &place).map_err(explain(format!("copy {}", busybox.display())))?;
        fs::set_permissions(&place, Permissions::from_mode(0o755)).map_err(explain("make busybox executable"))
    }

    /// Makes `NAME.raw`, an EROFS of `tree`, with options of mkfs.erofs.
    pub(crate) fn erofs(&self, tree: &Path, options: &[&str]) -> Outcome<PathBuf> {
        let image = tree.with_added_extension("raw");
        let mut command = self.tools.program("mkfs.erofs", &self.folder);
        command.args(["--quiet", "--all-root", "-T1"]).args(options);
        command.args([shared(&image, &self.folder), shared(tree, &self.folder)]);
        run(&mut command)?;
        Ok(image)
    }

    /// Makes `NAME.raw`, a SquashFS of `tree`.
    pub(crate) fn squashfs(&self, tree: &Path) -> Outcome<PathBuf> {
        let image = tree.with_added_extension("raw");
        let mut command = program("mksquashfs");
        command.arg(tree).arg(&image).args(["-quiet", "-no-progress", "-all-root", "-noappend", "-comp", "zstd"]);
        run(&mut command)?;
        Ok(image)
    }

    /// Makes `NAME.raw`, a DDI of `tree` signed by `signer`, as systemd-repart makes it for `class`: `sysext`,
    /// `confext` or `portable`.
    pub(crate) fn ddi(&self, tree: &Path, class: &str, signer: &Signer) -> Outcome<PathBuf> {
        let image = tree.with_added_extension("raw");
        let mut command = self.tools.program("systemd-repart", &self.folder);
        command.args(["--offline=yes", "--seed=00112233445566778899aabbccddeeff", &format!("--make-ddi={class}")]);
        for (option, path) in [
            ("--private-key", &signer.key),
            ("--certificate", &signer.certificate),
            ("--copy-source", &tree.to_owned()),
        ] {
            command.arg(format!("{option}={}", shared(path, &self.folder).display()));
        }
        run(command.arg(shared(&image, &self.folder)))?;
        Ok(image)
    }

    /// Makes a key and the certificate `NAME.crt` of it.
    pub(crate) fn signer(&self, name: &str) -> Outcome<Signer> {
        let signer = Signer {
            key: self.folder.join(format!("{name}.key")),
            certificate: self.folder.join(format!("{name}.crt")),
        };
        let mut command = program("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=layerforge"]);
        run(command.arg("-keyout").arg(&signer.key).arg("-out").arg(&signer.certificate))?;
        Ok(signer)
    }

    fn tree(&self, name: &str, files: &[(&str, &str)]) -> Outcome<PathBuf> {
        let tree = self.folder.join(name);
        for (path, text) in files {
            self.write(&tree, path, text)?;
        }
        Ok(tree)
    }

    fn write(&self, tree: &Path, path: &str, text: &str) -> Outcome {
        let place = tree.join(path);
        fs::create_dir_all(place.parent().unwrap_or(tree)).map_err(explain(format!("make {}", place.display())))?;
        fs::write(&place, text).map_err(explain(format!("write {}", place.display())))
    }
}

/// Returns what a program of a tree calls `path`, which lies below the folder that it shares.
fn shared(path: &Path, folder: &Path) -> PathBuf {
    Path::new("/mnt").join(path.strip_prefix(folder).unwrap_or(path))
}
