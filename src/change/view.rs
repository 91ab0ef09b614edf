//! Report of a diff: screen and metrics.

use crate::bench::left_out::row_title;
use crate::bench::view::labels::row_labels;
use crate::change::diff::{DiffDocument, Difference};
use crate::change::rows::{DiffRow, DiffSettings, RowChange};
use crate::document::conditions;
use crate::document::invocation::Invocation;
use crate::estimate::{Decision, MOST_RUNS, Verdict};
use crate::host::placement::Placement;
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, ChangeBar, Changes, Column, Picture, Table, View};
use crate::unit::{Nanoseconds, Share};

impl Shown for DiffDocument {
    fn view(&self, wide: bool) -> View {
        let body = &self.body;
        let environment = match body.differences.as_slice() {
            [] => vec!["Same environment: nothing else is known to differ.".to_string()],
            differences => std::iter::once("Environment differs, the likely cause of a change first:".to_string())
                .chain(differences.iter().map(difference_line))
                .collect(),
        };
        let sides = [
            format!("Old: {}", side(&self.settings.old, &body.old_started_at)),
            format!("New: {}", side(&self.settings.new, &body.new_started_at)),
        ];
        View {
            answer: [self.answer()].into_iter().chain(environment).chain(sides).collect(),
            command: Some(self.command()),
            conditions: conditions::of(self),
            tables: vec![table(&body.rows, &self.settings)],
            pictures: changes(&body.rows).into_iter().collect(),
            notes: self.notes(wide),
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let body = &self.body;
        let mut metrics = Metrics::of(self);
        let yes = |is: bool| f64::from(u8::from(is));
        metrics
            .rows(&body.rows, |row| row_labels(&row.workload, row.placement, row.ring))
            .figure("diff_old_op", Quantity::Nanoseconds, "Time per op on the old side", |row| row.old_ns_per_op)
            .figure("diff_new_op", Quantity::Nanoseconds, "Time per op on the new side", |row| row.new_ns_per_op)
            .estimate(
                "diff_change",
                Quantity::Ratio,
                "New time per op divided by old, minus 1: 0.1 is 10 % slower",
                |row| Some(row.change?.relative),
            )
            .figure(
                "diff_threshold",
                Quantity::Ratio,
                "Smallest change that the spread of both sides does not explain",
                |row| Some(row.change?.threshold),
            )
            .samples("diff_verdict", Quantity::Count, "1 for the verdict of the row, 0 for the others", |row| {
                let of = |verdict: Verdict, change: RowChange| {
                    (vec![("verdict", verdict.name().to_string())], yes(verdict == change.verdict))
                };
                row.change
                    .iter()
                    .flat_map(|&change| Verdict::ALL.into_iter().map(move |verdict| of(verdict, change)))
                    .collect()
            })
            .figure("diff_runs_needed", Quantity::Count, "Runs per side that would decide an undecided row", |row| {
                Some(row.change?.runs_needed? as f64)
            })
            .samples(
                "diff_gate",
                Quantity::Count,
                "1 for the decision of the gate on the row, 0 for the others",
                |row| {
                    let of = |gate: Decision, is: Decision| (vec![("gate", gate.name().to_string())], yes(gate == is));
                    row.gate.iter().flat_map(|&is| Decision::ALL.into_iter().map(move |gate| of(gate, is))).collect()
                },
            )
            // Without a limit, there is no statement that nothing exceeded it.
            .figure("diff_regression", Quantity::Count, "1 if slower than --fail-above allows, else 0", |row| {
                self.settings.fail_above.map(|_| yes(row.regression))
            });
        metrics
            .rows(&body.differences, |difference| {
                vec![
                    ("key", difference.key.clone()),
                    ("what", difference.what.clone()),
                    ("old", difference.old.clone()),
                    ("new", difference.new.clone()),
                ]
            })
            .figure("diff_difference_info", Quantity::Count, "Environment difference between the two sides", |_| {
                Some(1.0)
            });
        metrics
    }
}

impl DiffDocument {
    /// Returns the verdict on all rows together.
    fn answer(&self) -> String {
        let rows = &self.body.rows;
        let limit = self.settings.fail_above;
        let beyond = limit.map_or(String::new(), |limit| format!(" by more than {}", Share(limit)));
        let of = |verdict: Verdict| -> Vec<&DiffRow> {
            rows.iter().filter(|row| row.change.is_some_and(|change| change.verdict == verdict)).collect()
        };
        let regressions: Vec<&DiffRow> = rows.iter().filter(|row| row.regression).collect();
        let (slower, faster) = (of(Verdict::Slower), of(Verdict::Faster));
        let undecided: Vec<&DiffRow> = self.body.undecided().collect();
        let judged = rows.iter().filter(|row| row.change.is_some()).count();
        let better = if faster.is_empty() { String::new() } else { format!("; faster: {}", listed(&faster)) };
        match limit {
            _ if judged == 0 => "Nothing could be compared.".to_string(),
            Some(_) if !regressions.is_empty() => format!(
                "REGRESSION: {} slower{beyond} at 95 % confidence: {}.",
                counted(regressions.len()),
                listed(&regressions)
            ),
            None if !slower.is_empty() => {
                format!("Slower: {} at 95 % confidence: {}{better}.", counted(slower.len()), listed(&slower))
            }
            _ if !undecided.is_empty() => format!(
                "Undecided: {} may or may not be slower{beyond}: {}{better}.",
                counted(undecided.len()),
                listed(&undecided)
            ),
            _ => format!("No regression: {} not slower{beyond} at 95 % confidence{better}.", counted(judged)),
        }
    }

