//! `SystemCallFilter=`.
//!
//! Only system calls of the groups that have an assessor change a score, and of those only the ones that x86-64 has: the
//! tool looks at the calls of the machine it runs on.

use std::collections::BTreeSet;

use super::{error_names, words};

/// Groups of systemd 257 with the assessed calls that they hold, nested groups included. Other groups hold none of them.
const GROUPS: [(&str, &[&str]); 14] = [
    ("@chown", &["chown", "fchown", "fchownat", "lchown"]),
    ("@clock", &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"]),
    ("@cpu-emulation", &["modify_ldt"]),
    ("@debug", &["lookup_dcookie", "perf_event_open", "pidfd_getfd", "ptrace"]),
    ("@module", &["delete_module", "finit_module", "init_module"]),
    (
        "@mount",
        &[
            "chroot",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "pivot_root",
            "umount2",
        ],
    ),
    (
        "@obsolete",
        &[
            "_sysctl",
            "afs_syscall",
            "create_module",
            "get_kernel_syms",
            "getpmsg",
            "putpmsg",
            "query_module",
            "security",
            "sysfs",
            "tuxcall",
            "uselib",
            "ustat",
            "vserver",
        ],
    ),
    (
        "@privileged",
        &[
            "_sysctl",
            "acct",
            "adjtimex",
            "bpf",
            "capset",
            "chown",
            "chroot",
            "clock_adjtime",
            "clock_settime",
            "delete_module",
            "fanotify_init",
            "fanotify_mark",
            "fchown",
            "fchownat",
            "finit_module",
            "init_module",
            "ioperm",
            "iopl",
            "kexec_file_load",
            "kexec_load",
            "lchown",
            "nfsservctl",
            "open_by_handle_at",
            "pivot_root",
            "quotactl",
            "quotactl_fd",
            "reboot",
            "setdomainname",
            "setfsuid",
            "setgroups",
            "sethostname",
            "setresuid",
            "setreuid",
            "settimeofday",
            "setuid",
            "swapoff",
            "swapon",
            "vhangup",
        ],
    ),
    ("@raw-io", &["ioperm", "iopl"]),
    ("@reboot", &["kexec_file_load", "kexec_load", "reboot"]),
    (
        "@resources",
        &[
            "ioprio_set",
            "mbind",
            "migrate_pages",
            "move_pages",
            "sched_setaffinity",
            "sched_setattr",
            "sched_setparam",
            "sched_setscheduler",
            "set_mempolicy",
            "set_mempolicy_home_node",
            "setpriority",
            "setrlimit",
        ],
    ),
    ("@setuid", &["setgroups", "setresuid", "setreuid", "setuid"]),
    ("@swap", &["swapoff", "swapon"]),
    (
        "@system-service",
        &[
            "capset",
            "chown",
            "fchown",
            "fchownat",
            "ioprio_set",
            "lchown",
            "mbind",
            "migrate_pages",
            "move_pages",
            "sched_setaffinity",
            "sched_setattr",
            "sched_setparam",
            "sched_setscheduler",
            "set_mempolicy",
            "set_mempolicy_home_node",
            "setfsuid",
            "setgroups",
            "setpriority",
            "setresuid",
            "setreuid",
            "setrlimit",
            "setuid",
        ],
    ),
];
/// Assessed calls that `@known` does not hold.
const NOT_KNOWN: [&str; 1] = ["nfsservctl"];

/// A list of system calls that are allowed, or of those that are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SystemCalls {
    /// Whether the list allows; nothing until the first says so.
    is_allow_list: Option<bool>,
    /// Assessed calls on the list.
    calls: BTreeSet<&'static str>,
}

/// How exposed a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filtered {
    /// None of its calls can be made.
    Fully,
    /// The list of allowed calls has some of them.
    Allowed,
    /// Not all of them are denied.
    NotDenied,
}

impl SystemCalls {
    /// Assigns a value: the first list decides whether calls are allowed or denied, later ones add or take away. A word
    /// may have the error that a call ends with; in a list of allowed calls it says that the call is not.
    pub(super) fn assign(&mut self, value: &str) {
        if value.is_empty() {
            *self = Self::default();
            return;
        }
        let (is_inverted, list) = value.strip_prefix('~').map_or((false, value), |list| (true, list));
        let is_allow_list = *self.is_allow_list.get_or_insert(!is_inverted);
        for word in words::split(list) {
            let (name, error) = word.split_once(':').map_or((&*word, None), |(name, error)| (name, Some(error)));
            if error.is_some_and(|error| !error_names::is_known(error)) {
                continue;
            }
            for call in assessed(name) {
                match (is_allow_list, is_inverted, error.is_some()) {
                    (true, false, true) => {}
                    (true, false, false) | (false, true, _) | (false, false, true) => {
                        self.calls.insert(call);
                    }
                    (true, true, _) | (false, false, false) => {
                        self.calls.remove(call);
                    }
                }
            }
        }
    }

    /// Tells how exposed the calls of `group` are.
    pub(super) fn filtered(&self, group: &str) -> Filtered {
        let mut calls = assessed(group).into_iter();
        match self.is_allow_list {
            Some(true) if calls.any(|call| self.calls.contains(call)) => Filtered::Allowed,
            Some(true) => Filtered::Fully,
            Some(false) if calls.all(|call| self.calls.contains(call)) => Filtered::Fully,
            Some(false) | None => Filtered::NotDenied,
        }
    }
}

/// Returns the assessed calls that a word names: a call, or a group.
fn assessed(name: &str) -> Vec<&'static str> {
    let all = || GROUPS.iter().flat_map(|(_, calls)| calls.iter().copied());
    match name {
        "@known" => all().filter(|call| !NOT_KNOWN.contains(call)).collect(),
        group if group.starts_with('@') => {
            GROUPS.iter().filter(|(known, _)| *known == group).flat_map(|(_, calls)| calls.iter().copied()).collect()
        }
        call => all().find(|known| *known == call).into_iter().collect(),
    }
}
