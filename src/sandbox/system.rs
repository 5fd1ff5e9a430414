//! The calls of Linux that no library wraps safely: the only unsafe code of the program.
//!
//! Comes in: numbers, buffers and open files. Goes out: results of the system as [`io::Result`]. Always holds: pointers
//! handed to the kernel are to live values of this process whose size is handed over with them; addresses inside another
//! process are never looked at directly.

#![expect(unsafe_code, reason = "clone(2), seccomp(2) and the memory of another process have no safe wrapper")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libc::{c_int, c_long, c_uint, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};

/// A process that was started, as its parent numbers it.
pub(super) type ProcessId = u32;

/// Continues in two processes, as fork(2) does; the new one is in new `namespaces` (`CLONE_NEW…`).
///
/// Returns the number of the new process, or `None` in it.
///
/// # Errors
/// When the system refuses.
pub(super) fn fork_into(namespaces: c_int) -> io::Result<Option<ProcessId>> {
    // Memory of a process with threads could be copied in the middle of a change by another thread, and stay so.
    assert_eq!(thread_count()?, 1, "only a process with one thread is forked");
    let flags = namespaces as c_long | c_long::from(libc::SIGCHLD);
    // SAFETY: without a stack and without CLONE_VM, clone(2) is fork(2): nothing is shared with the new process.
    let answer = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match check(answer)? {
        0 => Ok(None),
        process => Ok(ProcessId::try_from(process).ok()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the number of threads is only a guard; no path to tell of")]
fn thread_count() -> io::Result<usize> {
    // Where /proc cannot be seen there is nothing to count in; the callers are started as programs of their own.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(1))
}

/// Ends this process at once, without what a program does when it ends.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: _exit(2) takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Kills every process of this PID namespace but the caller, which is the first one there.
///
/// # Panics
/// When the caller is not the first: it would kill what it has no business with.
pub(super) fn kill_all() {
    assert_eq!(std::process::id(), 1, "only the first process of a namespace kills all others");
    // SAFETY: kill(2) takes no pointers. It fails when there is no process left, which is what is wanted.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Sets every open file from `first` on to be closed when a program is executed; `now` closes it at once.
///
/// # Errors
/// When the system refuses.
pub(super) fn close_from(first: c_uint, now: bool) -> io::Result<()> {
    let flags = if now { 0 } else { libc::CLOSE_RANGE_CLOEXEC };
    // SAFETY: close_range(2) takes no pointers. With `now` it is called before any such file is owned by a value.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, flags) }).map(drop)
}

/// Brings the loopback interface of the network namespace up.
///
/// # Errors
/// When the system refuses.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: all bytes zero is a value of this plain structure.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq.
    check(c_long::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) })).map(drop)
}

/// Puts this process and all that come from it under a seccomp filter for ever; returns where its questions arrive.
///
/// # Errors
/// When the system refuses, or does not know `SECCOMP_RET_USER_NOTIF` (Linux 5.0).
pub(super) fn install_filter(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the kernel reads `len` instructions from `filter`, which outlives the call, and copies them.
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
    };
    // With the second flag (Linux 5.19) a signal does not interrupt a call that is being answered.
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let descriptor = install(listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).or_else(|_| install(listener))?;
    // SAFETY: the kernel has just made this descriptor for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as c_int) })
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// The number that the answer is given to.
    pub(super) id: u64,
    /// The thread that called, as this process numbers it.
    pub(super) thread: u32,
    /// The number of the system call.
    pub(super) call: c_long,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel does what was asked.
    Continue,
    /// It is done.
    Done,
    /// It failed with this number of an error.
    Failed(i32),
}

/// Asks the kernel to hand over to the answering process and back on one processor (Linux 6.6); without it all works too.
pub(super) fn answer_quickly(listener: impl AsFd) {
    const SYNC_WAKE_UP: u64 = 1;
    // SAFETY: takes a number, no pointer.
    unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}

/// Takes the next question; `None` when whoever asked is gone.
///
/// # Errors
/// When the system refuses.
pub(super) fn next_question(listener: impl AsFd) -> io::Result<Option<Question>> {
    // SAFETY: all bytes zero is a value of this plain structure, and what the kernel asks for.
    let mut notification: seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: SECCOMP_IOCTL_NOTIF_RECV writes one seccomp_notif.
    let answer =
        unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) };
    match check(c_long::from(answer)) {
        Ok(_) => Ok(Some(Question {
            id: notification.id,
            thread: notification.pid,
            call: c_long::from(notification.data.nr),
            arguments: notification.data.args,
        })),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells whether whoever asked still waits: what was read of it before was its own.
pub(super) fn is_waiting(listener: impl AsFd, question: &Question) -> bool {
    // SAFETY: SECCOMP_IOCTL_NOTIF_ID_VALID reads one u64.
    let answer = unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const question.id)
    };
    answer == 0
}

