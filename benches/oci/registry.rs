//! A registry on this machine that tells what it was asked for.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// How long a registry may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry of the CNCF's distribution. Dropping it ends it.
pub(crate) struct Registry {
    port: u16,
    /// A line for each request, in the form of Apache.
    log: PathBuf,
    server: Child,
}

impl Registry {
    /// Starts a registry that keeps everything below `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let configuration = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}', secret: fixed}}\n",
            folder.join("data").display()
        );
        fs::write(&configuration, text)?;
        let log = folder.join("requests");
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(configuration)
            .stdout(File::options().create(true).append(true).open(&log)?)
            .stderr(Stdio::null());
        let registry = Self { port, log, server: command.spawn()? };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > PATIENCE {
                return Err("docker-registry does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// Returns what an image is called there.
    pub(crate) fn reference(&self) -> String {
        format!("127.0.0.1:{}/bench/image:1", self.port)
    }

    /// Returns method and path of each request since this was asked the last time.
    pub(crate) fn requests(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(&self.log)?;
        File::options().write(true).open(&self.log)?.set_len(0)?;
        let request = |line: &str| {
            let mut words = line.split('"').nth(1)?.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?.split('?').next()?))
        };
        Ok(log.lines().filter_map(request).collect())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
