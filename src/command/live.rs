//! Output of `stat --interval` while a program runs: a table that is redrawn, or a line each time.

use std::io;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use console::Term;

use crate::cli::stat::StatArgs;
use crate::command::program;
use crate::output::safe;
use crate::program::stat::document::IntervalRecord;
use crate::program::watch::Progress;
use crate::program::watched::{Accounting, ThreadGroup};
use crate::unit::{Share, Span};

pub(super) struct Live {
    quiet: bool,
    /// Number of lines of the table that is redrawn in place; `None` without a table.
    table: Option<usize>,
    /// True once the heading above the lines has been printed; `None` without lines.
    lines: Option<bool>,
    before: Accounting,
    groups_before: Vec<ThreadGroup>,
    elapsed_before: Duration,
    intervals: Vec<IntervalRecord>,
}

impl Live {
    /// Chooses a table where stderr is a terminal that the program does not write to, as far as can be known; else lines, unless
    /// stderr is to get another format than text.
    pub(super) fn new(arguments: &StatArgs, quiet: bool) -> Live {
        let is_terminal = io::stderr().is_terminal();
        let shared = !arguments.attaches() && io::stdout().is_terminal();
        Live {
            quiet,
            table: (is_terminal && !shared).then_some(0),
            lines: (!quiet && (!is_terminal || shared)).then_some(false),
            before: Accounting::default(),
            groups_before: Vec::new(),
            elapsed_before: Duration::ZERO,
            intervals: Vec::new(),
        }
    }

    pub(super) fn show(&mut self, told: Progress) {
        match told {
            Progress::WaitingFor(_) | Progress::StopPassedOn(_) => program::show(&told, self.quiet),
            Progress::Interval { elapsed, accounting, groups, threads, processes } => {
                let mut grown = accounting;
                grown -= self.before;
                let interval = IntervalRecord {
                    at_ns: elapsed.as_nanos() as u64,
                    elapsed_ns: (elapsed - self.elapsed_before).as_nanos() as u64,
                    voluntary_switches: grown.voluntary,
                    involuntary_switches: grown.involuntary,
                    on_cpu_ns: grown.on_cpu_ns,
                    run_queue_wait_ns: grown.run_queue_wait_ns,
                    threads,
                    processes,
                };
                self.draw(&interval, &groups);
                (self.before, self.groups_before, self.elapsed_before) = (accounting, groups, elapsed);
                self.intervals.push(interval);
            }
        }
    }

    /// Returns the intervals and erases the table.
    pub(super) fn finish(self) -> Vec<IntervalRecord> {
        if let Some(lines) = self.table {
            let _ = Term::stderr().clear_last_lines(lines);
        }
        self.intervals
    }

    fn draw(&mut self, interval: &IntervalRecord, groups: &[ThreadGroup]) {
        if let Some(drawn) = &mut self.table {
            let term = Term::stderr();
            let (rows, columns) = term.size();
            let text = live_table(interval, &self.groups_before, groups, usize::from(rows).saturating_sub(2));
            let _ = term.clear_last_lines(*drawn);
            *drawn = text.len();
            for line in text {
                let cut: String = line.chars().take(usize::from(columns).saturating_sub(1)).collect();
                let _ = term.write_line(&cut);
            }
        } else if let Some(headed) = &mut self.lines {
            let mut stderr = io::stderr();
            if !*headed {
                let _ = writeln!(stderr, "{HEADING}");
                *headed = true;
            }
            let _ = writeln!(stderr, "{}", line(interval));
        }
    }
}

const HEADING: &str = "      time  switches/s  voluntary/s  involuntary/s    on CPU   waiting  threads  processes";

fn line(interval: &IntervalRecord) -> String {
    let rate = |count: u64| count as f64 * 1e9 / interval.elapsed_ns.max(1) as f64;
    let share = |ns: u64| Share(ns as f64 / interval.elapsed_ns.max(1) as f64).to_string();
    format!(
        "{:>10}  {:>10.0}  {:>11.0}  {:>13.0}  {:>8}  {:>8}  {:>7}  {:>9}",
        Span(interval.at_ns as f64).to_string(),
        rate(interval.voluntary_switches + interval.involuntary_switches),
        rate(interval.voluntary_switches),
        rate(interval.involuntary_switches),
        share(interval.on_cpu_ns),
        share(interval.run_queue_wait_ns),
        interval.threads,
        interval.processes
    )
}

/// Returns the totals, and below them the threads that switched most in the last interval.
fn live_table(interval: &IntervalRecord, before: &[ThreadGroup], now: &[ThreadGroup], most: usize) -> Vec<String> {
    let mut rows: Vec<(u64, Accounting, &ThreadGroup)> = now
        .iter()
        .map(|group| {
            let mut grown = group.accounting;
            if let Some(before) = before.iter().find(|before| before.key == group.key) {
                grown -= before.accounting;
            }
            (grown.switches(), grown, group)
        })
        .collect();
    rows.sort_by_key(|(switches, ..)| std::cmp::Reverse(*switches));
    let rate = |count: u64| count as f64 * 1e9 / interval.elapsed_ns.max(1) as f64;
    let share = |ns: u64| Share(ns as f64 / interval.elapsed_ns.max(1) as f64).to_string();
    let lines = rows.iter().take(most.saturating_sub(3)).map(|(switches, grown, group)| {
        format!(
            "{:>10.0}  {:>11.0}  {:>13.0}  {:>8}  {:>8}  {}",
            rate(*switches),
            rate(grown.voluntary),
            rate(grown.involuntary),
            share(grown.on_cpu_ns),
            share(grown.run_queue_wait_ns),
            safe::line(&group.key.name())
        )
    });
    [
        HEADING.to_string(),
        line(interval),
        "switches/s  voluntary/s  involuntary/s    on CPU   waiting  thread".to_string(),
    ]
    .into_iter()
    .chain(lines)
    .collect()
}
