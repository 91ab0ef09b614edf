//! `ctxprof.samples/2`: a run's raw samples, from which the same report can be computed again.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::document::settings::RunSettings;
use crate::bench::sample::latency::Latency;
use crate::bench::sample::{Repetition, RunSamples, Sample};
use crate::document::{Document, Tool};
use crate::estimate::Reproducibility;
use crate::host::facts::Facts;

pub const SCHEMA: &str = "ctxprof.samples/2";

pub type SamplesDocument = Document<RunSettings, SamplesBody>;

impl SamplesDocument {
    /// Returns the document of a run's samples that this program took.
    pub fn of(started_at: String, host: Facts, settings: RunSettings, seen: RunSamples) -> SamplesDocument {
        let schema = SCHEMA.to_string();
        SamplesDocument {
            schema,
            tool: Tool::this(),
            started_at,
            host,
            settings,
            body: SamplesBody { seen, reproducibility: Vec::new() },
            warnings: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplesBody {
    pub seen: RunSamples,
    /// Reproducibility of each workload's row by earlier runs, as known when these were taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reproducibility: Vec<Option<Reproducibility>>,
}

/// Checks that figures can be computed from samples that a file brought: the engine's own always pass.
///
/// # Errors
/// A sample has no ops, or not as many counts as there are counters; or the numbers are so large that a sum of them would
/// not be one.
pub(super) fn check(seen: &RunSamples) -> Result<()> {
    let mut sum: u64 = 0;
    for workload in &seen.workloads {
        let name = &workload.workload;
        let main = workload.repetitions.iter().map(|each| (each, Some(seen.counting.counters.len())));
        let uncounted = workload.uncounted.iter().map(|each| (each, None));
        let elsewhere = workload.elsewhere.iter().map(|each| (each, None));
        let passes = workload.passes.iter();
        let passes = passes.flat_map(|pass| pass.repetitions.iter().map(|each| (each, Some(pass.counters.len()))));
        for (repetition, counters) in main.chain(uncounted).chain(elsewhere).chain(passes) {
            let latency = repetition.latency.as_ref();
            let each = latency.iter().flat_map(|latency| &latency.samples);
            for sample in repetition.samples.iter().chain(&repetition.counted).chain(each) {
                let (counts, counters) = (sample.counts.len(), counters.unwrap_or(sample.counts.len()));
                ensure!(counts == counters, "{name} has a sample with {counts} counts of {counters} counters");
            }
            ensure!(all_samples(repetition).all(|sample| sample.ops > 0), "{name} has a sample of no ops");
            // Half of what it could hold: differences are taken with a sign.
            let add = |sum: u64, number| sum.checked_add(number).filter(|&sum| i64::try_from(sum).is_ok());
            let Some(added) = numbers(repetition).try_fold(sum, add) else {
                bail!("the numbers of {name} are too large to be added up")
            };
            sum = added;
            if let Some(latency) = latency {
                check_latency(latency).with_context(|| format!("{name}, timed op by op"))?;
            }
        }
    }
    Ok(())
}

/// Checks latencies whose sums do not overflow.
fn check_latency(Latency { samples, durations, lap_cost_ns, .. }: &Latency) -> Result<()> {
    let played: u64 = samples.iter().map(|sample| sample.ops).sum();
    let timed: u64 = durations.iter().map(|(_, ops)| ops).sum();
    ensure!(played == timed, "{played} ops were played and {timed} timed");
    ensure!((0.0..=1e9).contains(lap_cost_ns), "the clock cannot take {lap_cost_ns} ns to read");
    Ok(())
}

fn all_samples(repetition: &Repetition) -> impl Iterator<Item = &Sample> {
    let Repetition { samples, counted, no_switch, latency, .. } = repetition;
    let each = latency.iter().flat_map(|latency| &latency.samples);
    [samples, counted, no_switch].into_iter().flatten().chain(each)
}

/// Returns every number of a repetition that is ever added up.
fn numbers(repetition: &Repetition) -> impl Iterator<Item = u64> {
    let Repetition { times, surroundings, latency, samples: _, counted: _, no_switch: _ } = repetition;
    let of_sample = |sample: &Sample| {
        let Sample { ops, elapsed_ns, own_switches, participants, reference_loop_ns, counts, started_at_ns: _ } =
            sample;
        let participants =
            [Some(participants.wall_ns), participants.voluntary, participants.involuntary, participants.cpu_ns];
        let own = [Some(*ops), Some(*elapsed_ns), *own_switches, Some(*reference_loop_ns)];
        // Twice: a switch of a participant is one away from it and one back, across CPUs.
        let participants = participants.into_iter().chain(participants);
        counts.clone().into_iter().chain(own).chain(participants).flatten()
    };
    let around = [
        Some(surroundings.elapsed_ns),
        surroundings.steal_ns,
        surroundings.interrupts,
        surroundings.throttled,
        surroundings.siblings_busy_ns,
    ];
    let times = times.iter().flat_map(|times| [times.enabled_ns, times.running_ns]);
    let of_latency = |Latency { durations, timer, samples: _, lap_cost_ns: _ }: &Latency| {
        let ops = durations.iter().map(|(_, ops)| *ops);
        let sums = durations.iter().map(|(duration_ns, ops)| duration_ns.saturating_mul(*ops));
        let timer = timer.iter().flat_map(|timer| [timer.count, timer.over_ns]);
        ops.chain(sums).chain(timer).collect::<Vec<_>>()
    };
    let latency = latency.iter().flat_map(of_latency);
    all_samples(repetition).flat_map(of_sample).chain(around.into_iter().flatten()).chain(times).chain(latency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::{PassSamples, WorkloadSamples};
    use crate::document::Ending;
    use crate::host::surroundings::Surroundings;
    use crate::perf::accounting::ParticipantUsage;
    use crate::perf::counting::{CounterInfo, CounterTimes, Counting, CountingMode};

    fn sample(counts: &[Option<u64>]) -> Sample {
        let participants =
            ParticipantUsage { wall_ns: 250_000, voluntary: Some(60), involuntary: Some(40), cpu_ns: None };
        Sample {
            started_at_ns: u64::MAX,
            ops: 50,
            elapsed_ns: 250_000,
            own_switches: None,
            participants,
            reference_loop_ns: 1500,
            counts: counts.to_vec(),
        }
    }

    fn repetition(samples: Vec<Sample>, counted: Vec<Sample>) -> Repetition {
        Repetition { samples, counted, no_switch: vec![sample(&[])], ..Repetition::default() }
    }

    /// Samples of a run with one counter, a pass without counters and a pass with two.
    fn seen() -> RunSamples {
        let counter = |name: &str| CounterInfo { name: name.to_string(), scope: CountingMode::Cpu };
        let pass = PassSamples {
            counters: vec![counter("one"), counter("other")],
            repetitions: vec![repetition(vec![sample(&[Some(1), None])], vec![])],
        };
        let workload = WorkloadSamples {
            uncounted: vec![repetition(vec![sample(&[])], vec![])],
            passes: vec![pass],
            ..WorkloadSamples::made_up(vec![repetition(vec![sample(&[None])], vec![sample(&[Some(100)])])])
        };
        let mut counting = Counting::without_counters(CountingMode::Cpu);
        counting.counters = vec![counter("context-switches")];
        RunSamples {
            counting,
            workloads: vec![workload],
            left_out: vec![],
            ending: Ending::Complete,
            clock_read_ns: None,
            reference_ns: None,
            waited_ns: None,
            elapsed_ns: None,
            first_op_at_ns: None,
        }
    }

    fn check_refused(spoil: impl Fn(&mut WorkloadSamples), words: &str) {
        let mut seen = seen();
        spoil(&mut seen.workloads[0]);
        assert_eq!(check(&seen).unwrap_err().to_string(), words);
    }

    #[test]
    fn samples_that_fit_their_counters_are_fit_for_figures() {
        check(&seen()).unwrap();
    }

    #[test]
    fn samples_that_would_bring_the_summary_down_are_refused() {
        let main = "thread-pipe has a sample with 0 counts of 1 counters";
        check_refused(|workload| workload.repetitions[0].samples[0].counts.clear(), main);
        check_refused(|workload| workload.repetitions[0].counted[0].counts.clear(), main);
        let of_pass = "thread-pipe has a sample with 3 counts of 2 counters";
        check_refused(|workload| workload.passes[0].repetitions[0].samples[0].counts.push(None), of_pass);
        let no_ops = "thread-pipe has a sample of no ops";
        check_refused(|workload| workload.uncounted[0].samples[0].ops = 0, no_ops);
        check_refused(|workload| workload.repetitions[0].no_switch[0].ops = 0, no_ops);
        let large = "the numbers of thread-pipe are too large to be added up";
        check_refused(|workload| workload.repetitions[0].samples[0].counts[0] = Some(1 << 63), large);
        check_refused(|workload| workload.repetitions[0].samples[0].participants.voluntary = Some(1 << 62), large);
        let times = CounterTimes { enabled_ns: 1 << 62, running_ns: 1 << 62 };
        check_refused(|workload| workload.repetitions[0].times.push(times), large);
        let latency = |sampled: u64, durations: &[(u64, u64)], lap_cost_ns| {
            let samples = vec![Sample { ops: sampled, ..sample(&[None]) }];
            Some(Latency { samples, durations: durations.to_vec(), lap_cost_ns, timer: None })
        };
        let of_latency = |latency: Option<Latency>, words: &str| {
            check_refused(|workload| workload.repetitions[0].latency = latency.clone(), words);
        };
        let mut sound = seen();
        sound.workloads[0].repetitions[0].latency = latency(50, &[(5000, 49), (9000, 1)], 25.5);
        check(&sound).unwrap();
        of_latency(latency(0, &[], 25.5), no_ops);
        of_latency(latency(50, &[(u64::MAX, 50)], 25.5), large);
        of_latency(latency(50, &[(1 << 61, 4), (5000, 46)], 25.5), large);
        of_latency(latency(50, &[(0, u64::MAX)], 25.5), large);
        of_latency(latency(50, &[(5000, 49)], 25.5), "thread-pipe, timed op by op");
        of_latency(latency(50, &[(5000, 50)], -1.0), "thread-pipe, timed op by op");
        of_latency(latency(50, &[(5000, 50)], 1e300), "thread-pipe, timed op by op");
        let surroundings = Surroundings { elapsed_ns: u64::MAX, ..Surroundings::default() };
        check_refused(|workload| workload.uncounted[0].surroundings = surroundings.clone(), large);
    }
}
