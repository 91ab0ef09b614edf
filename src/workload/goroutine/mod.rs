//! Two goroutines of a Go program that is built once on this host, saved, and driven by requests.
//!
//! ```text
//! this process   on a spare CPU:    "play 1000" ─ read(2) waits ──────────────────── back to the goroutines' CPU
//! the program    on its own CPU:               reads ─ clock ─ ops ─ clock ─ answers
//! ```
//!
//! The program times its own loop, and its own CPU time around it: this process could not separate the request and the answer
//! from the play. Its switches are counted by the kernel, with a probe on the function by which Go's runtime runs a goroutine,
//! in a pass of its own. Kernel switches are those of all its threads.
//!
//! The no-switch cost of pipes: one goroutine writes and reads by itself. Channels have none: through an unbuffered one a
//! goroutine cannot send to itself, and a buffered one is another contract. Nor have yields: with nothing else runnable, Go's
//! scheduler still goes all the way, back to the same goroutine.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Pid;

use crate::sys::affinity::Pinned;
use crate::sys::child::Child;
use crate::sys::reap::Ended;
use crate::tool::go;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Laps, MOST_LAPS, Participant, PlayTimes, Played, Session, Setting};
use crate::workload::thread::yields::ONE_YIELD_EACH;
use crate::workload::{NoSwitch, ProbePoint, ROUND_TRIP, Say, Workload};

pub(crate) const CHANNEL: Workload = Workload {
    name: "goroutine-channel",
    brief: "two unbuffered channels, GOMAXPROCS=1",
    summary: "two goroutines hand a number to and fro through two unbuffered channels (Go, GOMAXPROCS=1)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    default: true,
    prepare: |setting| Goroutines::prepare("channel", setting),
    elsewhere: Some(|setting| Ok(Box::new(Goroutines::start(program()?, &["channel", LATER], setting.spare_cpu)?))),
    ..FAMILY
};

pub(crate) const ONEWAY: Workload = Workload {
    name: "goroutine-oneway",
    brief: "one unbuffered channel, one way, GOMAXPROCS=1",
    summary: "one goroutine sends to another through an unbuffered channel: the classic benchmark of goroutines (Go, GOMAXPROCS=1)",
    op: "one message",
    expected_switches_per_op: Some(1.0),
    prepare: |setting| Goroutines::prepare("oneway", setting),
    ..FAMILY
};

pub(crate) const YIELD: Workload = Workload {
    name: "goroutine-yield",
    // None is promised: every 61st time Go's scheduler may find the one that has just given way, most often the same of the two, and an
    // op then has 61 switches by 31 or by 30.
    brief: "runtime.Gosched; no fixed number of switches",
    summary: "two goroutines give way to each other with runtime.Gosched; how often that switches is counted, not promised (Go, GOMAXPROCS=1)",
    op: ONE_YIELD_EACH,
    prepare: |setting| Goroutines::prepare("yield", setting),
    ..FAMILY
};

pub(crate) const PIPE: Workload = Workload {
    name: "goroutine-pipe",
    brief: "two pipes through Go's poller (epoll)",
    summary: "two goroutines hand a token to and fro through two pipes (os.Pipe), waiting for readiness in Go's poller (epoll; GOMAXPROCS=1)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    default: true,
    prepare: |setting| Goroutines::prepare("pipe", setting),
    no_switch: Some(NoSwitch {
        summary: "one goroutine writes and reads the same two pipes by itself: two writes, two reads, no wait",
        prepare: |setting| Goroutines::prepare("pipe-floor", setting),
    }),
    ..FAMILY
};

const FAMILY: Workload = Workload {
    kind: Kind::Goroutine,
    switch_source: SwitchSource::Uprobe,
    available: || go::find().map(drop),
    provide,
    probe_point: Some(|| Ok(ProbePoint { program: program()?, function: SWITCHES_IN })),
    toolchain: || BUILT_BY.get().cloned(),
    ..Workload::EMPTY
};

/// Plays with goroutines that are not the first of their program.
const LATER: &str = "later";

