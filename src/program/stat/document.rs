//! `ctxprof.stat/2`: a program's context switches and their estimated CPU cost.

use serde::{Deserialize, Serialize};

use crate::bench::cost_list::CostList;
use crate::bench::left_out::LeftOut;
use crate::document::{Document, Warning};
use crate::perf::counting::AbsentCounter;
use crate::perf::threads::{ThreadCount, ThreadCounting};
use crate::program::stat::cost_estimate::{CostEstimate, Range, cost_estimate};
use crate::program::stat::figures::{Accounts, ChildRow, Figures, ThreadRow, accounts};
use crate::program::stat::verdict::{Verdict, verdict};
use crate::program::watched::{ExitRecordsUse, Program, ProgramEnd, Tracer, Watched};
use crate::unit::Share;

pub const SCHEMA: &str = "ctxprof.stat/2";

pub type StatDocument = Document<StatSettings, StatBody>;

/// Options given to `stat`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatSettings {
    /// Words of the command; null if `stat` attached to what ran already.
    pub command: Option<Vec<String>>,
    /// Processes that it attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pids: Vec<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    pub duration_s: Option<f64>,
    pub interval_s: Option<f64>,
    /// Operations that the program performed, as given by the user.
    pub ops: Option<u64>,
    /// User that ran the command, if not the caller.
    pub user: Option<String>,
    /// `auto` or `thread`.
    pub counters: String,
    pub per_thread: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatBody {
    pub program: Program,
    pub ended: ProgramEnd,
    pub elapsed_ns: u64,
    /// The CPU that all its threads were confined to, if it was one.
    #[serde(default)]
    pub only_cpu: Option<usize>,
    pub totals: Totals,
    pub threads: Vec<ThreadRow>,
    pub children: Vec<ChildRow>,
    /// Accounting by wait4 beyond the threads that were seen: threads and children that came and went between two polls.
    pub ended_threads: Option<Figures>,
    #[serde(default)]
    pub intervals: Vec<IntervalRecord>,
    pub cost_estimate: Option<CostEstimate>,
    /// Share of the CPU time that switching surely stays below, where costs were not calibrated because it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_below_share: Option<f64>,
    /// Sorts of switch without a known cost, and why.
    #[serde(default)]
    pub no_cost: Vec<LeftOut>,
    /// The largest part of its time; null without CPU time.
    pub verdict: Option<Verdict>,
    pub per_op: Option<PerOp>,
    /// perf's counters, if asked for.
    pub counting: Option<CountingRecord>,
    pub watching: WatchingRecord,
}

/// Totals of the program and its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    #[serde(flatten)]
    pub figures: Figures,
    pub switches: u64,
    pub switches_per_second: f64,
    pub cpus_utilized: f64,
    /// Run-queue wait by the number of switches, after each of which a thread was switched in.
    pub run_queue_wait_ns_per_switch: Option<f64>,
    /// Threads that waited for a CPU, on average over the elapsed time.
    pub threads_waiting: Option<f64>,
    pub processes: u64,
    /// Threads known to have ended. Each made a last switch, and rarely one just before it, that no accounting includes.
    pub ended_threads: u64,
    /// Other switches of the whole machine meanwhile, an upper bound of what is missing. Absent if /proc/stat does not report
    /// them, or nothing can be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_at_most: Option<u64>,
}

/// Figures of one interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntervalRecord {
    pub at_ns: u64,
    pub elapsed_ns: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub on_cpu_ns: u64,
    pub run_queue_wait_ns: u64,
    pub threads: u64,
    pub processes: u64,
}

/// Figures per operation, of which the user gave the number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PerOp {
    pub elapsed_ns: f64,
    pub switches: f64,
    pub voluntary_switches: f64,
    pub involuntary_switches: f64,
    pub on_cpu_ns: f64,
    pub run_queue_wait_ns: Option<f64>,
    pub faults: f64,
    /// Estimated cost of switching.
    pub switching_cpu_ns: Option<Range>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CountingRecord {
    pub counters: Vec<CounterTotal>,
    pub absent: Vec<AbsentCounter>,
    pub remarks: Vec<String>,
    /// Cost of counting per switch of two threads on this host, and so in the program.
    pub cost_ns_per_switch: Option<f64>,
    pub cost_share_of_cpu: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterTotal {
    pub name: String,
    /// Scaled by enabled ÷ running time, as `perf stat` does.
    pub total: f64,
    pub per_op: Option<f64>,
    pub running_ratio: f64,
}

/// Cost and completeness of the measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchingRecord {
    pub polls: u64,
    pub own_cpu_ns: u64,
    /// True if the kernel reported every thread that ended.
    pub exit_records: bool,
    pub exit_records_lost: u64,
    pub no_exit_records: Option<String>,
}

