//! The engine of `run`: repetitions of every workload in turn, round by round.
//!
//! ```text
//! round 1:  thread-pipe [half no-switch loop] [spawn, warm up, samples, join] [half no-switch loop]   task-channel […] […] […]   process-pipe …
//! round 2:  process-pipe …   thread-pipe …   task-channel …
//! ```
//!
//! Workloads are compared within a round, so that drift affects all alike; the order is shuffled in every round, so
//! that none always follows the same other. The no-switch loop is played on both sides of what it is subtracted from.
//! The engine prints nothing and computes nothing: it returns samples.

pub mod injected_slowdown;
mod latency;
mod layout_randomization;
mod passes;
pub mod plan;
mod recording;
mod reference_loop;
mod repetition;
mod sampler;
#[cfg(test)]
mod tests;

use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow};
use fastrand::Rng;
use nix::sys::signal::Signal;

use crate::bench::engine::passes::Pass;
use crate::bench::engine::plan::{Entry, Plan, Quota};
use crate::bench::engine::sampler::Sampler;
use crate::bench::left_out::LeftOut;
use crate::bench::sample::{Repetition, RunSamples, Sample, WorkloadSamples, speed};
use crate::document::Ending;
use crate::host::limits;
use crate::host::surroundings::NoiseMonitor;
use crate::perf::counting::CountingMode;
use crate::perf::meter::{Attach, Attached};
use crate::sys::affinity::{self, Pinned};
use crate::sys::clock::{monotonic_ns, read_cost_ns};
use crate::sys::policy::Applied;
use crate::sys::signal::{self, Watchdog};
use crate::workload::session::Setting;

/// Progress of a run, reported after every repetition.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub workload: &'static str,
    pub done: u32,
    pub of: u32,
}

/// Runs a plan with every participant where its entry places it.
///
/// # Errors
/// The CPU cannot be pinned to, the policy is refused, or so are the counters that were asked for by name. A workload
/// that fails, a signal and a stall end the run early; the samples until then are returned.
pub fn run(plan: &Plan, attach: &mut dyn Attach, on_progress: &mut dyn FnMut(Progress)) -> Result<RunSamples> {
    let first = plan.entries.first().context("there is nothing to measure")?;
    let began = Instant::now();
    let _pinned = Pinned::to(first.setting.leader_cpu)?;
    let _applied =
        Applied::to(plan.policy, plan.nice).map_err(|errno| limits::explain_policy(errno, plan.policy, plan.nice))?;
    let watchdog = Watchdog::start()?;
    let waited_ns = plan.reference_ns.filter(|_| !plan.patience.is_zero()).map(|reference_ns| {
        watchdog.begin(&"waiting for full speed");
        reference_loop::wait_for_full_speed(reference_ns, plan.patience.as_nanos() as u64, || watchdog.progress())
    });
    let cpus = first.setting.cpus();
    let attached = attach.attach(&cpus)?;
    let mut engine = Engine {
        plan,
        noise_monitors: plan.entries.iter().map(|entry| NoiseMonitor::new(&entry.setting.cpus())).collect(),
        watchdog: &watchdog,
        attach,
        attached,
        attached_to: cpus,
        on_progress,
        total: 0,
        done: 0,
        sizes: vec![Sizes::default(); plan.entries.len()],
        refused: vec![None; plan.entries.len()],
        first_op_at_ns: None,
        layout_randomization: Rng::with_seed(u64::from(plan.seed)),
        workloads: plan.entries.iter().map(nothing_yet).collect(),
    };
    let outcome = engine.all_passes();
    let ending = match outcome {
        Ok(()) => Ending::Complete,
        Err(Stop::Signal(signal)) => Ending::Interrupted(signal as i32),
        Err(Stop::Failure(error) | Stop::Refused(error)) => Ending::Failed(format!("{error:#}")),
    };
    let Engine { mut workloads, first_op_at_ns, attached, refused, .. } = engine;
    let mut unmeasured: Vec<LeftOut> = Vec::new();
    for (refused, workload) in refused.into_iter().zip(&mut workloads) {
        match refused {
            Some(refused) if workload.repetitions.is_empty() => unmeasured.push(refused),
            // Perhaps in a pass that only counts: it is measured all the same.
            refused => workload.refused_later = refused.map(|refused| refused.why.reason),
        }
    }
    Ok(RunSamples {
        counting: attached.counting,
        workloads,
        left_out: plan.left_out.iter().cloned().chain(unmeasured).collect(),
        ending,
        clock_read_ns: Some(read_cost_ns()),
        reference_ns: plan.reference_ns,
        waited_ns,
        elapsed_ns: Some(began.elapsed().as_nanos() as u64),
        first_op_at_ns,
    })
}

