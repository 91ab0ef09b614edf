//! Like with like: what a hand-over takes in each kind of parties, by what they agree to do.
//!
//! A thread that waits in the kernel for a pipe and a goroutine that waits in user space for a channel do not do the same, and
//! most of the distance between the two is that. Per contract, what is left is the kind.

use serde::{Deserialize, Serialize};

use crate::bench::figures::row::{Round, Row};
use crate::estimate::Estimate;
use crate::host::placement::Placement;
use crate::workload::kind::Kind;

/// What parties agree to do, and who does it.
struct Contract {
    name: &'static str,
    /// In the order in which they are shown; the first is what others are set against.
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

/// One contract, by several kinds of parties in one run on one CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    pub contract: String,
    /// The dearest kind first: threads.
    pub hand_overs: Vec<HandOver>,
}

/// Half a round trip: control goes from one party to the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandOver {
    pub workload: String,
    pub kind: Kind,
    pub ns: Estimate,
    /// How many times what this takes the first of the contract takes, over the rounds in which both were measured; null for the
    /// first itself.
    pub times_cheaper: Option<Estimate>,
}

/// The widest interval, its high end by its low one, with which a ratio says something.
pub const WIDEST_RATIO: f64 = 1.5;

/// Whether a ratio is known well enough to be told: it has an interval, and that is not wider than [`WIDEST_RATIO`].
pub fn is_settled(ratio: &Estimate) -> bool {
    ratio.low.zip(ratio.high).is_some_and(|(low, high)| low > 0.0 && high / low <= WIDEST_RATIO)
}

/// How often an op of this sort hands control over; `None` where that is the scheduler's affair, or nothing is handed over.
pub fn hand_overs_per_op(op: &str) -> Option<f64> {
    match op {
        // Documents that do not say are of round trips.
        "round trip" | "" => Some(2.0),
        "one hop" | "one message" => Some(1.0),
        _ => None,
    }
}

/// The contracts of which a run has threads and another kind, of pairs on one CPU.
pub fn alike(rows: &[Row]) -> Vec<Alike> {
    CONTRACTS.iter().filter_map(|contract| of_contract(contract, rows)).collect()
}

fn of_contract(contract: &Contract, rows: &[Row]) -> Option<Alike> {
    let row_of = |name: &str| {
        rows.iter().find(|row| row.workload == name && row.placement == Placement::Same && row.ring.is_none())
    };
    let first = row_of(contract.workloads[0])?;
    let hand_over = |row: &Row| {
        let is_first = row.workload == first.workload;
        Some(HandOver {
            workload: row.workload.clone(),
            kind: row.kind,
            ns: ns_per_hand_over(row)?,
            times_cheaper: if is_first { None } else { times_cheaper(first, row) },
        })
    };
    let hand_overs: Vec<HandOver> =
        contract.workloads.iter().filter_map(|name| row_of(name)).filter_map(hand_over).collect();
    let has_first = hand_overs.first().is_some_and(|hand_over| hand_over.workload == first.workload);
    (has_first && hand_overs.len() > 1).then(|| Alike { contract: contract.name.to_string(), hand_overs })
}

/// Of yields, of which the scheduler decides whether they hand anything over, a switch is the hand-over.
fn ns_per_hand_over(row: &Row) -> Option<Estimate> {
    match hand_overs_per_op(&row.op) {
        Some(hand_overs) => Some(row.ns_per_op?.scaled(1.0 / hand_overs)),
        None => row.ns_per_switch,
    }
}

/// Paired by round, so that what slowed both cancels.
fn times_cheaper(first: &Row, other: &Row) -> Option<Estimate> {
    let of_round = |row: &Row, round: &Round| match hand_overs_per_op(&row.op) {
        Some(hand_overs) => round.ns_per_op / hand_overs,
        None => round.ns_per_switch,
    };
    let rounds = first.rounds.iter().zip(&other.rounds).filter_map(|(one, other)| one.as_ref().zip(other.as_ref()));
    Estimate::over(rounds.map(|(one, two)| of_round(first, one) / of_round(other, two)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
