//! How quick the core itself was during a run: what a burst of the host's that lasts as long as the run does not hide from others.

use std::path::Path;

use crate::record::run::RunDocument;
use crate::record::{price, reader};
use crate::summary::Warning;

/// By how much the core's own speed may differ: it repeats within 1 %.
pub const TOLERANCE: f64 = 0.03;

/// The warning of a run whose core was slower than it can be, from end to end.
pub const CORE_SLOWER: &str = "core-slower-than-before";

/// What to know of a run whose core was slower from end to end than in a run that was kept in the folder, of this version of
/// ctxprof on the same CPU of a host like this one. Kept runs that cannot be read are passed over.
pub fn beside_kept_runs(folder: &Path, run: &RunDocument) -> Option<Warning> {
    let is_like = |kept: &RunDocument| {
        let (tool, host) = (&kept.tool, &kept.host);
        (&tool.version, tool.debug_build) == (&run.tool.version, run.tool.debug_build)
            && host.pinned_cpu == run.host.pinned_cpu
            && price::is_like(host, &run.host)
    };
    let kept = reader::kept_runs(&[folder.to_path_buf()]).map(|(_, kept)| kept).filter(is_like);
    let quickest = kept.filter_map(|kept| kept.body.yardstick_ns).min_by(f64::total_cmp)?;
    let slower = run.body.yardstick_ns? / quickest;
    (slower > 1.0 + TOLERANCE).then(|| {
        let message = format!(
            "the core itself took {slower:.2} times as long for a fixed stretch of arithmetic as in the quickest of the last runs kept here, in all of this run (a lower frequency, or a busy neighbour on the host): its prices are too high; repeat it, or see `ctxprof doctor`"
        );
        Warning::new(CORE_SLOWER, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::store;

    /// The golden run on a core that takes so long for the stretch, changed.
    fn run(yardstick_ns: f64, change: impl FnOnce(&mut Value)) -> RunDocument {
        let mut document: Value = serde_json::from_str(include_str!("../../tests/golden/run-1.json")).unwrap();
        document["yardstick_ns"] = json!(yardstick_ns);
        change(&mut document);
        serde_json::from_value(document).unwrap()
    }

    /// Whether a run at 2290 ns is warned of beside these.
    fn is_warned_of(kept: &[RunDocument]) -> bool {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("runs");
        for (second, run) in kept.iter().enumerate() {
            let started_at = format!("2026-11-24T20:00:0{second}Z");
            store::keep(&folder, &started_at, &serde_json::to_string(run).unwrap()).unwrap();
        }
        beside_kept_runs(&folder, &run(2290.0, |_| {})).is_some()
    }

    #[test]
    fn a_core_slower_than_in_a_kept_run_is_told() {
        assert!(is_warned_of(&[run(1683.0, |_| {})]));
        assert!(is_warned_of(&[run(1683.0, |_| {}), run(2290.0, |_| {})]), "not the last one only");
        assert!(!is_warned_of(&[run(2250.0, |_| {})]));
        assert!(!is_warned_of(&[]), "nothing was kept");
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
            assert!(!is_warned_of(&[run(1683.0, change)]), "change {at}");
        }
    }
}
