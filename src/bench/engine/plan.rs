//! The plan of a run, fixed before it begins.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::engine::injected_slowdown::InjectedSlowdown;
use crate::bench::left_out::LeftOut;
use crate::host::ceilings::{self, Needs};
use crate::host::placement::Placement;
use crate::sys::policy::Policy;
use crate::sys::unavailable::Unavailable;
use crate::workload::session::{Session, Setting};
use crate::workload::{ONE_HOP, Prepare, Ring, WORKLOADS, Workload};

/// A measurement, fixed beforehand: it never goes on until an interval looks tight.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In the order of the report.
    pub entries: Vec<Entry>,
    /// Workloads that were asked for and cannot be measured on this host.
    pub left_out: Vec<LeftOut>,
    pub repetitions: u32,
    pub effort: Effort,
    /// Instead of the calibrated number.
    pub ops_per_sample: Option<u64>,
    /// True if ops are also timed one by one, after each repetition's samples and for as long.
    pub latency: bool,
    /// The participants' scheduling policy and nice value; `None` as inherited.
    pub policy: Option<Policy>,
    pub nice: Option<i32>,
    /// True if every switch is recorded, in a pass of its own.
    pub record: bool,
    /// Time of the reference loop at full speed by earlier saved runs, ns.
    pub reference_ns: Option<f64>,
    /// Longest wait for the core to reach that.
    pub patience: Duration,
    /// True if repetitions of a slow CPU are played once more; false in tests, whose CPU may be slow.
    pub repeat_slowed: bool,
    /// Seed of the order of the rounds and of the places in memory.
    pub seed: u32,
    /// For tests.
    pub injected_slowdown: Option<InjectedSlowdown>,
}

impl Plan {
    /// Returns a plan that measures costs and nothing else, with policy and nice value inherited.
    pub fn of_costs(entries: Vec<Entry>, left_out: Vec<LeftOut>, repetitions: u32, effort: Effort) -> Plan {
        Plan {
            entries,
            left_out,
            repetitions,
            effort,
            ops_per_sample: None,
            latency: false,
            policy: None,
            nice: None,
            record: false,
            reference_ns: None,
            patience: Duration::ZERO,
            repeat_slowed: true,
            seed: fastrand::u32(..),
            injected_slowdown: None,
        }
    }
}

/// A workload at a placement: one row.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub workload: &'static Workload,
    pub placement: Placement,
    /// All entries of a plan have the same leader CPU.
    pub setting: Setting,
}

impl Entry {
    /// Spawns its participants.
    ///
    /// # Errors
    /// A limit of this system is reached, or the workload is no ring.
    pub(super) fn prepare(&self) -> Result<Box<dyn Session>> {
        match self.setting.ring {
            None => (self.workload.prepare)(&self.setting),
            Some(shape) => (self.ring()?.prepare)(&self.setting, shape),
        }
    }

    /// Prepares its no-switch loop; `None` if it has none.
    ///
    /// # Errors
    /// As [`Entry::prepare`].
    pub(super) fn prepare_no_switch(&self) -> Result<Option<Box<dyn Session>>> {
        match self.setting.ring {
            None => self.workload.no_switch.as_ref().map(|no_switch| (no_switch.prepare)(&self.setting)).transpose(),
            Some(shape) => (self.ring()?.no_switch)(shape).map(Some),
        }
    }

    /// Returns what places its participants' memory elsewhere each time; `None` where that is not measured.
    pub(super) fn elsewhere(&self) -> Option<Prepare> {
        self.workload.elsewhere.filter(|_| self.setting.ring.is_none())
    }

    /// Returns the description of one op, and how many switches it is expected to have.
    pub(super) fn op(&self) -> (&'static str, Option<f64>) {
        match self.setting.ring {
            None => (self.workload.op, self.workload.expected_switches_per_op),
            Some(_) => (ONE_HOP, Some(1.0)),
        }
    }

    /// Returns the entry as one that is not measured, with the reason.
    pub fn left_out(&self, reason: String, remedy: Option<String>) -> LeftOut {
        let workload = self.workload.name.to_string();
        LeftOut { workload, placement: self.placement, ring: self.setting.ring, why: Unavailable { reason, remedy } }
    }

    fn ring(&self) -> Result<&'static Ring> {
        self.workload.ring.as_ref().with_context(|| format!("{} is no ring", self.workload.name))
    }

    /// Returns why there cannot be so many participants on this host, and what would help; `None` if there can.
    fn too_large(&self, root: &Path) -> Option<Unavailable> {
        let shape = self.setting.ring?;
        let needs = self.workload.ring.as_ref()?.needs;
        let needs = Needs {
            threads: needs.threads.into(),
            files: needs.files.into(),
            mappings: needs.mappings.into(),
            bytes: f64::from(needs.bytes) + shape.working_set_bytes as f64,
            ..Needs::default()
        };
        let (most, ceiling) = ceilings::most(shape.participants, needs, root);
        let ceiling = ceiling?;
        let instead = match most {
            0 | 1 => "there is no room for two".to_string(),
            most => format!("there is room for {most}"),
        };
        let reason = format!("{instead}: {}", ceiling.state());
        Some(Unavailable { reason, remedy: Some(ceiling.remedy) })
    }
}

