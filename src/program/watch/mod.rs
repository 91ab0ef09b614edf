//! The engine of `stat`: a real program, started or found running, watched to its end without being slowed.
//!
//! ```text
//! the program    ─ runs ─────────────────── threads and children come and go ─────────── ends ─ its orphans end
//! this process     sleeps ─ look ─ sleeps ─ look ─ … (/proc, exit records: a hundredth of a CPU at most) ─ wait4
//! ```
//!
//! The engine prints nothing and works nothing out: it returns what was seen. It starts no thread.

mod confined;
mod due;
mod groups;
mod ledger;
pub(crate) mod look;
mod process;
mod stops;
#[cfg(test)]
mod tests;
mod waited;

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

/// What to watch, decided before it begins.
#[derive(Debug, Clone, Copy)]
pub struct WatchPlan<'a> {
    pub what: What<'a>,
    /// Whether every thread is told by itself.
    pub per_thread: bool,
    /// For how long; `None` to the end.
    pub limit: Option<Duration>,
    /// How often somebody wants to know how far it has come.
    pub interval: Option<Duration>,
    /// Whether to leave running what outlives the program, rather than to wait for it.
    pub leave_orphans: bool,
    /// Whether to ask the kernel for a record of every thread that ends, which takes each 2 µs.
    pub exit_records: bool,
    /// Whether perf's counters are attached to the threads, which slows them.
    pub count_on_threads: bool,
    /// Whether every thread is looked at now and then, and not each process's first only.
    pub every_thread: bool,
}

/// Somebody who follows a program that is started here as well, from before its first instruction.
pub trait Follower {
    /// The next child of this process becomes the program.
    fn before_fork(&mut self) -> Result<()>;

    /// That child sleeps, and becomes the program when this is done.
    fn before_exec(&mut self) -> Result<()>;

    /// Called every 20 ms, or as soon after as there is time.
    fn follow(&mut self);
}

#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// A command to be run, as this user if there is one.
    Command { words: &'a [OsString], user: Option<&'a User> },
    /// A process that runs already.
    Process(i32),
}

/// What is told while watching.
#[derive(Debug, Clone)]
pub enum Told {
    /// An interval is over; the books are those since the beginning.
    Interval { elapsed: Duration, books: Books, groups: Vec<ThreadGroup>, threads: u64, processes: u64 },
    /// The program has ended, and these still run: pid and name.
    WaitingFor(Vec<(i32, String)>),
    /// The program has been told to stop by this signal, and goes on.
    StopPassedOn(Signal),
}

/// Watches a program.
///
/// # Errors
/// It cannot be started ([`crate::sys::launch::NotStarted`]), or there is no such process, or /proc hides it, or the
/// counters are refused. Once it runs there are none that it could bring about.
pub fn run(plan: &WatchPlan<'_>, tell: &mut dyn FnMut(Told)) -> Result<Watched> {
    run_with(plan, None, tell)
}

/// As [`run`], with somebody else who follows a program that is started.
///
/// # Errors
/// Those of [`run`], and the follower's. What has been started by then goes on.
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
        // That it goes on is no surprise, and what of it is not known stands elsewhere.
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

/// The kernel's records of ended threads, or why there are none.
type Records = Result<ExitRecords, String>;

struct Watch<'a> {
    plan: &'a WatchPlan<'a>,
    follower: Option<&'a mut (dyn Follower + 'a)>,
    inbox: Inbox,
    looker: Looker,
    records: Records,
    records_lost: u64,
    program: Program,
    /// Becomes readable when a process ends that is no child of ours; `None` also where the kernel has no such thing.
    end: Option<OwnedFd>,
    ledger: Ledger,
    counters: Option<ThreadCounters>,
    tracer: Option<Tracer>,
    stops: Stops,
    interrupted_by: Option<Signal>,
    began: Instant,
    looks: u64,
}

/// What a moment of waiting has brought.
enum Turn {
    GoOn,
    /// Nothing is left to wait for, or nobody wants to wait any longer.
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

    /// Notes who traces the program, whenever that begins, or this process.
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
        // First of all: from here on, the number cannot come to mean another process. Where it is refused (before Linux 5.3,
        // or by a seccomp filter) the end is noticed at the next look.
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

    /// How the program ended, and whether all that came from it has ended too.
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
                // Without records, and for whoever watches, everything must be seen each time.
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

    /// Whether somebody else has started the program.
    fn is_attached(&self) -> bool {
        matches!(self.plan.what, What::Process(_))
    }

    /// Whether the program that somebody else has started is still there.
    fn program_lives(&self) -> bool {
        match &self.end {
            Some(end) => !pidfd::has_ended(end.as_fd()),
            None => self.ledger.was_seen(self.program.pid),
        }
    }

    /// Waits for the children that have ended, each after a last look.
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
            // A thread that has made itself traced by us ends for us too: its books are its process's.
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

    /// Whether the watching is to stop. A running program of ours is told instead, the first time.
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

    /// Looks at every process of the program, and takes the records of what has ended. Returns what the looking took of a CPU. The
    /// records are not in that: they come as they come, and the later they are taken the more there are.
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
                // A program that is counted by wait4 is counted without it.
                Err(Unseen::Failed(error)) => self.ledger.cannot_look(pid, &error),
            }
        }
        // Those that have become somebody else's children, unless somebody else has their number.
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
            // The program is none the worse for it, and its totals neither.
            Err(error) => self.records = Err(format!("{error:#}")),
        }
    }
}

/// Waits until the child waits for our word: only then are its switches up to there booked.
fn fall_asleep(looker: &mut Looker, pid: i32) {
    for _ in 0..1000 {
        if looker.is_asleep(pid) {
            return;
        }
        thread::sleep(Duration::from_micros(100));
    }
}

/// Tells the program of a signal that asks it to stop, unless the terminal has: that tells its foreground group, in which this
/// process was.
fn pass_on(asked: StopAsked, program: Pid) {
    let group = getpgid(Some(program));
    let has_it = asked.by_terminal && group == Ok(getpgrp());
    // That it has just ended is no failure.
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
