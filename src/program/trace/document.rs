//! `ctxprof.trace/1`: why a program's threads left the CPU.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bpf::layout::WakerKind;
use crate::document::{Document, Warning};
use crate::estimate::Estimate;
use crate::program::trace::Traced;
use crate::program::trace::collect::{Group, GroupKey, Waker};
use crate::program::trace::cost::Cost;
use crate::program::trace::reason::Reason;
use crate::program::watched::{Program, ProgramEnd, Tracer, Watched};
use crate::sched::tally::{Row, Spread};

pub const SCHEMA: &str = "ctxprof.trace/1";

pub type TraceDocument = Document<TraceSettings, TraceBody>;

/// Options given to `trace`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceSettings {
    pub command: Vec<String>,
    /// User that ran the command, if not the caller.
    pub user: Option<String>,
    pub per_thread: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceBody {
    pub program: Program,
    pub ended: ProgramEnd,
    pub elapsed_ns: u64,
    pub totals: Totals,
    /// Most switches first.
    pub reasons: Vec<ReasonRow>,
    /// Likewise.
    pub threads: Vec<ThreadRow>,
    pub tracing: TracingRecord,
}

/// Totals of the program and its descendants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Seen by the tracer.
    pub switches: u64,
    pub accounted: Accounted,
    /// Run-queue wait seen by the tracer.
    pub run_queue_ns: u64,
    pub threads: u64,
    pub ended_threads: u64,
    /// Ended threads whose switches or run-queue wait, as seen, differ from kernel accounting.
    pub differing_threads: u64,
    /// Time that threads ran without a switch.
    pub run_slices: Quantiles,
}

/// Kernel accounting of the same threads, from when each is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounted {
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub on_cpu_ns: u64,
    pub run_queue_ns: u64,
}

impl Accounted {
    pub fn switches(&self) -> u64 {
        self.voluntary_switches + self.involuntary_switches
    }
}

/// Switches of one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasonRow {
    pub reason: String,
    pub switches: u64,
    /// Those that the kernel counted as voluntary.
    pub voluntary: u64,
    pub share: f64,
    /// Total time off the CPU, run queue included, of absences that have ended.
    pub off_cpu_ns: u64,
    pub run_queue_ns: u64,
    /// From the wake-up until the thread was on a run queue, for threads woken onto an idle CPU.
    pub wakeup: Quantiles,
    /// From there until it ran; for preempted threads, the whole absence.
    pub run_queue: Quantiles,
    /// Absences ended by a waker, and the most frequent wakers.
    pub woken: u64,
    pub wakers: Vec<WakerRow>,
}

/// Absences ended by one waker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WakerRow {
    /// `thread`, `itself`, `interrupt`, `soft-interrupt` or `unknown`.
    pub kind: String,
    /// Name of the thread; null for an interrupt.
    pub name: Option<String>,
    pub wakings: u64,
}

/// Distribution of a duration; null where too few values are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
}

/// Threads of one name, or a single thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadRow {
    pub thread: String,
    pub pid: Option<u32>,
    pub tid: Option<u32>,
    pub threads: u64,
    pub switches: u64,
    pub run_queue_ns: u64,
    pub accounted: Accounted,
    pub differing_threads: u64,
    /// Switches by reason, as far as they were recorded.
    pub reasons: BTreeMap<String, u64>,
}

/// Cost and completeness of the trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TracingRecord {
    /// `bpf`.
    pub backend: String,
    pub records: u64,
    /// Switches without a reason: there was no room for the record.
    pub records_lost: u64,
    /// Absences whose beginning was not seen, as of a thread that calls exec and is not the first of its process.
    pub beginnings_missed: u64,
    /// Absences that had not ended when tracing stopped.
    pub unfinished: u64,
    /// Threads not followed because there were too many at once.
    pub threads_not_followed: u64,
    /// Cost per switch, measured on a ping-pong of two processes after the program's end.
    pub cost: Option<CostRecord>,
    pub no_cost: Option<String>,
    /// CPU time of ctxprof meanwhile.
    pub own_cpu_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostRecord {
    pub ns_per_switch: Estimate,
    pub wakings_per_switch: f64,
    /// Share of the traced program's CPU time: its switches × the cost per switch.
    pub share_of_cpu: Option<f64>,
}

/// Most wakers named in a row.
const MOST_WAKERS: usize = 3;
/// Fewest values for a p99: of fewer, it would be the maximum.
const FEWEST_FOR_P99: u64 = 100;

