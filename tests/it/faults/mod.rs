//! The fault matrix: every system call that matters refused, in every command, with each error that it can really return, at
//! several moments of the run.
//!
//! ```text
//! ctxprof --version    loader ─ runtime ─ main ─ prints             number of calls before main
//! uninjected           loader ─ runtime ─ main ─ call 1 ─ call 2 … call n
//! a cell                                        └ refused          one of these, once or from then on
//! ```
//!
//! A cell is one run of the built binary under strace. It holds if the run ends in its time, with exit code 0 or with 1 and
//! the reason, without a panic, and leaves no process, no half-written file and no temporary file.

mod cell;
mod table;
mod trace;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::cell::{Cell, Verdict};
use crate::faults::table::{CALLS, PASSING, Repeat, SUBJECTS, Subject};
use crate::faults::trace::Calls;
use crate::machine::needs;
use crate::support::run;

/// Least number of the table's cells in a usual test; each injects a fault that was reached.
const LEAST_CELLS: usize = 300;
/// `all` runs every cell; any other text those with it in their names.
const CHOICE: &str = "CTXPROF_TEST_FAULTS";
/// Seed of the choice of cells in a usual test: the same one chooses the same.
const SEED: &str = "CTXPROF_TEST_SEED";
/// Cells measure nothing, and mostly wait.
const WORKERS: usize = 4;
/// Root's cache of programs built by other tools.
const CACHE: &str = "/var/cache/ctxprof/go";

#[test]
fn whatever_the_kernel_refuses_every_command_ends_in_order() {
    needs!(Root, Perf, Strace, Go);
    // Builds the Go programs: a cell tests the run, a build takes seconds.
    run("ctxprof run goroutine-channel --time 0.01 --repetitions 1 --samples 1 --no-save --quiet").expect(0, &[]);
    run("ctxprof memory goroutine --max 1 --repetitions 1 --quiet").expect(0, &[]);
    let begun = Instant::now();
    let kept_before = listing(CACHE);
    let cells = cells();
    let planned = cells.len();
    let (left, outcomes) = (Mutex::new(cells.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(cell) = left.lock().unwrap().next() else { return };
                    let started = Instant::now();
                    let verdict = cell.run();
                    if env::var_os(CHOICE).is_some() {
                        println!("{:6.1?} {cell}: {verdict:?}", started.elapsed());
                    }
                    outcomes.lock().unwrap().push((cell, verdict, started.elapsed()));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    report(&outcomes, planned, begun.elapsed());
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(cell, verdict, _)| match verdict {
            Verdict::Failed(why) => Some(format!("{cell}: {why}")),
            _ => None,
        })
        .collect();
    assert!(failed.is_empty(), "{} cells:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(listing(CACHE), kept_before, "what is in {CACHE}");
    let held = outcomes.iter().filter(|(_, verdict, _)| !matches!(verdict, Verdict::NotReached)).count();
    assert!(env::var_os(CHOICE).is_some() || held >= LEAST_CELLS, "{held} cells only");
}

/// Returns the requested cells of every command.
fn cells() -> Vec<Cell> {
    let choice = env::var(CHOICE).unwrap_or_default();
    let before_main = Calls::before_main();
    // Counting calls takes a run of each command: not of those that the choice excludes by name.
    let is_named = |subject: &&Subject| choice.starts_with(subject.name);
    let named = SUBJECTS.iter().any(|subject| is_named(&subject));
    let subjects = SUBJECTS.iter().filter(|subject| !named || is_named(subject));
    let cells = subjects.flat_map(|subject| {
        let calls = Calls::of(subject);
        cells_of(subject, &calls, &before_main, choice == "all")
    });
    let cells = cells.filter(|cell| choice.is_empty() || choice == "all" || cell.to_string().contains(&choice));
    let mut cells: Vec<Cell> = cells.collect();
    if choice.is_empty() {
        let seed = env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect(SEED));
        // Past the capture of a test's output: it helps when the test hangs, too.
        let planned = cells.len();
        cells = usual(cells, &mut fastrand::Rng::with_seed(seed));
        let _ = writeln!(io::stderr(), "faults: {} of {planned} cells, by {SEED}={seed}", cells.len());
    }
    cells
}

/// Returns each command's share of its cells, in random order.
fn usual(mut cells: Vec<Cell>, random: &mut fastrand::Rng) -> Vec<Cell> {
    random.shuffle(&mut cells);
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in &cells {
        *left.entry(cell.subject.name).or_default() += 1;
    }
    for subject in SUBJECTS {
        left.entry(subject.name).and_modify(|count| *count = count.div_ceil(subject.usual_share));
    }
    cells.retain(|cell| {
        let left = left.get_mut(cell.subject.name).unwrap();
        let is_chosen = *left > 0;
        *left = left.saturating_sub(1);
        is_chosen
    });
    cells
}

/// Returns for every call of the command each errno at one moment, or at all moments if `all`.
fn cells_of(subject: &'static Subject, calls: &Calls, before_main: &Calls, all: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for call in CALLS {
        let moments = calls.moments(call.name, before_main);
        if moments.is_empty() {
            continue;
        }
        for (at, &errno) in call.errnos.iter().enumerate() {
            let chosen = if all { moments.clone() } else { vec![moments[at % moments.len()]] };
            cells.extend(chosen.into_iter().map(|nth| Cell { subject, call, errno, nth, repeat: Repeat::Once }));
            // An exhausted resource stays exhausted.
            if !PASSING.contains(&errno) && (all || at == 0) {
                cells.push(Cell { subject, call, errno, nth: moments[0], repeat: Repeat::FromThenOn });
            }
        }
    }
    cells
}

/// Prints the number of cells and their verdicts.
fn report(outcomes: &[(Cell, Verdict, Duration)], planned: usize, elapsed: Duration) {
    let mut rows: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (cell, verdict, took) in outcomes {
        let row = rows.entry(cell.subject.name).or_default();
        row[match verdict {
            Verdict::WentOn => 0,
            Verdict::SaidWhy => 1,
            Verdict::Failed(_) => 2,
            Verdict::NotReached => 3,
        }] += 1;
        if *took > Duration::from_secs(8) {
            println!("took {took:.1?}: {cell}");
        }
    }
    println!("{:20} {:>8} {:>8} {:>8} {:>12}", "command", "went on", "said why", "failed", "not reached");
    for (name, [on, why, failed, not]) in &rows {
        println!("{name:20} {on:8} {why:8} {failed:8} {not:12}");
    }
    let held = outcomes.iter().filter(|(_, verdict, _)| !matches!(verdict, Verdict::NotReached)).count();
    println!("{held} cells of {planned} planned ran with their fault in {elapsed:.0?}");
}

fn listing(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