/// Answers a question; whoever asked may be gone by now, which is no error.
///
/// # Errors
/// When the system refuses.
pub(super) fn answer(listener: impl AsFd, question: &Question, answer: Answer) -> io::Result<()> {
    const CONTINUE: u32 = 1;
    let (error, flags) = match answer {
        Answer::Continue => (0, CONTINUE),
        Answer::Done => (0, 0),
        Answer::Failed(number) => (-number, 0),
    };
    let response = seccomp_notif_resp { id: question.id, val: 0, error, flags };
    // SAFETY: SECCOMP_IOCTL_NOTIF_SEND reads one seccomp_notif_resp.
    let sent =
        unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
    match check(c_long::from(sent)) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// Reads the text up to a zero byte at `address` of another process, at most `limit` bytes.
///
/// # Errors
/// `ENAMETOOLONG` when it is longer, `EFAULT` when it ends where nothing is.
pub(super) fn read_text(thread: u32, address: u64, limit: usize) -> io::Result<Vec<u8>> {
    const PAGE: u64 = 4096;
    let mut text = Vec::new();
    let mut place = address;
    while text.len() < limit {
        // One page after the other: the next one may not be there, and nothing would be read at all.
        let mut page = [0_u8; PAGE as usize];
        let length = (PAGE - place % PAGE) as usize;
        let local = libc::iovec { iov_base: page.as_mut_ptr().cast(), iov_len: length };
        let remote = libc::iovec { iov_base: place as *mut libc::c_void, iov_len: length };
        // SAFETY: `local` is a live buffer of at least `length` bytes; `remote` is only an address to the kernel.
        let count =
            unsafe { libc::process_vm_readv(thread as libc::pid_t, &raw const local, 1, &raw const remote, 1, 0) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        match page[..count].iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(&page[..end]);
                return Ok(text);
            }
            None if count < length => return Err(io::Error::from_raw_os_error(libc::EFAULT)),
            None => text.extend_from_slice(&page[..count]),
        }
        place = place.wrapping_add(count as u64);
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

/// What is written into the memory of another process: a structure of the kernel without pointers.
pub(super) trait Plain: Copy {}
impl Plain for libc::stat {}
impl Plain for libc::statx {}

/// Writes `value` to `address` of another process.
///
/// # Errors
/// `EFAULT` when nothing is there.
pub(super) fn write_value<T: Plain>(thread: u32, address: u64, value: &T) -> io::Result<()> {
    let length = size_of::<T>();
    let local = libc::iovec { iov_base: (&raw const *value).cast_mut().cast(), iov_len: length };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: length };
    // SAFETY: the kernel reads `length` bytes of the live `value`; `remote` is only an address to the kernel.
    let count = unsafe { libc::process_vm_writev(thread as libc::pid_t, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(count) {
        Ok(count) if count == length => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Returns what newfstatat(2) tells of an open file, in the structure that programs know.
///
/// # Errors
/// When the system refuses.
pub(super) fn stat(file: impl AsFd) -> io::Result<libc::stat> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the path is empty and ends with zero; the kernel writes one stat.
    check(unsafe {
        libc::syscall(libc::SYS_newfstatat, file, c"".as_ptr(), status.as_mut_ptr(), libc::AT_EMPTY_PATH)
    })?;
    // SAFETY: zeroed, then filled.
    Ok(unsafe { status.assume_init() })
}

/// Returns what statx(2) tells of an open file when it is asked with `flags` and `mask`.
///
/// # Errors
/// When the system refuses.
pub(super) fn statx(file: impl AsFd, flags: c_int, mask: c_uint) -> io::Result<libc::statx> {
    let mut status = MaybeUninit::<libc::statx>::zeroed();
    let file = file.as_fd().as_raw_fd();
    let flags = flags | libc::AT_EMPTY_PATH;
    // SAFETY: the path is empty and ends with zero; the kernel writes one statx.
    check(unsafe { libc::syscall(libc::SYS_statx, file, c"".as_ptr(), flags, mask, status.as_mut_ptr()) })?;
    // SAFETY: zeroed, then filled.
    Ok(unsafe { status.assume_init() })
}

fn check(answer: c_long) -> io::Result<c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