    fn command(&self) -> String {
        let settings = &self.settings;
        let percent = |share: f64| (share * 1e6).round() / 1e4;
        Invocation::of(&self.host, "diff")
            .words(["--old"])
            .words(&settings.old)
            .words(["--new"])
            .words(&settings.new)
            .option("--fail-above", settings.fail_above.map(percent))
            .option("--margin", Some(settings.margin).filter(|&margin| margin != DiffSettings::MARGIN).map(percent))
            .flag("--fail-undecided", settings.fail_undecided)
            .flag("--allow-missing", settings.allow_missing)
            .option("--require-same", Some(settings.require_same.join(",")).filter(|keys| !keys.is_empty()))
            .line()
    }

    fn notes(&self, wide: bool) -> Vec<String> {
        let at_once = match self.body.rows.len() {
            0 | 1 => String::new(),
            rows => format!(", wide enough for all {rows} rows at once"),
        };
        let definition = format!(
            "change: new ns/op ÷ old, less 1, with its interval{at_once}. slower, faster: beyond what the runs leave open (needed), by what earlier runs say of another. same: surely within {}. undecided: neither.",
            Share(self.settings.margin)
        );
        let mut notes: Vec<String> = wide.then_some(definition).into_iter().collect();
        notes.extend(self.body.undecided().filter_map(|row| self.undecided_sentence(row)));
        for (side, rows) in [("old", &self.body.only_old), ("new", &self.body.only_new)] {
            if !rows.is_empty() {
                notes.push(format!("Only in {side}: {}.", rows.join(", ")));
            }
        }
        notes
    }

