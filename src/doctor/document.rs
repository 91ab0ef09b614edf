//! `ctxprof.doctor/1`: measurement problems of this host.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::host::checks;
pub use crate::host::checks::Severity;

pub const SCHEMA: &str = "ctxprof.doctor/1";

pub type DoctorDocument = Document<DoctorSettings, DoctorBody>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DoctorSettings {
    /// Time for which other activity on the pinned CPU was observed.
    pub watched_ns: u64,
    /// True if the screen is to show every check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
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
    /// Value found; why not, where it is unknown.
    pub found: String,
    /// Effect on the numbers when it is not as it should be.
    pub why: String,
    /// Command that changes it; null if there is none, or nothing to change.
    pub fix: Option<String>,
    /// Source of the value.
    pub source: String,
}

impl From<checks::Finding> for FindingEntry {
    fn from(finding: checks::Finding) -> FindingEntry {
        let checks::Finding { check, severity, found, fix, source } = finding;
        FindingEntry { id: check.id.to_string(), severity, found, why: check.why.to_string(), fix, source }
    }
}

impl DoctorBody {
    /// Returns the names of the checks that found something serious.
    pub fn serious(&self) -> Vec<&str> {
        let serious = self.findings.iter().filter(|finding| finding.severity == Severity::Serious);
        serious.map(|finding| finding.id.as_str()).collect()
    }
}
