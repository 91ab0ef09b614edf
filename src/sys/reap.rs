//! Waiting for children that have ended, with their resource usage (rusage).
#![allow(unsafe_code)]

use std::fmt;
use std::mem;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::unistd::Pid;

use crate::sys::signal::SignalNumber;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Killed(SignalNumber),
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited(code) => write!(out, "exited with code {code}"),
            Ended::Killed(signal) => write!(out, "was killed by {signal}"),
        }
    }
}

/// Resource usage of a process: all its threads, and all processes that it has waited for.
///
/// # References
/// getrusage(2): processes that were never waited for are not in it. Nor is the last switch of any thread, which comes after
/// accounting ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Switches of threads that blocked.
    pub voluntary: u64,
    /// Switches of threads that were runnable.
    pub involuntary: u64,
    /// Sum of user and system time, which the kernel measures more exactly than either; to the microsecond.
    pub cpu_ns: u64,
    /// System time.
    pub sys_ns: u64,
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

/// Makes orphaned descendants of this process its children from now on, so that it can wait for them.
///
/// # References
/// prctl(2), `PR_SET_CHILD_SUBREAPER`.
pub fn adopt_orphans() -> Result<()> {
    set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")
}

/// State of the children to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    None,
    AllAlive,
    /// This one has ended and stays a zombie until [`reap`]: its /proc entry can still be read.
    Ended(Pid),
    /// This one has made itself traced by this process, and is stopped at a signal until [`let_go`].
    Trapped(Pid),
}

/// Checks for an ended child, without waiting.
///
/// # Errors
/// The errno of waitid; that there is no child is no error.
pub fn children() -> Result<Children> {
    // SAFETY: siginfo_t is plain data, of which all may be 0; waitid leaves it so if no child has changed state.
    let mut seen: libc::siginfo_t = unsafe { mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel writes the struct, which outlives the call.
    let answer = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut seen, flags) };
    match Errno::result(answer) {
        Ok(_) => {}
        Err(Errno::ECHILD) => return Ok(Children::None),
        Err(Errno::EINTR) => return Ok(Children::AllAlive),
        Err(errno) => return Err(errno).context("waitid"),
    }
    // SAFETY: this is the field that waitid fills in, or left 0.
    let pid = Pid::from_raw(unsafe { seen.si_pid() });
    Ok(match seen.si_code {
        _ if pid.as_raw() == 0 => Children::AllAlive,
        libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED => Children::Ended(pid),
        _ => Children::Trapped(pid),
    })
}

/// Detaches a child that has made itself traced by this process, and passes on the signal at which it is stopped.
///
/// # References
/// ptrace(2): after `PTRACE_TRACEME` a program stops at each signal, and after execve, which sends it a SIGTRAP meant for the
/// tracer alone.
pub fn let_go(pid: Pid) {
    let mut status = 0;
    // SAFETY: waitpid writes the one place, which outlives the call; it consumes the state change of a stopped child.
    let found = unsafe { libc::waitpid(pid.as_raw(), &raw mut status, libc::WNOHANG | libc::__WALL) };
    if found != pid.as_raw() || !libc::WIFSTOPPED(status) {
        return;
    }
    let mut signal = libc::WSTOPSIG(status);
    // SAFETY: siginfo_t is plain data, of which all may be 0.
    let mut why: libc::siginfo_t = unsafe { mem::zeroed() };
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel writes the struct, which outlives the call.
    let known = unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, pid.as_raw(), nothing, &raw mut why) } == 0;
    // SAFETY: a signal that a process has sent, the kernel for execve too, has its number in this field.
    let sender = || unsafe { why.si_pid() };
    if signal == libc::SIGTRAP && known && why.si_code == libc::SI_USER && sender() == pid.as_raw() {
        signal = 0;
    }
    // SAFETY: takes integers only. It fails harmlessly if the child has just been killed.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw(), nothing, i64::from(signal) as libc::c_long) };
}

/// Waits for this child without blocking, or until it has ended; `None` when it has not, or a signal came.
///
/// # Errors
/// It is no child of this process: `ECHILD`.
pub fn reap(pid: Pid, block: bool) -> Result<Option<Reaped>> {
    match wait(pid, block) {
        Err(Errno::EINTR) => Ok(None),
        waited => waited.context("waiting for a process"),
    }
}

/// As [`reap`].
///
/// # Errors
/// `EINTR`: a signal came; `ECHILD`.
pub(super) fn wait(pid: Pid, block: bool) -> Result<Option<Reaped>, Errno> {
    let mut status = 0;
    // SAFETY: rusage is plain integers, of which all may be 0.
    let mut used: libc::rusage = unsafe { mem::zeroed() };
    let flags = if block { 0 } else { libc::WNOHANG };
    // SAFETY: wait4 writes the two places, which outlive the call.
    let found = unsafe { libc::wait4(pid.as_raw(), &raw mut status, flags, &raw mut used) };
    if Errno::result(found)? == 0 {
        return Ok(None);
    }
    let ended = if libc::WIFEXITED(status) {
        Ended::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Ended::Killed(SignalNumber(libc::WTERMSIG(status)))
    } else {
        // It is stopped, and has not ended.
        return Ok(None);
    };
    Ok(Some(Reaped { pid, ended, usage: Usage::from(used) }))
}

impl From<libc::rusage> for Usage {
    fn from(used: libc::rusage) -> Usage {
        // None of these is ever negative; only their C types differ between architectures.
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
            sys_ns: time_ns(used.ru_stime),
            minor_faults: count(used.ru_minflt),
            major_faults: count(used.ru_majflt),
        }
    }
}
