//! One workload's samples as one row of figures.

use crate::bench::figures::chosen::{Chosen, Judge, Prices, Yardstick, counted_samples, per_op};
use crate::bench::figures::counters::{self, Audit, CounterTotal};
use crate::bench::figures::latency::{self, LatencyFigures};
use crate::bench::sample::{Incarnation, Sample, WorkloadSamples};
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
    pub floor_ns_per_op: Option<Estimate>,
    pub net_ns_per_switch: Option<Estimate>,
    /// The same in CPU time of all participants: the cost of a switch, wherever they ran.
    pub net_cpu_ns_per_switch: Option<Estimate>,
    /// One per repetition, in order, `None` of one that says nothing; comparisons are made within a round.
    pub rounds: Vec<Option<Round>>,
    /// Repetitions that the costs are taken from.
    pub incarnations_priced: usize,
    pub counters: Vec<CounterTotal>,
    pub samples_taken: usize,
    pub samples_clean: usize,
    /// Samples with the CPU below full speed.
    pub samples_slowed: usize,
    /// Repetitions that were played again at the end for that.
    pub repeated: u32,
    /// True if a disturbed sample can be recognized at all.
    pub tells_disturbed: bool,
    /// True if the figures are of undisturbed samples only, false if they are of all for lack of undisturbed ones.
    pub clean_only: bool,
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
    pub cost_in_prices: bool,
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
    fn of(samples: &WorkloadSamples, chosen: Chosen, prices: &[Option<Prices>], by_kernel: Option<f64>) -> Switches {
        let used = || chosen.timed(&samples.incarnations);
        let of_sample = |sample: &Sample| match samples.switch_source {
            SwitchSource::Kernel => sample.parties.switches(),
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
        let per_repetition = prices.iter().flatten().filter_map(|prices| prices.switches_per_op(samples.switch_source));
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

/// Computes a workload's row; the yardstick is the whole run's.
pub fn summarize(samples: &WorkloadSamples, counting: &Counting, yardstick: Yardstick) -> Row {
    let judge = Judge::of(samples, counting, yardstick);
    let chosen = Chosen::of_incarnations(&samples.incarnations, judge);
    let used = || chosen.timed(&samples.incarnations);
    let timed = || samples.incarnations.iter().flat_map(|incarnation| &incarnation.samples);
    // Accounting is exact and free, in the very samples that time is taken from; of many participants there is none.
    let kernel_switches_per_op = per_op(used(), |sample| sample.parties.switches())
        .or_else(|| counters::kernel_switches(samples, counting, chosen));
    let prices: Vec<Option<Prices>> =
        samples.incarnations.iter().map(|incarnation| chosen.prices(incarnation)).collect();
    let switches = Switches::of(samples, chosen, &prices, kernel_switches_per_op);
    let rounds: Vec<Option<Round>> = prices.iter().map(|prices| prices.as_ref()?.round(samples, &switches)).collect();
    let resolution = used().next().map_or(0.0, |sample| yardstick.resolution(sample));
    let each_price = || prices.iter().flatten();
    let each_round = || rounds.iter().flatten();
    let samples_taken = timed().count();
    let samples_slowed = timed().filter(|sample| judge.is_slowed(sample)).count();
    // For lack of samples at full speed the figures are of a slow CPU: upper bounds.
    let is_slow = !chosen.clean_only && samples_slowed * 2 > samples_taken;
    let bounded = |price: Option<Estimate>| if is_slow { price.map(Estimate::at_most) } else { price };
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
        cpu_ns_per_op: bounded(Estimate::over(each_price().filter_map(|prices| prices.cpu_ns_per_op))),
        ns_per_op: bounded(
            Estimate::over(each_price().map(|prices| prices.ns_per_op)).map(|price| price.blurred(resolution)),
        ),
        mean_ns_per_op: mean_ns_per_op(timed()),
        switches,
        kernel_switches_per_op,
        voluntary_per_op: per_op(used(), |sample| sample.parties.voluntary),
        involuntary_per_op: per_op(used(), |sample| sample.parties.involuntary),
        ns_per_switch: bounded(
            Estimate::over(each_round().map(|round| round.ns_per_switch)).map(|price| price.blurred(resolution)),
        ),
        floor_ns_per_op: bounded(Estimate::over(each_price().filter_map(|prices| prices.floor))),
        net_ns_per_switch: bounded(Estimate::over(each_round().filter_map(|round| round.net_ns_per_switch))),
        net_cpu_ns_per_switch: bounded(Estimate::over(each_round().filter_map(|round| round.net_cpu_ns_per_switch))),
        incarnations_priced: prices.iter().flatten().count(),
        rounds,
        counters: counters::all_counters(samples, counting, chosen),
        samples_taken,
        samples_clean: timed().filter(|sample| judge.is_clean(sample)).count(),
        samples_slowed,
        repeated: samples.repeated,
        tells_disturbed: judge.can_tell(),
        clean_only: chosen.clean_only,
        samples_counted: samples.incarnations.iter().map(|incarnation| counted_samples(incarnation).len()).sum(),
        ops_per_sample: used().map(|sample| sample.ops).next().unwrap_or_default(),
        foreign_switches: counters::foreign_switches(samples, counting).reduce(|all, foreign| all + foreign),
        fewest_foreign_switches: counters::foreign_switches(samples, counting).min(),
        audit: counters::audit(samples, counting, chosen),
        counting_cost: counters::counting_cost(samples, chosen),
        cost_in_prices: counting.mode == CountingMode::Thread,
        steal_ns: samples.incarnations.iter().map(|incarnation| incarnation.surroundings.steal_ns).sum(),
        throttled: samples.incarnations.iter().map(|incarnation| incarnation.surroundings.throttled).sum(),
        sibling_busy: sibling_busy(&samples.incarnations),
        latency: latency::figures(&samples.incarnations, chosen),
    }
}

impl Prices {
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
        let (all, floor) = (self.means, self.floor_means);
        let net = |ns_per_op: f64, floor: f64| (ns_per_op - floor) / switches_per_op;
        let floor_cpu_ns = floor.and_then(|floor| floor.cpu_ns_per_op);
        (switches_per_op >= BY_CHANCE).then(|| Round {
            ns_per_op: all.ns_per_op,
            ns_per_switch: all.ns_per_op / switches_per_op,
            net_ns_per_switch: floor.map(|floor| net(all.ns_per_op, floor.ns_per_op)),
            net_cpu_ns_per_switch: all.cpu_ns_per_op.zip(floor_cpu_ns).map(|(cpu, floor)| net(cpu, floor)),
        })
    }
}

fn elsewhere(incarnations: &[Incarnation], chosen: Chosen) -> Option<Elsewhere> {
    let chosen = chosen.of_pass(incarnations);
    let prices = incarnations.iter().filter_map(|incarnation| Some(chosen.prices(incarnation)?.ns_per_op));
    let prices: Vec<f64> = prices.collect();
    let (lowest, highest) = range(prices.iter().copied())?;
    Some(Elsewhere {
        places: prices.len(),
        lowest_ns_per_op: lowest,
        median_ns_per_op: median(prices)?,
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

fn sibling_busy(incarnations: &[Incarnation]) -> Option<f64> {
    let busy: u64 =
        incarnations.iter().map(|incarnation| incarnation.surroundings.siblings_busy_ns).sum::<Option<u64>>()?;
    let elapsed: u64 = incarnations.iter().map(|incarnation| incarnation.surroundings.elapsed_ns).sum();
    (elapsed > 0).then(|| busy as f64 / elapsed as f64)
}
