//! A repository of Arch: made by makepkg, repo-add and GnuPG, read by pacman.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use layerforge::packages::model::Pool;
use layerforge::packages::pacman::index;
use layerforge::packages::trust::Web;

use crate::Outcome;
use crate::command::{explain, program, run};

/// Where packages and database are below the folder of a repository: as on mirrors of Arch.
const PLACE: &str = "repo/test/os/x86_64";

/// A repository made by makepkg and repo-add, its packages signed by a packager that three masters vouch for.
pub(crate) struct Repository {
    /// Where everything about it is: `repo` is what is served, `keys` the keyring.
    pub(crate) folder: PathBuf,
}

impl Repository {
    /// Makes keys and an empty repository.
    pub(crate) fn start(folder: PathBuf) -> Outcome<Self> {
        let repository = Self { folder };
        for name in ["keys", "build", PLACE, "cache"] {
            fs::create_dir_all(repository.folder.join(name)).map_err(explain("make a folder"))?;
        }
        fs::set_permissions(repository.folder.join("keys"), Permissions::from_mode(0o700))
            .map_err(explain("close a folder"))?;
        repository.make_keys()?;
        let conf = format!(
            "[options]\nArchitecture = x86_64\nSigLevel = Required TrustAll DatabaseNever\n\
             [test]\nServer = file://{}/repo/$repo/os/$arch\n",
            repository.folder.display()
        );
        fs::write(repository.folder.join("pacman.conf"), conf).map_err(explain("write pacman.conf"))?;
        Ok(repository)
    }

    /// Makes packages of files: `PKGBUILD` and what it names. Signs them by `signer`, and puts them into the database.
    pub(crate) fn add(&self, files: &[(&str, &str)], signer: &str) -> Outcome {
        for (name, text) in files {
            fs::write(self.folder.join("build").join(name), text).map_err(explain(format!("write {name}")))?;
        }
        let made = self.folder.join("made");
        fs::create_dir_all(&made).map_err(explain("make a folder"))?;
        // makepkg refuses to run as root: it does as somebody else who is root.
        run(program("unshare")
            .args(["--user", "--map-user=1000", "--map-group=1000", "makepkg", "--nodeps", "--nocheck", "--force"])
            .current_dir(self.folder.join("build"))
            .env("PKGDEST", &made)
            .envs([
                ("PACKAGER", "P <p@example.org>"),
                ("SOURCE_DATE_EPOCH", "1700000000"),
                ("PKGEXT", ".pkg.tar.zst"),
                // Owners are in the packages only.
                ("FAKEROOTDONTTRYCHOWN", "1"),
            ]))?;
        // Signatures stand in the database as well, which newer versions of repo-add have to be asked for.
        let script = "
            for package in *.pkg.tar.zst; do
                gpg --batch --no-tty --local-user \"$1@example.org\" --detach-sign \"$package\"
            done
            signatures=$(repo-add --help | grep --only-matching --max-count=1 -e --include-sigs || true)
            made=$(echo *.pkg.tar.zst)
            mv -- * \"$0\"
            cd \"$0\"
            repo-add -q $signatures test.db.tar.gz $made";
        run(program("sh")
            .args(["-euc", script])
            .arg(self.place())
            .arg(signer)
            .current_dir(&made)
            .env("GNUPGHOME", self.folder.join("keys")))?;
        Ok(())
    }

    /// Returns the folder of packages and database.
    pub(crate) fn place(&self) -> PathBuf {
        self.folder.join(PLACE)
    }

    fn gpg(&self) -> Command {
        let mut command = program("gpg");
        command.args(["--batch", "--no-tty", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]);
        command.env("GNUPGHOME", self.folder.join("keys"));
        command
    }

    fn make_keys(&self) -> Outcome {
        for name in ["master1", "master2", "master3", "packager", "stranger"] {
            let id = format!("{name} <{name}@example.org>");
            run(self.gpg().args(["--quick-gen-key", &id, "ed25519", "sign", "never"]))?;
        }
        let packager = self.fingerprint("packager")?;
        for master in ["master1", "master2", "master3"] {
            let master = format!("{master}@example.org");
            run(self.gpg().args(["--local-user", &master, "--quick-sign-key", &packager]))?;
        }
        Ok(())
    }

    /// Returns the fingerprint of a key.
    pub(crate) fn fingerprint(&self, name: &str) -> Outcome<String> {
        let listed = run(self.gpg().args(["--with-colons", "--list-keys", &format!("{name}@example.org")]))?;
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:"));
        let fingerprint = line.and_then(|line| line.split(':').find(|field| !field.is_empty()));
        fingerprint.map(str::to_owned).ok_or(format!("gpg lists no fingerprint of {name}"))
    }

    /// Returns the web of keys with the first so many masters.
    pub(crate) fn web(&self, masters: usize) -> Outcome<Web> {
        let keyring = self.folder.join("keyring.gpg");
        self.export(&keyring, masters)?;
        let keyring = fs::read(keyring).map_err(explain("read the keyring"))?;
        let trusted = fs::read_to_string(self.folder.join("keyring-trusted")).map_err(explain("read the masters"))?;
        Web::read("test", &keyring, &trusted, "").map_err(|error| error.to_string())
    }

    /// Writes the keyring as `NAME.gpg`, and the first so many masters as `NAME-trusted` beside it.
    pub(crate) fn export(&self, keyring: &Path, masters: usize) -> Outcome {
        run(self.gpg().arg("--output").arg(keyring).arg("--export"))?;
        let mut trusted = String::new();
        for number in 1..=masters {
            trusted += &format!("{}:4:\n", self.fingerprint(&format!("master{number}"))?);
        }
        let beside = keyring.with_file_name(format!("{}-trusted", keyring.file_stem().unwrap_or_default().display()));
        fs::write(beside, trusted).map_err(explain("write the masters"))
    }

    /// Returns what the database has.
    pub(crate) fn pool(&self) -> Outcome<Pool> {
        let bytes = fs::read(self.place().join("test.db")).map_err(explain("read the database"))?;
        index::read("test.db", &bytes, "x86_64").map_err(|error| format!("{error:?}"))
    }

    /// pacman for a root and nothing of the host.
    pub(crate) fn pacman(&self, root: &Path, arguments: &[&str]) -> Outcome<String> {
        run(&mut self.pacman_command(root, arguments))
    }

    /// Returns the command of [`Self::pacman`].
    pub(crate) fn pacman_command(&self, root: &Path, arguments: &[&str]) -> Command {
        let mut command = program("pacman");
        command.arg("--config").arg(self.folder.join("pacman.conf")).arg("--root").arg(root);
        command.arg("--dbpath").arg(root.join("var/lib/pacman")).arg("--cachedir").arg(self.folder.join("cache"));
        command.arg("--gpgdir").arg(self.folder.join("keys")).arg("--hookdir").arg(root.join("etc/pacman.d/hooks"));
        command.arg("--logfile").arg(self.folder.join("log")).arg("--noconfirm").args(arguments);
        command
    }
}
