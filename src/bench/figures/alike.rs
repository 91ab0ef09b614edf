//! Like with like: the time of a handoff by kind of participant, grouped by contract.
//!
//! A thread that waits in the kernel for a pipe and a goroutine that waits in user space for a channel do not do the
//! same, and most of the difference between the two is that. Within a contract only the kind differs.

use serde::{Deserialize, Serialize};

use crate::bench::figures::result::hand_overs_per_op;
use crate::bench::figures::row::{Round, Row};
use crate::estimate::{Estimate, WIDEST_RATIO};
use crate::host::placement::Placement;
use crate::workload::kind::Kind;

/// An agreement between participants, and the workloads that have it.
struct Contract {
    name: &'static str,
    /// In the order in which they are shown; the others are compared with the first.
    workloads: [&'static str; 3],
}

const CONTRACTS: [Contract; 3] = [
    Contract {
        name: "wait for each other (futex, channel)",
        workloads: ["thread-futex", "goroutine-channel", "task-channel"],
    },
    Contract { name: "give way (yield)", workloads: ["thread-yield", "goroutine-yield", "task-yield"] },
    Contract { name: "wait for the kernel (pipe)", workloads: ["thread-pipe", "goroutine-pipe", "task-pipe"] },
];

/// One contract, by several kinds of participants in one run on one CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    pub contract: String,
    /// The most expensive kind first: threads.
    pub hand_overs: Vec<HandOver>,
}

/// Half a round trip: control goes from one participant to the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandOver {
    pub workload: String,
    pub kind: Kind,
    pub ns: Estimate,
    /// Time of the contract's first handoff ÷ this one's, over the rounds with both; null for the first itself.
    pub times_lower: Option<Estimate>,
}

/// Returns true if a ratio is known well enough to be shown: its interval is not wider than [`WIDEST_RATIO`].
pub fn is_settled(ratio: &Estimate) -> bool {
    ratio.low.zip(ratio.high).is_some_and(|(low, high)| low > 0.0 && high / low <= WIDEST_RATIO)
}

/// Returns the contracts of which a run has threads and another kind, of pairs on one CPU.
pub fn alike(rows: &[Row]) -> Vec<Alike> {
    CONTRACTS.iter().filter_map(|contract| of_contract(contract, rows)).collect()
}

fn of_contract(contract: &Contract, rows: &[Row]) -> Option<Alike> {
    let row_of = |name: &str| {
        rows.iter().find(|row| {
            row.result.workload == name && row.result.placement == Placement::Same && row.result.ring.is_none()
        })
    };
    let first = row_of(contract.workloads[0])?;
    let hand_over = |row: &Row| {
        let is_first = row.result.workload == first.result.workload;
        Some(HandOver {
            workload: row.result.workload.clone(),
            kind: row.result.kind,
            ns: ns_per_hand_over(row)?,
            times_lower: if is_first { None } else { times_lower(first, row) },
        })
    };
    let hand_overs: Vec<HandOver> =
        contract.workloads.iter().filter_map(|name| row_of(name)).filter_map(hand_over).collect();
    let has_first = hand_overs.first().is_some_and(|hand_over| hand_over.workload == first.result.workload);
    (has_first && hand_overs.len() > 1).then(|| Alike { contract: contract.name.to_string(), hand_overs })
}

/// Returns the time of a handoff: of yields, where the scheduler decides whether they hand over, that of a switch.
fn ns_per_hand_over(row: &Row) -> Option<Estimate> {
    match hand_overs_per_op(&row.result.op) {
        Some(hand_overs) => Some(row.result.ns_per_op?.scaled(1.0 / hand_overs)),
        None => row.result.ns_per_switch,
    }
}

/// Returns the ratio, paired by round, so that what slowed both cancels.
fn times_lower(first: &Row, other: &Row) -> Option<Estimate> {
    let of_round = |row: &Row, round: &Round| match hand_overs_per_op(&row.result.op) {
        Some(hand_overs) => round.ns_per_op / hand_overs,
        None => round.ns_per_switch,
    };
    let rounds = first.rounds.iter().zip(&other.rounds).filter_map(|(one, other)| one.as_ref().zip(other.as_ref()));
    Estimate::over(rounds.map(|(one, two)| of_round(first, one) / of_round(other, two)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::{counting, repetition, sample, summarize};
    use crate::bench::sample::WorkloadSamples;
    use crate::perf::counting::CountingMode;

    #[test]
    fn a_ratio_is_settled_by_an_interval_that_is_narrow_enough() {
        let of = |low, high| Estimate { median: 20.0, low, high };
        assert!(is_settled(&of(Some(18.0), Some(26.9))));
        assert!(!is_settled(&of(Some(18.0), Some(27.1))));
        assert!(!is_settled(&of(None, None)), "of one round nobody knows");
        assert!(!is_settled(&of(Some(-1.0), Some(27.0))));
    }

    #[test]
    fn an_op_hands_over_as_often_as_its_name_says() {
        let of = ["round trip", "", "one message", "one hop", "one yield each", "one call"].map(hand_overs_per_op);
        assert_eq!(of, [Some(2.0), Some(2.0), Some(1.0), Some(1.0), None, None]);
    }

    #[test]
    fn a_hand_over_is_set_beside_that_of_threads_with_the_same_contract_round_by_round() {
        let of = |workload: &str, kind, ns_per_op: [u64; 6]| {
            let repetitions = ns_per_op.map(|ns| repetition(vec![sample(ns); 5], 20)).to_vec();
            let made_up = WorkloadSamples::made_up(repetitions);
            let samples = WorkloadSamples { workload: workload.to_string(), kind, ..made_up };
            summarize(&samples, &counting(CountingMode::Cpu))
        };
        let thread = of("thread-futex", Kind::Thread, [4000, 4400, 4000, 5000, 4000, 4200]);
        let task = of("task-channel", Kind::Task, [200, 220, 200, 250, 200, 210]);
        let other = of("goroutine-pipe", Kind::Goroutine, [3000; 6]);
        let found = alike(&[task.clone(), other.clone(), thread.clone()]);
        assert_eq!(found.len(), 1, "{found:?}");
        let names: Vec<&str> = found[0].hand_overs.iter().map(|hand_over| hand_over.workload.as_str()).collect();
        assert_eq!(names, ["thread-futex", "task-channel"]);
        // Half a round trip; what slowed both in a round is not in their ratio.
        assert_eq!(found[0].hand_overs[0].ns.median, 2050.0);
        assert_eq!(found[0].hand_overs[0].times_lower, None);
        let ratio = found[0].hand_overs[1].times_lower.unwrap();
        assert_eq!(ratio, Estimate { median: 20.0, low: Some(20.0), high: Some(20.0) });
        assert_eq!(alike(&[task.clone(), other]), [], "no threads, nothing to set beside");
        let mut apart = thread;
        apart.result.placement = Placement::Llc;
        assert_eq!(alike(&[apart, task]), []);
    }
}
