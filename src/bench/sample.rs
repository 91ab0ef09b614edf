//! Raw samples of a run, uninterpreted: every figure can be computed from them again.
//!
//! ```text
//! RunSamples ─ counters (name, scope), how they were attached
//! └ WorkloadSamples ─ one per workload and placement, in the order asked for
//!   └ pass ─ by what was attached: the main one, one for the counters' own cost, those that count at a cost
//!     └ Incarnation ─ a repetition: one set of participants from spawn to join
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
use crate::perf::accounting::ParticipantUsage;
use crate::perf::counting::{CounterInfo, CounterTimes, Counting};
use crate::unit::MonotonicNs;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::shape::RingShape;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSamples {
    pub counting: Counting,
    pub workloads: Vec<WorkloadSamples>,
    /// Workloads that were asked for and cannot be measured on this host.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    pub ending: Ending,
    /// Cost of reading the clock: a sample's time is not known more precisely.
    #[serde(default)]
    pub clock_read_ns: Option<u64>,
    /// Time of the reference loop at full speed by earlier saved runs, ns; `None` if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_ns: Option<f64>,
    /// Time that the run waited for its core to reach that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ns: Option<u64>,
    /// Time of all of it, with the wait and what starts and ends participants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ns: Option<u64>,
    /// Start of the first op of all, on the monotonic clock; `None` if none was played.
    pub first_op_at_ns: Option<MonotonicNs>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSamples {
    pub workload: String,
    pub kind: Kind,
    pub switch_source: SwitchSource,
    pub expected_switches_per_op: Option<f64>,
    /// Description of one op, as in `round trip`.
    #[serde(default)]
    pub op: String,
    /// Note to read before comparing its row with another.
    #[serde(default)]
    pub remark: Option<String>,
    /// Compiler that built the participants' program, if not ctxprof's own: `go1.24.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// Placement of the participants relative to each other.
    #[serde(default)]
    pub placement: Placement,
    /// The CPUs they ran on: one, or the leader's and the other participants'.
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// Shape of the ring; `None` for a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    pub repetitions: Vec<Repetition>,
    /// Number of repetitions that were played again at the end, because the CPU was below full speed at first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: u32,
    /// The same loops with nothing attached, where the counters slow them; else empty.
    pub uncounted: Vec<Repetition>,
    /// The same with the participants' memory elsewhere each time, for workloads where that is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Repetition>,
    /// The same loops with counters that slow them, each in a pass of its own.
    #[serde(default)]
    pub passes: Vec<PassSamples>,
    /// Records of each switch, from a pass of its own; `None` if not asked for or not available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// Reason why its ring was refused after some repetitions; `None` if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_later: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Samples of a pass of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassSamples {
    /// Counters of each sample's `counts`, in their order.
    pub counters: Vec<CounterInfo>,
    pub repetitions: Vec<Repetition>,
}

/// One repetition: one set of participants from spawn to join.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// Samples that times are taken from, in the order they were taken.
    pub samples: Vec<Sample>,
    /// Samples of the same participants, taken next, in which counting switches slows the participants; empty if
    /// counting was free, was done in `samples`, or not at all.
    pub counted: Vec<Sample>,
    /// Latencies of the same participants' ops, taken next; `None` unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// The same calls where nothing switches, half before and half after; empty if the workload has no such loop.
    pub no_switch: Vec<Sample>,
    /// For every counter, its enabled and running time over `samples`.
    pub times: Vec<CounterTimes>,
    pub surroundings: Surroundings,
}

/// A batch of ops timed once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub started_at_ns: MonotonicNs,
    pub ops: u64,
    pub elapsed_ns: u64,
    /// Switches that the workload counted itself; `None` where the kernel counts them.
    pub own_switches: Option<u64>,
    /// Kernel accounting of the participants' threads during the sample.
    pub participants: ParticipantUsage,
    /// Time of the reference loop, the longer of one before and one after: the core's own speed.
    pub reference_loop_ns: u64,
    /// One per counter of [`Counting::counters`]; `None` for one that did not count in this sample.
    pub counts: Vec<Option<u64>>,
}

#[cfg(test)]
impl WorkloadSamples {
    /// thread-pipe on one CPU, with these repetitions.
    pub(crate) fn made_up(repetitions: Vec<Repetition>) -> WorkloadSamples {
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
            repetitions,
            repeated: 0,
            uncounted: Vec::new(),
            elsewhere: Vec::new(),
            passes: Vec::new(),
            recording: None,
            refused_later: None,
        }
    }
}
