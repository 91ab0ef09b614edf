//! Records and threads summed up as they arrive: by reason, by thread, and in total.

use std::collections::{BTreeMap, HashMap};

use crate::bpf::layout::{Name, Record, Thread, WakerKind, left};
use crate::bpf::tracer::Step;
use crate::program::trace::reason::Reason;
use crate::sched::tally::{Spread, Summand, Tally};
use crate::sched::tracks::{Event, Over, Tracks, What};

/// Kind of waker that ended an absence, and its name if it is a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waker {
    pub kind: WakerKind,
    pub name: Name,
}

/// Reason why a thread left the CPU, from a record.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    reason: Reason,
    voluntary: bool,
    wakeup_ns: Option<u32>,
}

/// Everything known of a program's threads so far.
#[derive(Debug, Default)]
pub struct Collected {
    tracks: Tracks<Leaving, Waker>,
    pub tally: Tally<Reason, Waker>,
    pub slices: Spread,
    /// Of live threads, by slot.
    reasons: HashMap<u32, BTreeMap<Reason, u64>>,
    pub groups: BTreeMap<GroupKey, Group>,
    pub total: Group,
    /// Records that were read.
    pub records: u64,
    /// True if each thread is a group of its own.
    per_thread: bool,
}

/// Threads shown together: of one name, or a single one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    pub name: String,
    /// Process and thread ID, if each thread is shown by itself.
    pub ids: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Default)]
pub struct Group {
    pub threads: u64,
    pub ended: u64,
    /// Switches seen by the tracer.
    pub switches: u64,
    pub missed: u64,
    /// Absences that have not ended.
    pub unfinished: u64,
    /// From kernel accounting.
    pub voluntary: u64,
    pub involuntary: u64,
    pub cpu_ns: u64,
    pub run_delay_ns: u64,
    /// Run-queue wait seen by the tracer.
    pub queue_ns: u64,
    /// Ended threads whose switches or run-queue wait, as seen, differ from kernel accounting.
    pub differing: u64,
    pub reasons: BTreeMap<Reason, u64>,
}

impl Collected {
    pub fn new(per_thread: bool) -> Collected {
        Collected { per_thread, ..Collected::default() }
    }

    pub fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Record(record) => self.record(record),
            Step::Ended(thread) => self.thread(thread),
        }
    }

    fn record(&mut self, record: &Record) {
        self.records += 1;
        let reason = Reason::of(record);
        *self.reasons.entry(record.slot).or_default().entry(reason).or_default() += 1;
        let leaving = Leaving { reason, voluntary: record.has(left::VOLUNTARILY), wakeup_ns: record.wakeup_ns };
        let left_at = record.at_ns.saturating_sub(record.off_ns);
        let thread = record.slot;
        self.take(Event { at_ns: left_at, thread, what: What::Left(leaving) });
        if record.has(left::FOR_GOOD) {
            self.add(leaving, None, None, None);
            return;
        }
        if record.waker_kind != WakerKind::None {
            let name = match record.waker_kind {
                WakerKind::Interrupt | WakerKind::SoftInterrupt => Name::default(),
                _ => record.waker_name,
            };
            let waker = Waker { kind: record.waker_kind, name };
            let woken_at = record.at_ns.saturating_sub(record.queue_ns);
            self.take(Event { at_ns: woken_at, thread, what: What::Woken(waker) });
        }
        let entered = What::Entered { cpu: record.cpu.into(), queue_ns: Some(record.queue_ns) };
        self.take(Event { at_ns: record.at_ns, thread, what: entered });
    }

    fn take(&mut self, event: Event<Leaving, Waker>) {
        match self.tracks.take(event) {
            Some(Over::Slice(slice)) => self.slices.record(slice.to_ns.saturating_sub(slice.from_ns)),
            Some(Over::Absence(absence)) => {
                let off_ns = absence.to_ns.saturating_sub(absence.from_ns);
                let waker = absence.woken.map(|woken| woken.by);
                self.add(absence.left, Some(off_ns), absence.queue_ns, waker);
            }
            None => {}
        }
    }

    fn add(&mut self, leaving: Leaving, off_ns: Option<u64>, queue_ns: Option<u64>, waker: Option<Waker>) {
        let Leaving { reason, voluntary, wakeup_ns } = leaving;
        let summand = Summand { voluntary, off_ns, queue_ns, wakeup_ns: wakeup_ns.map(u64::from), waker };
        self.tally.add(reason, &summand);
    }

    /// Takes a thread that has ended, after its last record, or that still runs when tracing stops.
    pub fn thread(&mut self, thread: &Thread) {
        // If its last record was lost, the end of its last slice is unknown.
        let _ = self.tracks.take(Event { at_ns: 0, thread: thread.slot, what: What::Ended });
        let mut reasons = self.reasons.remove(&thread.slot).unwrap_or_default();
        if let Some(off) = &thread.off {
            let reason = Reason::of(off);
            *reasons.entry(reason).or_default() += 1;
            let leaving = Leaving { reason, voluntary: off.has(left::VOLUNTARILY), wakeup_ns: None };
            self.add(leaving, None, None, None);
        }
        let name = thread.name.text();
        let key = GroupKey { name, ids: self.per_thread.then_some((thread.tgid, thread.tid)) };
        let group = self.groups.entry(key).or_default();
        let accounted = thread.voluntary + thread.involuntary;
        let differs = thread.ended && (thread.switches != accounted || thread.queue_ns != thread.run_delay_ns);
        for sum in [group, &mut self.total] {
            sum.threads += 1;
            sum.ended += u64::from(thread.ended);
            sum.switches += thread.switches;
            sum.missed += thread.missed;
            sum.unfinished += u64::from(thread.off.is_some());
            sum.voluntary += thread.voluntary;
            sum.involuntary += thread.involuntary;
            sum.cpu_ns += thread.cpu_ns;
            sum.run_delay_ns += thread.run_delay_ns;
            sum.queue_ns += thread.queue_ns;
            sum.differing += u64::from(differs);
            for (reason, count) in &reasons {
                *sum.reasons.entry(*reason).or_default() += count;
            }
        }
    }
}
