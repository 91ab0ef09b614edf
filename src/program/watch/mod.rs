//! The engine of `stat`: starts a program or attaches to one, and watches it to its end without slowing it.
//!
//! ```text
//! the program    ─ runs ─────────────────── threads and children come and go ─────────── ends ─ its orphans end
//! this process     sleeps ─ poll ─ sleeps ─ poll ─ … (/proc, exit records: a hundredth of a CPU at most) ─ wait4
//! ```
//!
//! The engine prints nothing and computes nothing: it returns what was seen. It starts no thread.

mod confined;
mod due;
mod groups;
mod ledger;
pub(crate) mod look;
mod process;
mod stops;
mod strangers;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timelines;
mod waited;
#[cfg(test)]
mod world;

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User, getpgid, getpgrp, getpid, gettid};
use procfs::{CurrentSI, KernelStats};

use crate::perf::threads::ThreadCounters;
use crate::program::watch::due::{Due, Orphans};
use crate::program::watch::ledger::Ledger;
use crate::program::watch::look::{Depth, Looker, Unseen};
use crate::program::watch::stops::{Stops, Wish};
use crate::program::watched::{Books, ExitRecordsUse, Program, ProgramEnd, ThreadGroup, Tracer, WaitedFor, Watched};
use crate::sys::clock::{process_cpu_ns, thread_cpu_ns};
use crate::sys::inbox::{Inbox, StopAsked};
use crate::sys::launch::Suspended;
use crate::sys::pidfd;
use crate::sys::reap::{self, Children, Ended};
use crate::sys::taskstats::ExitRecords;

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
    /// A running process.
    Process(i32),
}

/// Progress of a watch.
#[derive(Debug, Clone)]
pub enum Told {
    /// An interval is over; the figures are since the beginning.
    Interval { elapsed: Duration, books: Books, groups: Vec<ThreadGroup>, threads: u64, processes: u64 },
    /// The program has ended, and these processes still run: PID and name.
    WaitingFor(Vec<(i32, String)>),
    /// This stop signal was passed on to the program, which still runs.
    StopPassedOn(Signal),
}

/// Watches a program.
///
/// # Errors
/// It cannot be started ([`crate::sys::launch::NotStarted`]), or there is no such process, or /proc hides it, or the
/// counters are refused. Once it runs, nothing it does causes an error.
pub fn run(plan: &WatchPlan<'_>, tell: &mut dyn FnMut(Told)) -> Result<Watched> {
    run_with(plan, None, tell)
}

/// Does the same as [`run`], with a follower of the program that is started.
///
/// # Errors
/// Those of [`run`], and the follower's. A program started by then keeps running.
pub fn run_with<'a>(
    plan: &'a WatchPlan<'a>,
    follower: Option<&'a mut (dyn Follower + 'a)>,
    tell: &mut dyn FnMut(Told),
) -> Result<Watched> {
    let inbox = Inbox::open()?;
    let switches_before = machine_switches();
    let own_cpu_before = process_cpu_ns(getpid()).unwrap_or_default();
    let records = match plan.exit_records.then(ExitRecords::listen) {
        Some(records) => records.map_err(|error| format!("{error:#}")),
        None => Err("not asked for".to_string()),
    };
    let mut watch = match plan.what {
        What::Command { words, user } => Watch::launch(words, user, plan, inbox, records, follower)?,
        What::Process(pid) => Watch::attach(pid, plan, inbox, records)?,
    };
    let (ended, all_has_ended) = watch.watch_to_the_end(tell)?;
    let elapsed = watch.began.elapsed();
    let counting = watch.counters.map(ThreadCounters::read).transpose()?;
    let mut closed = watch.ledger.close(all_has_ended);
    if matches!(plan.what, What::Process(_)) {
        // That it still runs is expected, and what is unknown of it is reported elsewhere.
        closed.doubts.left_running.clear();
    }
    let told: u64 = closed.groups.iter().map(|group| group.books.switches()).sum();
    let WaitedFor { booked, seen } = closed.waited_for.unwrap_or_default();
    let own = (told + booked.switches()).saturating_sub(seen.switches());
    closed.doubts.tracer = watch.tracer;
    closed.doubts.other_switches =
        machine_switches().zip(switches_before).map(|(after, before)| after.saturating_sub(before).saturating_sub(own));
    let own_cpu = process_cpu_ns(getpid()).unwrap_or_default().saturating_sub(own_cpu_before);
    Ok(Watched {
        program: watch.program,
        elapsed,
        ended,
        interrupted_by: watch.interrupted_by,
        groups: closed.groups,
        waited_for: closed.waited_for,
        unseen_cpu_ns: closed.unseen_cpu_ns,
        only_cpu: closed.only_cpu,
        exit_records: match watch.records {
            Ok(_) => ExitRecordsUse::Read { lost: watch.records_lost },
            Err(refused) => ExitRecordsUse::Refused(refused),
        },
        doubts: closed.doubts,
        counting,
        looks: watch.looks,
        own_cpu: Duration::from_nanos(own_cpu),
    })
}

