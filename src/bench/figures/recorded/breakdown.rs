//! Breakdown of an op, from records of its switches.

use serde::{Deserialize, Serialize};

use crate::bench::figures::recorded::replay::{Op, Replay};
use crate::bench::sample::records::Recording;
use crate::perf::counting::WAKE_UPS;
use crate::sched::timeline::{Left, RecordSource};

/// Breakdown of an op. Each moment of it is in one of `Running` to `Unknown`: these add up to `Whole`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    pub source: RecordSource,
    /// Ops that the figures are of.
    pub ops: usize,
    /// Recorded ops that are not among them: of which records are missing, or in which other threads ran.
    pub ops_left_out: usize,
    /// True if ops in which other threads ran are among them, because there are hardly any others.
    #[serde(default)]
    pub disturbed: bool,
    pub parts: Vec<BreakdownPart>,
    /// Times that a participant left a CPU.
    pub switches_per_op: f64,
    /// No-switch cost, wake-ups and switches, each measured by itself, added up; `None` where one was not measured.
    pub accounted_ns_per_op: Option<f64>,
    /// Time of a recorded op ÷ that of one that is not; `None` where that is not known.
    pub recording_cost: Option<f64>,
    pub lost_records: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakdownPart {
    pub kind: BreakdownPartKind,
    /// Number of its events per op.
    pub per_op: f64,
    /// Of one such event by itself, whatever else goes on meanwhile, ns; `None` if it never happened.
    pub p50_ns: Option<f64>,
    pub p99_ns: Option<f64>,
    /// Its part of an op, in which nothing is counted twice.
    pub ns_per_op: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakdownPartKind {
    /// A participant runs, and none that was woken waits for a CPU.
    Running,
    /// Scheduling delay: a participant has been woken, and its CPU is not yet being switched to it.
    WakeUp,
    /// Context switch: a CPU goes from one thread to the next, a participant being one of them.
    Switch,
    /// No participant runs or waits.
    Idle,
    /// Another thread is in the way.
    Other,
    /// The records do not say.
    Unknown,
    /// Total of the op, by its leader's clock.
    Whole,
    /// The same calls where nothing switches, recorded alike.
    NoSwitch,
}

impl BreakdownPartKind {
    /// Parts that an op's moments are divided into.
    pub const PARTS: [BreakdownPartKind; 6] = [
        BreakdownPartKind::Running,
        BreakdownPartKind::WakeUp,
        BreakdownPartKind::Switch,
        BreakdownPartKind::Idle,
        BreakdownPartKind::Other,
        BreakdownPartKind::Unknown,
    ];

    /// Returns the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            BreakdownPartKind::Running => "running",
            BreakdownPartKind::WakeUp => "wake-up",
            BreakdownPartKind::Switch => "switch",
            BreakdownPartKind::Idle => "idle",
            BreakdownPartKind::Other => "other",
            BreakdownPartKind::Unknown => "unknown",
            BreakdownPartKind::Whole => "whole",
            BreakdownPartKind::NoSwitch => "no-switch",
        }
    }
}

/// With fewer undisturbed ops than this share of the recorded ones, the figures are of all.
const FEWEST_QUIET: f64 = 0.1;

/// A play and those of its ops that are used.
struct Looked {
    replay: Replay,
    ops: Vec<Op>,
}

