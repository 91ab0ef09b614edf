//! `perf bench sched pipe`: a token through two pipes, between two threads or two processes.
//!
//! It prints a mean over the whole loop, spawn and join included, and nothing about switches; its users divide by two.
//! The loop of newer versions lets both sides write first, which is not two switches per op.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::external::Peer;
use crate::bench::external::samples::{Claim, OwnFigure, PeerProgram};
use crate::sys::{errand, signal};
use crate::tool::perf::{self, Parties};
use crate::workload::Unavailable;

/// Round trips per round: half a second.
const OPS: u32 = 100_000;
/// A hundred times that long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const THREADS: Peer = Peer {
    name: "perf, threads",
    command: "perf bench sched pipe -T -l 100000",
    own_workload: "thread-pipe",
    own_figure: OwnFigure::Mean,
    assumed_switches_per_op: 2.0,
    available,
    program,
    provide: |_| Ok(()),
    play: || play(Parties::Threads),
    probed: None,
};

pub(super) const PROCESSES: Peer = Peer {
    name: "perf, processes",
    command: "perf bench sched pipe -l 100000",
    own_workload: "process-pipe",
    play: || play(Parties::Processes),
    ..THREADS
};

fn available() -> Result<(), Unavailable> {
    perf::find().map(drop).map_err(Unavailable::from)
}

fn program() -> Option<PeerProgram> {
    let perf = perf::find().ok()?;
    Some(PeerProgram { path: perf.path().display().to_string(), version: Some(perf.version().to_string()) })
}

fn play(parties: Parties) -> Result<Claim> {
    let perf = perf::find()?;
    let finished = errand::run(&mut perf.pipe(parties, OPS), PATIENCE, signal::stop_requested)?;
    finished.check("it")?;
    let figures = perf::parse_pipe(finished.stdout.text()?).with_context(|| format!("perf {}", perf.version()))?;
    Ok(Claim {
        ns_per_op: figures.usecs_per_op * 1000.0,
        ops: figures.ops,
        kernel_switches: finished.usage.voluntary + finished.usage.involuntary,
    })
}
