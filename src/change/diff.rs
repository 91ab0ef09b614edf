//! `ctxprof.diff/2`: changes between two sides of runs, and what else differs between them.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::bench::document::run::{RunDocument, RunResult};
use crate::bench::document::{cost, history};
use crate::bench::figures::reference;
use crate::change::rows::{DiffRow, DiffSettings, Key, Rows, Terms};
use crate::document::{Document, Tool, Warning};
use crate::estimate::median;

pub const SCHEMA: &str = "ctxprof.diff/2";

pub type DiffDocument = Document<DiffSettings, DiffBody>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffBody {
    /// Start time of each side's first run.
    pub old_started_at: String,
    pub new_started_at: String,
    /// Other differences, the likely cause of a change first.
    pub differences: Vec<Difference>,
    pub rows: Vec<DiffRow>,
    /// Rows of one side only.
    pub only_old: Vec<String>,
    pub only_new: Vec<String>,
}

impl DiffBody {
    /// Returns true if a row is slower by more than allowed.
    pub fn has_regression(&self) -> bool {
        self.rows.iter().any(|row| row.regression)
    }

    /// Returns the rows that more runs would have to decide: against the allowed loss or, if none was given, at all.
    pub fn undecided(&self) -> impl Iterator<Item = &DiffRow> {
        self.rows.iter().filter(|row| row.is_undecided())
    }

    /// Returns why a gate judged less than it should; `None` if it judged all, or there is no gate.
    pub fn failure_to_judge(&self, settings: &DiffSettings) -> Option<String> {
        let is_gate = settings.fail_above.is_some() || settings.fail_undecided;
        let priceless = self.rows.iter().filter(|row| row.change.is_none() && row.old_ns_per_op.is_some());
        let lost: Vec<String> = self.only_old.iter().cloned().chain(priceless.map(DiffRow::title)).collect();
        let remedy = "measure the same workloads at the same placements";
        let message = if self.rows.iter().all(|row| row.change.is_none()) {
            let rows = if lost.is_empty() { String::new() } else { format!(" (it has {})", lost.join(", ")) };
            format!("nothing of the old side{rows} could be compared, and so nothing has passed: {remedy}")
        } else {
            let all = lost.join(", ");
            format!(
                "rows of the old side are not in the new one and have not passed: {all}; {remedy}, or let them be missing with --allow-missing"
            )
        };
        let is_lost = !lost.is_empty() && !settings.allow_missing || self.rows.iter().all(|row| row.change.is_none());
        (is_gate && is_lost).then_some(message)
    }
}

/// A difference between the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Key for `--require-same`.
    pub key: String,
    pub what: String,
    pub old: String,
    pub new: String,
}

/// A property of a run that may cause a change.
pub struct Aspect {
    pub key: &'static str,
    what: &'static str,
    of: fn(&RunDocument) -> Option<String>,
}

/// Properties compared besides the costs, the likeliest cause of a change first.
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
    Aspect { key: "cpus", what: "CPU of the participants", of: |run| Some(run.host.pinned_cpu?.to_string()) },
    Aspect {
        key: "workers",
        what: "worker threads",
        of: |run| run.settings.workers.map(|workers| workers.to_string()),
    },
    Aspect { key: "toolchain", what: "compiler of the goroutines", of: toolchains },
    Aspect { key: "version", what: "version of ctxprof", of: |run| Some(run.tool.version.clone()) },
    Aspect { key: "user", what: "user id", of: |run| Some(run.host.user_id.to_string()) },
];

/// Key of a changed voluntary/involuntary mix.
pub const MIX: &str = "mix";
/// Key of a core that ran slower or faster on one side.
pub const CORE: &str = "core";

/// Returns every key that `--require-same` takes.
pub fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = ASPECTS.iter().map(|aspect| aspect.key).collect();
    keys.dedup();
    keys.extend([CORE, MIX]);
    keys
}

/// Returns the toolchains of participants that ctxprof's own compiler did not build.
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
    let (old_sessions, new_sessions) = sessions(old, new);
    let same_machine = is_same_machine(first_old, first_new);
    let terms = Terms {
        settings: &settings,
        rows: both.len(),
        // On another machine, a core has another speed.
        is_core_slow: same_machine && differences.iter().any(|difference| difference.key == CORE),
        same_machine,
        sessions: [old_sessions.clone(), new_sessions.clone()].map(count_distinct),
        all_sessions: count_distinct([old_sessions, new_sessions].concat()),
    };
    let rows = both.iter().map(|key| crate::change::rows::row(key, &old_rows, &new_rows, &terms)).collect();
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
    let mut warnings = Vec::new();
    if both.is_empty() {
        warnings.push(Warning::new("nothing-in-common", "the two have no workload at the same placement in common"));
    }
    if terms.is_core_slow {
        let message = "the core itself was slow on one side, so that nothing can be told of any row: repeat that run";
        warnings.push(Warning::new("core-differs", message));
    }
    warnings.extend(body.failure_to_judge(&settings).map(|message| Warning::new("gate-lost-rows", message)));
    let (schema, tool, host) = (SCHEMA.to_string(), Tool::this(), first_new.host.clone());
    Ok(DiffDocument { schema, tool, started_at, host, settings, body, warnings })
}

