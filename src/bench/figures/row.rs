//! One workload's samples as one row of figures.

use crate::bench::figures::chosen::{Chosen, Costs, Judge, ReferenceLoop, counted_samples, per_op};
use crate::bench::figures::counters::{self, Audit, CounterTotal};
use crate::bench::figures::latency::{self, LatencyFigures};
use crate::bench::sample::{Repetition, Sample, WorkloadSamples};
use crate::estimate::{Estimate, median};
use crate::host::placement::Placement;
use crate::perf::counting::{Counting, CountingMode, PROBE};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::shape::RingShape;

/// The figures of one workload. A figure without a source is `None`, never 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub workload: String,
    pub kind: Kind,
    pub op: String,
    pub remark: Option<String>,
    pub toolchain: Option<String>,
    pub placement: Placement,
    pub cpus: Vec<usize>,
    pub ring: Option<RingShape>,
    pub ns_per_op: Option<Estimate>,
    /// CPU time of all participants: the cost of an op, where `ns_per_op` is how long it takes.
    pub cpu_ns_per_op: Option<Estimate>,
    /// Over all samples, the disturbed and the timer tick's among them.
    pub mean_ns_per_op: Option<f64>,
    pub switches: Switches,
    /// The participants' kernel switches per op, whatever their own kind is.
    pub kernel_switches_per_op: Option<f64>,
    pub voluntary_per_op: Option<f64>,
    pub involuntary_per_op: Option<f64>,
    /// Time per op with the participants' memory elsewhere; `None` where that is not measured.
    pub elsewhere: Option<Elsewhere>,
    pub ns_per_switch: Option<Estimate>,
    pub no_switch_ns_per_op: Option<Estimate>,
    pub net_ns_per_switch: Option<Estimate>,
    /// The same in CPU time of all participants: the cost of a switch, wherever they ran.
    pub net_cpu_ns_per_switch: Option<Estimate>,
    /// One per repetition, in order, `None` of one that says nothing; comparisons are made within a round.
    pub rounds: Vec<Option<Round>>,
    /// Repetitions that the costs are taken from.
    pub repetitions_with_cost: usize,
    pub counters: Vec<CounterTotal>,
    pub samples_taken: usize,
    pub samples_undisturbed: usize,
    /// Samples with the CPU below full speed.
    pub samples_slowed: usize,
    /// Repetitions that were played again at the end for that.
    pub repeated: u32,
    /// True if a disturbed sample can be recognized at all.
    pub tells_disturbed: bool,
    /// True if the figures are of undisturbed samples only, false if they are of all for lack of undisturbed ones.
    pub undisturbed_only: bool,
    pub samples_counted: usize,
    pub ops_per_sample: u64,
    /// Switches on the pinned CPU that are not the participants', in the counted samples.
    pub foreign_switches: Option<i64>,
    /// In one sample: below 0, the CPU's counter missed switches that kernel accounting has.
    pub fewest_foreign_switches: Option<i64>,
    /// The kernel's two counts of the participants' switches, compared; `None` where there is only one.
    pub audit: Option<Audit>,
    /// Time while switches are counted ÷ time while they are not; `None` where that was not measured.
    pub counting_cost: Option<Estimate>,
    /// True if the costs include that, false if switches were counted in separate samples.
    pub is_counting_cost_included: bool,
    pub steal_ns: Option<u64>,
    pub throttled: Option<u64>,
    /// The share of the time that an SMT sibling was busy.
    pub sibling_busy: Option<f64>,
    /// Latencies of ops timed one by one; `None` where none was.
    pub latency: Option<LatencyFigures>,
}

/// Times per op with the participants' memory in various places. No interval: these are the places, not samples of one.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Elsewhere {
    pub places: usize,
    pub lowest_ns_per_op: f64,
    pub median_ns_per_op: f64,
    pub highest_ns_per_op: f64,
}

/// Switches of a workload's own kind per op.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Switches {
    pub counted_per_op: Option<f64>,
    /// Over repetitions; `None` where they were not counted in the samples that time is taken from.
    pub interval: Option<Estimate>,
    /// Lowest and highest count of a sample, where they were counted in those that time is taken from: an op with
    /// several paths shows in their distance.
    pub range: Option<(f64, f64)>,
    pub expected_per_op: Option<f64>,
    pub source: CountSource,
}

/// Fewer switches per op than this are chance: a neighbour's in a loop that makes none.
const BY_CHANCE: f64 = 0.01;

/// Source of a number of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountSource {
    Kernel,
    Polls,
    Resumes,
    Uprobe,
    /// Nobody counted: the expectation of the workload's author.
    Expected,
}

