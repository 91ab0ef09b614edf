//! The events of a play, put together: who ran when, what was a switch, and who waited.

use std::collections::{BTreeMap, BTreeSet};

use crate::bench::sample::records::{Event, RecordedPlay, Recording};
use crate::perf::records::{What, YIELDS};
use crate::sched::cpus::{Cpus, Gap, RunSlice};
use crate::sched::timeline::Left;

/// A sleeping participant, from when it began to be woken to when it came onto a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The CPU onto which it came.
    pub(super) cpu: u32,
}

/// A wake-up of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WakeUp {
    pub(super) at: u64,
    pub(super) by: u32,
    pub(super) whom: u32,
}

/// An op's start and end, since the play's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Op {
    pub(super) fn duration(self) -> u64 {
        self.to - self.from
    }

    /// Returns true if a moment is its own; that of its end is the next one's.
    pub(super) fn has(self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }

    pub(super) fn overlaps(self, from: u64, to: u64) -> bool {
        from < self.to && to > self.from
    }
}

/// A play put together. All lists are in the order of their ends, wake-ups of their times.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replay {
    pub(super) run_slices: Vec<RunSlice>,
    pub(super) gaps: Vec<Gap>,
    pub(super) waits: Vec<Wait>,
    pub(super) wake_ups: Vec<WakeUp>,
    /// The ops of which all is known.
    pub(super) ops: Vec<Op>,
    /// Those of which something is missing, or does not fit.
    pub(super) incomplete: usize,
}

/// The number of the participant that plays and reads the clock.
const LEADER: u32 = 0;

struct Player<'r> {
    recording: &'r Recording,
    cpus: Cpus,
    /// Start of the wait of each participant that was woken.
    woken: BTreeMap<u32, u64>,
    /// Threads that have called sched_yield since they came.
    yielding: BTreeSet<u32>,
    replay: Replay,
}

impl Replay {
    pub(super) fn of(recording: &Recording, play: &RecordedPlay) -> Replay {
        let mut end: u64 = 0;
        let mut ops = Vec::new();
        for &ns in &play.ops_ns {
            let from = end;
            end = end.saturating_add(ns);
            ops.push(Op { from, to: end });
        }
        let mut player = Player {
            recording,
            cpus: Cpus::default(),
            woken: BTreeMap::new(),
            yielding: BTreeSet::new(),
            replay: Replay::default(),
        };
        // Saved samples may have them in any order.
        let mut events: Vec<&Event> = play.events.iter().collect();
        events.sort_by_key(|event| event.at_ns);
        events.iter().filter(|event| event.at_ns <= end).for_each(|event| player.play(event));
        player.cpus.finish(end, LEADER, recording.leader_cpu);
        let Cpus { run_slices, gaps, misfits, .. } = player.cpus;
        let mut replay = Replay { run_slices, gaps, ..player.replay };
        let leader_runs = |at: u64| {
            let mut own = replay.run_slices.iter().filter(|run_slice| run_slice.thread == LEADER);
            own.any(|run_slice| (run_slice.from..=run_slice.to).contains(&at))
        };
        let known_until = if play.lost > 0 { last_of_each_cpu(&events) } else { end };
        // The leader read the clock at both ends of an op.
        let is_led = |op: &Op| leader_runs(op.from) && leader_runs(op.to);
        let is_complete = |op: &Op| op.to <= known_until && is_led(op) && !misfits.iter().any(|&at| op.has(at));
        replay.ops = ops.iter().copied().filter(|op| op.duration() > 0 && is_complete(op)).collect();
        replay.incomplete = ops.len() - replay.ops.len();
        replay
    }
}

impl Replay {
    /// Returns all that overlaps an op.
    pub(super) fn around(&self, op: Op) -> Replay {
        Replay {
            run_slices: self
                .run_slices
                .iter()
                .copied()
                .filter(|run_slice| op.overlaps(run_slice.from, run_slice.to))
                .collect(),
            gaps: self.gaps.iter().copied().filter(|gap| op.overlaps(gap.from, gap.to)).collect(),
            waits: self.waits.iter().copied().filter(|wait| op.overlaps(wait.from, wait.to)).collect(),
            wake_ups: self.wake_ups.iter().copied().filter(|wake_up| op.has(wake_up.at)).collect(),
            ops: vec![op],
            incomplete: 0,
        }
    }
}

/// Returns the time until which every CPU's buffer surely had room: records are lost after those that are stored.
fn last_of_each_cpu(events: &[&Event]) -> u64 {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for event in events {
        last.insert(event.cpu, event.at_ns);
    }
    last.into_values().min().unwrap_or_default()
}

impl Player<'_> {
    fn play(&mut self, event: &Event) {
        let Event { at_ns: at, cpu, what, thread, by } = *event;
        match what {
            What::In => self.enters(thread, cpu, at),
            What::Out => self.cpus.leave(thread, cpu, at, Left::Sleeps),
            What::OutRunnable => {
                let left = match self.yielding.contains(&thread) {
                    true => Left::Yields,
                    false if self.recording.has(YIELDS) => Left::Preempted,
                    false => Left::Runnable,
                };
                self.cpus.leave(thread, cpu, at, left);
            }
            What::Waking if self.recording.is_participant(thread) => {
                self.replay.wake_ups.push(WakeUp { at, by, whom: thread });
                // One that is about to sleep and has not left its CPU yet does not wait for one.
                if !self.cpus.runs(thread) {
                    self.woken.entry(thread).or_insert(at);
                }
            }
            What::Waking => {}
            What::Yield => drop(self.yielding.insert(thread)),
        }
    }

    fn enters(&mut self, thread: u32, cpu: u32, at: u64) {
        self.cpus.enter(thread, cpu, at);
        self.yielding.remove(&thread);
        if let Some(from) = self.woken.remove(&thread) {
            self.replay.waits.push(Wait { from, to: at, cpu });
        }
    }
}
