//! Report of ops that were timed one by one, for people and machines.

use crate::bench::document::run::{RunBody, RunDocument, RunResult};
use crate::bench::figures::{LatencyBucket, LatencyFigures};
use crate::bench::view::costs::{CostColumn, cost_column, nanoseconds, table_of};
use crate::host::placement::Placement;
use crate::output::metrics::{Quantity, Rows};
use crate::output::view::{Bar, Cell, Level, LevelStyle, Levels, Picture, Table};
use crate::unit::{Count, Span};

/// Returns the percentiles of every workload that has any; without one there is no row.
pub(super) fn latency_table(body: &RunBody) -> Table {
    let timed: Vec<&RunResult> = body.results.iter().filter(|result| result.latency.is_some()).collect();
    let column = |key, heading: &[&str], expendable, figure: fn(&LatencyFigures) -> Option<f64>| {
        cost_column(key, heading, expendable, move |result| {
            Cell::number(result.latency.as_ref().and_then(figure), nanoseconds)
        })
    };
    let mut columns = vec![
        cost_column("workload", &["latency,", "ns per op"], 0, |result| Cell::text(&result.workload)),
        cost_column("placement", &["placement"], 0, |result| Cell::text(result.placement.name())),
        column("p50_ns", &["p50"], 0, |latency| latency.p50_ns),
        column("p90_ns", &["p90"], 1, |latency| latency.p90_ns),
        column("p99_ns", &["p99"], 0, |latency| latency.p99_ns),
        column("p99_9_ns", &["p99.9"], 0, |latency| latency.p99_9_ns),
        column("max_ns", &["max"], 0, |latency| Some(latency.max_ns)),
        column("latency_mean_ns", &["mean"], 2, |latency| Some(latency.mean_ns)),
        cost_column("latency_ops", &["ops"], 3, |result| {
            Cell::number(result.latency.as_ref().map(|latency| latency.ops as f64), |ops| Count(ops).to_string())
        }),
        cost_column("timer_ticks_per_1000_ops", &["ticks per", "1000 ops"], 4, |result| {
            let ticks = result.latency.as_ref().and_then(|latency| latency.timer_ticks_per_op);
            Cell::number(ticks.map(|ticks| 1000.0 * ticks), |ticks| Count(ticks).to_string())
        }),
        column("clock_ns", &["clock"], 6, |latency| Some(latency.clock_ns)),
        cost_column("latency_by_plain", &["by plain"], 7, |result| {
            let by_plain = result.latency.as_ref().and_then(|latency| latency.by_plain);
            Cell::estimate(by_plain, true, |ratio| format!("{ratio:.3}"))
        }),
        cost_column("latency_check", &["check"], 5, |result| {
            let agreement = result.latency.as_ref().and_then(|latency| latency.agreement);
            Cell::estimate(agreement, true, |ratio| format!("{ratio:.3}"))
        }),
    ];
    if timed.iter().all(|result| result.placement == Placement::Same) {
        columns.retain(|CostColumn { column, .. }| column.key != "placement");
    }
    table_of(LATENCY, columns, &timed)
}

/// Title of the table of percentiles.
const LATENCY: &str = "Latency";

/// Returns the percentiles of all rows side by side; `None` without any.
pub(super) fn spans(body: &RunBody) -> Option<Picture> {
    let level = |result: &RunResult| {
        let latency = result.latency.as_ref()?;
        let figures = [latency.p50_ns, latency.p99_ns, latency.p99_9_ns, Some(latency.max_ns)];
        let figures = figures.map(|ns| Cell::number(ns, |ns| Span(ns).to_string())).to_vec();
        Some(Level { label: result.title(), series: result.kind.name().to_string(), figures })
    };
    let levels: Vec<Level> = body.results.iter().filter_map(level).collect();
    (!levels.is_empty()).then_some(Picture::Levels(Levels {
        title: "Ops timed one by one: p50 (filled), p99 and p99.9 (ticks), max (hollow)".to_string(),
        table: LATENCY,
        quantity: Quantity::Nanoseconds,
        style: LevelStyle::Spans,
        heads: vec!["p50", "p99", "p99.9", "max"],
        levels,
    }))
}

pub(super) fn pictures(body: &RunBody) -> Vec<Picture> {
    let picture = |result: &RunResult| {
        let title = result.title();
        Some(Picture::Histogram {
            title: format!("{title}: how many ops took how long (bars by the logarithm)"),
            bars: bars(&result.latency.as_ref()?.buckets),
        })
    };
    body.results.iter().filter_map(picture).collect()
}

/// Returns three bars to a decade, from the first that has ops in it to the last.
fn bars(buckets: &[LatencyBucket]) -> Vec<Bar> {
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Vec::new() };
    // Ops below a nanosecond have a bar of their own.
    let edges = || (0..).flat_map(|decade| [1.0, 2.0, 5.0].map(|edge| edge * 10_f64.powi(decade)));
    let bounds = std::iter::once(0.0).chain(edges()).zip(edges());
    bounds
        .skip_while(|&(_, to_ns)| to_ns <= first.from_ns)
        .take_while(|&(from_ns, _)| from_ns < last.to_ns)
        .map(|(from_ns, to_ns)| {
            let within = buckets.iter().filter(|bucket| bucket.from_ns >= from_ns && bucket.to_ns <= to_ns);
            let ops: u64 = within.map(|bucket| bucket.ops).sum();
            Bar { label: range(from_ns, to_ns), value: ops as f64, text: Count(ops as f64).to_string() }
        })
        .collect()
}

