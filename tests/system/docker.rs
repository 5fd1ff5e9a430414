//! Docker: the daemon that answers, or one of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::base::Base;
use crate::command::{explain, program, run, wait_for};
use crate::machine::tree::Tree;

/// The name of the base image, here and in the other engines.
pub(crate) const BASE: &str = "localhost/layerforge-test-base:latest";

/// Runs the daemon of a tree in an overlay over it. Its mounts go with it.
const HOUSE: &str = "\
mount -t overlay -o \"lowerdir=$1,upperdir=$2/upper,workdir=$2/work\" overlay \"$2/root\"
for place in proc sys dev; do mount --rbind /$place \"$2/root/$place\"; done
mount -t tmpfs tmpfs \"$2/root/run\"
mount --bind \"$2/mnt\" \"$2/root/mnt\"
exec chroot \"$2/root\" dockerd --bridge=none --iptables=false --ip6tables=false --host unix:///mnt/socket \\
    --data-root /mnt/data --exec-root /mnt/exec --pidfile /mnt/pid
";

/// A docker daemon. Dropping it stops the one that was started, and removes what was made in one that was there.
pub(crate) struct Docker {
    client: PathBuf,
    host: Option<String>,
    daemon: Option<Child>,
}

/// The two ways in which docker builds images.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Builder {
    Legacy,
    BuildKit,
}

impl Docker {
    /// Returns the daemon that answers, or starts one below `scratch`.
    pub(crate) fn find_or_start(scratch: &Path) -> Outcome<Self> {
        // A client that was put in front of the distribution's own may lack BuildKit.
        let own = PathBuf::from("/usr/bin/docker");
        let client = if own.exists() { own } else { "docker".into() };
        let running = Self { client: client.clone(), host: None, daemon: None };
        if run(running.command().arg("version")).is_ok() {
            return Ok(running);
        }
        let mut reasons = String::new();
        for driver in ["overlay2", "vfs"] {
            match Self::start(&client, &scratch.join("docker"), driver) {
                Ok(started) => return Ok(started),
                Err(message) => reasons += &format!("\nwith the storage driver {driver}: {message}"),
            }
        }
        Err(format!("dockerd does not start{reasons}"))
    }

    /// Starts a daemon that keeps everything below `folder` and touches neither bridges nor the firewall of the host.
    fn start(client: &Path, folder: &Path, driver: &str) -> Outcome<Self> {
        fs::create_dir_all(folder).map_err(explain(format!("make {}", folder.display())))?;
        let log_path = folder.join("log");
        let log = fs::File::create(&log_path).map_err(explain("write the log of dockerd"))?;
        let errors = log.try_clone().map_err(explain("write the log of dockerd"))?;
        let host = format!("unix://{}", folder.join("socket").display());
        let daemon = program("dockerd")
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver", driver])
            .args(["--host", &host])
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(explain("start dockerd"))?;
        let mut started = Self { client: client.to_owned(), host: Some(host), daemon: Some(daemon) };
        wait_for(Duration::from_secs(30), || {
            let ended = started.daemon.as_mut().and_then(|daemon| daemon.try_wait().ok().flatten());
            match ended {
                // It has given up: waiting longer changes nothing.
                Some(_) => Ok(()),
                None => run(started.command().arg("version")).map(drop),
            }
        })?;
        match run(started.command().arg("version")) {
            Ok(_) => Ok(started),
            Err(_) => Err(fs::read_to_string(log_path).unwrap_or_default()),
        }
    }

    /// Starts the daemon of a tree in that tree, which it does not change, and below `folder`, which it sees as `/mnt`.
    pub(crate) fn start_in(tree: &Tree, folder: &Path) -> Outcome<Self> {
        for name in ["upper", "work", "root", "mnt"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(explain(format!("make {}", path.display())))?;
        }
        let log_path = folder.join("log");
        let log = fs::File::create(&log_path).map_err(explain("write the log of dockerd"))?;
        let errors = log.try_clone().map_err(explain("write the log of dockerd"))?;
        let mut daemon = program("unshare");
        daemon.args(["--mount", "sh", "-euc", HOUSE, "sh"]).arg(tree.root()).arg(folder).stdout(log).stderr(errors);
        let daemon = daemon.spawn().map_err(explain("start dockerd"))?;
        let host = format!("unix://{}", folder.join("mnt/socket").display());
        let started = Self { client: "/usr/bin/docker".into(), host: Some(host), daemon: Some(daemon) };
        let told = |message| format!("{message}\n{}", fs::read_to_string(&log_path).unwrap_or_default());
        wait_for(Duration::from_secs(60), || run(started.command().arg("version")).map(drop)).map_err(told)?;
        Ok(started)
    }

    /// Returns a command that runs in the tree of a daemon that was started in one.
    pub(crate) fn beside(&self, name: &str) -> Outcome<Command> {
        let daemon = self.daemon.as_ref().ok_or("it was not started")?;
        let mut command = program("nsenter");
        command.args(["--target", &daemon.id().to_string(), "--mount", "--root", "--wd=/", name]);
        Ok(command)
    }

