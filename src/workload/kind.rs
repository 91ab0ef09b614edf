//! Kinds of participants, and the source of each kind's switch counts.

use serde::{Deserialize, Serialize};

/// Kind of a workload's participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Thread,
    Process,
    /// A tokio task, never a Linux thread.
    Task,
    Coroutine,
    Goroutine,
    /// A baseline for comparison in which nothing switches.
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

/// Source of the count of a workload's own switches.
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
