//! What was seen, uninterpreted: the raw samples of a run, from which every figure can be worked out again.
//!
//! ```text
//! RunSamples ─ counters (name, scope), how they were attached
//! └ WorkloadSamples ─ one per workload and placement, in the order asked for
//!   └ pass ─ what was attached: the main one, one that prices the counters themselves, those that count at a cost
//!     └ Incarnation ─ one set of parties from creation to end
//!       └ Sample ─ a batch of ops, timed once, counters read around it
//! ```

pub mod footprint;
pub mod latency;
pub mod records;
mod ring;
pub mod speed;
pub mod trial;
pub mod watched;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sample::latency::Latency;
use crate::sample::records::Recording;
use crate::unit::{Bytes, MonotonicNs};
pub use ring::{RingShape, RingSteps, RingVariable};

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

/// How the kernel's counters were attached, and what could not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counting {
    pub mode: CountingMode,
    /// What each sample's `counts` are, in their order.
    pub counters: Vec<CounterInfo>,
    /// Counters that this system does not offer, with what it answered.
    pub absent: Vec<AbsentCounter>,
    /// Better modes that were tried before this one, with what the system answered.
    pub refused: Vec<String>,
    /// What a reader of the numbers must know about these counters.
    pub remarks: Vec<String>,
}

impl Counting {
    /// No counters, and nothing said about them.
    pub fn without_counters(mode: CountingMode) -> Counting {
        Counting { mode, counters: Vec::new(), absent: Vec::new(), refused: Vec::new(), remarks: Vec::new() }
    }
}

/// Where the kernel switches of a run were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountingMode {
    /// Perf events on the pinned CPU, whoever runs there.
    Cpu,
    /// Perf events on the parties' threads, which slows every switch.
    Thread,
    /// What the kernel keeps for every thread (getrusage, /proc), without perf.
    Rusage,
    /// Nowhere.
    None,
}

impl CountingMode {
    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            CountingMode::Cpu => "cpu",
            CountingMode::Thread => "thread",
            CountingMode::Rusage => "rusage",
            CountingMode::None => "none",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterInfo {
    /// As perf prints it: `context-switches`, `cycles:u`, `msr/tsc/`.
    pub name: String,
    pub scope: CountingMode,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentCounter {
    pub name: String,
    pub reason: String,
}

/// A workload that cannot be measured here, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub workload: String,
    pub placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    pub reason: String,
    /// What would help, as a command.
    pub remedy: Option<String>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.ring {
            Some(_) => row_title(&self.workload, self.placement, self.ring),
            None => self.workload.clone(),
        };
        write!(out, "{title}: {}", self.reason)?;
        self.remedy.iter().try_for_each(|remedy| write!(out, " ({remedy})"))
    }
}

/// How a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Complete,
    /// A signal asked for it; its number.
    Interrupted(i32),
    /// A workload could not go on; what happened.
    Failed(String),
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

/// Where two parties run, relative to each other: by what their CPUs share, nearest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// One CPU.
    #[default]
    Same,
    /// Two hardware threads of one core.
    Smt,
    /// Two cores with a last-level cache in common.
    Llc,
    /// Two cores of one socket, each with a last-level cache of its own or an unknown one.
    Socket,
    /// Two sockets.
    Cross,
}

impl Placement {
    /// Every placement, nearest first.
    pub const ALL: [Placement; 5] =
        [Placement::Same, Placement::Smt, Placement::Llc, Placement::Socket, Placement::Cross];

    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Placement::Same => "same",
            Placement::Smt => "smt",
            Placement::Llc => "llc",
            Placement::Socket => "socket",
            Placement::Cross => "cross",
        }
    }
}

/// A workload by its name, with where it ran if that is not one CPU, and the ring that it was if that is no pair.
pub fn row_title(workload: &str, placement: Placement, ring: Option<RingShape>) -> String {
    let place = (placement != Placement::Same).then(|| placement.name().to_string());
    let parties = ring.map(|ring| format!("{} parties", ring.parties));
    let memory = ring.filter(|ring| ring.working_set_bytes > 0);
    let memory = memory.map(|ring| format!("{} each", Bytes(ring.working_set_bytes as f64)));
    let details: Vec<String> = place.into_iter().chain(parties).chain(memory).collect();
    if details.is_empty() { workload.to_string() } else { format!("{workload} ({})", details.join(", ")) }
}

