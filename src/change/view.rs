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
    fn view(&self, _wide: bool) -> View {
        let body = &self.body;
        let differs = match body.differences.as_slice() {
            [] => vec!["Nothing else is known to differ between the two.".to_string()],
            differences => std::iter::once("Differs too, the likely cause of a change first:".to_string())
                .chain(differences.iter().map(difference_line))
                .collect(),
        };
        let sides = format!(
            "old: {} of {}; new: {} of {}",
            runs(self.settings.old.len()),
            body.old_started_at,
            runs(self.settings.new.len()),
            body.new_started_at
        );
        View {
            heading: std::iter::once(sides).chain(differs).collect(),
            answer: vec![self.answer()],
            command: Some(self.command()),
            conditions: conditions::of(self),
            tables: vec![table(&body.rows, &self.settings)],
            pictures: changes(&body.rows).into_iter().collect(),
            notes: self.notes(),
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let body = &self.body;
        let mut metrics = Metrics::of(self);
        // A document from before there were margins has three verdicts.
        let is_old = self.settings.margin.is_none();
        let verdicts = || Verdict::ALL.into_iter().filter(move |&verdict| !is_old || verdict != Verdict::Undecided);
        let yes = |is: bool| f64::from(u8::from(is));
        metrics
            .rows(&body.rows, |row| row_labels(&row.workload, row.placement, row.ring))
            .figure("diff_old_op", Quantity::Nanoseconds, "What an op took on the old side", |row| row.old_ns_per_op)
            .figure("diff_new_op", Quantity::Nanoseconds, "What an op takes on the new side", |row| row.new_ns_per_op)
            .estimate("diff_change", Quantity::Ratio, "New by old, less 1: 0.1 is a tenth slower", |row| {
                Some(row.change?.relative)
            })
            .figure("diff_threshold", Quantity::Ratio, "What a change must exceed to be one", |row| {
                Some(row.change?.threshold)
            })
            .samples("diff_verdict", Quantity::Count, "1 for the verdict that holds, 0 for the others", |row| {
                let of = |verdict: Verdict, change: RowChange| {
                    (vec![("verdict", verdict.name().to_string())], yes(verdict == change.verdict))
                };
                row.change.iter().flat_map(|&change| verdicts().map(move |verdict| of(verdict, change))).collect()
            })
            .figure("diff_runs_needed", Quantity::Count, "Runs a side that would tell what cannot be told yet", |row| {
                Some(row.change?.runs_needed? as f64)
            })
            .samples("diff_gate", Quantity::Count, "1 for what a gate makes of the row, 0 for the rest", |row| {
                let of = |gate: Decision, is: Decision| (vec![("gate", gate.name().to_string())], yes(gate == is));
                row.gate.iter().flat_map(|&is| Decision::ALL.into_iter().map(move |gate| of(gate, is))).collect()
            })
            // Without a limit, there is no statement that nothing exceeded it.
            .figure("diff_regression", Quantity::Count, "1 if slower than was allowed", |row| {
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
            .figure("diff_difference_info", Quantity::Count, "What else is not the same on both sides", |_| Some(1.0));
        metrics
    }
}

impl DiffDocument {
    fn notes(&self) -> Vec<String> {
        let at_once = match self.body.rows.len() {
            0 | 1 => String::new(),
            rows => format!(", wide enough for all {rows} rows at once"),
        };
        let verdicts = match self.settings.margin {
            Some(margin) => format!(
                "slower, faster: beyond what the runs leave open (needed), by what earlier runs say of another. same: surely within {}. undecided: neither.",
                Share(margin)
            ),
            // As it was when there were three verdicts.
            None => "same: below the larger of 3 % and what the runs leave open (needed).".to_string(),
        };
        let mut notes = vec![format!("change: new ns/op ÷ old, less 1, with its interval{at_once}. {verdicts}")];
        notes.extend(self.body.undecided().filter_map(|row| self.undecided_sentence(row)));
        for (side, rows) in [("old", &self.body.only_old), ("new", &self.body.only_new)] {
            if !rows.is_empty() {
                notes.push(format!("Only in {side}: {}.", rows.join(", ")));
            }
        }
        notes
    }

    /// Returns whether the gate found a regression; without one, how many rows have each verdict.
    fn answer(&self) -> String {
        let rows = &self.body.rows;
        let Some(allowed) = self.settings.fail_above else {
            let of = |verdict: &Verdict| {
                rows.iter().filter(|row| row.change.is_some_and(|change| change.verdict == *verdict)).count()
            };
            let counts = Verdict::ALL.iter().filter(|verdict| of(verdict) > 0);
            let counts = counts.map(|verdict| format!("{} {}", of(verdict), verdict.name())).collect::<Vec<_>>();
            return format!("{} rows: {}.", rows.len(), counts.join(", "));
        };
        let regressions: Vec<&str> =
            self.body.rows.iter().filter(|row| row.regression).map(|row| row.workload.as_str()).collect();
        let passed = self.body.rows.iter().filter(|row| row.gate == Some(Decision::Passed)).count();
        match regressions.as_slice() {
            [] if self.settings.margin.is_some() => {
                format!("Surely not slower by more than {}: {passed} of {} rows.", Share(allowed), self.body.rows.len())
            }
            [] => format!("No row is surely slower by more than {}.", Share(allowed)),
            rows => format!("REGRESSION: surely slower by more than {}: {}.", Share(allowed), rows.join(", ")),
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
            .option("--margin", settings.margin.filter(|&margin| margin != DiffSettings::MARGIN).map(percent))
            .flag("--fail-undecided", settings.fail_undecided)
            .flag("--allow-missing", settings.allow_missing)
            .option("--require-same", Some(settings.require_same.join(",")).filter(|keys| !keys.is_empty()))
            .line()
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

fn runs(count: usize) -> String {
    if count == 1 { "a run".to_string() } else { format!("{count} runs, the first") }
}

fn difference_line(difference: &Difference) -> String {
    format!("  {}: {} → {}", difference.what, difference.old, difference.new)
}

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
    let mut table = Table { title: "Changes", columns, rows: rows.iter().map(row).collect() };
    if settings.fail_above.is_none() || settings.margin.is_none() {
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
    let title = "Change of ns per op, new ÷ old less 1; the bracket is what a change must exceed".to_string();
    (!changes.is_empty()).then_some(Picture::Changes(Changes { title, changes }))
}

/// `+3.2 %` in a sentence.
fn percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

/// `+3.2%`, `-0.1%` in a table.
fn signed_percent(share: f64) -> String {
    format!("{:+.1}%", share * 100.0)
}
