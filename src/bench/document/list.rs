//! `ctxprof.list/1`: what can be measured here, and why the rest cannot.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::perf::counting::CountingMode;
use crate::workload::kind::Kind;

pub const SCHEMA: &str = "ctxprof.list/1";

pub type ListDocument = Document<ListSettings, ListBody>;

/// `list` has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSettings {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListBody {
    pub workloads: Vec<WorkloadEntry>,
    /// The way of counting that `run` would choose.
    pub counting: CountingMode,
    pub counters: Vec<CounterEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadEntry {
    pub name: String,
    pub kind: Kind,
    pub summary: String,
    /// What one op is.
    pub op: String,
    pub floor: Option<String>,
    pub expected_switches_per_op: Option<f64>,
    /// Whether `run` measures it without being told.
    pub default: bool,
    pub available: bool,
    /// Why not.
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
