//! The passes of a run: the main one, and those that count what slows the participants.
//!
//! ```text
//! uncounted (thread mode only) ─ main ─ elsewhere in memory ─ probes ─ wake-ups ─ to idle (across CPUs only) ─ user mode (rusage only) ─ records (if asked for)
//! ```

use std::thread;
use std::time::Duration;

use crate::bench::engine::plan::{Effort, Plan, Quota};
use crate::bench::engine::{Engine, Stop};
use crate::bench::grouped::by_key;
use crate::bench::sample::{PassSamples, Repetition, WorkloadSamples};
use crate::perf::counting::{CountingMode, PROBE};
use crate::perf::meter::{Attached, Extra};
use crate::perf::refusal::Refused;
use crate::workload::kind::SwitchSource;

/// Repetitions of the pass in which user mode is counted: it shows what work an op is, not what it costs.
const USER_MODE_REPETITIONS: u32 = 3;
/// Repetitions without counters, to measure what the counters cost.
const UNCOUNTED_REPETITIONS: u32 = 5;
/// Repetitions of a pass that only counts something.
const COUNTING_REPETITIONS: u32 = 2;
/// Samples of such a pass.
const COUNTING_SAMPLES: u32 = 10;
/// Places in memory that are tried, to see how much they matter: one in three may be an expensive one.
const PLACES: u32 = 10;
/// Samples in each.
const PLACE_SAMPLES: u32 = 20;
/// A probe costs its function 10 µs a hit, so that a sample has a fixed number of ops: enough for the few hits around a
/// play not to matter.
const PROBED_OPS: u64 = 5_000;
const PROBED_SAMPLES: u32 = 2;
/// The kernel goes on treating every switch as counted for about a second after the last per-thread event is closed
/// (`perf_sched_events` in kernel/events/core.c).
const PERF_SETTLES: Duration = Duration::from_millis(1200);

/// Quotas of one repetition of a pass, and the place of its samples.
pub(super) struct Pass {
    pub(super) rounds: u32,
    /// Indexes of the plan's entries.
    pub(super) entries: Vec<usize>,
    pub(super) samples: Quota,
    /// `None`, as the next two, where the pass takes none of these.
    pub(super) counted: Option<Quota>,
    pub(super) latency: Option<Quota>,
    pub(super) no_switch: Option<Quota>,
    /// True if the participants' memory is elsewhere each time.
    pub(super) elsewhere: bool,
    /// Instead of the calibrated number.
    pub(super) ops: Option<u64>,
    pub(super) into: Place,
}

/// Place of a pass's repetitions.
type Place = fn(&mut WorkloadSamples) -> &mut Vec<Repetition>;

impl Pass {
    /// Returns a pass that takes samples of the participants and nothing else.
    fn of_samples(rounds: u32, entries: Vec<usize>, samples: Quota, into: Place) -> Pass {
        Pass {
            rounds,
            entries,
            samples,
            counted: None,
            latency: None,
            no_switch: None,
            elsewhere: false,
            ops: None,
            into,
        }
    }
}

