//! Rows by their names, those that cannot be measured among them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host::placement::Placement;
use crate::unit::Bytes;
use crate::workload::shape::RingShape;

/// A workload that cannot be measured here, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub workload: String,
    pub placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    pub reason: String,
    /// What would help, as a command.
    pub remedy: Option<String>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.ring {
            Some(_) => row_title(&self.workload, self.placement, self.ring),
            None => self.workload.clone(),
        };
        write!(out, "{title}: {}", self.reason)?;
        self.remedy.iter().try_for_each(|remedy| write!(out, " ({remedy})"))
    }
}

/// A workload by its name, with where it ran if that is not one CPU, and the ring that it was if that is no pair.
pub fn row_title(workload: &str, placement: Placement, ring: Option<RingShape>) -> String {
    let place = (placement != Placement::Same).then(|| placement.name().to_string());
    let parties = ring.map(|ring| format!("{} parties", ring.parties));
    let memory = ring.filter(|ring| ring.working_set_bytes > 0);
    let memory = memory.map(|ring| format!("{} each", Bytes(ring.working_set_bytes as f64)));
    let details: Vec<String> = place.into_iter().chain(parties).chain(memory).collect();
    if details.is_empty() { workload.to_string() } else { format!("{workload} ({})", details.join(", ")) }
}