/// Everything known at the end of the measurement.
#[derive(Debug)]
pub struct Seen<'a> {
    pub watched: &'a Watched,
    pub intervals: Vec<IntervalRecord>,
    pub ops: Option<u64>,
    pub costs: &'a CostList,
    pub no_cost: Vec<LeftOut>,
    pub cost_below_share: Option<f64>,
    /// Cost of perf's counters per switch on this host, ns.
    pub counting_cost_ns: Option<f64>,
}

/// Computes a program's figures and their warnings.
pub fn body(seen: Seen<'_>) -> (StatBody, Vec<Warning>) {
    let Seen { watched, intervals, ops, costs, no_cost, cost_below_share, counting_cost_ns } = seen;
    let Accounts { totals, threads, children, unseen, classes, ended_threads, processes } = accounts(watched);
    let on_one_cpu = watched.only_cpu.map(|_| costs.on_one_cpu());
    let cost_estimate = cost_estimate(classes, totals.on_cpu_ns, on_one_cpu.as_ref().unwrap_or(costs));
    let elapsed_ns = watched.elapsed.as_nanos() as u64;
    let warnings = warnings(watched, &totals);
    let per_op = ops.map(|ops| per_op(ops, elapsed_ns, &totals, cost_estimate.as_ref()));
    let counting = watched.counting.as_ref().map(|seen| counting(seen, ops, &totals, counting_cost_ns));
    let body = StatBody {
        only_cpu: watched.only_cpu,
        program: watched.program.clone(),
        ended: watched.ended,
        elapsed_ns,
        totals: Totals {
            figures: totals,
            switches: totals.switches(),
            switches_per_second: totals.switches() as f64 / watched.elapsed.as_secs_f64().max(1e-9),
            cpus_utilized: totals.on_cpu_ns as f64 / elapsed_ns.max(1) as f64,
            run_queue_wait_ns_per_switch: totals
                .run_queue_wait_ns
                .filter(|_| totals.switches() > 0)
                .map(|ns| ns as f64 / totals.switches() as f64),
            threads_waiting: totals.run_queue_wait_ns.map(|ns| ns as f64 / elapsed_ns.max(1) as f64),
            processes,
            ended_threads,
            missing_at_most: watched.caveats.other_switches.filter(|_| ended_threads > 0 || !warnings.is_empty()),
        },
        threads,
        children,
        ended_threads: unseen,
        intervals,
        verdict: verdict(&totals, unseen.as_ref(), elapsed_ns, cost_estimate.as_ref()),
        cost_estimate,
        cost_below_share,
        no_cost,
        per_op,
        counting,
        watching: WatchingRecord {
            polls: watched.polls,
            own_cpu_ns: watched.own_cpu.as_nanos() as u64,
            exit_records: matches!(watched.exit_records, ExitRecordsUse::Read { .. }),
            exit_records_lost: match watched.exit_records {
                ExitRecordsUse::Read { lost } => lost,
                ExitRecordsUse::Refused(_) => 0,
            },
            no_exit_records: match &watched.exit_records {
                ExitRecordsUse::Read { .. } => None,
                ExitRecordsUse::Refused(reason) => Some(reason.clone()),
            },
        },
    };
    (body, warnings)
}

fn per_op(ops: u64, elapsed_ns: u64, totals: &Figures, cost_estimate: Option<&CostEstimate>) -> PerOp {
    let per = |value: u64| value as f64 / ops as f64;
    PerOp {
        elapsed_ns: per(elapsed_ns),
        switches: per(totals.switches()),
        voluntary_switches: per(totals.voluntary_switches),
        involuntary_switches: per(totals.involuntary_switches),
        on_cpu_ns: per(totals.on_cpu_ns),
        run_queue_wait_ns: totals.run_queue_wait_ns.map(per),
        faults: per(totals.minor_faults + totals.major_faults),
        switching_cpu_ns: cost_estimate.map(|cost_estimate| cost_estimate.cpu_ns.times(1.0 / ops as f64)),
    }
}

