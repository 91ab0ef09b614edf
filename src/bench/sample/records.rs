//! What the kernel recorded of each switch of a workload's parties: who came and went on which CPU, and when.

use serde::{Deserialize, Serialize};

use crate::perf::counting::AbsentCounter;
use crate::perf::records::What;
use crate::sched::timeline::RecordSource;
use crate::unit::MonotonicNs;

/// What a pass of its own recorded of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub source: RecordSource,
    /// Of each ring buffer.
    pub buffer_bytes: u64,
    /// What is not among the events, and why: wake-ups, yields.
    #[serde(default)]
    pub absent: Vec<AbsentCounter>,
    /// Threads below this number are parties, the leader being 0.
    pub parties: u32,
    /// Where the leader ran.
    pub leader_cpu: u32,
    /// The threads from there on.
    pub others: Vec<OtherThread>,
    pub plays: Vec<RecordedPlay>,
    /// How long each op took where the same calls switch nothing, recorded alike, ns; empty without a floor.
    #[serde(default)]
    pub floor_ns: Vec<u64>,
}

/// A thread that ran on the parties' CPUs and is none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherThread {
    /// 0 is the CPU's idle thread.
    pub id: u32,
    /// `None` when it had ended before its name was looked up.
    pub name: Option<String>,
}

/// Ops played in a row, with all that was recorded meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedPlay {
    pub incarnation: u32,
    pub began_at_ns: MonotonicNs,
    /// How long each op took by the leader's clock, one after the other, ns.
    pub ops_ns: Vec<u64>,
    /// In the order of their times.
    pub events: Vec<Event>,
    /// Records for which the ring buffer had no room: they were the last of the play.
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
    /// Whom it happened to.
    pub thread: u32,
    /// Who did it: of a wake-up the waker, else the thread itself.
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
    /// How a thread of this number is called in a report.
    pub fn name(&self, thread: u32) -> String {
        match (thread, thread.checked_sub(self.parties)) {
            (0, _) => "leader".to_string(),
            (1, None) if self.parties == 2 => "follower".to_string(),
            (number, None) => format!("follower {number}"),
            (_, Some(at)) => match self.others.get(at as usize) {
                Some(OtherThread { id: 0, .. }) => "idle".to_string(),
                Some(OtherThread { id, name: Some(name) }) => format!("{name} ({id})"),
                Some(OtherThread { id, name: None }) => format!("thread {id}"),
                None => "unknown".to_string(),
            },
        }
    }

    pub fn is_party(&self, thread: u32) -> bool {
        thread < self.parties
    }

    /// Whether it stands for a CPU with nothing to do.
    pub fn is_idle(&self, thread: u32) -> bool {
        let other = thread.checked_sub(self.parties).and_then(|at| self.others.get(at as usize));
        other.is_some_and(|other| other.id == 0)
    }

    /// Records that found no room, over all plays.
    pub fn lost(&self) -> u64 {
        self.plays.iter().fold(0, |sum, play| sum.saturating_add(play.lost))
    }

    /// Whether wake-ups are among the events.
    pub fn has(&self, name: &str) -> bool {
        self.absent.iter().all(|absent| absent.name != name)
    }
}
