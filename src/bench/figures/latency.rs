//! Latencies of ops timed one by one: percentiles, timer ticks, and agreement with the ops timed in batches.

use serde::{Deserialize, Serialize};

use crate::bench::figures::chosen::{Chosen, FEWEST_UNDISTURBED, is_enough, per_op};
use crate::bench::sample::latency::{Durations, Latency};
use crate::bench::sample::{Repetition, Sample};
use crate::estimate::{Estimate, median};

/// A percentile with fewer ops beyond it is chance.
const FEWEST_BEYOND: f64 = 10.0;
/// Share by which an op timed by itself may differ from one among others, the clock's cost aside.
const TOLERANCE: f64 = 0.02;

/// Figures of all ops timed one by one: the disturbed ones are the tail. Times in ns, to three significant digits, the
/// clock's cost in each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyFigures {
    pub ops: u64,
    /// This percentage of ops took no longer; `None` where fewer than ten ops took longer than that.
    pub p50_ns: Option<f64>,
    pub p90_ns: Option<f64>,
    pub p99_ns: Option<f64>,
    pub p99_9_ns: Option<f64>,
    pub max_ns: f64,
    /// The histogram's sum over ops.
    pub mean_ns: f64,
    /// Cost of reading the clock per op; the median over repetitions.
    pub clock_ns: f64,
    /// That as a share of the op with its clock, in the same samples as `agreement`.
    pub clock_share: f64,
    /// Time of an op timed by itself ÷ one timed among others: means paired within repetitions, of undisturbed samples
    /// where the costs are and enough repetitions have some of both kinds, else of all.
    pub by_plain: Option<Estimate>,
    /// The same less the clock's cost. Below 1 by the processor's work on the next op while it reads the clock.
    pub agreement: Option<Estimate>,
    /// The histogram's sum by the samples' time: 1 but for its three digits.
    pub sum_by_elapsed: f64,
    /// Ticks of the CPUs' timers that fell into an op; `None` where they are not counted.
    pub timer_ticks_per_op: Option<f64>,
    /// Ten to a decade, those with ops in them, in ascending order.
    pub buckets: Vec<LatencyBucket>,
}

/// Ops that took at least `from_ns` and less than `to_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyBucket {
    pub from_ns: f64,
    pub to_ns: f64,
    pub ops: u64,
}

impl LatencyFigures {
    /// True if an op timed by itself surely takes less than others, or more than those and the clock, by over 2 %.
    pub(super) fn disagrees(&self) -> bool {
        // Of an op and its clock together: 2 % of an op of a nanosecond are less than a clock can resolve.
        let most = 1.0 + TOLERANCE / (1.0 - self.clock_share).max(TOLERANCE);
        let is_above = |agreement: Estimate| agreement.low.unwrap_or(agreement.median) > most;
        let is_below = |by_plain: Estimate| by_plain.high.unwrap_or(by_plain.median) < 1.0 - TOLERANCE;
        self.agreement.is_some_and(is_above) || self.by_plain.is_some_and(is_below)
    }

    /// Returns the percentile from which on an op has a tick in it; `None` if every op has, or ticks are not counted.
    pub fn tick_percentile(&self) -> Option<f64> {
        self.timer_ticks_per_op.filter(|ticks| (0.0..1.0).contains(ticks)).map(|ticks| 100.0 * (1.0 - ticks))
    }
}

