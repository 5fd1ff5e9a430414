use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::*;
use crate::event::Silent;
use crate::store::Store;

/// What was asked for: the first line and the `Range` and `Authorization` fields of every request.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server on this machine that answers the requests it gets, one connection for each, with these bytes in turn.
struct Server {
    url: Url,
    asked: Asked,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Asked::default();
        let seen = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                seen.lock().unwrap().push(read_head(&stream));
                // A client that has seen enough hangs up.
                let _ = (&stream).write_all(&answer);
            }
        });
        Self { url, asked, thread: Some(thread) }
    }

    fn asked(mut self) -> Vec<String> {
        self.thread.take().unwrap().join().unwrap();
        self.asked.lock().unwrap().clone()
    }
}

fn read_head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.extend(byte);
    }
    let text = String::from_utf8(head).unwrap();
    let told = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("range:") || line.starts_with("authorization:")
    };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    [first].into_iter().chain(lines.filter(told).map(str::to_ascii_lowercase)).collect::<Vec<_>>().join("; ")
}

fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", "", body)
}

/// A fetcher that writes its pauses down instead of sleeping.
fn fetcher() -> (Fetcher, Arc<Mutex<Vec<u64>>>) {
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&pauses);
    let transport = HttpTransport::new(Settings { idle: Duration::from_millis(300), ..Settings::default() });
    let pause = move |pause: Duration| taken.lock().unwrap().push(pause.as_millis() as u64);
    (Fetcher::new(transport, false).scheduled(Schedule::default(), pause), pauses)
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn download(urls: &[&Url], content: &[u8]) -> Download {
    Download {
        what: "the file".into(),
        mirrors: urls.iter().map(|url| ((*url).clone(), Headers::new())).collect(),
        digest: Digest::of(content),
        length: Some(content.len() as u64),
        limit: 0,
    }
}

fn run(store: &Store, download: &Download) -> (Result<Vec<u8>, FetchError>, Vec<u64>) {
    let (fetcher, pauses) = fetcher();
    let result = fetcher.download(store, download, &Silent).map(|path| fs::read(&path).unwrap());
    let pauses = pauses.lock().unwrap().clone();
    (result, pauses)
}

#[test]
fn servers_that_fail_for_a_while_are_asked_again() {
    let server = Server::start(vec![
        answer("500 Internal Server Error", "", b"oops"),
        answer("429 Too Many Requests", "Retry-After: 7\r\n", b""),
        ok(b"content"),
    ]);
    let (_folder, store) = store();
    let (result, pauses) = run(&store, &download(&[&server.url], b"content"));
    assert_eq!((result.unwrap(), pauses), (b"content".to_vec(), vec![500, 7000]));
    assert_eq!(server.asked(), ["GET /file"; 3]);
}

#[test]
fn there_is_an_end_to_asking_again() {
    let server = Server::start(vec![answer("503 Service Unavailable", "", b"{\n  gone\tfishing\x1b }"); 5]);
    let (_folder, store) = store();
    let (result, pauses) = run(&store, &download(&[&server.url], b"content"));
    assert_eq!(pauses, [500, 1000, 2000, 4000]);
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), format!("`{}` answered with the status 503: {{ gone fishing }}", server.url));
    assert_eq!(error.status(), Some(503));
}

