//! The start: a command that is run, or a process that runs already.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use nix::unistd::{Pid, User};

use crate::program::process::poll::{Depth, Poller, ProcessPoll, Unseen};
use crate::program::watched::Program;
use crate::sys::inbox::Inbox;
use crate::sys::launch::Suspended;
use crate::sys::pidfd;

/// A program that has been launched or attached to.
pub(crate) struct Start {
    pub(crate) program: Program,
    /// Readable when a process that is no child of ours has ended; `None` also where the kernel has no pidfds.
    pub(crate) end: Option<OwnedFd>,
    pub(crate) poller: Poller,
    /// State of the program before its first instruction, or when it was attached to.
    pub(crate) first: ProcessPoll,
}

/// Starts the process of a command, which then sleeps until it is released to execute it.
///
/// # Errors
/// It cannot be started or polled.
pub(crate) fn launch(words: &[OsString], user: Option<&User>, inbox: &Inbox) -> Result<(Suspended, Start)> {
    let suspended = Suspended::start(words, user, inbox.inherited())?;
    let pid = suspended.pid().as_raw();
    let mut poller = Poller::new();
    fall_asleep(&mut poller, pid);
    let first = poller.process(pid, Depth::FirstThread).map_err(|unseen| explain(pid, unseen))?;
    let program = Program { pid, name: first.name.clone(), kernel_thread: false };
    Ok((suspended, Start { program, end: None, poller, first }))
}

/// Attaches to a process that runs already.
///
/// # Errors
/// There is none, it is a thread, or /proc hides it.
pub(crate) fn attach(pid: i32) -> Result<Start> {
    // First of all: from here on, a reused PID cannot be mistaken. Where pidfds are refused (before Linux 5.3, or by a seccomp
    // filter) the end is noticed at the next poll.
    let end = pidfd::open(Pid::from_raw(pid)).ok();
    let mut poller = Poller::new();
    let first = poller.process(pid, Depth::AllThreads).map_err(|unseen| explain(pid, unseen))?;
    if let Some(process) = poller.process_of(pid).filter(|&process| process != pid) {
        bail!("{pid} is a thread of process {process}: watch that, --per-thread shows its threads");
    }
    let program = Program { pid, name: first.name.clone(), kernel_thread: first.kernel_thread };
    Ok(Start { program, end, poller, first })
}

/// Waits until the child sleeps before exec: only then are its switches so far accounted.
fn fall_asleep(poller: &mut Poller, pid: i32) {
    for _ in 0..1000 {
        if poller.is_asleep(pid) {
            return;
        }
        thread::sleep(Duration::from_micros(100));
    }
}

fn explain(pid: i32, unseen: Unseen) -> anyhow::Error {
    match unseen {
        Unseen::Gone => {
            anyhow!("there is no process {pid}, or /proc hides it (mounted with hidepid: sudo shows it)")
        }
        Unseen::Failed(error) => anyhow!("reading /proc/{pid}: {error} (sudo may read it)"),
    }
}
