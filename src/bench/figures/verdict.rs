//! Comparison of two rows.

use serde::{Deserialize, Serialize};

use crate::bench::figures::result::CountSource;
use crate::bench::figures::row::Row;
use crate::estimate::Estimate;
use crate::host::placement::Placement;
use crate::workload::kind::Kind;

/// Ratio of two workloads' switch costs, with intervals over the rounds in which both were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub lower: String,
    pub lower_kind: Kind,
    pub higher: String,
    pub higher_kind: Kind,
    pub gross: Estimate,
    pub net: Option<Estimate>,
    /// The two costs per switch, ns.
    pub lower_ns: f64,
    pub higher_ns: f64,
}

/// Returns the headline ratio: a thread's switch, or else a process's, against the switch of a kind that needs no
/// kernel, on one CPU, both of pairs or of the same ring. `None` where one is missing, or was not counted.
pub fn ratio(rows: &[Row], kind: Kind) -> Option<Ratio> {
    let ring = rows.first()?.result.ring;
    let is_priced = |row: &&Row| {
        row.result.ns_per_switch.is_some() && row.result.placement == Placement::Same && row.result.ring == ring
    };
    let first = |kind| rows.iter().filter(is_priced).find(|row| row.result.kind == kind);
    let task = first(kind).filter(|row| row.result.switches_source != CountSource::Expected)?;
    let kernel = first(Kind::Thread).or_else(|| first(Kind::Process))?;
    let pairs = || task.rounds.iter().zip(&kernel.rounds).filter_map(|(task, kernel)| task.zip(*kernel));
    let gross = Estimate::over(pairs().map(|(task, kernel)| kernel.ns_per_switch / task.ns_per_switch))?;
    // An interrupted round may lack its no-switch loop; it says nothing about the net.
    let net_pairs = pairs().filter_map(|(task, kernel)| kernel.net_ns_per_switch.zip(task.net_ns_per_switch));
    let net: Option<Vec<f64>> = net_pairs.map(|(kernel, task)| positive_ratio(kernel, task)).collect();
    Some(Ratio {
        lower: task.result.workload.clone(),
        lower_kind: task.result.kind,
        higher: kernel.result.workload.clone(),
        higher_kind: kernel.result.kind,
        gross,
        net: net.and_then(Estimate::over),
        lower_ns: task.result.ns_per_switch?.median,
        higher_ns: kernel.result.ns_per_switch?.median,
    })
}

/// Returns `None` if a net cost is not above 0, as when the no-switch loop costs as much as the op.
fn positive_ratio(higher: f64, lower: f64) -> Option<f64> {
    (higher > 0.0 && lower > 0.0).then(|| higher / lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::{OPS, counting, repetition, sample, summarize};
    use crate::bench::sample::WorkloadSamples;
    use crate::perf::counting::CountingMode;
    use crate::workload::kind::SwitchSource;

    #[test]
    fn a_cost_of_nothing_has_no_ratio() {
        assert_eq!(positive_ratio(100.0, 4.0), Some(25.0));
        assert_eq!(positive_ratio(100.0, 0.0), None);
        assert_eq!(positive_ratio(-1.0, 4.0), None);
    }

    #[test]
    fn a_task_is_set_beside_a_thread_round_by_round() {
        let task = |cost| {
            let mut repetition = repetition(vec![sample(cost); 4], 20);
            repetition.samples.iter_mut().for_each(|sample| sample.own_switches = Some(2 * OPS));
            repetition
        };
        let tasks = WorkloadSamples {
            workload: "task-channel".to_string(),
            kind: Kind::Task,
            switch_source: SwitchSource::Polls,
            ..WorkloadSamples::made_up(vec![task(100), task(120), task(100)])
        };
        // Interrupted in the last round, before the no-switch loop.
        let mut interrupted = repetition(vec![sample(1000); 4], 200);
        interrupted.no_switch.clear();
        let threads = WorkloadSamples::made_up(vec![
            repetition(vec![sample(1000); 4], 200),
            repetition(vec![sample(1200); 4], 200),
            interrupted,
        ]);
        let rows = [summarize(&tasks, &counting(CountingMode::Cpu)), summarize(&threads, &counting(CountingMode::Cpu))];
        assert_eq!(ratio(&rows, Kind::Goroutine), None);
        let ratio = ratio(&rows, Kind::Task).unwrap();
        assert_eq!((ratio.lower.as_str(), ratio.higher.as_str()), ("task-channel", "thread-pipe"));
        assert_eq!(ratio.gross.median, 10.0);
        assert_eq!(ratio.net.unwrap().median, 10.0);
    }
}
