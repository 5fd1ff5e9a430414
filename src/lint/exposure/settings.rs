//! The settings of a service that an assessor looks at.

use std::collections::{BTreeMap, BTreeSet};

use super::RefusedService;
use super::addresses::Networks;
use super::capabilities::CapabilitySet;
use super::directives::{self, ProtectHome, ProtectProc, ProtectSystem, SWITCHES, Switch};
use super::families::Families;
use super::namespaces::NamespaceSet;
use super::system_calls::SystemCalls;
use super::unit_file::Assignment;
use super::words;

/// What a service sets, after all its assignments.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    switches: BTreeMap<Switch, bool>,
    protect_system: ProtectSystem,
    protect_home: ProtectHome,
    pub(super) protect_proc: ProtectProc,
    pub(super) is_proc_subset: bool,
    user: String,
    pub(super) has_supplementary_groups: bool,
    pub(super) root: BTreeMap<&'static str, String>,
    bounding: CapabilitySet,
    pub(super) ambient: CapabilitySet,
    pub(super) families: Families,
    pub(super) namespaces: NamespaceSet,
    pub(super) system_calls: SystemCalls,
    pub(super) architectures: BTreeSet<String>,
    pub(super) denied: Networks,
    pub(super) allowed: Networks,
    is_device_policy_closed: bool,
    devices: usize,
    /// Devices that other settings allow.
    implied_devices: BTreeSet<&'static str>,
    pub(super) is_keyring_private: bool,
    pub(super) is_delegated: bool,
    pub(super) do_all_notify: bool,
    pub(super) umask: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            switches: BTreeMap::new(),
            protect_system: ProtectSystem::default(),
            protect_home: ProtectHome::default(),
            protect_proc: ProtectProc::default(),
            is_proc_subset: false,
            user: String::new(),
            has_supplementary_groups: false,
            root: BTreeMap::new(),
            bounding: CapabilitySet::ALL,
            ambient: CapabilitySet::NONE,
            families: Families::default(),
            namespaces: NamespaceSet::default(),
            system_calls: SystemCalls::default(),
            architectures: BTreeSet::new(),
            denied: Networks::default(),
            allowed: Networks::default(),
            is_device_policy_closed: false,
            devices: 0,
            implied_devices: BTreeSet::new(),
            is_keyring_private: true,
            is_delegated: false,
            do_all_notify: false,
            umask: 0o022,
        }
    }
}

/// How a service's user is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    Root,
    Nobody,
    Static,
    Dynamic,
}

impl Settings {
    /// Applies one assignment. A value that systemd does not understand changes nothing, as there.
    pub(super) fn assign(&mut self, assignment: &Assignment) -> Result<(), RefusedService> {
        let value = assignment.value.as_str();
        if let Some((switch, _, also_on)) = SWITCHES.iter().find(|(_, key, _)| *key == assignment.key) {
            let read = if also_on.contains(&value) { Some(true) } else { words::boolean(value) };
            if value.is_empty() && *switch == Switch::PrivateMounts {
                self.switches.remove(switch);
            }
            self.switches.extend(read.map(|is_on| (*switch, is_on)));
            return Ok(());
        }
        match assignment.key.as_str() {
            "User" => self.user = user(assignment)?,
            "RootDirectory" | "RootImage" => self.assign_root(assignment)?,
            "SupplementaryGroups" => self.has_supplementary_groups = !value.is_empty(),
            "CapabilityBoundingSet" => self.bounding.assign(value, CapabilitySet::ALL),
            "AmbientCapabilities" => self.ambient.assign(value, CapabilitySet::NONE),
            "RestrictAddressFamilies" => self.families.assign(value),
            "RestrictNamespaces" => self.namespaces.assign(value),
            "SystemCallFilter" => self.system_calls.assign(value),
            "IPAddressDeny" => self.denied.assign(value),
            "IPAddressAllow" => self.allowed.assign(value),
            "SystemCallArchitectures" if value.is_empty() => self.architectures.clear(),
            "SystemCallArchitectures" => {
                let words = words::split(value).into_iter();
                self.architectures.extend(words.filter(|word| ARCHITECTURES.contains(&word.as_str())));
            }
            _ => self.assign_choice(&assignment.key, value),
        }
        Ok(())
    }

    /// Applies an assignment whose value is one of a few words.
    fn assign_choice(&mut self, key: &str, value: &str) {
        match (key, value) {
            ("ProtectSystem", _) => replace(&mut self.protect_system, ProtectSystem::read(value)),
            ("ProtectHome", _) => replace(&mut self.protect_home, ProtectHome::read(value)),
            ("ProtectProc", _) => replace(&mut self.protect_proc, ProtectProc::read(value)),
            ("ProcSubset", "all" | "pid") => self.is_proc_subset = value == "pid",
            ("KeyringMode", "inherit" | "private" | "shared") => self.is_keyring_private = value == "private",
            ("NotifyAccess", "none" | "main" | "exec" | "all") => self.do_all_notify = value == "all",
            ("Delegate", _) => self.is_delegated = words::boolean(value).unwrap_or(true),
            ("UMask", "") => self.umask = 0o022,
            ("UMask", _) => replace(&mut self.umask, directives::umask(value)),
            ("DevicePolicy", "auto" | "closed" | "strict") => self.is_device_policy_closed = value != "auto",
            ("DeviceAllow", "") => self.devices = 0,
            ("DeviceAllow", _) => self.devices += usize::from(directives::is_device(value)),
            ("MountImages" | "LoadCredentialEncrypted", "") => drop(self.implied_devices.remove(key_of(key))),
            ("MountImages" | "LoadCredentialEncrypted", _) => drop(self.implied_devices.insert(key_of(key))),
            _ => {}
        }
    }

