//! The seccomp filter of a command.
//!
//! Comes in: whether there is only one id. Goes out: a BPF program (`seccomp(2)`). Always holds: what is asked of the
//! supervisor is exactly what [`super::supervisor`] answers; pointers are never judged, because a caller can change what
//! they point to after the judgement.

use libc::{c_long, sock_filter};

use super::Privilege;

/// The architecture whose numbers of system calls the program knows (`linux/audit.h`).
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else if cfg!(target_arch = "riscv64") {
    0xC000_00F3
} else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
    0xC000_0015
} else if cfg!(target_arch = "s390x") {
    0x8000_0016
} else {
    panic!("the numbers of this architecture's system calls are not known")
};

/// Where a program of the kernel finds what it judges (`struct seccomp_data`).
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;
/// The bit that marks calls of the x32 interface, which have other numbers.
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;
const fn fail(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// When a rule holds.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    /// When any of these bits of an argument is set.
    AnyOf(u32, u32),
    /// When the type in a mode, which is this argument, is a device.
    Device(u32),
}

/// What is done about one system call.
#[derive(Debug, Clone, Copy)]
struct Rule(c_long, When, u32);

/// Returns the program.
pub(super) fn program(privilege: Privilege) -> Vec<sock_filter> {
    let foreign = match privilege {
        // Nothing is lost: there, ids are real, and the limits of the namespaces hold for every architecture.
        Privilege::Root | Privilege::Subordinate => ALLOW,
        Privilege::Single => libc::SECCOMP_RET_KILL_PROCESS,
    };
    let mut program =
        vec![load(ARCHITECTURE_OFFSET), jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0), answer(foreign), load(NUMBER_OFFSET)];
    if cfg!(target_arch = "x86_64") {
        program.extend([jump(libc::BPF_JGE, X32, 0, 1), answer(fail(libc::ENOSYS))]);
    }
    for rule in rules(privilege) {
        let block = block(rule);
        // The longest block has six instructions.
        program.push(jump(libc::BPF_JEQ, rule.0 as u32, 0, block.len() as u8));
        program.extend(block);
    }
    program.push(answer(ALLOW));
    program
}

fn block(Rule(_, when, action): Rule) -> Vec<sock_filter> {
    match when {
        When::Always => vec![answer(action)],
        When::AnyOf(argument, bits) => {
            vec![load_argument(argument), jump(libc::BPF_JSET, bits, 0, 1), answer(action), answer(ALLOW)]
        }
        When::Device(argument) => vec![
            load_argument(argument),
            instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, libc::S_IFMT),
            jump(libc::BPF_JEQ, libc::S_IFCHR, 2, 0),
            jump(libc::BPF_JEQ, libc::S_IFBLK, 1, 0),
            answer(ALLOW),
            answer(action),
        ],
    }
}

fn rules(privilege: Privilege) -> Vec<Rule> {
    let mut rules: Vec<Rule> = match privilege {
        Privilege::Single => OWNERS.iter().map(|call| Rule(*call, When::Always, ASK)).collect(),
        Privilege::Root | Privilege::Subordinate => Vec::new(),
    };
    rules.push(Rule(libc::SYS_mknodat, When::Device(2), ASK));
    #[cfg(target_arch = "x86_64")]
    rules.push(Rule(libc::SYS_mknod, When::Device(1), ASK));
    rules.extend(SYNC.iter().map(|call| Rule(*call, When::Always, fail(0))));
    rules.extend(REFUSED.iter().map(|call| Rule(*call, When::Always, fail(libc::EPERM))));
    // Programs that are told that these are not there do without them: the flags of clone3 are behind a pointer, and
    // what goes through io_uring never meets a filter.
    rules.extend(UNKNOWN.iter().map(|call| Rule(*call, When::Always, fail(libc::ENOSYS))));
    rules.push(Rule(libc::SYS_clone, When::AnyOf(0, NAMESPACE_FLAGS), fail(libc::EPERM)));
    rules
}

/// The namespaces that clone(2) makes; more of them would give a command all capabilities in them.
const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// What the supervisor answers where there is only one id.
pub(super) const OWNERS: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
];

/// What makes writes durable.
const SYNC: &[c_long] =
    &[libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range];

