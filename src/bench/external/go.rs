//! `go test -bench` of two goroutines, in both classic shapes: one way, and there and back.
//!
//! Its loops are those of our own goroutine workloads. It plays 50,000 ops at a time, within 10 ms, 21 times, and the
//! median counts: what runs for longer is preempted by Go's monitor thread, after which two goroutines that hand
//! something to and fro may meet the other way round, at another cost.
//!
//! Kernel switches say nothing of goroutines; theirs are counted by a probe, in a pass of its own.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::bench::external::samples::{Claim, ExternalProgram, OwnFigure};
use crate::bench::external::{ExternalBenchmark, Probed};
use crate::sys::{signal, subprocess};
use crate::tool::{go, gobench};
use crate::workload::{ProbePoint, Say, goroutine};

const TIME: &str = "50000x";
const COUNT: u32 = 21;
const PATIENCE: Duration = Duration::from_secs(60);

const ONE_WAY: &str = "BenchmarkContextSwitch";
const THERE_AND_BACK: &str = "BenchmarkContextSwitchPingPong";

pub(super) const ONEWAY: ExternalBenchmark = ExternalBenchmark {
    name: "go test, one way",
    command: "go test -bench=ContextSwitch$ -cpu=1",
    own_workload: "goroutine-oneway",
    own_figure: OwnFigure::Median,
    assumed_switches_per_op: 1.0,
    available: || go::find().map(drop),
    program,
    provide,
    play: || play(ONE_WAY),
    probed: Some(Probed { point, play: |ops| play_probed(ONE_WAY, ops) }),
};

pub(super) const PING_PONG: ExternalBenchmark = ExternalBenchmark {
    name: "go test, ping-pong",
    command: "go test -bench=ContextSwitchPingPong$ -cpu=1",
    own_workload: "goroutine-channel",
    assumed_switches_per_op: 2.0,
    play: || play(THERE_AND_BACK),
    probed: Some(Probed { point, play: |ops| play_probed(THERE_AND_BACK, ops) }),
    ..ONEWAY
};

fn program() -> Option<ExternalProgram> {
    let go = go::find().ok()?;
    Some(ExternalProgram { path: go.path().display().to_string(), version: go.version().ok() })
}

fn provide(say: Say<'_>) -> Result<()> {
    if !goroutine::test_program_is_built() {
        say("building go test's program (once)");
    }
    goroutine::test_program().map(drop)
}

fn point() -> Result<ProbePoint> {
    Ok(ProbePoint { program: goroutine::test_program()?, function: goroutine::SWITCHES_IN })
}

fn play(name: &str) -> Result<Claim> {
    let mut command = gobench::command(&goroutine::test_program()?, name, TIME, COUNT);
    let finished = subprocess::run(&mut command, PATIENCE, signal::stop_requested)?;
    finished.check(name)?;
    let mut benchmarks = gobench::parse(finished.stdout.text()?)?;
    if benchmarks.len() != COUNT as usize {
        bail!("{name} printed {} results instead of {COUNT}", benchmarks.len());
    }
    benchmarks.sort_by(|one, other| one.ns_per_op.total_cmp(&other.ns_per_op));
    Ok(Claim {
        // COUNT is odd: this is the median.
        ns_per_op: benchmarks[benchmarks.len() / 2].ns_per_op,
        ops: benchmarks.iter().map(|each| each.iterations).sum(),
        kernel_switches: finished.usage.voluntary + finished.usage.involuntary,
    })
}

fn play_probed(name: &str, ops: u32) -> Result<()> {
    let mut command = gobench::command(&goroutine::test_program()?, name, &format!("{ops}x"), 1);
    let finished = subprocess::run(&mut command, PATIENCE, signal::stop_requested)?;
    finished.check(name)?;
    let benchmarks = gobench::parse(finished.stdout.text()?)?;
    if benchmarks.iter().map(|each| each.iterations).sum::<u64>() != u64::from(ops) {
        bail!("{name} did not play the {ops} ops that it was told to");
    }
    Ok(())
}
