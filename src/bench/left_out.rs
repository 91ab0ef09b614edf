//! Row titles, and the workloads that cannot be measured.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host::placement::Placement;
use crate::sys::unavailable::Unavailable;
use crate::unit::Bytes;
use crate::workload::shape::RingShape;

/// A workload that cannot be measured on this host, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub workload: String,
    pub placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    #[serde(flatten)]
    pub why: Unavailable,
}

impl LeftOut {
    /// Returns the name that its row would have.
    pub fn title(&self) -> String {
        row_title(&self.workload, self.placement, self.ring)
    }
}

/// Returns a sentence on rows that are not there.
pub fn not_measured(rows: &str, Unavailable { reason, remedy }: &Unavailable) -> String {
    let remedy = remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
    format!("Not measured: {rows}: {reason}{remedy}.")
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.ring {
            Some(_) => self.title(),
            None => self.workload.clone(),
        };
        write!(out, "{title}: {}", self.why)
    }
}

/// Returns a workload's name, with the placement if that is not one CPU, and the ring's size if it is not a pair.
pub fn row_title(workload: &str, placement: Placement, ring: Option<RingShape>) -> String {
    let place = (placement != Placement::Same).then(|| placement.name().to_string());
    let participants = ring.map(|ring| format!("ring of {}", ring.participants));
    let memory = ring.filter(|ring| ring.working_set_bytes > 0);
    let memory = memory.map(|ring| format!("{} each", Bytes(ring.working_set_bytes as f64)));
    let details: Vec<String> = place.into_iter().chain(participants).chain(memory).collect();
    if details.is_empty() { workload.to_string() } else { format!("{workload} ({})", details.join(", ")) }
}
