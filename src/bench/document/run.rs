//! `ctxprof.run/2`: the switch costs of one machine.

use serde::{Deserialize, Serialize};

use crate::bench::document::samples::SamplesDocument;
use crate::bench::document::settings::RunSettings;
use crate::bench::document::warnings;
use crate::bench::figures::alike::{self, Alike, hand_overs_per_op};
use crate::bench::figures::recorded::{self, Breakdown};
use crate::bench::figures::reference;
use crate::bench::figures::{
    self, Audit, CountSource, Elsewhere, LatencyFigures, NO_UNDISTURBED_SAMPLES, Ratio, ReferenceLoop, Row,
};
use crate::bench::left_out::{LeftOut, row_title};
use crate::bench::sample::{RunSamples, WorkloadSamples};
use crate::document::{Document, Ending, Warning};
use crate::estimate::{Component, Confidence, Estimate, Priors, Reproducibility, standard_error};
use crate::host::placement::Placement;
use crate::perf::counting::{AbsentCounter, Counting, CountingMode};
use crate::sched::timeline::Timeline;
use crate::workload::kind::Kind;
use crate::workload::shape::RingShape;

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

/// One workload's row. A figure without a source is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    pub workload: String,
    pub kind: Kind,
    /// Description of one op.
    #[serde(default)]
    pub op: String,
    /// Note to read before comparing it with another.
    #[serde(default)]
    pub remark: Option<String>,
    /// Compiler that built the participants' program, if not ctxprof's own, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// Placement of the participants relative to each other.
    #[serde(default)]
    pub placement: Placement,
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// Shape of the ring; absent for a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    pub ns_per_op: Option<Estimate>,
    /// CPU time of all participants.
    #[serde(default)]
    pub cpu_ns_per_op: Option<Estimate>,
    /// Mean of all samples, disturbed ones included.
    pub mean_ns_per_op: Option<f64>,
    pub switches_per_op: Option<f64>,
    /// The same over repetitions, where switches were counted in the samples that time is taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switches_per_op_interval: Option<Estimate>,
    /// The lowest and the highest count of a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switches_per_op_range: Option<SwitchesRange>,
    pub expected_switches_per_op: Option<f64>,
    pub switches_source: CountSource,
    pub kernel_switches_per_op: Option<f64>,
    /// Per op.
    pub kernel_switches: Option<KernelSwitches>,
    /// Time per op with the participants' memory elsewhere; absent where that is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    pub ns_per_switch: Option<Estimate>,
    pub no_switch_ns_per_op: Option<Estimate>,
    pub net_ns_per_switch: Option<Estimate>,
    /// The same in CPU time of all participants: `stat` estimates a program's switch cost with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_cpu_ns_per_switch: Option<Estimate>,
    pub repetitions: u32,
    /// Probability that an interval contains its median; null for one repetition.
    pub interval_confidence: Option<f64>,
    pub counters: Vec<CounterRecord>,
    pub samples: SampleCounts,
    /// The kernel's two counters of the same switches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Time while switches are counted ÷ time while they are not. Included in the costs where the source is `thread`;
    /// in separate samples where it is `cpu`.
    #[serde(default)]
    pub counting_cost: Option<Estimate>,
    /// Spread of `ns_per_op` between runs on this host; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducibility: Option<Reproducibility>,
    /// Latencies of ops timed one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyFigures>,
    /// Breakdown of an op, if asked for and recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<Breakdown>,
    /// Typical ops, the most frequent number of switches first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timelines: Vec<Timeline>,
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

impl RunResult {
    /// Returns the row's name in reports: the workload, with its placement and its ring where they are not the usual.
    pub fn title(&self) -> String {
        row_title(&self.workload, self.placement, self.ring)
    }

    /// Returns the variance of `ns_per_op`'s logarithm by this run's repetitions; `None` without an interval.
    pub fn own_error(&self) -> Option<Component> {
        self.error_of(self.ns_per_op?)
    }

    /// The same for another of its figures.
    fn error_of(&self, figure: Estimate) -> Option<Component> {
        let confidence = Confidence::of_level(self.interval_confidence?, self.repetitions as usize)?;
        let u = standard_error(confidence.1, confidence.0.left_out, figure.low?, figure.high?)?;
        Some(Component { variance: u * u, freedom: (confidence.1 - 1) as f64 })
    }

    /// Returns true if its figures include disturbed samples, for lack of undisturbed ones.
    pub fn is_of_disturbed_samples(&self) -> bool {
        self.warnings.iter().any(|warning| warning.code == NO_UNDISTURBED_SAMPLES)
    }

