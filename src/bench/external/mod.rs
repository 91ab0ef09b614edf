//! External benchmarks: each run beside a workload of ours, with its own switches counted.
//!
//! A benchmark reports its time per op. How many switches that was is counted from outside.

pub mod cross_check;
pub mod go;
pub mod perf;
pub mod samples;
pub mod saved;

use anyhow::Result;

use crate::bench::external::samples::{Claim, ExternalProgram, OwnFigure};
use crate::sys::unavailable::Unavailable;
use crate::workload::{ProbePoint, Say};

/// One external benchmark, and the workload of ours that measures the same.
#[derive(Debug)]
pub struct ExternalBenchmark {
    pub name: &'static str,
    /// As it would be typed.
    pub command: &'static str,
    /// The workload of ours that does the same.
    pub own_workload: &'static str,
    /// The figure of that workload that is of the same kind.
    pub own_figure: OwnFigure,
    /// Switches per op that its users assume.
    pub assumed_switches_per_op: f64,
    pub available: fn() -> Result<(), Unavailable>,
    /// Returns the program that is started, if it is available.
    pub program: fn() -> Option<ExternalProgram>,
    /// Builds what takes long to build and is reused, before anything is measured.
    pub provide: fn(Say<'_>) -> Result<()>,
    /// Plays a round, on the CPU that the calling thread is pinned to.
    pub play: fn() -> Result<Claim>,
    /// Probe for switches that are not the kernel's, and the pass of its own in which it counts.
    pub probed: Option<Probed>,
}

/// Counting of switches that are not the kernel's.
#[derive(Debug)]
pub struct Probed {
    pub point: fn() -> Result<ProbePoint>,
    /// Plays this many ops while the probe counts.
    pub play: fn(u32) -> Result<()>,
}

/// Every external benchmark, in the order in which they are shown.
pub static EXTERNAL_BENCHMARKS: &[ExternalBenchmark] = &[perf::THREADS, perf::PROCESSES, go::ONEWAY, go::PING_PONG];
