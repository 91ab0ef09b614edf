//! Raw values of parked participants: memory before, while and after they were there.

use serde::{Deserialize, Serialize};

use crate::document::Ending;
use crate::host::memory::{Family, Machine};
use crate::workload::kind::Kind;

/// Everything that one measurement of footprints saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footprints {
    pub kinds: Vec<KindFootprints>,
    pub ending: Ending,
}

/// Raw values of one kind of participant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindFootprints {
    pub kind: Kind,
    /// Way its participants are made, and what they wait for.
    pub made_as: String,
    /// Count below which a participant takes more than the next one: each of the first threads gets an arena of its own.
    pub knee: u64,
    /// Reason why there are none, or fewer than asked for.
    pub stopped: Option<Stopped>,
    /// In the order of measurement.
    pub repetitions: Vec<Repetition>,
    /// The same at randomized addresses, of a kind whose other repetitions all have the same addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub randomized: Vec<Repetition>,
}

/// A limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// `kernel.pid_max`, `RLIMIT_NPROC`, …; or what is missing on this system.
    pub limit: String,
    /// Its value; null if it has none.
    pub value: Option<u64>,
    pub reason: String,
    /// Way to raise it.
    pub remedy: Option<String>,
    pub asked: u64,
    /// Number that was possible.
    pub reached: u64,
}

/// One repetition: participants parked in a process made for them, with memory read at every count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// The machine before the process was started.
    pub machine_before: Machine,
    /// With the process, before its participants.
    pub before: Levels,
    /// Counts, rising.
    pub points: Vec<Point>,
    /// Time in which all ended, from the command to the last one's end.
    pub join_ns: u64,
    /// The machine after all has ended.
    pub machine_after: Machine,
}

/// A count at which all participants waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub count: u64,
    pub parked: Levels,
    /// Participants per batch on the way here; the last batch may be smaller.
    pub batch: u64,
    /// Per batch, until the last call that makes a participant had returned.
    pub spawn_ns: Vec<u64>,
    /// Per batch, until the last body had run.
    pub first_run_ns: Vec<u64>,
}

/// Memory of the participants' processes and of the machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    pub family: Family,
    pub machine: Machine,
    /// Bytes that the participants' own runtime reports in use; null if it has no accounting.
    pub own_bytes: Option<u64>,
}
