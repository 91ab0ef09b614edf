//! Report of a trace: screen and metrics.

use std::slice;

use crate::document::invocation::Invocation;
use crate::document::{conditions, metrics};
use crate::estimate::Estimate;
use crate::output::Shown;
use crate::output::metrics::{Labels, Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Folded, Table, View};
use crate::program::trace::document::{ReasonRow, ThreadRow, TraceDocument};
use crate::program::watched::ProgramEnd;
use crate::sys::signal::SignalNumber;
use crate::unit::{Rate, Share, Span, Whole};

impl Shown for TraceDocument {
    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::of(self);
        metrics
            .rows(slice::from_ref(self), metrics::command)
            .figure("trace_elapsed", Quantity::Nanoseconds, "Time for which the program was traced", |document| {
                Some(document.body.elapsed_ns as f64)
            })
            .figure("trace_switches", Quantity::Count, "Context switches traced", |document| {
                Some(document.body.totals.switches as f64)
            })
            .figure("trace_accounted_switches", Quantity::Count, "Context switches by kernel accounting", |document| {
                Some(document.body.totals.accounted.switches() as f64)
            })
            .figure(
                "trace_records_lost",
                Quantity::Count,
                "Switches without a reason, as their records were lost",
                |document| Some(document.body.tracing.records_lost as f64),
            )
            .figure("trace_on_cpu", Quantity::Nanoseconds, "CPU time of all threads", |document| {
                Some(document.body.totals.accounted.on_cpu_ns as f64)
            })
            .figure(
                "trace_run_queue",
                Quantity::Nanoseconds,
                "Run-queue wait: time in which threads were runnable without a CPU",
                |document| Some(document.body.totals.accounted.run_queue_ns as f64),
            )
            .estimate("trace_cost", Quantity::Nanoseconds, "Tracing cost per switch on this host", |document| {
                Some(document.body.tracing.cost?.ns_per_switch)
            });
        metrics
            .rows(&self.body.reasons, |row: &ReasonRow| -> Labels { vec![("reason", row.reason.clone())] })
            .figure("trace_reason_switches", Quantity::Count, "Switches of this reason", |row| {
                Some(row.switches as f64)
            })
            .figure("trace_reason_off_cpu", Quantity::Nanoseconds, "Time off the CPU for this reason", |row| {
                Some(row.off_cpu_ns as f64)
            })
            .figure(
                "trace_reason_wakeup_p50",
                Quantity::Nanoseconds,
                "Median wake-up latency after this reason",
                |row| row.wakeup.p50_ns.map(|ns| ns as f64),
            )
            .figure(
                "trace_reason_run_queue_p50",
                Quantity::Nanoseconds,
                "Median run-queue wait after this reason",
                |row| row.run_queue.p50_ns.map(|ns| ns as f64),
            )
            .figure(
                "trace_reason_run_queue_p99",
                Quantity::Nanoseconds,
                "99th percentile of the run-queue wait after this reason",
                |row| row.run_queue.p99_ns.map(|ns| ns as f64),
            );
        metrics
    }

    fn view(&self, wide: bool) -> View {
        let threads = wide.then(|| thread_table(&self.body.threads));
        let reasons = reason_table(&self.body.reasons);
        View {
            heading: vec![self.heading()],
            answer: [Some(self.head()), self.top_reason(), self.cost_sentence()].into_iter().flatten().collect(),
            command: Some(self.command()),
            conditions: conditions::of(self),
            folded: folded(&self.body.reasons, wide),
            tables: std::iter::once(reasons).chain(threads).collect(),
            notes: vec![self.sums()],
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }
}

/// Most reasons on a screen.
const MOST_REASONS: usize = 25;

/// Returns the reasons that a screen leaves out, with their switches.
fn folded(reasons: &[ReasonRow], wide: bool) -> Option<Folded> {
    let more = reasons.get(MOST_REASONS..).filter(|more| more.len() > 1 && !wide)?;
    let switches: u64 = more.iter().map(|row| row.switches).sum();
    let line = format!("({} more reasons, {} switches; --wide shows them)", more.len(), Whole(switches as f64));
    Some(Folded { table: 0, from: MOST_REASONS, line })
}

impl TraceDocument {
    /// Returns the whole in a line: switches, threads, time, losses, CPU time.
    fn head(&self) -> String {
        let (body, totals) = (&self.body, &self.body.totals);
        let rate = totals.switches as f64 * 1e9 / body.elapsed_ns.max(1) as f64;
        format!(
            "{} switches ({}) of {} thread{} in {}, {} lost; {} of CPU time",
            Whole(totals.switches as f64),
            Rate(rate),
            Whole(totals.threads as f64),
            if totals.threads == 1 { "" } else { "s" },
            Span(body.elapsed_ns as f64),
            Whole(body.tracing.records_lost as f64),
            Span(totals.accounted.on_cpu_ns as f64)
        )
    }

    /// Returns the reason of the most switches.
    fn top_reason(&self) -> Option<String> {
        let top = self.body.reasons.first()?;
        Some(format!("{} of switches: {}", Share(top.share), top.reason))
    }

    fn command(&self) -> String {
        let settings = &self.settings;
        Invocation::of(&self.host, "trace")
            .words(settings.user.iter().map(|user| format!("--user={user}")))
            .flag("--per-thread", settings.per_thread)
            .words(["--"])
            .words(&settings.command)
            .line()
    }