/// What the parties of a workload are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Thread,
    Process,
    /// A tokio task, never a Linux thread.
    Task,
    Coroutine,
    Goroutine,
    /// Something to compare with, in which nothing switches.
    Reference,
}

impl Kind {
    /// Every kind, in the order in which their workloads are listed.
    pub const ALL: [Kind; 6] =
        [Kind::Thread, Kind::Process, Kind::Task, Kind::Coroutine, Kind::Goroutine, Kind::Reference];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Thread => "thread",
            Kind::Process => "process",
            Kind::Task => "task",
            Kind::Coroutine => "coroutine",
            Kind::Goroutine => "goroutine",
            Kind::Reference => "reference",
        }
    }
}

/// Who counts a workload's own switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwitchSource {
    /// They are kernel switches.
    Kernel,
    /// The workload, at every poll of a task.
    Polls,
    /// The workload, at every resume of a coroutine.
    Resumes,
    /// The kernel, by a probe on the function of a runtime that switches, in a pass of its own.
    Uprobe,
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

/// Threads woken, counted in a pass of its own.
pub const WAKE_UPS: &str = "sched:sched_waking";
/// Switches to the idle thread, counted in a pass of its own where the parties run on two CPUs.
pub const TO_IDLE: &str = "sched:sched_switch/next_pid==0/";
/// Calls of the function by which a program's runtime switches, counted in a pass of its own.
pub const PROBE: &str = "uprobe";

/// perf's `time_enabled` and `time_running`: equal unless the event had to share its hardware with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterTimes {
    pub enabled_ns: u64,
    pub running_ns: u64,
}

/// What else happened to the pinned CPU during an incarnation; `None` where it cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    pub elapsed_ns: u64,
    /// Time taken by the hypervisor.
    pub steal_ns: Option<u64>,
    /// Interrupts that the CPU took.
    pub interrupts: Option<u64>,
    /// Times that the cgroup's CPU quota stopped it.
    pub throttled: Option<u64>,
    /// How long the CPU's SMT siblings were busy, summed over them.
    pub siblings_busy_ns: Option<u64>,
}

impl Surroundings {
    /// Time that the hypervisor took, as a share, beyond which a reader should know.
    pub const STEAL: f64 = 0.01;
    /// An SMT sibling busy for this share of the time slows its core.
    pub const SIBLING_BUSY: f64 = 0.1;
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

/// What the kernel booked on all parties together; `None` where its books cannot be read or were not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyUsage {
    /// Between the two readings of the books: what `cpu_ns` is out of.
    pub wall_ns: u64,
    pub voluntary: Option<u64>,
    pub involuntary: Option<u64>,
    pub cpu_ns: Option<u64>,
}

impl PartyUsage {
    /// Kernel switches of either sort.
    pub fn switches(&self) -> Option<u64> {
        Some(self.voluntary? + self.involuntary?)
    }
}

/// What was seen of a tool that people quote, beside a workload of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerSamples {
    pub tool: String,
    /// As it would be typed.
    pub command: String,
    /// What was started.
    pub program: Option<PeerProgram>,
    /// Switches per op that people divide by.
    pub assumed_switches_per_op: f64,
    /// The workload of ours that does the same, and which of its figures is of the same sort.
    pub own_workload: String,
    pub own_figure: OwnFigure,
    pub pairs: Vec<Pair>,
    pub switches: PeerSwitches,
}

/// A tool's program, which may be one of several on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerProgram {
    pub path: String,
    /// As it says itself; `None` if it does not.
    pub version: Option<String>,
}

/// Which figure of ours a tool's is set beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnFigure {
    /// The mean of all samples: the tool prints a mean, with everything in it.
    Mean,
    /// The median of the clean ones: the tool's is a median too.
    Median,
}

/// One round of a tool and of our own workload, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub claim: Claim,
    pub own: RunSamples,
}

/// What a tool said of a round, and what the kernel booked on it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    pub ns_per_op: f64,
    pub ops: u64,
    /// Kernel switches of all its threads and children.
    pub kernel_switches: u64,
}

/// Where a tool's switches were counted.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerSwitches {
    /// They are those that the kernel booked on it, in every claim.
    Booked,
    /// By a probe in a pass of its own; per op.
    Probed(f64),
    /// Nowhere; why.
    NotCounted(String),
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
