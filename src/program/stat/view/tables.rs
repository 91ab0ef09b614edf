//! The tables and the picture of a program's switches and their cost.

use crate::bench::cost_list::SwitchCost;
use crate::output::metrics::Quantity;
use crate::output::view::{Align, Cell, Column, Folded, Picture, Stack, Stacks, Table};
use crate::program::stat::cost_estimate::{CostEstimate, CostLine, Range, Sort};
use crate::program::stat::document::{StatBody, StatDocument};
use crate::program::stat::figures::Figures;
use crate::sys::affinity::CpuList;
use crate::unit::{Count, Nanoseconds, Rate, Share, Span, Whole};

/// Title of the table of threads.
const THREADS: &str = "Switches and time by thread";
/// Row of what no thread that was seen accounts for.
const UNATTRIBUTED: &str = "(unattributed)";

/// Returns a thread's name as its row shows it, distinct from the names of special rows.
fn thread_name(name: &str) -> String {
    match name {
        "" => "(no name)".to_string(),
        UNATTRIBUTED => format!("thread {name}"),
        _ => name.to_string(),
    }
}

/// Returns the totals, one a line, each with its rate and an explanation.
pub(super) fn counts_table(document: &StatDocument) -> Table {
    let (body, totals) = (&document.body, &document.body.totals);
    let figures = &totals.figures;
    let seconds = (body.elapsed_ns as f64 / 1e9).max(1e-9);
    let count = |count: u64| Cell::number(Some(count as f64), |count| Whole(count).to_string());
    let span = |ns: u64| Cell::number(Some(ns as f64), |ns| Span(ns).to_string());
    let rate = |count: u64| Cell::number(Some(count as f64 / seconds), |rate| Rate(rate).to_string());
    let share = |part: u64, whole: u64| {
        if whole == 0 { String::new() } else { format!(" ({})", Share(part as f64 / whole as f64)) }
    };
    let faults = figures.minor_faults + figures.major_faults;
    let mut rows = vec![
        vec![
            count(totals.switches),
            Cell::text("context-switches"),
            rate(totals.switches),
            Cell::text(format!(
                "{} voluntary, {} involuntary{}",
                Whole(figures.voluntary_switches as f64),
                Whole(figures.involuntary_switches as f64),
                share(figures.involuntary_switches, totals.switches)
            )),
        ],
        vec![
            count(faults),
            Cell::text("page-faults"),
            rate(faults),
            match figures.major_faults {
                0 => Cell::text(""),
                major => Cell::text(format!("{} major", Whole(major as f64))),
            },
        ],
        vec![
            span(figures.on_cpu_ns),
            Cell::text("CPU time"),
            Cell::number(Some(totals.cpus_utilized), |cpus| format!("{} CPUs", Count(cpus))),
            Cell::text(format!(
                "user {}, sys {}{}",
                Span(figures.user_ns as f64),
                Span(figures.sys_ns as f64),
                share(figures.sys_ns, figures.on_cpu_ns)
            )),
        ],
    ];
    rows.extend(run_queue_row(document));
    rows.push(vec![span(body.elapsed_ns), Cell::text("elapsed"), Cell::text(""), Cell::text("")]);
    let column = |key, align, expendable| Column::new(key, &[], align, expendable);
    let columns = vec![
        column("value", Align::Right, 0),
        column("event", Align::Left, 0),
        column("rate", Align::Right, 2),
        Column { wraps: true, ..column("detail", Align::Left, 1) },
    ];
    Table { title: "Counts", columns, rows }
}

/// Returns the total run-queue wait, by the number of switches and of the elapsed time; `None` if it is unknown.
fn run_queue_row(document: &StatDocument) -> Option<Vec<Cell>> {
    let (body, totals) = (&document.body, &document.body.totals);
    let waits_ns = totals.figures.run_queue_wait_ns?;
    let at_least = if totals.figures.waits_unknown_threads > 0 { "≥ " } else { "" };
    let cpus = document.host.online_cpus.as_ref().and_then(|cpus| cpus.parse::<CpuList>().ok());
    let on = match (body.only_cpu, cpus) {
        (Some(cpu), _) => format!(" (CPU {cpu} only)"),
        (None, Some(cpus)) => format!(" ({} CPUs)", cpus.cpus().len()),
        (None, None) => String::new(),
    };
    let waiting = totals.threads_waiting.map(|threads| format!("{} threads waiting on average{on}", Count(threads)));
    Some(vec![
        Cell::number(Some(waits_ns as f64), |ns| format!("{at_least}{}", Span(ns))),
        Cell::text("run-queue wait"),
        Cell::number(totals.run_queue_wait_ns_per_switch, |ns| format!("{} each", Span(ns))),
        Cell::text(waiting.unwrap_or_default()),
    ])
}

/// Most rows of threads on a screen.
const MOST_ROWS: usize = 10;

