//! What all cases share: a scratch folder, engines, a base image, machines. All but the folder is made when a case needs it.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use layerforge::deploy::{Engine, Program, run_command};
use layerforge::distro::Wish;
use layerforge::resolve::{Library, Recipe, Request, resolve};
use layerforge::spec::{Project, SpecError};

use crate::Outcome;
use crate::base::{self, Base};
use crate::command::{explain, program, run};
use crate::containers::Containers;
use crate::docker::Docker;
use crate::machine::tree::{Suite, Tree};
use crate::machine::{Emulator, Machine};

/// What all cases share. Dropping it stops what was started and removes what was written, but for the cache.
pub(crate) struct World {
    engines: OnceCell<Engines>,
    cache: PathBuf,
    scratch: Scratch,
}

/// What builds and runs containers.
pub(crate) struct Engines {
    pub(crate) docker: Docker,
    pub(crate) containers: Containers,
}

/// The release of Debian that profiles are rendered for.
const RELEASE: &str = "trixie";

/// A rendered profile: the folder that holds `rootfs/` and `Dockerfile`, and what it was resolved to.
pub(crate) struct Rendered {
    pub(crate) folder: PathBuf,
    pub(crate) recipe: Recipe,
}

impl Rendered {
    /// Returns what follows `run` in the command that layerforge gives for `program` of `image`, but for what concerns
    /// the network: containers share that of the host, because the daemon of the tests has no bridge.
    pub(crate) fn run_options(&self, image: &str, program: Program<'_>, engine: Engine) -> Outcome<Vec<String>> {
        let command =
            run_command(&self.recipe, image, self.started(), program, engine).map_err(|error| error.to_string())?;
        let mut words = command.into_iter().skip_while(|word| word != "run").skip(1);
        let mut options = vec!["--network=host".to_owned()];
        while let Some(word) = words.next() {
            match word.as_str() {
                // What a container leaves behind is looked at before it is removed.
                "--rm" => {}
                "--publish" => drop(words.next()),
                // podman sets other limits, too, when it is asked for one, and may not raise them everywhere.
                "--ulimit" if engine == Engine::Podman => drop(words.next()),
                "--network" => drop(options.splice(..1, [word, words.next().unwrap_or_default()])),
                _ => options.push(word.replace("source=./", &format!("source={}/", self.folder.display()))),
            }
        }
        Ok(options)
    }

    /// Returns the process that the image starts.
    pub(crate) fn started(&self) -> Option<&str> {
        self.recipe.outputs.rootfs.as_ref().and_then(|rootfs| rootfs.process.as_deref())
    }
}

impl World {
    /// Prepares everything; what an earlier run left behind when it was killed is cleared away first.
    pub(crate) fn set_up() -> Outcome<Self> {
        let cache = cache_folder()?;
        let scratch = Scratch::claim(&cache)?;
        Ok(Self { engines: OnceCell::new(), cache, scratch })
    }

    /// Returns docker, which knows the base image.
    pub(crate) fn docker(&self) -> Outcome<&Docker> {
        Ok(&self.engines()?.docker)
    }

    /// Returns buildah and podman, which know the base image.
    pub(crate) fn containers(&self) -> Outcome<&Containers> {
        Ok(&self.engines()?.containers)
    }

    fn engines(&self) -> Outcome<&Engines> {
        get_or_make(&self.engines, || {
            let base = self.base()?;
            let docker = Docker::find_or_start(&self.scratch.path)?;
            docker.import(&base)?;
            let containers = Containers::set_up(&self.scratch.path)?;
            containers.import(&base)?;
            Ok(Engines { docker, containers })
        })
    }

    /// Returns the base image.
    pub(crate) fn base(&self) -> Outcome<Base> {
        base::debian(&self.cache, RELEASE)
    }

    /// Returns an unpacked Debian of the given suite.
    pub(crate) fn tree(&self, suite: &Suite) -> Outcome<Tree> {
        Tree::find_or_make(&self.cache, suite)
    }

    /// Returns the emulator of virtual machines.
    pub(crate) fn emulator(&self) -> Outcome<Emulator> {
        Emulator::find_or_make(&self.cache)
    }

