//! The tables and the picture of a program's switches and their cost.

use crate::bench::cost_list::SwitchCost;
use crate::output::metrics::Quantity;
use crate::output::view::{Align, Cell, Column, Picture, Stack, Stacks, Table};
use crate::program::stat::cost_estimate::{CostEstimate, CostLine, Range, Sort};
use crate::program::stat::document::StatBody;
use crate::program::stat::figures::Figures;
use crate::unit::{Count, Nanoseconds, Share, Span};

/// Title of the table of threads.
const THREADS: &str = "Switches and time by thread";

const TOTAL: &str = "total";
const ENDED_THREADS: &str = "ended threads";

/// Returns a thread's name as its row shows it, distinct from the names of special rows.
fn thread_name(name: &str) -> String {
    match name {
        "" => "(no name)".to_string(),
        TOTAL | ENDED_THREADS => format!("thread {name}"),
        _ => name.to_string(),
    }
}

pub(super) fn thread_table(body: &StatBody, wide: bool) -> Table {
    let seconds = body.elapsed_ns as f64 / 1e9;
    let mut columns = vec![
        column("thread", &["thread"], 0),
        column("threads", &["threads"], 3),
        column("voluntary_switches", &["voluntary", "switches"], 0),
        column("involuntary_switches", &["involuntary", "switches"], 0),
        column("switches_per_second", &["per", "second"], 1),
        column("on_cpu_ns", &["on CPU"], 0),
        column("run_queue_wait_ns", &["waiting"], 2),
        column("off_cpu_ns", &["off"], 5),
        column("migrations", &["migra-", "tions"], 6),
        column("faults", &["page", "faults"], 7),
    ];
    // Without exit records, the number of threads that were never seen is unknown.
    let unseen = body.ended_threads.is_some() && !body.watching.exit_records;
    let row = |name: String, figures: &Figures| {
        let span = |ns: Option<u64>, unknown: u64| {
            let at_least = if unknown > 0 { "≥ " } else { "" };
            Cell::number(ns.map(|ns| ns as f64), |ns| format!("{at_least}{}", Span(ns)))
        };
        let count = |count: u64| Cell::Number { value: count as f64, text: count.to_string() };
        let migrations = figures.migrations.map(|count| count as f64);
        let at_least = if figures.migrations_unknown_threads > 0 { "≥ " } else { "" };
        let mut cells = vec![
            Cell::name(&name),
            match (figures.threads, name == TOTAL && unseen) {
                (0, _) => Cell::Absent,
                (threads, true) => Cell::Number { value: threads as f64, text: format!("≥ {threads}") },
                (threads, false) => count(threads),
            },
            count(figures.voluntary_switches),
            count(figures.involuntary_switches),
            Cell::number(Some(figures.switches() as f64 / seconds.max(1e-9)), |rate| Count(rate).to_string()),
            span(Some(figures.on_cpu_ns), 0),
            span(figures.run_queue_wait_ns, figures.waits_unknown_threads),
            span(figures.off_cpu_ns, 0),
            Cell::number(migrations, |count| format!("{at_least}{count}")),
            count(figures.minor_faults + figures.major_faults),
        ];
        if wide {
            cells.push(count(figures.major_faults));
        }
        cells
    };
    if wide {
        columns.push(column("major_faults", &["major", "faults"], 8));
    }
    let each = body.threads.iter().any(|thread| thread.tid.is_some());
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for thread in body.threads.iter().filter(|thread| thread.of_program || each || wide) {
        let id = thread.tid.map_or(String::new(), |tid| format!(" {tid}"));
        let name = if thread.of_program {
            thread_name(&thread.thread)
        } else {
            format!("{}/{}", thread.process, thread.thread)
        };
        rows.push(row(format!("{name}{id}"), &thread.figures));
    }
    if !each && !wide {
        for child in &body.children {
            let processes = if child.processes == 1 { "child" } else { "children" };
            rows.push(row(format!("{} ({} {processes})", child.process, child.processes.max(1)), &child.figures));
        }
    }
    rows.extend(body.ended_threads.iter().map(|figures| row(ENDED_THREADS.to_string(), figures)));
    rows.push(row(TOTAL.to_string(), &body.totals.figures));
    Table { title: THREADS, columns, rows }
}

/// Most rows of a picture.
const MOST_STACKS: usize = 20;

