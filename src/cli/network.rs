//! How the network is used: what the environment says about proxies, certificates, credentials and mirrors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use url::Url;

use crate::error::Error;
use crate::fetch::{Fetcher, HttpTransport, Logins, Proxies, Settings};
use crate::fs;
use crate::packages;
use crate::registry::{Client, ClientSettings, CredentialFiles, Mirrors};
use crate::resolve::address;
use crate::spec::{Located, Name, Problem, Source, SpecError, Table, parse};

use super::args::NetworkArguments;
use super::terminal::Terminal;

/// What begins the name of an environment variable that names the mirrors of a source.
const MIRROR_PREFIX: &str = "LAYERFORGE_MIRROR_";

/// The environment variable that names the file of logins.
const LOGINS: &str = "LAYERFORGE_AUTH_FILE";

/// Returns a client of registries.
pub(super) fn client(arguments: NetworkArguments, terminal: &Terminal) -> Client {
    let home = path("HOME");
    let user = configuration().map(|folder| folder.join("containers"));
    let fetcher = fetcher(arguments.offline, Logins::default(), terminal);
    let settings = ClientSettings {
        credentials: credentials(home, user.clone()),
        mirrors: Mirrors::at(registries(user)),
        plain_http: arguments.plain_http,
    };
    Client::new(fetcher, settings)
}

/// Returns how packages are reached; with a folder that `layerforge vendor` wrote, from nowhere else.
pub(super) fn packages(
    offline: bool,
    vendored: Option<&Path>,
    terminal: &Terminal,
) -> Result<packages::Network, Error> {
    let vendored = match vendored {
        Some(folder) => Some(std::path::absolute(folder).map_err(fs::Error::on("find", folder))?),
        None => None,
    };
    let mirrors = packages::Mirrors {
        configured: configured_mirrors()?,
        environment: environment_mirrors()?,
        host: Some(PathBuf::from("/")),
        vendored,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    Ok(packages::Network { fetcher: fetcher(offline, logins()?, terminal), mirrors, now })
}

fn fetcher(offline: bool, logins: Logins, terminal: &Terminal) -> Fetcher {
    let listener = terminal.clone();
    let user = configuration().map(|folder| folder.join("containers"));
    let settings = Settings { logins, ..settings(user) };
    Fetcher::new(HttpTransport::new(settings), offline).telling(move |sentence| listener.tell(sentence))
}

/// Returns the folder of the user's configuration (XDG base directory specification).
fn configuration() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))
}

/// Reads who the user is to repositories: the file that the environment names, or `layerforge/auth.conf` of the user.
fn logins() -> Result<Logins, Error> {
    let named = path(LOGINS);
    let Some(file) = named.clone().or_else(|| Some(configuration()?.join("layerforge/auth.conf"))) else {
        return Ok(Logins::default());
    };
    let text = match fs::read_to_string(&file) {
        Err(error) if named.is_none() && error.is_unreachable() => return Ok(Logins::default()),
        text => text?,
    };
    Logins::parse(&file, &text).map_err(|error| Error::usage(error.to_string()))
}

/// Reads `layerforge/mirrors.toml` of the user: addresses by the name of a source.
fn configured_mirrors() -> Result<BTreeMap<String, Vec<Url>>, Error> {
    let Some(path) = configuration().map(|folder| folder.join("layerforge/mirrors.toml")) else {
        return Ok(BTreeMap::new());
    };
    let text = match fs::read_to_string(&path) {
        Err(error) if error.is_unreachable() => return Ok(BTreeMap::new()),
        text => text?,
    };
    let source = Arc::new(Source { name: path.display().to_string(), path: Some(path), text });
    let table: Table<Name, Vec<Located<String>>> = parse(&source).map_err(SpecError::from)?;
    let mut mirrors = BTreeMap::new();
    for (name, written) in table {
        let read = |text: &Located<String>| {
            address(text).map_err(|sentence| SpecError::from(Problem::of_sentence(&text.place, &sentence)))
        };
        mirrors.insert(name.to_string(), written.iter().map(read).collect::<Result<Vec<Url>, _>>()?);
    }
    Ok(mirrors)
}

/// Reads `LAYERFORGE_MIRROR_NAME`: addresses of the source `name`, with spaces between.
fn environment_mirrors() -> Result<BTreeMap<String, Vec<Url>>, Error> {
    let mut mirrors = BTreeMap::new();
    for (key, value) in std::env::vars_os() {
        let (Ok(key), Ok(value)) = (key.into_string(), value.into_string()) else { continue };
        let Some(name) = key.strip_prefix(MIRROR_PREFIX) else { continue };
        let read = |text: &str| address(text).map_err(|sentence| Error::usage(format!("`{key}`: {sentence}")));
        let addresses = value.split_whitespace().map(read).collect::<Result<Vec<_>, _>>()?;
        mirrors.insert(name.to_lowercase().replace('_', "-"), addresses);
    }
    Ok(mirrors)
}

fn settings(user: Option<PathBuf>) -> Settings {
    let mut host_certificates: Vec<PathBuf> = ["/etc/containers", "/etc/docker"].map(PathBuf::from).into();
    host_certificates.extend(user);
    let any = |names: [&str; 2]| names.into_iter().find_map(text);
    let all = any(["all_proxy", "ALL_PROXY"]);
    Settings {
        certificate_file: path("SSL_CERT_FILE"),
        certificate_directory: path("SSL_CERT_DIR"),
        host_certificates: host_certificates.into_iter().map(|folder| folder.join("certs.d")).collect(),
        proxies: Proxies {
            http: any(["http_proxy", "HTTP_PROXY"]).or_else(|| all.clone()),
            https: any(["https_proxy", "HTTPS_PROXY"]).or(all),
            except: any(["no_proxy", "NO_PROXY"]).unwrap_or_default(),
        },
        ..Settings::default()
    }
}

/// Returns the files of credentials, the strongest first (containers-auth.json(5)).
fn credentials(home: Option<PathBuf>, user: Option<PathBuf>) -> CredentialFiles {
    if let Some(only) = path("REGISTRY_AUTH_FILE") {
        return CredentialFiles::new(vec![only], true);
    }
    let runtime = path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json"));
    let docker = path("DOCKER_CONFIG").or_else(|| Some(home?.join(".docker")));
    let files = [runtime, user.map(|folder| folder.join("auth.json")), docker.map(|folder| folder.join("config.json"))];
    CredentialFiles::new(files.into_iter().flatten().collect(), false)
}

/// Returns the files about registries, the strongest last (containers-registries.conf(5)).
fn registries(user: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(only) = path("CONTAINERS_REGISTRIES_CONF") {
        return vec![only];
    }
    let system = PathBuf::from("/etc/containers");
    let own = user.as_ref().map(|folder| folder.join("registries.conf")).filter(|file| file.exists());
    let mut files = vec![own.unwrap_or_else(|| system.join("registries.conf")), system.join("registries.conf.d")];
    files.extend(user.map(|folder| folder.join("registries.conf.d")));
    files
}

#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
