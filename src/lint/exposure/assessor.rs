//! The assessors: a table.

use super::directives::{ProtectHome, ProtectProc, ProtectSystem, Switch};
use super::settings::{Settings, User};
use super::system_calls::Filtered;

/// A setting that is looked at.
#[derive(Debug)]
pub(super) struct Assessor {
    /// The setting, as the tool prints it.
    pub(super) name: &'static str,
    /// Its name in the tool's JSON.
    pub(super) field: &'static str,
    /// How much it counts.
    pub(super) weight: u32,
    /// What it looks at.
    pub(super) check: Check,
}

/// What an assessor looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// A switch that shall be on.
    On(Switch),
    /// Capabilities that the service shall not be able to have.
    Capabilities(&'static [&'static str]),
    /// Namespaces that it shall not be able to make.
    Namespace(&'static str),
    /// Address families that it shall not be able to use.
    Families(&'static [&'static str]),
    /// Every other address family.
    ExoticFamilies,
    /// A group of system calls that it shall not be able to make.
    SystemCalls(&'static str),
    AmbientCapabilities,
    Delegate,
    DeviceAllow,
    IpAddressDeny,
    KeyringMode,
    NotifyAccess,
    ProcSubset,
    ProtectHome,
    ProtectProc,
    ProtectSystem,
    RemoveIpc,
    Root,
    SupplementaryGroups,
    SystemCallArchitectures,
    Umask,
    User,
}

impl Check {
    /// Returns the badness of the worst case.
    pub(super) fn range(self) -> u32 {
        match self {
            Self::ProtectProc => 3,
            Self::DeviceAllow
            | Self::IpAddressDeny
            | Self::ProtectHome
            | Self::ProtectSystem
            | Self::SystemCallArchitectures
            | Self::SystemCalls(_)
            | Self::Umask
            | Self::User => 10,
            _ => 1,
        }
    }

    /// Returns how bad the settings are, from 0 to the range; nothing when it means nothing for the service.
    pub(super) fn badness(self, settings: &Settings) -> Option<u32> {
        Some(match self {
            Self::On(switch) => u32::from(!settings.is_on(switch)),
            Self::Capabilities(names) => u32::from(settings.bounding().holds_any(names)),
            Self::Namespace(kind) => u32::from(settings.namespaces.allows(kind)),
            Self::Families(families) => u32::from(settings.families.allows_any(families)),
            Self::ExoticFamilies => u32::from(settings.families.allows_exotic()),
            Self::SystemCalls(group) => match settings.system_calls.filtered(group) {
                Filtered::Fully => 0,
                Filtered::Allowed => 9,
                Filtered::NotDenied => 10,
            },
            Self::AmbientCapabilities => u32::from(settings.ambient != super::capabilities::CapabilitySet::NONE),
            Self::Delegate => u32::from(settings.is_delegated),
            Self::DeviceAllow => match (settings.has_device_list(), settings.has_devices()) {
                (false, _) => 10,
                (true, true) => 5,
                (true, false) => 0,
            },
            Self::IpAddressDeny if !settings.denied.is_everything() => 10,
            Self::IpAddressDeny if settings.allowed.is_empty() => 0,
            Self::IpAddressDeny => {
                if settings.allowed.is_localhost() {
                    2
                } else {
                    5
                }
            }
            Self::KeyringMode => u32::from(!settings.is_keyring_private),
            Self::NotifyAccess => u32::from(settings.do_all_notify),
            Self::ProcSubset => u32::from(!settings.is_proc_subset),
            Self::ProtectHome => match settings.protect_home() {
                ProtectHome::Yes => 0,
                ProtectHome::Tmpfs => 1,
                ProtectHome::ReadOnly => 5,
                ProtectHome::No => 10,
            },
            Self::ProtectProc => match settings.protect_proc {
                ProtectProc::Default => 3,
                ProtectProc::NoAccess => 1,
                ProtectProc::Invisible | ProtectProc::Ptraceable => 0,
            },
            Self::ProtectSystem => match settings.protect_system() {
                ProtectSystem::Strict => 0,
                ProtectSystem::Full => 3,
                ProtectSystem::Yes => 5,
                ProtectSystem::No => 10,
            },
            // What belongs to root is not removed, and root is in every group.
            Self::RemoveIpc | Self::SupplementaryGroups if settings.user() == User::Root => return None,
            Self::RemoveIpc => u32::from(!settings.is_on(Switch::RemoveIpc)),
            Self::SupplementaryGroups => u32::from(settings.has_supplementary_groups),
            Self::Root => u32::from(settings.root.values().all(String::is_empty)),
            Self::SystemCallArchitectures => {
                let names = &settings.architectures;
                match names.len() {
                    0 => 10,
                    1 if names.contains("native") => 0,
                    _ => 8,
                }
            }
            Self::Umask => match settings.umask {
                mask if mask & 0o002 == 0 => 10,
                mask if mask & 0o004 == 0 => 5,
                mask if mask & 0o020 == 0 => 2,
                mask if mask & 0o040 == 0 => 1,
                _ => 0,
            },
            Self::User => match settings.user() {
                User::Root => 10,
                User::Nobody => 9,
                User::Static | User::Dynamic => 0,
            },
        })
    }
}

