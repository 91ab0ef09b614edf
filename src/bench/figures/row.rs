//! One workload's samples as one row of figures.

use crate::bench::figures::chosen::{Chosen, Costs, Judge, ReferenceLoop, counted_samples, per_op};
use crate::bench::figures::result::{CountSource, Elsewhere, KernelSwitches, RunResult, SampleCounts, SwitchesRange};
use crate::bench::figures::{counters, latency};
use crate::bench::sample::{Repetition, Sample, WorkloadSamples};
use crate::estimate::{Confidence, Estimate, median};
use crate::perf::counting::{Counting, CountingMode, PROBE};
use crate::workload::kind::{Kind, SwitchSource};

/// A workload's row, and what its warnings and its ratios to other rows are judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub result: RunResult,
    /// One per repetition, in order, `None` of one that says nothing; comparisons are made within a round.
    pub rounds: Vec<Option<Round>>,
    /// Repetitions that the costs are taken from.
    pub repetitions_with_cost: usize,
    /// Repetitions that were played again at the end for a CPU below full speed.
    pub repeated: u32,
    /// True if a disturbed sample can be recognized at all.
    pub tells_disturbed: bool,
    /// True if the figures are of undisturbed samples only, false if they are of all for lack of undisturbed ones.
    pub undisturbed_only: bool,
    /// In one sample: below 0, the CPU's counter missed switches that kernel accounting has.
    pub fewest_foreign_switches: Option<i64>,
    /// True if the costs include that of counting, false if switches were counted in separate samples.
    pub is_counting_cost_included: bool,
    pub steal_ns: Option<u64>,
    pub throttled: Option<u64>,
    /// The share of the time that an SMT sibling was busy.
    pub sibling_busy: Option<f64>,
}

/// Switches of a workload's own kind per op.
struct Switches {
    counted_per_op: Option<f64>,
    interval: Option<Estimate>,
    range: Option<(f64, f64)>,
    expected_per_op: Option<f64>,
    source: CountSource,
}

/// Fewer switches per op than this are chance: a neighbour's in a loop that makes none.
const BY_CHANCE: f64 = 0.01;

impl Switches {
    fn of(samples: &WorkloadSamples, chosen: Chosen, costs: &[Option<Costs>], by_kernel: Option<f64>) -> Switches {
        let used = || chosen.timed(&samples.repetitions);
        let of_sample = |sample: &Sample| match samples.switch_source {
            SwitchSource::Kernel => sample.participants.switches(),
            SwitchSource::Polls | SwitchSource::Resumes => sample.own_switches,
            SwitchSource::Uprobe => None,
        };
        let counted_per_op = match samples.switch_source {
            SwitchSource::Kernel => by_kernel,
            SwitchSource::Polls | SwitchSource::Resumes => per_op(used(), |sample| sample.own_switches),
            SwitchSource::Uprobe => counters::counted_in_pass(samples, PROBE),
        };
        let source = match (counted_per_op, samples.switch_source) {
            (None, _) => CountSource::Expected,
            (_, SwitchSource::Kernel) => CountSource::Kernel,
            (_, SwitchSource::Polls) => CountSource::Polls,
            (_, SwitchSource::Resumes) => CountSource::Resumes,
            (_, SwitchSource::Uprobe) => CountSource::Uprobe,
        };
        let per_repetition = costs.iter().flatten().filter_map(|costs| costs.switches_per_op(samples.switch_source));
        Switches {
            counted_per_op,
            interval: Estimate::over(per_repetition),
            range: range(used().filter_map(|sample| Some(of_sample(sample)? as f64 / sample.ops as f64))),
            expected_per_op: samples.expected_switches_per_op,
            source,
        }
    }

    /// Returns the divisor: the count, else the expectation; `None` where switches are chance only.
    fn per_op(&self) -> Option<f64> {
        self.counted_per_op.or(self.expected_per_op).filter(|&per_op| per_op >= BY_CHANCE)
    }
}

/// Costs of one repetition, from the sums over its samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    pub ns_per_op: f64,
    pub ns_per_switch: f64,
    pub net_ns_per_switch: Option<f64>,
    pub net_cpu_ns_per_switch: Option<f64>,
}

/// Computes a workload's row; the reference loop is the whole run's.
pub fn summarize(samples: &WorkloadSamples, counting: &Counting, reference_loop: ReferenceLoop) -> Row {
    let basis = Basis::of(samples, counting, reference_loop);
    let surroundings = || samples.repetitions.iter().map(|repetition| &repetition.surroundings);
    Row {
        result: basis.result(reference_loop),
        repetitions_with_cost: basis.costs.iter().flatten().count(),
        repeated: samples.repeated,
        tells_disturbed: basis.judge.can_tell(),
        undisturbed_only: basis.chosen.undisturbed_only,
        fewest_foreign_switches: counters::foreign_switches(samples, counting).min(),
        is_counting_cost_included: counting.mode == CountingMode::Thread,
        steal_ns: surroundings().map(|surroundings| surroundings.steal_ns).sum(),
        throttled: surroundings().map(|surroundings| surroundings.throttled).sum(),
        sibling_busy: sibling_busy(&samples.repetitions),
        rounds: basis.rounds,
    }
}