/// Formats a range: `2–5 µs`, `500 ns–1 µs`.
fn range(from_ns: f64, to_ns: f64) -> String {
    let in_unit = |ns: f64| match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    match (in_unit(from_ns), in_unit(to_ns)) {
        ((from, unit), (to, same)) if unit == same => format!("{from}–{to} {unit}"),
        ((from, unit), (to, other)) => format!("{from} {unit}–{to} {other}"),
    }
}

/// Returns what is missing; `wide` also the percentile from which the timer's tick decides.
pub(super) fn notes(document: &RunDocument, wide: bool) -> Vec<String> {
    let results = || document.body.results.iter();
    let timed = || results().filter_map(|result| Some((result, result.latency.as_ref()?)));
    let mut notes = Vec::new();
    let ticks: Vec<String> = timed()
        .filter_map(|(result, latency)| {
            let title = result.title();
            Some(format!("p{} ({title})", nines(latency.tick_percentile()?)))
        })
        .collect();
    if wide && !ticks.is_empty() {
        notes.push(format!("The timer's tick decides beyond {}.", ticks.join(", ")));
    }
    let missing: Vec<String> = results()
        .filter(|result| document.settings.latency && result.latency.is_none())
        .map(|result| result.title())
        .collect();
    if !missing.is_empty() {
        notes.push(format!("The run ended before any op of {} was timed by itself.", missing.join(", ")));
    }
    notes
}

/// Formats a percentile with two digits after its nines.
fn nines(percentile: f64) -> String {
    let beyond = 100.0 - percentile;
    let decimals = if beyond > 0.0 { (1.0 - beyond.log10().floor()).clamp(0.0, 8.0) as usize } else { 0 };
    format!("{percentile:.decimals$}")
}

/// Adds the families of ops timed one by one.
pub(super) fn add_metrics(rows: &mut Rows<'_, RunResult>) {
    type Figure = fn(&LatencyFigures) -> Option<f64>;
    let figures: [(&str, Quantity, &str, Figure); 9] = [
        ("op_latency_p50", Quantity::Nanoseconds, "Median latency of an op timed by itself", |latency| latency.p50_ns),
        ("op_latency_p90", Quantity::Nanoseconds, "90th percentile of the latency of an op", |latency| latency.p90_ns),
        ("op_latency_p99", Quantity::Nanoseconds, "99th percentile of the latency of an op", |latency| latency.p99_ns),
        ("op_latency_p99_9", Quantity::Nanoseconds, "99.9th percentile of the latency of an op", |latency| {
            latency.p99_9_ns
        }),
        ("op_latency_max", Quantity::Nanoseconds, "Maximum latency of an op", |latency| Some(latency.max_ns)),
        ("op_latency_mean", Quantity::Nanoseconds, "Mean latency of an op timed by itself", |latency| {
            Some(latency.mean_ns)
        }),
        (
            "op_latency_clock",
            Quantity::Nanoseconds,
            "Cost of reading the clock, in each op timed by itself",
            |latency| Some(latency.clock_ns),
        ),
        ("op_latency_ops", Quantity::Count, "Ops timed one by one", |latency| Some(latency.ops as f64)),
        ("timer_ticks_per_op", Quantity::Count, "Timer interrupts per op", |latency| latency.timer_ticks_per_op),
    ];
    for (name, quantity, help, figure) in figures {
        rows.figure(name, quantity, help, |result| figure(result.latency.as_ref()?));
    }
    rows.estimate(
        "op_latency_by_plain",
        Quantity::Ratio,
        "Latency of an op timed by itself divided by time per op in a batch",
        |result| result.latency.as_ref()?.by_plain,
    );
    rows.estimate(
        "op_latency_agreement",
        Quantity::Ratio,
        "Latency of an op timed by itself, without the clock, divided by time per op in a batch",
        |result| result.latency.as_ref()?.agreement,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_the_unit_that_suits_their_ends() {
        for (from_ns, to_ns, expected) in [
            (0.0, 1.0, "0–1 ns"),
            (500.0, 1e3, "500 ns–1 µs"),
            (2e3, 5e3, "2–5 µs"),
            (5e8, 1e9, "500 ms–1 s"),
            (1e10, 2e10, "10–20 s"),
        ] {
            assert_eq!(range(from_ns, to_ns), expected);
        }
    }

    #[test]
    fn percentiles_have_two_digits_after_their_nines() {
        for (percentile, expected) in [(50.0, "50"), (95.5, "95.5"), (99.885, "99.89"), (99.99416, "99.9942")] {
            assert_eq!(nines(percentile), expected);
        }
        assert_eq!(nines(100.0), "100");
    }

    #[test]
    fn bars_hold_all_ops_and_leave_no_gap() {
        let bucket = |from_ns, to_ns, ops| LatencyBucket { from_ns, to_ns, ops };
        let buckets = [bucket(1.6e3, 2e3, 10), bucket(2e3, 2.5e3, 20), bucket(4e3, 5e3, 30), bucket(2.5e4, 3.15e4, 1)];
        let bars: Vec<(String, f64)> = bars(&buckets).into_iter().map(|bar| (bar.label, bar.value)).collect();
        let expected = [("1–2 µs", 10.0), ("2–5 µs", 50.0), ("5–10 µs", 0.0), ("10–20 µs", 0.0), ("20–50 µs", 1.0)];
        assert_eq!(bars, expected.map(|(label, ops)| (label.to_string(), ops)));
        assert_eq!(super::bars(&[]), []);
        assert_eq!(super::bars(&[bucket(0.0, 1.0, 3)])[0].label, "0–1 ns");
    }
}