const fn row(name: &'static str, field: &'static str, weight: u32, check: Check) -> Assessor {
    Assessor { name, field, weight, check }
}

/// Every assessor of systemd 257, in the order of their names.
pub(super) const ASSESSORS: [Assessor; 81] = [
    row("AmbientCapabilities=", "AmbientCapabilities", 500, Check::AmbientCapabilities),
    row(
        "CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)",
        "CapabilityBoundingSet_CAP_CHOWN_FSETID_SETFCAP",
        1000,
        Check::Capabilities(&["CHOWN", "FSETID", "SETFCAP"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)",
        "CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER",
        1000,
        Check::Capabilities(&["DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "IPC_OWNER"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_AUDIT_*",
        "CapabilityBoundingSet_CAP_AUDIT",
        500,
        Check::Capabilities(&["AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_BLOCK_SUSPEND",
        "CapabilityBoundingSet_CAP_BLOCK_SUSPEND",
        25,
        Check::Capabilities(&["BLOCK_SUSPEND"]),
    ),
    row("CapabilityBoundingSet=~CAP_BPF", "CapabilityBoundingSet_CAP_BPF", 25, Check::Capabilities(&["BPF"])),
    row(
        "CapabilityBoundingSet=~CAP_IPC_LOCK",
        "CapabilityBoundingSet_CAP_IPC_LOCK",
        50,
        Check::Capabilities(&["IPC_LOCK"]),
    ),
    row("CapabilityBoundingSet=~CAP_KILL", "CapabilityBoundingSet_CAP_KILL", 500, Check::Capabilities(&["KILL"])),
    row("CapabilityBoundingSet=~CAP_LEASE", "CapabilityBoundingSet_CAP_LEASE", 25, Check::Capabilities(&["LEASE"])),
    row(
        "CapabilityBoundingSet=~CAP_LINUX_IMMUTABLE",
        "CapabilityBoundingSet_CAP_LINUX_IMMUTABLE",
        75,
        Check::Capabilities(&["LINUX_IMMUTABLE"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_MAC_*",
        "CapabilityBoundingSet_CAP_MAC",
        100,
        Check::Capabilities(&["MAC_ADMIN", "MAC_OVERRIDE"]),
    ),
    row("CapabilityBoundingSet=~CAP_MKNOD", "CapabilityBoundingSet_CAP_MKNOD", 500, Check::Capabilities(&["MKNOD"])),
    row(
        "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
        "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)",
        500,
        Check::Capabilities(&["NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_NET_ADMIN",
        "CapabilityBoundingSet_CAP_NET_ADMIN",
        1000,
        Check::Capabilities(&["NET_ADMIN"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)",
        "CapabilityBoundingSet_CAP_SET_UID_GID_PCAP",
        1500,
        Check::Capabilities(&["SETUID", "SETGID", "SETPCAP"]),
    ),
    row("CapabilityBoundingSet=~CAP_SYSLOG", "CapabilityBoundingSet_CAP_SYSLOG", 500, Check::Capabilities(&["SYSLOG"])),
    row(
        "CapabilityBoundingSet=~CAP_SYS_(NICE|RESOURCE)",
        "CapabilityBoundingSet_CAP_SYS_NICE_RESOURCE",
        500,
        Check::Capabilities(&["SYS_NICE", "SYS_RESOURCE"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_ADMIN",
        "CapabilityBoundingSet_CAP_SYS_ADMIN",
        1500,
        Check::Capabilities(&["SYS_ADMIN"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_BOOT",
        "CapabilityBoundingSet_CAP_SYS_BOOT",
        100,
        Check::Capabilities(&["SYS_BOOT"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_CHROOT",
        "CapabilityBoundingSet_CAP_SYS_CHROOT",
        50,
        Check::Capabilities(&["SYS_CHROOT"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_MODULE",
        "CapabilityBoundingSet_CAP_SYS_MODULE",
        1000,
        Check::Capabilities(&["SYS_MODULE"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_PACCT",
        "CapabilityBoundingSet_CAP_SYS_PACCT",
        25,
        Check::Capabilities(&["SYS_PACCT"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_PTRACE",
        "CapabilityBoundingSet_CAP_SYS_PTRACE",
        1500,
        Check::Capabilities(&["SYS_PTRACE"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_RAWIO",
        "CapabilityBoundingSet_CAP_SYS_RAWIO",
        1000,
        Check::Capabilities(&["SYS_RAWIO"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_TIME",
        "CapabilityBoundingSet_CAP_SYS_TIME",
        1000,
        Check::Capabilities(&["SYS_TIME"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_SYS_TTY_CONFIG",
        "CapabilityBoundingSet_CAP_SYS_TTY_CONFIG",
        25,
        Check::Capabilities(&["SYS_TTY_CONFIG"]),
    ),
    row(
        "CapabilityBoundingSet=~CAP_WAKE_ALARM",
        "CapabilityBoundingSet_CAP_WAKE_ALARM",
        25,
        Check::Capabilities(&["WAKE_ALARM"]),
    ),
    row("Delegate=", "Delegate", 100, Check::Delegate),
    row("DeviceAllow=", "DeviceAllow", 1000, Check::DeviceAllow),
    row("IPAddressDeny=", "IPAddressDeny", 1000, Check::IpAddressDeny),
    row("KeyringMode=", "KeyringMode", 1000, Check::KeyringMode),
    row("LockPersonality=", "LockPersonality", 100, Check::On(Switch::LockPersonality)),
    row("MemoryDenyWriteExecute=", "MemoryDenyWriteExecute", 100, Check::On(Switch::MemoryDenyWriteExecute)),
    row("NoNewPrivileges=", "NoNewPrivileges", 1000, Check::On(Switch::NoNewPrivileges)),
    row("NotifyAccess=", "NotifyAccess", 1000, Check::NotifyAccess),
    row("PrivateDevices=", "PrivateDevices", 1000, Check::On(Switch::PrivateDevices)),
    row("PrivateMounts=", "PrivateMounts", 1000, Check::On(Switch::PrivateMounts)),
    row("PrivateNetwork=", "PrivateNetwork", 2500, Check::On(Switch::PrivateNetwork)),
    row("PrivateTmp=", "PrivateTmp", 1000, Check::On(Switch::PrivateTmp)),
    row("PrivateUsers=", "PrivateUsers", 1000, Check::On(Switch::PrivateUsers)),
    row("ProcSubset=", "ProcSubset", 10, Check::ProcSubset),
    row("ProtectClock=", "ProtectClock", 1000, Check::On(Switch::ProtectClock)),
    row("ProtectControlGroups=", "ProtectControlGroups", 1000, Check::On(Switch::ProtectControlGroups)),
    row("ProtectHome=", "ProtectHome", 1000, Check::ProtectHome),
    row("ProtectHostname=", "ProtectHostname", 50, Check::On(Switch::ProtectHostname)),
    row("ProtectKernelLogs=", "ProtectKernelLogs", 1000, Check::On(Switch::ProtectKernelLogs)),
    row("ProtectKernelModules=", "ProtectKernelModules", 1000, Check::On(Switch::ProtectKernelModules)),
    row("ProtectKernelTunables=", "ProtectKernelTunables", 1000, Check::On(Switch::ProtectKernelTunables)),
    row("ProtectProc=", "ProtectProc", 1000, Check::ProtectProc),
    row("ProtectSystem=", "ProtectSystem", 1000, Check::ProtectSystem),
    row("RemoveIPC=", "RemoveIPC", 100, Check::RemoveIpc),
    row(
        "RestrictAddressFamilies=~AF_(INET|INET6)",
        "RestrictAddressFamilies_AF_INET_INET6",
        1500,
        Check::Families(&["AF_INET", "AF_INET6"]),
    ),
    row(
        "RestrictAddressFamilies=~AF_NETLINK",
        "RestrictAddressFamilies_AF_NETLINK",
        200,
        Check::Families(&["AF_NETLINK"]),
    ),
    row(
        "RestrictAddressFamilies=~AF_PACKET",
        "RestrictAddressFamilies_AF_PACKET",
        1000,
        Check::Families(&["AF_PACKET"]),
    ),
    row("RestrictAddressFamilies=~AF_UNIX", "RestrictAddressFamilies_AF_UNIX", 25, Check::Families(&["AF_UNIX"])),
    row("RestrictAddressFamilies=~…", "RestrictAddressFamilies_OTHER", 1250, Check::ExoticFamilies),
    row("RestrictNamespaces=~cgroup", "RestrictNamespaces_cgroup", 500, Check::Namespace("cgroup")),
    row("RestrictNamespaces=~ipc", "RestrictNamespaces_ipc", 500, Check::Namespace("ipc")),
    row("RestrictNamespaces=~mnt", "RestrictNamespaces_mnt", 500, Check::Namespace("mnt")),
    row("RestrictNamespaces=~net", "RestrictNamespaces_net", 500, Check::Namespace("net")),
    row("RestrictNamespaces=~pid", "RestrictNamespaces_pid", 500, Check::Namespace("pid")),
    row("RestrictNamespaces=~user", "RestrictNamespaces_user", 1500, Check::Namespace("user")),
    row("RestrictNamespaces=~uts", "RestrictNamespaces_uts", 100, Check::Namespace("uts")),
    row("RestrictRealtime=", "RestrictRealtime", 500, Check::On(Switch::RestrictRealtime)),
    row("RestrictSUIDSGID=", "RestrictSUIDSGID", 1000, Check::On(Switch::RestrictSuidSgid)),
    row("RootDirectory=/RootImage=", "RootDirectoryOrRootImage", 200, Check::Root),
    row("SupplementaryGroups=", "SupplementaryGroups", 200, Check::SupplementaryGroups),
    row("SystemCallArchitectures=", "SystemCallArchitectures", 1000, Check::SystemCallArchitectures),
    row("SystemCallFilter=~@clock", "SystemCallFilter_clock", 1000, Check::SystemCalls("@clock")),
    row(
        "SystemCallFilter=~@cpu-emulation",
        "SystemCallFilter_cpu_emulation",
        250,
        Check::SystemCalls("@cpu-emulation"),
    ),
    row("SystemCallFilter=~@debug", "SystemCallFilter_debug", 1000, Check::SystemCalls("@debug")),
    row("SystemCallFilter=~@module", "SystemCallFilter_module", 1000, Check::SystemCalls("@module")),
    row("SystemCallFilter=~@mount", "SystemCallFilter_mount", 1000, Check::SystemCalls("@mount")),
    row("SystemCallFilter=~@obsolete", "SystemCallFilter_obsolete", 250, Check::SystemCalls("@obsolete")),
    row("SystemCallFilter=~@privileged", "SystemCallFilter_privileged", 700, Check::SystemCalls("@privileged")),
    row("SystemCallFilter=~@raw-io", "SystemCallFilter_raw_io", 1000, Check::SystemCalls("@raw-io")),
    row("SystemCallFilter=~@reboot", "SystemCallFilter_reboot", 1000, Check::SystemCalls("@reboot")),
    row("SystemCallFilter=~@resources", "SystemCallFilter_resources", 700, Check::SystemCalls("@resources")),
    row("SystemCallFilter=~@swap", "SystemCallFilter_swap", 1000, Check::SystemCalls("@swap")),
    row("UMask=", "UMask", 100, Check::Umask),
    row("User=/DynamicUser=", "UserOrDynamicUser", 2000, Check::User),
];
