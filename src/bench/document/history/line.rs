//! A line of the history: one run's figures of one row.

use std::fmt;
use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use crate::bench::document::run::{RunDocument, RunResult};
use crate::host::facts::Facts;
use crate::store::timestamp;
use crate::sys::cpuid::Processor;

pub const SCHEMA: &str = "ctxprof.history/1";

/// Placeholder for a missing figure.
const NONE: &str = "-";

#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Start of the run, since 1970.
    pub seconds: u64,
    /// First characters of the kernel's boot ID.
    pub boot: String,
    pub machine: Machine,
    /// The workload and its placement, with its ring if it is one.
    pub row: String,
    /// Hash of all circumstances under which runs can be expected to agree.
    pub stratum: u64,
    pub median: f64,
    /// Standard error of its logarithm, by the run alone.
    pub u: f64,
    /// Share of undisturbed samples; 0 if the median includes disturbed ones, for lack of others.
    pub undisturbed: f64,
    /// Time of the reference loop when the core was fastest, ns.
    pub core_ns: Option<f64>,
    /// Number of runs that this is the mean of: more than 1 for a session that was merged.
    pub runs: u32,
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub processor: String,
    /// 0 where the processor has no such counter.
    pub tsc_khz: u64,
}

impl Machine {
    fn of(host: &Facts) -> Machine {
        match host.processor {
            Some(Processor { family, model, stepping, tsc_khz }) => {
                Machine { processor: format!("{family}/{model}/{stepping}"), tsc_khz: tsc_khz as u64 }
            }
            // One that cannot be asked goes by its name.
            None => {
                let name = host.cpu_model.as_deref().unwrap_or(NONE);
                Machine { processor: name.split_whitespace().collect::<Vec<_>>().join("_"), tsc_khz: 0 }
            }
        }
    }

    /// Returns true if both are of one kind. The rates are measured, and clocks are slewed by 0.05 % at most.
    pub fn is(&self, other: &Machine) -> bool {
        self.processor == other.processor && self.tsc_khz.abs_diff(other.tsc_khz) <= self.tsc_khz / 1000
    }
}

impl Line {
    /// Returns the start of its run, as documents have it.
    pub fn time(&self) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(self.seconds))
    }
}

/// Returns a timestamp of a document in seconds since 1970; `None` if it is not one.
pub fn seconds(timestamp: &str) -> Option<u64> {
    Some(humantime::parse_rfc3339(timestamp).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { processor, tsc_khz } = &self.machine;
        write!(f, "{} {} {processor}@{tsc_khz} {} {:016x}", self.time(), self.boot, self.row, self.stratum)?;
        write!(f, " {} {} {}", self.median, self.u, self.undisturbed)?;
        match self.core_ns {
            Some(core_ns) => write!(f, " {core_ns}")?,
            None => write!(f, " {NONE}")?,
        }
        if self.runs == 1 { Ok(()) } else { write!(f, " {}", self.runs) }
    }
}

/// The error of a line that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl FromStr for Line {
    type Err = Damaged;

    fn from_str(text: &str) -> Result<Line, Damaged> {
        parse(text).ok_or(Damaged)
    }
}

/// Costs are between a thousandth of a nanosecond and a quarter of an hour.
const COSTS: std::ops::RangeInclusive<f64> = 1e-3..=1e12;
/// 9999-12-31, beyond which no timestamp can be written.
const LAST_SECOND: u64 = 253_402_300_799;
/// More runs than this are not of one session.
const MERGED: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// Longest word of a line; all are printable ASCII.
const LONGEST: usize = 200;

fn parse(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split(' ').collect();
    let is_plain =
        |word: &&str| (1..=LONGEST).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic());
    let [time, boot, machine, row, stratum, median, u, undisturbed, core, rest @ ..] = words.as_slice() else {
        return None;
    };
    let number = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
    let (processor, tsc_khz) = machine.rsplit_once('@')?;
    let line = Line {
        seconds: seconds(time).filter(|&seconds| seconds <= LAST_SECOND)?,
        boot: boot.to_string(),
        machine: Machine { processor: processor.to_string(), tsc_khz: tsc_khz.parse().ok()? },
        row: row.to_string(),
        stratum: u64::from_str_radix(stratum, 16).ok()?,
        median: number(median).filter(|median| COSTS.contains(median))?,
        u: number(u).filter(|u| (0.0..=10.0).contains(u))?,
        undisturbed: number(undisturbed).filter(|share| (0.0..=1.0).contains(share))?,
        core_ns: if *core == NONE { None } else { Some(number(core).filter(|core| COSTS.contains(core))?) },
        // A later version may add words after it.
        runs: rest.first().map_or(Some(1), |runs| runs.parse().ok().filter(|runs| MERGED.contains(runs)))?,
    };
    words.iter().all(is_plain).then_some(line)
}

/// Returns a line for each row of a run that has an interval.
pub fn of_run(run: &RunDocument) -> Vec<Line> {
    let Some(seconds) = seconds(&run.started_at) else { return Vec::new() };
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_string());
    let machine = Machine::of(&run.host);
    let of = |result: &RunResult| {
        let (cost, u) = (result.ns_per_op?, result.own_error()?);
        let samples = &result.samples;
        let line = Line {
            seconds,
            boot: word(&run.host.boot),
            machine: machine.clone(),
            row: row(result),
            stratum: stratum(run, result),
            median: cost.median,
            u: u.variance.sqrt(),
            undisturbed: match result.is_of_disturbed_samples() {
                true => 0.0,
                false => samples.undisturbed as f64 / samples.taken.max(1) as f64,
            },
            core_ns: run.body.reference_loop_ns,
            runs: 1,
        };
        // Only what can be read again.
        line.to_string().parse().ok()
    };
    run.body.results.iter().filter_map(of).collect()
}

/// Returns the line of a result among those of its run.
pub fn of_result<'l>(lines: &'l [Line], result: &RunResult) -> Option<&'l Line> {
    lines.iter().find(|line| line.row == row(result))
}

/// Returns the row's name, with its placement: costs across CPUs vary several times as much as those on one.
fn row(result: &RunResult) -> String {
    let ring = result.ring.map(|ring| format!("/{}x{}", ring.participants, ring.working_set_bytes)).unwrap_or_default();
    format!("{}/{}{ring}", result.workload, result.placement.name())
}

/// Returns a hash of what must be the same if two runs are to agree.
fn stratum(run: &RunDocument, result: &RunResult) -> u64 {
    let (host, settings) = (&run.host, &run.settings);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let circumstances = [
        run.tool.version.clone(),
        run.tool.debug_build.to_string(),
        host.kernel.clone(),
        host.kernel_build.clone(),
        host.architecture.clone(),
        text(&host.hypervisor),
        text(&host.mitigations),
        text(&host.preemption),
        text(&host.base_slice_ns),
        text(&host.autogroup),
        text(&host.clocksource),
        text(&host.frequency_governor),
        text(&settings.policy),
        settings.nice.map(|nice| nice.to_string()).unwrap_or_default(),
        settings.workers.map(|workers| workers.to_string()).unwrap_or_default(),
        text(&settings.injected_slowdown),
        run.body.counting.mode.name().to_string(),
        text(&result.toolchain),
        result.op.clone(),
    ];
    fnv_1a(circumstances.join("\n").as_bytes())
}

/// Returns a hash that stays the same from one version of the standard library to the next.
///
/// # References
/// Fowler, Noll, Vo: FNV-1a with 64 bits, draft-eastlake-fnv.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
