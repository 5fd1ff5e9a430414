//! Which requests go through a proxy.

use std::net::IpAddr;

use url::Url;

use super::is_loopback;

/// Proxies as the environment names them: `http_proxy`, `https_proxy`, `no_proxy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// The proxy for `http:` addresses.
    pub http: Option<String>,
    /// The proxy for `https:` addresses.
    pub https: Option<String>,
    /// Hosts that are reached without, separated by commas: `*`, names (their subdomains too), addresses, networks as
    /// `10.0.0.0/8`, each with a port or without.
    pub except: String,
}

impl Proxies {
    /// Returns the proxy for an address. This machine is reached without.
    pub(super) fn of(&self, url: &Url) -> Option<&str> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let proxy = proxy.as_deref().filter(|proxy| !proxy.is_empty())?;
        (!is_loopback(url) && !self.excepts(url)).then_some(proxy)
    }

    fn excepts(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_or_known_default();
        let words = self.except.split(',').map(str::trim).filter(|word| !word.is_empty());
        let mut rules = words.map(str::to_ascii_lowercase);
        rules.any(|rule| rule == "*" || matches(&rule, &host, port))
    }
}

fn matches(rule: &str, host: &str, port: Option<u16>) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        if let Some((network, bits)) = rule.split_once('/') {
            return is_within(address, network, bits).unwrap_or(false);
        }
        let (rule, wanted) = split_port(rule);
        return rule.trim_matches(['[', ']']).parse() == Ok(address) && (wanted.is_none() || wanted == port);
    }
    let (rule, wanted) = split_port(rule);
    let name = rule.trim_start_matches('*').trim_start_matches('.');
    let below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.is_empty() && below && (wanted.is_none() || wanted == port)
}

fn split_port(rule: &str) -> (&str, Option<u16>) {
    // An address of version 6 has colons of its own, unless it is in brackets.
    let plain = rule.matches(':').count() == 1 || rule.starts_with('[');
    match rule.rsplit_once(':').filter(|_| plain) {
        Some((name, port)) => port.parse().map_or((rule, None), |port| (name, Some(port))),
        None => (rule, None),
    }
}

fn is_within(address: IpAddr, network: &str, bits: &str) -> Option<bool> {
    let (network, bits): (IpAddr, u32) = (network.parse().ok()?, bits.parse().ok()?);
    let (one, other, width) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return Some(false),
    };
    let rest = u32::checked_sub(width, bits)?;
    Some(one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(except: &str, url: &str) -> bool {
        let proxies = Proxies {
            http: Some("http://proxy:1".into()),
            https: Some("http://proxy:2".into()),
            except: except.into(),
        };
        proxies.of(&url.parse().unwrap()).is_some()
    }

    #[test]
    fn each_scheme_has_its_own() {
        let proxies = Proxies { https: Some("http://proxy:2".into()), ..Proxies::default() };
        assert_eq!(proxies.of(&"https://example.org/".parse().unwrap()), Some("http://proxy:2"));
        assert_eq!(proxies.of(&"http://example.org/".parse().unwrap()), None);
    }

    #[test]
    fn this_machine_is_reached_without() {
        for url in ["http://localhost:5000/", "http://127.0.0.1/", "https://[::1]:5000/"] {
            assert!(!through("", url), "{url}");
        }
    }

    #[test]
    fn exceptions_are_names_addresses_networks_and_ports() {
        for (except, url, expected) in [
            ("*", "https://example.org/", false),
            ("example.org", "https://example.org/", false),
            ("Example.org", "https://a.EXAMPLE.org/", false),
            (".example.org", "https://a.example.org/", false),
            ("*.example.org", "https://a.example.org/", false),
            ("example.org", "https://badexample.org/", true),
            ("other, example.org:8443", "https://example.org:8443/", false),
            ("example.org:8443", "https://example.org/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", false),
            ("10.0.0.0/8", "https://11.1.2.3/", true),
            ("0.0.0.0/0", "https://11.1.2.3/", false),
            ("10.0.0.0/99", "https://10.1.2.3/", true),
            ("fd00::/8", "https://[fd00::1]/", false),
            ("fd00::1", "https://[fd00::1]/", false),
            ("", "https://example.org/", true),
        ] {
            assert_eq!(through(except, url), expected, "{except} {url}");
        }
    }
}
