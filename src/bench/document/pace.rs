//! Full speed of the core, from saved runs.

use std::path::PathBuf;

use crate::bench::document::run::RunDocument;
use crate::bench::document::saved_runs;
use crate::document::Tool;
use crate::estimate::median;
use crate::host::facts::Facts;

/// Returns the time of the reference loop at full speed, ns, from the runs saved in these folders by this version of
/// ctxprof on the same CPU of the same processor: the median of the faster half, for the very fastest may be a misread
/// clock, and the slower half may have had a neighbour. `None` if there is none; unreadable runs are skipped.
pub fn reference_ns(folders: &[PathBuf], tool: &Tool, host: &Facts) -> Option<f64> {
    let is_like = |kept: &RunDocument| {
        (&kept.tool.version, kept.tool.debug_build) == (&tool.version, tool.debug_build)
            && kept.host.pinned_cpu == host.pinned_cpu
            && kept.host.is_same_processor(host)
    };
    let kept = saved_runs::kept_runs(folders).map(|(_, kept)| kept).filter(is_like);
    let mut took: Vec<f64> = kept.filter_map(|kept| kept.body.reference_loop_ns).collect();
    took.sort_by(f64::total_cmp);
    took.truncate(took.len().div_ceil(2));
    median(took)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store;

    /// The golden run on a core that takes this long for the reference loop, changed.
    fn run(reference_loop_ns: f64, change: impl FnOnce(&mut Value)) -> RunDocument {
        let mut document: Value = serde_json::from_str(include_str!("../../../tests/golden/run-2.json")).unwrap();
        document["reference_loop_ns"] = json!(reference_loop_ns);
        change(&mut document);
        serde_json::from_value(document).unwrap()
    }

    /// Returns the reference for the golden run after these were saved, one after the other.
    fn reference(kept: &[RunDocument]) -> Option<f64> {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("runs");
        for (second, run) in kept.iter().enumerate() {
            let started_at = format!("2026-11-24T20:00:0{second}Z");
            store::keep(&folder, &started_at, &serde_json::to_string(run).unwrap()).unwrap();
        }
        let this = run(2290.0, |_| {});
        reference_ns(&[folder], &this.tool, &this.host)
    }

    #[test]
    fn full_speed_is_the_median_of_the_quicker_half_of_the_kept_runs() {
        let took = |each: &[f64]| each.iter().map(|&ns| run(ns, |_| {})).collect::<Vec<_>>();
        assert_eq!(reference(&took(&[1683.0])), Some(1683.0));
        assert_eq!(reference(&took(&[2290.0, 1683.0])), Some(1683.0));
        assert_eq!(
            reference(&took(&[2290.0, 1690.0, 1200.0, 2300.0, 1683.0])),
            Some(1683.0),
            "1200 was a misread clock"
        );
        assert_eq!(reference(&[]), None, "nothing was kept");
    }

    #[test]
    fn runs_of_another_core_or_build_say_nothing_of_this_one() {
        let others: [fn(&mut Value); 4] = [
            |document| document["host"]["cpu_model"] = json!("another"),
            |document| document["host"]["pinned_cpu"] = json!(77),
            |document| document["tool"]["version"] = json!("0.0.9"),
            |document| document["tool"]["debug_build"] = json!(true),
        ];
        for (at, change) in others.into_iter().enumerate() {
            assert_eq!(reference(&[run(1683.0, change)]), None, "change {at}");
        }
        let another_kernel = run(1683.0, |document| document["host"]["kernel"] = json!("6.1.0"));
        assert_eq!(reference(&[another_kernel]), Some(1683.0), "arithmetic asks no kernel");
    }
}
