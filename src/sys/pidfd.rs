//! A process by a handle instead of a PID, which may be reused.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// Opens a handle of a process that becomes readable when it ends. Needs no permission.
///
/// # Errors
/// `ESRCH` where there is no such process, `EINVAL` for a thread that is no process, `ENOSYS` before Linux 5.3.
///
/// # References
/// pidfd_open(2).
pub fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel has just opened this file for this call, and it fits an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

pub fn has_ended(handle: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(handle, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