    /// Returns a sentence on what is missing to decide a row.
    fn undecided_sentence(&self, row: &DiffRow) -> Option<String> {
        let change = row.change?;
        let at = self.settings.fail_above.map(|limit| format!(" at {}", Share(limit))).unwrap_or_default();
        // As every ±, a share of the figure, which is the ratio.
        let half = (change.relative.high? - change.relative.low?) / 2.0 / (1.0 + change.relative.median);
        let change_is = format!("{} ±{}", percent(change.relative.median), Share(half));
        let what = format!("{}: cannot tell{at}: {change_is}", row.title());
        let remedy = match change.runs_needed {
            Some(runs) => format!("{runs} runs a side would"),
            None if change.verdict == Verdict::Undecided && change.is_of_slow_core => {
                "the core was slow on one side".to_string()
            }
            None => format!("{MOST_RUNS} runs a side would not"),
        };
        Some(format!("{what}; {remedy}."))
    }
}

/// Returns the files of a side and when it was measured.
fn side(files: &[String], started_at: &str) -> String {
    match files {
        [file] => format!("{file} of {started_at}"),
        files => format!("{} runs, the first of {started_at}", files.len()),
    }
}

/// Most rows that a sentence names.
const MOST_NAMED: usize = 3;

/// Returns rows with their changes.
fn listed(rows: &[&DiffRow]) -> String {
    let named = |row: &&DiffRow| {
        let change = row.change.map(|change| Cell::interval(Some(change.relative), signed_percent));
        format!("{} {}", row.title(), change.unwrap_or(Cell::Absent).shown())
    };
    let more = rows.len().saturating_sub(MOST_NAMED);
    let listed = rows.iter().take(MOST_NAMED).map(named).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

fn counted(rows: usize) -> String {
    format!("{rows} row{}", if rows == 1 { "" } else { "s" })
}

fn difference_line(difference: &Difference) -> String {
    format!("  {}: {} → {}", difference.what, difference.old, difference.new)
}

/// Title of the table of changes.
const CHANGES: &str = "Changes";

fn table(rows: &[DiffRow], settings: &DiffSettings) -> Table {
    let number = |value: Option<f64>| Cell::number(value, |value| Nanoseconds(value).to_string());
    let row = |row: &DiffRow| {
        let change = row.change;
        vec![
            Cell::text(row_title(&row.workload, Placement::Same, row.ring)),
            Cell::text(row.placement.name()),
            number(row.old_ns_per_op),
            number(row.new_ns_per_op),
            Cell::interval(change.map(|change| change.relative), signed_percent),
            Cell::number(change.map(|change| change.threshold), |share| Share(share).to_string()),
            change.map_or(Cell::Absent, |change| Cell::text(verdict(row, change))),
            row.gate.map_or(Cell::Absent, |gate| Cell::text(gate.name())),
            Cell::number(change.and_then(|change| change.runs_needed).map(|runs| runs as f64), |runs| {
                format!("{runs:.0}")
            }),
        ]
    };
    let column = |key, heading: &[&str], align, expendable| Column::new(key, heading, align, expendable);
    let columns = vec![
        column("workload", &["workload"], Align::Left, 0),
        column("placement", &["placement"], Align::Left, 0),
        column("old_ns_per_op", &["old", "ns/op"], Align::Right, 1),
        column("new_ns_per_op", &["new", "ns/op"], Align::Right, 1),
        column("change", &["change"], Align::Right, 0),
        column("threshold", &["needed"], Align::Right, 2),
        column("verdict", &["verdict"], Align::Left, 0),
        column("gate", &["gate"], Align::Left, 0),
        column("runs_needed", &["runs", "a side"], Align::Right, 3),
    ];
    let mut table = Table { title: CHANGES, columns, rows: rows.iter().map(row).collect() };
    if settings.fail_above.is_none() {
        table = table.without("gate");
    }
    if rows.iter().all(|row| row.change.is_none_or(|change| change.runs_needed.is_none())) {
        table = table.without("runs_needed");
    }
    if rows.iter().all(|row| row.placement == Placement::Same) { table.without("placement") } else { table }
}

fn verdict(row: &DiffRow, change: RowChange) -> &'static str {
    if row.regression { "SLOWER" } else { change.verdict.name() }
}

/// Returns the change of each row that has one; `None` if none has.
fn changes(rows: &[DiffRow]) -> Option<Picture> {
    let bar = |row: &DiffRow| {
        let change = row.change?;
        Some(ChangeBar {
            label: row_title(&row.workload, row.placement, row.ring),
            series: verdict(row, change).to_string(),
            value: change.relative,
            threshold: change.threshold,
            text: signed_percent(change.relative.median),
        })
    };
    let changes: Vec<ChangeBar> = rows.iter().filter_map(bar).collect();
    let title = "Change of ns per op, new ÷ old less 1; between the ticks no change is one".to_string();
    (!changes.is_empty()).then_some(Picture::Changes(Changes { title, table: CHANGES, changes }))
}

/// `+3.2 %` in a sentence.
fn percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

/// `+3.2%`, `-0.1%` in a table.
fn signed_percent(share: f64) -> String {
    format!("{:+.1}%", share * 100.0)
}
