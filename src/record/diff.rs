//! `ctxprof.diff/1`: what has changed between two sides of runs, and what else differs between them.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::record::run::{RunDocument, RunResult};
use crate::record::{Document, Tool, pace};
use crate::sample::{Placement, RingShape, row_title};
use crate::summary::{Change, Estimate, Verdict, Warning, change, median};

pub const SCHEMA: &str = "ctxprof.diff/1";

pub type DiffDocument = Document<DiffSettings, DiffBody>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DiffSettings {
    /// The files of each side, as named.
    pub old: Vec<String>,
    pub new: Vec<String>,
    /// A row is a regression when it is slower by more than this share, beyond its interval.
    pub fail_above: Option<f64>,
    /// What had to be the same, by [`Aspect::key`].
    pub require_same: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffBody {
    /// When each side's first run began.
    pub old_started_at: String,
    pub new_started_at: String,
    /// What else differs, the likely cause of a change first.
    pub differences: Vec<Difference>,
    pub rows: Vec<DiffRow>,
    /// Rows that one side only has.
    pub only_old: Vec<String>,
    pub only_new: Vec<String>,
}

impl DiffBody {
    /// Whether a row has become slower by more than was allowed.
    pub fn has_regression(&self) -> bool {
        self.rows.iter().any(|row| row.regression)
    }
}

/// Something that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// As `--require-same` takes it.
    pub key: String,
    pub what: String,
    pub old: String,
    pub new: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffRow {
    pub workload: String,
    pub placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingShape>,
    /// The median over the side's runs.
    pub old_ns_per_op: Option<f64>,
    pub new_ns_per_op: Option<f64>,
    /// `None` where a side has no price.
    pub change: Option<Change>,
    /// Slower than `fail_above` allows, beyond its interval.
    pub regression: bool,
}

/// Something about a run that may be the cause of a change.
pub struct Aspect {
    pub key: &'static str,
    what: &'static str,
    of: fn(&RunDocument) -> Option<String>,
}

/// What is compared besides the prices, the likeliest cause of a change first.
pub static ASPECTS: &[Aspect] = &[
    Aspect {
        key: "build",
        what: "kind of build",
        of: |run| Some(if run.tool.debug_build { "debug" } else { "release" }.into()),
    },
    Aspect { key: "policy", what: "scheduling policy", of: policy },
    Aspect { key: "host", what: "processor", of: |run| run.host.cpu_model.clone() },
    Aspect { key: "host", what: "architecture", of: |run| Some(run.host.architecture.clone()) },
    Aspect { key: "host", what: "hypervisor", of: |run| Some(run.host.hypervisor.clone().unwrap_or("none".into())) },
    Aspect { key: "kernel", what: "kernel", of: |run| Some(run.host.kernel.clone()) },
    Aspect { key: "kernel", what: "kernel build", of: |run| Some(run.host.kernel_build.clone()) },
    Aspect { key: "mitigations", what: "mitigations", of: |run| run.host.mitigations.clone() },
    Aspect { key: "scheduler", what: "preemption", of: |run| run.host.preemption.clone() },
    Aspect { key: "scheduler", what: "scheduler's base slice, ns", of: |run| run.host.base_slice_ns.clone() },
    Aspect { key: "scheduler", what: "autogroup", of: |run| run.host.autogroup.clone() },
    Aspect { key: "counters", what: "way of counting", of: |run| Some(run.body.counting.mode.name().into()) },
    Aspect { key: "frequency", what: "frequency governor", of: |run| run.host.frequency_governor.clone() },
    Aspect { key: "clock", what: "clocksource", of: |run| run.host.clocksource.clone() },
    Aspect { key: "cpus", what: "CPUs online", of: |run| run.host.online_cpus.clone() },
    Aspect { key: "cpus", what: "CPU of the parties", of: |run| Some(run.host.pinned_cpu?.to_string()) },
    Aspect {
        key: "workers",
        what: "worker threads",
        of: |run| run.settings.workers.map(|workers| workers.to_string()),
    },
    Aspect { key: "toolchain", what: "compiler of the goroutines", of: toolchains },
    Aspect { key: "version", what: "version of ctxprof", of: |run| Some(run.tool.version.clone()) },
    Aspect { key: "user", what: "user id", of: |run| Some(run.host.user_id.to_string()) },
];

/// The key under which a changed voluntary/involuntary mix is told.
pub const MIX: &str = "mix";
/// The key under which it is told that the core itself was slower or quicker.
pub const CORE: &str = "core";

/// Every key that `--require-same` takes.
pub fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = ASPECTS.iter().map(|aspect| aspect.key).collect();
    keys.dedup();
    keys.extend([CORE, MIX]);
    keys
}

