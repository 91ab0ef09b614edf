//! What was seen, uninterpreted: the raw samples of a run, from which every figure can be worked out again.
//!
//! ```text
//! RunSamples ─ counters (name, scope), how they were attached
//! └ WorkloadSamples ─ one per workload and placement, in the order asked for
//!   └ pass ─ what was attached: the main one, one that prices the counters themselves, those that count at a cost
//!     └ Incarnation ─ one set of parties from creation to end
//!       └ Sample ─ a batch of ops, timed once, counters read around it
//! ```

pub mod latency;
pub mod records;
pub mod speed;

use serde::{Deserialize, Serialize};

use crate::bench::left_out::LeftOut;
use crate::bench::sample::latency::Latency;
use crate::bench::sample::records::Recording;
use crate::document::Ending;
use crate::host::placement::Placement;
use crate::host::surroundings::Surroundings;
use crate::perf::books::PartyUsage;
use crate::perf::counting::{CounterInfo, CounterTimes, Counting};
use crate::unit::MonotonicNs;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::shape::RingShape;

/// Everything that a run saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSamples {
    pub counting: Counting,
    pub workloads: Vec<WorkloadSamples>,
    /// What was meant to be measured and cannot be here.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    pub ending: Ending,
    /// What reading the clock costs: a sample's time is not known better.
    #[serde(default)]
    pub clock_read_ns: Option<u64>,
    /// What the stretch of arithmetic takes at full speed by the runs kept before, ns; `None` where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_ns: Option<f64>,
    /// How long the run waited for its core to reach that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ns: Option<u64>,
    /// When the first op of all was played, on the monotonic clock; `None` if none was.
    pub first_op_at_ns: Option<MonotonicNs>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSamples {
    pub workload: String,
    pub kind: Kind,
    pub switch_source: SwitchSource,
    pub expected_switches_per_op: Option<f64>,
    /// What one op is.
    #[serde(default)]
    pub op: String,
    /// What a reader of its row must know to compare it with another.
    #[serde(default)]
    pub remark: Option<String>,
    /// What other compiler than ctxprof's own built the parties' program: `go1.24.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// Where the parties ran, relative to each other.
    #[serde(default)]
    pub placement: Placement,
    /// The CPUs they ran on: one, or the leader's and the other parties'.
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// The ring that they were; `None` of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    pub incarnations: Vec<Incarnation>,
    /// How many of them were played again at the end, because the core was slow in the first place.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: u32,
    /// The same loops with nothing attached, where the counters themselves slow them; else empty.
    pub uncounted: Vec<Incarnation>,
    /// The same by parties that lie elsewhere in memory each time, where that is told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Incarnation>,
    /// The same loops with counters that slow them, each in a pass of its own.
    #[serde(default)]
    pub passes: Vec<PassSamples>,
    /// What was recorded of each switch, in a pass of its own; `None` where that was not asked for or not to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What was seen in a pass of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassSamples {
    /// What each sample's `counts` are, in their order.
    pub counters: Vec<CounterInfo>,
    pub incarnations: Vec<Incarnation>,
}

/// One set of parties from creation to end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Incarnation {
    /// What times are taken from, in the order they were taken.
    pub samples: Vec<Sample>,
    /// Samples of the same parties, taken next, in which switches were counted at a cost to the parties; empty if the
    /// counting was free, or was done in `samples`, or not at all.
    pub counted: Vec<Sample>,
    /// What the same parties took for each op by itself, asked next; `None` unless that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// The same calls where nothing switches, taken right after; empty if the workload has no floor.
    pub floor: Vec<Sample>,
    /// For every counter, the time it was meant to count and did, over the whole incarnation.
    pub times: Vec<CounterTimes>,
    pub surroundings: Surroundings,
}

/// A batch of ops timed once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub started_at_ns: MonotonicNs,
    pub ops: u64,
    pub elapsed_ns: u64,
    /// Switches that the workload counted itself; `None` where it leaves that to the kernel.
    pub own_switches: Option<u64>,
    /// What the kernel booked on the parties' threads meanwhile.
    pub parties: PartyUsage,
    /// How long a fixed stretch of arithmetic took, the longer of one before and one after: the core's own speed.
    pub yardstick_ns: u64,
    /// One per counter of [`Counting::counters`]; `None` for one that did not count then.
    pub counts: Vec<Option<u64>>,
}

#[cfg(test)]
impl WorkloadSamples {
    /// thread-pipe on one CPU, with these incarnations.
    pub(crate) fn made_up(incarnations: Vec<Incarnation>) -> WorkloadSamples {
        WorkloadSamples {
            workload: "thread-pipe".to_string(),
            kind: Kind::Thread,
            switch_source: SwitchSource::Kernel,
            expected_switches_per_op: Some(2.0),
            op: "round trip".to_string(),
            remark: None,
            toolchain: None,
            placement: Placement::Same,
            cpus: vec![0],
            ring: None,
            incarnations,
            repeated: 0,
            uncounted: Vec::new(),
            elsewhere: Vec::new(),
            passes: Vec::new(),
            recording: None,
        }
    }
}
