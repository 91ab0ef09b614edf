//! One typical op, drawn from the records of many: who ran for how long, and why it left.

use std::collections::BTreeMap;

use crate::bench::figures::recorded::replay::{Op, Replay};
use crate::bench::sample::records::Recording;
use crate::sched::timeline::{BySwitches, Left, Run, Timeline, Wake};

/// Path of an op: who came one after the other, where, and why it left.
type Way = Vec<(u32, u32, Left)>;

/// Share of all ops from which on those with another number of switches are drawn, too.
const WORTH_A_PICTURE: f64 = 0.25;

/// Picks a typical op: of those that make the most frequent number of switches the most common path, and of its ops the
/// one of median duration. The same of other numbers, if a quarter of all ops make so many. Empty if no op was recorded
/// whole.
pub fn timelines(recording: &Recording) -> Vec<Timeline> {
    let replays: Vec<Replay> = recording.plays.iter().map(|play| Replay::of(recording, play)).collect();
    let mut ways: BTreeMap<Way, Vec<(usize, Op)>> = BTreeMap::new();
    for (at, replay) in replays.iter().enumerate() {
        for &op in &replay.ops {
            ways.entry(way(recording, replay, op)).or_default().push((at, op));
        }
    }
    let by_switches = by_switches(recording, &ways);
    let ops: usize = ways.values().map(Vec::len).sum();
    let is_frequent = |by: &BySwitches| by.ops as f64 >= WORTH_A_PICTURE * ops as f64;
    let drawn = by_switches.iter().enumerate().filter(|(at, by)| *at == 0 || is_frequent(by));
    let typical = |(_, by): (usize, &BySwitches)| {
        let of_number = ways.iter().filter(|(way, _)| switches(recording, way) == by.switches);
        let mut alike = of_number.map(|(_, ops)| ops).max_by_key(|ops| ops.len())?.clone();
        alike.sort_by_key(|(_, op)| op.duration());
        let &(at, op) = alike.get(alike.len() / 2)?;
        let wake_ups = replays[at].wake_ups.iter().filter(|wake_up| op.has(wake_up.at)).map(|wake_up| Wake {
            at_ns: wake_up.at - op.from,
            by: recording.name(wake_up.by),
            whom: recording.name(wake_up.whom),
        });
        Some(Timeline {
            source: recording.source,
            ops,
            alike: alike.len(),
            by_switches: by_switches.clone(),
            duration_ns: op.duration(),
            switches: by.switches,
            run_slices: runs(recording, &replays[at], op),
            wake_ups: wake_ups.collect(),
        })
    };
    drawn.filter_map(typical).collect()
}

/// Returns how often a participant left its CPU.
fn switches(recording: &Recording, way: &Way) -> usize {
    way.iter().filter(|&&(_, thread, left)| recording.is_participant(thread) && left != Left::Stays).count()
}

/// Returns how many ops made how many switches.
fn by_switches(recording: &Recording, ways: &BTreeMap<Way, Vec<(usize, Op)>>) -> Vec<BySwitches> {
    let mut all: Vec<BySwitches> = Vec::new();
    for (way, ops) in ways {
        let switches = switches(recording, way);
        match all.iter_mut().find(|known| known.switches == switches) {
            Some(known) => known.ops += ops.len(),
            None => all.push(BySwitches { switches, ops: ops.len() }),
        }
    }
    all.sort_by_key(|known| (std::cmp::Reverse(known.ops), known.switches));
    all
}

/// Returns the run slices that an op has a part of, in the order of their starts, by their indexes.
fn within(replay: &Replay, op: Op) -> Vec<usize> {
    let run_slices = replay.run_slices.iter().enumerate();
    let parts = run_slices.filter(|(_, run_slice)| op.overlaps(run_slice.from, run_slice.to));
    let mut parts: Vec<usize> = parts.map(|(at, _)| at).collect();
    parts.sort_by_key(|&at| (replay.run_slices[at].from, replay.run_slices[at].to));
    parts
}

/// Returns how it left within the op.
fn left_within(replay: &Replay, at: usize, op: Op) -> Left {
    let run_slice = &replay.run_slices[at];
    if run_slice.to >= op.to { Left::Stays } else { run_slice.left }
}

fn way(recording: &Recording, replay: &Replay, op: Op) -> Way {
    let step = |at: usize| {
        let run_slice = &replay.run_slices[at];
        // Whichever other thread it was.
        let thread = match () {
            () if recording.is_participant(run_slice.thread) => run_slice.thread,
            () if recording.is_idle(run_slice.thread) => u32::MAX,
            () => u32::MAX - 1,
        };
        (run_slice.cpu, thread, left_within(replay, at, op))
    };
    let mut way: Way = within(replay, op).into_iter().map(step).collect();
    // Two CPUs go their own ways: which of them was first by some ns does not make another path.
    way.sort_by_key(|&(cpu, ..)| cpu);
    way
}

fn runs(recording: &Recording, replay: &Replay, op: Op) -> Vec<Run> {
    let run = |at: usize| {
        let run_slice = &replay.run_slices[at];
        Run {
            cpu: run_slice.cpu,
            who: recording.name(run_slice.thread),
            participant: recording.is_participant(run_slice.thread),
            from_ns: run_slice.from.saturating_sub(op.from),
            to_ns: run_slice.to.min(op.to) - op.from,
            left: left_within(replay, at, op),
        }
    };
    within(replay, op).into_iter().map(run).collect()
}
