//! The pass that records every switch of threads and processes, for breakdowns and timelines: the last of all, since it
//! slows the participants, and perf slows what follows it for a second.
//!
//! ```text
//! repetition    spawn ─ open buffers ─ warm up ─ play ─ play ─ no-switch loop ─ join
//! a play        recording on ─ 100 ops, the clock read after each ─ recording off ─ buffers emptied
//! ```

use anyhow::{Context, anyhow};
use nix::unistd::gettid;

use crate::bench::engine::plan::Entry;
use crate::bench::engine::{Engine, Progress, Stop, layout_randomization, offline_cpu};
use crate::bench::sample::records::{Event, OtherThread, RecordedPlay, Recording};
use crate::host::limits;
use crate::perf::counting::{AbsentCounter, CountingMode};
use crate::perf::meter::Attached;
use crate::perf::records::{Recorded, Recorder, name_of};
use crate::perf::refusal::Refused;
use crate::sys::{affinity, signal};
use crate::workload::kind::Kind;
use crate::workload::session::{Laps, Session};

/// Repetitions: how a round trip goes does not depend on much.
const REPETITIONS: u32 = 3;
/// Plays of each that are saved, and those before them that are not.
const PLAYS: u32 = 2;
const WARM_UP_PLAYS: u32 = 2;
/// Ops of a play: a third of what the buffers have room for.
const OPS: u64 = 100;

impl Engine<'_> {
    /// Records the workloads whose participants are Linux threads. Refused records are absent, with the reason.
    pub(super) fn recording_pass(&mut self) -> Result<(), Stop> {
        let is_recorded = |entry: &Entry| matches!(entry.workload.kind, Kind::Thread | Kind::Process);
        let entries = self.plan.entries.iter().enumerate().filter(|(_, entry)| is_recorded(entry));
        let entries: Vec<usize> = entries.map(|(at, _)| at).collect();
        if !self.plan.record || entries.is_empty() {
            return Ok(());
        }
        if self.attached.counting.mode == CountingMode::Thread {
            // Counters on threads would slow every switch that is recorded, and nothing is counted after this.
            self.attached.meter = Attached::without_events(CountingMode::None, Vec::new()).meter;
        }
        let rounds = self.plan.repetitions.min(REPETITIONS);
        self.total += rounds * entries.len() as u32;
        for round in 0..rounds {
            for &at in &entries {
                let workload = self.plan.entries[at].workload;
                self.watchdog.begin(&workload.name);
                let mut places = self.layout_randomization.fork();
                let outcome = layout_randomization::shuffled(&mut places, || self.recorded_repetition(at, round));
                outcome.map_err(|stop| self.within(stop, at, round as usize))?;
                self.done += 1;
                (self.on_progress)(Progress { workload: workload.name, done: self.done, of: self.total });
            }
        }
        Ok(())
    }

    /// Records one set of participants and one no-switch loop. A refusal is no failure.
    fn recorded_repetition(&mut self, at: usize, repetition: u32) -> Result<(), Stop> {
        let entry = &self.plan.entries[at];
        let setting = entry.setting;
        let mut session = entry.prepare().map_err(limits::explain)?;
        let leader = gettid();
        let others =
            session.participants().into_iter().map(|participant| participant.thread).filter(|&thread| thread != leader);
        let participants: Vec<_> = [leader].into_iter().chain(others).collect();
        let mut recorder = match self.attach.recorder(&setting.cpus(), &participants) {
            Ok(recorder) => recorder,
            Err(refused) => {
                session.end()?;
                self.note_refused(refused);
                return Ok(());
            }
        };
        // Records of different events are not mixed.
        let known = self.workloads[at].recording.as_ref();
        if known.is_some_and(|known| known.source != recorder.source() || known.absent != recorder.absent()) {
            session.end()?;
            return Ok(());
        }
        let ids: Vec<u32> = participants.iter().map(|thread| thread.as_raw() as u32).collect();
        for _ in 0..WARM_UP_PLAYS {
            self.recorded_play(session.as_mut(), &mut recorder)?;
        }
        for _ in 0..PLAYS {
            let (laps, recorded) = self.recorded_play(session.as_mut(), &mut recorder)?;
            if let Some(cpu) = affinity::current_cpu().filter(|&cpu| cpu != setting.leader_cpu) {
                let expected = setting.leader_cpu;
                return Err(Stop::Failure(anyhow!("the participants were moved from CPU {expected} to CPU {cpu}")));
            }
            let recording = self.workloads[at]
                .recording
                .get_or_insert_with(|| nothing_recorded(&recorder, ids.len(), setting.leader_cpu));
            keep(recording, &ids, repetition, &laps, recorded);
        }
        session.end()?;
        if let Some(cpu) = offline_cpu(&setting) {
            self.workloads[at].recording = None;
            return Err(Stop::Failure(anyhow!("the participants of CPU {cpu} were moved away")));
        }
        if let Some(mut session) = entry.prepare_no_switch().map_err(limits::explain)? {
            for play in 0..=PLAYS {
                let (laps, _) = self.recorded_play(session.as_mut(), &mut recorder)?;
                let recording = self.workloads[at].recording.as_mut().filter(|_| play > 0);
                recording.into_iter().for_each(|recording| recording.no_switch_ns.extend(laps.durations()));
            }
            session.end()?;
        }
        Ok(())
    }

    /// Plays with recording on.
    fn recorded_play(&self, session: &mut dyn Session, recorder: &mut Recorder) -> Result<(Laps, Recorded), Stop> {
        let mut laps = Laps::of(OPS);
        recorder.record(true)?;
        let played = session.play_each(OPS, &mut laps);
        let off = recorder.record(false);
        played.context("while switches were recorded")?;
        off?;
        let recorded = recorder.take()?;
        self.watchdog.progress();
        match signal::stop_requested() {
            Some(signal) => Err(Stop::Signal(signal)),
            None => Ok((laps, recorded)),
        }
    }

    pub(super) fn note_refused(&mut self, refused: Refused) {
        let known = &mut self.attached.counting.absent;
        if let Refused::Absent(absent) = refused {
            if known.iter().all(|other| other.name != absent.name) {
                known.push(absent);
            }
        }
    }
}

