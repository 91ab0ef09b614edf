//! What a switch costs here, from runs: those that were kept, or one made for the purpose.

use std::path::{Path, PathBuf};

use crate::host::facts::Facts;
use crate::record::reader;
use crate::record::run::{RunDocument, RunResult};
use crate::sample::Placement;
use crate::summary::bill::{PriceList, PricePair, PriceSource, SwitchPrice};

/// Whose net price is that of a switch between threads of a process, and between processes.
pub const WITHIN: &str = "thread-pipe";
pub const BETWEEN: &str = "process-pipe";

/// The prices that the runs kept in these folders have, each from the newest that has it and was made on a host like this one.
/// Those that cannot be read are passed over.
pub fn of_kept_runs(folders: &[PathBuf], host: &Facts) -> PriceList {
    let mut prices = PriceList::default();
    for (path, run) in reader::kept_runs(folders) {
        if is_usual(&run) && is_like(&run.host, host) {
            prices.fill(of_run(&run, &saved(&path, &run)));
        }
        if prices.is_complete() {
            break;
        }
    }
    prices
}

/// Where a saved run's price comes from.
pub fn saved(path: &Path, run: &RunDocument) -> PriceSource {
    let conditions = format!("{}, {} incarnations", run.host.pinned_to(), run.settings.incarnations);
    PriceSource::Saved { file: path.display().to_string(), started_at: run.started_at.clone(), conditions }
}

/// A run's prices.
pub fn of_run(run: &RunDocument, source: &PriceSource) -> PriceList {
    let pair = |workload: &str| {
        // A ring's parties find less of theirs in the caches: another price.
        let rows = || run.body.results.iter().filter(|result| result.workload == workload && result.ring.is_none());
        let price = |result: &RunResult| {
            Some(SwitchPrice {
                workload: workload.to_string(),
                placement: result.placement,
                cpu_ns: result.net_cpu_ns_per_switch?,
                wall_ns: result.net_ns_per_switch,
                source: source.clone(),
            })
        };
        // Two cores, the nearest; hardware threads of one core only where there is nothing else.
        let across = rows().filter(|result| result.placement > Placement::Smt).min_by_key(|result| result.placement);
        let across = across.or_else(|| rows().find(|result| result.placement == Placement::Smt));
        PricePair {
            same: rows().find(|result| result.placement == Placement::Same).and_then(price),
            across: across.and_then(price),
        }
    };
    PriceList { within: pair(WITHIN), between: pair(BETWEEN) }
}

/// Whether a run was made as a program runs: under the usual policy, at full speed.
fn is_usual(run: &RunDocument) -> bool {
    let settings = &run.settings;
    let policy = settings.policy.as_deref().is_none_or(|policy| policy == "other");
    policy && settings.nice.is_none() && settings.handicap.is_none() && !run.tool.debug_build
}

/// Whether a switch may be expected to cost the same on both.
pub fn is_like(one: &Facts, other: &Facts) -> bool {
    let what_prices_depend_on = |host: &Facts| (host.kernel.clone(), host.cpu_model.clone(), host.mitigations.clone());
    what_prices_depend_on(one) == what_prices_depend_on(other)
}