/// Moves the rings that are larger than this system's limits allow to `left_out`, with that limit.
pub fn leave_out_too_large(entries: &mut Vec<Entry>, left_out: &mut Vec<LeftOut>, root: &Path) {
    entries.retain(|entry| {
        let too_large = entry.too_large(root);
        left_out.extend(too_large.iter().map(|why| entry.left_out(why.reason.clone(), why.remedy.clone())));
        too_large.is_none()
    });
}

/// Returns these workloads at each of these places where they can be measured, and why the others cannot.
pub fn lay_out(workloads: &[&'static Workload], places: &[(Placement, Setting)]) -> (Vec<Entry>, Vec<LeftOut>) {
    let (mut entries, mut left_out) = (Vec::new(), Vec::new());
    // A workload measured on one CPU, of several placements asked for, is not missed at the others.
    let somewhere_on_one_cpu = places.iter().any(|(_, setting)| !setting.is_apart());
    for &(placement, setting) in places {
        for &workload in workloads {
            let entry = Entry { workload, placement, setting };
            let mut leave_out = |reason: String, remedy| left_out.push(entry.left_out(reason, remedy));
            match (workload.available)() {
                Err(_) if placement != places[0].0 => {}
                Err(missing) => leave_out(missing.reason, missing.remedy),
                Ok(()) if setting.ring.is_some() && workload.ring.is_none() => {
                    let known = WORKLOADS.iter().filter(|workload| workload.ring.is_some());
                    let known: Vec<&str> = known.map(|workload| workload.name).collect();
                    leave_out(format!("it is no ring; those that can be are {}", known.join(", ")), None);
                }
                Ok(()) if workload.apart || !setting.is_apart() => entries.push(entry),
                Ok(()) if somewhere_on_one_cpu => {}
                Ok(()) => leave_out("all of it runs on one CPU".to_string(), None),
            }
        }
    }
    (entries, left_out)
}

/// Time and samples after which a repetition has taken enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Time for a workload, counting and no-switch loop included, over all its repetitions.
    pub time: Option<Duration>,
    /// Samples per repetition that time is taken from; of the others, fewer by their shares.
    pub samples: Option<u32>,
}

/// A count is the same in every sample.
const COUNTED_SHARE: f64 = 0.1;
/// The no-switch loop is one loop in one thread, and steadier than what it is subtracted from.
const NO_SWITCH_SHARE: f64 = 0.2;
/// However short the budget: a median needs some.
const FEWEST_SAMPLES: u32 = 5;
/// However short the budget: of so many ops over all repetitions ten are beyond the percentile 99.9.
const FEWEST_LATENCY_OPS: u64 = 10_000;
/// However long the budget, unless a number was asked for: more add nothing about a repetition, and all are stored.
const MOST_SAMPLES: u32 = 5_000;

impl Effort {
    /// Returns the part of one repetition's timed samples, of `repetitions`.
    pub(super) fn of_samples(self, repetitions: u32) -> Quota {
        self.quota(repetitions, 1.0 - COUNTED_SHARE - NO_SWITCH_SHARE, self.samples)
    }

    /// Returns as much again, for ops that are timed one by one.
    pub(super) fn of_latency(self, repetitions: u32) -> Quota {
        Quota { fewest_ops: FEWEST_LATENCY_OPS.div_ceil(u64::from(repetitions)), ..self.of_samples(repetitions) }
    }

    /// Returns the part of one repetition's samples in which switches are counted on demand.
    pub(super) fn of_counted(self, repetitions: u32) -> Quota {
        self.quota(repetitions, COUNTED_SHARE, self.fewer(COUNTED_SHARE))
    }

    /// Returns the part of one repetition's no-switch loop.
    pub(super) fn of_no_switch(self, repetitions: u32) -> Quota {
        self.quota(repetitions, NO_SWITCH_SHARE, self.fewer(NO_SWITCH_SHARE))
    }

    /// Returns the quota of a pass that counts work, not cost: so many samples of each repetition, no fewer.
    pub(super) fn of_pass(samples: u32) -> Quota {
        Quota { nanoseconds: None, samples: Some(samples), fewest: samples, fewest_ops: 0 }
    }

    /// Returns the time by which these workloads should long have finished, whatever the number of repetitions: each
    /// has a least effort, so that very many of them take longer than their shares of the budget.
    pub(super) fn deadline<'e>(self, entries: impl Iterator<Item = &'e Entry>) -> Option<Duration> {
        const PATIENCE: u32 = 3;
        /// Spawning its participants takes most of the time of a large ring.
        const PATIENCE_WITH_RING: u32 = 20;
        let patience = |entry: &Entry| if entry.setting.ring.is_some() { PATIENCE_WITH_RING } else { PATIENCE };
        self.time.map(|time| time * entries.map(patience).sum::<u32>())
    }

    fn fewer(self, share: f64) -> Option<u32> {
        self.samples.map(|samples| ((f64::from(samples) * share) as u32).max(FEWEST_SAMPLES))
    }

    fn quota(self, repetitions: u32, share: f64, samples: Option<u32>) -> Quota {
        let nanoseconds = self.time.map(|time| (time.as_nanos() as f64 * share / f64::from(repetitions)) as u64);
        let fewest = samples.map_or(FEWEST_SAMPLES, |samples| samples.min(FEWEST_SAMPLES));
        Quota { nanoseconds, samples, fewest, fewest_ops: 0 }
    }
}