#[test]
fn whoever_waits_is_told_why() {
    let server = Server::start(vec![answer("503 Service Unavailable", "", b""), ok(b"content")]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let fetcher = fetcher().0.telling(move |sentence| heard.lock().unwrap().push(sentence.to_owned()));
    assert_eq!(fetcher.bytes(&server.url, &Headers::new(), 100).unwrap(), b"content");
    let expected = format!("`{}` answered with the status 503; trying again in 0.5 s", server.url);
    assert_eq!(*told.lock().unwrap(), [expected]);
}

#[test]
fn what_is_not_there_is_not_asked_for_again() {
    let server = Server::start(vec![answer("404 Not Found", "", b"")]);
    let (_folder, store) = store();
    let (result, pauses) = run(&store, &download(&[&server.url], b"content"));
    assert_eq!((result.unwrap_err().status(), pauses), (Some(404), vec![]));
}

#[test]
fn a_download_that_breaks_off_goes_on() {
    let cut = |head: &str, body: &[u8]| [head.as_bytes(), body].concat();
    let server = Server::start(vec![
        cut("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", b"con"),
        cut("HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nContent-Range: bytes 3-6/7\r\n\r\n", b"te"),
        answer("206 Partial Content", "Content-Range: bytes 5-6/7\r\n", b"nt"),
    ]);
    let (_folder, store) = store();
    let (result, _) = run(&store, &download(&[&server.url], b"content"));
    assert_eq!(result.unwrap(), b"content");
    assert_eq!(server.asked(), ["GET /file", "GET /file; range: bytes=3-", "GET /file; range: bytes=5-"]);
}

#[test]
fn a_later_run_goes_on_and_needs_no_network_in_the_end() {
    let first = Server::start(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncont".to_vec()]);
    let (_folder, store) = store();
    let (fetcher, _) = fetcher();
    let fetcher = fetcher.scheduled(Schedule { attempts: 1, ..Schedule::default() }, |_| {});
    assert!(fetcher.download(&store, &download(&[&first.url], b"content"), &Silent).is_err());
    let second = Server::start(vec![answer("206 Partial Content", "Content-Range: bytes 4-6/7\r\n", b"ent")]);
    assert_eq!(run(&store, &download(&[&second.url], b"content")).0.unwrap(), b"content");
    assert_eq!(second.asked(), ["GET /file; range: bytes=4-"]);
    let offline = Fetcher::new(HttpTransport::new(Settings::default()), true);
    assert!(offline.download(&store, &download(&[&first.url], b"content"), &Silent).is_ok());
}

#[test]
fn servers_without_ranges_send_all_of_it() {
    for second in [ok(b"content"), answer("206 Partial Content", "Content-Range: bytes 0-6/7\r\n", b"content")] {
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncon".to_vec();
        let server = Server::start(vec![cut, second, ok(b"content"), ok(b"")].into_iter().take(3).collect());
        let (_folder, store) = store();
        assert_eq!(run(&store, &download(&[&server.url], b"content")).0.unwrap(), b"content");
        // The third answer is only asked for when the second did not serve.
        drop(TcpStream::connect(server.url.socket_addrs(|| None).unwrap()[0]));
    }
}

#[test]
fn something_else_is_refused_and_another_mirror_asked() {
    let bad = Server::start(vec![ok(b"CONTENT")]);
    let gone = Server::start(vec![answer("404 Not Found", "", b"")]);
    let good = Server::start(vec![ok(b"content")]);
    let (_folder, store) = store();
    let (result, pauses) = run(&store, &download(&[&bad.url, &gone.url, &good.url], b"content"));
    assert_eq!((result.unwrap(), pauses), (b"content".to_vec(), vec![]));

    let bad = Server::start(vec![ok(b"CONTENT")]);
    let gone = Server::start(vec![answer("404 Not Found", "", b"")]);
    let (_folder, other) = self::store();
    let error = run(&other, &download(&[&bad.url, &gone.url], b"content")).0.unwrap_err().to_string();
    assert!(error.contains("the file cannot be fetched"), "{error}");
    assert!(error.contains(&format!("has the digest {}, expected {}", Digest::of(b"CONTENT"), Digest::of(b"content"))));
    assert!(error.contains("answered with the status 404"), "{error}");
    assert_eq!(other.downloaded(&Digest::of(b"CONTENT")).unwrap(), None);
}

#[test]
fn damage_in_what_is_held_is_mended() {
    let (_folder, store) = store();
    if let crate::store::Begun::Partial(mut partial) = store.begin_download(&Digest::of(b"content")).unwrap() {
        partial.write(b"not").unwrap();
    }
    let server =
        Server::start(vec![answer("206 Partial Content", "Content-Range: bytes 3-6/7\r\n", b"tent"), ok(b"content")]);
    assert_eq!(run(&store, &download(&[&server.url], b"content")).0.unwrap(), b"content");
    assert_eq!(server.asked(), ["GET /file; range: bytes=3-", "GET /file"]);
}

#[test]
fn lengths_are_kept_to() {
    let endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ncontent and more of it".to_vec();
    for bytes in [ok(b"content and more"), ok(b"con"), endless.clone()] {
        let server = Server::start(vec![bytes]);
        let (_folder, store) = store();
        let error = run(&store, &download(&[&server.url], b"content")).0.unwrap_err();
        assert!(matches!(error, FetchError::Length { .. } | FetchError::TooLarge { .. }), "{error}");
    }
    let server = Server::start(vec![endless]);
    let (fetcher, _) = fetcher();
    assert!(matches!(fetcher.bytes(&server.url, &Headers::new(), 7), Err(FetchError::TooLarge { limit: 7, .. })));
}

#[test]
fn silence_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let (fetcher, pauses) = fetcher();
    let fetcher = fetcher.scheduled(Schedule { attempts: 1, ..Schedule::default() }, |_| {});
    let error = fetcher.bytes(&url, &Headers::new(), 7).unwrap_err();
    assert!(
        matches!(&error, FetchError::Transport { source, .. } if source.fault == TransportFault::Timeout),
        "{error:?}"
    );
    assert!(error.is_transient() && pauses.lock().unwrap().is_empty());
}

#[test]
fn secrets_stay_at_their_origin() {
    let elsewhere = Server::start(vec![ok(b"content")]);
    let to = format!("Location: {}?signature=s3cret\r\n", elsewhere.url);
    let here = Server::start(vec![
        answer("302 Found", "Location: /there\r\n", b""),
        answer("307 Temporary Redirect", &to, b""),
    ]);
    let headers = Headers::new().with("accept", "x/y").with_secret("authorization", Secret::new("Bearer s3cret"));
    assert!(!format!("{headers:?}").contains("s3cret"));
    let (fetcher, _) = fetcher();
    assert_eq!(fetcher.bytes(&here.url, &headers, 100).unwrap(), b"content");
    assert_eq!(here.asked(), ["GET /file; authorization: bearer s3cret", "GET /there; authorization: bearer s3cret"]);
    assert_eq!(elsewhere.asked(), ["GET /file?signature=s3cret"]);
}

#[test]
fn redirects_are_followed_only_where_it_is_safe() {
    let (fetcher, _) = fetcher();
    for (to, reason) in [("file:///etc/passwd", "only `https:` and `http:`"), ("http://[", "it is not understood")] {
        let server = Server::start(vec![answer("302 Found", &format!("Location: {to}\r\n"), b"")]);
        let error = fetcher.bytes(&server.url, &Headers::new(), 7).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let server = Server::start(vec![answer("307 Temporary Redirect", "Location: /other\r\n", b"")]);
    let error = fetcher.send(Request::new(Method::Put, server.url.clone())).unwrap_err().to_string();
    assert!(error.contains("only what is fetched may be somewhere else"), "{error}");
    let server = Server::start(vec![answer("302 Found", "Location: /file\r\n", b""); 11]);
    let error = fetcher.bytes(&server.url, &Headers::new(), 7).unwrap_err().to_string();
    assert!(error.contains("there is no end of it"), "{error}");
}

#[test]
fn nothing_is_asked_for_offline() {
    let fetcher = Fetcher::new(HttpTransport::new(Settings::default()), true);
    let url = "https://user:pass@example.org/file?token=s3cret".parse().unwrap();
    let error = fetcher.bytes(&url, &Headers::new(), 7).unwrap_err().to_string();
    assert!(error.starts_with("`https://example.org/file` is needed, and `--offline` forbids"), "{error}");
}

#[test]
fn files_are_mirrors_too() {
    let (folder, store) = store();
    let path = folder.path().join("the file");
    fs::write_atomic(&path, b"content").unwrap();
    let (there, gone) = (Url::from_file_path(&path).unwrap(), Url::from_file_path(folder.path().join("no")).unwrap());
    if let crate::store::Begun::Partial(mut partial) = store.begin_download(&Digest::of(b"content")).unwrap() {
        partial.write(b"cont").unwrap();
    }
    assert_eq!(run(&store, &download(&[&gone, &there], b"content")).0.unwrap(), b"content");
    let (fetcher, _) = fetcher();
    assert_eq!(fetcher.bytes(&gone, &Headers::new(), 7).unwrap_err().status(), Some(404));
    assert_eq!(
        fetcher.bytes(&Url::from_file_path(folder.path()).unwrap(), &Headers::new(), 7).unwrap_err().status(),
        Some(404)
    );
}

#[test]
fn who_asks_is_said_where_a_login_is_for() {
    let server = Server::start(vec![ok(b"content"), ok(b"content")]);
    let host = server.url.port().unwrap();
    let text = format!("machine http://127.0.0.1:{host}/file login user password secret");
    let logins = Logins::parse(std::path::Path::new("auth.conf"), &text).unwrap();
    let fetcher = Fetcher::new(HttpTransport::new(Settings { logins, ..Settings::default() }), false);
    fetcher.bytes(&server.url, &Headers::new(), 100).unwrap();
    let other = server.url.join("/files").unwrap();
    fetcher.bytes(&other, &Headers::new(), 100).unwrap();
    assert_eq!(server.asked(), ["GET /file; authorization: basic dxnlcjpzzwnyzxq=", "GET /files"]);
}

#[test]
fn a_mirror_that_is_not_reached_is_asked_last_from_then_on() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead: Url = format!("http://{}/file", nobody.local_addr().unwrap()).parse().unwrap();
    drop(nobody);
    let server = Server::start(vec![ok(b"one"), ok(b"two"), ok(b"three")]);
    let (_folder, store) = store();
    let (fetcher, pauses) = fetcher();
    assert!(!fetcher.is_unreachable(&dead));
    let of = |content: &[u8]| download(&[&dead, &server.url], content);
    fetcher.download(&store, &of(b"one"), &Silent).unwrap();
    assert!(fetcher.is_unreachable(&dead) && !fetcher.is_unreachable(&server.url));
    fetcher.download(&store, &of(b"two"), &Silent).unwrap();
    // Whoever can ask somebody else does not wait for it; whoever cannot does.
    assert!(fetcher.bytes_soon(&dead, &Headers::new(), 100).is_err());
    assert!(pauses.lock().unwrap().is_empty());
    assert!(fetcher.bytes(&dead, &Headers::new(), 100).is_err());
    assert_eq!(pauses.lock().unwrap().len(), 4);
    assert_eq!(fetcher.bytes_soon(&server.url, &Headers::new(), 100).unwrap(), b"three");
}
