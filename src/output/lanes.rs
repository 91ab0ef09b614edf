//! The lanes of a typical op: who ran, was runnable and was switched to when, independent of the format drawn.

use crate::sched::timeline::{Left, Run, Timeline, Wake};
use crate::unit::Span;

/// Returns the participants, then the idle CPU and other threads, each in the order in which they run.
pub(super) fn names(timeline: &Timeline) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let waking = timeline.wake_ups.iter().map(|wake_up| &wake_up.whom);
    let runs = |participant: bool| {
        timeline.run_slices.iter().filter(move |run| run.participant == participant).map(|run| &run.who)
    };
    for name in runs(true).chain(waking).chain(runs(false)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Returns the indexes of the numbered run_slices: those of participants, by start time.
pub(super) fn numbered(timeline: &Timeline) -> impl Iterator<Item = usize> + '_ {
    timeline.run_slices.iter().enumerate().filter(|(_, run)| run.participant).map(|(at, _)| at)
}

/// Returns the spans, from and to, in which a CPU was being switched to this thread.
pub(super) fn switches_to(timeline: &Timeline, name: &str) -> Vec<(u64, u64)> {
    let own = timeline.run_slices.iter().filter(|run| run.who == name);
    own.filter_map(|run| Some((left_before(timeline, run)?, run.from_ns))).collect()
}

/// Returns the time at which the thread before this one left the CPU; `None` for the first of the op.
fn left_before(timeline: &Timeline, run: &Run) -> Option<u64> {
    let before = timeline.run_slices.iter().filter(|other| other.cpu == run.cpu && other.to_ns <= run.from_ns);
    before.map(|other| other.to_ns).max().filter(|_| run.from_ns > 0)
}

/// Returns the spans in which a participant was runnable and did not run: from its wake-up, or since it left still runnable.
pub(super) fn waits(timeline: &Timeline, name: &str) -> Vec<(u64, u64)> {
    let own = || timeline.run_slices.iter().filter(|run| run.participant && run.who == name);
    let next = |at: u64| own().map(|run| run.from_ns).filter(|&from| from >= at).min().unwrap_or(timeline.duration_ns);
    let runs_at = |at: u64| own().any(|run| (run.from_ns..run.to_ns).contains(&at));
    let woken = timeline.wake_ups.iter().filter(|wake_up| wake_up.whom == name && !runs_at(wake_up.at_ns));
    let pushed = own().filter(|run| matches!(run.left, Left::Preempted | Left::Yields | Left::Runnable));
    let since = woken.map(|wake_up| wake_up.at_ns).chain(pushed.map(|run| run.to_ns));
    since.map(|at| (at, next(at))).collect()
}

/// Returns true if any participant was ever runnable without running.
pub(super) fn any_waits(timeline: &Timeline) -> bool {
    names(timeline).iter().any(|name| !waits(timeline, name).is_empty())
}

/// Returns the time that a thread was on its CPU, ready to print.
pub(super) fn span(run: &Run) -> Span {
    Span(length(run) as f64)
}

fn length(run: &Run) -> u64 {
    run.to_ns.saturating_sub(run.from_ns)
}

/// Returns in words whom it woke, why it left, and who had its CPU before the next participant.
pub(super) fn what_happened(timeline: &Timeline, run: &Run) -> String {
    let during = |wake_up: &&Wake| wake_up.by == run.who && (run.from_ns..=run.to_ns).contains(&wake_up.at_ns);
    let woken = timeline.wake_ups.iter().filter(during).map(|wake_up| format!("wakes {}", wake_up.whom));
    let left = match run.left {
        Left::Sleeps => "goes to sleep",
        Left::Preempted => "is preempted",
        Left::Yields => "yields (sched_yield)",
        Left::Runnable => "is preempted or yields",
        Left::Stays => "goes on: the op ends",
        Left::Unknown => "leaves, unrecorded",
    };
    let mut next: Vec<&Run> = timeline
        .run_slices
        .iter()
        .filter(|other| other.cpu == run.cpu && other.from_ns >= run.to_ns && run.left != Left::Stays)
        .collect();
    next.sort_by_key(|other| other.from_ns);
    let unknown_processes = next.iter().take_while(|other| !other.participant);
    let meanwhile = unknown_processes.map(|other| match other.who.as_str() {
        "idle" => format!("the CPU is idle for {}", Span(length(other) as f64)),
        who => format!("{who} runs for {}", Span(length(other) as f64)),
    });
    woken.chain([left.to_string()]).chain(meanwhile).collect::<Vec<_>>().join(", ")
}