/// Amount of something that one repetition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    nanoseconds: Option<u64>,
    samples: Option<u32>,
    fewest: u32,
    /// In all of those samples.
    fewest_ops: u64,
}

impl Quota {
    /// Returns the same for samples of this many ops.
    pub(super) fn of_ops(self, ops_per_sample: u64) -> Quota {
        let samples = self.fewest_ops.div_ceil(ops_per_sample.max(1)).min(MOST_SAMPLES.into()) as u32;
        Quota { fewest: self.fewest.max(samples), ..self }
    }

    /// Returns two quotas that add up to this one.
    pub(super) fn halves(self) -> [Quota; 2] {
        let half = |all: u32| [all - all / 2, all / 2];
        let (samples, fewest) = (self.samples.map(half), half(self.fewest));
        [0, 1].map(|which| Quota {
            nanoseconds: self.nanoseconds.map(|nanoseconds| nanoseconds / 2),
            samples: samples.map(|samples| samples[which]),
            fewest: fewest[which],
            fewest_ops: self.fewest_ops.div_ceil(2),
        })
    }

    pub(super) fn is_met(self, taken: usize, elapsed_ns: u64) -> bool {
        let full = taken >= self.samples.unwrap_or(MOST_SAMPLES) as usize;
        let late = self.nanoseconds.is_some_and(|nanoseconds| elapsed_ns >= nanoseconds);
        full || (late && taken >= self.fewest as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(milliseconds: Option<u64>, samples: Option<u32>) -> Effort {
        Effort { time: milliseconds.map(Duration::from_millis), samples }
    }

    #[test]
    fn a_budget_is_shared_between_repetitions_and_their_parts() {
        let effort = effort(Some(1000), None);
        let (samples, counted, no_switch) = (effort.of_samples(10), effort.of_counted(10), effort.of_no_switch(10));
        assert!(!counted.is_met(1000, 9_000_000) && counted.is_met(1000, 10_000_000));
        assert!(!samples.is_met(1000, 69_000_000) && samples.is_met(1000, 70_000_001));
        assert!(!no_switch.is_met(1000, 19_000_000) && no_switch.is_met(1000, 20_000_000));
    }

    #[test]
    fn two_halves_are_the_whole() {
        let [first, second] = effort(Some(1000), Some(35)).of_no_switch(10).halves();
        assert!(
            !first.is_met(3, 0) && first.is_met(4, 0) && first.is_met(3, 10_000_000) && !first.is_met(2, 10_000_000)
        );
        assert!(!second.is_met(2, 9_000_000) && second.is_met(3, 0) && second.is_met(2, 10_000_000));
        let [first, second] = effort(None, Some(1)).of_no_switch(10).halves();
        assert!(first.is_met(3, 0) && second.is_met(2, 0) && !second.is_met(1, u64::MAX));
    }

    #[test]
    fn a_long_budget_does_not_fill_the_memory() {
        let quota = effort(Some(3_600_000), None).of_samples(10);
        assert!(!quota.is_met(4_999, 0) && quota.is_met(5_000, 0));
    }

    #[test]
    fn a_short_budget_still_takes_a_few_samples() {
        let quota = effort(Some(1), None).of_samples(10);
        assert!(!quota.is_met(4, 1_000_000_000));
        assert!(quota.is_met(5, 1_000_000_000));
    }

    #[test]
    fn ops_are_timed_one_by_one_until_there_are_enough_for_the_tail() {
        let quota = effort(Some(1000), None).of_latency(10).of_ops(12);
        assert!(!quota.is_met(83, 1_000_000_000) && quota.is_met(84, 1_000_000_000));
        assert!(!quota.is_met(84, 69_000_000), "the time is used all the same");
        let asked_for = effort(None, Some(20)).of_latency(10).of_ops(12);
        assert!(!asked_for.is_met(19, u64::MAX) && asked_for.is_met(20, 0));
        assert!(effort(Some(1), None).of_latency(10).of_ops(10_000).is_met(5, u64::MAX));
    }

    #[test]
    fn a_number_of_samples_is_kept_without_a_budget_and_capped_by_one() {
        let quota = effort(None, Some(100)).of_samples(10);
        assert!(!quota.is_met(99, u64::MAX) && quota.is_met(100, 0));
        let quota = effort(Some(1000), Some(100)).of_samples(10);
        assert!(quota.is_met(100, 0) && quota.is_met(50, 80_000_000));
        let one = effort(None, Some(1));
        assert!(one.of_samples(10).is_met(1, 0));
        assert!(!one.of_no_switch(10).is_met(4, 0) && one.of_no_switch(10).is_met(5, 0));
    }
}
