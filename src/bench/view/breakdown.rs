//! Report of the records of switches: the breakdown of an op, and pictures of typical ones.

use crate::bench::document::run::{RunDocument, RunResult};
use crate::bench::figures::recorded::{Breakdown, BreakdownPart, BreakdownPartKind};
use crate::output::metrics::{Labels, Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Picture, Stack, Stacks, Table};
use crate::sched::timeline::{BySwitches, RecordSource, Timeline};
use crate::unit::{Nanoseconds, Share, Span};
use crate::workload::kind::Kind;

/// Title of the table of parts.
const BREAKDOWN: &str = "Breakdown of an op";

/// Returns one row for each part of each workload's breakdown; `None` without one.
pub(super) fn table(results: &[RunResult]) -> Option<Table> {
    let column = |key, heading: &[&str], expendable| {
        Column::new(
            key,
            heading,
            if matches!(key, "workload" | "part") { Align::Left } else { Align::Right },
            expendable,
        )
    };
    let columns = vec![
        column("workload", &["workload"], 0),
        column("part", &["part"], 0),
        column("part_ns_per_op", &["ns/op"], 0),
        column("part_share", &["of the", "whole"], 2),
        column("part_events_per_op", &["times", "per op"], 3),
        column("part_p50_ns", &["each:", "p50 ns"], 0),
        column("part_p99_ns", &["", "p99 ns"], 1),
    ];
    let rows = results.iter().filter_map(|result| Some((result, result.breakdown.as_ref()?)));
    let rows: Vec<Vec<Cell>> =
        rows.flat_map(|(result, breakdown)| breakdown.parts.iter().map(|part| row(result, breakdown, part))).collect();
    (!rows.is_empty()).then_some(Table { title: BREAKDOWN, columns, rows })
}

fn row(result: &RunResult, breakdown: &Breakdown, part: &BreakdownPart) -> Vec<Cell> {
    let nanoseconds = |value| Cell::number(value, |ns| Nanoseconds(ns).to_string());
    let whole = part_ns(breakdown, BreakdownPartKind::Whole).filter(|&whole| whole > 0.0);
    let happens = part.per_op > 0.0;
    vec![
        Cell::text(result.title()),
        Cell::text(words(part.kind)),
        nanoseconds(Some(part.ns_per_op)),
        Cell::number(whole.map(|whole| part.ns_per_op / whole), |share| Share(share).to_string()),
        Cell::number(Some(part.per_op).filter(|_| happens), |per_op| format!("{per_op:.2}")),
        nanoseconds(part.p50_ns),
        nanoseconds(part.p99_ns),
    ]
}

fn words(kind: BreakdownPartKind) -> &'static str {
    match kind {
        BreakdownPartKind::Running => "running",
        BreakdownPartKind::WakeUp => "scheduling delay",
        BreakdownPartKind::Switch => "context switch",
        BreakdownPartKind::Idle => "idle",
        BreakdownPartKind::Other => "other threads",
        BreakdownPartKind::Unknown => "unknown",
        BreakdownPartKind::Whole => "= total",
        BreakdownPartKind::NoSwitch => "no-switch: calls alone",
    }
}

fn part_ns(breakdown: &Breakdown, kind: BreakdownPartKind) -> Option<f64> {
    breakdown.parts.iter().find(|part| part.kind == kind).map(|part| part.ns_per_op)
}

/// Returns the breakdown of an op in each workload that has one: the parts that add up to it.
pub(super) fn stacks(results: &[RunResult]) -> Option<Picture> {
    let stack = |result: &RunResult| {
        let breakdown = result.breakdown.as_ref()?;
        let values = BreakdownPartKind::PARTS.map(|kind| part_ns(breakdown, kind).unwrap_or_default()).to_vec();
        let text = Nanoseconds(part_ns(breakdown, BreakdownPartKind::Whole)?).to_string();
        Some(Stack { label: result.title(), values, text })
    };
    let stacks: Vec<Stack> = results.iter().filter_map(stack).collect();
    let title = "What a recorded op is made of, in ns".to_string();
    let parts = BreakdownPartKind::PARTS.map(|kind| words(kind).to_string()).to_vec();
    (!stacks.is_empty()).then_some(Picture::Stacks(Stacks {
        title,
        table: BREAKDOWN,
        quantity: Quantity::Nanoseconds,
        parts,
        stacks,
    }))
}

/// Returns typical ops of each workload that has them.
pub(super) fn pictures(results: &[RunResult]) -> Vec<Picture> {
    let picture = |result: &RunResult, op: &Timeline| {
        let other = |by: &BySwitches| format!("{} in {}", by.switches, Share(by.ops as f64 / op.ops.max(1) as f64));
        let all: Vec<String> = op.by_switches.iter().take(MOST_NUMBERS).map(other).collect();
        let title = format!(
            "{}, a typical op ({}) of {}: {} switches. {} of {} recorded went this way; switches of all: {}.",
            result.title(),
            result.op,
            Span(op.duration_ns as f64),
            op.switches,
            op.alike,
            op.ops,
            all.join(", ")
        );
        Picture::Timeline { title, op: op.clone() }
    };
    results.iter().flat_map(|result| result.timelines.iter().map(move |op| picture(result, op))).collect()
}

