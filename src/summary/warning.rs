//! What a reader must know before believing a figure.

use serde::{Deserialize, Serialize};

use crate::sample::{Counting, CountingMode};
use crate::summary::row::{CountSource, Row};
use crate::unit::Share;

/// A warning: a name that scripts can look for, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: String,
    pub message: String,
}

impl Warning {
    pub fn new(code: &str, message: impl Into<String>) -> Warning {
        Warning { code: code.to_string(), message: message.into() }
    }
}

/// A count may differ from what was expected by this share before it is worth a word.
const COUNT_TOLERANCE: f64 = 0.01;
/// Below this share of clean samples, the neighbours have a say in the figures.
const FEW_CLEAN: f64 = 0.5;
/// Above this share of samples with a slowed core, a reader should know.
const CORE_SLOWED: f64 = 0.05;
/// An SMT sibling busy for this share of the time slows its core.
const SIBLING_BUSY: f64 = 0.1;
/// The hypervisor took this share of the time.
const STEAL: f64 = 0.01;

/// What to know about one row.
pub fn of_row(row: &Row) -> Vec<Warning> {
    let name = &row.workload;
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning::new(code, message));
    if let (Some(counted), Some(expected)) = (row.switches.counted_per_op, row.switches.expected_per_op) {
        if (counted - expected).abs() > COUNT_TOLERANCE * expected {
            warn(
                "count-differs",
                format!(
                    "{name} made {counted:.3} switches per op where {expected:.3} were expected; prices are per counted switch"
                ),
            );
        }
    }
    if row.switches.source == CountSource::Expected && row.ns_per_op.is_some() {
        warn(
            "not-counted",
            format!("{name}: its switches were not counted; prices divide by the expected number, marked ~"),
        );
    }
    if !row.clean_only && row.samples_taken > 0 {
        warn(
            "no-clean-samples",
            format!(
                "{name}: only {} of {} samples were free of other threads, steal and throttling; its figures are of all samples, the neighbours' time in them",
                row.samples_clean, row.samples_taken
            ),
        );
    } else if (row.samples_clean as f64) < FEW_CLEAN * row.samples_taken as f64 {
        warn(
            "few-clean-samples",
            format!(
                "{name}: {} of {} samples were clean; something else is busy on this CPU",
                row.samples_clean, row.samples_taken
            ),
        );
    }
    let slowed = row.samples_slowed as f64 / row.samples_taken.max(1) as f64;
    if slowed > CORE_SLOWED {
        let message = format!(
            "{name}: during {} of the samples the core itself ran slower than it can, as beside a busy hardware thread (of this machine or of another guest on its host) or at a lower frequency; those are not clean",
            Share(slowed)
        );
        warn("core-slowed", message);
    }
    if let Some(foreign) = row.foreign_switches.filter(|&foreign| foreign < 0) {
        warn(
            "counts-disagree",
            format!(
                "{name}: the CPU's counter saw {} switches fewer than its parties made; this is a bug, of ctxprof or of the counter: please report it",
                -foreign
            ),
        );
    }
    for counter in row.counters.iter().filter(|counter| counter.running_ratio < 0.999) {
        warn(
            "multiplexed",
            format!(
                "{name}: `{}` shared its hardware counter and ran {} of the time; its figure is scaled up",
                counter.counter.name,
                Share(counter.running_ratio)
            ),
        );
    }
    if let Some(busy) = row.sibling_busy.filter(|&busy| busy > SIBLING_BUSY) {
        warn(
            "smt-sibling-busy",
            format!(
                "{name}: the other hardware thread of this core was busy {} of the time, which slows both",
                Share(busy)
            ),
        );
    }
    if let Some(throttled) = row.throttled.filter(|&throttled| throttled > 0) {
        warn("throttled", format!("{name}: the cgroup's CPU quota stopped it {throttled} times"));
    }
    if let Some(cost) = row.counting_cost.filter(|cost| row.cost_in_prices && cost.median > 1.01) {
        warn("counting-costs", format!("{name}: counting on its threads made it {} slower", Share(cost.median - 1.0)));
    }
    warnings
}

