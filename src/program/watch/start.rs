//! The start of a watch: a command that is run, or a process that runs already.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use nix::unistd::{Pid, User, getpid};

use crate::perf::threads::ThreadCounters;
use crate::program::watch::ledger::Ledger;
use crate::program::watch::look::{Depth, Poller, Unseen};
use crate::program::watch::plan::{Follower, WatchPlan};
use crate::program::watched::Program;
use crate::sys::inbox::Inbox;
use crate::sys::launch::Suspended;
use crate::sys::{pidfd, reap};

/// A program at the beginning of its watch.
pub(super) struct Start {
    pub(super) program: Program,
    /// Readable when a process that is no child of ours has ended; `None` also where the kernel has no pidfds.
    pub(super) end: Option<OwnedFd>,
    pub(super) poller: Poller,
    pub(super) ledger: Ledger,
    pub(super) counters: Option<ThreadCounters>,
    pub(super) began: Instant,
}

/// Runs a command, with ledger and counters in place before its first instruction.
pub(super) fn launch(
    words: &[OsString],
    user: Option<&User>,
    plan: &WatchPlan<'_>,
    inbox: &Inbox,
    mut follower: Option<&mut (dyn Follower + '_)>,
) -> Result<Start> {
    reap::adopt_orphans()?;
    if let Some(follower) = &mut follower {
        follower.before_fork()?;
    }
    let suspended = Suspended::start(words, user, inbox.inherited())?;
    let pid = suspended.pid();
    let mut ledger = Ledger::new(pid.as_raw(), Some(getpid().as_raw()), plan.per_thread);
    let mut poller = Poller::new();
    fall_asleep(&mut poller, pid.as_raw());
    let look = poller.process(pid.as_raw(), Depth::FirstThread).map_err(|unseen| explain(pid.as_raw(), unseen))?;
    let program = Program { pid: pid.as_raw(), name: look.name.clone(), kernel_thread: false };
    ledger.look(look);
    ledger.end_round();
    let counters = plan.count_on_threads.then(|| ThreadCounters::of_program(pid)).transpose()?;
    if let Some(follower) = &mut follower {
        follower.before_exec()?;
    }
    let began = Instant::now();
    suspended.release()?;
    Ok(Start { program, end: None, poller, ledger, counters, began })
}

/// Attaches to a process that runs already.
pub(super) fn attach(pid: i32, plan: &WatchPlan<'_>) -> Result<Start> {
    // First of all: from here on, a reused PID cannot be mistaken. Where pidfds are refused (before Linux 5.3, or by a seccomp
    // filter) the end is noticed at the next poll.
    let end = pidfd::open(Pid::from_raw(pid)).ok();
    let mut poller = Poller::new();
    let look = poller.process(pid, Depth::AllThreads).map_err(|unseen| explain(pid, unseen))?;
    if let Some(process) = poller.process_of(pid).filter(|&process| process != pid) {
        bail!("{pid} is a thread of process {process}: watch that, --per-thread shows its threads");
    }
    let program = Program { pid, name: look.name.clone(), kernel_thread: look.kernel_thread };
    let threads: Vec<Pid> = look.threads.iter().map(|thread| Pid::from_raw(thread.tid)).collect();
    let counters = plan.count_on_threads.then(|| ThreadCounters::of_threads(&threads)).transpose()?;
    let ledger = Ledger::new(pid, None, plan.per_thread);
    Ok(Start { program, end, poller, ledger, counters, began: Instant::now() })
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
