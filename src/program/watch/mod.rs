//! The engine of `stat`: starts a program or attaches to one, and watches it to its end without slowing it.
//!
//! ```text
//! the program    ─ runs ─────────────────── threads and children come and go ─────────── ends ─ its orphans end
//! this process     sleeps ─ poll ─ sleeps ─ poll ─ … (/proc, exit records: a hundredth of a CPU at most) ─ wait4
//! ```
//!
//! The engine prints nothing and computes nothing: it returns what was seen. It starts no thread.

mod engine;
mod plan;
mod schedule;

use std::time::Duration;

use anyhow::Result;
use nix::unistd::getpid;
use procfs::{CurrentSI, KernelStats};

use crate::perf::threads::ThreadCounters;
use crate::program::watch::engine::Watch;
use crate::program::watched::{ExitRecordsUse, WaitedFor, Watched};
use crate::sys::clock::process_cpu_ns;
use crate::sys::inbox::Inbox;
use crate::sys::taskstats::ExitRecords;

pub use plan::{Follower, Progress, WatchPlan, What};

/// Watches a program.
///
/// # Errors
/// It cannot be started ([`crate::sys::launch::NotStarted`]), or there is no such process, or /proc hides it, or the
/// counters are refused. Once it runs, nothing it does causes an error.
pub fn run(plan: &WatchPlan<'_>, report: &mut dyn FnMut(Progress)) -> Result<Watched> {
    run_with(plan, None, report)
}

/// Does the same as [`run`], with a follower of the program that is started.
///
/// # Errors
/// Those of [`run`], and the follower's. A program started by then keeps running.
pub fn run_with<'a>(
    plan: &'a WatchPlan<'a>,
    follower: Option<&'a mut (dyn Follower + 'a)>,
    report: &mut dyn FnMut(Progress),
) -> Result<Watched> {
    let inbox = Inbox::open()?;
    let switches_before = machine_switches();
    let own_cpu_before = process_cpu_ns(getpid()).unwrap_or_default();
    let records = match plan.exit_records.then(ExitRecords::listen) {
        Some(records) => records.map_err(|error| format!("{error:#}")),
        None => Err("not asked for".to_string()),
    };
    let mut watch = Watch::start(plan, inbox, records, follower)?;
    let (ended, all_has_ended) = watch.watch_to_the_end(report)?;
    let elapsed = watch.began.elapsed();
    let counting = watch.counters.map(ThreadCounters::read).transpose()?;
    let mut closed = watch.ledger.close(all_has_ended);
    if !matches!(plan.what, What::Command { .. }) {
        // That it still runs is expected, and what is unknown of it is reported elsewhere.
        closed.caveats.left_running.clear();
    }
    let reported: u64 = closed.groups.iter().map(|group| group.accounting.switches()).sum();
    let WaitedFor { accounted, seen } = closed.waited_for.unwrap_or_default();
    let own = (reported + accounted.switches()).saturating_sub(seen.switches());
    closed.caveats.tracer = watch.tracer;
    closed.caveats.other_switches =
        machine_switches().zip(switches_before).map(|(after, before)| after.saturating_sub(before).saturating_sub(own));
    let own_cpu = process_cpu_ns(getpid()).unwrap_or_default().saturating_sub(own_cpu_before);
    Ok(Watched {
        program: watch.program,
        elapsed,
        ended,
        interrupted_by: watch.interrupted_by,
        groups: closed.groups,
        waited_for: closed.waited_for,
        unseen_cpu_ns: closed.unseen_cpu_ns,
        only_cpu: closed.only_cpu,
        exit_records: match watch.records {
            Ok(_) => ExitRecordsUse::Read { lost: watch.records_lost },
            Err(refused) => ExitRecordsUse::Refused(refused),
        },
        caveats: closed.caveats,
        counting,
        polls: watch.polls,
        own_cpu: Duration::from_nanos(own_cpu),
    })
}

/// Returns the machine's switches since boot.
fn machine_switches() -> Option<u64> {
    KernelStats::current().ok().map(|stats| stats.ctxt)
}
