//! Which of a workload's samples its figures are taken from.

use crate::bench::sample::{Incarnation, Sample, WorkloadSamples, speed};
use crate::estimate::median;
use crate::perf::books::PartyUsage;
use crate::perf::counting::{Counting, CountingMode};

/// A sample is disturbed when its wall time exceeds the parties' CPU time by this factor.
///
/// A foreign thread that runs for 5 µs does that to the usual sample of 250 µs; the undisturbed lie within 50 ns.
const DISTURBED: f64 = 1.02;
/// On one CPU the parties cannot have had more CPU time than there was time. Where they seem to by more than this factor,
/// something ran between two readings at the same end.
const IMPOSSIBLE: f64 = 1.005;
/// Two readings of clocks next to each other differ by as much from sample to sample, ns: what samples of a few ops show.
const READING_NS: f64 = 100.0;
/// Across CPUs a foreign thread shows as two switches or more that pair with none of the parties'; readings at the two
/// ends may miss one.
const UNPAIRED: i64 = 3;
/// Fewer clean samples than this say nothing about an incarnation.
pub(super) const FEWEST_CLEAN: usize = 3;
/// So many incarnations with enough clean samples are priced by these alone, however many others there are: the median of
/// three is not the odd one's.
const FEWEST_USABLE: usize = 3;

/// What a run's samples are measured by: the core's full speed, and the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    /// What a reading of the clock costs; 0 where nobody measured it.
    clock_read_ns: u64,
    /// What the stretch took in the quickest samples; `None` where nobody timed it.
    quickest_ns: Option<f64>,
    /// What it takes by the runs kept before.
    reference_ns: Option<f64>,
}

impl Yardstick {
    /// Full speed as these samples know it: all of a run's, so that one workload's bad luck shows against the others.
    pub fn of<'s>(samples: impl Iterator<Item = &'s Sample>) -> Yardstick {
        Yardstick { clock_read_ns: 0, quickest_ns: speed::quickest_ns(samples), reference_ns: None }
    }

    /// What the stretch took in the run's quickest samples, ns.
    pub fn quickest_ns(self) -> Option<f64> {
        self.quickest_ns
    }

    /// The same, with what the stretch takes by the runs kept before: a run that was slow from end to end does not know it itself.
    pub fn with_reference(self, reference_ns: Option<f64>) -> Yardstick {
        Yardstick { reference_ns, ..self }
    }

    /// The same, with what a reading of the clock costs.
    pub fn with_clock(self, clock_read_ns: Option<u64>) -> Yardstick {
        Yardstick { clock_read_ns: clock_read_ns.unwrap_or_default(), ..self }
    }

    /// The share of a sample's time to which it is known at best.
    pub(super) fn resolution(self, sample: &Sample) -> f64 {
        self.clock_read_ns as f64 / sample.elapsed_ns.max(1) as f64
    }

    /// Whether the core ran slower than it can.
    pub(super) fn is_slowed(self, sample: &Sample) -> bool {
        let full_speed_ns = speed::full_speed_ns(self.reference_ns, self.quickest_ns);
        full_speed_ns.is_some_and(|full_speed_ns| speed::is_slowed(sample, full_speed_ns))
    }
}

/// Whether so many incarnations with clean samples speak for all of a workload's.
pub(super) fn is_enough(usable: usize, incarnations: usize) -> bool {
    usable >= FEWEST_USABLE.min(incarnations.div_ceil(2)).max(1)
}

/// What tells a clean sample of one workload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge {
    yardstick: Yardstick,
    rule: Rule,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// On one CPU: one party or the other runs all the time.
    WallIsCpuTime,
    /// Across CPUs, where parties wait: every switch of a party to or from the idle thread is two of the CPU's, and there
    /// are no others. With the place of that counter.
    SwitchesArePaired { switches_at: usize },
    /// Across CPUs without a CPU-wide counter nothing is known against any sample.
    None,
}

