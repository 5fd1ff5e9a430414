//! Sets of capabilities: `CapabilityBoundingSet=`, `AmbientCapabilities=`.

use super::words;

/// The capabilities of Linux by number (capabilities(7)), without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CapabilitySet(u64);

impl CapabilitySet {
    /// Every capability that there can be.
    pub(super) const ALL: Self = Self((1 << 63) - 1);
    /// None.
    pub(super) const NONE: Self = Self(0);

    /// Assigns a value to a set that began as `initial`: lists add up, `~` takes away, the first says what there is.
    pub(super) fn assign(&mut self, value: &str, initial: Self) {
        if value.is_empty() {
            *self = Self::NONE;
            return;
        }
        let (is_inverted, list) = value.strip_prefix('~').map_or((false, value), |list| (true, list));
        let named = words::split(list).iter().filter_map(|word| bit(word)).fold(0, |set, bit| set | bit);
        if named == 0 || *self == initial {
            self.0 = if is_inverted { Self::ALL.0 & !named } else { named };
        } else if is_inverted {
            self.0 &= !named;
        } else {
            self.0 |= named;
        }
    }

    /// Takes one away, by name without `CAP_`.
    pub(super) fn remove(&mut self, name: &str) {
        self.0 &= !bit_of(name).unwrap_or(0);
    }

    /// Tells whether it holds one of `names`, without `CAP_`.
    pub(super) fn holds_any(self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0 & bit_of(name).unwrap_or(0) != 0)
    }
}

fn bit_of(name: &str) -> Option<u64> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|number| 1 << number)
}

/// Reads a capability by name or number.
fn bit(word: &str) -> Option<u64> {
    let name = word.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("CAP_")).and_then(|_| word.get(4..));
    let number = || word.parse::<u32>().ok().filter(|number| *number < 63).map(|number| 1 << number);
    name.and_then(bit_of).or_else(number)
}
