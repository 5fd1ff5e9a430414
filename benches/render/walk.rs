//! The least that finding out whether anything changed can take: every path is looked at once, by two threads.

use std::ffi::CString;
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};

use crate::Result;

/// The number of threads.
const THREADS: usize = 2;

/// Directories that nobody has looked at yet.
#[derive(Default)]
struct Queue {
    waiting: Vec<CString>,
    /// Threads that look at a directory and may find others.
    busy: usize,
}

/// Calls lstat(2) on everything below the directories.
pub(crate) fn walk(directories: &[&str]) -> Result<()> {
    let waiting =
        directories.iter().map(|directory| CString::new(*directory)).collect::<std::result::Result<_, _>>()?;
    let (queue, changed) = (Mutex::new(Queue { waiting, busy: 0 }), Condvar::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| work(&queue, &changed))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err(rustix::io::Errno::IO)))
    })?;
    Ok(())
}

fn work(queue: &Mutex<Queue>, changed: &Condvar) -> rustix::io::Result<()> {
    let mut found = Vec::new();
    let mut guard = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(directory) = guard.waiting.pop() {
            guard.busy += 1;
            drop(guard);
            let looked = look(&directory, &mut found);
            guard = queue.lock().unwrap_or_else(PoisonError::into_inner);
            guard.busy -= 1;
            guard.waiting.append(&mut found);
            changed.notify_all();
            looked?;
        } else if guard.busy == 0 {
            return Ok(());
        } else {
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Looks at everything in one directory; adds the directories in it to `found`.
fn look(path: &CString, found: &mut Vec<CString>) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if entry.file_type() == FileType::Directory {
            let child = [path.as_bytes(), b"/", name.to_bytes()].concat();
            found.push(CString::new(child).map_err(|_| rustix::io::Errno::INVAL)?);
        }
    }
    Ok(())
}
