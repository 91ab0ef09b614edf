//! `ctxprof.compare/2`: results that external benchmarks report, their counted switches, and our own results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bench::external::samples::{ExternalProgram, ExternalSamples, ExternalSwitches, OwnFigure, Pair};
use crate::bench::figures::{self, ReferenceLoop};
use crate::bench::left_out::LeftOut;
use crate::document::{Document, Ending};
use crate::estimate::{Estimate, median};

pub const SCHEMA: &str = "ctxprof.compare/2";

pub type CompareDocument = Document<CompareSettings, CompareBody>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareSettings {
    pub rounds: u32,
    /// Files with other runs' output, as named.
    pub with: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareBody {
    pub rows: Vec<CompareRow>,
    /// Results from files, whose switches nobody counted.
    pub saved: Vec<SavedRow>,
    /// Lines of those files from which nothing was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOverRow>,
    /// Tools that are not available.
    pub left_out: Vec<LeftOut>,
    pub ending: Ending,
}

/// One external benchmark's op beside ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareRow {
    pub tool: String,
    pub command: String,
    /// Program that was started; absent in older documents, and where none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ExternalProgram>,
    /// Reported time per op, the median over rounds.
    pub reported_ns_per_op: Option<f64>,
    /// Switches per op that its users assume.
    pub assumed_switches_per_op: f64,
    pub counted_switches_per_op: Option<f64>,
    /// `wait4`, which counts a tool's kernel switches, or `uprobe`.
    pub counted_by: Option<String>,
    /// Reason why nothing was counted.
    pub not_counted: Option<String>,
    /// Reported ns/op ÷ assumed switches, and ÷ counted switches.
    pub reported_ns_per_switch: Option<f64>,
    pub counted_ns_per_switch: Option<f64>,
    pub own_workload: String,
    /// Our own figure of that kind, the median over rounds.
    pub own_ns_per_op: Option<f64>,
    /// Reported ns/op ÷ ours, over the rounds.
    pub ratio: Option<Estimate>,
    pub rounds: u32,
}

/// A result from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRow {
    pub file: String,
    /// Distinguishes a row from the others of its file, except repetitions of the same benchmark.
    pub what: String,
    /// Configuration that Go wrote above it: `pkg`, `goos` and so on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configuration: BTreeMap<String, String>,
    pub reported_ns_per_op: f64,
}

/// Consecutive lines of a file that no result was taken from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassedOverRow {
    pub file: String,
    /// Counted from 1.
    pub from_line: usize,
    pub to_line: usize,
    /// Text of the first line.
    pub text: String,
    /// Null if the lines are not recognized.
    pub reason: Option<String>,
}

/// Computes the row of one external benchmark.
pub fn row(samples: &ExternalSamples) -> CompareRow {
    let reported = median(samples.pairs.iter().map(|pair| pair.claim.ns_per_op).collect());
    let accounted = || median(samples.pairs.iter().map(switches_per_op).collect());
    let (counted, counted_by, not_counted) = match &samples.switches {
        ExternalSwitches::Accounted => (accounted(), Some("wait4".to_string()), None),
        ExternalSwitches::Probed(per_op) => (Some(*per_op), Some("uprobe".to_string()), None),
        ExternalSwitches::NotCounted(reason) => (None, None, Some(reason.clone())),
    };
    let own: Vec<Option<f64>> = samples.pairs.iter().map(|pair| own_figure(pair, samples.own_figure)).collect();
    let ratios = samples.pairs.iter().zip(&own).filter_map(|(pair, own)| Some(pair.claim.ns_per_op / (*own)?));
    CompareRow {
        tool: samples.tool.clone(),
        command: samples.command.clone(),
        program: samples.program.clone(),
        reported_ns_per_op: reported,
        assumed_switches_per_op: samples.assumed_switches_per_op,
        counted_switches_per_op: counted,
        counted_by,
        not_counted,
        reported_ns_per_switch: reported.map(|reported| reported / samples.assumed_switches_per_op),
        counted_ns_per_switch: reported
            .zip(counted)
            .filter(|(_, counted)| *counted > 0.0)
            .map(|(reported, counted)| reported / counted),
        own_workload: samples.own_workload.clone(),
        own_ns_per_op: median(own.iter().copied().flatten().collect()),
        ratio: Estimate::over(ratios),
        rounds: samples.pairs.len() as u32,
    }
}

fn switches_per_op(pair: &Pair) -> f64 {
    pair.claim.kernel_switches as f64 / pair.claim.ops.max(1) as f64
}

fn own_figure(pair: &Pair, figure: OwnFigure) -> Option<f64> {
    let workload = pair.own.workloads.first()?;
    let timed = workload.repetitions.iter().flat_map(|repetition| &repetition.samples);
    let reference_loop =
        ReferenceLoop::of(timed).with_clock(pair.own.clock_read_ns).with_reference(pair.own.reference_ns);
    let row = figures::summarize(workload, &pair.own.counting, reference_loop);
    match figure {
        OwnFigure::Mean => row.result.mean_ns_per_op,
        OwnFigure::Median => row.result.ns_per_op.map(|cost| cost.median),
    }
}
