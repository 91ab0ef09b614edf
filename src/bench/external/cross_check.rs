//! The engine of `compare`: external benchmarks and our own workloads in turn on one CPU, round by round.
//!
//! ```text
//! round 1:  thread-pipe  perf bench sched pipe -T   process-pipe  perf bench sched pipe   goroutine-…  go test …
//! round 2:  …, each pair the other way round
//! then:     a pass of its own for each benchmark whose switches a probe counts
//! ```
//!
//! Prints nothing and computes nothing.

use anyhow::{Context, Result};

use crate::bench::engine::plan::{Effort, Plan, lay_out};
use crate::bench::engine::{self, Progress};
use crate::bench::external::samples::{ExternalSamples, ExternalSwitches, Pair};
use crate::bench::external::{ExternalBenchmark, Probed};
use crate::bench::sample::RunSamples;
use crate::document::Ending;
use crate::host::placement::Placement;
use crate::perf::meter::{Attach, Edge, Extra, Reading, Ring};
use crate::perf::refusal::Refused;
use crate::sys::affinity::Pinned;
use crate::sys::signal;
use crate::workload;
use crate::workload::session::Setting;

#[derive(Debug)]
pub struct CrossCheckPlan {
    pub benchmarks: Vec<&'static ExternalBenchmark>,
    pub rounds: u32,
    pub setting: Setting,
    /// Of our own workload in each round.
    pub repetitions: u32,
    pub effort: Effort,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CrossCheckSamples {
    pub benchmarks: Vec<ExternalSamples>,
    pub ending: Ending,
}

/// Runs the plan.
///
/// # Errors
/// None: a CPU that cannot be pinned to, refused counters, a benchmark that fails and a signal end it early, and what
/// was seen until then is returned.
pub fn run(
    plan: &CrossCheckPlan,
    attach: &mut dyn Attach,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<CrossCheckSamples> {
    let mut benchmarks: Vec<ExternalSamples> = plan.benchmarks.iter().map(|benchmark| nothing_yet(benchmark)).collect();
    let ending = match all_rounds(plan, &mut benchmarks, attach, on_progress) {
        Ok(ending) => ending,
        Err(error) => Ending::Failed(format!("{error:#}")),
    };
    Ok(CrossCheckSamples { benchmarks, ending })
}

fn all_rounds(
    plan: &CrossCheckPlan,
    benchmarks: &mut [ExternalSamples],
    attach: &mut dyn Attach,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Ending> {
    let of = plan.rounds * benchmarks.len() as u32;
    for round in 0..plan.rounds {
        for (at, (samples, benchmark)) in benchmarks.iter_mut().zip(&plan.benchmarks).enumerate() {
            let own_first = round % 2 == 0;
            let before = own_first.then(|| own_run(plan, benchmark, attach)).transpose()?;
            let claim = {
                let _pinned = Pinned::to(plan.setting.leader_cpu)?;
                (benchmark.play)().with_context(|| benchmark.command)
            };
            if let Some(signal) = signal::stop_requested() {
                return Ok(Ending::Interrupted(signal as i32));
            }
            let claim = claim?;
            let own = match before {
                Some(own) => own,
                None => own_run(plan, benchmark, attach)?,
            };
            match own.ending {
                Ending::Complete => samples.pairs.push(Pair { claim, own }),
                early => return Ok(early),
            }
            on_progress(Progress {
                workload: benchmark.name,
                done: round * plan.benchmarks.len() as u32 + at as u32 + 1,
                of,
            });
        }
    }
    for (samples, benchmark) in benchmarks.iter_mut().zip(&plan.benchmarks) {
        if let Some(probed) = &benchmark.probed {
            samples.switches = probe(plan, probed, attach).with_context(|| benchmark.command)?;
        }
        if let Some(signal) = signal::stop_requested() {
            return Ok(Ending::Interrupted(signal as i32));
        }
    }
    Ok(Ending::Complete)
}

/// Runs our own workload, for as long as a round takes.
fn own_run(plan: &CrossCheckPlan, benchmark: &ExternalBenchmark, attach: &mut dyn Attach) -> Result<RunSamples> {
    let (entries, left_out) = lay_out(&workload::meant_by(benchmark.own_workload), &[(Placement::Same, plan.setting)]);
    let own = Plan::of_costs(entries, left_out, plan.repetitions, plan.effort);
    engine::run(&own, attach, &mut |_| ())
}

/// Each hit of a probe costs 10 µs. Starting and ending the benchmark's program costs the same in both, and cancels.
const PROBED_FEW: u32 = 20_000;
const PROBED_MANY: u32 = 60_000;

/// Counts calls of the function by which the benchmark's runtime switches.
fn probe(plan: &CrossCheckPlan, probed: &Probed, attach: &mut dyn Attach) -> Result<ExternalSwitches> {
    let point = (probed.point)()?;
    let extra = Extra::Probe { program: &point.program, function: point.function };
    let mut attached = match attach.attach_extra(&extra, &[plan.setting.leader_cpu]) {
        Ok(attached) => attached,
        Err(Refused::NotNeeded) => return Ok(ExternalSwitches::NotCounted("counting was not asked for".to_string())),
        Err(Refused::Absent(absent)) => return Ok(ExternalSwitches::NotCounted(absent.reason)),
    };
    let mut hits = |edge| -> Result<u64> {
        let mut reading: [Option<Reading>; 1] = [None];
        attached.meter.read(Ring::Outer, edge, &mut reading)?;
        Ok(reading[0].context("the probe does not count")?.count)
    };
    let mut hits_of = |ops: u32| -> Result<f64> {
        let before = hits(Edge::Begin)?;
        {
            let _pinned = Pinned::to(plan.setting.leader_cpu)?;
            (probed.play)(ops)?;
        }
        Ok((hits(Edge::End)? - before) as f64)
    };
    let (few, many) = (hits_of(PROBED_FEW)?, hits_of(PROBED_MANY)?);
    Ok(ExternalSwitches::Probed((many - few) / f64::from(PROBED_MANY - PROBED_FEW)))
}

fn nothing_yet(benchmark: &ExternalBenchmark) -> ExternalSamples {
    ExternalSamples {
        tool: benchmark.name.to_string(),
        command: benchmark.command.to_string(),
        program: (benchmark.program)(),
        assumed_switches_per_op: benchmark.assumed_switches_per_op,
        own_workload: benchmark.own_workload.to_string(),
        own_figure: benchmark.own_figure,
        pairs: Vec::new(),
        switches: match benchmark.probed {
            Some(_) => ExternalSwitches::NotCounted("the comparison ended before that".to_string()),
            None => ExternalSwitches::Accounted,
        },
    }
}
