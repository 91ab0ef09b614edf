//! What was seen of parked parties, uninterpreted: memory before, while and after they were there.

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

/// What was seen of one kind of party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindFootprints {
    pub kind: Kind,
    /// How its parties are made and what they wait for.
    pub made_as: String,
    /// Below this count a party's price is not that of the next one: each of the first threads gets an arena of its own.
    pub knee: u64,
    /// Why there are none, or fewer than were asked for.
    pub stopped: Option<Stopped>,
    /// In the order in which they were played.
    pub incarnations: Vec<Incarnation>,
    /// The same at addresses that the kernel chose at random, of a kind whose other incarnations all have the same addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub randomized: Vec<Incarnation>,
}

/// A limit that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// `kernel.pid_max`, `RLIMIT_NPROC`, …; or what is missing on this system.
    pub limit: String,
    /// Its value; null where it has none.
    pub value: Option<u64>,
    pub reason: String,
    /// What would help.
    pub remedy: Option<String>,
    pub asked: u64,
    /// How many there could be.
    pub reached: u64,
}

/// Parties parked in a process made for them, and looked at whenever a count was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incarnation {
    /// The machine before there was the process.
    pub machine_before: Machine,
    /// The process was there, its parties were not.
    pub before: Levels,
    /// Counts, rising.
    pub points: Vec<Point>,
    /// Of all, from the word to the last one's end.
    pub end_ns: u64,
    /// The machine when all was over.
    pub machine_after: Machine,
}

/// So many parties that all waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub count: u64,
    pub parked: Levels,
    /// How many parties were made in a batch on the way here; the last may be smaller.
    pub batch: u64,
    /// Of each batch, until the last call that makes a party had returned.
    pub creation_ns: Vec<u64>,
    /// Of each batch, until the last body had run.
    pub first_run_ns: Vec<u64>,
}

/// Memory of the parties' processes and of the machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    pub family: Family,
    pub machine: Machine,
    /// How much the parties' own runtime says that it uses; null where it keeps no books.
    pub own_bytes: Option<u64>,
}
