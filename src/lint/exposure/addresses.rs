//! `IPAddressDeny=` and `IPAddressAllow=`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::words;

/// A network: an address and the number of bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// Networks that a list names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Networks(Vec<Network>);

impl Networks {
    /// Adds those that a value names; what is no network is ignored.
    pub(super) fn assign(&mut self, value: &str) {
        if value.is_empty() {
            self.0.clear();
        }
        for word in words::split(value) {
            self.0.extend(networks(&word));
        }
    }

    /// Tells whether the list is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether it names every address.
    pub(super) fn is_everything(&self) -> bool {
        let has_all =
            |is_wanted: fn(&IpAddr) -> bool| self.0.iter().any(|one| one.bits == 0 && is_wanted(&one.address));
        has_all(IpAddr::is_ipv4) && has_all(IpAddr::is_ipv6)
    }

    /// Tells whether it names nothing but addresses of the host itself.
    pub(super) fn is_localhost(&self) -> bool {
        self.0.iter().all(|one| match one.address {
            IpAddr::V4(address) => one.bits >= 8 && address.octets()[0] == 127,
            IpAddr::V6(address) => one.bits == 128 && address == Ipv6Addr::LOCALHOST,
        })
    }
}

fn networks(word: &str) -> Vec<Network> {
    let v4 = |a, b, bits| Network { address: Ipv4Addr::new(a, b, 0, 0).into(), bits };
    let v6 = |first, last, bits| Network { address: Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last).into(), bits };
    match word {
        "any" => vec![v4(0, 0, 0), v6(0, 0, 0)],
        "localhost" => vec![v4(127, 0, 8), v6(0, 1, 128)],
        "link-local" => vec![v4(169, 254, 16), v6(0xfe80, 0, 64)],
        "multicast" => vec![v4(224, 0, 4), v6(0xff00, 0, 8)],
        written => network(written).into_iter().collect(),
    }
}

fn network(word: &str) -> Option<Network> {
    let (address, bits) = word.split_once('/').map_or((word, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
    Some(Network { address, bits })
}
