//! Settings of a watch, its followers, and the progress that it reports.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::program::watched::{Accounting, ThreadGroup};
use crate::sys::cgroup_members::CgroupMembers;

/// Settings of a watch.
#[derive(Debug, Clone, Copy)]
pub struct WatchPlan<'a> {
    pub what: What<'a>,
    /// True if each thread is reported by itself.
    pub per_thread: bool,
    /// Time limit; `None` watches to the end.
    pub limit: Option<Duration>,
    /// Interval at which progress is reported.
    pub interval: Option<Duration>,
    /// True to leave orphans of the program running instead of waiting for them.
    pub leave_orphans: bool,
    /// True to use taskstats exit records, which take 2 µs per exiting thread.
    pub exit_records: bool,
    /// True to attach perf's counters to the threads, which slows them.
    pub count_on_threads: bool,
    /// True to poll every thread now and then, not only each process's first.
    pub every_thread: bool,
}

/// An observer of a program that the watch starts, from before its first instruction.
pub trait Follower {
    /// Called before the fork of the child that becomes the program.
    fn before_fork(&mut self) -> Result<()>;

    /// Called while that child sleeps, before it executes the program.
    fn before_exec(&mut self) -> Result<()>;

    /// Called every 20 ms, or as soon after as there is time.
    fn follow(&mut self);
}

#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// A command to run, as this user if there is one.
    Command { words: &'a [OsString], user: Option<&'a User> },
    /// Processes that run already, and what comes from them.
    Processes(&'a [i32]),
    /// The processes of a cgroup and of those below it, also those that join it.
    Cgroup(&'a CgroupMembers),
}

/// Progress of a watch.
#[derive(Debug, Clone)]
pub enum Progress {
    /// An interval is over; the figures are since the beginning.
    Interval { elapsed: Duration, accounting: Accounting, groups: Vec<ThreadGroup>, threads: u64, processes: u64 },
    /// The program has ended, and these processes still run: PID and name.
    WaitingFor(Vec<(i32, String)>),
    /// This stop signal was passed on to the program, which still runs.
    StopPassedOn(Signal),
}
