//! The tools that people quote: each run beside a workload of ours, with its own switches counted.
//!
//! A peer says what an op takes by its own account. How many switches that was is counted from outside.

pub mod cross_check;
pub mod go;
pub mod perf;
pub mod samples;
pub mod saved;

use anyhow::Result;

use crate::bench::external::samples::{Claim, OwnFigure, PeerProgram};
use crate::workload::{ProbePoint, Say, Unavailable};

/// One thing that a tool measures, and what of ours measures the same.
#[derive(Debug)]
pub struct Peer {
    pub name: &'static str,
    /// As it would be typed.
    pub command: &'static str,
    /// The workload of ours that does the same.
    pub own_workload: &'static str,
    /// Which of that workload's figures is the same sort of figure.
    pub own_figure: OwnFigure,
    /// Switches per op that people divide by.
    pub assumed_switches_per_op: f64,
    pub available: fn() -> Result<(), Unavailable>,
    /// What is started, if it is available.
    pub program: fn() -> Option<PeerProgram>,
    /// Makes what takes long to make and is kept, before anything is measured.
    pub provide: fn(Say<'_>) -> Result<()>,
    /// Plays a round, on the CPU that the calling thread is pinned to.
    pub play: fn() -> Result<Claim>,
    /// Where a tool counts by a probe in a pass of its own: what is probed, and that pass.
    pub probed: Option<Probed>,
}

/// How the switches of a peer are counted that are none of the kernel's.
#[derive(Debug)]
pub struct Probed {
    pub point: fn() -> Result<ProbePoint>,
    /// Plays so many ops while the probe counts.
    pub play: fn(u32) -> Result<()>,
}

/// Every peer, in the order in which they are shown.
pub static PEERS: &[Peer] = &[perf::THREADS, perf::PROCESSES, go::ONEWAY, go::PING_PONG];