/// Version of the Go that built the program, as the program reports it. It is one program as long as this process lives, and
/// has been started before anything is measured.
static BUILT_BY: OnceLock<String> = OnceLock::new();

/// The function of Go's runtime that runs a goroutine: one call per switch.
pub const SWITCHES_IN: &str = "runtime.execute";

/// The module, by the names of its files.
const SOURCES: [(&str, &str); 3] =
    [("go.mod", include_str!("go.mod")), ("loops.go", include_str!("loops.go")), ("main.go", include_str!("main.go"))];

/// The module with its benchmarks. Other sources than the program's, which a changed benchmark would otherwise rebuild.
const TEST_SOURCES: [(&str, &str); 4] =
    [SOURCES[0], SOURCES[1], ("loops_test.go", include_str!("loops_test.go")), SOURCES[2]];

fn program() -> Result<PathBuf> {
    go::find()?.build(&SOURCES)
}

/// Returns the program that plays the same loops under Go's own benchmark driver: `BenchmarkContextSwitch` one way,
/// `BenchmarkContextSwitchPingPong` as round trips, and the others. Builds it if needed, which takes seconds.
///
/// # Errors
/// Go is not installed, or the build fails.
pub fn test_program() -> Result<PathBuf> {
    go::find()?.build_test(&TEST_SOURCES)
}

/// Returns true if [`test_program`] need not build.
pub fn test_program_is_built() -> bool {
    go::find().is_ok_and(|go| go.is_test_built(&TEST_SOURCES))
}

/// Builds the program if needed, and has it play once: its answer shows whether it works on this host.
fn provide(say: Say<'_>) -> Result<()> {
    let go = go::find()?;
    if !go.is_built(&SOURCES) {
        say(&format!("building the goroutines' program with {} (once)", go.path().display()));
    }
    let program = go.build(&SOURCES)?;
    // The loop that warms up soonest: every run waits for this.
    let mut goroutines = Goroutines::start(program, &["yield"], None)?;
    goroutines.play(2)?;
    Box::new(goroutines).end()
}

/// The program, waiting for requests.
struct Goroutines {
    program: Child,
    spare_cpu: Option<usize>,
}

impl Goroutines {
    fn prepare(name: &str, setting: &Setting) -> Result<Box<dyn Session>> {
        Ok(Box::new(Goroutines::start(program()?, &[name], setting.spare_cpu)?))
    }

    fn start(path: PathBuf, arguments: &[&str], spare_cpu: Option<usize>) -> Result<Goroutines> {
        let mut program = Child::start(&path, arguments)?;
        let ready = program.listen()?;
        let Some(version) = ready.strip_prefix(&format!("ready {} ", program.pid())) else {
            bail!("{} said {ready:?} instead of being ready", path.display());
        };
        BUILT_BY.get_or_init(|| version.to_string());
        Ok(Goroutines { program, spare_cpu })
    }
}

impl Session for Goroutines {
    /// All threads that it has by now: it has warmed up.
    fn participants(&self) -> Vec<Participant> {
        let process = self.program.pid();
        let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
        ids.map(|id| Participant { process, thread: Pid::from_raw(id) }).collect()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        // Woken by the answer on the goroutines' CPU, this thread could take it before the clock has stopped.
        let _away = self.spare_cpu.map(Pinned::to).transpose()?;
        let answer = self.program.ask(&format!("play {ops}"))?;
        parse(&answer).with_context(|| format!("the goroutines' program answered {answer:?}"))
    }

