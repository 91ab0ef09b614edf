//! `ctxprof.list/2`: workloads and counters, those available on this host and why the others are not.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::perf::counting::CountingMode;
use crate::workload::kind::Kind;

pub const SCHEMA: &str = "ctxprof.list/2";

pub type ListDocument = Document<ListSettings, ListBody>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSettings {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListBody {
    pub workloads: Vec<WorkloadEntry>,
    /// The counting mode that `run` would choose.
    pub counting: CountingMode,
    pub counters: Vec<CounterEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadEntry {
    pub name: String,
    pub kind: Kind,
    pub summary: String,
    /// Description of one op.
    pub op: String,
    pub no_switch: Option<String>,
    pub expected_switches_per_op: Option<f64>,
    /// True if `run` measures it by default.
    pub default: bool,
    pub available: bool,
    /// Reason why it is not available.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterEntry {
    pub name: String,
    pub summary: String,
    pub available: bool,
    /// Where it would be attached; null if it is not available.
    pub source: Option<CountingMode>,
    pub reason: Option<String>,
}