/// Returns the figures of these repetitions' ops; `None` where none was timed by itself.
pub(super) fn figures(repetitions: &[Repetition], chosen: Chosen) -> Option<LatencyFigures> {
    let each = || repetitions.iter().filter_map(|repetition| repetition.latency.as_ref());
    let mut durations = Durations::new();
    each().flat_map(|latency| &latency.durations).for_each(|&(duration_ns, ops)| durations.record(duration_ns, ops));
    let histogram = durations.histogram();
    let ops = histogram.len();
    if ops == 0 {
        return None;
    }
    let quantile = |quantile: f64| {
        // In a double 0.1 % of 10,000 are a hair above 10.
        let beyond = (ops as f64 * (1.0 - quantile)).round();
        (beyond >= FEWEST_BEYOND).then(|| histogram.value_at_quantile(quantile) as f64)
    };
    let elapsed_ns: u64 = samples(each()).map(|sample| sample.elapsed_ns).sum();
    let mean_ns = histogram.mean();
    let ratios = ratios(repetitions, chosen);
    let clock_share = median(ratios.iter().map(|ratios| 1.0 - ratios.agreement / ratios.by_plain).collect());
    let clock_ns = median(each().map(|latency| latency.lap_cost_ns).collect())?;
    Some(LatencyFigures {
        ops,
        p50_ns: quantile(0.5),
        p90_ns: quantile(0.9),
        p99_ns: quantile(0.99),
        p99_9_ns: quantile(0.999),
        max_ns: histogram.max() as f64,
        mean_ns,
        clock_ns,
        clock_share: clock_share.unwrap_or(clock_ns / mean_ns.max(1.0)).clamp(0.0, 1.0),
        by_plain: Estimate::over(ratios.iter().map(|ratios| ratios.by_plain)),
        agreement: Estimate::over(ratios.iter().map(|ratios| ratios.agreement)),
        sum_by_elapsed: mean_ns * ops as f64 / elapsed_ns.max(1) as f64,
        timer_ticks_per_op: timer_ticks_per_ns(each()).map(|ticks| ticks * elapsed_ns as f64 / ops as f64),
        buckets: buckets(&durations.steps()),
    })
}

fn samples<'l>(each: impl Iterator<Item = &'l Latency>) -> impl Iterator<Item = &'l Sample> {
    each.flat_map(|latency| &latency.samples)
}

/// Time of an op timed by itself ÷ one among others in one repetition, with the clock and without.
struct Ratios {
    by_plain: f64,
    agreement: f64,
}

impl Ratios {
    /// Returns `None` for a repetition with too few samples of either kind to say anything.
    fn of(repetition: &Repetition, chosen: Chosen) -> Option<Ratios> {
        let latency = repetition.latency.as_ref()?;
        let mean_ns = |samples: &[Sample]| {
            let has_enough = !chosen.undisturbed_only || chosen.of(samples).count() >= FEWEST_UNDISTURBED;
            let mean_ns = per_op(chosen.of(samples), |sample| Some(sample.elapsed_ns)).filter(|_| has_enough);
            mean_ns.filter(|&mean_ns| mean_ns > 0.0)
        };
        let (each_ns, plain_ns) = (mean_ns(&latency.samples)?, mean_ns(&repetition.samples)?);
        Some(Ratios { by_plain: each_ns / plain_ns, agreement: (each_ns - latency.lap_cost_ns) / plain_ns })
    }
}

/// Returns the ratios of the samples chosen, if enough repetitions have them in both kinds. Where the plain ones of
/// some and the others of others are disturbed, there is no pair: then all samples say more than none.
fn ratios(repetitions: &[Repetition], chosen: Chosen) -> Vec<Ratios> {
    let of = |chosen| repetitions.iter().filter_map(|each| Ratios::of(each, chosen)).collect::<Vec<_>>();
    let ratios = of(chosen);
    if chosen.undisturbed_only && !is_enough(ratios.len(), repetitions.len()) { of(chosen.or_all()) } else { ratios }
}

/// Returns the rate of timer ticks, in a time that holds the samples and the time between them.
fn timer_ticks_per_ns<'l>(each: impl Iterator<Item = &'l Latency>) -> Option<f64> {
    let (mut ticks, mut over_ns) = (0, 0);
    for latency in each {
        let timer = latency.timer?;
        ticks += timer.count;
        over_ns += timer.over_ns;
    }
    (over_ns > 0).then(|| ticks as f64 / over_ns as f64)
}

/// Starts of a decade's buckets, in hundredths: preferred numbers, with 1, 2 and 5 among them.
///
/// # References
/// ISO 3, series R10 in its first rounding.
const SERIES: [u32; 10] = [100, 125, 160, 200, 250, 315, 400, 500, 630, 800];

/// Sorts durations, in ascending order with their number of ops, into buckets.
fn buckets(steps: &[(u64, u64)]) -> Vec<LatencyBucket> {
    let edges = || (0..).flat_map(|decade| SERIES.map(|edge| f64::from(edge) * 10_f64.powi(decade) / 100.0));
    let mut bounds = std::iter::once(0.0).chain(edges()).zip(edges());
    let mut buckets: Vec<LatencyBucket> = Vec::new();
    for &(duration_ns, ops) in steps {
        let duration_ns = duration_ns as f64;
        match buckets.last_mut() {
            Some(last) if duration_ns < last.to_ns => last.ops += ops,
            _ => {
                let found = bounds.by_ref().find(|&(_, to_ns)| duration_ns < to_ns);
                buckets.extend(found.map(|(from_ns, to_ns)| LatencyBucket { from_ns, to_ns, ops }));
            }
        }
    }
    buckets
}