/// Most numbers of switches that are named, the most frequent ones.
const MOST_NUMBERS: usize = 4;

/// Returns the sums, and what to know about them.
pub(super) fn notes(document: &RunDocument) -> Vec<String> {
    let settings = &document.settings;
    if !settings.breakdown && !settings.timeline {
        return Vec::new();
    }
    let results = &document.body.results;
    let mut notes: Vec<String> = results.iter().filter_map(|result| sum(result, result.breakdown.as_ref()?)).collect();
    if results
        .iter()
        .filter_map(|result| result.breakdown.as_ref())
        .any(|breakdown| breakdown.source == RecordSource::Thread)
    {
        notes.push("Recorded on the participants' own threads: what is between one's leaving and the other's coming counts as the switch, whoever ran meanwhile.".to_string());
    }
    let has_none = |result: &&RunResult| !matches!(result.kind, Kind::Thread | Kind::Process);
    let without: Vec<&str> = results.iter().filter(has_none).map(|result| result.workload.as_str()).collect();
    if !without.is_empty() {
        notes.push(format!(
            "No breakdown and no timeline of {}: the kernel records switches of threads and processes only.",
            without.join(", ")
        ));
    }
    notes
}

/// Returns the sum of the parts that are measured each by itself, and the cost of recording.
fn sum(result: &RunResult, breakdown: &Breakdown) -> Option<String> {
    let title = result.title();
    let whole = part_ns(breakdown, BreakdownPartKind::Whole)?;
    let show = |kind| part_ns(breakdown, kind).map(|ns| Nanoseconds(ns).to_string());
    let added = breakdown.accounted_ns_per_op.and_then(|sum| {
        let (no_switch, wake_up, switch) =
            (show(BreakdownPartKind::NoSwitch)?, show(BreakdownPartKind::WakeUp)?, show(BreakdownPartKind::Switch)?);
        let (sum, share) = (Nanoseconds(sum), Share(sum / whole));
        Some(format!(
            "calls {no_switch} + wake-ups {wake_up} + switches {switch} = {sum} ns, {share} of the total {}",
            Nanoseconds(whole)
        ))
    });
    let cost = breakdown.recording_cost.map(|cost| format!("recording makes its ops {cost:.2} times as long"));
    let left_out = (breakdown.ops_left_out > 0).then(|| {
        format!(
            "{} of {} recorded ops are left out: other threads ran in them, or records are missing",
            breakdown.ops_left_out,
            breakdown.ops + breakdown.ops_left_out
        )
    });
    let disturbed =
        breakdown.disturbed.then(|| "other threads ran in nearly all of its ops, and are in these".to_string());
    let lost = Some(format!("{} records lost", breakdown.lost_records));
    let parts: Vec<String> = [added, cost, left_out, disturbed, lost].into_iter().flatten().collect();
    Some(format!("Breakdown of {title}: {}.", parts.join("; ")))
}

/// Adds the parts of an op, and the quantiles of their events.
pub(super) fn add_metrics(metrics: &mut Metrics, results: &[RunResult], labels: fn(&RunResult) -> Labels) {
    let each = |result: &RunResult, figure: &dyn Fn(&BreakdownPart) -> Option<f64>| -> Vec<(Labels, f64)> {
        let breakdown = result.breakdown.iter().flat_map(|breakdown| &breakdown.parts);
        breakdown.filter_map(|part| Some((vec![("part", part.kind.name().to_string())], figure(part)?))).collect()
    };
    metrics
        .rows(results, labels)
        .samples(
            "op_breakdown",
            Quantity::Nanoseconds,
            "Time of each part of an op, by records of its switches",
            |result| each(result, &|part| Some(part.ns_per_op)),
        )
        .samples(
            "breakdown_median",
            Quantity::Nanoseconds,
            "Median time of one occurrence of a part of an op",
            |result| each(result, &|part| part.p50_ns),
        )
        .samples(
            "breakdown_p99",
            Quantity::Nanoseconds,
            "99th percentile of the time of one occurrence of a part of an op",
            |result| each(result, &|part| part.p99_ns),
        )
        .figure(
            "recording_cost",
            Quantity::Ratio,
            "Time per op with switches recorded divided by time per op without",
            |result| result.breakdown.as_ref()?.recording_cost,
        )
        .figure("records_lost", Quantity::Count, "Records of switches that found no room", |result| {
            Some(result.breakdown.as_ref()?.lost_records as f64)
        });
}