    fn assign_root(&mut self, assignment: &Assignment) -> Result<(), RefusedService> {
        let key = if assignment.key == "RootImage" { "RootImage" } else { "RootDirectory" };
        let path = assignment.value.as_str();
        if path.is_empty() {
            self.root.remove(key);
            return Ok(());
        }
        if !path.starts_with('/') {
            return Err(refused(assignment, "the path is not absolute"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(refused(assignment, "the path holds `..`"));
        }
        let simple: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        self.root.insert(key, simple.join("/"));
        Ok(())
    }

    /// Tells whether a switch is on, by its own directive or by one that implies it.
    pub(super) fn is_on(&self, switch: Switch) -> bool {
        let implied = [Switch::NoNewPrivileges, Switch::PrivateTmp, Switch::RemoveIpc, Switch::RestrictSuidSgid];
        let written = self.switches.get(&switch).copied();
        let is_default = switch == Switch::PrivateMounts;
        implied.contains(&switch) && self.is_dynamic() || written.unwrap_or(is_default)
    }

    fn is_dynamic(&self) -> bool {
        self.switches.get(&Switch::DynamicUser) == Some(&true)
    }

    /// Returns `ProtectSystem=`; a dynamic user may write nothing.
    pub(super) fn protect_system(&self) -> ProtectSystem {
        if self.is_dynamic() { ProtectSystem::Strict } else { self.protect_system }
    }

    /// Returns `ProtectHome=`; a dynamic user reads at most.
    pub(super) fn protect_home(&self) -> ProtectHome {
        match self.protect_home {
            ProtectHome::No if self.is_dynamic() => ProtectHome::ReadOnly,
            written => written,
        }
    }

    /// Returns how the user of the service is seen.
    pub(super) fn user(&self) -> User {
        match self.user.as_str() {
            "nobody" => User::Nobody,
            "root" | "0" => User::Root,
            _ if self.is_dynamic() => User::Dynamic,
            "" => User::Root,
            _ => User::Static,
        }
    }

    /// Returns the capabilities that the service can have, without those that other settings take.
    pub(super) fn bounding(&self) -> CapabilitySet {
        let mut bounding = self.bounding;
        for (switch, names) in TAKEN {
            if self.is_on(switch) {
                names.iter().for_each(|name| bounding.remove(name));
            }
        }
        bounding
    }

    /// Tells whether devices are denied unless they are allowed.
    pub(super) fn has_device_list(&self) -> bool {
        self.is_device_policy_closed || self.is_on(Switch::PrivateDevices)
    }

    /// Tells whether some device is allowed. Settings that need one allow it.
    pub(super) fn has_devices(&self) -> bool {
        let needs_loop = self.root.contains_key("RootImage");
        self.devices > 0 || needs_loop || !self.implied_devices.is_empty() || self.is_on(Switch::ProtectClock)
    }
}

/// Capabilities that a setting takes.
const TAKEN: [(Switch, &[&str]); 4] = [
    (Switch::PrivateDevices, &["MKNOD", "SYS_RAWIO"]),
    (Switch::ProtectClock, &["SYS_TIME", "WAKE_ALARM"]),
    (Switch::ProtectKernelLogs, &["SYSLOG"]),
    (Switch::ProtectKernelModules, &["SYS_MODULE"]),
];

/// Architectures that `SystemCallArchitectures=` knows: systemd.exec(5), `ConditionArchitecture=`.
const ARCHITECTURES: [&str; 20] = [
    "native",
    "x86",
    "x86-64",
    "x32",
    "arm",
    "arm64",
    "loongarch64",
    "mips",
    "mips64",
    "mips64-n32",
    "mips-le",
    "mips64-le",
    "mips64-le-n32",
    "parisc",
    "parisc64",
    "ppc",
    "ppc64",
    "ppc64-le",
    "riscv64",
    "s390x",
];

fn key_of(key: &str) -> &'static str {
    if key == "MountImages" { "MountImages" } else { "LoadCredentialEncrypted" }
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn refused(assignment: &Assignment, what: &str) -> RefusedService {
    let value: String = assignment.value.escape_debug().collect();
    RefusedService { reason: format!("line {}: `{}={value}`: {what}", assignment.line, assignment.key) }
}

/// Reads the name or number of a user. The manager is root's; other specifiers cannot be told and name some user.
fn user(assignment: &Assignment) -> Result<String, RefusedService> {
    let name = assignment.value.replace("%u", "root").replace("%U", "0");
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let number = name.parse::<u32>().ok().filter(|number| *number != u32::MAX && *number != 0xffff);
    if is_number && (number.is_none() || name.len() > 1 && name.starts_with('0')) || name.starts_with('-') {
        return Err(refused(assignment, "this is no user"));
    }
    Ok(name)
}
