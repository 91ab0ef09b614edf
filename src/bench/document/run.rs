//! `ctxprof.run/2`: the switch costs of one machine.

use serde::{Deserialize, Serialize};

use crate::bench::document::samples::SamplesDocument;
use crate::bench::document::settings::RunSettings;
use crate::bench::document::warnings;
use crate::bench::figures::alike::{self, Alike};
use crate::bench::figures::recorded;
use crate::bench::figures::reference;
use crate::bench::figures::{self, Ratio, ReferenceLoop, Row};
use crate::bench::left_out::LeftOut;
use crate::bench::sample::{RunSamples, WorkloadSamples};
use crate::document::{Document, Ending, Warning};
use crate::perf::counting::{AbsentCounter, Counting, CountingMode};
use crate::workload::kind::Kind;

pub use crate::bench::figures::{CounterRecord, KernelSwitches, RunResult, SampleCounts, SwitchesRange, When};

pub const SCHEMA: &str = "ctxprof.run/2";

pub type RunDocument = Document<RunSettings, RunBody>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunBody {
    /// Counting mode in the end, with what was absent or refused.
    pub counting: CountingSummary,
    /// Fastest time of the reference loop, ns: it repeats within 1 % between runs, so that it shows a slow run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_loop_ns: Option<f64>,
    /// The same in earlier saved runs on this processor, the median of the faster half: full speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_ns: Option<f64>,
    /// Time that the run waited for its core to reach that, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_s: Option<f64>,
    /// Time of all of it, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<f64>,
    pub results: Vec<RunResult>,
    #[serde(default)]
    pub ratio: Option<Ratio>,
    /// Further ratios of the same kind.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// Time of a handoff by kind of participant, grouped by contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Alike>,
    /// Workloads that were asked for and cannot be measured on this host.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    pub ending: Ending,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountingSummary {
    pub mode: CountingMode,
    #[serde(default)]
    pub absent: Vec<AbsentCounter>,
    #[serde(default)]
    pub refused: Vec<String>,
}

/// Computes a run's figures: the same samples give the same document, now or read from a file.
pub fn from_samples(document: &SamplesDocument) -> RunDocument {
    let RunSamples {
        counting, workloads, left_out, ending, clock_read_ns, reference_ns, waited_ns, elapsed_ns, ..
    } = &document.body.seen;
    let timed = workloads.iter().flat_map(|workload| &workload.repetitions).flat_map(|repetition| &repetition.samples);
    let reference_loop = ReferenceLoop::of(timed).with_clock(*clock_read_ns).with_reference(*reference_ns);
    let rows: Vec<Row> =
        workloads.iter().map(|samples| figures::summarize(samples, counting, reference_loop)).collect();
    let body = RunBody {
        counting: CountingSummary {
            mode: counting.mode,
            absent: counting.absent.clone(),
            refused: counting.refused.clone(),
        },
        reference_loop_ns: reference_loop.quickest_ns(),
        reference_ns: *reference_ns,
        waited_s: waited_ns.map(|ns| ns as f64 / 1e9),
        elapsed_s: elapsed_ns.map(|ns| ns as f64 / 1e9),
        results: rows
            .iter()
            .zip(workloads)
            .map(|(row, samples)| result(row, counting, samples, &document.settings))
            .zip(document.body.reproducibility.iter().copied().chain(std::iter::repeat(None)))
            .map(|(result, reproducibility)| RunResult { reproducibility, ..result })
            .collect(),
        ratio: figures::ratio(&rows, Kind::Task),
        ratios: figures::ratio(&rows, Kind::Goroutine).into_iter().collect(),
        alike: alike::alike(&rows),
        left_out: left_out.clone(),
        ending: ending.clone(),
    };
    RunDocument {
        schema: SCHEMA.to_string(),
        tool: document.tool.clone(),
        started_at: document.started_at.clone(),
        host: document.host.clone(),
        settings: document.settings.clone(),
        body,
        warnings: warnings::of_run(document, &rows)
            .into_iter()
            .chain(reference::beside_saved_runs(*reference_ns, reference_loop.quickest_ns()))
            .collect(),
    }
}

/// Returns a row's result, with its warnings, and the breakdown and the timelines that were asked for.
fn result(row: &Row, counting: &Counting, samples: &WorkloadSamples, settings: &RunSettings) -> RunResult {
    let mut result = RunResult { warnings: figures::of_row(row), ..row.result.clone() };
    if counting.counters.is_empty() {
        result.samples.counted = 0;
    }
    let Some(recording) = &samples.recording else { return result };
    let title = result.title();
    result.warnings.extend(figures::of_recording(recording, &title));
    let plain_ns_per_op = result.ns_per_op.map(|ns| ns.median);
    let breakdown = recorded::breakdown::breakdown(recording, plain_ns_per_op);
    let about = match &breakdown {
        Some(breakdown) => figures::of_recorded_switches(breakdown, result.kernel_switches_per_op, &title),
        None => {
            let message = format!("{title}: no op was recorded whole, and so it has no breakdown and no timeline");
            Some(Warning::new("nothing-whole", message))
        }
    };
    result.warnings.extend(about);
    result.breakdown = breakdown.filter(|_| settings.breakdown);
    if settings.timeline {
        result.timelines = recorded::timeline::timelines(recording);
    }
    result
}