impl Judge {
    pub(super) fn of(samples: &WorkloadSamples, counting: &Counting, yardstick: Yardstick) -> Judge {
        let switches_at = position(counting, "context-switches").filter(|_| counting.mode == CountingMode::Cpu);
        let rule = match (samples.cpus.len(), switches_at) {
            (0 | 1, _) => Rule::WallIsCpuTime,
            (_, Some(switches_at)) => Rule::SwitchesArePaired { switches_at },
            _ => Rule::None,
        };
        Judge { yardstick, rule }
    }

    /// The same judge for a pass with other counters.
    fn of_pass(self) -> Judge {
        let rule = match self.rule {
            Rule::SwitchesArePaired { .. } => Rule::None,
            rule => rule,
        };
        Judge { rule, ..self }
    }

    /// Whether it can tell a disturbed sample at all.
    pub(super) fn can_tell(self) -> bool {
        !matches!(self.rule, Rule::None)
    }

    /// Whether nothing took the parties' time: no other thread, steal or throttling, and no slowed core.
    pub(super) fn is_clean(self, sample: &Sample) -> bool {
        let undisturbed = match self.rule {
            Rule::WallIsCpuTime => {
                let (wall_ns, cpu_ns) = (sample.parties.wall_ns as f64, sample.parties.cpu_ns);
                // Nothing is known against a sample without CPU time.
                cpu_ns
                    .map(|cpu_ns| cpu_ns as f64)
                    .is_none_or(|cpu_ns| wall_ns <= DISTURBED * cpu_ns && cpu_ns <= IMPOSSIBLE * wall_ns + READING_NS)
            }
            Rule::SwitchesArePaired { switches_at } => {
                let unpaired = sample.counts[switches_at]
                    .zip(sample.parties.switches())
                    .map(|(all, own)| all as i64 - 2 * own as i64);
                unpaired.is_none_or(|unpaired| unpaired.abs() <= UNPAIRED)
            }
            Rule::None => true,
        };
        undisturbed && !self.is_slowed(sample)
    }

    /// Whether the core ran slower than it can. Across CPUs it comes out of idle again and again, which slows it for a
    /// while: that belongs to the price.
    pub(super) fn is_slowed(self, sample: &Sample) -> bool {
        matches!(self.rule, Rule::WallIsCpuTime) && self.yardstick.is_slowed(sample)
    }

    /// How many of these samples are clean.
    fn count_clean(self, samples: &[Sample]) -> usize {
        samples.iter().filter(|sample| self.is_clean(sample)).count()
    }
}

/// The place of a counter among a sample's counts.
pub(super) fn position(counting: &Counting, name: &str) -> Option<usize> {
    counting.counters.iter().position(|counter| counter.name == name)
}

/// Which samples the figures are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) clean_only: bool,
    judge: Judge,
}

impl Chosen {
    /// The clean ones, if three incarnations have enough of them, or half of fewer than six; of less, what is left would be
    /// luck. The other incarnations' samples are no help, many as they are: a burst of the host's makes them dearer alike.
    pub(super) fn of_incarnations(incarnations: &[Incarnation], judge: Judge) -> Chosen {
        let is_usable = |incarnation: &&Incarnation| judge.count_clean(&incarnation.samples) >= FEWEST_CLEAN;
        let usable = incarnations.iter().filter(is_usable).count();
        Chosen { clean_only: is_enough(usable, incarnations.len()), judge }
    }

    /// All samples, clean or not.
    pub(super) fn or_all(self) -> Chosen {
        Chosen { clean_only: false, ..self }
    }

    /// The choice among the incarnations of another pass of the same run.
    pub(super) fn of_pass(self, incarnations: &[Incarnation]) -> Chosen {
        Chosen::of_incarnations(incarnations, self.judge.of_pass())
    }

    /// Those of these samples.
    pub(super) fn of(self, samples: &[Sample]) -> impl Iterator<Item = &Sample> {
        samples.iter().filter(move |sample| !self.clean_only || self.judge.is_clean(sample))
    }

