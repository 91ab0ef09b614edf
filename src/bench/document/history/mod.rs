//! Figures of earlier runs, a line for each of their rows: another run's figures can be predicted from them.
//!
//! ```text
//! ctxprof.history/1
//! 2026-11-28T03:00:00Z 1f2e3d4c 25/1/1@2595124 thread-pipe/same 9b21f0a3c4d5e6f7 4998.2 0.0012 0.98        1683
//! when                 boot     machine        row              stratum          median u      undisturbed core [runs]
//! ```
//!
//! It does not name the host. The file is replaced, never written into, under a lock on the one that it replaces: it is
//! complete at any moment, and of two runs that end at once neither is lost.

mod file;
mod line;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;

pub use file::{add, parse, read, shortened};
pub(crate) use line::seconds;
pub use line::{Line, Machine, SCHEMA};

use crate::bench::document::run::RunDocument;
use crate::bench::figures::reference;
use crate::document::Warning;
use crate::estimate::{Component, Measurement, Priors, Reproducibility, Stratum, median, pool};

/// Its name beside the saved runs.
pub const NAME: &str = "history";

/// Runs further apart than this are of two sessions.
pub(crate) const SESSION_SECONDS: u64 = 3600;

/// Lines, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub lines: Vec<Line>,
    /// Number of lines that could not be read.
    pub damaged: usize,
}

/// Sets the spread between runs into a run's rows, from this run and earlier ones, with a warning of what is odd about
/// the history; an unreadable one leaves the assumed spread.
pub fn apply(run: &mut RunDocument, path: &Path) {
    let history = read(path).unwrap_or_else(|error| {
        let message = format!("the history of earlier runs is not used, and ± is assumed: {error:#}");
        run.warnings.push(Warning::new("history-not-used", message));
        History::default()
    });
    run.warnings.extend(history.remarks(path, &run.started_at));
    let own = line::of_run(run);
    let priors = priors(run);
    let known = history.with(&own);
    for result in &mut run.body.results {
        let Some(u) = result.own_error() else { continue };
        let Some(line) = line::of_result(&own, result) else { continue };
        result.reproducibility = Some(known.of_row(line, u, priors));
    }
}

/// Adds a run's rows to the history.
///
/// # Errors
/// As [`add`].
pub fn remember(run: &RunDocument, path: &Path, for_all_readers: bool) -> Result<()> {
    let lines = line::of_run(run);
    if lines.is_empty() { Ok(()) } else { add(path, &lines, for_all_readers) }
}

/// Returns the spread that is assumed of the machine that a run was made on.
pub fn priors(run: &RunDocument) -> Priors {
    if run.host.hypervisor.is_some() { Priors::VIRTUAL } else { Priors::BARE }
}

/// Runs of one machine, this one among them, each with its session, without slow runs and rows of disturbed samples.
struct Known<'h> {
    lines: Vec<(&'h Line, usize)>,
    /// Number of lines that are this run's own: the last ones.
    own: usize,
}

impl History {
    /// Returns the runs of these lines' machine; the lines themselves are the newest and not saved yet.
    fn with<'h>(&'h self, own: &'h [Line]) -> Known<'h> {
        let Some(machine) = own.first().map(|line| &line.machine) else { return Known { lines: Vec::new(), own: 0 } };
        let of_machine = self.lines.iter().filter(|line| line.machine.is(machine)).chain(own);
        let lines: Vec<&Line> = of_machine.collect();
        let sessions = sessions(&lines);
        let full_speed = full_speed(&lines);
        // A run's own rows are last, and are left out alike.
        let is_slow = |line: &Line| {
            line.core_ns
                .zip(full_speed)
                .is_some_and(|(core, full_speed)| core > (1.0 + reference::TOLERANCE) * full_speed)
        };
        let counts = |line: &Line| !is_slow(line) && line.undisturbed > 0.0;
        let own = own.iter().filter(|line| counts(line)).count();
        let lines = lines.into_iter().zip(sessions).filter(|(line, _)| counts(line)).collect();
        Known { lines, own }
    }