/// Exit records of threads, or why there are none.
type Records = Result<ExitRecords, String>;

struct Watch<'a> {
    plan: &'a WatchPlan<'a>,
    follower: Option<&'a mut (dyn Follower + 'a)>,
    inbox: Inbox,
    looker: Looker,
    records: Records,
    records_lost: u64,
    program: Program,
    /// Readable when a process that is no child of ours has ended; `None` also where the kernel has no pidfds.
    end: Option<OwnedFd>,
    ledger: Ledger,
    counters: Option<ThreadCounters>,
    tracer: Option<Tracer>,
    stops: Stops,
    interrupted_by: Option<Signal>,
    began: Instant,
    looks: u64,
}

/// Outcome of a wait.
enum Turn {
    GoOn,
    /// Nothing is left to wait for.
    Done,
}

impl<'a> Watch<'a> {
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
        let suspended = Suspended::start(words, user, inbox.inherited())?;
        let pid = suspended.pid();
        let mut ledger = Ledger::new(pid.as_raw(), Some(getpid().as_raw()), plan.per_thread);
        let mut looker = Looker::new();
        fall_asleep(&mut looker, pid.as_raw());
        let look = looker.process(pid.as_raw(), Depth::FirstThread).map_err(|unseen| explain(pid.as_raw(), unseen))?;
        let program = Program { pid: pid.as_raw(), name: look.name.clone(), kernel_thread: false };
        ledger.look(look);
        ledger.end_round();
        let counters = plan.count_on_threads.then(|| ThreadCounters::of_program(pid)).transpose()?;
        if let Some(follower) = &mut follower {
            follower.before_exec()?;
        }
        let began = Instant::now();
        suspended.release()?;
        let mut watch = Watch {
            plan,
            follower,
            inbox,
            looker,
            records,
            records_lost: 0,
            program,
            end: None,
            ledger,
            counters,
            tracer: None,
            stops: Stops::default(),
            interrupted_by: None,
            began,
            looks: 0,
        };
        watch.look_for_tracers();
        Ok(watch)
    }

    /// Notes the tracer of the program, whenever it attaches, or else of this process.
    fn look_for_tracers(&mut self) {
        if self.tracer.as_ref().is_none_or(|tracer| !tracer.of_program) {
            let of = |looker: &mut Looker, pid: i32, of_program: bool| {
                looker.tracer_of(pid).map(|(pid, name)| Tracer { name, pid, of_program })
            };
            let of_program = of(&mut self.looker, self.program.pid, true);
            let found = of_program.or_else(|| self.tracer.take());
            self.tracer = found.or_else(|| of(&mut self.looker, getpid().as_raw(), false));
        }
    }

    fn attach(pid: i32, plan: &'a WatchPlan<'a>, inbox: Inbox, records: Records) -> Result<Watch<'a>> {
        // First of all: from here on, a reused PID cannot be mistaken. Where pidfds are refused (before Linux 5.3, or by a
        // seccomp filter) the end is noticed at the next poll.
        let end = pidfd::open(Pid::from_raw(pid)).ok();
        let mut looker = Looker::new();
        let look = looker.process(pid, Depth::AllThreads).map_err(|unseen| explain(pid, unseen))?;
        if let Some(process) = looker.process_of(pid).filter(|&process| process != pid) {
            bail!("{pid} is a thread of process {process}: watch that, --per-thread shows its threads");
        }
        let program = Program { pid, name: look.name.clone(), kernel_thread: look.kernel_thread };
        let threads: Vec<Pid> = look.threads.iter().map(|thread| Pid::from_raw(thread.tid)).collect();
        let counters = plan.count_on_threads.then(|| ThreadCounters::of_threads(&threads)).transpose()?;
        let ledger = Ledger::new(pid, None, plan.per_thread);
        let began = Instant::now();
        let mut watch = Watch {
            plan,
            follower: None,
            inbox,
            looker,
            records,
            records_lost: 0,
            program,
            end,
            ledger,
            counters,
            tracer: None,
            stops: Stops::default(),
            interrupted_by: None,
            began,
            looks: 0,
        };
        watch.round(Depth::AllThreads);
        Ok(watch)
    }

    /// Watches to the end. Returns how the program ended, and true if all its descendants have ended too.
    fn watch_to_the_end(&mut self, tell: &mut dyn FnMut(Told)) -> Result<(ProgramEnd, bool)> {
        let mut ended = ProgramEnd::GoesOn;
        let mut orphans = Orphans::default();
        let mut due = Due::of(self.plan, self.began, self.follower.is_some());
        loop {
            let end = self.end.as_ref().map(|end| end.as_fd());
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
                tell(Told::StopPassedOn(signal));
            }
            if interval_over || Instant::now() >= due.look {
                // Without exit records, and for interval reports, every thread is polled each time.
                let close = self.records.is_err() || interval_over || due.close_look_is_due(self.began);
                let close = close && self.plan.every_thread;
                let looking = self.round(if close { Depth::AllThreads } else { Depth::FirstThread });
                due.looked(looking, self.began);
            }
            if interval_over {
                let (threads, processes) = self.ledger.alive();
                let (elapsed, books) = (self.began.elapsed(), self.ledger.so_far());
                tell(Told::Interval { elapsed, books, groups: self.ledger.groups(), threads, processes });
            }
            if !self.is_attached() && ended != ProgramEnd::GoesOn {
                if self.plan.leave_orphans {
                    break;
                }
                if orphans.are_to_be_told_of() {
                    tell(Told::WaitingFor(self.ledger.names()));
                }
            }
        }
        self.round(if self.plan.every_thread { Depth::AllThreads } else { Depth::FirstThread });
        Ok((ended, false))
    }

    /// Returns true if the program was already running.
    fn is_attached(&self) -> bool {
        matches!(self.plan.what, What::Process(_))
    }

    /// Returns true if an attached program still runs.
    fn program_lives(&self) -> bool {
        match &self.end {
            Some(end) => !pidfd::has_ended(end.as_fd()),
            None => self.ledger.was_seen(self.program.pid),
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
            if let Ok(look) = self.looker.process(pid.as_raw(), Depth::FirstThread) {
                self.ledger.look(look);
            }
            self.take_records();
            // A thread that has made us its tracer ends as a child of ours, too: its accounting is its process's.
            let is_thread = self.looker.process_of(pid.as_raw()).is_some_and(|process| process != pid.as_raw());
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
        let mut waiting = if self.is_attached() { vec![self.program.pid] } else { self.looker.own_children() };
        let mut seen: HashSet<i32> = HashSet::from([this]);
        while let Some(pid) = waiting.pop() {
            if !seen.insert(pid) {
                continue;
            }
            match self.looker.process(pid, depth) {
                Ok(look) => {
                    waiting.extend(&look.children);
                    self.ledger.look(look);
                }
                Err(Unseen::Gone) => {}
                // wait4 counts a program that cannot be polled, too.
                Err(Unseen::Failed(error)) => self.ledger.cannot_look(pid, &error),
            }
        }
        // Those with a new parent by now, unless their PID has been reused.
        for (pid, started) in self.ledger.known() {
            if !seen.contains(&pid) {
                let look = self.looker.process(pid, depth).ok().filter(|look| look.started == started);
                look.into_iter().for_each(|look| self.ledger.look(look));
            }
        }
        let looking = Duration::from_nanos(cpu_ns().saturating_sub(cpu_ns_before));
        self.look_for_tracers();
        self.take_records();
        self.ledger.end_round();
        self.looks += 1;
        looking
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

/// Waits until the child sleeps before exec: only then are its switches so far accounted.
fn fall_asleep(looker: &mut Looker, pid: i32) {
    for _ in 0..1000 {
        if looker.is_asleep(pid) {
            return;
        }
        thread::sleep(Duration::from_micros(100));
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

fn explain(pid: i32, unseen: Unseen) -> anyhow::Error {
    match unseen {
        Unseen::Gone => {
            anyhow!("there is no process {pid}, or /proc hides it (mounted with hidepid: sudo shows it)")
        }
        Unseen::Failed(error) => anyhow!("reading /proc/{pid}: {error} (sudo may read it)"),
    }
}

/// Switches of the whole machine since boot.
fn machine_switches() -> Option<u64> {
    KernelStats::current().ok().map(|stats| stats.ctxt)
}