/// Returns the switches of each row except the total, most first; `None` if there are none.
pub(super) fn stacks(body: &StatBody) -> Option<Picture> {
    let threads = body.threads.iter().filter(|thread| thread.of_program);
    let threads = threads.map(|thread| (thread_name(&thread.thread), &thread.figures));
    let children = body.children.iter().map(|child| (format!("{} (children)", child.process), &child.figures));
    let ended = body.ended_threads.iter().map(|figures| (ENDED_THREADS.to_string(), figures));
    let mut rows: Vec<(String, &Figures)> = threads.chain(children).chain(ended).collect();
    rows.retain(|(_, figures)| figures.switches() > 0);
    rows.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.switches()));
    rows.truncate(MOST_STACKS);
    let stack = |(label, figures): (String, &Figures)| Stack {
        label,
        values: [figures.voluntary_switches, figures.involuntary_switches].map(|count| count as f64).to_vec(),
        text: figures.switches().to_string(),
    };
    let stacks: Vec<Stack> = rows.into_iter().map(stack).collect();
    let parts = ["voluntary", "involuntary"].map(String::from).to_vec();
    let title = "Switches by thread".to_string();
    (!stacks.is_empty()).then_some(Picture::Stacks(Stacks {
        title,
        table: THREADS,
        quantity: Quantity::Count,
        parts,
        stacks,
    }))
}

/// Position of a yield's cost in the table.
const YIELDS_AT: usize = 4;

pub(super) fn cost_estimate_table(cost_estimate: &CostEstimate) -> Table {
    // Older documents have none.
    let has_yields = cost_estimate.lines.iter().any(|line| line.costs.yielding.is_some());
    let mut columns = vec![
        column("switches_of", &["estimated switch cost:", "processes"], 0),
        column("switches", &["switches"], 0),
        column("cpu_ns_same", &["CPU ns each", "same CPU"], 0),
        column("cpu_ns_across", &["across", "CPUs"], 0),
        column("cpu_time_ns", &["CPU time"], 0),
        column("share_of_cpu", &["share of its", "CPU time"], 0),
        column("wall_ns_same", &["latency ns", "same CPU"], 2),
        column("wall_ns_across", &["across", "CPUs"], 1),
    ];
    let nanoseconds = |ns: f64| Nanoseconds(ns).to_string();
    let cpu = |cost: &Option<SwitchCost>| Cell::estimate(cost.as_ref().map(|cost| cost.cpu_ns), true, nanoseconds);
    let wall =
        |cost: &Option<SwitchCost>| Cell::estimate(cost.as_ref().and_then(|cost| cost.wall_ns), false, nanoseconds);
    let spread = |value: Option<Range>, show: fn(f64) -> String| match value {
        Some(value) => Cell::Estimate { value: value.as_estimate(), text: range(value, show) },
        None => Cell::Absent,
    };
    let row = |line: &CostLine| {
        let what = match line.sort {
            Sort::Within => "multi-threaded",
            Sort::Between => "single-threaded",
        };
        let mut cells = vec![
            Cell::text(what),
            Cell::Number { value: line.switches as f64, text: line.switches.to_string() },
            cpu(&line.costs.same),
            cpu(&line.costs.across),
            spread(Some(line.cpu_ns), |ns| Span(ns).to_string()),
            spread(line.share_of_cpu, |share| Share(share).to_string()),
            wall(&line.costs.same),
            wall(&line.costs.across),
        ];
        if has_yields {
            cells.insert(YIELDS_AT, cpu(&line.costs.yielding));
        }
        cells
    };
    if has_yields {
        columns.insert(YIELDS_AT, column("cpu_ns_yield", &["nobody", "woken"], 3));
    }
    Table { title: "Estimated switch cost", columns, rows: cost_estimate.lines.iter().map(row).collect() }
}

fn column(key: &'static str, heading: &[&str], expendable: u8) -> Column {
    let align = if matches!(key, "thread" | "switches_of") { Align::Left } else { Align::Right };
    Column::new(key, heading, align, expendable)
}

/// Returns both ends of a range, with the unit once if it is the same; one figure if both read the same.
pub(super) fn range(range: Range, show: impl Fn(f64) -> String) -> String {
    let (low, high) = (show(range.low), show(range.high));
    match (low.rsplit_once(' '), high.rsplit_once(' ')) {
        _ if low == high => low,
        (Some((value, unit)), Some((_, other))) if unit == other => format!("{value}–{high}"),
        _ => format!("{low}–{high}"),
    }
}