/// What to know of time that the hypervisor took; `elapsed_ns` is what it was taken from.
pub fn of_steal(steal_ns: u64, elapsed_ns: u64) -> Option<Warning> {
    let share = steal_ns as f64 / elapsed_ns.max(1) as f64;
    (share > STEAL).then(|| {
        Warning::new(
            "steal",
            format!(
                "the hypervisor took {} of the pinned CPU's time; samples it fell into are not clean",
                Share(share)
            ),
        )
    })
}

/// What to know about how the counting was done.
pub fn of_counting(counting: &Counting) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(last) = counting.refused.first() {
        let instead = match counting.mode {
            CountingMode::Thread => "counted on the parties' threads instead, which slows every switch",
            CountingMode::Rusage => "kernel switches come from getrusage and /proc instead, cycles are absent",
            CountingMode::Cpu | CountingMode::None => "",
        };
        warnings.push(Warning::new(
            "counters-degraded",
            format!("no CPU-wide counters: {}; {instead}", last.trim_start_matches("cpu: ")),
        ));
    }
    warnings.extend(counting.remarks.iter().map(|remark| Warning::new("cycles-suspect", remark.clone())));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{CounterInfo, Counting, Ending, Kind, RunSamples, SwitchSource, WorkloadSamples};
    use crate::summary::chosen::Yardstick;
    use crate::summary::counters::CounterTotal;
    use crate::summary::estimate::Estimate;
    use crate::summary::row::summarize;

    fn quiet_row() -> Row {
        let samples = WorkloadSamples {
            workload: "thread-pipe".to_string(),
            kind: Kind::Thread,
            switch_source: SwitchSource::Kernel,
            expected_switches_per_op: Some(2.0),
            incarnations: Vec::new(),
            uncounted: Vec::new(),
            user_counted: Vec::new(),
        };
        let counting = Counting::without_counters(CountingMode::Cpu);
        let run = RunSamples { counting, workloads: vec![samples], ending: Ending::Complete, first_op_at_ns: None };
        let mut row = summarize(&run.workloads[0], &run.counting, Yardstick::of(std::iter::empty()));
        row.switches.counted_per_op = Some(2.0);
        row.switches.source = CountSource::Kernel;
        (row.samples_taken, row.samples_clean, row.clean_only, row.foreign_switches) = (100, 99, true, Some(3));
        row
    }

    fn check(change: impl FnOnce(&mut Row), codes: &[&str]) {
        let mut row = quiet_row();
        change(&mut row);
        assert_eq!(of_row(&row).iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), codes);
    }

    #[test]
    fn a_row_is_warned_of_for_cause_only() {
        check(|_| {}, &[]);
        check(|row| row.switches.counted_per_op = Some(2.019), &[]);
        check(|row| row.switches.counted_per_op = Some(6.0), &["count-differs"]);
        check(|row| row.samples_clean = 30, &["few-clean-samples"]);
        check(|row| (row.samples_clean, row.clean_only) = (0, false), &["no-clean-samples"]);
        check(|row| row.samples_slowed = 5, &[]);
        check(|row| row.samples_slowed = 6, &["core-slowed"]);
        check(|row| row.foreign_switches = Some(-1), &["counts-disagree"]);
        check(|row| row.sibling_busy = Some(0.05), &[]);
        check(|row| row.sibling_busy = Some(0.5), &["smt-sibling-busy"]);
        check(|row| row.throttled = Some(2), &["throttled"]);
        let cost = |median| Some(Estimate { median, low: None, high: None });
        check(|row| (row.counting_cost, row.cost_in_prices) = (cost(1.17), true), &["counting-costs"]);
        check(|row| (row.counting_cost, row.cost_in_prices) = (cost(1.17), false), &[]);
        check(|row| (row.counting_cost, row.cost_in_prices) = (cost(1.001), true), &[]);
        let cycles = |running_ratio| {
            let counter = CounterInfo { name: "cycles".to_string(), scope: CountingMode::Cpu };
            vec![CounterTotal { counter, per_op: 1.0, total: 1.0, running_ratio }]
        };
        check(|row| row.counters = cycles(0.6), &["multiplexed"]);
        check(|row| row.counters = cycles(1.0), &[]);
    }

    #[test]
    fn steal_is_worth_a_word_from_one_percent() {
        assert!(of_steal(9_000_000, 1_000_000_000).is_none());
        assert!(of_steal(20_000_000, 1_000_000_000).unwrap().message.contains("2.0 %"));
    }
}