    /// `None` of an incarnation with too few samples to say anything.
    pub(super) fn prices(self, incarnation: &Incarnation) -> Option<Prices> {
        // The floor is always played on one CPU.
        let floor_judge = Judge { rule: Rule::WallIsCpuTime, ..self.judge };
        let is_used = |sample: &&Sample| !self.clean_only || floor_judge.is_clean(sample);
        let floor: Vec<&Sample> = incarnation.floor.iter().filter(is_used).collect();
        let used: Vec<&Sample> = self.of(&incarnation.samples).collect();
        if self.clean_only && used.len() < FEWEST_CLEAN {
            return None;
        }
        Some(Prices {
            ns_per_op: median(used.iter().map(|sample| ns_per_op(sample)).collect())?,
            cpu_ns_per_op: cpu_ns_per_op(&used),
            floor: median(floor.iter().map(|sample| ns_per_op(sample)).collect()),
            means: Means::of(&used)?,
            floor_means: Means::of(&floor),
        })
    }
}

/// One incarnation's medians.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    pub(super) ns_per_op: f64,
    /// CPU time of all parties, which across CPUs is not wall time.
    pub(super) cpu_ns_per_op: Option<f64>,
    pub(super) floor: Option<f64>,
    /// What a price per switch is made of: time and switches of the very same samples.
    pub(super) means: Means,
    pub(super) floor_means: Option<Means>,
}

/// Sums over one incarnation's samples, divided by their ops. Sums, since where the number of switches varies from sample to
/// sample so does the time, and the median of one goes with the median of the other by chance only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means {
    pub(super) ns_per_op: f64,
    pub(super) cpu_ns_per_op: Option<f64>,
    /// By the kernel's books on the parties.
    pub(super) kernel_switches_per_op: Option<f64>,
    /// By the workload.
    pub(super) own_switches_per_op: Option<f64>,
}

impl Means {
    fn of(samples: &[&Sample]) -> Option<Means> {
        let samples = || samples.iter().copied();
        let ops = samples().map(|sample| sample.ops).sum::<u64>() as f64;
        let cpu_ns = samples().map(|sample| Some(sample.elapsed_ns as f64 * cpu_share(sample)?)).sum::<Option<f64>>();
        Some(Means {
            ns_per_op: per_op(samples(), |sample| Some(sample.elapsed_ns))?,
            cpu_ns_per_op: cpu_ns.map(|cpu_ns| cpu_ns / ops),
            kernel_switches_per_op: per_op(samples(), |sample| sample.parties.switches()),
            own_switches_per_op: per_op(samples(), |sample| sample.own_switches),
        })
    }
}

/// The median; `None` as soon as one sample's is not known.
fn cpu_ns_per_op(samples: &[&Sample]) -> Option<f64> {
    let each = samples.iter().map(|sample| Some(ns_per_op(sample) * cpu_share(sample)?));
    each.collect::<Option<Vec<f64>>>().and_then(median)
}

/// How many CPUs the parties kept busy. Its time is a little longer than the ops', by what it takes to begin and end a play, which
/// is CPU time and no op's.
fn cpu_share(sample: &Sample) -> Option<f64> {
    let PartyUsage { wall_ns, cpu_ns, .. } = sample.parties;
    Some(cpu_ns? as f64 / wall_ns.max(1) as f64)
}

/// The samples of an incarnation in which every counter counted.
pub(super) fn counted_samples(incarnation: &Incarnation) -> &[Sample] {
    if incarnation.counted.is_empty() { &incarnation.samples } else { &incarnation.counted }
}

pub(super) fn ns_per_op(sample: &Sample) -> f64 {
    sample.elapsed_ns as f64 / sample.ops as f64
}

/// Σ what / Σ ops; `None` of no samples, and as soon as one of them does not have it.
pub(super) fn per_op<'s>(
    samples: impl Iterator<Item = &'s Sample>,
    what: impl Fn(&Sample) -> Option<u64>,
) -> Option<f64> {
    let (mut sum, mut ops) = (0, 0);
    for sample in samples {
        sum += what(sample)?;
        ops += sample.ops;
    }
    (ops > 0).then(|| sum as f64 / ops as f64)
}
