//! What one more party takes: slopes over counts, one per incarnation, and an interval over these.

use serde::{Deserialize, Serialize};

use crate::sample::Kind;
use crate::sample::footprint::{KindFootprints, Machine, Point, Stopped};
use crate::summary::estimate::{Confidence, Estimate, median};
use crate::summary::slope::slope;
use crate::summary::warning::Warning;
use crate::unit::{Bytes, Share};

/// One kind of party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FootprintRow {
    pub kind: Kind,
    pub made_as: String,
    /// Bytes per party; null where nothing was measured.
    pub user_bytes: Option<Estimate>,
    pub kernel_bytes: Option<Estimate>,
    pub kernel_stack_bytes: Option<Estimate>,
    pub slab_bytes: Option<Estimate>,
    pub page_table_bytes: Option<Estimate>,
    /// User and kernel.
    pub resident_bytes: Option<Estimate>,
    pub virtual_bytes: Option<Estimate>,
    /// By the memory cgroup, where there is one.
    pub cgroup_kernel_bytes: Option<Estimate>,
    /// By the parties' own runtime, where it keeps books.
    pub own_bytes: Option<Estimate>,
    /// Of what is resident, what lies in huge pages.
    pub huge_bytes: Option<Estimate>,
    pub creation_ns: Option<Estimate>,
    pub first_run_ns: Option<Estimate>,
    pub end_ns: Option<Estimate>,
    /// Rising; without those that were never reached.
    pub counts: Vec<u64>,
    /// Those that the slope is over.
    pub fitted_counts: Vec<u64>,
    pub incarnations: usize,
    pub interval_confidence: Option<f64>,
    /// Points whose kernel figures were thrown away, because something else on the machine moved them.
    pub disturbed: usize,
    /// Whether so many were disturbed that they are in the figures all the same.
    pub disturbed_used: bool,
    pub stopped: Option<Stopped>,
}

/// Of what the parties take, so much may differ between before and after.
const DRIFT_SHARE: f64 = 0.05;
/// And so much in any case, bytes: what an idle machine's own programs move.
const DRIFT_BYTES: u64 = 512 << 10;
/// So many processes or threads may others make meanwhile.
const FOREIGN_FORKS: u64 = 40;
/// From so many incarnations on, those left are enough.
const ENOUGH_INCARNATIONS: usize = 3;

/// Works one kind out.
pub fn row(seen: &KindFootprints) -> FootprintRow {
    let all = Fit::of(seen, |_| true);
    let clean = Fit::of(seen, |point| !is_disturbed(seen.kind, point));
    let disturbed = seen.points.iter().filter(|point| is_disturbed(seen.kind, point)).count();
    let slopes = |fit: &Fit| fit.incarnations.iter().filter(|points| points.len() > 1).count();
    let enough = slopes(&clean) >= ENOUGH_INCARNATIONS.min(slopes(&all).max(1));
    let kernel = if enough { &clean } else { &all };
    let grown = |of: fn(&Point) -> [u64; 2]| move |point: &Point| growth(of(point));
    let stack = grown(|point| [point.before.machine.kernel_stack_bytes, point.parked.machine.kernel_stack_bytes]);
    let slab = grown(|point| [point.before.machine.slab_bytes, point.parked.machine.slab_bytes]);
    let tables = grown(|point| [point.before.family.page_table_bytes, point.parked.family.page_table_bytes]);
    let user = grown(|point| [point.before.family.pss_bytes, point.parked.family.pss_bytes]);
    let cgroup = |point: &Point| Some(growth([point.before.cgroup_kernel_bytes?, point.parked.cgroup_kernel_bytes?]));
    let of_all = |quantity: &dyn Fn(&Point) -> f64| all.estimate(|point| Some(quantity(point)));
    let of_kernel = |quantity: &dyn Fn(&Point) -> f64| kernel.estimate(|point| Some(quantity(point)));
    FootprintRow {
        kind: seen.kind,
        made_as: seen.made_as.clone(),
        user_bytes: of_all(&user),
        kernel_bytes: of_kernel(&|point| stack(point) + slab(point) + tables(point)),
        kernel_stack_bytes: of_kernel(&stack),
        slab_bytes: of_kernel(&slab),
        page_table_bytes: of_all(&tables),
        resident_bytes: of_kernel(&|point| user(point) + stack(point) + slab(point) + tables(point)),
        virtual_bytes: of_all(&grown(|point| [point.before.family.virtual_bytes, point.parked.family.virtual_bytes])),
        cgroup_kernel_bytes: kernel.estimate(cgroup),
        own_bytes: all.estimate(|point| point.own_bytes.map(growth)),
        huge_bytes: of_all(&grown(|point| {
            [point.before.family.anonymous_huge_bytes, point.parked.family.anonymous_huge_bytes]
        })),
        creation_ns: all.time(|point| per_party(&point.creation_ns, point.batch)),
        first_run_ns: all.time(|point| per_party(&point.first_run_ns, point.batch)),
        end_ns: all.time(|point| Some(point.end_ns as f64 / point.count as f64)),
        counts: counts(&seen.points),
        fitted_counts: all.counts.clone(),
        incarnations: all.incarnations.len(),
        interval_confidence: Confidence::of(all.incarnations.len()).map(|confidence| confidence.level),
        disturbed,
        disturbed_used: !enough && disturbed > 0,
        stopped: seen.stopped.clone(),
    }
}

/// Points by incarnation, those above the knee where there are such.
struct Fit<'a> {
    incarnations: Vec<Vec<&'a Point>>,
    counts: Vec<u64>,
}

