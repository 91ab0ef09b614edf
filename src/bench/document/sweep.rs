//! `ctxprof.sweep/2`: switch cost by the size of the ring.

use serde::{Deserialize, Serialize};

use crate::bench::document::run::{self, CountingSummary, RunBody, RunDocument, RunResult};
use crate::bench::document::samples::SamplesDocument;
use crate::bench::document::settings::RunSettings;
use crate::bench::figures::NO_UNDISTURBED_SAMPLES;
use crate::bench::left_out::LeftOut;
use crate::document::{Document, Ending};
use crate::estimate::Estimate;
use crate::estimate::knee::{Knee, knees};
pub use crate::host::facts::Cache;
use crate::host::facts::Facts;
use crate::host::placement::Placement;
use crate::workload::shape::{RingShape, RingSteps};

pub const SCHEMA: &str = "ctxprof.sweep/2";

pub type SweepDocument = Document<SweepSettings, SweepBody>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSettings {
    #[serde(flatten)]
    pub steps: RingSteps,
    /// As of a run.
    #[serde(flatten)]
    pub run: RunSettings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepBody {
    /// Counting mode in the end, with what was absent or refused.
    pub counting: CountingSummary,
    /// A row for each workload and step that has samples, in this order.
    pub results: Vec<RunResult>,
    pub knees: Vec<SweepKnee>,
    /// Steps that cannot be measured on this host.
    pub left_out: Vec<LeftOut>,
    pub ending: Ending,
}

/// A knee of a workload's curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepKnee {
    pub workload: String,
    #[serde(default)]
    pub placement: Placement,
    pub figure: CurveFigure,
    #[serde(flatten)]
    pub knee: Knee,
    /// Caches of the pinned CPU that hold all working sets together below the knee, and above it no longer do or just
    /// so; empty where the memory that the participants touch is not known.
    pub caches: Vec<Cache>,
}

/// The figure that a curve is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveFigure {
    NetNsPerSwitch,
    /// For a workload without a no-switch loop.
    NsPerSwitch,
}

impl CurveFigure {
    /// Returns the best figure that these rows of one workload have.
    pub fn of<'r>(mut results: impl Iterator<Item = &'r RunResult>) -> CurveFigure {
        let has_net = results.any(|result| result.net_ns_per_switch.is_some());
        if has_net { CurveFigure::NetNsPerSwitch } else { CurveFigure::NsPerSwitch }
    }

    pub fn value(self, result: &RunResult) -> Option<Estimate> {
        match self {
            CurveFigure::NetNsPerSwitch => result.net_ns_per_switch,
            CurveFigure::NsPerSwitch => result.ns_per_switch,
        }
    }
}

/// Computes a sweep's figures. Rows without samples are left out: those of an interrupted sweep's first round, and of
/// rings that were refused.
pub fn from_samples(mut samples: SamplesDocument, steps: RingSteps) -> SweepDocument {
    samples.body.seen.workloads.retain(|workload| !workload.repetitions.is_empty());
    of_run(run::from_samples(&samples), steps)
}

/// Returns a run's rows as a sweep, with the knees of their curves.
pub(crate) fn of_run(run: RunDocument, steps: RingSteps) -> SweepDocument {
    let RunDocument { tool, started_at, host, settings, body, warnings, .. } = run;
    let RunBody { counting, results, left_out, ending, .. } = body;
    let knees = curves(&results).into_iter().flat_map(|curve| of_curve(&curve, &steps, &host)).collect();
    SweepDocument {
        schema: SCHEMA.to_string(),
        tool,
        started_at,
        host,
        settings: SweepSettings { steps, run: settings },
        body: SweepBody { counting, results, knees, left_out, ending },
        warnings,
    }
}

/// Returns the rows of each workload, in the order of the steps.
pub fn curves(results: &[RunResult]) -> Vec<Vec<&RunResult>> {
    let mut curves: Vec<Vec<&RunResult>> = Vec::new();
    for result in results {
        match curves.iter_mut().find(|curve| curve[0].workload == result.workload) {
            Some(curve) => curve.push(result),
            None => curves.push(vec![result]),
        }
    }
    curves
}

