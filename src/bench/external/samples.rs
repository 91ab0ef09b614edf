//! What was seen of tools that people quote, beside workloads of ours.

use serde::{Deserialize, Serialize};

use crate::bench::sample::RunSamples;

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
