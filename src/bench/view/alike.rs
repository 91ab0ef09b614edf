//! Like with like, and the headline ratio.

use crate::bench::document::run::{RunBody, RunResult};
use crate::bench::figures::alike::{Alike, HandOver, is_settled};
use crate::bench::figures::{Elsewhere, Ratio};
use crate::bench::view::costs::nanoseconds;
use crate::estimate::Estimate;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Table};
use crate::unit::Times;
use crate::workload::kind::Kind;

/// Returns the time of a handoff by contract and kind; `None` where no contract was measured of two kinds.
pub(super) fn table(body: &RunBody) -> Option<Table> {
    let has = |kind: Kind| body.alike.iter().any(|alike| of_kind(alike, kind).is_some());
    let contract = column("contract", &["like with like,", "ns a hand-over"], Align::Left);
    let mut columns = vec![Column { wraps: true, ..contract }];
    let kinds: Vec<&KindColumns> = KINDS.iter().filter(|columns| has(columns.kind)).collect();
    for of_kind in &kinds {
        let ns = column(of_kind.ns_key, of_kind.heading, Align::Right);
        columns.push(Column { expendable: of_kind.expendable, ..ns });
        columns.extend(of_kind.ratio_key.map(|key| column(key, &["times"], Align::Left)));
    }
    let row = |alike: &Alike| {
        let mut cells = vec![Cell::text(&alike.contract)];
        for columns in &kinds {
            let hand_over = of_kind(alike, columns.kind);
            cells.push(Cell::estimate(hand_over.map(|hand_over| hand_over.ns), false, nanoseconds));
            if columns.ratio_key.is_some() {
                let settled = hand_over.and_then(|hand_over| hand_over.times_lower).filter(is_settled);
                cells.push(Cell::interval(settled, |ratio| Times(ratio).to_string()));
            }
        }
        cells
    };
    (!body.alike.is_empty()).then(|| Table {
        title: "Like with like",
        columns,
        rows: body.alike.iter().map(row).collect(),
    })
}

pub(super) fn add_metrics(metrics: &mut Metrics, alike: &[Alike]) {
    let labels = |(contract, hand_over): &(String, HandOver)| {
        vec![("contract", contract.clone()), ("workload", hand_over.workload.clone())]
    };
    let each = |alike: &Alike| {
        let contract = alike.contract.clone();
        alike.hand_overs.clone().into_iter().map(move |hand_over| (contract.clone(), hand_over))
    };
    let rows: Vec<(String, HandOver)> = alike.iter().flat_map(each).collect();
    metrics
        .rows(&rows, labels)
        .estimate("hand_over", Quantity::Nanoseconds, "Time of one handoff, half a round trip", |(_, hand_over)| {
            Some(hand_over.ns)
        })
        .estimate(
            "hand_over_cost",
            Quantity::Ratio,
            "Time of a thread's handoff of the same contract divided by this one's",
            |(_, hand_over)| hand_over.times_lower,
        );
}

struct KindColumns {
    kind: Kind,
    /// Its name, parted where that spares the width of a page.
    heading: &'static [&'static str],
    ns_key: &'static str,
    /// Column of the first kind's handoff time ÷ this one's.
    ratio_key: Option<&'static str>,
    /// On a narrow terminal the ratio alone is enough.
    expendable: u8,
}

const KINDS: [KindColumns; 3] = [
    KindColumns { kind: Kind::Thread, heading: &["thread"], ns_key: "thread_ns", ratio_key: None, expendable: 0 },
    KindColumns {
        kind: Kind::Goroutine,
        heading: &["go-", "routine"],
        ns_key: "goroutine_ns",
        ratio_key: Some("goroutine_ratio"),
        expendable: 1,
    },
    KindColumns {
        kind: Kind::Task,
        heading: &["task"],
        ns_key: "task_ns",
        ratio_key: Some("task_ratio"),
        expendable: 2,
    },
];

fn of_kind(alike: &Alike, kind: Kind) -> Option<&HandOver> {
    alike.hand_overs.iter().find(|hand_over| hand_over.kind == kind)
}

fn column(key: &'static str, heading: &[&str], align: Align) -> Column {
    Column::new(key, heading, align, 0)
}

/// Returns sentences on the ratios of a run, the headline ratio first.
pub(super) fn answer(body: &RunBody) -> Vec<String> {
    ratios(body).map(sentence).collect()
}

fn ratios(body: &RunBody) -> impl Iterator<Item = &Ratio> {
    body.ratio.iter().chain(&body.ratios)
}

/// Returns what the place of a row's participants in memory adds to its cost.
pub(super) fn elsewhere(body: &RunBody) -> Vec<String> {
    body.results.iter().filter_map(elsewhere_of).collect()
}

