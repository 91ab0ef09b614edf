//! The watch itself: polls, exit records, ended children and signals, until the end.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User, getpgid, getpgrp, getpid, gettid};

use crate::perf::threads::ThreadCounters;
use crate::program::accounting::ledger::Ledger;
use crate::program::accounting::roots::Roots;
use crate::program::process;
use crate::program::process::poll::{Depth, Poller, ProcessPoll, Unseen};
use crate::program::process::start::{Attached, Start};
use crate::program::process::stops::{Stops, Wish};
use crate::program::watch::plan::{Follower, Progress, WatchPlan, What};
use crate::program::watch::schedule::{Due, Orphans};
use crate::program::watched::{Program, ProgramEnd, Tracer};
use crate::sys::clock::thread_cpu_ns;
use crate::sys::inbox::{Inbox, StopAsked};
use crate::sys::pidfd;
use crate::sys::reap::{self, Children, Ended};
use crate::sys::taskstats::ExitRecords;

/// Exit records of threads, or why there are none.
pub(super) type Records = Result<ExitRecords, String>;

pub(super) struct Watch<'a> {
    plan: &'a WatchPlan<'a>,
    follower: Option<&'a mut (dyn Follower + 'a)>,
    inbox: Inbox,
    poller: Poller,
    pub(super) records: Records,
    pub(super) records_lost: u64,
    pub(super) program: Program,
    /// Of the processes that were attached to, those that run.
    attached: Vec<Attached>,
    /// Number of processes in the last round that a cgroup listed.
    listed: usize,
    pub(super) ledger: Ledger,
    pub(super) counters: Option<ThreadCounters>,
    pub(super) tracer: Option<Tracer>,
    stops: Stops,
    pub(super) interrupted_by: Option<Signal>,
    pub(super) began: Instant,
    pub(super) polls: u64,
}

/// Outcome of a wait.
enum Turn {
    GoOn,
    /// Nothing is left to wait for.
    Done,
}

