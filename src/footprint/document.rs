//! `ctxprof.memory/2`: memory of one more participant.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::{Document, Ending, Warning};
use crate::footprint::figures::{FootprintRow, row, warnings};
use crate::footprint::samples::{Footprints, KindFootprints};
use crate::sys::unavailable::Unavailable;

pub const SCHEMA: &str = "ctxprof.memory/2";

pub type MemoryDocument = Document<MemorySettings, MemoryBody>;

/// Options given to `memory`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemorySettings {
    pub kinds: Vec<String>,
    /// Null for each kind's default.
    pub max: Option<u64>,
    pub repetitions: u32,
    pub stack_use_bytes: u64,
    pub future_size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryBody {
    pub rows: Vec<FootprintRow>,
    pub sources: Sources,
    /// Limits on threads and processes on this host, whatever memory it has.
    pub limits: Vec<Limit>,
    /// `always`, `madvise`, `never`; null where the kernel has no transparent huge pages.
    pub huge_pages: Option<String>,
    pub left_out: Vec<KindLeftOut>,
    pub ending: Ending,
    /// Raw values, from which the rows follow.
    #[serde(default)]
    pub seen: Vec<KindFootprints>,
}

/// Source of each figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    pub user_bytes: String,
    /// Null without a memory cgroup that reports it.
    pub cgroup_kernel_bytes: Option<String>,
    pub kernel_stack_bytes: String,
    pub slab_bytes: String,
    pub page_table_bytes: String,
    pub virtual_bytes: String,
    pub own_bytes: String,
    pub times_ns: String,
}

/// A limit of this host other than memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub name: String,
    pub value: u64,
}

/// A kind that cannot be measured on this host, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindLeftOut {
    pub kind: String,
    #[serde(flatten)]
    pub why: Unavailable,
}

impl fmt::Display for KindLeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.kind, self.why)
    }
}

/// Facts of the host beside the measurement.
#[derive(Debug, Clone, Default)]
pub struct Around {
    pub limits: Vec<Limit>,
    pub huge_pages: Option<String>,
    /// Name of the memory cgroup's counter.
    pub cgroup_account: Option<String>,
    pub left_out: Vec<KindLeftOut>,
}

pub fn body(seen: Footprints, around: Around) -> (MemoryBody, Vec<Warning>) {
    let rows: Vec<FootprintRow> = seen.kinds.iter().map(row).collect();
    let warnings = rows.iter().flat_map(warnings).collect();
    let sources = Sources {
        user_bytes: "/proc/PID/smaps_rollup Pss, of the participants' process and its children".to_string(),
        kernel_stack_bytes: "/proc/meminfo KernelStack, machine-wide".to_string(),
        slab_bytes: "/proc/meminfo SUnreclaim, machine-wide".to_string(),
        page_table_bytes: "/proc/PID/status VmPTE".to_string(),
        virtual_bytes: "/proc/PID/status VmSize".to_string(),
        cgroup_kernel_bytes: around.cgroup_account,
        own_bytes: "Go's runtime.MemStats: StackInuse + HeapInuse + MSpanInuse + MCacheInuse + GCSys + OtherSys"
            .to_string(),
        times_ns: "CLOCK_MONOTONIC, in batches".to_string(),
    };
    let body = MemoryBody {
        rows,
        sources,
        limits: around.limits,
        huge_pages: around.huge_pages,
        left_out: around.left_out,
        ending: seen.ending,
        seen: seen.kinds,
    };
    (body, warnings)
}
