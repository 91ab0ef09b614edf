//! The core's own speed, compared with saved runs: it shows a burst on the host that lasts as long as the run.

use crate::document::Warning;

/// Share by which the core's own speed may differ: it repeats within 1 %.
pub const TOLERANCE: f64 = 0.03;

/// The warning of a run with its CPU below full speed from end to end.
pub const CORE_SLOWER: &str = "core-slower-than-before";

/// Returns a warning if a run's fastest samples were slower than in earlier saved runs: it was slow from end to end.
pub fn beside_saved_runs(reference_ns: Option<f64>, quickest_ns: Option<f64>) -> Option<Warning> {
    let slower = quickest_ns? / reference_ns?;
    (slower > 1.0 + TOLERANCE).then(|| {
        let message = format!(
            "the CPU was below full speed in all of this run: the reference loop took {slower:.2} times as long as in saved runs (a lower frequency, or a busy neighbour on the host); costs are too high: repeat the run, or see `ctxprof doctor`"
        );
        Warning::new(CORE_SLOWER, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_warned_of(reference_ns: f64, quickest_ns: f64) -> bool {
        beside_saved_runs(Some(reference_ns), Some(quickest_ns)).is_some()
    }

    #[test]
    fn a_core_slower_than_in_kept_runs_is_told() {
        assert!(is_warned_of(1683.0, 2290.0) && is_warned_of(1683.0, 1740.0));
        assert!(!is_warned_of(1683.0, 1730.0) && !is_warned_of(2290.0, 1683.0));
        assert!(beside_saved_runs(None, Some(2290.0)).is_none() && beside_saved_runs(Some(1683.0), None).is_none());
    }
}