impl Engine<'_> {
    /// Runs the main pass, and those before and after it where counting slows the participants.
    pub(super) fn all_passes(&mut self) -> Result<(), Stop> {
        let rounds = self.plan.repetitions;
        let priced = |rounds, into| {
            let entries = (0..self.plan.entries.len()).collect();
            Pass {
                counted: Some(self.plan.effort.of_counted(self.plan.repetitions)),
                no_switch: Some(self.plan.effort.of_no_switch(self.plan.repetitions)),
                ..Pass::of_samples(rounds, entries, self.plan.effort.of_samples(self.plan.repetitions), into)
            }
        };
        let main = Pass {
            latency: self.plan.latency.then(|| self.plan.effort.of_latency(rounds)),
            ..priced(rounds, |samples: &mut WorkloadSamples| &mut samples.repetitions)
        };
        self.expect(&main);
        if self.attached.counting.mode == CountingMode::Thread {
            let uncounted = priced(rounds.min(UNCOUNTED_REPETITIONS), |samples| &mut samples.uncounted);
            self.expect(&uncounted);
            self.attached = Attached::without_events(CountingMode::None, Vec::new());
            thread::sleep(PERF_SETTLES);
            let outcome = self.pass(&uncounted);
            self.attached = self.attach.attach(&self.attached_to)?;
            outcome?;
        }
        self.pass(&main)?;
        if self.plan.repeat_slowed {
            self.repeat_slowed(&main)?;
        }
        self.elsewhere_pass()?;
        let entries = || self.plan.entries.iter().enumerate();
        let probed = entries().filter(|(_, entry)| entry.workload.switch_source == SwitchSource::Uprobe);
        let probed: Vec<usize> = probed.map(|(at, _)| at).collect();
        let apart = entries().filter(|(_, entry)| entry.setting.is_apart()).map(|(at, _)| at).collect();
        let all: Vec<usize> = (0..self.plan.entries.len()).collect();
        for at in probed {
            self.counting_pass(ExtraPass::Probe, vec![at])?;
        }
        self.counting_pass(ExtraPass::WakeUps, all.clone())?;
        self.counting_pass(ExtraPass::ToIdle, apart)?;
        // Last, since these slow what follows as well.
        self.counting_pass(ExtraPass::UserMode, all)?;
        self.recording_pass()
    }

    /// Runs the pass with the participants' memory elsewhere each time, for workloads where that is measured.
    fn elsewhere_pass(&mut self) -> Result<(), Stop> {
        let is_told = |at: &usize| self.plan.entries[*at].elsewhere().is_some();
        let entries: Vec<usize> = (0..self.plan.entries.len()).filter(is_told).collect();
        let (rounds, samples) = (self.plan.repetitions.min(PLACES), Effort::of_pass(PLACE_SAMPLES));
        let pass =
            Pass { elsewhere: true, ..Pass::of_samples(rounds, entries, samples, |samples| &mut samples.elsewhere) };
        self.expect(&pass);
        self.pass(&pass)
    }

    /// Runs a pass that counts what is not counted otherwise, if this system allows it.
    fn counting_pass(&mut self, extra: ExtraPass, entries: Vec<usize>) -> Result<(), Stop> {
        for (cpus, entries) in by_key(entries.into_iter().map(|at| (self.plan.entries[at].setting.cpus(), at))) {
            let attached = match self.attach_extra(extra, &cpus, entries[0]) {
                Ok(attached) => attached,
                Err(refused) => {
                    self.note_refused(refused);
                    continue;
                }
            };
            for &at in &entries {
                let counters = attached.counting.counters.clone();
                self.workloads[at].passes.push(PassSamples { counters, repetitions: Vec::new() });
            }
            let pass = extra.pass(self.plan, entries);
            self.expect(&pass);
            let mut remarks = attached.counting.remarks.clone();
            let main = std::mem::replace(&mut self.attached, attached);
            let main_cpus = std::mem::replace(&mut self.attached_to, cpus);
            let outcome = self.pass(&pass);
            self.attached = main;
            self.attached_to = main_cpus;
            self.attached.counting.remarks.append(&mut remarks);
            outcome?;
        }
        Ok(())
    }

    fn attach_extra(&mut self, extra: ExtraPass, cpus: &[usize], entry: usize) -> Result<Attached, Refused> {
        match extra {
            ExtraPass::UserMode => self.attach.attach_extra(&Extra::UserMode, cpus),
            ExtraPass::WakeUps => self.attach.attach_extra(&Extra::WakeUps, cpus),
            ExtraPass::ToIdle => self.attach.attach_extra(&Extra::ToIdle, cpus),
            ExtraPass::Probe => {
                let find = self.plan.entries[entry].workload.probe_point.ok_or(Refused::NotNeeded)?;
                let point = find().map_err(|error| Refused::absent(PROBE, format!("{error:#}")))?;
                self.attach.attach_extra(&Extra::Probe { program: &point.program, function: point.function }, cpus)
            }
        }
    }

    /// Adds a pass's repetitions to those that are expected.
    fn expect(&mut self, pass: &Pass) {
        self.total += pass.rounds * pass.entries.len() as u32;
    }
}

/// Event that is counted in a pass of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExtraPass {
    /// User-mode events that may be counted where the kernel may not be observed.
    UserMode,
    /// Threads woken.
    WakeUps,
    /// Switches to the idle thread.
    ToIdle,
    /// Calls of the function by which a runtime switches.
    Probe,
}

impl ExtraPass {
    fn pass(self, plan: &Plan, entries: Vec<usize>) -> Pass {
        let counting = |rounds: u32, samples, ops| Pass {
            ops,
            ..Pass::of_samples(plan.repetitions.min(rounds), entries, samples, last_pass)
        };
        match self {
            ExtraPass::UserMode => counting(USER_MODE_REPETITIONS, plan.effort.of_samples(plan.repetitions), None),
            ExtraPass::WakeUps | ExtraPass::ToIdle => {
                counting(COUNTING_REPETITIONS, Effort::of_pass(COUNTING_SAMPLES), None)
            }
            ExtraPass::Probe => counting(COUNTING_REPETITIONS, Effort::of_pass(PROBED_SAMPLES), Some(PROBED_OPS)),
        }
    }
}

/// Returns the place of a counting pass's repetitions.
fn last_pass(samples: &mut WorkloadSamples) -> &mut Vec<Repetition> {
    let last = samples.passes.last_mut().expect("a counting pass has its place before it begins");
    &mut last.repetitions
}
