//! A repository of packages made by dpkg, apt and GnuPG, and served on this machine.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Outcome;
use crate::command::{explain, program, run};

/// The suite that the repository has.
pub(crate) const SUITE: &str = "test";

/// Serves files below a folder, one port for each run, and says which on its first line.
const SERVER: &str = "
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
";

/// A repository. Dropping it stops the server.
pub(crate) struct Repository {
    /// What is served.
    pub(crate) root: PathBuf,
    /// The key that signs, for others.
    pub(crate) key: PathBuf,
    /// Where it is.
    pub(crate) address: String,
    home: PathBuf,
    _server: Server,
}

/// Serves files on this machine. Dropping it stops that.
pub(crate) struct Server {
    /// Where the files are, without a slash at the end.
    pub(crate) address: String,
    process: Child,
}

impl Server {
    /// Serves what is below `root`.
    pub(crate) fn start(root: &Path) -> Outcome<Self> {
        let mut command = program("python3");
        let mut process = command
            .args(["-c", SERVER])
            .arg(root)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(explain("serve the repository"))?;
        let mut port = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut port).map_err(explain("learn the port of the repository"))?;
        }
        Ok(Self { address: format!("http://127.0.0.1:{}", port.trim()), process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Repository {
    /// Makes keys and an empty repository below `folder`, and serves it.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let (root, home) = (folder.join("repository"), folder.join("gnupg"));
        for path in [&root.join("pool"), &home] {
            fs::create_dir_all(path).map_err(explain("make a folder of the repository"))?;
        }
        run(program("chmod").arg("0700").arg(&home))?;
        let key = folder.join("key.asc");
        for name in ["archive", "stranger"] {
            let make = ["--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never"];
            run(gpg(&home).args(make))?;
        }
        let text = run(gpg(&home).args(["--armor", "--export", "archive"]))?;
        fs::write(&key, text).map_err(explain("write the key"))?;
        let server = Server::start(&root)?;
        Ok(Self { root, key, address: server.address.clone(), home, _server: server })
    }

    /// Builds a package for all architectures; `fields` are lines of its control file.
    pub(crate) fn package(&self, name: &str, version: &str, fields: &str) -> Outcome {
        let tree = self.home.with_file_name("package");
        let folder = tree.join("DEBIAN");
        fs::create_dir_all(&folder).map_err(explain("make a package"))?;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
             {fields}Description: a package of the tests\n"
        );
        fs::write(folder.join("control"), control).map_err(explain("write a control file"))?;
        let target = self.root.join(format!("pool/{name}_{version}_all.deb"));
        run(program("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(target)).map(drop)
    }

    /// Writes indexes and the Release file, with more lines for it, and signs it.
    pub(crate) fn publish(&self, more: &str) -> Outcome {
        let script = "
            rm -rf dists/$0; mkdir -p dists/$0/main/binary-amd64; cd dists/$0
            (cd ../..; apt-ftparchive packages pool) >main/binary-amd64/Packages
            xz -k main/binary-amd64/Packages
            mkdir -p main/binary-amd64/by-hash/SHA256
            for file in main/binary-amd64/Packages main/binary-amd64/Packages.xz; do
                cp $file main/binary-amd64/by-hash/SHA256/$(sha256sum $file | cut -d' ' -f1)
            done
            apt-ftparchive -o APT::FTPArchive::Release::Suite=$0 -o APT::FTPArchive::Release::Codename=$0 \
                -o APT::FTPArchive::Release::Architectures=amd64 -o APT::FTPArchive::Release::Components=main \
                release . >../Release
            { printf '%s' \"$1\"; grep -v '^Acquire-By-Hash' ../Release; } >Release; rm ../Release";
        run(program("sh").args(["-euc", script, SUITE, more]).current_dir(&self.root))?;
        self.sign("archive")
    }

    /// Signs the Release file as it is, by a key, in both forms.
    pub(crate) fn sign(&self, by: &str) -> Outcome {
        let folder = self.dists();
        for (form, file) in [("--clear-sign", "InRelease"), ("--detach-sign", "Release.gpg")] {
            let mut command = gpg(&self.home);
            command.args(["--yes", "--armor", "--local-user", by, "--output"]).arg(folder.join(file));
            run(command.arg(form).arg(folder.join("Release")))?;
        }
        Ok(())
    }

    /// Returns the folder of the Release file.
    pub(crate) fn dists(&self) -> PathBuf {
        self.root.join("dists").join(SUITE)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // The agent of GnuPG ends with its home.
        gpgconf(&self.home).output().ok();
    }
}

fn gpg(home: &Path) -> Command {
    let mut command = program("gpg");
    command.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--homedir"]).arg(home);
    command
}

fn gpgconf(home: &Path) -> Command {
    let mut command = program("gpgconf");
    command.arg("--homedir").arg(home).args(["--kill", "all"]);
    command
}
