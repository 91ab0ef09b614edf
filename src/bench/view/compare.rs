//! Report of a comparison, for people and machines.

use std::slice;

use crate::bench::document::compare::{CompareDocument, CompareRow, PassedOverRow, SavedRow};
use crate::bench::left_out::LeftOut;
use crate::document::headline::headline;
use crate::document::invocation::Invocation;
use crate::document::{Ending, conditions, metrics};
use crate::estimate::{Estimate, median};
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Level, LevelStyle, Levels, Picture, Table, View};
use crate::unit::Nanoseconds;

impl Shown for CompareDocument {
    fn view(&self, wide: bool) -> View {
        let body = &self.body;
        let host = &self.host;
        let cpu = if wide {
            host.pinned_to()
        } else {
            host.pinned_cpu.map_or("any CPU".to_string(), |cpu| format!("CPU {cpu}"))
        };
        let rounds = match self.settings.rounds {
            1 => "1 round".to_string(),
            rounds => format!("{rounds} rounds, tools and workloads in turn"),
        };
        let verdicts = body.rows.iter().filter_map(verdict);
        let programs = programs(&body.rows).filter(|_| wide);
        let passed_over = passed_over(&body.passed_over);
        let left_out = body.left_out.iter().map(|left_out| format!("Not here: {left_out}."));
        let partial = match &body.ending {
            Ending::Complete => None,
            Ending::Interrupted(_) => Some("partial: interrupted; these are the rounds until then".to_string()),
            Ending::Failed(_) => Some("partial: ended by an error; these are the rounds until then".to_string()),
        };
        View {
            heading: vec![headline(self, None, [cpu, rounds])],
            answer: verdicts.collect(),
            command: Some(
                Invocation::of(host, "compare")
                    .option("--rounds", Some(self.settings.rounds))
                    .words(self.settings.with.iter().flat_map(|file| ["--with", file]))
                    .line(),
            ),
            conditions: conditions::of(self),
            tables: vec![table(&body.rows, &body.left_out), saved_table(&body.saved)],
            pictures: levels(&body.rows).into_iter().collect(),
            notes: left_out.chain(passed_over).chain(programs).collect(),
            warnings: partial.into_iter().chain(self.warnings.iter().map(|warning| warning.message.clone())).collect(),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let body = &self.body;
        let mut metrics = Metrics::of(self);
        metrics.rows(slice::from_ref(self), metrics::command).figure(
            "complete",
            Quantity::Count,
            "1 if the measurement was complete, 0 if it was ended early",
            |document| metrics::completeness(&document.body.ending),
        );
        metrics
            .rows(&body.rows, |row| vec![("tool", row.tool.clone()), ("workload", row.own_workload.clone())])
            .figure("compare_reported_op", Quantity::Nanoseconds, "Time per op reported by the tool", |row| {
                row.reported_ns_per_op
            })
            .figure("compare_assumed_switches_per_op", Quantity::Count, "Assumed switches per op of the tool", |row| {
                Some(row.assumed_switches_per_op)
            })
            .figure("compare_counted_switches_per_op", Quantity::Count, "Counted switches per op of the tool", |row| {
                row.counted_switches_per_op
            })
            .figure("compare_reported_switch", Quantity::Nanoseconds, "Reported time per assumed switch", |row| {
                row.reported_ns_per_switch
            })
            .figure("compare_counted_switch", Quantity::Nanoseconds, "Reported time per counted switch", |row| {
                row.counted_ns_per_switch
            })
            .figure("compare_own_op", Quantity::Nanoseconds, "Time per op of ctxprof's own workload", |row| {
                row.own_ns_per_op
            })
            .estimate("compare_reported_by_own", Quantity::Ratio, "Reported time divided by ctxprof's own", |row| {
                row.ratio
            })
            .figure("compare_rounds", Quantity::Count, "Rounds measured", |row| Some(f64::from(row.rounds)))
            .info("compare_tool_info", "Command line of the tool, and how its switches were counted", |row| {
                let version = row.program.as_ref().and_then(|program| program.version.clone());
                vec![
                    ("tool_command", Some(row.command.clone())),
                    ("tool_version", version),
                    ("counted_by", row.counted_by.clone()),
                ]
            });
        // A benchmark that was repeated stands in a file several times.
        let claims = |saved: &SavedRow| {
            let same = body.saved.iter().filter(|other| (&other.file, &other.what) == (&saved.file, &saved.what));
            median(same.map(|other| other.reported_ns_per_op).collect())
        };
        metrics.rows(&body.saved, |saved| vec![("file", saved.file.clone()), ("what", saved.what.clone())]).figure(
            "compare_saved_op",
            Quantity::Nanoseconds,
            "Time per op in a saved output, its switches not counted",
            claims,
        );
        metrics.rows(&body.left_out, |left_out| vec![("tool", left_out.workload.clone())]).figure(
            "compare_left_out",
            Quantity::Count,
            "1 for a tool that is not available",
            |_| Some(1.0),
        );
        metrics
    }
}

/// Returns the programs that were started, each once: a machine may have several, and they differ.
fn programs(rows: &[CompareRow]) -> Option<String> {
    let mut named: Vec<String> = Vec::new();
    for program in rows.iter().filter_map(|row| row.program.as_ref()) {
        let version = program.version.iter().map(|version| format!(" ({version})")).collect::<String>();
        let words = format!("{}{version}", program.path);
        if !named.contains(&words) {
            named.push(words);
        }
    }
    (!named.is_empty()).then(|| format!("Started: {}.", named.join(", ")))
}

/// Most places of a file that are named.
const PLACES_NAMED: usize = 5;

/// Returns a sentence per file on the lines that were skipped: the one that is missed may be among them.
fn passed_over(rows: &[PassedOverRow]) -> Vec<String> {
    let mut files: Vec<&str> = rows.iter().map(|row| row.file.as_str()).collect();
    files.dedup();
    let place = |row: &PassedOverRow| {
        let lines = if row.from_line == row.to_line {
            format!("line {}", row.from_line)
        } else {
            format!("lines {}–{}", row.from_line, row.to_line)
        };
        let reason = row.reason.iter().map(|reason| format!(" ({reason})")).collect::<String>();
        format!("{lines}, \"{}\"{reason}", row.text)
    };
    let sentence = |file: &&str| {
        let rows: Vec<&PassedOverRow> = rows.iter().filter(|row| row.file == **file).collect();
        // Those with a reason first: others are log lines mostly.
        let (known, unknown): (Vec<&&PassedOverRow>, Vec<_>) = rows.iter().partition(|row| row.reason.is_some());
        let named = known.iter().chain(&unknown).take(PLACES_NAMED).map(|row| place(row));
        let named = named.collect::<Vec<_>>().join("; ");
        let more = rows.len().saturating_sub(PLACES_NAMED);
        let more =
            if more > 0 { format!("; and {more} more places (all are in --format json)") } else { String::new() };
        format!("{file}: passed over {named}{more}.")
    };
    files.iter().map(sentence).collect()
}

/// Share by which a count may differ from the assumption before it is mentioned.
const COUNT_TOLERANCE: f64 = 0.01;

/// Returns one sentence on a tool's result: ours beside it, and whether both make as many switches.
fn verdict(row: &CompareRow) -> Option<String> {
    let ratio = row.ratio?;
    let tool = format!("{}: {} ns/op", row.command, Nanoseconds(row.reported_ns_per_op?));
    let ours = ours(ratio);
    let assumed = row.assumed_switches_per_op;
    let is_assumed = |counted: &f64| (counted - assumed).abs() <= COUNT_TOLERANCE * assumed;
    Some(match (row.counted_switches_per_op, &row.not_counted) {
        (Some(counted), _) if is_assumed(&counted) => format!("{tool}, {ours}, at the same {counted:.3} switches/op."),
        (Some(counted), _) => format!(
            "{tool}, at {counted:.2} switches/op and not {assumed}: who divides by {assumed} is wrong, and its op is not that of {}.",
            row.own_workload
        ),
        (None, Some(reason)) => format!("{tool}, {ours}; its switches were not counted: {reason}."),
        (None, None) => format!("{tool}, {ours}."),
    })
}

/// Returns by how much our figure is above or below that of a tool, from the ratio of the tool's to ours.
fn ours(ratio: Estimate) -> String {
    let apart = |ratio: f64| (1.0 / ratio - 1.0) * 100.0;
    let word = |apart: f64| if apart < 0.0 { "less" } else { "more" };
    let middle = apart(ratio.median);
    let Some((low, high)) = ratio.low.zip(ratio.high) else {
        return format!(
            "ours {:.1} % {} in one round, which does not show whether they agree",
            middle.abs(),
            word(middle)
        );
    };
    let ends = [apart(low), apart(high)].map(f64::abs);
    let (nearer, farther) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    if (low..=high).contains(&1.0) {
        format!("ours the same within {farther:.1} %")
    } else {
        format!("ours {:.1} % [{nearer:.1}, {farther:.1}] {}", middle.abs(), word(middle))
    }
}

fn column(key: &'static str, heading: &[&str], align: Align, expendable: u8) -> Column {
    Column::new(key, heading, align, expendable)
}

fn nanoseconds(value: Option<f64>) -> Cell {
    Cell::number(value, |value| Nanoseconds(value).to_string())
}

/// Title of the table of tools.
const EXTERNAL: &str = "External benchmarks, their switches counted";

fn table(rows: &[CompareRow], left_out: &[LeftOut]) -> Table {
    let row = |row: &CompareRow| {
        vec![
            Cell::text(&row.tool),
            nanoseconds(row.reported_ns_per_op),
            Cell::number(Some(row.assumed_switches_per_op), |per_op| per_op.to_string()),
            Cell::number(row.counted_switches_per_op, |per_op| format!("{per_op:.3}")),
            nanoseconds(row.counted_ns_per_switch),
            Cell::text(&row.own_workload),
            nanoseconds(row.own_ns_per_op),
            Cell::interval(row.ratio, |ratio| format!("{ratio:.3}")),
        ]
    };
    let columns = vec![
        column("tool", &["TOOL"], Align::Left, 0),
        column("reported_ns_per_op", &["reported", "ns/op"], Align::Right, 0),
        column("assumed_switches_per_op", &["assumed", "switches"], Align::Right, 3),
        column("counted_switches_per_op", &["counted", "switches"], Align::Right, 1),
        column("counted_ns_per_switch", &["ns per", "switch"], Align::Right, 0),
        column("own_workload", &["ours"], Align::Left, 4),
        column("own_ns_per_op", &["ours", "ns/op"], Align::Right, 2),
        column("ratio", &["÷ ours"], Align::Right, 0),
    ];
    // A tool that is not available has a row too; the reason, and what installs it, are below.
    let absent = |left_out: &LeftOut| {
        let mut cells = vec![Cell::Absent; columns.len()];
        cells[0] = Cell::text(&left_out.workload);
        cells
    };
    let rows = rows.iter().map(row).chain(left_out.iter().map(absent)).collect();
    Table { title: EXTERNAL, columns, rows }
}

/// Returns each reported time per op, beside ours; `None` without rows.
fn levels(rows: &[CompareRow]) -> Option<Picture> {
    let level = |row: &CompareRow| Level {
        label: row.tool.clone(),
        series: "tools".to_string(),
        figures: [row.reported_ns_per_op, row.own_ns_per_op].map(nanoseconds).to_vec(),
    };
    (!rows.is_empty()).then_some(Picture::Levels(Levels {
        title: "ns/op as the tool reports it (filled), and ours (hollow); relative: by the least of the tools"
            .to_string(),
        table: EXTERNAL,
        quantity: Quantity::Nanoseconds,
        style: LevelStyle::Dots,
        heads: vec!["reported", "ours"],
        levels: rows.iter().map(level).collect(),
    }))
}

fn saved_table(rows: &[SavedRow]) -> Table {
    let row = |row: &SavedRow| {
        vec![
            Cell::name(&row.file),
            Cell::name(&row.what),
            nanoseconds(Some(row.reported_ns_per_op)),
            Cell::text("not counted"),
        ]
    };
    let columns = vec![
        column("file", &["from a file"], Align::Left, 0),
        column("what", &["what"], Align::Left, 0),
        column("reported_ns_per_op", &["reported", "ns/op"], Align::Right, 0),
        column("counted_switches_per_op", &["switches"], Align::Right, 0),
    ];
    Table { title: "From files", columns, rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(median: f64, ends: Option<(f64, f64)>, expected: &str) {
        let (low, high) = ends.unzip();
        assert_eq!(ours(Estimate { median, low, high }), expected);
    }

    #[test]
    fn ours_is_the_same_within_the_farther_end_of_the_interval_or_less_or_more() {
        check(0.993, Some((0.989, 1.004)), "ours the same within 1.1 %");
        check(1.0, Some((1.0, 1.0)), "ours the same within 0.0 %");
        check(1.25, Some((1.2, 1.3)), "ours 20.0 % [16.7, 23.1] less");
        check(0.96, Some((0.95, 0.97)), "ours 4.2 % [3.1, 5.3] more");
        check(0.8, None, "ours 25.0 % more in one round, which does not show whether they agree");
    }
}
