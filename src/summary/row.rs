//! One workload's samples as one row of figures.

use crate::sample::{CounterInfo, Counting, CountingMode, Incarnation, Kind, Sample, SwitchSource, WorkloadSamples};
use crate::summary::estimate::{Estimate, median};

/// The figures of one workload. A figure without a source is `None`, never 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub workload: String,
    pub kind: Kind,
    pub ns_per_op: Option<Estimate>,
    /// Over all samples, the disturbed and the timer tick's among them.
    pub mean_ns_per_op: Option<f64>,
    pub switches: Switches,
    /// The parties' kernel switches per op, whatever their own kind is.
    pub kernel_switches_per_op: Option<f64>,
    pub voluntary_per_op: Option<f64>,
    pub involuntary_per_op: Option<f64>,
    pub ns_per_switch: Option<Estimate>,
    pub floor_ns_per_op: Option<Estimate>,
    pub net_ns_per_switch: Option<Estimate>,
    /// One per incarnation, in order, `None` of one that says nothing; what is compared is compared within a round.
    pub rounds: Vec<Option<Round>>,
    pub counters: Vec<CounterTotal>,
    pub samples_taken: usize,
    pub samples_clean: usize,
    /// Whether the figures are of the clean samples only, or of all for want of clean ones.
    pub clean_only: bool,
    pub samples_counted: usize,
    pub ops_per_sample: u64,
    /// Switches on the pinned CPU that are not the parties', in the counted samples.
    pub foreign_switches: Option<i64>,
    /// How much slower the parties are while their switches are counted, as a factor; `None` where that was not measured.
    pub counting_cost: Option<Estimate>,
    /// Whether that cost is in the prices, or was paid in samples of its own.
    pub cost_in_prices: bool,
    pub steal_ns: Option<u64>,
    pub throttled: Option<u64>,
    /// The share of the time that an SMT sibling was busy.
    pub sibling_busy: Option<f64>,
}

/// Switches of a workload's own kind per op.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Switches {
    pub counted_per_op: Option<f64>,
    pub expected_per_op: Option<f64>,
    pub source: CountSource,
}

/// Where a number of switches comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountSource {
    Kernel,
    Polls,
    /// Nobody counted: what the workload's author expects.
    Expected,
}

impl Switches {
    /// What to divide by: the count, else the expectation.
    pub fn per_op(&self) -> Option<f64> {
        self.counted_per_op.or(self.expected_per_op).filter(|&per_op| per_op > 0.0)
    }
}

/// The prices of one incarnation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    pub ns_per_switch: f64,
    pub net_ns_per_switch: Option<f64>,
}

/// What one counter counted.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterTotal {
    pub counter: CounterInfo,
    pub per_op: f64,
    /// In all samples that were counted, as the kernel scaled it.
    pub total: f64,
    /// The share of the time in which it really counted: below 1 it shared its hardware, and the figures are scaled.
    pub running_ratio: f64,
}

/// A sample is disturbed when its wall time exceeds the parties' CPU time by this factor.
///
/// A foreign thread that runs for 5 µs does that to the usual sample of 250 µs; the undisturbed lie within 50 ns.
const DISTURBED: f64 = 1.02;
/// Fewer clean samples than this say nothing about an incarnation.
const FEWEST_CLEAN: usize = 3;

