//! The engine of `run`: incarnations of every workload in turn, round by round.
//!
//! ```text
//! round 1:  thread-pipe [make parties, warm up, samples, end] [floor]   process-pipe […] […]   task-channel […] […]
//! round 2:  process-pipe …   task-channel …   thread-pipe …
//! ```
//!
//! What is compared is compared within a round, so that drift hits all alike; the order turns from round to round.
//! The engine prints nothing and works nothing out: it returns samples.

mod luck;
pub mod plan;
mod sampler;
#[cfg(test)]
mod tests;
mod yardstick;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::bench::plan::{Plan, Quota};
use crate::bench::sampler::Sampler;
use crate::counter::meter::{Attach, Attached, Reading};
use crate::host::limits;
use crate::host::surroundings::Surveyor;
use crate::sample::{CounterTimes, CountingMode, Ending, Incarnation, RunSamples, Sample, WorkloadSamples};
use crate::sys::affinity::Pinned;
use crate::sys::clock::monotonic_ns;
use crate::sys::signal::{self, Watchdog};
use crate::workload::Workload;

/// How far a run has come, told after every incarnation.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub workload: &'static str,
    pub done: u32,
    pub of: u32,
}

/// Incarnations of the pass in which user mode is counted: it says what work an op is, not what it costs.
const USER_MODE_INCARNATIONS: u32 = 3;
/// Incarnations that run without counters to learn what the counters cost.
const UNCOUNTED_INCARNATIONS: u32 = 5;
/// The kernel goes on treating every switch as counted for about a second after the last per-thread event is closed
/// (`perf_sched_events` in kernel/events/core.c).
const PERF_SETTLES: Duration = Duration::from_millis(1200);

/// Runs a plan with every party on `cpu`, where the surveyor watches too.
///
/// # Errors
/// The CPU cannot be pinned to, or the counters that were asked for by name are refused. A workload that fails, a
/// signal and a stall end the run early; what was seen until then is returned.
pub fn run(
    plan: &Plan,
    cpu: usize,
    surveyor: &Surveyor,
    attach: &mut dyn Attach,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<RunSamples> {
    let _pinned = Pinned::to(cpu)?;
    let watchdog = Watchdog::start()?;
    let mut attached = attach.attach()?;
    let mut engine = Engine {
        plan,
        surveyor,
        watchdog: &watchdog,
        on_progress,
        total: 0,
        done: 0,
        sizes: vec![Sizes::default(); plan.workloads.len()],
        first_op_at_ns: None,
        workloads: plan.workloads.iter().map(|workload| nothing_yet(workload)).collect(),
    };
    let outcome = engine.all_passes(&mut attached, attach);
    let ending = match outcome {
        Ok(()) => Ending::Complete,
        Err(Stop::Signal(signal)) => Ending::Interrupted(signal as i32),
        Err(Stop::Failure(error)) => Ending::Failed(format!("{error:#}")),
    };
    let Engine { workloads, first_op_at_ns, .. } = engine;
    Ok(RunSamples { counting: attached.counting, workloads, ending, first_op_at_ns })
}

/// Why a run ends early.
enum Stop {
    Signal(Signal),
    Failure(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Stop {
        Stop::Failure(error)
    }
}

struct Engine<'a> {
    plan: &'a Plan,
    surveyor: &'a Surveyor,
    watchdog: &'a Watchdog,
    on_progress: &'a mut dyn FnMut(Progress),
    total: u32,
    done: u32,
    /// One per workload of the plan, as are `workloads`.
    sizes: Vec<Sizes>,
    workloads: Vec<WorkloadSamples>,
    first_op_at_ns: Option<u64>,
}

/// Ops per sample, once calibrated: the same for all incarnations.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    sample: Option<u64>,
    floor: Option<u64>,
}