/// Reason why a run ends early.
enum Stop {
    Signal(Signal),
    Failure(Error),
    /// Of this entry only: so large a ring is not available. The others go on.
    Refused(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failure(error)
    }
}

struct Engine<'a> {
    plan: &'a Plan,
    /// One per entry of the plan, as are `sizes`, `refused` and `workloads`.
    noise_monitors: Vec<NoiseMonitor>,
    watchdog: &'a Watchdog,
    attach: &'a mut dyn Attach,
    attached: Attached,
    attached_to: Vec<usize>,
    on_progress: &'a mut dyn FnMut(Progress),
    total: u32,
    done: u32,
    sizes: Vec<Sizes>,
    /// Reason why an entry is not measured any more.
    refused: Vec<Option<LeftOut>>,
    workloads: Vec<WorkloadSamples>,
    first_op_at_ns: Option<u64>,
    layout_randomization: Rng,
}

/// Ops per sample, once calibrated: the same for all repetitions.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    sample: Option<u64>,
    no_switch: Option<u64>,
}

impl Engine<'_> {
    fn pass(&mut self, pass: &Pass) -> Result<(), Stop> {
        let deadline = self.plan.effort.deadline(pass.entries.iter().map(|&at| &self.plan.entries[at]));
        let deadline = deadline.map(|all| if pass.latency.is_some() { 2 * all } else { all });
        let began = Instant::now();
        for round in 0..pass.rounds as usize {
            if round > 0 && deadline.is_some_and(|deadline| began.elapsed() > deadline) {
                return Ok(());
            }
            for at in layout_randomization::in_any_order(&mut self.layout_randomization, &pass.entries) {
                if self.refused[at].is_some() {
                    continue;
                }
                let (repetition, outcome) = self.turn(at, pass)?;
                if !repetition.samples.is_empty() {
                    (pass.into)(&mut self.workloads[at]).push(repetition);
                }
                self.after(at, round, outcome)?;
            }
        }
        Ok(())
    }

    /// Plays an entry's turn; returns its samples even if it ended early.
    fn turn(&mut self, at: usize, pass: &Pass) -> Result<(Repetition, Result<(), Stop>), Stop> {
        self.watchdog.begin(&self.plan.entries[at].workload.name);
        self.watch(at)?;
        let mut repetition = Repetition::default();
        let mut places = self.layout_randomization.fork();
        let outcome = layout_randomization::shuffled(&mut places, || self.repetition(at, pass, &mut repetition));
        Ok((repetition, outcome))
    }

    /// Notes the outcome of an entry's turn in a round, and reports progress.
    fn after(&mut self, at: usize, round: usize, outcome: Result<(), Stop>) -> Result<(), Stop> {
        if let Err(Stop::Refused(error)) = &outcome {
            self.refused[at] = Some(self.plan.entries[at].left_out(format!("{error:#}"), None));
        } else {
            outcome.map_err(|stop| self.within(stop, at, round))?;
        }
        self.done += 1;
        let workload = self.plan.entries[at].workload.name;
        (self.on_progress)(Progress { workload, done: self.done, of: self.total });
        Ok(())
    }

    /// Plays those repetitions of a pass once more that were mostly below full speed, and takes the new samples in any
    /// case: the core's speed decides, never a cost. Across CPUs cores come out of idle all the time: none is judged.
    fn repeat_slowed(&mut self, pass: &Pass) -> Result<(), Stop> {
        let all = || self.workloads.iter().flat_map(|workload| &workload.repetitions);
        let quickest_ns = speed::quickest_ns(all().flat_map(|repetition| &repetition.samples));
        let Some(full_speed_ns) = speed::full_speed_ns(self.plan.reference_ns, quickest_ns) else { return Ok(()) };
        let slowed_of = |&at: &usize| {
            let each = self.workloads[at].repetitions.iter().enumerate();
            let slowed = each.filter(|(_, repetition)| speed::are_mostly_slowed(&repetition.samples, full_speed_ns));
            slowed.map(|(number, _)| (at, number)).collect::<Vec<_>>()
        };
        let is_judged = |at: &&usize| self.refused[**at].is_none() && !self.plan.entries[**at].setting.is_apart();
        let mut slowed: Vec<(usize, usize)> = pass.entries.iter().filter(is_judged).flat_map(slowed_of).collect();
        self.layout_randomization.shuffle(&mut slowed);
        self.total += slowed.len() as u32;
        for (at, number) in slowed {
            let (repetition, outcome) = self.turn(at, pass)?;
            let outcome = match outcome {
                Ok(()) => {
                    self.workloads[at].repetitions[number] = repetition;
                    self.workloads[at].repeated += 1;
                    Ok(())
                }
                // The first try stays: a row is not left out for lack of a second one.
                Err(Stop::Refused(_)) => Ok(()),
                stopped => stopped,
            };
            self.after(at, number, outcome)?;
        }
        Ok(())
    }

    /// Attaches the meter to the CPUs of this entry.
    fn watch(&mut self, at: usize) -> Result<()> {
        let cpus = self.plan.entries[at].setting.cpus();
        if self.attached.counting.mode == CountingMode::Cpu && cpus != self.attached_to {
            let absent = std::mem::take(&mut self.attached.counting.absent);
            self.attached = self.attach.attach(&cpus)?;
            self.attached.counting.absent = absent;
            self.attached_to = cpus;
        }
        Ok(())
    }

    /// Returns the same stop, with what it happened in; if a CPU went offline, with that as the cause.
    fn within(&self, stop: Stop, at: usize, round: usize) -> Stop {
        let entry = self.plan.entries[at];
        let Stop::Failure(error) = stop else { return stop };
        let error = match offline_cpu(&entry.setting) {
            Some(cpu) => error.context(format!("CPU {cpu} went offline in the middle of the measurement")),
            None => error,
        };
        Stop::Failure(error.context(format!("{}, repetition {}", entry.workload.name, round + 1)))
    }
}