    /// Stops the daemons of a run that was killed before it could.
    pub(crate) fn stop_leftovers(scratch: &Path) -> Outcome {
        let folders = ["docker", "engines-12/mnt", "engines-13/mnt"].map(|name| scratch.join(name));
        folders.iter().try_for_each(|folder| Self::stop_leftover(folder))
    }

    fn stop_leftover(folder: &Path) -> Outcome {
        for (file, name) in [("pid", "dockerd"), ("exec/containerd/containerd.pid", "containerd")] {
            let Ok(pid) = fs::read_to_string(folder.join(file)) else { continue };
            let pid = pid.trim();
            // The number may belong to another program by now.
            let running = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim() == name;
            if running() {
                terminate(pid.parse().map_err(explain(format!("understand the number {pid}")))?)?;
                wait_for(Duration::from_secs(30), || {
                    if running() { Err(format!("{name} does not end")) } else { Ok(()) }
                })?;
            }
        }
        Ok(())
    }

    /// Returns a command of the client.
    pub(crate) fn command(&self) -> Command {
        let mut command = program(&self.client);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Makes the base image known.
    pub(crate) fn import(&self, base: &Base) -> Outcome {
        run(self.command().arg("import").arg(&base.archive).arg(BASE)).map(drop)
    }

    /// Builds the image `name` from a rendered folder.
    pub(crate) fn build(&self, builder: Builder, folder: &Path, name: &str) -> Outcome {
        let mut command = self.command();
        command.env("DOCKER_BUILDKIT", if matches!(builder, Builder::BuildKit) { "1" } else { "0" });
        command.args(["build", "--network=host", "--build-arg", &format!("BASE={BASE}"), "--tag", name]);
        run(command.arg(folder)).map(drop)
    }

    /// Writes the root filesystem of the image `name` into `folder`, by way of GNU tar.
    pub(crate) fn extract(&self, name: &str, folder: &Path) -> Outcome {
        let container = run(self.command().args(["create", name, "/never-run"]))?;
        let export = self.command().args(["export", container.trim()]).stdout(Stdio::piped()).spawn();
        let mut export = export.map_err(explain("export a container"))?;
        let stream = export.stdout.take().ok_or("the export has no output")?;
        let mut tar = program("tar");
        tar.args(["--extract", "--numeric-owner", "--preserve-permissions", "--same-owner", "--xattrs"]);
        tar.args(["--xattrs-include=*", "--directory"]).arg(folder).stdin(stream);
        run(&mut tar)?;
        let status = export.wait().map_err(explain("wait for the export"))?;
        run(self.command().args(["rm", container.trim()]))?;
        if status.success() { Ok(()) } else { Err(format!("docker export ended with {status}")) }
    }

    /// Starts a container in the background; it is removed when the returned value is dropped.
    pub(crate) fn start_container(&self, options: &[String]) -> Outcome<Container<'_>> {
        let id = run(self.command().args(["run", "--detach"]).args(options))?;
        Ok(Container { docker: self, id: id.trim().to_owned() })
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            if terminate(daemon.id().cast_signed()).is_ok() {
                let _ = daemon.wait();
            }
            return;
        }
        // Somebody else's daemon: our images and volumes go, nothing else.
        for (list, remove) in [("images", "rmi"), ("volume ls", "volume rm")] {
            let format = if list == "images" { "{{.Repository}}:{{.Tag}}" } else { "{{.Name}}" };
            let names = run(self.command().args(list.split(' ')).args(["--format", format])).unwrap_or_default();
            for name in names.lines().filter(|name| name.contains("layerforge-test")) {
                let _ = run(self.command().args(remove.split(' ')).args(["--force", name]));
            }
        }
    }
}

/// Asks a process to end.
fn terminate(pid: i32) -> Outcome {
    let pid = Pid::from_raw(pid).ok_or("no process has that number")?;
    kill_process(pid, Signal::TERM).map_err(explain("end a process"))
}

/// A running container.
pub(crate) struct Container<'docker> {
    docker: &'docker Docker,
    pub(crate) id: String,
}

impl Container<'_> {
    /// Returns a command that runs inside.
    pub(crate) fn exec(&self, words: &[&str]) -> Command {
        let mut command = self.docker.command();
        command.args(["exec", &self.id]).args(words);
        command
    }

    /// Returns what `docker inspect` says in the given form.
    pub(crate) fn inspect(&self, format: &str) -> Outcome<String> {
        Ok(run(self.docker.command().args(["inspect", "--format", format, &self.id]))?.trim().to_owned())
    }

    /// Fails while the `HEALTHCHECK` of its image has not succeeded.
    pub(crate) fn is_healthy(&self) -> Outcome {
        match self.inspect("{{.State.Health.Status}}")?.as_str() {
            "healthy" => Ok(()),
            status => Err(format!("the container is {status}")),
        }
    }

    /// Returns everything it has written so far.
    pub(crate) fn log(&self) -> String {
        let output = self.docker.command().args(["logs", &self.id]).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into(),
        )
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = run(self.docker.command().args(["rm", "--force", &self.id]));
    }
}