    fn heading(&self) -> String {
        let body = &self.body;
        let ended = match body.ended {
            ProgramEnd::Exited(code) => format!("exited with {code} after"),
            ProgramEnd::Killed(signal) => format!("was killed by {} after", SignalNumber(signal)),
            ProgramEnd::Gone => "ended; traced for".to_string(),
            ProgramEnd::GoesOn => "goes on; traced for".to_string(),
        };
        format!("{}: {ended} {}", self.settings.command.join(" "), Span(body.elapsed_ns as f64))
    }

    /// Returns what was seen beside kernel accounting.
    fn sums(&self) -> String {
        let totals = &self.body.totals;
        let differing = match totals.differing_threads {
            0 => String::new(),
            threads => format!(" {threads} of {} threads differ.", totals.threads),
        };
        let [counted, accounted] = [totals.switches, totals.accounted.switches()].map(|count| Whole(count as f64));
        format!("{counted} switches counted; kernel accounting {accounted}.{differing}")
    }

    fn cost_sentence(&self) -> Option<String> {
        let tracing = &self.body.tracing;
        match (&tracing.cost, &tracing.no_cost) {
            (Some(cost), _) => {
                let Estimate { median, low, high } = cost.ns_per_switch;
                let ends = low.zip(high).map_or(String::new(), |(low, high)| format!(" [{low:.0}, {high:.0}]"));
                let spent = Span(median * self.body.totals.switches as f64);
                let share = cost.share_of_cpu.map_or(String::new(), |share| format!(", {} of CPU time", Share(share)));
                Some(format!("Tracing cost: {median:.0}{ends} ns/switch = {spent}{share}"))
            }
            (None, Some(reason)) => Some(format!("Tracing cost: not measured ({reason})")),
            (None, None) => None,
        }
    }
}

fn reason_table(rows: &[ReasonRow]) -> Table {
    let columns = vec![
        column("reason", &["REASON"], 0),
        column("switches", &["switches"], 0),
        column("share", &["share"], 1),
        column("voluntary", &["voluntary"], 5),
        column("blocked_ns", &["blocked"], 0),
        column("wakeup_p50_ns", &["wake-up", "p50"], 3),
        column("run_queue_p50_ns", &["runq", "p50"], 2),
        column("run_queue_p99_ns", &["runq", "p99"], 2),
        column("top_waker", &["top waker"], 4),
    ];
    let row = |row: &ReasonRow| {
        let count = |count: u64| Cell::number(Some(count as f64), |count| Whole(count).to_string());
        let span = |ns: Option<u64>| Cell::number(ns.map(|ns| ns as f64), |ns| Span(ns).to_string());
        vec![
            Cell::text(&row.reason),
            count(row.switches),
            Cell::number(Some(row.share), |share| Share(share).to_string()),
            count(row.voluntary),
            // What was preempted waited on a run queue all the time.
            span((row.woken > 0).then(|| row.off_cpu_ns.saturating_sub(row.run_queue_ns))),
            span(row.wakeup.p50_ns),
            span(row.run_queue.p50_ns),
            span(row.run_queue.p99_ns),
            top_waker(row),
        ]
    };
    Table { title: "Why threads left the CPU", columns, rows: rows.iter().map(row).collect() }
}

fn top_waker(row: &ReasonRow) -> Cell {
    let Some(top) = row.wakers.first() else { return Cell::Absent };
    let name = match (top.kind.as_str(), &top.name) {
        ("thread", Some(name)) => name.clone(),
        ("unknown", Some(name)) => format!("{name}?"),
        (kind, _) => kind.replace('-', " "),
    };
    Cell::text(format!("{name} {}", Share(top.wakings as f64 / row.woken.max(1) as f64)))
}

fn thread_table(rows: &[ThreadRow]) -> Table {
    let columns = vec![
        column("thread", &["THREAD"], 0),
        column("threads", &["threads"], 1),
        column("switches", &["switches"], 0),
        column("on_cpu_ns", &["CPU"], 0),
        column("run_queue_ns", &["runq wait"], 0),
        column("top_reason", &["top reason"], 0),
    ];
    let row = |row: &ThreadRow| {
        let count = |count: u64| Cell::number(Some(count as f64), |count| Whole(count).to_string());
        let span = |ns: u64| Cell::number(Some(ns as f64), |ns| Span(ns).to_string());
        let id = row.tid.map_or(String::new(), |tid| format!(" {tid}"));
        let top = row.reasons.iter().max_by_key(|(_, count)| **count);
        vec![
            Cell::text(format!("{}{id}", row.thread)),
            count(row.threads),
            count(row.switches),
            span(row.accounted.on_cpu_ns),
            span(row.accounted.run_queue_ns),
            top.map_or(Cell::Absent, |(reason, count)| Cell::text(format!("{reason} {}", Whole(*count as f64)))),
        ]
    };
    Table { title: "Switches by thread", columns, rows: rows.iter().map(row).collect() }
}

fn column(key: &'static str, heading: &[&str], expendable: u8) -> Column {
    let align =
        if matches!(key, "reason" | "top_waker" | "thread" | "top_reason") { Align::Left } else { Align::Right };
    Column::new(key, heading, align, expendable)
}
