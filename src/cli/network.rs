//! How the network is used: what the environment says about proxies, certificates and credentials.

use std::path::PathBuf;

use crate::fetch::{Fetcher, HttpTransport, Proxies, Settings};
use crate::registry::{Client, ClientSettings, CredentialFiles, Mirrors};

use super::args::NetworkArguments;
use super::terminal::Terminal;

/// Returns a client of registries.
pub(super) fn client(arguments: NetworkArguments, terminal: &Terminal) -> Client {
    let home = path("HOME");
    let configuration = path("XDG_CONFIG_HOME").or_else(|| Some(home.clone()?.join(".config")));
    let user = configuration.map(|folder| folder.join("containers"));
    let listener = terminal.clone();
    let fetcher = Fetcher::new(HttpTransport::new(settings(user.clone())), arguments.offline)
        .telling(move |sentence| listener.tell(sentence));
    let settings = ClientSettings {
        credentials: credentials(home, user.clone()),
        mirrors: Mirrors::at(registries(user)),
        plain_http: arguments.plain_http,
    };
    Client::new(fetcher, settings)
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