/// Those of the parties' programs that something else than ctxprof's own compiler built.
fn toolchains(run: &RunDocument) -> Option<String> {
    let mut all: Vec<&str> = run.body.results.iter().filter_map(|result| result.toolchain.as_deref()).collect();
    all.sort_unstable();
    all.dedup();
    (!all.is_empty()).then(|| all.join(", "))
}

fn policy(run: &RunDocument) -> Option<String> {
    let nice = run.settings.nice.map(|nice| format!(", nice {nice}")).unwrap_or_default();
    Some(format!("{}{nice}", run.settings.policy.as_deref().unwrap_or("as inherited")))
}

/// Compares two sides, each of one run or more.
///
/// # Errors
/// A side is empty; an op is not the same thing on both; something differs that was required to be the same.
pub fn compare(
    old: &[RunDocument],
    new: &[RunDocument],
    settings: DiffSettings,
    started_at: String,
) -> Result<DiffDocument> {
    let (Some(first_old), Some(first_new)) = (old.first(), new.first()) else { bail!("each side needs a run") };
    let (old_rows, new_rows) = (Rows::of(old), Rows::of(new));
    old_rows.check_ops(&new_rows)?;
    let differences = differences(old, new, &old_rows, &new_rows);
    if let Some(difference) = differences.iter().find(|difference| settings.require_same.contains(&difference.key)) {
        let Difference { what, old, new, key } = difference;
        bail!("{what} is required to be the same (--require-same {key}), and was {old:?} and is {new:?}");
    }
    let both: Vec<&Key> = old_rows.keys().filter(|key| new_rows.get(key).is_some()).collect();
    let rows = both.iter().map(|key| row(key, &old_rows, &new_rows, both.len(), settings.fail_above)).collect();
    let missing = |here: &Rows<'_>, there: &Rows<'_>| {
        here.keys().filter(|key| there.get(key).is_none()).map(Key::title).collect::<Vec<_>>()
    };
    let body = DiffBody {
        old_started_at: first_old.started_at.clone(),
        new_started_at: first_new.started_at.clone(),
        differences,
        rows,
        only_old: missing(&old_rows, &new_rows),
        only_new: missing(&new_rows, &old_rows),
    };
    let warnings = if both.is_empty() {
        vec![Warning::new("nothing-in-common", "the two have no workload at the same placement in common")]
    } else {
        Vec::new()
    };
    let (schema, tool, host) = (SCHEMA.to_string(), Tool::this(), first_new.host.clone());
    Ok(DiffDocument { schema, tool, started_at, host, settings, body, warnings })
}

/// What makes two rows the same row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    workload: String,
    placement: Placement,
    ring: Option<RingShape>,
}

impl Key {
    fn title(&self) -> String {
        row_title(&self.workload, self.placement, self.ring)
    }
}

/// The rows of a side, in the order of its first run: each as all its runs have it.
struct Rows<'r>(Vec<(Key, Vec<&'r RunResult>)>);

