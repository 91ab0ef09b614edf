//! Estimated cost of a program's switches: their number × this host's cost per switch.

use serde::{Deserialize, Serialize};

use crate::bench::cost_list::{CostList, CostPair, CostSource, SwitchCost};
use crate::estimate::Estimate;
use crate::program::stat::figures::{SwitchClasses, SwitchSplit};

/// A range and the most likely figure in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub low: f64,
    /// Figure for one CPU; of involuntary switches, halfway between a yield and a wait.
    pub median: f64,
    pub high: f64,
}

/// Estimated CPU cost of a program's switches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostEstimate {
    /// Kernel switches of the program and its descendants.
    pub switches: u64,
    pub lines: Vec<CostLine>,
    /// Per switch, over all lines.
    pub cost_ns: Range,
    pub cpu_ns: Range,
    /// Share of the program's CPU time; `None` if it used none.
    pub share_of_cpu: Option<Range>,
    /// Sources of the costs, each once.
    pub cost_source: Vec<CostSource>,
}

/// The switches of one sort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostLine {
    pub sort: Sort,
    pub switches: u64,
    /// Those at which the thread was still runnable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub involuntary_switches: Option<u64>,
    #[serde(flatten)]
    pub costs: CostPair,
    pub cpu_ns: Range,
    pub share_of_cpu: Option<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// In a process with several threads.
    Within,
    /// From a process with one thread.
    Between,
}

impl CostPair {
    /// Returns the cost of these switches; `None` if no cost of a wait is known. At least a pipe's for each voluntary one and a
    /// yield's for each involuntary one, at most a pipe's for all, between the outer ends of the intervals. The kernel does not
    /// account which involuntary switches had a wake-up before them, as where a woken thread preempts its waker.
    fn range(&self, switches: SwitchSplit) -> Option<Range> {
        let waking = self.same.as_ref().or(self.across.as_ref())?.cpu_ns;
        // A no-switch cost above the total leaves a negative net cost, which counts as 0.
        let low = |cost: &SwitchCost| cost.cpu_ns.low.unwrap_or(cost.cpu_ns.median).max(0.0);
        let high = |cost: &SwitchCost| cost.cpu_ns.high.unwrap_or(cost.cpu_ns.median).max(0.0);
        let lowest = self.both().map(low).fold(f64::INFINITY, f64::min);
        let highest = self.both().map(high).fold(0.0, f64::max);
        let (voluntary, involuntary) = (switches.voluntary as f64, switches.involuntary as f64);
        let yielding = self.yielding.as_ref().map_or(lowest, |cost| low(cost).min(lowest));
        let waking = waking.median.max(0.0);
        let giving_way = self.yielding.as_ref().map_or(waking, |cost| cost.cpu_ns.median.max(0.0).min(waking));
        Some(Range {
            low: voluntary * lowest + involuntary * yielding,
            median: voluntary * waking + involuntary * f64::midpoint(giving_way, waking),
            high: (voluntary + involuntary) * highest,
        })
    }
}

impl Range {
    /// Returns the range times this factor.
    pub fn times(self, factor: f64) -> Range {
        Range { low: self.low * factor, median: self.median * factor, high: self.high * factor }
    }

    /// Returns the range as an [`Estimate`].
    pub fn as_estimate(self) -> Estimate {
        Estimate { median: self.median, low: Some(self.low), high: Some(self.high) }
    }

    fn plus(self, other: Range) -> Range {
        Range { low: self.low + other.low, median: self.median + other.median, high: self.high + other.high }
    }
}

