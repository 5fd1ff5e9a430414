//! The program, run in folders of its own, and what is on disk after it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_layerforge");

/// A user that owns nothing.
pub(crate) const NOBODY: &str = "65534";

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    /// Both outputs, the standard one first.
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        Self { code: output.status.code(), text }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    /// Asserts that the run failed with `code` and said each of `words`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "`{word}` is not said in:\n{}", self.text);
        }
        self
    }

    pub(crate) fn is_up_to_date(&self) -> bool {
        self.text.contains("is up to date") && !self.text.contains("wrote")
    }
}

/// A folder with a project, a store and everything else that a test makes.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// A world on another file system.
    pub(crate) fn inside(directory: &str) -> Self {
        Self::of(tempfile::tempdir_in(directory).unwrap())
    }

    fn of(folder: TempDir) -> Self {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let world = Self { folder };
        fs::create_dir(world.project()).unwrap();
        world
    }

    /// A world with the small project that most tests render; see [`World::write_site`].
    pub(crate) fn with_site() -> Self {
        let world = Self::new();
        world.write_site("one");
        world
    }

    /// Writes a project with two layers, files of all kinds, something for `rootfs.tar`, and two distros. `word` stands in
    /// some of the files.
    pub(crate) fn write_site(&self, word: &str) {
        let profile = format!(
            "version = \"1\"\nlayers = [\"base\", \"app\"]\n\n[distro.alpine]\n[distro.debian]\n\n[variable.word]\n\
             default = \"{word}\"\n\n[package.curl]\n"
        );
        self.write("profiles/default.toml", profile);
        self.write("layers/base/layer.toml", "tier = \"base\"\n\n[directory.\"/srv/site\"]\nmode = \"0750\"\n");
        self.write("layers/base/files/etc/issue", "from the base\n");
        let app = "tier = \"application\"\n\n[file.\"/etc/app/secret\"]\ncontent = \"secret {{ word }}\"\nmode = \"0600\"\n\
                   owner = 70\n\n[link.\"/etc/app/current\"]\ntarget = \"app.conf\"\n\n[file.\"/etc/app/copied\"]\n\
                   source = \"source.txt\"\n";
        self.write("layers/app/layer.toml", app);
        self.write("layers/app/source.txt", format!("copied {word}\n"));
        self.write("layers/app/files/etc/app/app.conf.j2", "word = {{ word }}\ndistro = {{ distro.name }}\n");
        self.write("layers/app/files.debian/etc/app/only", "debian\n");
        for number in 0..30 {
            self.write(&format!("layers/app/files/usr/share/app/{}/{number}", number % 3), format!("{number}\n"));
        }
    }

    pub(crate) fn at(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.at("project")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.at("store")
    }

    /// The destination of the distro of the small project that most tests render.
    pub(crate) fn destination(&self) -> PathBuf {
        self.project().join("out/default/debian")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        write(&self.project().join(relative), text);
    }

    /// The program, to be run in the project with nothing else in its environment.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.project()).args(arguments);
        self.surround(&mut command);
        command
    }

    /// The program, run by another one: `prefix` and its arguments come first.
    pub(crate) fn program_through(&self, prefix: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(prefix[0]);
        command.current_dir(self.project()).args(&prefix[1..]).arg(PROGRAM).args(arguments);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LAYERFORGE_STORE", self.store());
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.program(arguments).output().unwrap())
    }

    /// Renders the small project for Debian.
    pub(crate) fn render(&self, arguments: &[&str]) -> Said {
        self.run(&[&["render", "--distro", "debian"], arguments].concat())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !is_root() {
            // Results hold directories that even their owner may not write.
            Command::new("chmod").args(["-R", "u+rwX"]).arg(self.folder.path()).status().unwrap();
        }
    }
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What stands at a path, as far as it is part of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) mode: u32,
    pub(crate) time: (i64, i64),
    pub(crate) content: Vec<u8>,
}

/// Returns everything below `folder`, links not followed.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Found> {
    walk(folder, &|path, metadata| {
        let content = match () {
            () if metadata.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_vec(),
            () if metadata.is_file() => fs::read(path).unwrap(),
            () => Vec::new(),
        };
        Found { mode: metadata.mode(), time: (metadata.mtime(), metadata.mtime_nsec()), content }
    })
}

/// A path's inode number, then its times of modification and of change.
pub(crate) type Stamp = (u64, (i64, i64), (i64, i64));

/// Returns what no write and no rename below `folder`, or of itself, leaves as it was.
pub(crate) fn stamps(folder: &Path) -> BTreeMap<PathBuf, Stamp> {
    let stamp = |_: &Path, metadata: &fs::Metadata| {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        (metadata.ino(), (metadata.mtime(), metadata.mtime_nsec()), changed)
    };
    let mut stamps = walk(folder, &stamp);
    stamps.insert(PathBuf::new(), stamp(folder, &fs::symlink_metadata(folder).unwrap()));
    stamps
}

fn walk<T>(folder: &Path, look: &dyn Fn(&Path, &fs::Metadata) -> T) -> BTreeMap<PathBuf, T> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), look(&path, &metadata));
            if metadata.is_dir() {
                left.push(path);
            }
        }
    }
    found
}

/// Asserts that two snapshots are the same; names what is not, instead of printing both.
#[track_caller]
pub(crate) fn assert_same(found: &BTreeMap<PathBuf, Found>, expected: &BTreeMap<PathBuf, Found>, why: &str) {
    let paths: std::collections::BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    for path in paths {
        assert_eq!(found.get(path), expected.get(path), "{why}: `{}`", path.display());
    }
}

/// Returns the names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Copies a project elsewhere, with the modes of its files.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        let metadata = fs::symlink_metadata(&from).unwrap();
        if metadata.is_dir() {
            copy(&from, &to);
        } else if metadata.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A small file system in memory, as long as the value lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts one of `size` at `target`. Returns nothing, and says so, when this user may not.
    pub(crate) fn tmpfs(target: &Path, size: &str) -> Option<Self> {
        if !is_root() {
            println!("skipped: only root can mount a small file system");
            return None;
        }
        fs::create_dir_all(target).unwrap();
        let options = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(target).output().unwrap();
        assert!(output.status.success(), "root cannot mount: {}", String::from_utf8_lossy(&output.stderr));
        Some(Self(target.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}
