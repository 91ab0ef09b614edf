//! Kernel records of each switch of a workload's participants: who came and went on which CPU, and when.

use serde::{Deserialize, Serialize};

use crate::perf::counting::AbsentCounter;
use crate::perf::records::What;
use crate::sched::timeline::RecordSource;
use crate::unit::MonotonicNs;

/// Records of one workload, from a pass of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub source: RecordSource,
    /// Size of each ring buffer.
    pub buffer_bytes: u64,
    /// Kinds of events that are not recorded, and why: wake-ups, yields.
    #[serde(default)]
    pub absent: Vec<AbsentCounter>,
    /// Threads below this number are participants, the leader being 0.
    pub participants: u32,
    pub leader_cpu: u32,
    /// The threads from that number on.
    pub others: Vec<OtherThread>,
    pub plays: Vec<RecordedPlay>,
    /// Time of each op where the same calls switch nothing, recorded alike, ns; empty without such a loop.
    #[serde(default)]
    pub no_switch_ns: Vec<u64>,
}

/// A thread that ran on the participants' CPUs and is none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherThread {
    /// 0 is the CPU's idle thread.
    pub id: u32,
    /// `None` when it had ended before its name was looked up.
    pub name: Option<String>,
}

/// Ops played in a row, with all records meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedPlay {
    pub repetition: u32,
    pub began_at_ns: MonotonicNs,
    /// Time of each op by the leader's clock, one after the other, ns.
    pub ops_ns: Vec<u64>,
    /// In the order of their times.
    pub events: Vec<Event>,
    /// Records for which the ring buffer had no room: the last of the play.
    pub lost: u64,
}

/// Something that happened on a CPU. Saved as `[at_ns, cpu, what, thread, by]`: there are thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u32, What, u32, u32)", into = "(u64, u32, What, u32, u32)")]
pub struct Event {
    /// Since the play began.
    pub at_ns: u64,
    pub cpu: u32,
    pub what: What,
    /// The thread it happened to.
    pub thread: u32,
    /// The thread that did it: of a wake-up the waker, else the thread itself.
    pub by: u32,
}

impl From<(u64, u32, What, u32, u32)> for Event {
    fn from((at_ns, cpu, what, thread, by): (u64, u32, What, u32, u32)) -> Event {
        Event { at_ns, cpu, what, thread, by }
    }
}

impl From<Event> for (u64, u32, What, u32, u32) {
    fn from(event: Event) -> (u64, u32, What, u32, u32) {
        (event.at_ns, event.cpu, event.what, event.thread, event.by)
    }
}

impl Recording {
    /// Returns the name of a thread in reports.
    pub fn name(&self, thread: u32) -> String {
        match (thread, thread.checked_sub(self.participants)) {
            (0, _) => "leader".to_string(),
            (1, None) if self.participants == 2 => "follower".to_string(),
            (number, None) => format!("follower {number}"),
            (_, Some(at)) => match self.others.get(at as usize) {
                Some(OtherThread { id: 0, .. }) => "idle".to_string(),
                Some(OtherThread { id, name: Some(name) }) => format!("{name} ({id})"),
                Some(OtherThread { id, name: None }) => format!("thread {id}"),
                None => "unknown".to_string(),
            },
        }
    }

    pub fn is_participant(&self, thread: u32) -> bool {
        thread < self.participants
    }

    /// Returns true if it stands for a CPU with nothing to do.
    pub fn is_idle(&self, thread: u32) -> bool {
        let other = thread.checked_sub(self.participants).and_then(|at| self.others.get(at as usize));
        other.is_some_and(|other| other.id == 0)
    }

    /// Returns the number of records that found no room, over all plays.
    pub fn lost(&self) -> u64 {
        self.plays.iter().fold(0, |sum, play| sum.saturating_add(play.lost))
    }

    /// Returns true if events of this kind are recorded, such as wake-ups.
    pub fn has(&self, name: &str) -> bool {
        self.absent.iter().all(|absent| absent.name != name)
    }
}
