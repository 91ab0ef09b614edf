//! `perf bench sched pipe`: a token through two pipes, between two threads or two processes.
//!
//! It prints a mean over the whole loop, spawn and join included, and nothing about switches; its users divide by two.
//! The loop of newer versions lets both sides write first, which is not two switches per op.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::external::ExternalBenchmark;
use crate::bench::external::samples::{Claim, ExternalProgram, OwnFigure};
use crate::sys::unavailable::Unavailable;
use crate::sys::{signal, subprocess};
use crate::tool::perf::{self, Participants};

/// Round trips per round: half a second.
const OPS: u32 = 100_000;
/// A hundred times that long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const THREADS: ExternalBenchmark = ExternalBenchmark {
    name: "perf, threads",
    command: "perf bench sched pipe -T -l 100000",
    own_workload: "thread-pipe",
    own_figure: OwnFigure::Mean,
    assumed_switches_per_op: 2.0,
    available,
    program,
    provide: |_| Ok(()),
    play: || play(Participants::Threads),
    probed: None,
};

pub(super) const PROCESSES: ExternalBenchmark = ExternalBenchmark {
    name: "perf, processes",
    command: "perf bench sched pipe -l 100000",
    own_workload: "process-pipe",
    play: || play(Participants::Processes),
    ..THREADS
};

fn available() -> Result<(), Unavailable> {
    perf::find().map(drop)
}

fn program() -> Option<ExternalProgram> {
    let perf = perf::find().ok()?;
    Some(ExternalProgram { path: perf.path().display().to_string(), version: Some(perf.version().to_string()) })
}

fn play(participants: Participants) -> Result<Claim> {
    let perf = perf::find()?;
    let finished = subprocess::run(&mut perf.pipe(participants, OPS), PATIENCE, signal::stop_requested)?;
    finished.check("it")?;
    let figures = perf::parse_pipe(finished.stdout.text()?).with_context(|| format!("perf {}", perf.version()))?;
    Ok(Claim {
        ns_per_op: figures.usecs_per_op * 1000.0,
        ops: figures.ops,
        kernel_switches: finished.usage.voluntary + finished.usage.involuntary,
    })
}
