//! Rows of both sides, and the change of each.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::bench::document::history;
use crate::bench::document::run::{RunDocument, RunResult};
use crate::bench::grouped::by_key;
use crate::bench::left_out::row_title;
use crate::estimate::{
    Change, Component, Components, Decision, Estimate, Measurement, Question, Reproducibility, Side, Verdict, median,
};
use crate::host::placement::Placement;
use crate::workload::shape::RingShape;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DiffSettings {
    /// Files of each side, as named.
    pub old: Vec<String>,
    pub new: Vec<String>,
    /// Share by which a row must be slower, beyond its interval, to be a regression.
    pub fail_above: Option<f64>,
    /// Properties required to be the same, by [`Aspect::key`](crate::change::diff::Aspect::key).
    pub require_same: Vec<String>,
    /// Difference within which a row is the same.
    pub margin: f64,
    /// True if rows of the old side may be missing in a gate (`fail_above`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_missing: bool,
    /// True if an undecided row is a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_undecided: bool,
}

impl DiffSettings {
    pub const MARGIN: f64 = 0.03;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffRow {
    pub workload: String,
    pub placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    /// Median over the side's runs.
    pub old_ns_per_op: Option<f64>,
    pub new_ns_per_op: Option<f64>,
    /// `None` if a side has no cost.
    pub change: Option<RowChange>,
    /// True if slower than `fail_above` allows, beyond its interval.
    pub regression: bool,
    /// The same, with what is undecided; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Decision>,
}

impl DiffRow {
    pub fn title(&self) -> String {
        row_title(&self.workload, self.placement, self.ring)
    }

    /// Returns true if more runs are needed to decide: against the allowed loss or, if none was given, the verdict.
    pub fn is_undecided(&self) -> bool {
        let verdict = self.change.is_some_and(|change| change.verdict == Verdict::Undecided);
        self.gate.map_or(verdict, |gate| gate == Decision::Undecided)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RowChange {
    /// New ÷ old − 1: 0.1 is a tenth slower. The interval is wide enough for all rows of a comparison at once.
    pub relative: Estimate,
    /// Smallest change that both sides' spread does not explain.
    pub threshold: f64,
    pub verdict: Verdict,
    /// True if undecided because the core was slow on one side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_slow_core: bool,
    /// Runs per side that would decide an undecided row; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_needed: Option<usize>,
}

/// Identity of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    workload: String,
    placement: Placement,
    ring: Option<RingShape>,
}

impl Key {
    pub(super) fn title(&self) -> String {
        row_title(&self.workload, self.placement, self.ring)
    }
}

/// Rows of a side, in the order of its first run, each with its results in all runs.
pub(super) struct Rows<'r>(pub(super) Vec<(Key, Vec<(&'r RunDocument, &'r RunResult)>)>);

impl<'r> Rows<'r> {
    pub(super) fn of(runs: &'r [RunDocument]) -> Rows<'r> {
        let key = |result: &RunResult| Key {
            workload: result.workload.clone(),
            placement: result.placement,
            ring: result.ring,
        };
        let results = runs.iter().flat_map(|run| run.body.results.iter().map(move |result| (run, result)));
        Rows(by_key(results.map(|(run, result)| (key(result), (run, result)))))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&[(&'r RunDocument, &'r RunResult)]> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, results)| results.as_slice())
    }

    /// Refuses a workload whose op differs between the sides.
    pub(super) fn check_ops(&self, other: &Rows<'_>) -> Result<()> {
        for (key, results) in &self.0 {
            for ((_, old), (_, new)) in
                results.iter().flat_map(|old| other.get(key).into_iter().flatten().map(move |new| (old, new)))
            {
                // Documents from before ops were named have none.
                if !old.op.is_empty() && !new.op.is_empty() && old.op != new.op {
                    bail!("an op of {} was {:?} and is {:?}: the two cannot be compared", key.title(), old.op, new.op);
                }
            }
        }
        Ok(())
    }
}

/// Terms common to all rows of a comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'s> {
    pub(super) settings: &'s DiffSettings,
    /// Number of rows judged together.
    pub(super) rows: usize,
    /// True if the core was slow on one side: then no row is decided.
    pub(super) is_core_slow: bool,
    /// True if both are of one kind of machine, whose runs vary alike.
    pub(super) same_machine: bool,
    /// Number of sessions of each side, and of all runs.
    pub(super) sessions: [usize; 2],
    pub(super) all_sessions: usize,
}