fn nothing_recorded(recorder: &Recorder, participants: usize, leader_cpu: usize) -> Recording {
    Recording {
        source: recorder.source(),
        buffer_bytes: recorder.buffer_bytes(),
        absent: Vec::<AbsentCounter>::from(recorder.absent()),
        participants: participants as u32,
        leader_cpu: leader_cpu as u32,
        others: Vec::new(),
        plays: Vec::new(),
        no_switch_ns: Vec::new(),
    }
}

/// Adds a play's records, from the first op's start to the last one's end, with threads by their numbers.
fn keep(recording: &mut Recording, participants: &[u32], repetition: u32, laps: &Laps, recorded: Recorded) {
    let (Some(&began_at_ns), Some(&ended_at_ns)) = (laps.moments().first(), laps.moments().last()) else { return };
    let during = recorded.records.iter().filter(|record| (began_at_ns..=ended_at_ns).contains(&record.at_ns));
    let mut number = |thread: u32| number_of(&mut recording.others, participants, thread);
    let events: Vec<Event> = during
        .map(|record| Event {
            at_ns: record.at_ns - began_at_ns,
            cpu: record.cpu,
            what: record.what,
            thread: number(record.thread),
            by: number(record.by),
        })
        .collect();
    let ops_ns = laps.durations().collect();
    recording.plays.push(RecordedPlay { repetition, began_at_ns, ops_ns, events, lost: recorded.lost });
}

/// Returns a thread's number: its place among the participants, or after them among the others, to which it is added.
fn number_of(others: &mut Vec<OtherThread>, participants: &[u32], thread: u32) -> u32 {
    if let Some(participant) = participants.iter().position(|&participant| participant == thread) {
        return participant as u32;
    }
    let known = others.iter().position(|other| other.id == thread);
    let at = known.unwrap_or_else(|| {
        let name = if thread == 0 { Some("idle".to_string()) } else { name_of(thread) };
        others.push(OtherThread { id: thread, name });
        others.len() - 1
    });
    (participants.len() + at) as u32
}