impl<'r> Rows<'r> {
    fn of(runs: &'r [RunDocument]) -> Rows<'r> {
        let mut rows: Vec<(Key, Vec<&RunResult>)> = Vec::new();
        for result in runs.iter().flat_map(|run| &run.body.results) {
            let key = Key { workload: result.workload.clone(), placement: result.placement, ring: result.ring };
            match rows.iter_mut().find(|(known, _)| *known == key) {
                Some((_, results)) => results.push(result),
                None => rows.push((key, vec![result])),
            }
        }
        Rows(rows)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(|(key, _)| key)
    }

    fn get(&self, key: &Key) -> Option<&[&'r RunResult]> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, results)| results.as_slice())
    }

    /// Refuses a workload whose op is another thing there.
    fn check_ops(&self, other: &Rows<'_>) -> Result<()> {
        for (key, results) in &self.0 {
            for (old, new) in
                results.iter().flat_map(|old| other.get(key).into_iter().flatten().map(move |new| (old, new)))
            {
                // Documents from before ops were named do not say.
                if !old.op.is_empty() && !new.op.is_empty() && old.op != new.op {
                    bail!("an op of {} was {:?} and is {:?}: the two cannot be compared", key.title(), old.op, new.op);
                }
            }
        }
        Ok(())
    }
}

fn row(key: &Key, old: &Rows<'_>, new: &Rows<'_>, rows: usize, fail_above: Option<f64>) -> DiffRow {
    let prices = |side: &Rows<'_>| -> Vec<Estimate> {
        side.get(key).into_iter().flatten().filter_map(|result| result.ns_per_op).collect()
    };
    let (old, new) = (prices(old), prices(new));
    let center = |side: &[Estimate]| crate::summary::median(side.iter().map(|price| price.median).collect());
    let change = change(&old, &new, rows);
    let allowed = fail_above.unwrap_or(f64::INFINITY);
    let regression = change.is_some_and(|change| {
        change.verdict == Verdict::Slower && change.relative.low.is_some_and(|low| low > allowed)
    });
    DiffRow {
        workload: key.workload.clone(),
        placement: key.placement,
        ring: key.ring,
        old_ns_per_op: center(&old),
        new_ns_per_op: center(&new),
        change,
        regression,
    }
}

fn differences(old: &[RunDocument], new: &[RunDocument], old_rows: &Rows<'_>, new_rows: &Rows<'_>) -> Vec<Difference> {
    // All that a side's runs say, each once.
    let said = |side: &[RunDocument], aspect: &Aspect| {
        let mut values: Vec<String> = side.iter().filter_map(aspect.of).filter(|value| !value.is_empty()).collect();
        values.sort();
        values.dedup();
        values.join(" / ")
    };
    let of_aspect = |aspect: &Aspect| {
        let (old, new) = (said(old, aspect), said(new, aspect));
        // What one side does not know is no difference.
        let differs = old != new && !old.is_empty() && !new.is_empty();
        differs.then(|| Difference { key: aspect.key.to_string(), what: aspect.what.to_string(), old, new })
    };
    let mixes = old_rows.0.iter().filter_map(|(key, results)| mix_difference(key, results, new_rows.get(key)?));
    core_difference(old, new).into_iter().chain(ASPECTS.iter().filter_map(of_aspect)).chain(mixes).collect()
}

/// A burst of the host's as long as a run slows all of it, and only another run can tell.
fn core_difference(old: &[RunDocument], new: &[RunDocument]) -> Option<Difference> {
    let took = |side: &[RunDocument]| median(side.iter().filter_map(|run| run.body.yardstick_ns).collect());
    let (was, is) = (took(old)?, took(new)?);
    (was.max(is) > (1.0 + pace::TOLERANCE) * was.min(is)).then(|| Difference {
        key: CORE.to_string(),
        what: "the core itself (frequency, or a neighbour on the host): a fixed stretch of arithmetic, ns".to_string(),
        old: format!("{was:.0}"),
        new: format!("{is:.0}"),
    })
}

/// How much of a switch per op may move between voluntary and involuntary before it is another sort of work.
const MIX_TOLERANCE: f64 = 0.1;

fn mix_difference(key: &Key, old: &[&RunResult], new: &[&RunResult]) -> Option<Difference> {
    let mix = |results: &[&RunResult]| results.iter().find_map(|result| result.kernel_switches);
    let (was, is) = (mix(old)?, mix(new)?);
    let moved = (was.voluntary - is.voluntary).abs().max((was.involuntary - is.involuntary).abs());
    let show = |voluntary: f64, involuntary: f64| format!("{voluntary:.2} + {involuntary:.2}");
    (moved > MIX_TOLERANCE).then(|| Difference {
        key: MIX.to_string(),
        what: format!("{}: voluntary + involuntary switches per op", key.title()),
        old: show(was.voluntary, was.involuntary),
        new: show(is.voluntary, is.involuntary),
    })
}