impl Engine<'_> {
    /// The main pass, and what goes before and after it where counting slows the parties.
    fn all_passes(&mut self, attached: &mut Attached, attach: &mut dyn Attach) -> Result<(), Stop> {
        let rounds = self.plan.incarnations;
        self.expect(rounds);
        if attached.counting.mode == CountingMode::Thread {
            let uncounted = rounds.min(UNCOUNTED_INCARNATIONS);
            self.expect(uncounted);
            *attached = Attached::without_events(CountingMode::None, Vec::new());
            thread::sleep(PERF_SETTLES);
            let outcome = self.pass(uncounted, attached, |samples| &mut samples.uncounted);
            *attached = attach.attach()?;
            outcome?;
        }
        self.pass(rounds, attached, |samples| &mut samples.incarnations)?;
        if let Some(mut user_mode) = attach.attach_user_mode() {
            attached.counting.user_counters = user_mode.counting.counters.clone();
            attached.counting.remarks.append(&mut user_mode.counting.remarks);
            let rounds = rounds.min(USER_MODE_INCARNATIONS);
            self.expect(rounds);
            self.pass(rounds, &mut user_mode, |samples| &mut samples.user_counted)?;
        }
        Ok(())
    }

    /// So many rounds more are to come.
    fn expect(&mut self, rounds: u32) {
        self.total += rounds * self.workloads.len() as u32;
    }

    fn pass(
        &mut self,
        rounds: u32,
        attached: &mut Attached,
        into: fn(&mut WorkloadSamples) -> &mut Vec<Incarnation>,
    ) -> Result<(), Stop> {
        let workloads = self.plan.workloads.len();
        let deadline = self.plan.effort.deadline(workloads);
        let began = Instant::now();
        for round in 0..rounds as usize {
            if round > 0 && deadline.is_some_and(|deadline| began.elapsed() > deadline) {
                return Ok(());
            }
            for at in (0..workloads).map(|step| (round + step) % workloads) {
                let workload = self.plan.workloads[at];
                self.watchdog.begin(&workload.name);
                let mut incarnation = Incarnation::default();
                let outcome = luck::shuffled(|| self.incarnation(at, attached, &mut incarnation));
                if !incarnation.samples.is_empty() {
                    into(&mut self.workloads[at]).push(incarnation);
                }
                outcome.map_err(|stop| within(stop, workload, round))?;
                self.done += 1;
                (self.on_progress)(Progress { workload: workload.name, done: self.done, of: self.total });
            }
        }
        Ok(())
    }

    /// One set of parties, then one floor. What was taken is in `incarnation` even if it ends early.
    fn incarnation(&mut self, at: usize, attached: &mut Attached, incarnation: &mut Incarnation) -> Result<(), Stop> {
        let workload = self.plan.workloads[at];
        let effort = self.plan.effort;
        let rounds = self.plan.incarnations;
        let before = self.surveyor.look();
        let outcome = self.parties(at, attached, incarnation);
        incarnation.surroundings = self.surveyor.look().since(&before);
        outcome?;
        if let Some(floor) = &workload.floor {
            let mut session = (floor.prepare)().map_err(limits::explain)?;
            let mut sampler = Sampler::new(session.as_mut(), attached, self.watchdog);
            let ops = size(&mut self.sizes[at].floor, self.plan, &mut sampler)?;
            sampler.warm_up(ops)?;
            take(&mut sampler, ops, effort.of_floor(rounds), &mut incarnation.floor)?;
            session.end()?;
        }
        Ok(())
    }

    /// The parties' part of an incarnation.
    fn parties(&mut self, at: usize, attached: &mut Attached, incarnation: &mut Incarnation) -> Result<(), Stop> {
        let effort = self.plan.effort;
        let rounds = self.plan.incarnations;
        let mut session = (self.plan.workloads[at].prepare)().map_err(limits::explain)?;
        let mut sampler = Sampler::new(session.as_mut(), attached, self.watchdog);
        self.first_op_at_ns.get_or_insert_with(monotonic_ns);
        let ops = size(&mut self.sizes[at].sample, self.plan, &mut sampler)?;
        sampler.warm_up(ops)?;
        let before = sampler.readings()?;
        let outcome = take(&mut sampler, ops, effort.of_samples(rounds), &mut incarnation.samples);
        incarnation.times = elapsed(&before, &sampler.readings()?);
        outcome?;
        if sampler.switches_on_demand() {
            sampler.count_switches(true)?;
            let outcome = take(&mut sampler, ops, effort.of_counted(rounds), &mut incarnation.counted);
            sampler.count_switches(false)?;
            outcome?;
        }
        Ok(session.end()?)
    }
}

/// The number of ops in a sample: known, fixed by the plan, or found out now and known from now on.
fn size(known: &mut Option<u64>, plan: &Plan, sampler: &mut Sampler<'_>) -> Result<u64> {
    let ops = match known.or(plan.ops_per_sample) {
        Some(ops) => ops,
        None => sampler.calibrate()?,
    };
    Ok(*known.insert(ops))
}

/// Takes samples until the quota is met or a signal asks to stop.
fn take(sampler: &mut Sampler<'_>, ops: u64, quota: Quota, samples: &mut Vec<Sample>) -> Result<(), Stop> {
    let began_ns = monotonic_ns();
    while !quota.is_met(samples.len(), monotonic_ns() - began_ns) {
        samples.push(sampler.sample(ops)?);
        if let Some(signal) = signal::stop_requested() {
            return Err(Stop::Signal(signal));
        }
    }
    Ok(())
}

/// What each counter's times grew by.
fn elapsed(before: &[Option<Reading>], after: &[Option<Reading>]) -> Vec<CounterTimes> {
    let grown = |(before, after): (&Option<Reading>, &Option<Reading>)| match (before, after) {
        (Some(before), Some(after)) => CounterTimes {
            enabled_ns: after.enabled_ns - before.enabled_ns,
            running_ns: after.running_ns - before.running_ns,
        },
        _ => CounterTimes::default(),
    };
    before.iter().zip(after).map(grown).collect()
}

fn within(stop: Stop, workload: &Workload, round: usize) -> Stop {
    match stop {
        Stop::Failure(error) => Stop::Failure(error.context(format!("{}, incarnation {}", workload.name, round + 1))),
        signal => signal,
    }
}

fn nothing_yet(workload: &Workload) -> WorkloadSamples {
    WorkloadSamples {
        workload: workload.name.to_string(),
        kind: workload.kind,
        switch_source: workload.switch_source,
        expected_switches_per_op: workload.expected_switches_per_op,
        incarnations: Vec::new(),
        uncounted: Vec::new(),
        user_counted: Vec::new(),
    }
}