impl<'a> Watch<'a> {
    /// Starts the program, or attaches to it.
    ///
    /// # Errors
    /// It cannot be started, polled or counted; those of the follower.
    pub(super) fn start(
        plan: &'a WatchPlan<'a>,
        inbox: Inbox,
        records: Records,
        follower: Option<&'a mut (dyn Follower + 'a)>,
    ) -> Result<Watch<'a>> {
        match plan.what {
            What::Command { words, user } => Watch::launch(words, user, plan, inbox, records, follower),
            What::Processes(pids) => Watch::attach(process::start::attach(pids)?, plan, inbox, records, follower),
            What::Cgroup(cgroup) => {
                Watch::attach(process::start::attach_to_cgroup(cgroup)?, plan, inbox, records, follower)
            }
        }
    }

    /// Runs a command, with ledger, counters and follower in place before its first instruction.
    fn launch(
        words: &[OsString],
        user: Option<&User>,
        plan: &'a WatchPlan<'a>,
        inbox: Inbox,
        records: Records,
        mut follower: Option<&'a mut (dyn Follower + 'a)>,
    ) -> Result<Watch<'a>> {
        reap::adopt_orphans()?;
        if let Some(follower) = &mut follower {
            follower.before_fork()?;
        }
        let (suspended, start) = process::start::launch(words, user, &inbox)?;
        let (mut watch, first) = Watch::of(start, Some(getpid().as_raw()), plan, inbox, records, follower);
        first.into_iter().for_each(|poll| watch.ledger.polled(poll));
        watch.ledger.end_round();
        watch.counters = plan.count_on_threads.then(|| ThreadCounters::of_program(suspended.pid())).transpose()?;
        if let Some(follower) = &mut watch.follower {
            follower.before_exec()?;
        }
        watch.began = Instant::now();
        suspended.release()?;
        watch.find_tracers();
        Ok(watch)
    }

    /// Watches what runs already.
    fn attach(
        start: Start,
        plan: &'a WatchPlan<'a>,
        inbox: Inbox,
        records: Records,
        follower: Option<&'a mut (dyn Follower + 'a)>,
    ) -> Result<Watch<'a>> {
        let (mut watch, first) = Watch::of(start, None, plan, inbox, records, follower);
        let threads = first.iter().flat_map(|process| &process.threads);
        let threads: Vec<Pid> = threads.map(|thread| Pid::from_raw(thread.tid)).collect();
        watch.counters = plan.count_on_threads.then(|| ThreadCounters::of_threads(&threads)).transpose()?;
        watch.began = Instant::now();
        watch.round(Depth::AllThreads);
        Ok(watch)
    }

    /// Returns a watch that has begun, and the program as it was first seen.
    fn of(
        start: Start,
        adopter: Option<i32>,
        plan: &'a WatchPlan<'a>,
        inbox: Inbox,
        records: Records,
        follower: Option<&'a mut (dyn Follower + 'a)>,
    ) -> (Watch<'a>, Vec<ProcessPoll>) {
        let Start { program, attached, poller, first } = start;
        let ledger = Ledger::new(program.pid, adopter, plan.per_thread);
        let ledger = match plan.what {
            What::Command { .. } => ledger,
            What::Processes(pids) => ledger.of(Roots::These(pids.to_vec())),
            What::Cgroup(_) => ledger.of(Roots::All),
        };
        let watch = Watch {
            plan,
            follower,
            inbox,
            poller,
            records,
            records_lost: 0,
            program,
            attached,
            listed: first.len(),
            ledger,
            counters: None,
            tracer: None,
            stops: Stops::default(),
            interrupted_by: None,
            began: Instant::now(),
            polls: 0,
        };
        (watch, first)
    }

    /// Notes the tracer of the program, whenever it attaches, or else of this process.
    fn find_tracers(&mut self) {
        if self.tracer.as_ref().is_none_or(|tracer| !tracer.of_program) {
            let of = |poller: &mut Poller, pid: i32, of_program: bool| {
                poller.tracer_of(pid).map(|(pid, name)| Tracer { name, pid, of_program })
            };
            let of_program = of(&mut self.poller, self.program.pid, true);
            let found = of_program.or_else(|| self.tracer.take());
            self.tracer = found.or_else(|| of(&mut self.poller, getpid().as_raw(), false));
        }
    }

    /// Watches to the end. Returns how the program ended, and true if all its descendants have ended too.
    pub(super) fn watch_to_the_end(&mut self, report: &mut dyn FnMut(Progress)) -> Result<(ProgramEnd, bool)> {
        let mut ended = ProgramEnd::GoesOn;
        let mut orphans = Orphans::default();
        let mut due = Due::of(self.plan, self.began, self.follower.is_some());
        loop {
            // The next one is waited for once this one has ended.
            let end = self.attached.iter().find_map(|process| process.end.as_ref()).map(|end| end.as_fd());
            self.inbox.wait(end, due.next().saturating_duration_since(Instant::now()))?;
            if let Some(follower) = self.follower.as_mut().filter(|_| due.following_is_due()) {
                follower.follow();
            }
            if let Turn::Done = self.reap(&mut ended)? {
                return Ok((ended, true));
            }
            if self.stop_asked(ended) || due.limit.is_some_and(|limit| Instant::now() >= limit) {
                break;
            }
            if self.is_attached() && !self.program_lives() {
                ended = ProgramEnd::Gone;
                break;
            }
            let interval_over = due.interval_is_over();
            if let Some(signal) = self.stops.overdue() {
                report(Progress::StopPassedOn(signal));
            }
            if interval_over || Instant::now() >= due.poll {
                // Without exit records, and for interval reports, every thread is polled each time.
                let close = self.records.is_err() || interval_over || due.close_poll_is_due(self.began);
                let close = close && self.plan.every_thread;
                let polling = self.round(if close { Depth::AllThreads } else { Depth::FirstThread });
                due.polled(polling, self.began);
            }
            if interval_over {
                let (threads, processes) = self.ledger.alive();
                let (elapsed, accounting) = (self.began.elapsed(), self.ledger.so_far());
                report(Progress::Interval { elapsed, accounting, groups: self.ledger.groups(), threads, processes });
            }
            if !self.is_attached() && ended != ProgramEnd::GoesOn {
                if self.plan.leave_orphans {
                    break;
                }
                if orphans.are_due_for_report() {
                    report(Progress::WaitingFor(self.ledger.names()));
                }
            }
        }
        self.round(if self.plan.every_thread { Depth::AllThreads } else { Depth::FirstThread });
        Ok((ended, false))
    }

    /// Returns true if the program was already running.
    fn is_attached(&self) -> bool {
        !matches!(self.plan.what, What::Command { .. })
    }

    /// Returns true if something that was attached to still runs.
    fn program_lives(&mut self) -> bool {
        let ledger = &self.ledger;
        self.attached.retain(|process| match &process.end {
            Some(end) => !pidfd::has_ended(end.as_fd()),
            None => ledger.was_seen(process.pid),
        });
        match self.plan.what {
            What::Cgroup(_) => self.listed > 0,
            _ => !self.attached.is_empty(),
        }
    }

    /// Returns the processes with which a round begins.
    fn roots(&mut self) -> Vec<i32> {
        match self.plan.what {
            What::Command { .. } => self.poller.own_children(),
            What::Processes(_) => self.attached.iter().map(|process| process.pid).collect(),
            What::Cgroup(cgroup) => {
                let this = getpid().as_raw();
                let mut pids = cgroup.pids().unwrap_or_default();
                pids.retain(|&pid| pid != this);
                self.listed = pids.len();
                pids
            }
        }
    }

    /// Waits for the children that have ended, each after a last poll.
    fn reap(&mut self, ended: &mut ProgramEnd) -> Result<Turn> {
        if self.is_attached() {
            return Ok(Turn::GoOn);
        }
        loop {
            let pid = match reap::children()? {
                Children::Ended(pid) => pid,
                Children::Trapped(pid) => {
                    reap::let_go(pid);
                    continue;
                }
                Children::AllAlive => return Ok(Turn::GoOn),
                Children::None => return Ok(Turn::Done),
            };
            if let Ok(poll) = self.poller.process(pid.as_raw(), Depth::FirstThread) {
                self.ledger.polled(poll);
            }
            self.take_records();
            // A thread that has made us its tracer ends as a child of ours, too: its accounting is its process's.
            let is_thread = self.poller.process_of(pid.as_raw()).is_some_and(|process| process != pid.as_raw());
            if let Some(reaped) = reap::reap(pid, false)?.filter(|_| !is_thread) {
                self.ledger.waited_for(pid.as_raw(), reaped.usage);
                if pid.as_raw() == self.program.pid {
                    *ended = match reaped.ended {
                        Ended::Exited(code) => ProgramEnd::Exited(code),
                        Ended::Killed(signal) => ProgramEnd::Killed(signal.0),
                    };
                }
            }
        }
    }

    /// Returns true if the watch is to stop. A running program that we started gets the first signal passed on instead.
    fn stop_asked(&mut self, ended: ProgramEnd) -> bool {
        while let Some(asked) = self.inbox.stop_asked() {
            let ours_runs = !self.is_attached() && ended == ProgramEnd::GoesOn;
            match self.stops.heard(asked.signal) {
                _ if !ours_runs => {}
                Wish::Same => continue,
                Wish::First => {
                    pass_on(asked, Pid::from_raw(self.program.pid));
                    continue;
                }
                Wish::Again => self.interrupted_by = Some(asked.signal),
            }
            self.inbox.heed_no_more();
            return true;
        }
        false
    }

    /// Polls every process of the program, and takes exit records. Returns the CPU time of the polls, without the records: they
    /// arrive anyway, and the later they are taken the more there are.
    fn round(&mut self, depth: Depth) -> Duration {
        let cpu_ns = || thread_cpu_ns(gettid()).unwrap_or_default();
        let cpu_ns_before = cpu_ns();
        let this = getpid().as_raw();
        let mut waiting = self.roots();
        // What was moved out of a cgroup is not of it.
        let follows_children = !matches!(self.plan.what, What::Cgroup(_));
        let mut seen: HashSet<i32> = HashSet::from([this]);
        while let Some(pid) = waiting.pop() {
            if !seen.insert(pid) {
                continue;
            }
            match self.poller.process(pid, depth) {
                Ok(poll) => {
                    waiting.extend(poll.children.iter().filter(|_| follows_children));
                    self.ledger.polled(poll);
                }
                Err(Unseen::Gone) => {}
                // wait4 counts a program that cannot be polled, too.
                Err(Unseen::Failed(error)) => self.ledger.cannot_poll(pid, &error),
            }
        }
        // Those with a new parent by now, unless their PID has been reused.
        for (pid, started) in self.ledger.known() {
            if !seen.contains(&pid) {
                let poll = self.poller.process(pid, depth).ok().filter(|poll| poll.started == started);
                poll.into_iter().for_each(|poll| self.ledger.polled(poll));
            }
        }
        let polling = Duration::from_nanos(cpu_ns().saturating_sub(cpu_ns_before));
        self.find_tracers();
        self.take_records();
        self.ledger.end_round();
        self.polls += 1;
        polling
    }

    fn take_records(&mut self) {
        let Ok(records) = &mut self.records else { return };
        let ledger = &mut self.ledger;
        match records.drain(|record| ledger.record(record)) {
            Ok(drained) => self.records_lost += drained.lost,
            // This affects neither the program nor its totals.
            Err(error) => self.records = Err(format!("{error:#}")),
        }
    }
}

/// Passes a stop signal on to the program, unless the terminal has: it signals its foreground group, which included this
/// process.
fn pass_on(asked: StopAsked, program: Pid) {
    let group = getpgid(Some(program));
    let has_it = asked.by_terminal && group == Ok(getpgrp());
    // It may have just ended, which is no failure.
    let _ = match asked.by_terminal && group == Ok(program) {
        _ if has_it => Ok(()),
        // As the terminal does it.
        true => killpg(program, asked.signal),
        false => kill(program, asked.signal),
    };
}