impl CountSource {
    /// Returns the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            CountSource::Kernel => "kernel",
            CountSource::Polls => "polls",
            CountSource::Resumes => "resumes",
            CountSource::Uprobe => "uprobe",
            CountSource::Expected => "expected",
        }
    }
}

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
    pub fn per_op(&self) -> Option<f64> {
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
    let judge = Judge::of(samples, counting, reference_loop);
    let chosen = Chosen::of_repetitions(&samples.repetitions, judge);
    let used = || chosen.timed(&samples.repetitions);
    let timed = || samples.repetitions.iter().flat_map(|repetition| &repetition.samples);
    // Accounting is exact and free, in the very samples that time is taken from; of many participants there is none.
    let kernel_switches_per_op = per_op(used(), |sample| sample.participants.switches())
        .or_else(|| counters::kernel_switches(samples, counting, chosen));
    let costs: Vec<Option<Costs>> = samples.repetitions.iter().map(|repetition| chosen.costs(repetition)).collect();
    let switches = Switches::of(samples, chosen, &costs, kernel_switches_per_op);
    let rounds: Vec<Option<Round>> = costs.iter().map(|costs| costs.as_ref()?.round(samples, &switches)).collect();
    let resolution = used().next().map_or(0.0, |sample| reference_loop.resolution(sample));
    let each_cost = || costs.iter().flatten();
    let each_round = || rounds.iter().flatten();
    let samples_taken = timed().count();
    let samples_slowed = timed().filter(|sample| judge.is_slowed(sample)).count();
    // For lack of samples at full speed the figures are of a slow CPU: upper bounds.
    let is_slow = !chosen.undisturbed_only && samples_slowed * 2 > samples_taken;
    let bounded = |cost: Option<Estimate>| if is_slow { cost.map(Estimate::at_most) } else { cost };
    Row {
        workload: samples.workload.clone(),
        kind: samples.kind,
        op: samples.op.clone(),
        remark: samples.remark.clone(),
        toolchain: samples.toolchain.clone(),
        placement: samples.placement,
        cpus: samples.cpus.clone(),
        ring: samples.ring,
        elsewhere: elsewhere(&samples.elsewhere, chosen),
        cpu_ns_per_op: bounded(Estimate::over(each_cost().filter_map(|costs| costs.cpu_ns_per_op))),
        ns_per_op: bounded(
            Estimate::over(each_cost().map(|costs| costs.ns_per_op)).map(|cost| cost.blurred(resolution)),
        ),
        mean_ns_per_op: mean_ns_per_op(timed()),
        switches,
        kernel_switches_per_op,
        voluntary_per_op: per_op(used(), |sample| sample.participants.voluntary),
        involuntary_per_op: per_op(used(), |sample| sample.participants.involuntary),
        ns_per_switch: bounded(
            Estimate::over(each_round().map(|round| round.ns_per_switch)).map(|cost| cost.blurred(resolution)),
        ),
        no_switch_ns_per_op: bounded(Estimate::over(each_cost().filter_map(|costs| costs.no_switch))),
        net_ns_per_switch: bounded(Estimate::over(each_round().filter_map(|round| round.net_ns_per_switch))),
        net_cpu_ns_per_switch: bounded(Estimate::over(each_round().filter_map(|round| round.net_cpu_ns_per_switch))),
        repetitions_with_cost: costs.iter().flatten().count(),
        rounds,
        counters: counters::all_counters(samples, counting, chosen),
        samples_taken,
        samples_undisturbed: timed().filter(|sample| judge.is_undisturbed(sample)).count(),
        samples_slowed,
        repeated: samples.repeated,
        tells_disturbed: judge.can_tell(),
        undisturbed_only: chosen.undisturbed_only,
        samples_counted: samples.repetitions.iter().map(|repetition| counted_samples(repetition).len()).sum(),
        ops_per_sample: used().map(|sample| sample.ops).next().unwrap_or_default(),
        foreign_switches: counters::foreign_switches(samples, counting).reduce(|all, foreign| all + foreign),
        fewest_foreign_switches: counters::foreign_switches(samples, counting).min(),
        audit: counters::audit(samples, counting, chosen),
        counting_cost: counters::counting_cost(samples, chosen),
        is_counting_cost_included: counting.mode == CountingMode::Thread,
        steal_ns: samples.repetitions.iter().map(|repetition| repetition.surroundings.steal_ns).sum(),
        throttled: samples.repetitions.iter().map(|repetition| repetition.surroundings.throttled).sum(),
        sibling_busy: sibling_busy(&samples.repetitions),
        latency: latency::figures(&samples.repetitions, chosen),
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

fn mean_ns_per_op<'s>(samples: impl Iterator<Item = &'s Sample>) -> Option<f64> {
    per_op(samples, |sample| Some(sample.elapsed_ns))
}

fn sibling_busy(repetitions: &[Repetition]) -> Option<f64> {
    let busy: u64 =
        repetitions.iter().map(|repetition| repetition.surroundings.siblings_busy_ns).sum::<Option<u64>>()?;
    let elapsed: u64 = repetitions.iter().map(|repetition| repetition.surroundings.elapsed_ns).sum();
    (elapsed > 0).then(|| busy as f64 / elapsed as f64)
}