/// Estimates the cost of switches in a program with this much CPU time. If it exceeds that time, the cost does not apply to the
/// program. Returns `None` if a sort of switch that occurred has no known cost, or there were no switches.
pub fn cost_estimate(classes: SwitchClasses, on_cpu_ns: u64, costs: &CostList) -> Option<CostEstimate> {
    let on_cpu_ns = on_cpu_ns as f64;
    let share = |cpu_ns: Range| (on_cpu_ns > 0.0).then(|| cpu_ns.times(1.0 / on_cpu_ns));
    let sorts = [(Sort::Within, classes.within, &costs.within), (Sort::Between, classes.between, &costs.between)];
    let line = |(sort, switches, costs): (Sort, SwitchSplit, &CostPair)| {
        let cpu_ns = costs.range(switches)?;
        Some(CostLine {
            sort,
            switches: switches.total(),
            involuntary_switches: Some(switches.involuntary),
            costs: costs.clone(),
            cpu_ns,
            share_of_cpu: share(cpu_ns),
        })
    };
    let lines: Vec<CostLine> =
        sorts.into_iter().filter(|(_, switches, _)| switches.total() > 0).map(line).collect::<Option<_>>()?;
    let cpu_ns = lines.iter().map(|line| line.cpu_ns).reduce(Range::plus)?;
    let switches = classes.total();
    let cost_ns = cpu_ns.times(1.0 / switches as f64);
    let mut cost_source: Vec<CostSource> = Vec::new();
    for cost in lines.iter().flat_map(|line| line.costs.all()) {
        if !cost_source.contains(&cost.source) {
            cost_source.push(cost.source.clone());
        }
    }
    Some(CostEstimate { switches, lines, cost_ns, cpu_ns, share_of_cpu: share(cpu_ns), cost_source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::placement::Placement;

    fn cost(median: f64, half: f64, placement: Placement) -> Option<SwitchCost> {
        let cpu_ns = Estimate { median, low: Some(median - half), high: Some(median + half) };
        let workload = "thread-pipe".to_string();
        Some(SwitchCost { workload, placement, cpu_ns, wall_ns: None, source: CostSource::Calibrated })
    }

    fn list() -> CostList {
        CostList {
            within: CostPair {
                same: cost(2000.0, 100.0, Placement::Same),
                across: cost(3000.0, 200.0, Placement::Llc),
                yielding: cost(1000.0, 50.0, Placement::Same),
            },
            between: CostPair { same: cost(2500.0, 100.0, Placement::Same), ..CostPair::default() },
        }
    }

    fn waits(within: u64, between: u64) -> SwitchClasses {
        let split = |voluntary| SwitchSplit { voluntary, involuntary: 0 };
        SwitchClasses { within: split(within), between: split(between) }
    }

    #[test]
    fn a_cost_estimate_is_switches_times_cost_with_both_costs_as_its_range() {
        let cost_estimate = cost_estimate(waits(1000, 100), 10_000_000, &list()).unwrap();
        assert_eq!(cost_estimate.switches, 1100);
        assert_eq!(cost_estimate.lines[0].cpu_ns, Range { low: 1_900_000.0, median: 2_000_000.0, high: 3_200_000.0 });
        assert_eq!(cost_estimate.cpu_ns, Range { low: 2_140_000.0, median: 2_250_000.0, high: 3_460_000.0 });
        let share = cost_estimate.share_of_cpu.unwrap();
        assert!((share.median - 0.225).abs() < 1e-12 && (share.high - 0.346).abs() < 1e-12, "{share:?}");
        assert!((cost_estimate.cost_ns.median - 2_250_000.0 / 1100.0).abs() < 1e-9);
    }

    #[test]
    fn a_switch_without_a_wake_up_costs_at_least_a_yield_and_at_most_a_wait() {
        let within = SwitchSplit { voluntary: 600, involuntary: 400 };
        let classes = SwitchClasses { within, between: SwitchSplit::default() };
        let on_one_cpu = list().on_one_cpu();
        let cost_estimate = cost_estimate(classes, 10_000_000, &on_one_cpu).unwrap();
        assert_eq!(cost_estimate.cpu_ns, Range { low: 1_520_000.0, median: 1_800_000.0, high: 2_100_000.0 });
        assert_eq!(cost_estimate.lines[0].involuntary_switches, Some(400));
        // Where a yield's cost is unknown, or higher than a wait's, the wait's is used.
        let unknown = CostPair { yielding: None, ..on_one_cpu.within.clone() };
        let dear = CostPair { yielding: cost(9000.0, 1.0, Placement::Same), ..on_one_cpu.within.clone() };
        for within in [unknown, dear] {
            let all = super::cost_estimate(classes, 10_000_000, &CostList { within, ..CostList::default() }).unwrap();
            assert_eq!(all.cpu_ns, Range { low: 1_900_000.0, median: 2_000_000.0, high: 2_100_000.0 });
        }
    }

    #[test]
    fn a_sort_without_a_cost_leaves_no_cost_estimate_and_one_without_switches_needs_none() {
        let only_within = CostList { between: CostPair::default(), ..list() };
        assert!(cost_estimate(waits(5, 1), 1000, &only_within).is_none());
        let cost_estimate = cost_estimate(waits(5, 0), 0, &only_within).unwrap();
        assert_eq!((cost_estimate.lines.len(), cost_estimate.share_of_cpu), (1, None));
        assert!(super::cost_estimate(SwitchClasses::default(), 1000, &list()).is_none());
    }

    #[test]
    fn a_cost_that_cannot_hold_shows_by_more_than_all_of_the_cpu_time() {
        let cost_estimate = cost_estimate(waits(5, 0), 5000, &list()).unwrap();
        assert_eq!(cost_estimate.cpu_ns, Range { low: 9500.0, median: 10_000.0, high: 16_000.0 });
        assert!((cost_estimate.share_of_cpu.unwrap().low - 1.9).abs() < 1e-12);
    }

    #[test]
    fn a_cost_below_nothing_is_nothing() {
        let odd = CostList {
            within: CostPair { same: cost(-5.0, 1.0, Placement::Same), ..CostPair::default() },
            ..CostList::default()
        };
        let cost_estimate = cost_estimate(waits(5, 0), 1000, &odd).unwrap();
        assert_eq!(cost_estimate.cpu_ns, Range { low: 0.0, median: 0.0, high: 0.0 });
    }
}
