//! Memory of one more participant: slopes over counts, one per repetition, and an interval over these.

use serde::{Deserialize, Serialize};

use crate::document::Warning;
use crate::estimate::slope::slope;
use crate::estimate::{Confidence, Estimate, median};
use crate::footprint::disturbance::{Chosen, chosen};
use crate::footprint::samples::{KindFootprints, Levels, Point, Repetition, Stopped};
use crate::unit::{Bytes, Share};
use crate::workload::kind::Kind;

/// Figures of one kind of participant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FootprintRow {
    pub kind: Kind,
    pub made_as: String,
    /// Bytes per participant; null if nothing was measured.
    pub user_bytes: Option<Estimate>,
    pub kernel_bytes: Option<Estimate>,
    pub kernel_source: KernelSource,
    /// User and kernel.
    pub resident_bytes: Option<Estimate>,
    /// The same at randomized addresses, as most processes have; absent if the others are randomized, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub randomized_resident_bytes: Option<Estimate>,
    pub virtual_bytes: Option<Estimate>,
    /// By machine-wide counters, which include slabs and stacks of all programs: the sum of the next three.
    pub machine_kernel_bytes: Option<Estimate>,
    pub kernel_stack_bytes: Option<Estimate>,
    pub slab_bytes: Option<Estimate>,
    pub page_table_bytes: Option<Estimate>,
    /// Reported by the participants' runtime, if it has accounting.
    pub own_bytes: Option<Estimate>,
    /// Part of the resident memory in huge pages.
    pub huge_bytes: Option<Estimate>,
    pub spawn_ns: Option<Estimate>,
    pub first_run_ns: Option<Estimate>,
    pub join_ns: Option<Estimate>,
    /// Rising; without counts that were never reached.
    pub counts: Vec<u64>,
    /// Counts that the slope is over.
    pub fitted_counts: Vec<u64>,
    pub repetitions: usize,
    pub interval_confidence: Option<f64>,
    /// Repetitions whose kernel figures were discarded, because something else on the machine changed them.
    pub disturbed: usize,
    /// True if so many were disturbed that their figures are used all the same.
    pub disturbed_used: bool,
    pub stopped: Option<Stopped>,
}

/// Source of the kernel memory of participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelSource {
    /// The memory cgroup, charged for this program's objects of all kinds, to the byte.
    Cgroup,
    /// /proc/meminfo, of all programs and in whole slabs, and the page tables of the participants' own processes.
    Meminfo,
}

pub fn row(seen: &KindFootprints) -> FootprintRow {
    let counts = counts(seen);
    let above: Vec<u64> = counts.iter().copied().filter(|&count| count >= seen.knee).collect();
    let fitted = if above.len() > 1 { above } else { counts.clone() };
    let Chosen { all, undisturbed, disturbed, disturbed_used } = chosen(seen.kind, &seen.repetitions);
    let of_user = Fit { repetitions: &all, counts: &fitted };
    let of_kernel = Fit { repetitions: &undisturbed, counts: &fitted };
    let randomized = chosen(seen.kind, &seen.randomized);
    let of_randomized = Fit { repetitions: &randomized.undisturbed, counts: &fitted };
    let accounting = |levels: &Levels| {
        Some((levels.machine.kernel_stack_bytes + levels.machine.slab_bytes + levels.family.page_table_bytes) as f64)
    };
    let by_cgroup = |levels: &Levels| Some(levels.machine.cgroup_kernel_bytes? as f64);
    let has_cgroup = of_kernel.estimate(by_cgroup).is_some();
    let kernel = |levels: &Levels| if has_cgroup { by_cgroup(levels) } else { accounting(levels) };
    let user = |levels: &Levels| levels.family.pss_bytes as f64;
    FootprintRow {
        kind: seen.kind,
        made_as: seen.made_as.clone(),
        user_bytes: of_user.estimate(|levels| Some(user(levels))),
        kernel_bytes: of_kernel.estimate(kernel),
        kernel_source: if has_cgroup { KernelSource::Cgroup } else { KernelSource::Meminfo },
        resident_bytes: of_kernel.estimate(|levels| Some(user(levels) + kernel(levels)?)),
        randomized_resident_bytes: of_randomized.estimate(|levels| Some(user(levels) + kernel(levels)?)),
        virtual_bytes: of_user.estimate(|levels| Some(levels.family.virtual_bytes as f64)),
        machine_kernel_bytes: of_kernel.estimate(accounting),
        kernel_stack_bytes: of_kernel.estimate(|levels| Some(levels.machine.kernel_stack_bytes as f64)),
        slab_bytes: of_kernel.estimate(|levels| Some(levels.machine.slab_bytes as f64)),
        page_table_bytes: of_user.estimate(|levels| Some(levels.family.page_table_bytes as f64)),
        own_bytes: of_user.estimate(|levels| Some(levels.own_bytes? as f64)),
        huge_bytes: of_user.estimate(|levels| Some(levels.family.anonymous_huge_bytes as f64)),
        spawn_ns: of_user.time(|_, point| per_participant(&point.spawn_ns, point.batch)),
        first_run_ns: of_user.time(|_, point| per_participant(&point.first_run_ns, point.batch)),
        join_ns: of_user.time(|repetition, point| Some(repetition.join_ns as f64 / point.count as f64)),
        counts,
        repetitions: all.len(),
        interval_confidence: Confidence::of(all.len()).map(|confidence| confidence.level),
        disturbed,
        disturbed_used,
        stopped: seen.stopped.clone(),
        fitted_counts: fitted,
    }
}