/// Returns a sentence on an op's time with the participants' memory elsewhere than in its row.
fn elsewhere_of(result: &RunResult) -> Option<String> {
    let Elsewhere { places, lowest_ns_per_op, median_ns_per_op, highest_ns_per_op } = result.elsewhere?;
    let [lowest, middle, highest] = [lowest_ns_per_op, median_ns_per_op, highest_ns_per_op].map(nanoseconds);
    Some(format!(
        "{} is of the first goroutines that its program makes. Pairs made later lie elsewhere in memory: {places} of them took {lowest} to {highest} ns an op, the median one {middle}.",
        result.workload
    ))
}

fn sentence(ratio: &Ratio) -> String {
    const SWITCHES_PER_SECOND: f64 = 20_000.0;
    let share_of_cpu = |ns_per_switch: f64| two_digits(ns_per_switch * SWITCHES_PER_SECOND / 1e9 * 100.0);
    let of = |kind: Kind, workload: &str| {
        let name = if kind == Kind::Task { "tokio task" } else { kind.name() };
        format!("{name} switch ({workload})")
    };
    let higher = of(ratio.higher_kind, &ratio.higher);
    let lower = of(ratio.lower_kind, &ratio.lower);
    if !is_settled(&ratio.gross) {
        return format!(
            "The ratio of a {higher} to a {lower} is not known: its interval is wider than 1.5x, or there is none; a longer --time or a quieter machine narrows it."
        );
    }
    format!(
        "A {higher} costs {} a {lower}; at 20,000/s {} % of a CPU against {} %.",
        with_interval(ratio.gross),
        share_of_cpu(ratio.higher_ns),
        share_of_cpu(ratio.lower_ns)
    )
}

/// Formats a number below a hundred with two digits: `13`, `5.1`, `0.14`.
fn two_digits(number: f64) -> String {
    let decimals = match number {
        number if number >= 9.95 => 0,
        number if number >= 0.995 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

fn with_interval(ratio: Estimate) -> String {
    Cell::interval(Some(ratio), |ratio| Times(ratio).to_string()).shown().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::document::run::RunDocument;
    use crate::output::view::View;
    use crate::output::{Look, table as text};

    fn ratio(low: f64, high: f64) -> Ratio {
        let gross = Estimate { median: 37.0, low: Some(low), high: Some(high) };
        Ratio {
            lower: "task-channel".to_string(),
            lower_kind: Kind::Task,
            higher: "thread-pipe".to_string(),
            higher_kind: Kind::Thread,
            gross,
            net: None,
            lower_ns: 68.6,
            higher_ns: 2533.0,
        }
    }

    #[test]
    fn a_ratio_has_its_interval_and_none_is_told_that_is_not_settled() {
        let told = sentence(&ratio(36.2, 38.1));
        let expected = "A thread switch (thread-pipe) costs 37x [36x, 38x] a tokio task switch (task-channel); at 20,000/s 5.1 % of a CPU against 0.14 %.";
        assert_eq!(told, expected);
        let unsettled = sentence(&ratio(30.0, 46.0));
        assert!(unsettled.contains("is not known") && !unsettled.contains("37x"), "{unsettled}");
    }

    /// With ratios near one, which take the most room.
    fn body() -> RunBody {
        let mut document: RunDocument = serde_json::from_str(include_str!("../../../tests/golden/run-2.json")).unwrap();
        let estimate = |median: f64| Estimate { median, low: Some(median * 0.85), high: Some(median * 1.01) };
        let hand_over = |kind: Kind, ns: f64, times_lower: Option<f64>| HandOver {
            workload: "w".to_string(),
            kind,
            ns: estimate(ns),
            times_lower: times_lower.map(estimate),
        };
        document.body.alike = vec![Alike {
            contract: "wait for each other (futex, channel)".to_string(),
            hand_overs: vec![
                hand_over(Kind::Thread, 11_727.0, None),
                hand_over(Kind::Goroutine, 11_588.0, Some(0.98)),
                hand_over(Kind::Task, 11_600.0, Some(0.97)),
            ],
        }];
        document.body
    }

    #[test]
    fn the_widest_ratios_fit_a_page_and_a_narrow_terminal() {
        for width in [100, 80, 72] {
            let view = View { tables: table(&body()).into_iter().collect(), ..View::default() };
            let drawn = text::draw(&view, &Look { width, wide: false, ascii: false, color: false });
            assert!(drawn.lines().all(|line| line.chars().count() <= width), "{width}:\n{drawn}");
            assert_eq!(drawn.matches("[0.8").count(), 2, "no ratio is left out: {drawn}");
        }
    }
}
