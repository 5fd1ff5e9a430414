//! Four distributions of one profile: all at once, and one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::done;
use crate::measure::{self, Sample};
use crate::{Result, Task, file, layerforge, repositories};

/// The names under which tasks are found again.
pub(crate) const TOGETHER: &str = "render --distro all";
pub(crate) const APART: &str = "render --jobs 1, four times";

const DISTROS: [&str; 4] = ["alpine", "arch", "debian", "ubuntu"];

/// Runs every task once per round; returns them with the number of bytes of each tree.
pub(crate) fn run(folder: &Path, rounds: usize) -> Result<(Vec<Task>, u64)> {
    let bytes = repositories::make(&folder.join("project/repositories"))?;
    write(folder)?;
    let bench = Bench { folder: folder.to_owned() };
    bench.is_the_same_work()?;
    let mut tasks = Task::all(&[APART, TOGETHER]);
    for round in 0..rounds {
        eprint!("\rtogether: round {} of {rounds} ", round + 1);
        for task in &mut tasks {
            task.samples.push(bench.sample(task.name)?);
        }
    }
    eprint!("\r                              \r");
    Ok((tasks, bytes))
}

/// Writes the project.
fn write(folder: &Path) -> Result<()> {
    let at = folder.join("project/repositories");
    let at = at.display();
    let mut text =
        String::from("[packages]\nvariant = 'none'\nscripts = 'skip'\n[output.rootfs]\npackages = 'bundled'\n");
    for (distro, source) in [
        ("alpine", "alpine"),
        ("arch", "arch"),
        ("debian", "debian"),
        ("debian", "debian-security"),
        ("ubuntu", "ubuntu"),
        ("ubuntu", "ubuntu-security"),
    ] {
        text += &format!("[distro.{distro}.source.{source}]\nwhen = 'false'\n");
    }
    text += "[source.debs]\nwhen = \"distro.family == 'apt'\"\ndirectory = 'repositories/debs'\n";
    for distro in ["alpine", "arch"] {
        text += &format!(
            "[source.{distro}-own]\nwhen = \"distro.id == '{distro}'\"\nflat = true\ntrusted = true\nmirrors = ['file://{at}/{distro}']\n"
        );
    }
    let package = |number| format!("[package.p{number:03}]\n");
    text += &(0..repositories::PACKAGES).map(package).collect::<String>();
    file(folder, "profiles/all.toml", &text)
}

struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Removes everything that was made, and the lock.
    fn clear(&self) -> Result<()> {
        for path in [self.out(), self.folder.join("store"), self.folder.join("project/profiles/all.lock")] {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    }

    fn render(&self, distro: &str) -> Command {
        let mut command = layerforge(&self.folder);
        command.args(["render", "all", "--quiet", "--distro", distro]);
        command
    }

    fn together(&self) -> Command {
        let mut command = self.render("all");
        command.arg("--dest").arg(self.out());
        command
    }

    /// Returns what renders one after the other, as one process.
    fn apart(&self) -> Command {
        let one = self.render("\"$distro\"");
        let words: Vec<_> = one.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let line = format!(
            "for distro in {}; do '{}' --jobs 1 {} --dest '{}'/\"$distro\" || exit; done",
            DISTROS.join(" "),
            one.get_program().to_string_lossy(),
            words.join(" "),
            self.out().display()
        );
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &line]).current_dir(self.folder.join("project"));
        shell.envs(one.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    }

    /// Makes sure that both write the same trees.
    fn is_the_same_work(&self) -> Result<()> {
        let kept = self.folder.join("kept");
        self.clear()?;
        done(&mut self.apart())?;
        fs::rename(self.out(), &kept)?;
        self.clear()?;
        done(&mut self.together())?;
        for distro in DISTROS {
            let rootfs = |folder: PathBuf| folder.join(distro).join("rootfs");
            done(
                Command::new("diff").args(["-r", "--no-dereference"]).args([rootfs(kept.clone()), rootfs(self.out())]),
            )?;
        }
        Ok(fs::remove_dir_all(kept)?)
    }

    fn sample(&self, task: &str) -> Result<Sample> {
        self.clear()?;
        measure::run(&if task == TOGETHER { self.together() } else { self.apart() })
    }
}
