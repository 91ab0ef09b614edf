//! The start: a command that is run, or a process that runs already.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, User, getpid};

use crate::program::process::poll::{Depth, Poller, ProcessPoll, Unseen};
use crate::program::watched::Program;
use crate::sys::cgroup_members::CgroupMembers;
use crate::sys::inbox::Inbox;
use crate::sys::launch::Suspended;
use crate::sys::pidfd;

/// A program that has been launched or attached to.
pub(crate) struct Start {
    pub(crate) program: Program,
    /// Processes that were attached to; none of a cgroup, whose members come and go.
    pub(crate) attached: Vec<Attached>,
    pub(crate) poller: Poller,
    /// State of its processes before the first instruction, or when they were attached to.
    pub(crate) first: Vec<ProcessPoll>,
}

/// A process that ran already.
pub(crate) struct Attached {
    pub(crate) pid: i32,
    /// Readable when it has ended; `None` where the kernel has no pidfds.
    pub(crate) end: Option<OwnedFd>,
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
    Ok((suspended, Start { program, attached: Vec::new(), poller, first: vec![first] }))
}

/// Attaches to processes that run already.
///
/// # Errors
/// There is no such process, it is a thread, or /proc hides it.
pub(crate) fn attach(pids: &[i32]) -> Result<Start> {
    // First of all: from here on, a reused PID cannot be mistaken. Where pidfds are refused (before Linux 5.3, or by a seccomp
    // filter) the end is noticed at the next poll.
    let attach = |&pid: &i32| Attached { pid, end: pidfd::open(Pid::from_raw(pid)).ok() };
    let attached: Vec<Attached> = pids.iter().map(attach).collect();
    let mut poller = Poller::new();
    let mut first = Vec::new();
    for &pid in pids {
        first.push(poller.process(pid, Depth::AllThreads).map_err(|unseen| explain(pid, unseen))?);
        if let Some(process) = poller.process_of(pid).filter(|&process| process != pid) {
            bail!("{pid} is a thread of process {process}: watch that, --per-thread shows its threads");
        }
    }
    let program = program_of(&first).context("no process is named")?;
    Ok(Start { program, attached, poller, first })
}

/// Attaches to the processes of a cgroup.
///
/// # Errors
/// It has none, or cannot be read.
pub(crate) fn attach_to_cgroup(cgroup: &CgroupMembers) -> Result<Start> {
    let mut poller = Poller::new();
    let this = getpid().as_raw();
    let pids = cgroup.pids().context("reading the cgroup's processes")?;
    let polls =
        pids.into_iter().filter(|&pid| pid != this).filter_map(|pid| poller.process(pid, Depth::AllThreads).ok());
    let first: Vec<ProcessPoll> = polls.collect();
    let program = program_of(&first).context("there is no process in this cgroup, nor in one below it")?;
    Ok(Start { program, attached: Vec::new(), poller, first })
}

/// Returns the first process.
fn program_of(polls: &[ProcessPoll]) -> Option<Program> {
    let first = polls.first()?;
    Some(Program { pid: first.pid, name: first.name.clone(), kernel_thread: first.kernel_thread })
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
        Unseen::Gone if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) => anyhow!("there is no process {pid}"),
        Unseen::Gone => anyhow!("/proc hides process {pid} (mounted with hidepid: sudo shows it)"),
        Unseen::Failed(error) => anyhow!("reading /proc/{pid}: {error} (sudo may read it)"),
    }
}