/// Works out a workload's row.
pub fn summarize(samples: &WorkloadSamples, counting: &Counting) -> Row {
    let chosen = Chosen::of_incarnations(&samples.incarnations);
    let used = || samples.incarnations.iter().flat_map(|incarnation| chosen.of(&incarnation.samples));
    let counted = || samples.incarnations.iter().flat_map(|incarnation| chosen.of(counted_samples(incarnation)));

    let voluntary_per_op = per_op(used(), |sample| sample.parties.voluntary);
    let involuntary_per_op = per_op(used(), |sample| sample.parties.involuntary);
    let kernel_switches_per_op =
        kernel_switches(counting, chosen, counted()).or_else(|| Some(voluntary_per_op? + involuntary_per_op?));
    let counted_per_op = match samples.switch_source {
        SwitchSource::Kernel => kernel_switches_per_op,
        SwitchSource::Polls => per_op(used(), |sample| sample.own_switches),
    };
    let source = match (counted_per_op, samples.switch_source) {
        (None, _) => CountSource::Expected,
        (_, SwitchSource::Kernel) => CountSource::Kernel,
        (_, SwitchSource::Polls) => CountSource::Polls,
    };
    let switches = Switches { counted_per_op, expected_per_op: samples.expected_switches_per_op, source };
    let prices: Vec<Option<Prices>> =
        samples.incarnations.iter().map(|incarnation| chosen.prices(incarnation)).collect();
    let rounds: Vec<Option<Round>> = prices.iter().map(|prices| prices.as_ref()?.per_switch(&switches)).collect();
    let each_price = || prices.iter().flatten();
    let each_round = || rounds.iter().flatten();
    Row {
        workload: samples.workload.clone(),
        kind: samples.kind,
        ns_per_op: Estimate::over(each_price().map(|prices| prices.ns_per_op)),
        mean_ns_per_op: mean_ns_per_op(samples.incarnations.iter().flat_map(|incarnation| &incarnation.samples)),
        switches,
        kernel_switches_per_op,
        voluntary_per_op,
        involuntary_per_op,
        ns_per_switch: Estimate::over(each_round().map(|round| round.ns_per_switch)),
        floor_ns_per_op: Estimate::over(each_price().filter_map(|prices| prices.floor)),
        net_ns_per_switch: Estimate::over(each_round().filter_map(|round| round.net_ns_per_switch)),
        rounds,
        counters: all_counters(samples, counting, chosen),
        samples_taken: samples.incarnations.iter().map(|incarnation| incarnation.samples.len()).sum(),
        samples_clean: samples.incarnations.iter().map(|incarnation| clean(&incarnation.samples).count()).sum(),
        clean_only: chosen.clean_only,
        samples_counted: samples.incarnations.iter().map(|incarnation| counted_samples(incarnation).len()).sum(),
        ops_per_sample: used().map(|sample| sample.ops).next().unwrap_or_default(),
        foreign_switches: foreign_switches(samples, counting),
        counting_cost: counting_cost(samples),
        cost_in_prices: counting.mode == CountingMode::Thread,
        steal_ns: samples.incarnations.iter().map(|incarnation| incarnation.surroundings.steal_ns).sum(),
        throttled: samples.incarnations.iter().map(|incarnation| incarnation.surroundings.throttled).sum(),
        sibling_busy: sibling_busy(&samples.incarnations),
    }
}

/// Which samples the figures are of.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    clean_only: bool,
}

impl Chosen {
    /// The clean ones, unless fewer than half of the incarnations have enough of them: what is left would be luck.
    fn of_incarnations(incarnations: &[Incarnation]) -> Chosen {
        let usable =
            incarnations.iter().filter(|incarnation| clean(&incarnation.samples).count() >= FEWEST_CLEAN).count();
        Chosen { clean_only: usable > 0 && usable * 2 >= incarnations.len() }
    }

    fn of(self, samples: &[Sample]) -> impl Iterator<Item = &Sample> {
        samples.iter().filter(move |sample| !self.clean_only || is_clean(sample))
    }

    /// `None` of an incarnation with too few samples to say anything.
    fn prices(self, incarnation: &Incarnation) -> Option<Prices> {
        let of = |samples| -> Vec<f64> { self.of(samples).map(ns_per_op).collect() };
        let values = of(&incarnation.samples);
        if self.clean_only && values.len() < FEWEST_CLEAN {
            return None;
        }
        Some(Prices { ns_per_op: median(values)?, floor: median(of(&incarnation.floor)) })
    }
}

/// One incarnation's medians.
#[derive(Debug, Clone, Copy)]
struct Prices {
    ns_per_op: f64,
    floor: Option<f64>,
}