/// Returns the counts of perf's counters in a program with these totals.
fn counting(seen: &ThreadCounting, ops: Option<u64>, totals: &Figures, cost_ns: Option<f64>) -> CountingRecord {
    let total = |count: &ThreadCount| {
        let running_ratio = if count.enabled_ns == 0 { 1.0 } else { count.running_ns as f64 / count.enabled_ns as f64 };
        // A counter that never ran counted nothing, which is not 0.
        let total = (running_ratio > 0.0).then(|| count.count as f64 / running_ratio)?;
        let per_op = ops.map(|ops| total / ops as f64);
        Some(CounterTotal { name: count.name.clone(), total, per_op, running_ratio })
    };
    CountingRecord {
        counters: seen.counters.iter().filter_map(total).collect(),
        absent: seen.absent.clone(),
        remarks: seen.remarks.clone(),
        cost_ns_per_switch: cost_ns,
        cost_share_of_cpu: cost_ns
            .filter(|_| totals.on_cpu_ns > 0)
            .map(|cost_ns| cost_ns * totals.switches() as f64 / totals.on_cpu_ns as f64),
    }
}

/// Returns warnings of what may be missing, with an upper bound.
fn warnings(watched: &Watched, totals: &Figures) -> Vec<Warning> {
    let caveats = &watched.caveats;
    let complete = matches!(watched.exit_records, ExitRecordsUse::Read { lost: 0 });
    let bound = caveats.other_switches.map_or(String::new(), |others| {
        format!("; all else on this machine made {others} switches meanwhile, so no more than that")
    });
    let mut warnings = Vec::new();
    if !complete && (caveats.dropped_seen > 0 || !caveats.dropping_parents.is_empty()) {
        let parents = match caveats.dropping_parents.as_slice() {
            [] => "a process".to_string(),
            parents => in_short(parents),
        };
        let message = format!(
            "{parents} had the kernel drop the accounting of ended children (SIGCHLD ignored, or SA_NOCLDWAIT): {} of them were seen before, others may be missing{bound}",
            caveats.dropped_seen
        );
        warnings.push(Warning::new("children-dropped", message));
    }
    // A poll may be off by a millisecond, which needs no warning.
    let some_have_ended = caveats.some_have_ended
        || watched.unseen_cpu_ns > 1_000_000
        || watched.groups.iter().any(|group| group.ended > 0);
    match (&watched.exit_records, &watched.waited_for) {
        (ExitRecordsUse::Refused(reason), None) if some_have_ended => {
            let message = format!(
                "threads and children that ended between two polls are missing, as exit records are not available ({reason}){bound}"
            );
            warnings.push(Warning::new("ended-unseen", message));
        }
        _ => {}
    }
    if let Some(Tracer { name, pid, of_program }) = &caveats.tracer {
        let (name, whom) = (name.replace(char::is_control, "?"), if *of_program { "it" } else { "ctxprof" });
        let message = format!(
            "{whom} was traced by {name} ({pid}), which stops it at system calls or signals: every stop is a switch more, and takes time"
        );
        warnings.push(Warning::new("traced", message));
    }
    if let Some(reason) = &caveats.cannot_poll {
        let message = format!("a process could not be looked at ({reason}): its threads are not told by name");
        warnings.push(Warning::new("cannot-look", message));
    }
    if let ExitRecordsUse::Read { lost: lost @ 1.. } = watched.exit_records {
        let message = format!(
            "{lost} exit records of threads on this machine were lost: threads told here as ended threads, or missing where they are not waited for"
        );
        warnings.push(Warning::new("exit-records-lost", message));
    }
    if !caveats.left_running.is_empty() {
        let message = format!(
            "still running at the end, counted up to then: {}; what their ended threads and children did that nobody saw is missing",
            in_short(&caveats.left_running)
        );
        warnings.push(Warning::new("left-running", message));
    }
    let own_share = watched.own_cpu.as_secs_f64() / watched.elapsed.as_secs_f64().max(1e-9);
    if own_share > 0.02 && totals.threads > 0 && watched.elapsed.as_secs_f64() > 1.0 {
        let message = format!("watching itself took {} of a CPU", Share(own_share));
        warnings.push(Warning::new("watching-cost", message));
    }
    warnings
}

/// Returns the first few of some names.
fn in_short(names: &[String]) -> String {
    const MOST: usize = 5;
    let more = names.len().saturating_sub(MOST);
    // A name may contain any character, and a warning is one line.
    let on_a_line = |name: &String| name.replace(char::is_control, "?");
    let listed = names.iter().take(MOST).map(on_a_line).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}