/// Returns true if a row's interval can be compared: it is of four repetitions or more, without disturbed samples.
pub fn is_sure(result: &RunResult) -> bool {
    /// Three intervals must leave a gap between them for a knee, so that less than the usual 95 % will do.
    const SURE: f64 = 0.85;
    let is_disturbed = result.warnings.iter().any(|warning| warning.code == NO_UNDISTURBED_SAMPLES);
    !is_disturbed && result.interval_confidence.is_some_and(|level| level >= SURE)
}

fn of_curve(curve: &[&RunResult], steps: &RingSteps, host: &Facts) -> Vec<SweepKnee> {
    let figure = CurveFigure::of(curve.iter().copied());
    let point = |result: &&RunResult| Some((steps.variable.of(result.ring?), figure.value(result)));
    let points: Vec<(u64, Option<Estimate>)> =
        curve.iter().filter(|result| is_sure(result)).filter_map(point).collect();
    let knee = |knee: Knee| {
        let RunResult { workload, placement, .. } = curve[0];
        let caches = if *placement == Placement::Same { passed(&knee, steps, &host.caches) } else { Vec::new() };
        SweepKnee { workload: workload.clone(), placement: *placement, figure, knee, caches }
    };
    knees(&points).into_iter().map(knee).collect()
}

/// Returns the caches whose size lies between the working sets of all participants below a knee and above it: on one
/// CPU they share its caches, and each finds there what the others have left of its own.
fn passed(knee: &Knee, steps: &RingSteps, caches: &[Cache]) -> Vec<Cache> {
    let [below, above] = [knee.below, knee.above].map(|step| all_working_sets(steps.variable.set(steps.fixed, step)));
    let is_passed = |cache: &&Cache| above > 0 && (below..=above).contains(&cache.size_bytes);
    caches.iter().filter(is_passed).cloned().collect()
}

/// Returns the bytes that the participants of a ring walk between two turns of one of them.
pub fn all_working_sets(ring: RingShape) -> u64 {
    ring.participants.saturating_mul(ring.working_set_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::shape::RingVariable;

    const CACHES: [(u32, u64); 3] = [(1, 32 << 10), (2, 1 << 20), (3, 32 << 20)];

    fn check(variable: RingVariable, fixed: RingShape, between: (u64, u64), expected: &[&str]) {
        let steps = RingSteps { variable, steps: vec![between.0, between.1], fixed };
        let knee =
            Knee { below: between.0, above: between.1, below_ns: 1.0, above_ns: 2.0, growth_before: 0.0, growth: 1.0 };
        let cache = |(level, size_bytes)| Cache {
            level,
            kind: if level == 1 { "Data" } else { "Unified" }.to_string(),
            size_bytes,
            shared_cpus: None,
        };
        let names: Vec<String> = passed(&knee, &steps, &CACHES.map(cache)).iter().map(Cache::name).collect();
        assert_eq!(names, expected, "{between:?}");
    }

    #[test]
    fn a_cache_is_named_where_all_working_sets_together_pass_its_size() {
        let pair = RingShape { participants: 2, working_set_bytes: 0 };
        for (between, expected) in [
            ((4 << 10, 8 << 10), &[][..]),
            ((8 << 10, 16 << 10), &["L1d"]),
            ((16 << 10, 32 << 10), &["L1d"]),
            ((32 << 10, 64 << 10), &[]),
            ((256 << 10, 512 << 10), &["L2"]),
            ((8 << 10, 512 << 10), &["L1d", "L2"]),
        ] {
            check(RingVariable::WorkingSet, pair, between, expected);
        }
        let each = RingShape { participants: 2, working_set_bytes: 64 << 10 };
        check(RingVariable::Participants, each, (8, 32), &["L2"]);
        // The memory that participants without a working set touch is not known.
        check(RingVariable::Participants, pair, (2, 1 << 40), &[]);
    }
}