/// A workload's samples, those that figures are taken from, and the costs of each repetition.
struct Basis<'s> {
    samples: &'s WorkloadSamples,
    counting: &'s Counting,
    judge: Judge,
    chosen: Chosen,
    sample_counts: SampleCounts,
    costs: Vec<Option<Costs>>,
    kernel_switches_per_op: Option<f64>,
    switches: Switches,
    rounds: Vec<Option<Round>>,
}

impl<'s> Basis<'s> {
    fn of(samples: &'s WorkloadSamples, counting: &'s Counting, reference_loop: ReferenceLoop) -> Basis<'s> {
        let judge = Judge::of(samples, counting, reference_loop);
        let chosen = Chosen::of_repetitions(&samples.repetitions, judge);
        // Accounting is exact and free, in the very samples that time is taken from; of many participants there is none.
        let accounted = per_op(chosen.timed(&samples.repetitions), |sample| sample.participants.switches());
        let kernel_switches_per_op = accounted.or_else(|| counters::kernel_switches(samples, counting, chosen));
        let costs: Vec<Option<Costs>> = samples.repetitions.iter().map(|repetition| chosen.costs(repetition)).collect();
        let switches = Switches::of(samples, chosen, &costs, kernel_switches_per_op);
        let rounds = costs.iter().map(|costs| costs.as_ref()?.round(samples, &switches)).collect();
        let sample_counts = sample_counts(samples, counting, judge, chosen);
        Basis { samples, counting, judge, chosen, sample_counts, costs, kernel_switches_per_op, switches, rounds }
    }

    /// Returns a sum over the chosen samples, per op.
    fn per_op(&self, count: fn(&Sample) -> Option<u64>) -> Option<f64> {
        per_op(self.chosen.timed(&self.samples.repetitions), count)
    }

    /// Returns a cost over repetitions; if most samples were of a slow CPU, for lack of others, it is an upper bound.
    fn cost(&self, of: fn(&Costs) -> Option<f64>) -> Option<Estimate> {
        self.bounded(Estimate::over(self.costs.iter().flatten().filter_map(of)))
    }

    fn cost_of_switch(&self, of: fn(&Round) -> Option<f64>) -> Option<Estimate> {
        self.bounded(Estimate::over(self.rounds.iter().flatten().filter_map(of)))
    }

    fn bounded(&self, cost: Option<Estimate>) -> Option<Estimate> {
        let SampleCounts { taken, slowed, .. } = self.sample_counts;
        let is_slow = !self.chosen.undisturbed_only && slowed * 2 > taken;
        if is_slow { cost.map(Estimate::at_most) } else { cost }
    }

    fn result(&self, reference_loop: ReferenceLoop) -> RunResult {
        let Basis { samples, counting, chosen, costs, kernel_switches_per_op, switches, rounds, .. } = self;
        let (counting, chosen, kernel_switches_per_op) = (*counting, *chosen, *kernel_switches_per_op);
        let first = chosen.timed(&samples.repetitions).next();
        let resolution = first.map_or(0.0, |sample| reference_loop.resolution(sample));
        let voluntary = self.per_op(|sample| sample.participants.voluntary);
        let involuntary = self.per_op(|sample| sample.participants.involuntary);
        let kernel_switches = voluntary.zip(involuntary);
        let with_cost = costs.iter().flatten().count();
        RunResult {
            workload: samples.workload.clone(),
            kind: samples.kind,
            op: samples.op.clone(),
            remark: samples.remark.clone(),
            toolchain: samples.toolchain.clone(),
            placement: samples.placement,
            cpus: samples.cpus.clone(),
            ring: samples.ring,
            ns_per_op: self.cost(|costs| Some(costs.ns_per_op)).map(|cost| cost.blurred(resolution)),
            cpu_ns_per_op: self.cost(|costs| costs.cpu_ns_per_op),
            mean_ns_per_op: per_op(timed(samples), |sample| Some(sample.elapsed_ns)),
            switches_per_op: switches.counted_per_op,
            switches_per_op_interval: switches.interval,
            switches_per_op_range: switches.range.map(|(lowest, highest)| SwitchesRange { lowest, highest }),
            expected_switches_per_op: switches.expected_per_op,
            switches_source: switches.source,
            kernel_switches_per_op,
            kernel_switches: kernel_switches.map(|(voluntary, involuntary)| KernelSwitches { voluntary, involuntary }),
            elsewhere: elsewhere(&samples.elsewhere, chosen),
            ns_per_switch: self.cost_of_switch(|round| Some(round.ns_per_switch)).map(|cost| cost.blurred(resolution)),
            no_switch_ns_per_op: self.cost(|costs| costs.no_switch),
            net_ns_per_switch: self.cost_of_switch(|round| round.net_ns_per_switch),
            net_cpu_ns_per_switch: self.cost_of_switch(|round| round.net_cpu_ns_per_switch),
            repetitions: rounds.len() as u32,
            interval_confidence: Confidence::of(with_cost).map(|confidence| confidence.level),
            counters: counters::all_counters(samples, counting, chosen),
            samples: self.sample_counts,
            audit: counters::audit(samples, counting, chosen),
            counting_cost: counters::counting_cost(samples, chosen),
            latency: latency::figures(&samples.repetitions, chosen),
            reproducibility: None,
            breakdown: None,
            timelines: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

fn timed(samples: &WorkloadSamples) -> impl Iterator<Item = &Sample> {
    samples.repetitions.iter().flat_map(|repetition| &repetition.samples)
}

fn sample_counts(samples: &WorkloadSamples, counting: &Counting, judge: Judge, chosen: Chosen) -> SampleCounts {
    SampleCounts {
        taken: timed(samples).count(),
        undisturbed: timed(samples).filter(|sample| judge.is_undisturbed(sample)).count(),
        slowed: timed(samples).filter(|sample| judge.is_slowed(sample)).count(),
        counted: samples.repetitions.iter().map(|repetition| counted_samples(repetition).len()).sum(),
        ops_per_sample: chosen.timed(&samples.repetitions).map(|sample| sample.ops).next().unwrap_or_default(),
        foreign_switches: counters::foreign_switches(samples, counting).reduce(|all, one| all + one),
    }
}

impl Costs {
    /// Returns the switches per op that were counted in the samples of these costs.
    fn switches_per_op(&self, source: SwitchSource) -> Option<f64> {
        match source {
            SwitchSource::Kernel => self.means.kernel_switches_per_op,
            SwitchSource::Polls | SwitchSource::Resumes => self.means.own_switches_per_op,
            SwitchSource::Uprobe => None,
        }
    }

    /// Returns `None` for a repetition that made so few switches that they were chance, and for a reference: nothing
    /// switches there, counts are a neighbour's, and on a busy machine maybe more than chance.
    fn round(&self, samples: &WorkloadSamples, switches: &Switches) -> Option<Round> {
        let of_all = switches.per_op().filter(|_| samples.kind != Kind::Reference)?;
        let switches_per_op = self.switches_per_op(samples.switch_source).unwrap_or(of_all);
        let (all, no_switch) = (self.means, self.no_switch_means);
        let net = |ns_per_op: f64, no_switch: f64| (ns_per_op - no_switch) / switches_per_op;
        let no_switch_cpu_ns = no_switch.and_then(|no_switch| no_switch.cpu_ns_per_op);
        (switches_per_op >= BY_CHANCE).then(|| Round {
            ns_per_op: all.ns_per_op,
            ns_per_switch: all.ns_per_op / switches_per_op,
            net_ns_per_switch: no_switch.map(|no_switch| net(all.ns_per_op, no_switch.ns_per_op)),
            net_cpu_ns_per_switch: all.cpu_ns_per_op.zip(no_switch_cpu_ns).map(|(cpu, no_switch)| net(cpu, no_switch)),
        })
    }
}

fn elsewhere(repetitions: &[Repetition], chosen: Chosen) -> Option<Elsewhere> {
    let chosen = chosen.of_pass(repetitions);
    let costs = repetitions.iter().filter_map(|repetition| Some(chosen.costs(repetition)?.ns_per_op));
    let costs: Vec<f64> = costs.collect();
    let (lowest, highest) = range(costs.iter().copied())?;
    Some(Elsewhere {
        places: costs.len(),
        lowest_ns_per_op: lowest,
        median_ns_per_op: median(costs)?,
        highest_ns_per_op: highest,
    })
}

/// Returns the lowest and the highest; `None` of none.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.map(|value| (value, value)).reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

fn sibling_busy(repetitions: &[Repetition]) -> Option<f64> {
    let busy: u64 =
        repetitions.iter().map(|repetition| repetition.surroundings.siblings_busy_ns).sum::<Option<u64>>()?;
    let elapsed: u64 = repetitions.iter().map(|repetition| repetition.surroundings.elapsed_ns).sum();
    (elapsed > 0).then(|| busy as f64 / elapsed as f64)
}
