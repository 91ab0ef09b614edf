//! Selection of the samples that a workload's figures are taken from.

use crate::bench::sample::{Repetition, Sample, WorkloadSamples, speed};
use crate::estimate::median;
use crate::perf::accounting::ParticipantUsage;
use crate::perf::counting::{Counting, CountingMode, names};

/// A sample is disturbed when its wall time exceeds the participants' CPU time by this factor.
///
/// A foreign thread that runs for 5 µs does that to the usual sample of 250 µs; the undisturbed lie within 50 ns.
const DISTURBED: f64 = 1.02;
/// On one CPU the participants cannot have more CPU time than wall time. Where they seem to by more than this factor,
/// something ran between two readings at the same end.
const IMPOSSIBLE: f64 = 1.005;
/// Two adjacent clock readings differ by this much from sample to sample, ns: it shows in samples of a few ops.
const READING_NS: f64 = 100.0;
/// Across CPUs a foreign thread shows as two switches or more that pair with none of the participants'; readings at the
/// two ends may miss one.
const UNPAIRED: i64 = 3;
/// Fewer undisturbed samples than this say nothing about a repetition.
pub(super) const FEWEST_UNDISTURBED: usize = 3;
/// This many repetitions with enough undisturbed samples are used alone, however many others there are: the median of
/// three is not the odd one's.
const FEWEST_USABLE: usize = 3;

/// References that a run's samples are judged by: the core's full speed, and the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceLoop {
    /// Cost of reading the clock; 0 where it was not measured.
    clock_read_ns: u64,
    /// Time of the reference loop in the fastest samples; `None` where it was not timed.
    quickest_ns: Option<f64>,
    /// The same by earlier saved runs.
    reference_ns: Option<f64>,
}

impl ReferenceLoop {
    /// Returns full speed by these samples: all of a run's, so that one workload's slow ones show against the others.
    pub fn of<'s>(samples: impl Iterator<Item = &'s Sample>) -> ReferenceLoop {
        ReferenceLoop { clock_read_ns: 0, quickest_ns: speed::quickest_ns(samples), reference_ns: None }
    }

    /// Returns the time of the reference loop in the run's fastest samples, ns.
    pub fn quickest_ns(self) -> Option<f64> {
        self.quickest_ns
    }

    /// Returns the same, with the loop's time in earlier saved runs: a run slow from end to end cannot know it.
    pub fn with_reference(self, reference_ns: Option<f64>) -> ReferenceLoop {
        ReferenceLoop { reference_ns, ..self }
    }

    /// Returns the same, with the cost of reading the clock.
    pub fn with_clock(self, clock_read_ns: Option<u64>) -> ReferenceLoop {
        ReferenceLoop { clock_read_ns: clock_read_ns.unwrap_or_default(), ..self }
    }

    /// Returns the clock's cost as a share of a sample's time, which is not known more precisely.
    pub(super) fn resolution(self, sample: &Sample) -> f64 {
        self.clock_read_ns as f64 / sample.elapsed_ns.max(1) as f64
    }

    pub(super) fn is_slowed(self, sample: &Sample) -> bool {
        let full_speed_ns = speed::full_speed_ns(self.reference_ns, self.quickest_ns);
        full_speed_ns.is_some_and(|full_speed_ns| speed::is_slowed(sample, full_speed_ns))
    }
}

/// Returns true if so many repetitions with undisturbed samples represent all of a workload's.
pub(super) fn is_enough(usable: usize, repetitions: usize) -> bool {
    usable >= FEWEST_USABLE.min(repetitions.div_ceil(2)).max(1)
}

/// Rule by which a sample of one workload is undisturbed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge {
    reference_loop: ReferenceLoop,
    rule: Rule,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// On one CPU: one participant or the other runs all the time.
    WallIsCpuTime,
    /// Across CPUs, where participants wait: every switch of a participant to or from the idle thread is two of the
    /// CPU's, and there are no others. With the position of that counter.
    SwitchesArePaired { switches_at: usize },
    /// Across CPUs without a CPU-wide counter, no sample can be judged.
    None,
}

