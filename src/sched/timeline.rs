//! The timeline of an op: who ran for how long on which CPU, why each left, and who was woken when.

use serde::{Deserialize, Serialize};

/// Scope of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordSource {
    /// On the participants' CPUs, whoever runs there.
    Cpu,
    /// On the participants' threads: others that run meanwhile are not seen.
    Thread,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub source: RecordSource,
    /// Number of completely recorded ops, and of those among them that went like this one.
    pub ops: usize,
    pub alike: usize,
    /// All of them by number of switches, the most frequent first.
    pub by_switches: Vec<BySwitches>,
    /// Median of those that went like this one.
    pub duration_ns: u64,
    /// Number of times that a participant left a CPU.
    pub switches: usize,
    /// By start time.
    pub run_slices: Vec<Run>,
    pub wake_ups: Vec<Wake>,
}

/// Ops with the same number of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySwitches {
    pub switches: usize,
    pub ops: usize,
}

/// A thread on a CPU, in times since the op's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub cpu: u32,
    /// `leader`, `follower`, `idle`, or another thread's name.
    pub who: String,
    pub participant: bool,
    pub from_ns: u64,
    pub to_ns: u64,
    pub left: Left,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wake {
    pub at_ns: u64,
    pub by: String,
    pub whom: String,
}

/// Reason why a thread left its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// To wait for an event.
    Sleeps,
    /// It was runnable, and the scheduler chose another thread.
    Preempted,
    /// It was runnable, and called sched_yield(2).
    Yields,
    /// It was runnable; which of the two is not recorded.
    Runnable,
    /// It runs on after the op's end.
    Stays,
    Unknown,
}
