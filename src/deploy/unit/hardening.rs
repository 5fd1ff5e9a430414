//! What a unit may not do: systemd.exec(5), "Sandboxing", systemd.resource-control(5), "Network access".
//!
//! The strictest set under which an ordinary program runs, and one relaxation for each need. Left out on purpose:
//! `RemoveIPC=` removes what other units of the same user share, and `PrivateIPC=` with a `/dev/shm` of its own leaves
//! nothing to remove; `PrivatePIDs=` makes the program process 1, which ignores signals that it does not handle.

use super::Flavour;
use super::directories::Directories;
use super::program::Program;
use super::text::UnitText;
use crate::spec::Need;

/// Directives that no need changes.
const ALWAYS: [(&str, &str); 19] = [
    ("NoNewPrivileges", "yes"),
    ("UMask", "0077"),
    ("ProtectSystem", "strict"),
    ("PrivateTmp", "yes"),
    ("PrivateMounts", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("KeyringMode", "private"),
    ("LockPersonality", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallErrorNumber", "EPERM"),
    ("SystemCallFilter", "@system-service"),
    // Denied after they were allowed, because `@system-service` has them.
    ("SystemCallFilter", "~@privileged"),
    ("Delegate", "no"),
    ("NotifyAccess", "none"),
];

/// Adds the directives that harden the unit of `program`.
pub(super) fn write(unit: &mut UnitText, program: &Program<'_>, directories: &Directories) {
    let needs = |need| program.needs.contains(&need);
    for (key, value) in ALWAYS {
        unit.set(key, value);
    }
    if program.options.flavour == Flavour::Sysext {
        // The process that becomes a portable service opens its image first, and for dm-verity waits at a semaphore for
        // the host's udev, which cannot see it in a namespace: the service would never start.
        unit.set("PrivateIPC", "yes");
    }
    capabilities(unit, program);
    unit.set("ProtectHome", protect_home(program));
    network(unit, needs(Need::Network));
    if needs(Need::Devices) {
        unit.set("PrivateDevices", "no");
    } else {
        unit.set("PrivateDevices", "yes");
        unit.set("DevicePolicy", "closed");
        // Would add a device to those that are allowed.
        unit.set("ProtectClock", "yes");
    }
    if !directories.temporary.iter().any(|value| value.starts_with("/dev/shm:")) {
        unit.set("TemporaryFileSystem", "/dev/shm:mode=1777,nodev,nosuid,noexec");
    }
    if !needs(Need::Proc) {
        unit.set("ProtectProc", "invisible");
        // A runtime that compiles sizes itself by what /proc says of memory and processors.
        unit.set("ProcSubset", if needs(Need::Jit) { "all" } else { "pid" });
    }
    if !needs(Need::Jit) {
        unit.set("MemoryDenyWriteExecute", "yes");
    }
    if needs(Need::Namespaces) {
        unit.set("SystemCallFilter", "@mount");
    } else {
        unit.set("RestrictNamespaces", "yes");
    }
    if !needs(Need::Realtime) {
        unit.set("RestrictRealtime", "yes");
        unit.set("SystemCallFilter", "~@resources");
    }
    if needs(Need::Landlock) {
        unit.set("SystemCallFilter", "landlock_create_ruleset landlock_add_rule landlock_restrict_self");
    }
    if program.options.systemd.has(258) {
        unit.set("PrivateBPF", "yes");
    }
}

/// No capability, but for that of low ports; with it, users are those of the host, because ports belong to the host.
fn capabilities(unit: &mut UnitText, program: &Program<'_>) {
    if program.has_privileged_port() {
        unit.set("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE");
        unit.set("AmbientCapabilities", "CAP_NET_BIND_SERVICE");
    } else {
        unit.set("CapabilityBoundingSet", "");
        unit.set("AmbientCapabilities", "");
        unit.set("PrivateUsers", "yes");
    }
}

/// Homes are out of sight, or empty when a writable path is to be mounted in one, or read-only when the program is there.
fn protect_home(program: &Program<'_>) -> &'static str {
    let is_home = |path: &str| ["/home", "/root", "/run/user"].iter().any(|home| is_in(path, home));
    let program_path = program.command.first().map(String::as_str);
    if program_path.into_iter().chain(program.directory).any(is_home) {
        "read-only"
    } else if program.recipe.contract.writables.values().any(|writable| is_home(&writable.path.to_string())) {
        "tmpfs"
    } else {
        "yes"
    }
}

fn is_in(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn network(unit: &mut UnitText, is_needed: bool) {
    if is_needed {
        // Netlink tells a program the addresses of the host.
        unit.set("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK");
    } else {
        unit.set("PrivateNetwork", "yes");
        unit.set("IPAddressDeny", "any");
        unit.set("RestrictAddressFamilies", "AF_UNIX");
    }
}