impl<'a> Fit<'a> {
    fn of(seen: &'a KindFootprints, wanted: impl Fn(&Point) -> bool) -> Fit<'a> {
        let above: Vec<u64> = counts(&seen.points).into_iter().filter(|&count| count >= seen.knee).collect();
        let counts = if above.len() > 1 { above } else { counts(&seen.points) };
        let mut incarnations: Vec<Vec<&Point>> = Vec::new();
        for point in seen.points.iter().filter(|point| counts.contains(&point.count) && wanted(point)) {
            match incarnations.last_mut().filter(|points| points[0].incarnation == point.incarnation) {
                Some(points) => points.push(point),
                None => incarnations.push(vec![point]),
            }
        }
        Fit { incarnations, counts }
    }

    /// What one more party has of a quantity. Where only one count was reached, what each of those has, fixed costs
    /// and all.
    fn estimate(&self, quantity: impl Fn(&Point) -> Option<f64>) -> Option<Estimate> {
        let at = |point: &&Point| Some((point.count as f64, quantity(point)?));
        let line = |points: &Vec<&Point>| points.iter().map(at).collect::<Option<Vec<_>>>();
        let lines: Vec<_> = self.incarnations.iter().filter_map(line).collect();
        if self.counts.len() > 1 {
            return Estimate::over(lines.iter().filter_map(|points| slope(points)));
        }
        Estimate::over(lines.iter().flatten().map(|(count, value)| value / count))
    }

    /// A time per party, of the highest counts.
    fn time(&self, time: impl Fn(&Point) -> Option<f64>) -> Option<Estimate> {
        let highest =
            |points: &Vec<&Point>| points.iter().max_by_key(|point| point.count).and_then(|point| time(point));
        Estimate::over(self.incarnations.iter().filter_map(highest))
    }
}

fn counts(points: &[Point]) -> Vec<u64> {
    let mut counts: Vec<u64> = points.iter().map(|point| point.count).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

fn growth([before, parked]: [u64; 2]) -> f64 {
    parked as f64 - before as f64
}

/// The median of the whole batches' times, per party.
fn per_party(batches: &[u64], batch: u64) -> Option<f64> {
    let whole = if batches.len() > 1 { &batches[..batches.len() - 1] } else { batches };
    Some(median(whole.iter().map(|&ns| ns as f64).collect())? / batch as f64)
}

/// Whether something else on the machine moved the kernel's figures: they did not come back to where they were, or others
/// made processes.
fn is_disturbed(kind: Kind, point: &Point) -> bool {
    let Some(after) = point.machine_after else { return true };
    let kernel = |machine: &Machine| machine.kernel_stack_bytes + machine.slab_bytes;
    let drift = kernel(&after).abs_diff(kernel(&point.machine_before));
    let taken = kernel(&point.parked.machine).saturating_sub(kernel(&point.before.machine));
    let own = if matches!(kind, Kind::Thread | Kind::Process) { point.count } else { 0 };
    let forks = point.parked.machine.forks.saturating_sub(point.machine_before.forks);
    drift > DRIFT_BYTES.max((DRIFT_SHARE * taken as f64) as u64) || forks > own + FOREIGN_FORKS
}

/// Two sources that differ by more than this share disagree.
const DISAGREEMENT: f64 = 0.15;

/// What to know about one row.
pub fn warnings(row: &FootprintRow) -> Vec<Warning> {
    let name = row.kind.name();
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning::new(code, format!("{name}: {message}")));
    if let Some(Stopped { reason, remedy, asked, reached, .. }) = &row.stopped {
        let remedy = remedy.as_ref().map_or(String::new(), |remedy| format!("; to raise it: {remedy}"));
        warn("limited", format!("no more than {reached} of {asked}: {reason}{remedy}"));
    }
    if row.counts.len() == 1 {
        warn("one-count", "only one count was reached: what the first party needs is in its price".to_string());
    }
    if row.disturbed_used {
        let message = format!(
            "other programs moved the kernel's memory in {} of {} samples, and these are in the figures: leave the machine alone, or raise --incarnations",
            row.disturbed,
            row.incarnations * row.counts.len(),
        );
        warn("disturbed", message);
    }
    if let (Some(kernel), Some(cgroup)) = (row.kernel_bytes, row.cgroup_kernel_bytes) {
        // Of what both leave open, too: a task's kernel memory is next to nothing.
        let open = half_width(kernel) + half_width(cgroup);
        let apart = (kernel.median - cgroup.median).abs();
        if apart > DISAGREEMENT * kernel.median.abs().max(cgroup.median.abs()) + open && apart > A_FEW_BYTES {
            let message = format!(
                "of kernel memory, the memory cgroup has {} and the machine's own books {}",
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

/// Of no consequence for any price.
const A_FEW_BYTES: f64 = 64.0;
/// Above this share of huge pages a reader should know.
const HUGE_SHARE: f64 = 0.05;

fn half_width(estimate: Estimate) -> f64 {
    estimate.low.zip(estimate.high).map_or(0.0, |(low, high)| (high - low) / 2.0)
}

/// How many of these so many bytes hold, and the limit that is in the way of more.
pub fn held(row: &FootprintRow, bytes: f64, limits: &[(&str, u64)]) -> Option<Held> {
    let each = row.resident_bytes.filter(|resident| resident.median > 0.0)?;
    let by_memory = bytes / each.median;
    let is_thread = matches!(row.kind, Kind::Thread | Kind::Process);
    let lowest = limits.iter().filter(|_| is_thread).min_by_key(|(_, value)| *value);
    let cap = lowest.filter(|(_, value)| (*value as f64) < by_memory);
    Some(Held { by_memory, cap: cap.map(|(name, value)| (name.to_string(), *value)) })
}

/// How many parties a stretch of memory holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub by_memory: f64,
    /// A limit that is lower, and its value.
    pub cap: Option<(String, u64)>,
}
