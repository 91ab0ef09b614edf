//! Switch costs from runs: saved ones, or one made for the purpose.

use std::path::{Path, PathBuf};

use crate::bench::cost_list::{CostList, CostPair, CostSource, SwitchCost};
use crate::bench::document::run::{RunDocument, RunResult};
use crate::bench::document::saved_runs;
use crate::bench::figures::NO_UNDISTURBED_SAMPLES;
use crate::bench::figures::reference::CORE_SLOWER;
use crate::document::{Ending, Warning};
use crate::host::facts::Facts;
use crate::host::placement::Placement;
use crate::perf::counting::CountingMode;

/// Workloads whose net cost is that of a switch between threads of a process, and between processes.
pub const WITHIN: &str = "thread-pipe";
pub const BETWEEN: &str = "process-pipe";
/// The same for a switch that wakes nobody.
pub const WITHIN_YIELD: &str = "thread-yield";
pub const BETWEEN_YIELD: &str = "process-yield";
/// The command that measures them all.
pub const COMMAND: &str = "ctxprof run thread-pipe thread-yield process-pipe process-yield --place all";

/// Returns the costs from the runs saved in these folders, each from the newest that has it, was made on a host like
/// this one, and is good enough for a cost. Unreadable runs are skipped.
pub fn of_kept_runs(folders: &[PathBuf], host: &Facts) -> CostList {
    let mut costs = CostList::default();
    for (path, run) in saved_runs::kept_runs(folders) {
        if is_usual(&run) && is_sound(&run) && is_like(&run.host, host) {
            costs.fill(of_run(&run, &saved(&path, &run)));
        }
        if costs.is_complete() {
            break;
        }
    }
    costs
}

pub fn saved(path: &Path, run: &RunDocument) -> CostSource {
    let conditions = format!("{}, {} repetitions", run.host.pinned_to(), run.settings.repetitions);
    CostSource::Saved { file: path.display().to_string(), started_at: run.started_at.clone(), conditions }
}

pub fn of_run(run: &RunDocument, source: &CostSource) -> CostList {
    let pair = |workload: &str, yielding: &str| {
        // A ring's participants find less of their own data in the caches: another cost.
        let pairs = || run.body.results.iter().filter(|result| result.ring.is_none());
        let rows = || pairs().filter(|result| result.workload == workload);
        let cost = |result: &RunResult| {
            Some(SwitchCost {
                workload: result.workload.clone(),
                placement: result.placement,
                cpu_ns: result.net_cpu_ns_per_switch?,
                wall_ns: result.net_ns_per_switch,
                source: source.clone(),
            })
        };
        // Two cores, the nearest; hardware threads of one core only where there is nothing else.
        let across = rows().filter(|result| result.placement > Placement::Smt).min_by_key(|result| result.placement);
        let across = across.or_else(|| rows().find(|result| result.placement == Placement::Smt));
        let is_same = |result: &&RunResult| result.placement == Placement::Same;
        CostPair {
            same: rows().find(is_same).and_then(cost),
            across: across.and_then(cost),
            yielding: pairs().filter(is_same).find(|result| result.workload == yielding).and_then(cost),
        }
    };
    CostList { within: pair(WITHIN, WITHIN_YIELD), between: pair(BETWEEN, BETWEEN_YIELD) }
}

/// Returns true if a run was made as programs run: usual policy and nice value, not slowed on purpose, a release build.
fn is_usual(run: &RunDocument) -> bool {
    let settings = &run.settings;
    let policy = settings.policy.as_deref().is_none_or(|policy| policy == "other");
    policy && settings.nice.is_none() && settings.injected_slowdown.is_none() && !run.tool.debug_build
}

/// Returns true if a run was complete, at full speed, undisturbed where its costs come from, and counted for free.
pub fn is_sound(run: &RunDocument) -> bool {
    let unsound = |warnings: &[Warning]| warnings.iter().any(|warning| UNSOUND.contains(&warning.code.as_str()));
    let is_priced = |result: &&RunResult| PRICED.contains(&result.workload.as_str());
    matches!(run.body.counting.mode, CountingMode::Cpu | CountingMode::Rusage)
        && run.body.ending == Ending::Complete
        && !unsound(&run.warnings)
        && !run.body.results.iter().filter(is_priced).any(|result| unsound(&result.warnings))
}

/// Workloads whose rows are costs.
const PRICED: [&str; 4] = [WITHIN, BETWEEN, WITHIN_YIELD, BETWEEN_YIELD];
/// Warnings of figures that neighbours, a slow core or a tracer have changed.
const UNSOUND: [&str; 3] = [NO_UNDISTURBED_SAMPLES, CORE_SLOWER, TRACED];
/// Warning of a run under strace or gdb, whose stops are in its ops.
const TRACED: &str = "traced";

/// Returns true if a switch can be expected to cost the same on both.
pub fn is_like(one: &Facts, other: &Facts) -> bool {
    let what_costs_depend_on = |host: &Facts| (host.kernel.clone(), host.cpu_model.clone(), host.mitigations.clone());
    what_costs_depend_on(one) == what_costs_depend_on(other)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store;

    /// The golden run, with a net cost in CPU time, changed.
    fn run(change: impl FnOnce(&mut Value)) -> RunDocument {
        let mut document: Value = serde_json::from_str(include_str!("../../../tests/golden/run-2.json")).unwrap();
        for row in document["results"].as_array_mut().unwrap() {
            row["net_cpu_ns_per_switch"] = json!({"median": 1600.0, "low": 1590.0, "high": 1610.0});
        }
        document["counting"]["mode"] = json!("cpu");
        document["ending"] = json!("complete");
        document["warnings"] = json!([]);
        change(&mut document);
        serde_json::from_value(document).unwrap()
    }

    /// Returns true if a saved run becomes the cost of thread-pipe.
    fn becomes_a_cost(change: impl FnOnce(&mut Value)) -> bool {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("runs");
        let run = run(change);
        store::keep(&folder, "2026-11-24T20:00:00Z", &serde_json::to_string(&run).unwrap()).unwrap();
        of_kept_runs(&[folder], &run.host).within.same.is_some()
    }

    #[test]
    fn a_sound_run_becomes_the_cost_whichever_free_way_it_counted() {
        assert!(becomes_a_cost(|_| {}));
        assert!(becomes_a_cost(|document| document["counting"]["mode"] = json!("rusage")));
    }

    #[test]
    fn what_was_slowed_cut_short_or_disturbed_never_becomes_the_cost() {
        let warning = |code: &str| json!([{"code": code, "message": ""}]);
        let unsound: [fn(&mut Value); 6] = [
            |document| document["counting"]["mode"] = json!("thread"),
            |document| document["counting"]["mode"] = json!("none"),
            |document| document["ending"] = json!({"interrupted": 2}),
            |document| document["ending"] = json!({"failed": "out of luck"}),
            |document| document["settings"]["injected_slowdown"] = json!("thread-pipe:0.1"),
            |document| document["tool"]["debug_build"] = json!(true),
        ];
        for (at, change) in unsound.into_iter().enumerate() {
            assert!(!becomes_a_cost(change), "change {at}");
        }
        assert!(!becomes_a_cost(|document| document["warnings"] = warning(CORE_SLOWER)));
        assert!(!becomes_a_cost(|document| document["warnings"] = warning(TRACED)));
        assert!(!becomes_a_cost(|document| document["results"][0]["warnings"] = warning(NO_UNDISTURBED_SAMPLES)));
    }
}
