//! `ctxprof.doctor/1`: what on this host makes the numbers worse.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::host::checks;
pub use crate::host::checks::Severity;

pub const SCHEMA: &str = "ctxprof.doctor/1";

pub type DoctorDocument = Document<DoctorSettings, DoctorBody>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DoctorSettings {
    /// For how long it was watched what else runs on the pinned CPU.
    pub watched_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoctorBody {
    /// One per check, in the order of the registry that made them.
    pub findings: Vec<FindingEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingEntry {
    pub id: String,
    pub severity: Severity,
    /// What was found; where it is unknown, why.
    pub found: String,
    /// What it does to the numbers when it is not as it should be.
    pub why: String,
    /// The command that changes it; null where there is none, or nothing to change.
    pub fix: Option<String>,
    /// Where it was read.
    pub source: String,
}

impl From<checks::Finding> for FindingEntry {
    fn from(finding: checks::Finding) -> FindingEntry {
        let checks::Finding { check, severity, found, fix, source } = finding;
        FindingEntry { id: check.id.to_string(), severity, found, why: check.why.to_string(), fix, source }
    }
}

impl DoctorBody {
    /// The names of those checks that found something serious.
    pub fn serious(&self) -> Vec<&str> {
        let serious = self.findings.iter().filter(|finding| finding.severity == Severity::Serious);
        serious.map(|finding| finding.id.as_str()).collect()
    }
}
