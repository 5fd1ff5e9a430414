//! A project in a temporary directory, and what the program says when it is run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A project with a cache folder of its own.
pub(crate) struct Session {
    directory: tempfile::TempDir,
}

/// What a run of the program left.
pub(crate) struct Run {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// A small project: two layers, two distros, one template.
pub(crate) const WEB: &[(&str, &str)] = &[
    (
        "profiles/web.toml",
        "summary = \"A page\"\nversion = \"1.2\"\nlayers = [\"site\"]\n\n[distro.alpine]\n[distro.debian]\n\n\
         [variable.title]\ntype = \"string\"\ndefault = \"Hello\"\nhelp = \"Title of the page\"\n\n\
         [file.\"/srv/www/robots.txt\"]\ncontent = \"Disallow: /\\n\"\n",
    ),
    ("layers/base/layer.toml", "tier = \"base\"\nsummary = \"What every image has\"\n"),
    ("layers/base/files/etc/motd.j2", "{{ title }} on {{ distro.name }}\n"),
    ("layers/base/files.debian/etc/issue", "Debian\n"),
    ("layers/site/layer.toml", "tier = \"application\"\nsummary = \"The page\"\nrequires = [\"base\"]\n"),
    ("layers/site/files/srv/www/index.html.j2", "<h1>{{ title }}</h1>\n"),
    ("layers/site/files/srv/www/robots.txt", "Allow: /\n"),
];

impl Session {
    /// Makes an empty directory.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("project")).unwrap();
        Self { directory }
    }

    /// Makes the small project.
    pub(crate) fn web() -> Self {
        let session = Self::empty();
        for (path, text) in WEB {
            session.write(path, text);
        }
        session
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join("project").join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, relative: &str) {
        fs::remove_file(self.path(relative)).unwrap();
    }

    /// Prepares to run `program` in the project, with nothing of the surrounding environment but the path.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("."))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("LAYERFORGE_STORE", self.directory.path().join("store"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program with arguments that hold no spaces.
    pub(crate) fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, |_| {})
    }

    pub(crate) fn run_with(&self, arguments: &str, prepare: impl FnOnce(&mut Command)) -> Run {
        let mut command = self.command(env!("CARGO_BIN_EXE_layerforge"));
        command.args(arguments.split_whitespace());
        prepare(&mut command);
        let done = command.output().unwrap();
        let text = |bytes: Vec<u8>| self.steady(&String::from_utf8(bytes).expect("the program writes UTF-8"));
        Run {
            line: format!("layerforge {arguments}").trim_end().to_owned(),
            code: done.status.code().expect("it ends by itself"),
            output: text(done.stdout),
            errors: text(done.stderr),
        }
    }

    /// Takes out of a text what is different in every run.
    fn steady(&self, text: &str) -> String {
        let mut text = text.replace(&*self.directory.path().to_string_lossy(), "[DIR]");
        // Digests say nothing to a reader, and change with every letter of the project.
        while let Some(start) = text.find("sha256:") {
            let digits = text[start + 7..].bytes().take_while(u8::is_ascii_hexdigit).count();
            text.replace_range(start..start + 7 + digits, "[DIGEST]");
        }
        text
    }
}

impl Run {
    /// Returns what a person at a terminal would have seen, the two streams told apart.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("$ {}\n", self.line);
        shown.push_str(&self.output);
        for line in self.errors.lines() {
            shown.push_str(format!("2> {line}").trim_end());
            shown.push('\n');
        }
        if self.code != 0 {
            shown.push_str(&format!("exit code {}\n", self.code));
        }
        shown
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }
}

/// Joins runs to one text.
pub(crate) fn transcript<'run>(runs: impl IntoIterator<Item = &'run Run>) -> String {
    runs.into_iter().map(Run::shown).collect::<Vec<_>>().join("\n")
}

/// Writes a tar archive of `directory` with GNU tar, owned by `owner`.
pub(crate) fn tar(directory: &Path, archive: &Path, owner: u32) {
    let mut list = Command::new("tar");
    list.arg("--create").arg("--sort=name").arg("--file").arg(archive);
    list.arg(format!("--owner=user:{owner}")).arg(format!("--group=group:{owner}"));
    let done = list.arg("--directory").arg(directory).arg(".").output().unwrap();
    std::io::stderr().write_all(&done.stderr).unwrap();
    assert!(done.status.success());
}