pub(super) fn row(key: &Key, old: &Rows<'_>, new: &Rows<'_>, terms: &Terms<'_>) -> DiffRow {
    let (old, new) = (old.get(key).unwrap_or_default(), new.get(key).unwrap_or_default());
    let center =
        |side: &Runs<'_>| median(side.iter().filter_map(|(_, result)| Some(result.ns_per_op?.median)).collect());
    let judged = judged(old, new, terms);
    let (change, gate) = judged.unzip();
    let gate = gate.flatten();
    DiffRow {
        workload: key.workload.clone(),
        placement: key.placement,
        ring: key.ring,
        old_ns_per_op: center(old),
        new_ns_per_op: center(new),
        change,
        regression: gate == Some(Decision::Failed),
        gate,
    }
}

type Runs<'r> = [(&'r RunDocument, &'r RunResult)];

/// Returns the change of a row and the gate's decision; `None` if a side has no cost, or an impossible one.
fn judged(old_runs: &Runs<'_>, new_runs: &Runs<'_>, terms: &Terms<'_>) -> Option<(RowChange, Option<Decision>)> {
    let (known_old, known_new) = (best_known(old_runs), best_known(new_runs));
    // One machine has one σ: the better known of the two.
    let best = [known_old, known_new].into_iter().flatten().max_by_key(|known| known.runs);
    let varies = |known: Option<Reproducibility>, side: &Runs<'_>| {
        let priors = history::priors(side.first()?.0);
        let known = if terms.same_machine { best } else { known };
        Some(known.map_or_else(|| Components::assumed(priors), |known| known.components(priors)))
    };
    let side = |runs: &Runs<'_>, known, sessions| {
        let measured: Option<Vec<(Measurement, f64)>> = runs.iter().map(|(_, result)| measurement(result)).collect();
        Side::of(&measured?, sessions, varies(known, runs)?)
    };
    let old = side(old_runs, known_old, terms.sessions[0])?;
    let new = side(new_runs, known_new, terms.sessions[1])?;
    let change = Change::between(old, new, terms.all_sessions == 1, terms.rows);
    let [median, low, high] = change.relative();
    if ![median, low, high].iter().all(|value| value.is_finite()) {
        return None;
    }
    let margin = terms.settings.margin;
    let limit = terms.settings.fail_above;
    let (mut verdict, mut gate) = (change.verdict(margin), limit.map(|limit| change.is_above(limit)));
    let mut runs_needed = match (gate, limit) {
        (Some(Decision::Undecided), Some(limit)) => change.runs_that_decide(Question::Above(limit)),
        _ if verdict == Verdict::Undecided => change.runs_that_decide(Question::Verdict(margin)),
        _ => None,
    };
    // The cost on a slow core is an upper bound only.
    let is_bound = |(_, result): &(&RunDocument, &RunResult)| result.ns_per_op.is_some_and(|cost| cost.is_at_most());
    let is_of_slow_core = terms.is_core_slow || old_runs.iter().chain(new_runs).any(is_bound);
    if is_of_slow_core {
        (verdict, gate, runs_needed) = (Verdict::Undecided, gate.map(|_| Decision::Undecided), None);
    }
    let relative = Estimate { median, low: Some(low), high: Some(high) };
    Some((RowChange { relative, threshold: change.half_width().exp_m1(), verdict, is_of_slow_core, runs_needed }, gate))
}

fn best_known(runs: &Runs<'_>) -> Option<Reproducibility> {
    runs.iter().filter_map(|(_, result)| result.reproducibility).max_by_key(|known| known.runs)
}

/// Returns a run's measurement of a row, with the degrees of freedom of its error; `None` without a cost.
fn measurement(result: &RunResult) -> Option<(Measurement, f64)> {
    /// Assumed error of a run of one repetition, which has no estimate of its own.
    const UNKNOWN: Component = Component { variance: 0.02 * 0.02, freedom: 3.0 };
    let cost = result.ns_per_op.filter(|cost| cost.median > 0.0 && cost.median.is_finite())?;
    let u = result.own_error().unwrap_or(UNKNOWN);
    Some((Measurement { ln: cost.median.ln(), u: u.variance.sqrt(), runs: 1 }, u.freedom))
}