/// Returns the rows of threads that a screen leaves out, with their switches.
pub(super) fn folded(body: &StatBody, threads: &Table, wide: bool) -> Option<Folded> {
    let more = threads.rows.len().saturating_sub(MOST_ROWS);
    let each = body.threads.iter().any(|thread| thread.tid.is_some());
    let left_out = || {
        threads.rows.iter().skip(MOST_ROWS).filter_map(|row| match row.get(SWITCHES_AT) {
            Some(Cell::Number { value, .. }) => Some(*value),
            _ => None,
        })
    };
    // One more row is no longer than the line.
    (more > 1 && !wide && !each).then(|| Folded {
        table: 1,
        from: MOST_ROWS,
        line: format!("({more} more, {} switches; --wide shows them)", Whole(left_out().sum())),
    })
}

/// Position of the switches among the columns of threads.
const SWITCHES_AT: usize = 2;

fn thread_columns(wide: bool) -> Vec<Column> {
    let mut columns = vec![
        column("thread", &["THREAD"], 0),
        column("threads", &["tids"], 3),
        column("switches", &["switches"], 0),
        column("voluntary_switches", &["vol"], 2),
        column("involuntary_switches", &["invol"], 2),
        column("on_cpu_ns", &["CPU"], 0),
        column("run_queue_wait_ns", &["runq wait"], 0),
        column("run_queue_wait_ns_per_switch", &["avg wait"], 1),
        column("off_cpu_ns", &["blocked"], 4),
        column("migrations", &["migr"], 5),
    ];
    if wide {
        columns.extend([
            column("user_ns", &["user"], 6),
            column("sys_ns", &["sys"], 6),
            column("switches_per_second", &["switches/s"], 6),
            column("minor_faults", &["minor faults"], 7),
            column("major_faults", &["major faults"], 7),
        ]);
    }
    columns
}

pub(super) fn thread_table(document: &StatDocument, wide: bool) -> Table {
    let body = &document.body;
    let seconds = body.elapsed_ns as f64 / 1e9;
    let row = |name: String, figures: &Figures| {
        let at_least = |unknown: u64| if unknown > 0 { "≥ " } else { "" };
        let span = |ns: Option<f64>, unknown: u64| Cell::number(ns, |ns| format!("{}{}", at_least(unknown), Span(ns)));
        let count = |count: u64| Cell::number(Some(count as f64), |count| Whole(count).to_string());
        let (waits_ns, unknown) = (figures.run_queue_wait_ns.map(|ns| ns as f64), figures.waits_unknown_threads);
        let mut cells = vec![
            Cell::name(&name),
            if figures.threads == 0 { Cell::Absent } else { count(figures.threads) },
            count(figures.switches()),
            count(figures.voluntary_switches),
            count(figures.involuntary_switches),
            span(Some(figures.on_cpu_ns as f64), 0),
            span(waits_ns, unknown),
            span(waits_ns.filter(|_| figures.switches() > 0).map(|ns| ns / figures.switches() as f64), unknown),
            span(figures.off_cpu_ns.map(|ns| ns as f64), 0),
            Cell::number(figures.migrations.map(|count| count as f64), |count| {
                format!("{}{}", at_least(figures.migrations_unknown_threads), Whole(count))
            }),
        ];
        if wide {
            let per_second = figures.switches() as f64 / seconds.max(1e-9);
            cells.extend([
                span(Some(figures.user_ns as f64), 0),
                span(Some(figures.sys_ns as f64), 0),
                Cell::number(Some(per_second), |rate| Count(rate).to_string()),
                count(figures.minor_faults),
                count(figures.major_faults),
            ]);
        }
        cells
    };
    let each = body.threads.iter().any(|thread| thread.tid.is_some());
    let is_one = document.settings.pids.len() <= 1 && document.settings.cgroup.is_none();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for thread in body.threads.iter().filter(|thread| thread.of_program || each || wide) {
        let id = thread.tid.map_or(String::new(), |tid| format!(" {tid}"));
        let name = if thread.of_program && (is_one || thread.process == thread.thread) {
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
    rows.extend(body.ended_threads.iter().map(|figures| row(UNATTRIBUTED.to_string(), figures)));
    Table { title: THREADS, columns: thread_columns(wide), rows }
}

/// Most rows of a picture.
const MOST_STACKS: usize = 20;

/// Returns the switches of each row except the total, most first; `None` if there are none.
pub(super) fn stacks(body: &StatBody) -> Option<Picture> {
    let threads = body.threads.iter().filter(|thread| thread.of_program);
    let threads = threads.map(|thread| (thread_name(&thread.thread), &thread.figures));
    let children = body.children.iter().map(|child| (format!("{} (children)", child.process), &child.figures));
    let ended = body.ended_threads.iter().map(|figures| (UNATTRIBUTED.to_string(), figures));
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
            Cell::Number { value: line.switches as f64, text: Whole(line.switches as f64).to_string() },
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
