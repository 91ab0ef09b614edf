//! Who ran for how long on which CPU, why each left, and who was woken when.

use serde::{Deserialize, Serialize};

/// Where the records were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordSource {
    /// On the parties' CPUs, whoever runs there.
    Cpu,
    /// On the parties' threads: who runs while none of them does is not seen.
    Thread,
}

/// A typical op.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub source: RecordSource,
    /// Recorded ops of which all is known, and how many of them went as this one.
    pub ops: usize,
    pub alike: usize,
    /// All of them by their switches, the most frequent number first.
    pub by_switches: Vec<BySwitches>,
    /// Of those that went as this one, the median.
    pub duration_ns: u64,
    /// Times that a party left a CPU.
    pub switches: usize,
    /// In the order of their begins.
    pub stretches: Vec<Run>,
    pub wake_ups: Vec<Wake>,
}

/// Ops that made the same number of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySwitches {
    pub switches: usize,
    pub ops: usize,
}

/// A thread on a CPU, since the op's begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub cpu: u32,
    /// `leader`, `follower`, `idle`, or another thread's name.
    pub who: String,
    pub party: bool,
    pub from_ns: u64,
    pub to_ns: u64,
    pub left: Left,
}

/// Somebody wakes a party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wake {
    pub at_ns: u64,
    pub by: String,
    pub whom: String,
}

/// Why a thread left its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// To wait for something.
    Sleeps,
    /// It could have gone on, and another was preferred.
    Preempted,
    /// It could have gone on, and called sched_yield(2).
    Yields,
    /// It could have gone on; which of the two was not recorded.
    Runnable,
    /// It goes on after the op's end.
    Stays,
    Unknown,
}