impl Prices {
    fn per_switch(&self, switches: &Switches) -> Option<Round> {
        let per_op = switches.per_op()?;
        let net = self.floor.map(|floor| (self.ns_per_op - floor) / per_op);
        Some(Round { ns_per_switch: self.ns_per_op / per_op, net_ns_per_switch: net })
    }
}

fn is_clean(sample: &Sample) -> bool {
    match sample.parties.cpu_ns {
        Some(cpu_ns) => sample.parties.wall_ns as f64 <= DISTURBED * cpu_ns as f64,
        // Nothing is known against it.
        None => true,
    }
}

fn clean(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(|sample| is_clean(sample))
}

/// The samples of an incarnation in which every counter counted.
fn counted_samples(incarnation: &Incarnation) -> &[Sample] {
    if incarnation.counted.is_empty() { &incarnation.samples } else { &incarnation.counted }
}

fn ns_per_op(sample: &Sample) -> f64 {
    sample.elapsed_ns as f64 / sample.ops as f64
}

fn mean_ns_per_op<'s>(samples: impl Iterator<Item = &'s Sample>) -> Option<f64> {
    per_op(samples, |sample| Some(sample.elapsed_ns))
}

/// Σ what / Σ ops; `None` of no samples, and as soon as one of them does not have it.
fn per_op<'s>(samples: impl Iterator<Item = &'s Sample>, what: impl Fn(&Sample) -> Option<u64>) -> Option<f64> {
    let (mut sum, mut ops) = (0, 0);
    for sample in samples {
        sum += what(sample)?;
        ops += sample.ops;
    }
    (ops > 0).then(|| sum as f64 / ops as f64)
}

/// The parties' kernel switches per op, by the kernel's counter where it counted them and no others.
fn kernel_switches<'s>(counting: &Counting, chosen: Chosen, counted: impl Iterator<Item = &'s Sample>) -> Option<f64> {
    let at = position(counting, "context-switches")?;
    // A CPU's counter has everybody's switches: in clean samples the parties', in others the neighbours' too.
    let own_only = match counting.mode {
        CountingMode::Thread => true,
        CountingMode::Cpu => chosen.clean_only,
        CountingMode::Rusage | CountingMode::None => false,
    };
    if own_only {
        let undisturbed = counted.filter(|sample| {
            counting.mode != CountingMode::Cpu || foreign(sample, at).is_none_or(|foreign| foreign == 0)
        });
        return per_op(undisturbed, |sample| sample.counts[at]);
    }
    None
}

fn position(counting: &Counting, name: &str) -> Option<usize> {
    counting.counters.iter().position(|counter| counter.name == name)
}

/// CPU-wide switches less the parties' own. Never below 0, unless the two are read in the wrong order.
fn foreign(sample: &Sample, switches_at: usize) -> Option<i64> {
    Some(sample.counts[switches_at]? as i64 - sample.parties.switches()? as i64)
}

fn foreign_switches(samples: &WorkloadSamples, counting: &Counting) -> Option<i64> {
    let at = position(counting, "context-switches").filter(|_| counting.mode == CountingMode::Cpu)?;
    samples.incarnations.iter().flat_map(counted_samples).map(|sample| foreign(sample, at)).sum()
}

/// What these counters counted in these incarnations, in those of their samples that figures are taken from.
fn counter_totals(incarnations: &[Incarnation], counters: &[CounterInfo]) -> Vec<CounterTotal> {
    let chosen = Chosen::of_incarnations(incarnations);
    let total = |(at, counter): (usize, &CounterInfo)| {
        // An event opened on demand counted in `counted` only, where it has no times of its own; it is a software event,
        // and those never share.
        let on_demand = incarnations.iter().any(|each| each.samples.iter().any(|sample| sample.counts[at].is_none()));
        let source = |each| -> &[Sample] { if on_demand { counted_samples(each) } else { &each.samples } };
        let times = || incarnations.iter().filter_map(|each: &Incarnation| each.times.get(at));
        let enabled: u64 = times().map(|times| times.enabled_ns).sum();
        let running: u64 = times().map(|times| times.running_ns).sum();
        let running_ratio = if on_demand { 1.0 } else { running_ratio(enabled, running)? };
        let total: u64 = incarnations.iter().flat_map(source).map(|sample| sample.counts[at]).sum::<Option<u64>>()?;
        let used = incarnations.iter().flat_map(|each| chosen.of(source(each)));
        let per_op = per_op(used, |sample| sample.counts[at])? / running_ratio;
        Some(CounterTotal { counter: counter.clone(), per_op, total: total as f64 / running_ratio, running_ratio })
    };
    counters.iter().enumerate().filter_map(total).collect()
}

