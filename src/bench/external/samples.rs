//! Samples of external benchmarks, beside workloads of ours.

use serde::{Deserialize, Serialize};

use crate::bench::sample::RunSamples;

#[derive(Debug, Clone, PartialEq)]
pub struct ExternalSamples {
    pub tool: String,
    /// As it would be typed.
    pub command: String,
    pub program: Option<ExternalProgram>,
    /// Switches per op that its users assume.
    pub assumed_switches_per_op: f64,
    /// The workload of ours that does the same, and which of its figures is of the same kind.
    pub own_workload: String,
    pub own_figure: OwnFigure,
    pub pairs: Vec<Pair>,
    pub switches: ExternalSwitches,
}

/// A benchmark's program, which may be one of several on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalProgram {
    pub path: String,
    /// As it reports itself; `None` if it does not.
    pub version: Option<String>,
}

/// Figure of ours that a benchmark's is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnFigure {
    /// The mean of all samples: the tool prints a mean, with everything in it.
    Mean,
    /// The median of the undisturbed ones: the tool's is a median too.
    Median,
}

/// One round of a benchmark and of our own workload, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub claim: Claim,
    pub own: RunSamples,
}

/// Results that a benchmark reported for a round, and kernel accounting of it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    pub ns_per_op: f64,
    pub ops: u64,
    /// Kernel switches of all its threads and children.
    pub kernel_switches: u64,
}

/// Source of a benchmark's number of switches.
#[derive(Debug, Clone, PartialEq)]
pub enum ExternalSwitches {
    /// Kernel accounting, in every claim.
    Accounted,
    /// By a probe in a pass of its own; per op.
    Probed(f64),
    /// Not counted, with the reason.
    NotCounted(String),
}