    /// Returns a machine that boots `tree`, and whose folder is called `name`.
    pub(crate) fn machine<'tree>(&self, name: &str, tree: &'tree Tree) -> Outcome<Machine<'tree>> {
        Machine::new(tree, self.folder(&format!("machine-{name}"))?)
    }

    /// Renders a profile that the program carries, for Debian, in a folder that has nothing of its own.
    pub(crate) fn render(&self, profile: &str, settings: &[String]) -> Outcome<Rendered> {
        self.render_in(&self.folder("project")?, profile, settings)
    }

    /// Renders `profile` of the project below `project` for Debian as a user would.
    pub(crate) fn render_in(&self, project: &Path, profile: &str, settings: &[String]) -> Outcome<Rendered> {
        let folder = self.scratch.path.join(format!("render-{profile}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(explain(format!("remove {}", folder.display())))?;
        }
        let mut command = layerforge(project, profile);
        command.args(["--distro", "debian", "--release", RELEASE]).arg("--dest").arg(&folder);
        for setting in settings {
            command.args(["--set", setting]);
        }
        run(&mut command)?;
        Ok(Rendered { folder, recipe: recipe(project, profile, RELEASE)? })
    }

    /// Returns the folder for what is used again by later runs.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Returns a new folder for a case.
    pub(crate) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.scratch.path.join(name);
        fs::create_dir_all(&folder).map_err(explain(format!("make {}", folder.display())))?;
        Ok(folder)
    }
}

/// Returns the command that renders `profile` of the project below `project`.
pub(crate) fn layerforge(project: &Path, profile: &str) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
    command.current_dir(project).args(["render", profile]);
    command
}

/// Returns the repository that the tests belong to.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Resolves a profile, to know what it declares to be writable.
fn recipe(project: &Path, profile: &str, release: &str) -> Outcome<Recipe> {
    let explain = |error: SpecError| error.to_string();
    let library = Library::load(Arc::new(Project::open(project)), profile).map_err(explain)?;
    let distros = library.distros().map_err(explain)?;
    let (distro, table) = distros.into_iter().find(|(name, _)| name.as_str() == "debian").ok_or("no debian")?;
    let wish = Wish { release: Some(release.to_owned()), architecture: None };
    resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).map_err(explain)
}

/// Returns what is in `cell`, where `make` puts it first; a failure is tried again next time.
fn get_or_make<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Outcome<T>) -> Outcome<&T> {
    match cell.get() {
        Some(made) => Ok(made),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}

/// The folder of files that survive a run, such as base images.
fn cache_folder() -> Outcome<PathBuf> {
    let of = |name: &str, below: &str| std::env::var_os(name).map(|value: OsString| PathBuf::from(value).join(below));
    let cache = of("XDG_CACHE_HOME", "layerforge-tests").or_else(|| of("HOME", ".cache/layerforge-tests"));
    let cache = cache.ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    fs::create_dir_all(&cache).map_err(explain(format!("make {}", cache.display())))?;
    Ok(cache)
}

/// A folder that one run at a time works in.
struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Takes the folder below `cache` for this run and empties it.
    fn claim(cache: &Path) -> Outcome<Self> {
        let lock_path = cache.join("scratch.lock");
        let lock = File::create(&lock_path).map_err(explain(format!("open {}", lock_path.display())))?;
        lock.try_lock().map_err(|_| format!("another run holds {}", lock_path.display()))?;
        let path = cache.join("scratch");
        Docker::stop_leftovers(&path)?;
        remove(&path)?;
        fs::create_dir_all(&path).map_err(explain(format!("make {}", path.display())))?;
        // Engines look into it as other users, too.
        fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(explain("open the scratch folder"))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(message) = remove(&self.path) {
            crate::say(&message);
        }
    }
}

/// Removes a folder and whatever is still mounted below it.
fn remove(path: &Path) -> Outcome {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(explain("read /proc/self/mountinfo"))?;
    let below =
        mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| Path::new(point).starts_with(path));
    // Later mounts lie upon earlier ones.
    for point in below.collect::<Vec<_>>().into_iter().rev() {
        run(program("umount").args(["--lazy", point]))?;
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}