/// Returns the session number of each run, of the old side and of the new: a session is of one boot, without a gap of an hour.
/// A run without a start time is a session of its own.
fn sessions(old: &[RunDocument], new: &[RunDocument]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<(u64, usize)> = old
        .iter()
        .chain(new)
        .enumerate()
        .map(|(at, run)| (history::seconds(&run.started_at).unwrap_or(u64::MAX), at))
        .collect();
    order.sort_unstable();
    let run = |at: usize| old.get(at).unwrap_or_else(|| &new[at - old.len()]);
    let goes_on = |(earlier, one): (u64, usize), (later, other): (u64, usize)| {
        let (one, other) = (&run(one).host, &run(other).host);
        let same_boot = one.boot.as_ref().zip(other.boot.as_ref()).is_none_or(|(one, other)| one == other);
        later != u64::MAX && later - earlier < history::SESSION_SECONDS && same_boot && cost::is_like(one, other)
    };
    let mut numbers = vec![0; order.len()];
    for at in 1..order.len() {
        let (last, next) = (order[at - 1], order[at]);
        numbers[next.1] = numbers[last.1] + usize::from(!goes_on(last, next));
    }
    let new_ones = numbers.split_off(old.len());
    (numbers, new_ones)
}

fn count_distinct(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

/// Returns true if runs of both sides can be expected to vary alike.
fn is_same_machine(old: &RunDocument, new: &RunDocument) -> bool {
    old.host.is_same_processor(&new.host) && old.host.hypervisor == new.host.hypervisor
}

/// Returns the number of rows that two runs of one kind of machine have in common; 0 if their builds or policies differ.
pub fn comparable_rows(old: &RunDocument, new: &RunDocument) -> usize {
    let is_alike =
        is_same_machine(old, new) && policy(old) == policy(new) && old.tool.debug_build == new.tool.debug_build;
    let (old, new) = (Rows::of(std::slice::from_ref(old)), Rows::of(std::slice::from_ref(new)));
    if is_alike && old.check_ops(&new).is_ok() { old.keys().filter(|key| new.get(key).is_some()).count() } else { 0 }
}

fn differences(old: &[RunDocument], new: &[RunDocument], old_rows: &Rows<'_>, new_rows: &Rows<'_>) -> Vec<Difference> {
    // All values in a side's runs, each once.
    let said = |side: &[RunDocument], aspect: &Aspect| {
        let mut values: Vec<String> = side.iter().filter_map(aspect.of).filter(|value| !value.is_empty()).collect();
        values.sort();
        values.dedup();
        values.join(" / ")
    };
    let of_aspect = |aspect: &Aspect| {
        let (old, new) = (said(old, aspect), said(new, aspect));
        // An unknown value is no difference.
        let differs = old != new && !old.is_empty() && !new.is_empty();
        differs.then(|| Difference { key: aspect.key.to_string(), what: aspect.what.to_string(), old, new })
    };
    let mixes = old_rows.0.iter().filter_map(|(key, results)| mix_difference(key, results, new_rows.get(key)?));
    core_difference(old, new).into_iter().chain(ASPECTS.iter().filter_map(of_aspect)).chain(mixes).collect()
}

/// Returns the difference in CPU speed. A disturbance as long as a run slows all of it, and only another run can show it.
fn core_difference(old: &[RunDocument], new: &[RunDocument]) -> Option<Difference> {
    let took = |side: &[RunDocument]| median(side.iter().filter_map(|run| run.body.reference_loop_ns).collect());
    let (was, is) = (took(old)?, took(new)?);
    (was.max(is) > (1.0 + reference::TOLERANCE) * was.min(is)).then(|| Difference {
        key: CORE.to_string(),
        what: "the core itself (frequency, or a neighbour on the host): a fixed stretch of arithmetic, ns".to_string(),
        old: format!("{was:.0}"),
        new: format!("{is:.0}"),
    })
}

/// Change of the voluntary or involuntary switches per op from which it is another kind of work.
const MIX_TOLERANCE: f64 = 0.1;

fn mix_difference(
    key: &Key,
    old: &[(&RunDocument, &RunResult)],
    new: &[(&RunDocument, &RunResult)],
) -> Option<Difference> {
    let mix = |results: &[(&RunDocument, &RunResult)]| results.iter().find_map(|(_, result)| result.kernel_switches);
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
