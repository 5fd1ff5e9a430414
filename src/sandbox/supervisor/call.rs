//! What a system call asks for.
//!
//! Comes in: its number and arguments. Goes out: a [`Call`]. Always holds: nothing is read but the arguments.

use libc::c_long;

use super::place::Spot;
use crate::sandbox::Device;
use crate::sandbox::system::Question;

/// A system call that the supervisor knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Another owner for a file.
    SetOwner { spot: Spot, uid: u32, gid: u32 },
    /// What is known of a file, into a `struct stat`.
    Stat { spot: Spot, buffer: u64 },
    /// What is known of a file, into a `struct statx`.
    Statx { spot: Spot, flags: i32, mask: u32, buffer: u64 },
    /// A device.
    MakeDevice(Node),
    /// Another user or group for the caller.
    Identity,
    /// Something that the filter does not ask for.
    Other,
}

/// A device to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) spot: Spot,
    pub(super) mode: u32,
    pub(super) device: Device,
}

impl Call {
    /// Reads the arguments of a call. The kernel, too, looks only at the lower half of those that are integers.
    pub(super) fn read(question: &Question) -> Self {
        let [first, second, third, fourth, fifth, _] = question.arguments;
        let here = |address| Spot::path(libc::AT_FDCWD, address);
        match question.call {
            libc::SYS_fchown => Self::SetOwner { spot: Spot::file(first), uid: second as u32, gid: third as u32 },
            libc::SYS_fchownat => {
                let spot = Spot::path(first as i32, second).with_flags(fifth as i32);
                Self::SetOwner { spot, uid: third as u32, gid: fourth as u32 }
            }
            libc::SYS_fstat => Self::Stat { spot: Spot::file(first), buffer: second },
            libc::SYS_newfstatat => {
                Self::Stat { spot: Spot::path(first as i32, second).with_flags(fourth as i32), buffer: third }
            }
            libc::SYS_statx => {
                let flags = third as i32;
                let spot = Spot::path(first as i32, second).with_flags(flags);
                Self::Statx { spot, flags, mask: fourth as u32, buffer: fifth }
            }
            libc::SYS_mknodat => Self::device(Spot::path(first as i32, second), third as u32, fourth),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mknod => Self::device(here(first), second as u32, third),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => Self::SetOwner { spot: here(first), uid: second as u32, gid: third as u32 },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => {
                Self::SetOwner { spot: here(first).without_following(), uid: second as u32, gid: third as u32 }
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => Self::Stat { spot: here(first), buffer: second },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => Self::Stat { spot: here(first).without_following(), buffer: second },
            call if IDENTITY.contains(&call) => Self::Identity,
            _ => Self::Other,
        }
    }

    fn device(spot: Spot, mode: u32, number: u64) -> Self {
        // The kernel takes the number in 32 bits (new_decode_dev).
        let number = number as u32;
        let device = Device {
            block: mode & libc::S_IFMT == libc::S_IFBLK,
            major: (number & 0x000f_ff00) >> 8,
            minor: number & 0xff | (number >> 12) & 0x000f_ff00,
        };
        Self::MakeDevice(Node { spot: spot.without_following(), mode, device })
    }
}

const IDENTITY: [c_long; 9] = [
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: c_long, arguments: [u64; 6]) -> Call {
        Call::read(&Question { id: 1, thread: 2, call, arguments })
    }

    #[test]
    fn knows_all_that_the_filter_asks_for() {
        for call in crate::sandbox::filter::OWNERS {
            assert_ne!(read(*call, [0; 6]), Call::Other, "{call}");
        }
    }

    #[test]
    fn reads_owners() {
        let call = read(libc::SYS_fchownat, [-100_i32 as u32 as u64, 16, 33, u64::from(u32::MAX), 0x100, 0]);
        let spot = Spot::path(-100, 16).without_following();
        assert_eq!(call, Call::SetOwner { spot, uid: 33, gid: u32::MAX });
        assert_eq!(read(libc::SYS_fchown, [5, 1, 2, 0, 0, 0]), Call::SetOwner { spot: Spot::file(5), uid: 1, gid: 2 });
    }

    #[test]
    fn reads_numbers_of_devices() {
        let number = libc::makedev(0x123, 0x45678);
        let Call::MakeDevice(node) = read(libc::SYS_mknodat, [3, 16, 0o060_640, number, 0, 0]) else { panic!() };
        assert_eq!(node.device, Device { block: true, major: 0x123, minor: 0x45678 });
    }
}
