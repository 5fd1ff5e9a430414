//! Settings with values of their own: one enum for each, and how a value is read into it.

use super::words;

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Switch {
    LockPersonality,
    MemoryDenyWriteExecute,
    NoNewPrivileges,
    PrivateDevices,
    PrivateMounts,
    PrivateNetwork,
    PrivateTmp,
    PrivateUsers,
    ProtectClock,
    ProtectControlGroups,
    ProtectHostname,
    ProtectKernelLogs,
    ProtectKernelModules,
    ProtectKernelTunables,
    RemoveIpc,
    RestrictRealtime,
    RestrictSuidSgid,
    DynamicUser,
}

/// Every switch with its directive and the words beside `yes` that turn it on.
pub(super) const SWITCHES: [(Switch, &str, &[&str]); 18] = [
    (Switch::LockPersonality, "LockPersonality", &[]),
    (Switch::MemoryDenyWriteExecute, "MemoryDenyWriteExecute", &[]),
    (Switch::NoNewPrivileges, "NoNewPrivileges", &[]),
    (Switch::PrivateDevices, "PrivateDevices", &[]),
    (Switch::PrivateMounts, "PrivateMounts", &[]),
    (Switch::PrivateNetwork, "PrivateNetwork", &[]),
    (Switch::PrivateTmp, "PrivateTmp", &["connected", "disconnected"]),
    (Switch::PrivateUsers, "PrivateUsers", &["self", "identity"]),
    (Switch::ProtectClock, "ProtectClock", &[]),
    (Switch::ProtectControlGroups, "ProtectControlGroups", &["private", "strict"]),
    (Switch::ProtectHostname, "ProtectHostname", &[]),
    (Switch::ProtectKernelLogs, "ProtectKernelLogs", &[]),
    (Switch::ProtectKernelModules, "ProtectKernelModules", &[]),
    (Switch::ProtectKernelTunables, "ProtectKernelTunables", &[]),
    (Switch::RemoveIpc, "RemoveIPC", &[]),
    (Switch::RestrictRealtime, "RestrictRealtime", &[]),
    (Switch::RestrictSuidSgid, "RestrictSUIDSGID", &[]),
    (Switch::DynamicUser, "DynamicUser", &[]),
];

/// `ProtectSystem=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ProtectSystem {
    #[default]
    No,
    Yes,
    Full,
    Strict,
}

impl ProtectSystem {
    pub(super) fn read(value: &str) -> Option<Self> {
        match value {
            "full" => Some(Self::Full),
            "strict" => Some(Self::Strict),
            other => words::boolean(other).map(|is_on| if is_on { Self::Yes } else { Self::No }),
        }
    }
}

/// `ProtectHome=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ProtectHome {
    #[default]
    No,
    Yes,
    ReadOnly,
    Tmpfs,
}

impl ProtectHome {
    pub(super) fn read(value: &str) -> Option<Self> {
        match value {
            "read-only" => Some(Self::ReadOnly),
            "tmpfs" => Some(Self::Tmpfs),
            other => words::boolean(other).map(|is_on| if is_on { Self::Yes } else { Self::No }),
        }
    }
}

/// `ProtectProc=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ProtectProc {
    #[default]
    Default,
    NoAccess,
    Invisible,
    Ptraceable,
}

impl ProtectProc {
    pub(super) fn read(value: &str) -> Option<Self> {
        match value {
            "default" => Some(Self::Default),
            "noaccess" => Some(Self::NoAccess),
            "invisible" => Some(Self::Invisible),
            "ptraceable" => Some(Self::Ptraceable),
            _ => None,
        }
    }
}

/// Reads `UMask=`: octal, at most four digits that count.
pub(super) fn umask(value: &str) -> Option<u32> {
    let is_octal = !value.is_empty() && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(value, 8).ok().filter(|mask| is_octal && *mask <= 0o7777)
}

/// Tells whether a device may stand in `DeviceAllow=`, with the accesses that it is given.
pub(super) fn is_device(value: &str) -> bool {
    let words = words::split(value);
    let Some((device, accesses)) = words.split_first() else { return false };
    let is_path = ["/dev", "/run/systemd/inaccessible"]
        .iter()
        .any(|top| device.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let is_normal = !device.split('/').any(|part| part == "..");
    let is_kind = device.starts_with("char-") || device.starts_with("block-");
    (is_path && is_normal || is_kind)
        && accesses.iter().all(|access| access.chars().all(|letter| "rwm".contains(letter)))
}
