//! The labels of a row, for machines.

use crate::host::placement::Placement;
use crate::output::metrics::Labels;
use crate::workload::shape::RingShape;

/// Returns the labels that distinguish one row of costs from another.
pub(crate) fn row_labels(workload: &str, placement: Placement, ring: Option<RingShape>) -> Labels {
    let mut labels = vec![("workload", workload.to_string()), ("placement", placement.name().to_string())];
    if let Some(ring) = ring {
        labels.push(("participants", ring.participants.to_string()));
        labels.push(("working_set_bytes", ring.working_set_bytes.to_string()));
    }
    labels
}
