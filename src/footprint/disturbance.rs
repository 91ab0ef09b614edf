//! Repetitions in which something else on the machine changed the kernel's memory.

use crate::footprint::samples::Repetition;
use crate::workload::kind::Kind;

/// Allowed difference between before and after, as a share of the participants' memory.
const DRIFT_SHARE: f64 = 0.05;
/// Allowed in any case, in bytes: the changes by programs of an idle machine.
const DRIFT_BYTES: u64 = 512 << 10;
/// Allowed number of processes or threads that others start meanwhile.
const FOREIGN_FORKS: u64 = 40;
/// Undisturbed repetitions that are enough.
const ENOUGH_REPETITIONS: usize = 3;

/// Repetitions of one kind, and those that the kernel's figures are taken from.
pub(super) struct Chosen<'a> {
    pub(super) all: Vec<&'a Repetition>,
    pub(super) undisturbed: Vec<&'a Repetition>,
    pub(super) disturbed: usize,
    /// True if so few were undisturbed that the disturbed ones are among them.
    pub(super) disturbed_used: bool,
}

/// Leaves the disturbed repetitions out, if enough others remain.
pub(super) fn chosen(kind: Kind, repetitions: &[Repetition]) -> Chosen<'_> {
    let all: Vec<&Repetition> = repetitions.iter().collect();
    let undisturbed: Vec<&Repetition> =
        all.iter().copied().filter(|repetition| !is_disturbed(kind, repetition)).collect();
    let disturbed = all.len() - undisturbed.len();
    let enough = undisturbed.len() >= ENOUGH_REPETITIONS.min(all.len());
    let undisturbed = if enough { undisturbed } else { all.clone() };
    Chosen { all, undisturbed, disturbed, disturbed_used: !enough && disturbed > 0 }
}

/// Returns true if something else on the machine changed the kernel's figures: they did not return to their values before, or
/// others started processes.
fn is_disturbed(kind: Kind, repetition: &Repetition) -> bool {
    let Repetition { machine_before, before, machine_after, .. } = repetition;
    let Some(last) = repetition.points.last() else { return true };
    let drift = machine_after.kernel_bytes().abs_diff(machine_before.kernel_bytes());
    let taken = last.parked.machine.kernel_bytes().saturating_sub(before.machine.kernel_bytes());
    let own = if matches!(kind, Kind::Thread | Kind::Process) { last.count } else { 0 };
    let forks = last.parked.machine.forks.saturating_sub(machine_before.forks);
    drift > DRIFT_BYTES.max((DRIFT_SHARE * taken as f64) as u64) || forks > own + FOREIGN_FORKS
}