struct Fit<'a> {
    repetitions: &'a [&'a Repetition],
    counts: &'a [u64],
}

impl Fit<'_> {
    /// Returns a quantity per additional participant; if only one count was reached, per participant, fixed costs included.
    fn estimate(&self, quantity: impl Fn(&Levels) -> Option<f64>) -> Option<Estimate> {
        let of_one = |repetition: &&Repetition| {
            let wanted = repetition.points.iter().filter(|point| self.counts.contains(&point.count));
            let points: Option<Vec<(f64, f64)>> =
                wanted.map(|point| Some((point.count as f64, quantity(&point.parked)?))).collect();
            let points = points?;
            if self.counts.len() > 1 {
                return slope(&points);
            }
            let (count, value) = points.first()?;
            Some((value - quantity(&repetition.before)?) / count)
        };
        Estimate::over(self.repetitions.iter().filter_map(of_one))
    }

    /// Returns a time per participant, on the way to the highest count.
    fn time(&self, time: impl Fn(&Repetition, &Point) -> Option<f64>) -> Option<Estimate> {
        Estimate::over(self.repetitions.iter().filter_map(|repetition| time(repetition, repetition.points.last()?)))
    }
}

fn counts(seen: &KindFootprints) -> Vec<u64> {
    let points = seen.repetitions.iter().flat_map(|repetition| &repetition.points);
    let mut counts: Vec<u64> = points.map(|point| point.count).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Returns the median time of the whole batches, per participant.
fn per_participant(batches: &[u64], batch: u64) -> Option<f64> {
    let whole = if batches.len() > 1 { &batches[..batches.len() - 1] } else { batches };
    Some(median(whole.iter().map(|&ns| ns as f64).collect())? / batch.max(1) as f64)
}

/// Share by which two sources disagree that differ by more.
const DISAGREEMENT: f64 = 0.15;

pub fn warnings(row: &FootprintRow) -> Vec<Warning> {
    let name = row.kind.name();
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning::new(code, format!("{name}: {message}")));
    if let Some(Stopped { reason, remedy, asked, reached, .. }) = &row.stopped {
        let remedy = remedy.as_ref().map_or(String::new(), |remedy| format!("; to raise it: {remedy}"));
        warn("limited", format!("no more than {reached} of {asked}: {reason}{remedy}"));
    }
    let parked = row.counts.last().zip(row.user_bytes).map(|(&count, user)| count as f64 * user.median);
    if parked.is_some_and(|bytes| bytes < ENOUGH_BYTES) {
        let message =
            "too few were parked for what memory is counted in: pages, and the kernel's batches of pages; raise --max";
        warn("few-participants", message.to_string());
    }
    if row.counts.len() == 1 {
        warn("one-count", "only one count was reached: fixed costs of the first participant are included".to_string());
    }
    if row.disturbed_used {
        let message = format!(
            "other programs moved the kernel's memory in {} of {} repetitions, and these are in the figures: leave the machine alone, or raise --repetitions",
            row.disturbed, row.repetitions,
        );
        warn("disturbed", message);
    }
    let by_cgroup = row.kernel_bytes.filter(|_| row.kernel_source == KernelSource::Cgroup);
    if let (Some(kernel), Some(cgroup)) = (row.machine_kernel_bytes, by_cgroup) {
        // Beyond both intervals, too: a task's kernel memory is next to nothing.
        let open = half_width(kernel) + half_width(cgroup);
        let apart = (kernel.median - cgroup.median).abs();
        if apart > DISAGREEMENT * kernel.median.abs().max(cgroup.median.abs()) + open && apart > A_FEW_BYTES {
            let message = format!(
                "of kernel memory, the memory cgroup has {} and /proc/meminfo {}",
                Bytes(cgroup.median),
                Bytes(kernel.median)
            );
            warn("sources-differ", message);
        }
    }
    if let (Some(huge), Some(user)) = (row.huge_bytes, row.user_bytes) {
        if huge.median > HUGE_SHARE * user.median && huge.median > 0.0 {
            let message = format!("{} of what is resident lies in huge pages", Share(huge.median / user.median));
            warn("huge-pages", message);
        }
    }
    warnings
}

