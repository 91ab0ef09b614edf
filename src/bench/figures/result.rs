//! One workload's row of figures, as documents hold it.

use serde::{Deserialize, Serialize};

use crate::bench::figures::counters::{Audit, CounterRecord};
use crate::bench::figures::latency::LatencyFigures;
use crate::bench::figures::recorded::Breakdown;
use crate::bench::left_out::row_title;
use crate::document::Warning;
use crate::estimate::{Component, Confidence, Estimate, Priors, Reproducibility, standard_error};
use crate::host::placement::Placement;
use crate::sched::timeline::Timeline;
use crate::workload::kind::Kind;
use crate::workload::shape::RingShape;

/// The warning of figures that include disturbed samples, for lack of undisturbed ones.
pub const NO_UNDISTURBED_SAMPLES: &str = "no-undisturbed-samples";

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

/// Times per op with the participants' memory in various places. No interval: these are the places, not samples of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    pub places: usize,
    pub lowest_ns_per_op: f64,
    pub median_ns_per_op: f64,
    pub highest_ns_per_op: f64,
}

/// Source of a number of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountSource {
    Kernel,
    Polls,
    Resumes,
    Uprobe,
    /// Nobody counted: the expectation of the workload's author.
    Expected,
}

impl CountSource {
    /// Returns the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            CountSource::Kernel => "kernel",
            CountSource::Polls => "polls",
            CountSource::Resumes => "resumes",
            CountSource::Uprobe => "uprobe",
            CountSource::Expected => "expected",
        }
    }
}

/// Returns how often an op of this kind hands control over; `None` if the scheduler decides, or nothing is handed over.
pub fn hand_overs_per_op(op: &str) -> Option<f64> {
    match op {
        // Documents that do not say are of round trips.
        "round trip" | "" => Some(2.0),
        "one hop" | "one message" => Some(1.0),
        _ => None,
    }
}