/// Every counter of a workload, whichever pass it counted in.
fn all_counters(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Vec<CounterTotal> {
    let mut counters = counter_totals(&samples.incarnations, &counting.counters);
    counters.extend(booked_switches(samples, counting, chosen));
    counters.extend(counter_totals(&samples.user_counted, &counting.user_counters));
    counters
}

/// The kernel's books as a counter, where they are the only one.
fn booked_switches(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<CounterTotal> {
    if counting.mode != CountingMode::Rusage {
        return None;
    }
    let all = || samples.incarnations.iter().flat_map(|incarnation| &incarnation.samples);
    let total: u64 = all().map(|sample| sample.parties.switches()).sum::<Option<u64>>()?;
    let used = samples.incarnations.iter().flat_map(|incarnation| chosen.of(&incarnation.samples));
    let counter = CounterInfo { name: "context-switches".to_string(), scope: CountingMode::Rusage };
    Some(CounterTotal {
        counter,
        per_op: per_op(used, |sample| sample.parties.switches())?,
        total: total as f64,
        running_ratio: 1.0,
    })
}

/// What counts are divided by to stand for the whole time, as `perf stat` scales them; `None` if the counter never ran.
fn running_ratio(enabled_ns: u64, running_ns: u64) -> Option<f64> {
    (running_ns > 0).then(|| running_ns as f64 / enabled_ns.max(running_ns) as f64)
}

/// What counting costs: paired within incarnations where they have counted samples of their own; else between the main
/// pass and the uncounted one, with the range that their intervals allow.
fn counting_cost(samples: &WorkloadSamples) -> Option<Estimate> {
    let over = |incarnations: &[Incarnation]| {
        let chosen = Chosen::of_incarnations(incarnations);
        Estimate::over(
            incarnations.iter().filter_map(|incarnation| chosen.prices(incarnation)).map(|prices| prices.ns_per_op),
        )
    };
    if samples.uncounted.is_empty() {
        let chosen = Chosen::of_incarnations(&samples.incarnations);
        let median_of = |samples: &[Sample]| median(chosen.of(samples).map(ns_per_op).collect());
        let factor = |each: &Incarnation| Some(median_of(&each.counted)? / median_of(&each.samples)?);
        return Estimate::over(samples.incarnations.iter().filter_map(factor));
    }
    let (counted, uncounted) = (over(&samples.incarnations)?, over(&samples.uncounted)?);
    Some(Estimate {
        median: counted.median / uncounted.median,
        low: counted.low.zip(uncounted.high).map(|(low, high)| low / high),
        high: counted.high.zip(uncounted.low).map(|(high, low)| high / low),
    })
}

fn sibling_busy(incarnations: &[Incarnation]) -> Option<f64> {
    let busy: u64 =
        incarnations.iter().map(|incarnation| incarnation.surroundings.siblings_busy_ns).sum::<Option<u64>>()?;
    let elapsed: u64 = incarnations.iter().map(|incarnation| incarnation.surroundings.elapsed_ns).sum();
    (elapsed > 0).then(|| busy as f64 / elapsed as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{CounterTimes, PartyUsage};

    const OPS: u64 = 50;

    /// A sample at this price, without disturbance, of parties that switch twice an op.
    fn sample(ns_per_op: u64) -> Sample {
        let elapsed_ns = ns_per_op * OPS;
        let parties =
            PartyUsage { wall_ns: elapsed_ns, voluntary: Some(60), involuntary: Some(40), cpu_ns: Some(elapsed_ns) };
        Sample {
            started_at_ns: 0,
            ops: OPS,
            elapsed_ns,
            own_switches: None,
            parties,
            counts: vec![None, Some(elapsed_ns * 2)],
        }
    }

    /// The same with a neighbour's time slice in it.
    fn disturbed(ns_per_op: u64) -> Sample {
        let mut sample = sample(ns_per_op);
        sample.elapsed_ns += 3_000_000;
        sample.parties.wall_ns += 3_000_000;
        sample
    }

    fn counted(foreign: u64) -> Sample {
        let mut sample = sample(1100);
        sample.counts[0] = Some(2 * OPS + foreign);
        sample
    }

    fn incarnation(samples: Vec<Sample>, floor: u64) -> Incarnation {
        Incarnation {
            samples,
            counted: vec![counted(0), counted(2), counted(0)],
            floor: vec![sample(floor); 3],
            times: vec![CounterTimes::default(), CounterTimes { enabled_ns: 1000, running_ns: 500 }],
            ..Incarnation::default()
        }
    }

    fn workload(incarnations: Vec<Incarnation>) -> WorkloadSamples {
        WorkloadSamples {
            workload: "thread-pipe".to_string(),
            kind: Kind::Thread,
            switch_source: SwitchSource::Kernel,
            expected_switches_per_op: Some(2.0),
            incarnations,
            uncounted: Vec::new(),
            user_counted: Vec::new(),
        }
    }

    fn counting(mode: CountingMode) -> Counting {
        let counters = ["context-switches", "cycles"].map(|name| CounterInfo { name: name.to_string(), scope: mode });
        Counting { counters: counters.to_vec(), ..Counting::without_counters(mode) }
    }

    #[test]
    fn prices_are_medians_of_clean_samples_over_incarnations() {
        let of =
            |price| incarnation(vec![sample(price - 10), sample(price), disturbed(price), sample(price + 10)], 200);
        let row = summarize(&workload(vec![of(1000), of(1010), of(1020)]), &counting(CountingMode::Cpu));
        assert_eq!(row.ns_per_op, Some(Estimate { median: 1010.0, low: Some(1000.0), high: Some(1020.0) }));
        assert_eq!(row.ns_per_switch.unwrap().median, 505.0);
        assert_eq!(row.floor_ns_per_op.unwrap().median, 200.0);
        assert_eq!(row.net_ns_per_switch.unwrap().median, 405.0);
        assert_eq!((row.samples_taken, row.samples_clean, row.clean_only), (12, 9, true));
        assert!(row.mean_ns_per_op.unwrap() > 15_000.0, "the mean has the disturbed samples in it");
    }

    #[test]
    fn switches_are_the_counters_in_samples_without_foreign_ones() {
        let row = summarize(&workload(vec![incarnation(vec![sample(1000); 4], 200); 3]), &counting(CountingMode::Cpu));
        assert_eq!(
            row.switches,
            Switches { counted_per_op: Some(2.0), expected_per_op: Some(2.0), source: CountSource::Kernel }
        );
        assert_eq!((row.voluntary_per_op, row.involuntary_per_op), (Some(1.2), Some(0.8)));
        assert_eq!(row.foreign_switches, Some(6));
        assert_eq!(row.samples_counted, 9);
    }

    #[test]
    fn a_counter_that_shared_its_hardware_is_scaled_as_perf_stat_does() {
        let row = summarize(&workload(vec![incarnation(vec![sample(1000); 4], 200); 3]), &counting(CountingMode::Cpu));
        let cycles = &row.counters[1];
        assert_eq!((cycles.running_ratio, cycles.per_op), (0.5, 4000.0));
        assert_eq!(running_ratio(1000, 0), None);
        assert_eq!(running_ratio(1000, 1000), Some(1.0));
    }

    #[test]
    fn without_clean_samples_all_are_used_and_said_to_be() {
        let row =
            summarize(&workload(vec![incarnation(vec![disturbed(1000); 5], 200); 3]), &counting(CountingMode::Cpu));
        assert!(!row.clean_only);
        assert_eq!(row.samples_clean, 0);
        assert_eq!(row.ns_per_op.unwrap().median, 61_000.0);
        assert_eq!(row.kernel_switches_per_op, Some(2.0), "from the parties' books, which have no neighbours in them");
    }

    #[test]
    fn an_incarnation_without_clean_samples_is_left_out_of_the_pairs() {
        let quiet = || incarnation(vec![sample(1000); 4], 200);
        let row = summarize(
            &workload(vec![quiet(), incarnation(vec![disturbed(1000); 4], 200), quiet()]),
            &counting(CountingMode::Cpu),
        );
        assert_eq!(row.rounds.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn uncounted_switches_are_expected_ones_and_say_so() {
        let mut quiet = incarnation(vec![sample(1000); 4], 200);
        quiet.counted.clear();
        for sample in &mut quiet.samples {
            sample.parties.voluntary = None;
            sample.counts.clear();
        }
        let none = Counting { counters: Vec::new(), ..counting(CountingMode::None) };
        let row = summarize(&workload(vec![quiet; 3]), &none);
        assert_eq!(
            row.switches,
            Switches { counted_per_op: None, expected_per_op: Some(2.0), source: CountSource::Expected }
        );
        assert_eq!(row.kernel_switches_per_op, None);
        assert_eq!(row.ns_per_switch.unwrap().median, 500.0);
    }

    #[test]
    fn what_counting_costs_is_the_ratio_to_the_uncounted_pass() {
        let mut workload = workload(vec![incarnation(vec![sample(1170); 4], 200); 3]);
        workload.uncounted = vec![incarnation(vec![sample(1000); 4], 200); 3];
        let cost = summarize(&workload, &counting(CountingMode::Thread)).counting_cost.unwrap();
        assert!((cost.median - 1.17).abs() < 1e-9);
    }

    #[test]
    fn what_counting_costs_is_paired_within_incarnations_that_did_both() {
        let row = summarize(&workload(vec![incarnation(vec![sample(1000); 4], 200); 3]), &counting(CountingMode::Cpu));
        assert!((row.counting_cost.unwrap().median - 1.1).abs() < 1e-9);
        assert!(!row.cost_in_prices);
    }

    #[test]
    fn user_mode_is_counted_in_a_pass_of_its_own() {
        let mut workload = workload(vec![incarnation(vec![sample(1000); 4], 200); 3]);
        let mut pass = incarnation(vec![sample(1300); 4], 200);
        pass.samples.iter_mut().for_each(|sample| sample.counts = vec![Some(OPS * 90)]);
        pass.counted.clear();
        pass.times = vec![CounterTimes { enabled_ns: 10, running_ns: 10 }];
        workload.user_counted = vec![pass];
        let user_counters = vec![CounterInfo { name: "cycles:u".to_string(), scope: CountingMode::Thread }];
        let row = summarize(&workload, &Counting { user_counters, ..counting(CountingMode::Cpu) });
        let cycles = row.counters.last().unwrap();
        assert_eq!((cycles.counter.name.as_str(), cycles.per_op), ("cycles:u", 90.0));
        assert_eq!(row.ns_per_op.unwrap().median, 1000.0, "and its time is in no price");
    }

    #[test]
    fn nothing_seen_is_nothing_said() {
        let row = summarize(&workload(Vec::new()), &counting(CountingMode::Cpu));
        assert_eq!(
            (row.ns_per_op, row.ns_per_switch, row.mean_ns_per_op, row.foreign_switches),
            (None, None, None, Some(0))
        );
        assert!(row.counters.is_empty() || row.counters.iter().all(|counter| counter.total == 0.0));
    }
}