impl Judge {
    pub(super) fn of(samples: &WorkloadSamples, counting: &Counting, reference_loop: ReferenceLoop) -> Judge {
        let switches_at = position(counting, names::CONTEXT_SWITCHES).filter(|_| counting.mode == CountingMode::Cpu);
        let rule = match (samples.cpus.len(), switches_at) {
            (0 | 1, _) => Rule::WallIsCpuTime,
            (_, Some(switches_at)) => Rule::SwitchesArePaired { switches_at },
            _ => Rule::None,
        };
        Judge { reference_loop, rule }
    }

    /// Returns the same judge for a pass with other counters.
    fn of_pass(self) -> Judge {
        let rule = match self.rule {
            Rule::SwitchesArePaired { .. } => Rule::None,
            rule => rule,
        };
        Judge { rule, ..self }
    }

    /// Returns true if it can recognize a disturbed sample at all.
    pub(super) fn can_tell(self) -> bool {
        !matches!(self.rule, Rule::None)
    }

    /// Returns true if nothing took the participants' time: no other thread, steal, throttling or CPU below full speed.
    pub(super) fn is_undisturbed(self, sample: &Sample) -> bool {
        let undisturbed = match self.rule {
            Rule::WallIsCpuTime => {
                let (wall_ns, cpu_ns) = (sample.participants.wall_ns as f64, sample.participants.cpu_ns);
                // A sample without CPU time cannot be judged.
                cpu_ns
                    .map(|cpu_ns| cpu_ns as f64)
                    .is_none_or(|cpu_ns| wall_ns <= DISTURBED * cpu_ns && cpu_ns <= IMPOSSIBLE * wall_ns + READING_NS)
            }
            Rule::SwitchesArePaired { switches_at } => {
                let unpaired = sample.counts[switches_at]
                    .zip(sample.participants.switches())
                    .map(|(all, own)| all as i64 - 2 * own as i64);
                unpaired.is_none_or(|unpaired| unpaired.abs() <= UNPAIRED)
            }
            Rule::None => true,
        };
        undisturbed && !self.is_slowed(sample)
    }

    /// Returns true if the CPU was below full speed. Across CPUs it comes out of idle again and again, which slows it
    /// for a while: that is part of the cost.
    pub(super) fn is_slowed(self, sample: &Sample) -> bool {
        matches!(self.rule, Rule::WallIsCpuTime) && self.reference_loop.is_slowed(sample)
    }

    fn count_undisturbed(self, samples: &[Sample]) -> usize {
        samples.iter().filter(|sample| self.is_undisturbed(sample)).count()
    }
}

/// Returns the position of a counter among a sample's counts.
pub(super) fn position(counting: &Counting, name: &str) -> Option<usize> {
    counting.counters.iter().position(|counter| counter.name == name)
}

/// Samples that the figures are taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) undisturbed_only: bool,
    judge: Judge,
}

impl Chosen {
    /// Chooses the undisturbed ones, if three repetitions have enough of them, or half of fewer than six: fewer are
    /// chance. The other repetitions' samples are no help, many as they are: a burst on the host slows them all alike.
    pub(super) fn of_repetitions(repetitions: &[Repetition], judge: Judge) -> Chosen {
        let is_usable = |repetition: &&Repetition| judge.count_undisturbed(&repetition.samples) >= FEWEST_UNDISTURBED;
        let usable = repetitions.iter().filter(is_usable).count();
        Chosen { undisturbed_only: is_enough(usable, repetitions.len()), judge }
    }

    /// Returns the choice of all samples, disturbed or not.
    pub(super) fn or_all(self) -> Chosen {
        Chosen { undisturbed_only: false, ..self }
    }

    /// Returns the choice among the repetitions of another pass of the same run.
    pub(super) fn of_pass(self, repetitions: &[Repetition]) -> Chosen {
        Chosen::of_repetitions(repetitions, self.judge.of_pass())
    }