/// Computes the breakdown; `plain_ns_per_op` is of ops that are not recorded. `None` if no op was recorded whole.
pub fn breakdown(recording: &Recording, plain_ns_per_op: Option<f64>) -> Option<Breakdown> {
    let replays: Vec<Replay> = recording.plays.iter().map(|play| Replay::of(recording, play)).collect();
    let all: usize = replays.iter().map(|replay| replay.ops.len() + replay.incomplete).sum();
    let is_quiet = |replay: &Replay, op: Op| {
        !replay
            .run_slices
            .iter()
            .any(|run_slice| is_other(recording, run_slice.thread) && op.overlaps(run_slice.from, run_slice.to))
    };
    let quiet: usize = replays.iter().map(|replay| replay.ops.iter().filter(|&&op| is_quiet(replay, op)).count()).sum();
    let disturbed = (quiet as f64) < FEWEST_QUIET * all as f64;
    let look = |replay: Replay| {
        let ops = replay.ops.iter().copied().filter(|&op| disturbed || is_quiet(&replay, op)).collect();
        Looked { replay, ops }
    };
    let looked: Vec<Looked> = replays.into_iter().map(look).collect();
    let ops: usize = looked.iter().map(|looked| looked.ops.len()).sum();
    if ops == 0 {
        return None;
    }
    let parts = all_parts(recording, &looked, ops);
    let part = |kind: BreakdownPartKind| parts.iter().find(|part| part.kind == kind).map(|part| part.ns_per_op);
    let accounted = || {
        Some(part(BreakdownPartKind::NoSwitch)? + part(BreakdownPartKind::WakeUp)? + part(BreakdownPartKind::Switch)?)
    };
    let whole = median(&looked.iter().flat_map(|looked| &looked.ops).map(|op| op.duration()).collect::<Vec<_>>());
    Some(Breakdown {
        source: recording.source,
        ops,
        ops_left_out: all - ops,
        disturbed,
        switches_per_op: looked.iter().map(|looked| switches(recording, looked)).sum::<usize>() as f64 / ops as f64,
        accounted_ns_per_op: accounted(),
        recording_cost: plain_ns_per_op.filter(|&plain| plain > 0.0).zip(whole).map(|(plain, whole)| whole / plain),
        lost_records: recording.lost(),
        parts,
    })
}

fn switches(recording: &Recording, Looked { replay, ops }: &Looked) -> usize {
    let of_participants = replay.run_slices.iter().filter(|run_slice| recording.is_participant(run_slice.thread));
    of_participants
        .filter(|run_slice| run_slice.left != Left::Stays && ops.iter().any(|op| op.has(run_slice.to)))
        .count()
}

fn is_other(recording: &Recording, thread: u32) -> bool {
    !recording.is_participant(thread) && !recording.is_idle(thread)
}

fn all_parts(recording: &Recording, looked: &[Looked], ops: usize) -> Vec<BreakdownPart> {
    let mut sums = [0_u128; BreakdownPartKind::PARTS.len()];
    for Looked { replay, ops } in looked {
        for &op in ops {
            add_parts(recording, replay, op, &mut sums);
        }
    }
    let events = |kind: BreakdownPartKind| -> Vec<u64> {
        looked.iter().flat_map(|Looked { replay, ops }| events_of(recording, replay, ops, kind)).collect()
    };
    let part = |kind: BreakdownPartKind, events: &[u64], ns: f64| BreakdownPart {
        kind,
        per_op: events.len() as f64 / ops as f64,
        p50_ns: median(events),
        p99_ns: quantile(events, 0.99),
        ns_per_op: ns,
    };
    let parts = BreakdownPartKind::PARTS.iter().zip(sums).map(|(&kind, sum)| (kind, sum as f64 / ops as f64));
    let is_shown = |kind: BreakdownPartKind, ns: f64| match kind {
        BreakdownPartKind::Running | BreakdownPartKind::Switch => true,
        BreakdownPartKind::WakeUp => recording.has(WAKE_UPS),
        _ => ns > 0.0,
    };
    let parts = parts.filter(|&(kind, ns)| is_shown(kind, ns)).map(|(kind, ns)| part(kind, &events(kind), ns));
    let mut breakdown: Vec<BreakdownPart> = parts.collect();
    let wholes: Vec<u64> = looked.iter().flat_map(|looked| &looked.ops).map(|op| op.duration()).collect();
    breakdown.push(part(BreakdownPartKind::Whole, &wholes, mean(&wholes)));
    if !recording.no_switch_ns.is_empty() {
        let no_switch = &recording.no_switch_ns;
        // Per op: any number of no-switch ops was recorded. Their median, since disturbed ones cannot be recognized.
        let ns = median(no_switch).unwrap_or_default();
        breakdown.push(BreakdownPart { per_op: 1.0, ..part(BreakdownPartKind::NoSwitch, no_switch, ns) });
    }
    breakdown
}