    /// By Go's own clock.
    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        let _away = self.spare_cpu.map(Pinned::to).transpose()?;
        let answer = self.program.ask_at_length(&format!("each {ops}"), EACH_ANSWER_LIMIT)?;
        parse_each(&answer, ops, laps).with_context(|| {
            let begin: String = answer.chars().take(60).collect();
            format!("the goroutines' program, asked for {ops} ops, answered {begin:?}…")
        })
    }

    /// Of Go's own clock.
    fn lap_cost_ns(&mut self) -> Result<f64> {
        let _away = self.spare_cpu.map(Pinned::to).transpose()?;
        let costs: Result<Vec<f64>> = (0..CLOCK_ROWS)
            .map(|_| {
                let answer = self.program.ask(&format!("clock {CLOCK_READINGS}"))?;
                let elapsed_ns: u64 = answer
                    .parse()
                    .with_context(|| format!("the goroutines' program answered {answer:?} when asked for its clock"))?;
                Ok(elapsed_ns as f64 / CLOCK_READINGS as f64)
            })
            .collect();
        let mut costs = costs?;
        costs.sort_by(f64::total_cmp);
        Ok(costs[costs.len() / 2])
    }

    fn end(self: Box<Self>) -> Result<()> {
        match self.program.end()? {
            Ended::Exited(0) => Ok(()),
            ended => bail!("the goroutines' program {ended}"),
        }
    }
}

/// Readings of the program's clock in a row, and how many such rows.
const CLOCK_READINGS: u64 = 1000;
const CLOCK_ROWS: usize = 9;

/// Longest answer, bytes: as many numbers as can be asked for, each of an op of up to a hundred seconds.
const EACH_ANSWER_LIMIT: usize = (MOST_LAPS as usize + 3) * 12;

/// Parses the same three times, and the duration of each op.
pub(crate) fn parse_each(answer: &str, ops: u64, laps: &mut Laps) -> Result<Played> {
    let mut each = answer.splitn(4, ' ');
    let times: Vec<&str> = each.by_ref().take(3).collect();
    let played = parse(&times.join(" "))?;
    let durations = each.next().unwrap_or_default().split(' ').map(str::parse::<u64>).collect::<Result<Vec<u64>, _>>();
    let durations = durations.context("numbers were expected")?;
    ensure!(durations.len() as u64 == ops, "{} durations were found", durations.len());
    let sum = durations.iter().try_fold(0_u64, |sum, &duration| sum.checked_add(duration));
    ensure!(sum.is_some_and(|sum| sum <= played.elapsed_ns), "the ops took longer than the play");
    laps.replay(durations.into_iter());
    Ok(played)
}

/// Parses `<elapsed ns> <wall ns> <CPU ns>`.
pub(crate) fn parse(answer: &str) -> Result<Played> {
    let numbers = answer.split(' ').map(str::parse::<u64>).collect::<Result<Vec<u64>, _>>()?;
    match numbers[..] {
        [elapsed_ns, wall_ns, cpu_ns] if elapsed_ns > 0 => {
            Ok(Played { times: Some(PlayTimes { wall_ns, cpu_ns }), ..Played::timed(elapsed_ns) })
        }
        _ => bail!("three times were expected, the first above 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_three_times_and_nothing_else() {
        let played = parse("1000 1200 1150").unwrap();
        assert_eq!((played.elapsed_ns, played.times), (1000, Some(PlayTimes { wall_ns: 1200, cpu_ns: 1150 })));
        for garbage in ["", "1000", "1000 1200", "0 1 1", "1 2 3 4", "a b c", "1  2 3", "-1 2 3", "1.5 2 3"] {
            assert!(parse(garbage).is_err(), "{garbage:?}");
        }
    }

    #[test]
    fn an_answer_for_each_op_has_a_duration_for_each() {
        let mut laps = Laps::default();
        let played = parse_each("1000 1200 1150 300 700", 2, &mut laps).unwrap();
        assert_eq!((played.elapsed_ns, laps.elapsed_ns()), (1000, 1000));
        assert_eq!(laps.durations().collect::<Vec<_>>(), [300, 700]);
        for garbage in ["1000 1200 1150", "1000 1200 1150 300", "1 1 1 300 700", "1000 1200 1150 300 x", "300 700"] {
            assert!(parse_each(garbage, 2, &mut laps).is_err(), "{garbage:?}");
        }
        let huge = format!("1000 1200 1150 {0} {0}", u64::MAX);
        assert!(parse_each(&huge, 2, &mut laps).is_err());
    }
}
