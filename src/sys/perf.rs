//! perf ioctls that the perf crate does not offer.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Makes a tracepoint event count only what passes the filter, as `perf stat --filter` does.
///
/// # Errors
/// `EINVAL` when the kernel does not understand the filter for this event.
///
/// # References
/// perf_event_open(2), `PERF_EVENT_IOC_SET_FILTER`.
pub fn set_filter(event: &impl AsRawFd, filter: &CStr) -> io::Result<()> {
    const SET_FILTER: u64 = nix::request_code_write!(b'$', 6, size_of::<*const c_char>()) as u64;
    // SAFETY: the event is open for as long as it is borrowed; the kernel copies the string, which ends in a NUL.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), SET_FILTER as libc::Ioctl, filter.as_ptr()) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