pub fn body(traced: &Traced, cost: Result<Cost, String>) -> (TraceBody, Vec<Warning>) {
    let Traced { watched, collected, records_lost, unfollowed } = traced;
    let total = &collected.total;
    let recorded: u64 = collected.tally.rows().iter().map(|(_, row)| row.switches()).sum();
    let row = |(reason, row): (Reason, &Row<Waker>)| reason_row(reason, row, recorded);
    let mut threads: Vec<ThreadRow> = collected.groups.iter().map(thread_row).collect();
    threads.sort_by_key(|row| std::cmp::Reverse(row.switches));
    let (cost, no_cost) = match cost {
        Ok(cost) => (Some(cost_record(&cost, total)), None),
        Err(reason) => (None, Some(reason)),
    };
    let body = TraceBody {
        program: watched.program.clone(),
        ended: watched.ended,
        elapsed_ns: watched.elapsed.as_nanos() as u64,
        totals: Totals {
            switches: total.switches,
            accounted: accounted(total),
            run_queue_ns: total.queue_ns,
            threads: total.threads,
            ended_threads: total.ended,
            differing_threads: total.differing,
            run_slices: quantiles(&collected.slices),
        },
        reasons: collected.tally.rows().into_iter().map(row).collect(),
        threads,
        tracing: TracingRecord {
            backend: "bpf".to_string(),
            records: collected.records,
            records_lost: *records_lost,
            beginnings_missed: total.missed,
            unfinished: total.unfinished,
            threads_not_followed: *unfollowed,
            cost,
            no_cost,
            own_cpu_ns: watched.own_cpu.as_nanos() as u64,
        },
    };
    let warnings = warnings(&body, watched);
    (body, warnings)
}

fn reason_row(reason: Reason, row: &Row<Waker>, recorded: u64) -> ReasonRow {
    let waker = |(waker, wakings): (Waker, u64)| {
        let (kind, is_thread) = match waker.kind {
            WakerKind::Thread => ("thread", true),
            WakerKind::Itself => ("itself", true),
            WakerKind::Interrupt => ("interrupt", false),
            WakerKind::SoftInterrupt => ("soft-interrupt", false),
            WakerKind::Unknown | WakerKind::None => ("unknown", true),
        };
        WakerRow { kind: kind.to_string(), name: is_thread.then(|| waker.name.text()), wakings }
    };
    ReasonRow {
        reason: reason.to_string(),
        switches: row.switches(),
        voluntary: row.voluntary,
        share: row.switches() as f64 / recorded.max(1) as f64,
        off_cpu_ns: row.off_ns,
        run_queue_ns: row.queue_ns,
        wakeup: quantiles(&row.wakeup),
        run_queue: quantiles(&row.queue),
        woken: row.woken,
        wakers: row.wakers().into_iter().take(MOST_WAKERS).map(waker).collect(),
    }
}

fn thread_row((key, group): (&GroupKey, &Group)) -> ThreadRow {
    let (pid, tid) = key.ids.unzip();
    ThreadRow {
        thread: key.name.clone(),
        pid,
        tid,
        threads: group.threads,
        switches: group.switches,
        run_queue_ns: group.queue_ns,
        accounted: accounted(group),
        differing_threads: group.differing,
        reasons: group.reasons.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
    }
}

fn accounted(group: &Group) -> Accounted {
    Accounted {
        voluntary_switches: group.voluntary,
        involuntary_switches: group.involuntary,
        on_cpu_ns: group.cpu_ns,
        run_queue_ns: group.run_delay_ns,
    }
}

fn quantiles(spread: &Spread) -> Quantiles {
    let count = spread.count();
    let p99_ns = spread.quantile(0.99).filter(|_| count >= FEWEST_FOR_P99);
    Quantiles { count, p50_ns: spread.quantile(0.5), p99_ns }
}

fn cost_record(cost: &Cost, total: &Group) -> CostRecord {
    let spent_ns = cost.ns_per_switch.median * total.switches as f64;
    CostRecord {
        ns_per_switch: cost.ns_per_switch,
        wakings_per_switch: cost.wakings_per_switch,
        share_of_cpu: (total.cpu_ns > 0).then(|| spent_ns / total.cpu_ns as f64),
    }
}

/// Returns warnings of what makes the figures unreliable.
fn warnings(body: &TraceBody, watched: &Watched) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let tracing = &body.tracing;
    if tracing.records_lost > 0 {
        let message = format!(
            "{} records were lost, since ctxprof did not get a CPU in time: so many switches are in no row; all totals have them",
            tracing.records_lost
        );
        warnings.push(Warning::new("records-lost", message));
    }
    let unseen = body.totals.accounted.switches().saturating_sub(body.totals.switches);
    if unseen > 0 {
        let message = format!(
            "the kernel's tracepoint did not show {unseen} switches: they are in the kernel's accounting, and in no row"
        );
        warnings.push(Warning::new("switches-unseen", message));
    }
    if tracing.threads_not_followed > 0 {
        let message = format!(
            "{} threads were not followed, as more than 32,767 were alive at once: they and what came from them are missing",
            tracing.threads_not_followed
        );
        warnings.push(Warning::new("threads-not-followed", message));
    }
    if let Some(Tracer { name, pid, of_program }) = &watched.caveats.tracer {
        let (name, whom) = (name.replace(char::is_control, "?"), if *of_program { "it" } else { "ctxprof" });
        let message = format!(
            "{whom} was traced by {name} ({pid}), which stops it at system calls or signals: every stop is a switch more"
        );
        warnings.push(Warning::new("traced", message));
    }
    if body.totals.threads > body.totals.ended_threads {
        let message = format!(
            "{} threads were still running at the end; traced up to then",
            body.totals.threads - body.totals.ended_threads
        );
        warnings.push(Warning::new("left-running", message));
    }
    warnings
}
