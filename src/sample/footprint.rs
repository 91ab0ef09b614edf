//! What was seen of parked parties, uninterpreted: memory before, while and after they were there.

use serde::{Deserialize, Serialize};

use crate::sample::{Ending, Kind};

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

/// Summed over the process that holds the parties and its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// `Pss` of smaps_rollup: a page that several have counts once in the sum.
    pub pss_bytes: u64,
    pub anonymous_huge_bytes: u64,
    /// `VmSize`.
    pub virtual_bytes: u64,
    /// `VmPTE`.
    pub page_table_bytes: u64,
}

/// What the kernel uses on the whole machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// `KernelStack` of /proc/meminfo.
    pub kernel_stack_bytes: u64,
    /// `SUnreclaim`: the slab caches without what the kernel would give back, such as /proc's own inodes.
    pub slab_bytes: u64,
    /// `PageTables`.
    pub page_table_bytes: u64,
    /// What this program's memory cgroup has been charged for the kernel's memory; null where there is none that says.
    pub cgroup_kernel_bytes: Option<u64>,
    /// Processes and threads made since the machine started.
    pub forks: u64,
}

impl Machine {
    /// What the kernel uses of what parties could be: by the cgroup, or else stacks and slabs of the whole machine.
    pub fn kernel_bytes(&self) -> u64 {
        self.cgroup_kernel_bytes.unwrap_or(self.kernel_stack_bytes + self.slab_bytes)
    }
}