/// Returns the time of each event of a kind that ended within these ops, by itself.
fn events_of(recording: &Recording, replay: &Replay, ops: &[Op], kind: BreakdownPartKind) -> Vec<u64> {
    let within = |to: u64| ops.iter().any(|op| op.has(to));
    let run_slices = |wanted: &dyn Fn(u32) -> bool| -> Vec<u64> {
        let ended = replay.run_slices.iter().filter(|run_slice| wanted(run_slice.thread) && within(run_slice.to));
        ended.map(|run_slice| run_slice.to.saturating_sub(run_slice.from)).collect()
    };
    match kind {
        BreakdownPartKind::Running => run_slices(&|thread| recording.is_participant(thread)),
        BreakdownPartKind::Idle => run_slices(&|thread| recording.is_idle(thread)),
        BreakdownPartKind::Other => run_slices(&|thread| is_other(recording, thread)),
        BreakdownPartKind::WakeUp => {
            replay.waits.iter().filter(|wait| within(wait.to)).map(|wait| wait.to.saturating_sub(wait.from)).collect()
        }
        BreakdownPartKind::Switch => {
            let ours = |thread: u32| recording.is_participant(thread);
            let gaps = replay.gaps.iter().filter(|gap| ours(gap.out_of) || gap.into.is_some_and(ours));
            gaps.filter(|gap| gap.into.is_some() && within(gap.to)).map(|gap| gap.to.saturating_sub(gap.from)).collect()
        }
        BreakdownPartKind::Unknown | BreakdownPartKind::Whole | BreakdownPartKind::NoSwitch => Vec::new(),
    }
}

/// Divides an op's moments, each into one sum.
fn add_parts(recording: &Recording, replay: &Replay, op: Op, sums: &mut [u128; BreakdownPartKind::PARTS.len()]) {
    let spans = replay.run_slices.iter().map(|run_slice| (run_slice.from, run_slice.to));
    let spans = spans.chain(replay.gaps.iter().map(|gap| (gap.from, gap.to)));
    let spans = spans.chain(replay.waits.iter().map(|wait| (wait.from, wait.to)));
    let inside = spans.filter(|&(from, to)| op.overlaps(from, to)).flat_map(|(from, to)| [from, to]);
    let mut cuts: Vec<u64> = inside.filter(|&at| op.has(at)).chain([op.from, op.to]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let here = replay.around(op);
    for pair in cuts.windows(2) {
        let kind = part_at(recording, &here, pair[0]);
        if let Some(sum) = BreakdownPartKind::PARTS.iter().position(|&part| part == kind) {
            sums[sum] += u128::from(pair[1] - pair[0]);
        }
    }
}

/// Returns the part that a moment belongs to: what an op waits for comes before what goes on beside it.
fn part_at(recording: &Recording, replay: &Replay, at: u64) -> BreakdownPartKind {
    let covers = |from: u64, to: u64| (from..to).contains(&at);
    let runs = |wanted: &dyn Fn(u32, u32) -> bool| {
        replay
            .run_slices
            .iter()
            .any(|run_slice| covers(run_slice.from, run_slice.to) && wanted(run_slice.thread, run_slice.cpu))
    };
    let switches =
        |into: &dyn Fn(Option<u32>) -> bool| replay.gaps.iter().any(|gap| covers(gap.from, gap.to) && into(gap.into));
    let other = |thread: u32| is_other(recording, thread);
    if switches(&|into| into.is_some_and(|thread| recording.is_participant(thread))) {
        return BreakdownPartKind::Switch;
    }
    if let Some(wait) = replay.waits.iter().find(|wait| covers(wait.from, wait.to)) {
        let in_the_way = runs(&|thread, cpu| cpu == wait.cpu && other(thread));
        return if in_the_way { BreakdownPartKind::Other } else { BreakdownPartKind::WakeUp };
    }
    if runs(&|thread, _| recording.is_participant(thread)) {
        return BreakdownPartKind::Running;
    }
    if switches(&|into| !into.is_some_and(other)) {
        return BreakdownPartKind::Switch;
    }
    if switches(&|_| true) || runs(&|thread, _| other(thread)) {
        return BreakdownPartKind::Other;
    }
    if runs(&|_, _| true) { BreakdownPartKind::Idle } else { BreakdownPartKind::Unknown }
}

fn mean(values: &[u64]) -> f64 {
    values.iter().map(|&value| value as f64).sum::<f64>() / values.len().max(1) as f64
}

fn median(values: &[u64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Returns the value below which this share of them lies, by the nearest rank; `None` of none.
fn quantile(values: &[u64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map(|&value| value as f64)
}
