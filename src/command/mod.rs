//! The commands: each reads as plan → engine → summary → record → render.

mod calibrate;
mod compare;
mod diff;
mod doctor;
pub mod documents;
mod explain;
mod list;
mod live;
mod man;
mod measure;
mod memory;
mod output;
mod program;
mod progress;
mod report;
mod run;
mod runs;
mod stat;
mod sweep;
mod trace;

use std::path::Path;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::bench::document::run::{RunDocument, RunResult};
use crate::cli::{self, Cli, Command, SortKey};
use crate::document::Ending;
use crate::host::placement::{self, Place, PlaceChoice, Placement, Processors};
use crate::host::{probe, process_files};
use crate::sys::launch::NotStarted;
use crate::sys::signal::SignalNumber;
use crate::workload::session::Setting;

/// Outcome of a command, other than an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A row has become slower by more than the gate allows.
    Regression,
    /// A program was run, and exited with this code.
    Passed(u8),
    /// A program was run, and was killed by this signal.
    Killed(SignalNumber),
    /// A signal ended it, after it printed what it had.
    Interrupted(Signal),
}

/// Runs the command.
///
/// # Errors
/// It failed or was refused; available results have been printed.
pub fn execute(cli: &Cli) -> Result<Outcome> {
    let color = cli.global.color;
    if let Command::Run(_)
    | Command::Stat(_)
    | Command::Trace(_)
    | Command::Sweep(_)
    | Command::Compare(_)
    | Command::Memory(_) = &cli.command
    {
        process_files::check()?;
    }
    match &cli.command {
        Command::Run(arguments) => run::execute(arguments, color),
        Command::Stat(arguments) => stat::execute(arguments, color),
        Command::Trace(arguments) => trace::execute(arguments, color),
        Command::Sweep(arguments) => sweep::execute(arguments, color),
        Command::List(arguments) => list::execute(arguments, color).map(|()| Outcome::Done),
        Command::Compare(arguments) => compare::execute(arguments, color),
        Command::Diff(arguments) => diff::execute(arguments, color),
        Command::Doctor(arguments) => doctor::execute(arguments, color),
        Command::Memory(arguments) => memory::execute(arguments, color),
        Command::Hold(arguments) => memory::hold(arguments),
        Command::Report(arguments) => report::execute(arguments, color).map(|()| Outcome::Done),
        Command::Runs(arguments) => runs::execute(arguments, color).map(|()| Outcome::Done),
        Command::Explain(arguments) => explain::execute(arguments, color).map(|()| Outcome::Done),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut cli::command(), "ctxprof", &mut script);
            output::print(&script).map(|()| Outcome::Done)
        }
        Command::Man { command } => man::execute(command.as_deref()).map(|()| Outcome::Done),
    }
}

/// Returns the exit code for an error: 1, except for commands that run a program, whose other codes are that program's.
pub fn failure_code(cli: &Cli, error: &anyhow::Error) -> u8 {
    const FAILED: u8 = 1;
    match (&cli.command, error.downcast_ref::<NotStarted>()) {
        (Command::Stat(_) | Command::Trace(_), Some(not_started)) => not_started.exit_code(),
        (Command::Stat(_) | Command::Trace(_), None) => cli::PROGRAM_FAILED,
        _ => FAILED,
    }
}

/// Returns the outcome of a command by how its measurement ended, once the available results have been delivered.
fn ended(ending: Ending, delivered: Result<Outcome>) -> Result<Outcome> {
    match ending {
        Ending::Failed(reason) => bail!(reason),
        Ending::Interrupted(number) => {
            delivered.map(|_| Outcome::Interrupted(Signal::try_from(number).unwrap_or(Signal::SIGINT)))
        }
        Ending::Complete => delivered,
    }
}

fn sort(document: &mut RunDocument, key: SortKey) {
    let cost = |result: &RunResult| result.ns_per_hand_over().unwrap_or(f64::INFINITY);
    match key {
        SortKey::List => {}
        SortKey::Cost => document.body.results.sort_by(|one, other| cost(one).total_cmp(&cost(other))),
    }
}

/// Returns the requested CPU, or the best of those allowed.
fn place(asked: Option<usize>) -> Result<(Place, Processors)> {
    let root = Path::new("/");
    let processors = probe::processors(root)?;
    let place = match asked {
        Some(cpu) => placement::asked_for(cpu, &processors)?,
        None => placement::choose(&probe::candidates(root, &processors.allowed))?,
    };
    Ok((place, processors))
}

/// Returns the requested placements, nearest first, with the CPUs of each.
fn places(choice: PlaceChoice, leader: usize, processors: &Processors) -> Result<Vec<(Placement, Setting)>> {
    let root = Path::new("/");
    let candidates = probe::candidates(root, &processors.allowed);
    let followers = placement::followers(choice, leader, &probe::neighbourhood(root, leader), &candidates)?;
    let spare_cpu = processors.spare(leader);
    let setting = |follower_cpu| Setting { follower_cpu, spare_cpu, ..Setting::on(leader) };
    Ok(followers.into_iter().map(|(placement, cpu)| (placement, setting(cpu))).collect())
}