const UNKNOWN: &[c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// What no script needs. Most of it needs capabilities that a command does not have: the kernel is not even asked.
const REFUSED: &[c_long] = &[
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

/// Loads the lower half of an argument: flags and modes have 32 bits.
fn load_argument(argument: u32) -> sock_filter {
    load(ARGUMENTS_OFFSET + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 })
}

fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action)
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(condition: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | condition | libc::BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel does.
    fn judge(program: &[sock_filter], architecture: u32, call: c_long, arguments: [u64; 6]) -> u32 {
        let mut data = [call as u32, architecture, 0, 0].map(u32::to_ne_bytes).concat();
        data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
        let (mut value, mut place) = (0_u32, 0);
        loop {
            let step = program[place];
            place += 1;
            let code = u32::from(step.code);
            let mut branch = |taken: bool| place += usize::from(if taken { step.jt } else { step.jf });
            match (code & 7, code & 0xf0) {
                (libc::BPF_LD, _) => {
                    let offset = step.k as usize;
                    value = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                (libc::BPF_ALU, libc::BPF_AND) => value &= step.k,
                (libc::BPF_JMP, libc::BPF_JEQ) => branch(value == step.k),
                (libc::BPF_JMP, libc::BPF_JGE) => branch(value >= step.k),
                (libc::BPF_JMP, libc::BPF_JSET) => branch(value & step.k != 0),
                (libc::BPF_RET, _) => return step.k,
                other => panic!("unknown instruction {other:?}"),
            }
        }
    }

    fn native(privilege: Privilege, call: c_long, arguments: [u64; 6]) -> u32 {
        judge(&program(privilege), ARCHITECTURE, call, arguments)
    }

    #[test]
    fn owners_are_asked_for_with_one_id_only() {
        for call in OWNERS {
            assert_eq!(native(Privilege::Single, *call, [0; 6]), ASK, "{call}");
            assert_eq!(native(Privilege::Root, *call, [0; 6]), ALLOW, "{call}");
            assert_eq!(native(Privilege::Subordinate, *call, [0; 6]), ALLOW, "{call}");
        }
    }

    #[test]
    fn devices_are_asked_for_always() {
        for privilege in [Privilege::Root, Privilege::Subordinate, Privilege::Single] {
            for (kind, expected) in [
                (libc::S_IFCHR, ASK),
                (libc::S_IFBLK, ASK),
                (libc::S_IFIFO, ALLOW),
                (libc::S_IFREG, ALLOW),
                (libc::S_IFSOCK, ALLOW),
                (0, ALLOW),
            ] {
                let mode = u64::from(kind | 0o644);
                assert_eq!(native(privilege, libc::SYS_mknodat, [0, 0, mode, 0, 0, 0]), expected, "{kind:o}");
                #[cfg(target_arch = "x86_64")]
                assert_eq!(native(privilege, libc::SYS_mknod, [0, mode, 0, 0, 0, 0]), expected, "{kind:o}");
            }
        }
    }

    #[test]
    fn nothing_makes_a_namespace() {
        for privilege in [Privilege::Root, Privilege::Single] {
            for call in [libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_ptrace] {
                assert_eq!(native(privilege, call, [0; 6]), fail(libc::EPERM));
            }
            assert_eq!(native(privilege, libc::SYS_clone3, [0; 6]), fail(libc::ENOSYS));
            let user = libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64;
            assert_eq!(native(privilege, libc::SYS_clone, [user, 0, 0, 0, 0, 0]), fail(libc::EPERM));
            let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
            assert_eq!(native(privilege, libc::SYS_clone, [thread, 0, 0, 0, 0, 0]), ALLOW);
        }
    }

    #[test]
    fn other_interfaces_are_no_way_around() {
        let foreign = |privilege| judge(&program(privilege), 0x4000_0003, 212, [0; 6]);
        assert_eq!(foreign(Privilege::Single), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(foreign(Privilege::Root), ALLOW);
        if cfg!(target_arch = "x86_64") {
            let x32 = c_long::from(X32) | libc::SYS_fchown;
            assert_eq!(native(Privilege::Single, x32, [0; 6]), fail(libc::ENOSYS));
        }
    }

    #[test]
    fn the_rest_is_as_it_is() {
        assert_eq!(native(Privilege::Single, libc::SYS_fsync, [3, 0, 0, 0, 0, 0]), fail(0));
        for call in [libc::SYS_openat, libc::SYS_execve, libc::SYS_renameat2, libc::SYS_fchmodat, libc::SYS_socket] {
            assert_eq!(native(Privilege::Single, call, [0; 6]), ALLOW);
        }
    }

    #[test]
    fn no_call_has_two_rules() {
        for privilege in [Privilege::Root, Privilege::Single] {
            let mut calls: Vec<_> = rules(privilege).iter().map(|rule| rule.0).collect();
            let all = calls.len();
            calls.sort_unstable();
            calls.dedup();
            assert_eq!(calls.len(), all);
        }
    }
}
