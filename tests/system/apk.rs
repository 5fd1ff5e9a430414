//! A repository of Alpine: made by the rules of its formats, because there is no apk outside of Alpine. See `apk.py`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Outcome;
use crate::command::{explain, program, run};

/// What makes packages and an index.
const MAKER: &str = include_str!("apk.py");

/// The name of the file of the key that signs.
pub(crate) const KEY: &str = "tests@example.org-1.rsa.pub";

/// A repository.
pub(crate) struct Repository {
    folder: PathBuf,
}

/// What a repository says of a package: its identity, its size and the size of its files.
pub(crate) type Told = BTreeMap<String, (String, u64, u64)>;

impl Repository {
    /// Makes a key, and the folder that is served.
    pub(crate) fn start(folder: PathBuf) -> Outcome<Self> {
        let repository = Self { folder };
        fs::create_dir_all(&repository.folder).map_err(explain("make a folder"))?;
        repository.make_key("key", KEY)?;
        repository.make_key("stranger", "stranger.rsa.pub")?;
        Ok(repository)
    }

    fn make_key(&self, private: &str, public: &str) -> Outcome {
        let (private, public) = (self.folder.join(private), self.folder.join(public));
        run(program("openssl").args(["genrsa", "-out"]).arg(&private).arg("2048"))?;
        run(program("openssl").args(["rsa", "-pubout", "-in"]).arg(private).arg("-out").arg(public)).map(drop)
    }

    /// Returns the folder that is served.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("served")
    }

    /// Returns a file that the repository was made with: a key by its name.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the folder of the index of a branch and repository: `v3.23/main`.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.root().join(name).join("x86_64")
    }

    /// Makes packages, and an index of these and no others, signed by the private key `by` in the name of the key `key_name`.
    pub(crate) fn publish_as(&self, name: &str, packages: &[Value], by: &str, key_name: &str) -> Outcome<Told> {
        let place = self.place(name);
        fs::create_dir_all(&place).map_err(explain("make a folder"))?;
        let asked = json!({
            "folder": place, "key": self.folder.join(by), "key_name": key_name,
            "architecture": "x86_64", "packages": packages,
        });
        let mut child = program("python3")
            .args(["-c", MAKER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(explain("make packages"))?;
        let mut input = child.stdin.take().ok_or("no input")?;
        input.write_all(asked.to_string().as_bytes()).map_err(explain("say which packages"))?;
        drop(input);
        let output = child.wait_with_output().map_err(explain("make packages"))?;
        if !output.status.success() {
            return Err("packages cannot be made".into());
        }
        serde_json::from_slice(&output.stdout).map_err(explain("read what was made"))
    }

    /// Makes packages and an index as it should be.
    pub(crate) fn publish(&self, name: &str, packages: &[Value]) -> Outcome<Told> {
        self.publish_as(name, packages, "key", KEY)
    }
}

/// Describes a package. `info` are lines of its `.PKGINFO`, `scripts` their kinds and texts, `entries` its files: path, kind,
/// mode, owner, content or target; a content that begins with `@` is that of a file.
pub(crate) fn package(
    name: &str,
    version: &str,
    info: &[&str],
    scripts: &[(&str, &str)],
    entries: &[[&str; 5]],
) -> Value {
    let scripts: BTreeMap<&str, &str> = scripts.iter().copied().collect();
    json!({ "name": name, "version": version, "info": info, "scripts": scripts, "entries": entries })
}

/// Describes a package that has nothing but relations.
pub(crate) fn bare(name: &str, version: &str, info: &[&str]) -> Value {
    package(name, version, info, &[], &[])
}

/// Returns the text of a file.
pub(crate) fn text(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(explain(format!("read {}", path.display())))
}
