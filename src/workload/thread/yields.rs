//! Two threads on one CPU that yield to each other with sched_yield(2).
//!
//! The scheduler decides how many switches that makes: a thread that yields may be chosen again. So none is promised, and
//! they are only counted; across CPUs there are none at all.
//!
//! ```text
//! leader    wake ─ yield until the other has arrived ─ clock ─ yield × ops ─ yield until the other is done ─ clock
//! follower  woken ─ yield until the start ────────────────── yield × ops ─ sleep until the next play
//! ```
//!
//! The two or three switches before the clock starts are counted with the others: one in some hundreds.
//!
//! The no-switch cost: one thread yields twice, with nobody to yield to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::yield_now;

use anyhow::{Context, Result};

use crate::sys::clock::monotonic_ns;
use crate::sys::futex::{self, Scope};
use crate::sys::shared::Shared;
use crate::sys::signal;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Setting, Unpaced};
use crate::workload::thread::Follower;
use crate::workload::{NoSwitch, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-yield",
    kind: Kind::Thread,
    brief: "sched_yield(2); makes no fixed number of switches",
    summary: "two threads give way to each other with sched_yield(2); how often that switches is counted, not promised",
    op: ONE_YIELD_EACH,
    switch_source: SwitchSource::Kernel,
    apart: true,
    sample_ns: YIELDS_NS,
    prepare: |setting| ThreadYield::prepare(setting),
    no_switch: Some(NO_SWITCH),
    ..Workload::EMPTY
};

/// Sample length, ns: long enough for the switches before the clock starts not to matter.
pub(in crate::workload) const YIELDS_NS: u32 = 1_000_000;

pub(in crate::workload) const ONE_YIELD_EACH: &str = "one yield each";

pub(in crate::workload) const NO_SWITCH: NoSwitch = NoSwitch {
    summary: "one thread yields twice with nobody to give way to: two system calls, no switch",
    prepare: |_| Ok(Box::new(YieldAlone)),
};

/// Shared state of a yield workload's participants.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(in crate::workload) struct Track {
    /// Number of plays announced; the follower sleeps on it.
    announced: AtomicU32,
    /// The play for which the follower has arrived at the start.
    arrived: AtomicU32,
    started: AtomicU32,
    /// The play that the follower has finished.
    finished: AtomicU32,
    ops: AtomicU64,
}

/// Announced instead of a play: no more will follow.
const OVER: u32 = u32::MAX;

impl Track {
    pub(in crate::workload) fn lead(&self, ops: u64, scope: Scope, pace: &mut impl Pace) -> io::Result<Played> {
        let play = self.announced.load(Ordering::Relaxed) + 1;
        self.ops.store(ops, Ordering::Relaxed);
        self.announced.store(play, Ordering::Release);
        futex::wake(&self.announced, scope);
        yield_until(&self.arrived, play)?;
        let started_ns = monotonic_ns();
        pace.begin();
        self.started.store(play, Ordering::Release);
        for _ in 0..ops {
            yield_now();
            pace.lap();
        }
        yield_until(&self.finished, play)?;
        Ok(Played::timed(monotonic_ns() - started_ns))
    }

    pub(in crate::workload) fn follow(&self, scope: Scope) -> io::Result<()> {
        let mut last = 0;
        loop {
            let play = self.announced.load(Ordering::Acquire);
            if play == last {
                futex::wait(&self.announced, last, scope)?;
                continue;
            }
            if play == OVER {
                return Ok(());
            }
            self.arrived.store(play, Ordering::Release);
            yield_until(&self.started, play)?;
            (0..self.ops.load(Ordering::Relaxed)).for_each(|_| yield_now());
            self.finished.store(play, Ordering::Release);
            last = play;
        }
    }

    /// Ends the follower, also one that waits at the start.
    pub(in crate::workload) fn call_off(&self, scope: Scope) {
        self.announced.store(OVER, Ordering::Release);
        self.started.store(OVER, Ordering::Release);
        futex::wake(&self.announced, scope);
    }
}

/// Yields until the other participant has reached this play.
fn yield_until(reached: &AtomicU32, play: u32) -> io::Result<()> {
    /// Checking that all is in order costs a few loads: now and then is enough.
    const BETWEEN_LOOKS: u32 = 1024;
    let mut yields: u32 = 0;
    while reached.load(Ordering::Acquire) < play {
        yield_now();
        yields = yields.wrapping_add(1);
        if yields % BETWEEN_LOOKS == 0 {
            signal::check_in_order()?;
        }
    }
    Ok(())
}

struct ThreadYield {
    track: Arc<Shared<Track>>,
    /// `None` once joined.
    follower: Option<Follower>,
}

impl ThreadYield {
    fn prepare(setting: &Setting) -> Result<Box<dyn Session>> {
        let track = Arc::new(Shared::new(Track::default()).context("mapping a page")?);
        let theirs = Arc::clone(&track);
        let follower = Follower::start(setting, move || theirs.follow(Scope::Process))?;
        Ok(Box::new(ThreadYield { track, follower: Some(follower) }))
    }
}

impl Session for ThreadYield {
    fn participants(&self) -> Vec<Participant> {
        self.follower.iter().map(Follower::participant).chain([Participant::calling_thread()]).collect()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.track.lead(ops, Scope::Process, &mut Unpaced).context("yielding to the partner thread")
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.track.lead(ops, Scope::Process, laps).context("yielding to the partner thread")
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        self.track.call_off(Scope::Process);
        self.follower.take().map_or(Ok(()), Follower::join)
    }
}

impl Drop for ThreadYield {
    fn drop(&mut self) {
        self.track.call_off(Scope::Process);
    }
}

struct YieldAlone;

fn yield_alone(ops: u64, pace: &mut impl Pace) -> Played {
    let started_ns = monotonic_ns();
    pace.begin();
    for _ in 0..ops {
        yield_now();
        yield_now();
        pace.lap();
    }
    Played::timed(monotonic_ns() - started_ns)
}

impl Session for YieldAlone {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        Ok(yield_alone(ops, &mut Unpaced))
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        Ok(yield_alone(ops, laps))
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
