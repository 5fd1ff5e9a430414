//! `RestrictAddressFamilies=`.

use std::collections::BTreeSet;

use super::words;

/// Names of address families (address_families(7)) and the name that stands for each.
const NAMES: [&str; 46] = [
    "AF_UNIX",
    "AF_INET",
    "AF_AX25",
    "AF_IPX",
    "AF_APPLETALK",
    "AF_NETROM",
    "AF_BRIDGE",
    "AF_ATMPVC",
    "AF_X25",
    "AF_INET6",
    "AF_ROSE",
    "AF_DECnet",
    "AF_NETBEUI",
    "AF_SECURITY",
    "AF_KEY",
    "AF_NETLINK",
    "AF_PACKET",
    "AF_ASH",
    "AF_ECONET",
    "AF_ATMSVC",
    "AF_RDS",
    "AF_SNA",
    "AF_IRDA",
    "AF_PPPOX",
    "AF_WANPIPE",
    "AF_LLC",
    "AF_IB",
    "AF_MPLS",
    "AF_CAN",
    "AF_TIPC",
    "AF_BLUETOOTH",
    "AF_IUCV",
    "AF_RXRPC",
    "AF_ISDN",
    "AF_PHONET",
    "AF_IEEE802154",
    "AF_CAIF",
    "AF_ALG",
    "AF_NFC",
    "AF_VSOCK",
    "AF_KCM",
    "AF_QIPCRTR",
    "AF_SMC",
    "AF_XDP",
    "AF_MCTP",
    "AF_UNSPEC",
];
/// Families with an assessor of their own.
const COMMON: [&str; 5] = ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"];

/// A list of families that are allowed, or of those that are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Families {
    is_allow_list: bool,
    /// Nothing until a list says whether it allows or denies.
    names: Option<BTreeSet<&'static str>>,
}

impl Families {
    /// Assigns a value: the first list decides whether families are allowed or denied, later ones add or take away.
    pub(super) fn assign(&mut self, value: &str) {
        match value {
            "" => return *self = Self::default(),
            "none" => return *self = Self { is_allow_list: true, names: None },
            _ => {}
        }
        let (is_inverted, list) = value.strip_prefix('~').map_or((false, value), |list| (true, list));
        if self.names.is_none() {
            self.is_allow_list = !is_inverted;
        }
        let names = self.names.get_or_insert_default();
        for family in words::split(list).iter().filter_map(|word| family(word)) {
            if is_inverted == self.is_allow_list {
                names.remove(family);
            } else {
                names.insert(family);
            }
        }
    }

    /// Tells whether one of `families` may be used, as the tool sees it: a list that denies one of them denies all.
    pub(super) fn allows_any(&self, families: &[&str]) -> bool {
        self.names.iter().flatten().any(|name| families.contains(name)) == self.is_allow_list
    }

    /// Tells the same for families without an assessor of their own.
    pub(super) fn allows_exotic(&self) -> bool {
        self.names.iter().flatten().any(|name| !COMMON.contains(name)) == self.is_allow_list
    }
}

fn family(word: &str) -> Option<&'static str> {
    let name = match word.to_ascii_uppercase().as_str() {
        "AF_LOCAL" | "AF_FILE" => "AF_UNIX",
        "AF_ROUTE" => "AF_NETLINK",
        _ => word,
    };
    NAMES.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}