#[cfg(test)]
impl LatencyFigures {
    /// Of one op.
    pub(super) fn made_up() -> LatencyFigures {
        LatencyFigures {
            ops: 1,
            p50_ns: None,
            p90_ns: None,
            p99_ns: None,
            p99_9_ns: None,
            max_ns: 1000.0,
            mean_ns: 1000.0,
            clock_ns: 25.0,
            clock_share: 0.025,
            by_plain: None,
            agreement: None,
            sum_by_elapsed: 1.0,
            timer_ticks_per_op: None,
            buckets: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::chosen::{Judge, ReferenceLoop};
    use crate::bench::sample::WorkloadSamples;
    use crate::bench::sample::latency::TimerInterrupts;
    use crate::perf::accounting::ParticipantUsage;
    use crate::perf::counting::{Counting, CountingMode};
    use proptest::prelude::*;

    const OPS: u64 = 50;

    fn sample(elapsed_ns: u64, ops: u64) -> Sample {
        let participants =
            ParticipantUsage { wall_ns: elapsed_ns, voluntary: None, involuntary: None, cpu_ns: Some(elapsed_ns) };
        Sample {
            started_at_ns: 0,
            ops,
            elapsed_ns,
            own_switches: None,
            participants,
            reference_loop_ns: 1500,
            counts: vec![],
        }
    }

    /// A repetition that took this long for each op among others, and these times for ops by themselves.
    fn repetition(plain_ns: u64, durations: &[(u64, u64)]) -> Repetition {
        let latency = Latency {
            samples: durations.iter().map(|&(duration_ns, ops)| sample(duration_ns * ops, ops)).collect(),
            durations: durations.to_vec(),
            lap_cost_ns: 25.0,
            timer: Some(TimerInterrupts { count: 3, over_ns: 6_000_000 }),
        };
        Repetition { samples: vec![sample(plain_ns * OPS, OPS); 4], latency: Some(latency), ..Repetition::default() }
    }

    fn figures_of(repetitions: Vec<Repetition>) -> Option<LatencyFigures> {
        let samples = WorkloadSamples::made_up(repetitions);
        let counting = Counting::without_counters(CountingMode::None);
        let judge = Judge::of(&samples, &counting, ReferenceLoop::of(std::iter::empty()));
        figures(&samples.repetitions, Chosen::of_repetitions(&samples.repetitions, judge))
    }

    #[test]
    fn percentiles_are_of_all_ops_and_absent_where_too_few_are_beyond() {
        let durations: Vec<(u64, u64)> = (1..=1000).map(|duration_ns| (duration_ns, 1)).collect();
        let figures = figures_of(vec![repetition(500, &durations); 5]).unwrap();
        assert_eq!((figures.ops, figures.max_ns, figures.mean_ns), (5000, 1000.0, 500.5));
        let percentiles = [figures.p50_ns, figures.p90_ns, figures.p99_ns, figures.p99_9_ns];
        assert_eq!(percentiles, [Some(500.0), Some(900.0), Some(990.0), None]);
        let figures = figures_of(vec![repetition(500, &durations); 10]).unwrap();
        assert_eq!(figures.p99_9_ns, Some(999.0));
    }

    #[test]
    fn ops_agree_with_those_among_others_when_the_clock_is_taken_off() {
        let of = |duration_ns| figures_of(vec![repetition(1000, &[(duration_ns, 100); 3]); 10]).unwrap();
        assert_eq!(of(1025).agreement.unwrap().median, 1.0);
        for (duration_ns, disagrees) in [(1025, false), (1044, false), (1048, true), (981, false), (979, true)] {
            assert_eq!(of(duration_ns).disagrees(), disagrees, "{duration_ns}: {:?}", of(duration_ns));
        }
        let torn: Vec<Repetition> = (0..10).map(|each| repetition(1000, &[(1000 + 20 * each, 100); 3])).collect();
        let torn = figures_of(torn).unwrap();
        assert!(torn.agreement.unwrap().median > 1.06 && !torn.disagrees(), "an interval with 1 in it says nothing");
        let cheap = figures_of(vec![repetition(2, &[(27, 120), (27, 120), (27, 120), (28, 240)]); 10]).unwrap();
        assert!(cheap.agreement.unwrap().median > 1.19 && cheap.clock_share > 0.9 && !cheap.disagrees(), "{cheap:?}");
    }

    #[test]
    fn disturbed_samples_are_in_the_histogram_and_not_in_the_agreement() {
        let mut disturbed = repetition(1000, &[(1025, 100), (1025, 100), (1025, 100), (1900, 100)]);
        disturbed.latency.as_mut().unwrap().samples[3].participants.cpu_ns = Some(100_000);
        let figures = figures_of(vec![disturbed; 6]).unwrap();
        assert_eq!((figures.agreement.unwrap().median, figures.p90_ns), (1.0, Some(1900.0)));
        assert_eq!(figures.mean_ns, 1243.75);
    }

    #[test]
    fn where_no_repetition_has_undisturbed_samples_of_both_sorts_all_of_them_are_compared() {
        let disturb =
            |samples: &mut [Sample]| samples.iter_mut().for_each(|sample| sample.participants.cpu_ns = Some(1));
        let repetitions: Vec<Repetition> = (0..10)
            .map(|each| {
                let mut repetition = repetition(1000, &[(1025, 100); 3]);
                match each {
                    0..5 => disturb(&mut repetition.samples),
                    _ => disturb(&mut repetition.latency.as_mut().unwrap().samples),
                }
                repetition
            })
            .collect();
        let figures = figures_of(repetitions).unwrap();
        assert_eq!((figures.agreement.unwrap().median, figures.by_plain.unwrap().median), (1.0, 1.025));
        assert!((figures.clock_share - 25.0 / 1025.0).abs() < 1e-9, "{}", figures.clock_share);
    }

    #[test]
    fn a_tick_every_two_milliseconds_falls_into_one_op_of_two_thousand() {
        let figures = figures_of(vec![repetition(1000, &[(1000, 1000)]); 10]).unwrap();
        assert_eq!(figures.timer_ticks_per_op, Some(0.0005));
        assert_eq!(figures.tick_percentile(), Some(99.95));
        let mut uncounted = repetition(1000, &[(1000, 1000)]);
        uncounted.latency.as_mut().unwrap().timer = None;
        assert_eq!(figures_of(vec![uncounted]).unwrap().timer_ticks_per_op, None);
    }

    #[test]
    fn what_was_not_timed_one_by_one_has_no_figures() {
        assert_eq!(figures_of(vec![]), None);
        assert_eq!(figures_of(vec![Repetition { latency: None, ..repetition(1000, &[]) }]), None);
        assert_eq!(figures_of(vec![repetition(1000, &[])]), None);
    }

    #[test]
    fn buckets_begin_at_preferred_numbers() {
        let bounds = |duration_ns| {
            let bucket = buckets(&[(duration_ns, 7)])[0];
            assert_eq!(bucket.ops, 7);
            (bucket.from_ns, bucket.to_ns)
        };
        assert_eq!(bounds(0), (0.0, 1.0));
        assert_eq!(bounds(1), (1.0, 1.25));
        assert_eq!(bounds(12), (10.0, 12.5));
        assert_eq!(bounds(199), (160.0, 200.0));
        assert_eq!(bounds(200), (200.0, 250.0));
        assert_eq!(bounds(3_149_999), (2_500_000.0, 3_150_000.0));
    }

    proptest! {
        #[test]
        fn the_histograms_sum_is_that_of_the_samples(durations in prop::collection::vec((1..1_u64 << 36, 1..50_u64), 1..100)) {
            let mut sorted = durations;
            sorted.sort_unstable();
            let figures = figures_of(vec![repetition(1000, &sorted); 2]).unwrap();
            prop_assert!((figures.sum_by_elapsed - 1.0).abs() <= 1e-3, "{}", figures.sum_by_elapsed);
            prop_assert_eq!(figures.buckets.iter().map(|bucket| bucket.ops).sum::<u64>(), figures.ops);
            prop_assert!(figures.buckets.windows(2).all(|pair| pair[0].to_ns <= pair[1].from_ns));
            let percentiles = [figures.p50_ns, figures.p90_ns, figures.p99_ns, figures.p99_9_ns, Some(figures.max_ns)];
            let known: Vec<f64> = percentiles.into_iter().flatten().collect();
            prop_assert!(known.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", known);
        }
    }
}
