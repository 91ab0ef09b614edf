//! Waiting for children that have ended, with the kernel's books of what they have used.
#![allow(unsafe_code)]

use std::mem;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::sys::fork::Ended;

/// The kernel's books of a process: all its threads, and all processes that it has waited for.
///
/// # References
/// getrusage(2): what a process that nobody waited for has used is not in it. Nor is the last switch of any thread, which
/// comes after the books are closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Switches of threads that had to wait.
    pub voluntary: u64,
    /// Switches of threads that could have gone on.
    pub involuntary: u64,
    /// User and system time together, which the kernel keeps more exactly than either; to the microsecond.
    pub cpu_ns: u64,
    /// Page faults that needed no input.
    pub minor_faults: u64,
    pub major_faults: u64,
}

/// A child that has ended and has been waited for.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    pub pid: Pid,
    pub ended: Ended,
    pub usage: Usage,
}

/// Has orphaned descendants of this process become its children from now on, so that it can wait for them.
///
/// # References
/// prctl(2), `PR_SET_CHILD_SUBREAPER`.
pub fn adopt_orphans() -> Result<()> {
    set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")
}

/// What children there are to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    None,
    AllAlive,
    /// This one has ended. It is left as it is until [`reap`]: its /proc entry can still be read.
    Ended(Pid),
}

/// Looks whether a child has ended, without waiting.
///
/// # Errors
/// What waitid answers; that there is no child is none.
pub fn children() -> Result<Children> {
    match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
        Ok(status) => Ok(status.pid().map_or(Children::AllAlive, Children::Ended)),
        Err(Errno::ECHILD) => Ok(Children::None),
        Err(Errno::EINTR) => Ok(Children::AllAlive),
        Err(errno) => Err(errno).context("waitid"),
    }
}

/// Waits for this child without blocking, or until it has ended; `None` when it has not, or a signal came.
///
/// # Errors
/// It is no child of this process: `ECHILD`.
pub fn reap(pid: Pid, block: bool) -> Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: rusage is plain integers, of which all may be 0.
    let mut used: libc::rusage = unsafe { mem::zeroed() };
    let flags = if block { 0 } else { libc::WNOHANG };
    // SAFETY: wait4 writes the two places, which outlive the call.
    let found = unsafe { libc::wait4(pid.as_raw(), &raw mut status, flags, &raw mut used) };
    match Errno::result(found) {
        Ok(0) | Err(Errno::EINTR) => return Ok(None),
        Ok(_) => {}
        Err(errno) => return Err(errno).context("waiting for a process"),
    }
    let ended = match WaitStatus::from_raw(pid, status).context("waiting for a process")? {
        WaitStatus::Exited(_, code) => Ended::Exited(code),
        WaitStatus::Signaled(_, signal, _) => Ended::Killed(signal),
        other => bail!("waiting for a process: {other:?}"),
    };
    Ok(Some(Reaped { pid, ended, usage: Usage::from(used) }))
}

impl From<libc::rusage> for Usage {
    fn from(used: libc::rusage) -> Usage {
        // None of these is ever negative; their C types are what differs between architectures.
        #[allow(clippy::useless_conversion, reason = "time_t, suseconds_t and c_long are 32 bits wide on some")]
        let count = |value: libc::c_long| u64::try_from(i64::from(value)).unwrap_or(0);
        #[allow(clippy::useless_conversion, reason = "time_t, suseconds_t and c_long are 32 bits wide on some")]
        let time_ns = |time: libc::timeval| {
            let part = |value: i64| u64::try_from(value).unwrap_or(0);
            part(i64::from(time.tv_sec)) * 1_000_000_000 + part(i64::from(time.tv_usec)) * 1000
        };
        Usage {
            voluntary: count(used.ru_nvcsw),
            involuntary: count(used.ru_nivcsw),
            cpu_ns: time_ns(used.ru_utime) + time_ns(used.ru_stime),
            minor_faults: count(used.ru_minflt),
            major_faults: count(used.ru_majflt),
        }
    }
}