    /// Returns the history's prediction for another run of this line's row, as of the line itself.
    pub fn reproducible(&self, line: &Line) -> Reproducibility {
        let u = Component { variance: line.u * line.u, freedom: 9.0 };
        self.with(std::slice::from_ref(line)).of_row(line, u, Priors::VIRTUAL)
    }

    /// Returns warnings of what is odd about it.
    fn remarks(&self, path: &Path, now: &str) -> Vec<Warning> {
        let mut remarks = Vec::new();
        let file = path.display();
        if self.damaged > 0 {
            let lines = if self.damaged == 1 { "a line".to_string() } else { format!("{} lines", self.damaged) };
            let message = format!("{lines} of the history {file} cannot be read and are passed over");
            remarks.push(Warning::new("history-damaged", message));
        }
        let now = line::seconds(now).unwrap_or(u64::MAX);
        if let Some(line) = self.lines.iter().find(|line| line.seconds > now.saturating_add(SESSION_SECONDS)) {
            let message = format!(
                "the history {file} has runs of a time to come ({}): a clock was or is wrong; they are taken for another session's",
                line.time()
            );
            remarks.push(Warning::new("history-clock", message));
        }
        remarks
    }
}

impl Known<'_> {
    fn of_row(&self, line: &Line, u: Component, priors: Priors) -> Reproducibility {
        // By stratum, and in it by session, each in the order in which they came.
        let mut strata: Vec<(u64, Vec<usize>, Stratum)> = Vec::new();
        let is_this = |(other, _): &&(&Line, usize)| other.row == line.row;
        for (other, session) in self.lines.iter().filter(is_this) {
            let measurement = Measurement { ln: other.median.ln(), u: other.u, runs: other.runs };
            let at = strata.iter().position(|(stratum, ..)| *stratum == other.stratum).unwrap_or_else(|| {
                strata.push((other.stratum, Vec::new(), Vec::new()));
                strata.len() - 1
            });
            let (_, sessions, stratum) = &mut strata[at];
            if sessions.last() != Some(session) {
                sessions.push(*session);
                stratum.push(Vec::new());
            }
            stratum.last_mut().expect("one was pushed").push(measurement);
        }
        let earlier = || self.lines[..self.lines.len() - self.own].iter().filter(is_this);
        let runs = earlier().map(|(other, _)| other.runs as usize).sum();
        let mut sessions: Vec<usize> = earlier().map(|(_, session)| *session).collect();
        sessions.dedup();
        let strata: Vec<Stratum> = strata.into_iter().map(|(_, _, stratum)| stratum).collect();
        Reproducibility::of(&pool(&strata, priors), u, runs, sessions.len())
    }
}

/// Returns each line's session: one boot and machine, no gap of an hour. A clock that jumps begins another.
fn sessions(lines: &[&Line]) -> Vec<usize> {
    let goes_on = |last: &Line, line: &Line| {
        last.boot == line.boot
            && last.machine.is(&line.machine)
            && last.seconds.abs_diff(line.seconds) < SESSION_SECONDS
    };
    let mut session = 0;
    let mut numbers = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        session += usize::from(at > 0 && !goes_on(lines[at - 1], line));
        numbers.push(session);
    }
    numbers
}

/// Returns the time of the reference loop at full speed, ns: the median of the faster half of the runs.
fn full_speed(lines: &[&Line]) -> Option<f64> {
    let mut runs: Vec<(u64, &str, f64)> =
        lines.iter().filter_map(|line| Some((line.seconds, line.boot.as_str(), line.core_ns?))).collect();
    // The rows of a run share it.
    runs.dedup();
    let mut all: Vec<f64> = runs.into_iter().map(|(.., core)| core).collect();
    all.sort_by(f64::total_cmp);
    all.truncate(all.len().div_ceil(2));
    median(all)
}