/// The kernel charges memory in batches, per CPU: of 64 pages in a cgroup, up to 125 on the machine. Participants that take
/// less than some of these cannot be distinguished from none.
const ENOUGH_BYTES: f64 = (4 << 20) as f64;
/// Bytes; negligible for any figure.
const A_FEW_BYTES: f64 = 64.0;
/// Share of huge pages above which there is a warning.
const HUGE_SHARE: f64 = 0.05;

fn half_width(estimate: Estimate) -> f64 {
    estimate.low.zip(estimate.high).map_or(0.0, |(low, high)| (high - low) / 2.0)
}

/// Returns the number that fits into so many bytes, and the limit that is lower.
pub fn held(row: &FootprintRow, bytes: f64, limits: &[(&str, u64)]) -> Option<Held> {
    let each = row.resident_bytes.filter(|resident| resident.median > 0.0)?;
    let by_memory = bytes / each.median;
    let is_thread = matches!(row.kind, Kind::Thread | Kind::Process);
    let lowest = limits.iter().filter(|_| is_thread).min_by_key(|(_, value)| *value);
    let cap = lowest.filter(|(_, value)| (*value as f64) < by_memory);
    Some(Held { by_memory, cap: cap.map(|(name, value)| (name.to_string(), *value)) })
}

/// Number of participants that fit into memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub by_memory: f64,
    /// A limit that is lower, and its value.
    pub cap: Option<(String, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::memory::{Family, Machine};

    const CGROUP: Option<u64> = Some(1 << 20);

    /// Returns levels of participants that take 10,000 bytes of user space, 16,384 of stack, 7,000 of slab, 4,096 of page
    /// tables, after a first 100 that took twice as much.
    fn levels(count: u64, cgroup: Option<u64>) -> Levels {
        let dear = count + count.min(100);
        let kernel = dear * (16_384 + 7000 + 4096);
        Levels {
            family: Family {
                pss_bytes: 2_000_000 + dear * 10_000,
                anonymous_huge_bytes: 0,
                virtual_bytes: 3_000_000 + dear * 2_000_000,
                page_table_bytes: 50_000 + dear * 4096,
            },
            machine: Machine {
                kernel_stack_bytes: 1_000_000 + dear * 16_384,
                slab_bytes: 30_000_000 + dear * 7000,
                page_table_bytes: 0,
                cgroup_kernel_bytes: cgroup.map(|fixed| fixed + kernel),
                forks: 1000 + count,
            },
            own_bytes: None,
        }
    }

    fn repetition(counts: &[u64], cgroup: Option<u64>) -> Repetition {
        let point = |&count: &u64| Point {
            count,
            parked: levels(count, cgroup),
            batch: 10,
            spawn_ns: vec![100, 300, 200, 7],
            first_run_ns: vec![200, 400, 300, 9],
        };
        let before = levels(0, cgroup);
        Repetition {
            machine_before: before.machine,
            before,
            points: counts.iter().map(point).collect(),
            join_ns: 4000,
            machine_after: before.machine,
        }
    }

    fn seen(repetitions: Vec<Repetition>) -> KindFootprints {
        let made_as = "for a test".to_string();
        let randomized = Vec::new();
        KindFootprints { kind: Kind::Thread, made_as, knee: 100, stopped: None, repetitions, randomized }
    }

    fn codes(row: &FootprintRow) -> Vec<String> {
        warnings(row).into_iter().map(|warning| warning.code).collect()
    }

    fn median_of(estimate: Option<Estimate>) -> f64 {
        estimate.unwrap().median
    }

    #[test]
    fn the_cost_is_the_slope_above_the_knee() {
        let row = row(&seen(vec![repetition(&[50, 100, 200, 1000], None); 6]));
        assert_eq!(row.fitted_counts, [100, 200, 1000]);
        assert_eq!((median_of(row.user_bytes), median_of(row.kernel_bytes)), (10_000.0, 27_480.0));
        assert_eq!((median_of(row.resident_bytes), row.kernel_source), (37_480.0, KernelSource::Meminfo));
        assert_eq!((median_of(row.spawn_ns), median_of(row.first_run_ns)), (20.0, 30.0));
        assert_eq!((median_of(row.join_ns), row.own_bytes), (4.0, None));
        assert_eq!(warnings(&row), []);
    }

    #[test]
    fn the_cgroups_account_comes_first_where_there_is_one() {
        let row = row(&seen(vec![repetition(&[100, 200], CGROUP); 6]));
        assert_eq!((median_of(row.kernel_bytes), row.kernel_source), (27_480.0, KernelSource::Cgroup));
        assert_eq!(median_of(row.machine_kernel_bytes), 27_480.0);
    }

    #[test]
    fn an_repetition_beside_other_activity_is_thrown_away() {
        let mut many = vec![repetition(&[100, 200], None); 6];
        for disturbed in &mut many[..2] {
            disturbed.points[1].parked.machine.slab_bytes += 100 << 20;
            disturbed.machine_after.slab_bytes += 100 << 20;
        }
        many[2].points[1].parked.machine.forks += 500;
        let undisturbed = row(&seen(many.clone()));
        assert_eq!((undisturbed.disturbed, undisturbed.disturbed_used), (3, false));
        assert_eq!(median_of(undisturbed.kernel_bytes), 27_480.0);
        many[3].machine_after.kernel_stack_bytes += 9 << 20;
        let row = row(&seen(many));
        assert_eq!((row.disturbed, row.disturbed_used), (4, true));
        assert!(codes(&row).contains(&"disturbed".to_string()));
    }

    #[test]
    fn one_count_has_its_fixed_costs_in_it_and_says_so() {
        let row = row(&seen(vec![repetition(&[50], None)]));
        assert_eq!(median_of(row.user_bytes), 20_000.0);
        assert_eq!(
            (row.user_bytes.unwrap().low, codes(&row)),
            (None, vec!["few-participants".to_string(), "one-count".to_string()])
        );
    }

    #[test]
    fn what_was_never_parked_has_no_figure() {
        let row = row(&seen(Vec::new()));
        assert_eq!((row.user_bytes, row.kernel_bytes, row.spawn_ns), (None, None, None));
        assert_eq!(held(&row, 1e9, &[]), None);
    }

    #[test]
    fn how_many_fit_is_capped_by_the_lowest_limit_on_threads() {
        let row = row(&seen(vec![repetition(&[100, 200], None); 6]));
        let limits = [("kernel.threads-max", 50_000), ("kernel.pid_max", 20_000)];
        let held = held(&row, 1e9, &limits).unwrap();
        assert_eq!((held.by_memory as u64, held.cap), (26_680, Some(("kernel.pid_max".to_string(), 20_000))));
        assert_eq!(super::held(&row, 1e8, &limits).unwrap().cap, None);
    }

    #[test]
    fn sources_that_disagree_are_noted() {
        let mut many = vec![repetition(&[100, 200], CGROUP); 6];
        for each in &mut many {
            each.points[1].parked.machine.cgroup_kernel_bytes = Some((1 << 20) + 300 * 40_000);
        }
        assert!(codes(&row(&seen(many))).contains(&"sources-differ".to_string()));
    }
}
