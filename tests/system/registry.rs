//! A real registry on this machine, and a proxy before it that counts requests and does harm.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::command::{explain, program, run, wait_for};

/// The only user of a registry that wants to know who is there.
pub(crate) const USER: &str = "user";
/// The password of that user.
pub(crate) const PASSWORD: &str = "a-secret-word";

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// With TLS and a password.
    Guarded,
}

/// A registry of the CNCF's distribution. Dropping it stops it.
pub(crate) struct Registry {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    server: Mutex<Option<Child>>,
}

impl Registry {
    /// Starts a registry that keeps everything below `folder`.
    pub(crate) fn start(folder: PathBuf, kind: Kind) -> Outcome<Self> {
        fs::create_dir_all(&folder).map_err(explain("make the folder of the registry"))?;
        let port = free_port()?;
        let at = |name: &str| folder.join(name).display().to_string();
        let mut text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n  secret: fixed\n",
            at("data")
        );
        if kind == Kind::Guarded {
            certificates(&folder)?;
            text += &format!("  tls: {{certificate: {}, key: {}}}\n", at("server.crt"), at("server.key"));
            text += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", at("htpasswd"));
            let passwords = run(program("htpasswd").args(["-Bbn", USER, PASSWORD]))?;
            write(&folder.join("htpasswd"), &passwords)?;
        }
        write(&folder.join("config.yml"), &text)?;
        let registry = Self { folder, port, server: Mutex::default() };
        registry.restart()?;
        Ok(registry)
    }

    /// Kills the registry where it stands.
    pub(crate) fn kill(&self) {
        if let Some(mut server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts it, again when it was killed.
    pub(crate) fn restart(&self) -> Outcome {
        let log = fs::File::create(self.folder.join("log")).map_err(explain("write the log of the registry"))?;
        let mut command = program("docker-registry");
        command.arg("serve").arg(self.folder.join("config.yml")).stdout(Stdio::null()).stderr(log);
        let server = command.spawn().map_err(explain("run docker-registry"))?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        wait_for(Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", self.port)).map(drop).map_err(|error| format!("the registry: {error}"))
        })
    }

    /// Returns the host and port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the file that holds a blob.
    pub(crate) fn blob(&self, hex: &str) -> PathBuf {
        self.folder.join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes an authority and a certificate for this machine.
fn certificates(folder: &Path) -> Outcome {
    let openssl = |words: &[&str]| run(program("openssl").args(words).current_dir(folder));
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        &[
            &["req", "-x509"],
            &key[..],
            &["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test authority", "-days", "30"],
        ]
        .concat(),
    )?;
    openssl(
        &[&["req"], &key[..], &["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1"]].concat(),
    )?;
    write(&folder.join("extensions"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:false\n")?;
    let words = "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out server.crt";
    openssl(&words.split(' ').collect::<Vec<_>>())?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(explain(format!("write {}", path.display())))
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(explain("listen"))?;
    Ok(listener.local_addr().map_err(explain("listen"))?.port())
}

/// What a proxy does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Hands it on.
    None,
    /// Answers with a status instead.
    Status(u16),
    /// Hands on the head and this many bytes of the body, and hangs up.
    Cut(u64),
    /// Waits before it hands it on.
    Slow(Duration),
}

/// Decides what becomes of a request, by its method and path and how many came before it.
type Decide = dyn Fn(&str, usize) -> Fault + Send + Sync;

/// A proxy before a registry, for one request on each connection.
pub(crate) struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy before the server at `port`. It ends with the process.
    pub(crate) fn start(port: u16, decide: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(explain("listen"))?;
        let own = listener.local_addr().map_err(explain("listen"))?.port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, decide): (_, Arc<Decide>) = (Arc::clone(&seen), Arc::new(decide));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, decide) = (Arc::clone(&known), Arc::clone(&decide));
                // A connection that breaks is what the proxy is for.
                thread::spawn(move || serve(&stream, port, &known, &*decide).ok());
            }
        });
        Ok(Self { port: own, seen })
    }

    /// Returns the host and port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns method and path of every request since this was asked the last time.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(mut stream: &TcpStream, port: u16, seen: &Mutex<Vec<String>>, decide: &Decide) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // What is no HTTP, such as TLS, is hung up on.
        if head.len() > 1 << 16
            || head.first().is_some_and(|first| !first.is_ascii_uppercase())
            || stream.read(&mut byte)? == 0
        {
            return Ok(());
        }
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let request: String = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let request = request.split('?').next().unwrap_or_default().to_owned();
    let count = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(request.clone());
        seen.len() - 1
    };
    let length = |line: &str| {
        line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|text| text.trim().parse().ok())
    };
    let mut body: u64 = head.lines().find_map(length).unwrap_or(0);
    let fault = decide(&request, count);
    match fault {
        Fault::None => {}
        Fault::Slow(pause) => thread::sleep(pause),
        Fault::Cut(bytes) => body = body.min(bytes),
        Fault::Status(status) => {
            io::copy(&mut stream.take(body), &mut io::sink())?;
            return stream.write_all(
                format!("HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
            );
        }
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
    io::copy(&mut stream.take(body), &mut server)?;
    if matches!(fault, Fault::Cut(_)) {
        server.shutdown(Shutdown::Both)?;
        return stream.shutdown(Shutdown::Both);
    }
    io::copy(&mut server, &mut stream)?;
    stream.shutdown(Shutdown::Both)
}