    /// Returns the chosen ones of these samples.
    pub(super) fn of(self, samples: &[Sample]) -> impl Iterator<Item = &Sample> {
        samples.iter().filter(move |sample| !self.undisturbed_only || self.judge.is_undisturbed(sample))
    }

    /// Returns the chosen ones of the timed samples.
    pub(super) fn timed(self, repetitions: &[Repetition]) -> impl Iterator<Item = &Sample> {
        repetitions.iter().flat_map(move |repetition| self.of(&repetition.samples))
    }

    /// Returns the chosen ones of the samples in which every counter counted.
    pub(super) fn counted(self, repetitions: &[Repetition]) -> impl Iterator<Item = &Sample> {
        repetitions.iter().flat_map(move |repetition| self.of(counted_samples(repetition)))
    }

    /// Returns a repetition's medians; `None` if it has too few samples to say anything.
    pub(super) fn costs(self, repetition: &Repetition) -> Option<Costs> {
        // The no-switch loop is always played on one CPU.
        let no_switch_judge = Judge { rule: Rule::WallIsCpuTime, ..self.judge };
        let is_used = |sample: &&Sample| !self.undisturbed_only || no_switch_judge.is_undisturbed(sample);
        let no_switch: Vec<&Sample> = repetition.no_switch.iter().filter(is_used).collect();
        let used: Vec<&Sample> = self.of(&repetition.samples).collect();
        if self.undisturbed_only && used.len() < FEWEST_UNDISTURBED {
            return None;
        }
        Some(Costs {
            ns_per_op: median(used.iter().map(|sample| ns_per_op(sample)).collect())?,
            cpu_ns_per_op: cpu_ns_per_op(&used),
            no_switch: median(no_switch.iter().map(|sample| ns_per_op(sample)).collect()),
            means: Means::of(&used)?,
            no_switch_means: Means::of(&no_switch),
        })
    }
}

/// One repetition's medians.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    pub(super) ns_per_op: f64,
    /// CPU time of all participants, which across CPUs is not wall time.
    pub(super) cpu_ns_per_op: Option<f64>,
    pub(super) no_switch: Option<f64>,
    /// Means for the cost per switch: time and switches of the very same samples.
    pub(super) means: Means,
    pub(super) no_switch_means: Option<Means>,
}

/// Sums over one repetition's samples, divided by their ops. Sums, since where the number of switches varies from
/// sample to sample so does the time, and the median of one goes with the median of the other by chance only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means {
    pub(super) ns_per_op: f64,
    pub(super) cpu_ns_per_op: Option<f64>,
    /// By kernel accounting of the participants.
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
            kernel_switches_per_op: per_op(samples(), |sample| sample.participants.switches()),
            own_switches_per_op: per_op(samples(), |sample| sample.own_switches),
        })
    }
}

/// Returns the median; `None` if one sample's is not known.
fn cpu_ns_per_op(samples: &[&Sample]) -> Option<f64> {
    let each = samples.iter().map(|sample| Some(ns_per_op(sample) * cpu_share(sample)?));
    each.collect::<Option<Vec<f64>>>().and_then(median)
}

/// Returns how many CPUs the participants kept busy. Its time is a little longer than the ops', by the start and the
/// end of a play, which are CPU time and no op's.
fn cpu_share(sample: &Sample) -> Option<f64> {
    let ParticipantUsage { wall_ns, cpu_ns, .. } = sample.participants;
    Some(cpu_ns? as f64 / wall_ns.max(1) as f64)
}

/// Returns the samples of a repetition in which every counter counted.
pub(super) fn counted_samples(repetition: &Repetition) -> &[Sample] {
    if repetition.counted.is_empty() { &repetition.samples } else { &repetition.counted }
}

pub(super) fn ns_per_op(sample: &Sample) -> f64 {
    sample.elapsed_ns as f64 / sample.ops as f64
}

/// Returns Σ `what` / Σ ops; `None` of no samples, and if one of them does not have it.
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
