//! A process by a handle instead of a number, which another may get.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// A handle of a process that becomes readable when it ends. Takes no rights.
///
/// # Errors
/// `ESRCH` where there is no such process, `EINVAL` for what is a thread and no process, `ENOSYS` before Linux 5.3.
///
/// # References
/// pidfd_open(2).
pub fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel has just made this file for us, and it fits an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Whether the process has ended.
pub fn has_ended(handle: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(handle, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