/// Returns one of the participants' CPUs that went offline.
fn offline_cpu(setting: &Setting) -> Option<usize> {
    setting.cpus().into_iter().find(|&cpu| !affinity::is_online(cpu))
}

/// Takes samples until the quota is met or a signal asks to stop.
fn take(
    sampler: &mut Sampler<'_>,
    ops: u64,
    quota: Quota,
    setting: &Setting,
    samples: &mut Vec<Sample>,
) -> Result<(), Stop> {
    take_by(quota, setting, samples, || sampler.sample(ops))
}

/// Takes samples with `take_one`, in the same way.
fn take_by(
    quota: Quota,
    setting: &Setting,
    samples: &mut Vec<Sample>,
    mut take_one: impl FnMut() -> Result<Sample>,
) -> Result<(), Stop> {
    let began_ns = monotonic_ns();
    while !quota.is_met(samples.len(), monotonic_ns() - began_ns) {
        let sample = take_one()?;
        // A thread whose CPU goes offline is moved silently, and the CPU's counters stand still.
        if let Some(cpu) = affinity::current_cpu().filter(|&cpu| cpu != setting.leader_cpu) {
            return Err(Stop::Failure(anyhow!(
                "the participants were moved from CPU {} to CPU {cpu}",
                setting.leader_cpu
            )));
        }
        samples.push(sample);
        if let Some(signal) = signal::stop_requested() {
            return Err(Stop::Signal(signal));
        }
    }
    Ok(())
}

fn nothing_yet(entry: &Entry) -> WorkloadSamples {
    let Entry { workload, placement, setting } = entry;
    let (op, expected_switches_per_op) = entry.op();
    WorkloadSamples {
        workload: workload.name.to_string(),
        kind: workload.kind,
        switch_source: workload.switch_source,
        expected_switches_per_op,
        op: op.to_string(),
        remark: workload.remark.map(String::from),
        toolchain: (workload.toolchain)(),
        placement: *placement,
        cpus: setting.cpus(),
        ring: setting.ring,
        repetitions: Vec::new(),
        repeated: 0,
        uncounted: Vec::new(),
        elsewhere: Vec::new(),
        passes: Vec::new(),
        recording: None,
        refused_later: None,
    }
}