    /// Returns a figure with the interval that another run will fall into: one of this session, or of any day. Its own
    /// interval where nothing is known of that.
    pub fn reproducible(&self, figure: Option<Estimate>, when: When) -> Option<Estimate> {
        let figure = figure?;
        let told = self.reproducibility.zip(self.error_of(figure)).zip(self.ns_per_op);
        let Some(((reproducibility, u), cost)) = told else { return Some(figure) };
        let mut varies = reproducibility.components(Priors::VIRTUAL);
        if Some(figure) == self.net_ns_per_switch || Some(figure) == self.net_cpu_ns_per_switch {
            // The variation is in the total, and weighs more in what is left without the no-switch cost.
            let whole = self.ns_per_switch.map_or(cost.median, |whole| whole.median);
            let larger = (whole / figure.median).max(1.0).powi(2);
            varies.run.variance *= larger;
            varies.day.variance *= larger;
        }
        let half = match when {
            When::ThisSession => varies.this_session(u),
            When::AnyDay => varies.any_day(u),
        };
        let ends = [-half, half].map(|end| figure.median * end.exp());
        let is_told = ends.iter().all(|end| end.is_finite());
        Some(if is_told { Estimate { low: Some(ends[0]), high: Some(ends[1]), ..figure } } else { figure })
    }

    /// Returns the time to hand control over once, as a message does: half a round trip. Where the scheduler decides
    /// how often an op does, the time of a switch; `None` where nothing switches.
    pub fn ns_per_hand_over(&self) -> Option<f64> {
        match hand_overs_per_op(&self.op) {
            Some(hand_overs) => Some(self.ns_per_op?.median / hand_overs),
            None => Some(self.ns_per_switch?.median),
        }
    }
}

/// Switches per op, sample by sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SwitchesRange {
    pub lowest: f64,
    pub highest: f64,
}

/// Time at which another run would be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// On the same boot, within an hour.
    ThisSession,
    AnyDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KernelSwitches {
    pub voluntary: f64,
    pub involuntary: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterRecord {
    pub name: String,
    /// Where it was attached.
    pub source: CountingMode,
    pub per_op: f64,
    pub total: f64,
    pub running_ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SampleCounts {
    pub taken: usize,
    pub undisturbed: usize,
    /// Samples with the CPU below full speed; none of them is undisturbed.
    pub slowed: usize,
    /// Samples in which the kernel's switch counter was on; 0 if it never was.
    pub counted: usize,
    pub ops_per_sample: u64,
    /// Other threads' switches on the pinned CPU, in the counted samples.
    pub foreign_switches: Option<i64>,
}

/// Computes a run's figures: the same samples give the same document, now or read from a file.
pub fn from_samples(document: &SamplesDocument) -> RunDocument {
    let RunSamples { counting, workloads, left_out, ending, clock_read_ns, reference_ns, waited_ns, .. } =
        &document.body.seen;
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
        results: rows
            .iter()
            .zip(workloads)
            .map(|(row, samples)| with_records(result(row, counting), samples, &document.settings))
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

fn result(row: &Row, counting: &Counting) -> RunResult {
    let measured = row.repetitions_with_cost;
    RunResult {
        workload: row.workload.clone(),
        kind: row.kind,
        op: row.op.clone(),
        remark: row.remark.clone(),
        toolchain: row.toolchain.clone(),
        placement: row.placement,
        cpus: row.cpus.clone(),
        ring: row.ring,
        cpu_ns_per_op: row.cpu_ns_per_op,
        ns_per_op: row.ns_per_op,
        mean_ns_per_op: row.mean_ns_per_op,
        switches_per_op: row.switches.counted_per_op,
        switches_per_op_interval: row.switches.interval,
        switches_per_op_range: row.switches.range.map(|(lowest, highest)| SwitchesRange { lowest, highest }),
        expected_switches_per_op: row.switches.expected_per_op,
        switches_source: row.switches.source,
        kernel_switches_per_op: row.kernel_switches_per_op,
        kernel_switches: row
            .voluntary_per_op
            .zip(row.involuntary_per_op)
            .map(|(voluntary, involuntary)| KernelSwitches { voluntary, involuntary }),
        elsewhere: row.elsewhere,
        ns_per_switch: row.ns_per_switch,
        no_switch_ns_per_op: row.no_switch_ns_per_op,
        net_ns_per_switch: row.net_ns_per_switch,
        net_cpu_ns_per_switch: row.net_cpu_ns_per_switch,
        repetitions: row.rounds.len() as u32,
        interval_confidence: Confidence::of(measured).map(|confidence| confidence.level),
        counters: row
            .counters
            .iter()
            .map(|total| CounterRecord {
                name: total.counter.name.clone(),
                source: total.counter.scope,
                per_op: total.per_op,
                total: total.total,
                running_ratio: total.running_ratio,
            })
            .collect(),
        samples: SampleCounts {
            taken: row.samples_taken,
            undisturbed: row.samples_undisturbed,
            slowed: row.samples_slowed,
            counted: if counting.counters.is_empty() { 0 } else { row.samples_counted },
            ops_per_sample: row.ops_per_sample,
            foreign_switches: row.foreign_switches,
        },
        audit: row.audit,
        counting_cost: row.counting_cost,
        reproducibility: None,
        latency: row.latency.clone(),
        breakdown: None,
        timelines: Vec::new(),
        warnings: figures::of_row(row),
    }
}

/// Returns the result with the breakdown and the timelines that were asked for.
fn with_records(mut result: RunResult, samples: &WorkloadSamples, settings: &RunSettings) -> RunResult {
    let Some(recording) = &samples.recording else { return result };
    let title = row_title(&samples.workload, samples.placement, samples.ring);
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
