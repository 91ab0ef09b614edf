//! A process without previous children: to count or wait for children, it must have none that others started.
//!
//! A shell that becomes ctxprof (`exec`, or the last command of `bash -c`) may have children already: background jobs, the reader
//! of a `2> >(…)`. They stay children of the original process, and their orphans do not come to the new one:
//!
//! ```text
//! original process    with its children ─ fork ─ waits for the new one only, passes signals on ──────────── ends as that one has ended
//! new process                              └ has no child: does everything, dies with the first ─ its report ─ ends
//! ```
#![allow(unsafe_code)]

use std::mem;
use std::process;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, fork, getpid, getppid};

use crate::sys::inbox::Inbox;
use crate::sys::reap::{self, Ended};

/// PID of the original process; 0 if this is it.
static STOOD_IN_FOR: AtomicI32 = AtomicI32::new(0);

/// Timeout of a wait that needs none.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Continues in a process without children: in this one if it has none, and returns `None`; else in a new one, and returns its
/// exit status in this one.
///
/// To be called while this process has one thread.
///
/// # Errors
/// `EAGAIN` when `RLIMIT_NPROC` or the cgroup's `pids.max` is reached.
pub fn without_children() -> Result<Option<Ended>> {
    if !has_children() {
        return Ok(None);
    }
    let mut inbox = Inbox::open()?;
    let this = getpid();
    // SAFETY: the caller's process has one thread, so the child finds no lock taken and no state half changed. It goes on as
    // this process would have, which from here on only waits.
    let child = match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(inbox);
            set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG)")?;
            if getppid() != this {
                process::exit(1);
            }
            STOOD_IN_FOR.store(this.as_raw(), Ordering::Relaxed);
            return Ok(None);
        }
    };
    loop {
        inbox.wait(None, AN_HOUR)?;
        while let Some(asked) = inbox.stop_asked() {
            // The terminal has signalled the whole group, and so both.
            if !asked.by_terminal {
                let _ = kill(child, asked.signal);
            }
        }
        if let Some(reaped) = reap::reap(child, false)? {
            return Ok(Some(reaped.ended));
        }
    }
}

/// Returns true for the PID of this process, or of the original one.
pub fn is_this_process(pid: i32) -> bool {
    pid == getpid().as_raw() || pid == STOOD_IN_FOR.load(Ordering::Relaxed)
}

fn has_children() -> bool {
    // SAFETY: siginfo_t is plain data, of which all may be 0.
    let mut seen: libc::siginfo_t = unsafe { mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: the kernel writes the struct, which outlives the call; WNOWAIT leaves the children as they are.
    let answer = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut seen, flags) };
    Errno::result(answer).is_ok()
}
