//! Rows from made-up samples.

use crate::bench::figures::chosen::ReferenceLoop;
use crate::bench::figures::counters::running_ratio;
use crate::bench::figures::result::{CountSource, KernelSwitches, RunResult, SwitchesRange};
use crate::bench::figures::row::{self, Row};
use crate::bench::figures::verdict::ratio;
use crate::bench::sample::{PassSamples, Repetition, Sample, WorkloadSamples};
use crate::estimate::Estimate;
use crate::host::placement::Placement;
use crate::perf::accounting::ParticipantUsage;
use crate::perf::counting::{CounterInfo, CounterTimes, Counting, CountingMode, PROBE};
use crate::workload::kind::{Kind, SwitchSource};

pub(super) const OPS: u64 = 50;

/// Computes a workload's row as the only one of its run.
pub(super) fn summarize(samples: &WorkloadSamples, counting: &Counting) -> Row {
    let reference_loop = ReferenceLoop::of(samples.repetitions.iter().flat_map(|repetition| &repetition.samples));
    row::summarize(samples, counting, reference_loop)
}

/// A sample of this time per op, undisturbed, of participants that switch twice an op.
pub(super) fn sample(ns_per_op: u64) -> Sample {
    let elapsed_ns = ns_per_op * OPS;
    let participants =
        ParticipantUsage { wall_ns: elapsed_ns, voluntary: Some(60), involuntary: Some(40), cpu_ns: Some(elapsed_ns) };
    Sample {
        started_at_ns: 0,
        ops: OPS,
        elapsed_ns,
        own_switches: None,
        participants,
        reference_loop_ns: 1500,
        counts: vec![None, Some(elapsed_ns * 2)],
    }
}

/// The same with a neighbour's time slice in it.
fn disturbed(ns_per_op: u64) -> Sample {
    let mut sample = sample(ns_per_op);
    sample.elapsed_ns += 3_000_000;
    sample.participants.wall_ns += 3_000_000;
    sample
}

fn counted(foreign: u64) -> Sample {
    let mut sample = sample(1100);
    sample.counts[0] = Some(2 * OPS + foreign);
    sample
}

pub(super) fn repetition(samples: Vec<Sample>, no_switch: u64) -> Repetition {
    Repetition {
        samples,
        counted: vec![counted(0), counted(2), counted(0)],
        no_switch: vec![sample(no_switch); 3],
        times: vec![CounterTimes::default(), CounterTimes { enabled_ns: 1000, running_ns: 500 }],
        ..Repetition::default()
    }
}

pub(super) fn counting(mode: CountingMode) -> Counting {
    let counters = ["context-switches", "cycles"].map(|name| CounterInfo { name: name.to_string(), scope: mode });
    Counting { counters: counters.to_vec(), ..Counting::without_counters(mode) }
}

#[test]
fn costs_are_medians_of_undisturbed_samples_over_repetitions() {
    let of = |cost| repetition(vec![sample(cost - 10), sample(cost), disturbed(cost), sample(cost + 10)], 200);
    let row = summarize(&WorkloadSamples::made_up(vec![of(1000), of(1010), of(1020)]), &counting(CountingMode::Cpu));
    assert_eq!(row.result.ns_per_op, Some(Estimate { median: 1010.0, low: Some(1000.0), high: Some(1020.0) }));
    assert_eq!(row.result.ns_per_switch.unwrap().median, 505.0);
    assert_eq!(row.result.no_switch_ns_per_op.unwrap().median, 200.0);
    assert_eq!(row.result.net_ns_per_switch.unwrap().median, 405.0);
    assert_eq!((row.result.samples.taken, row.result.samples.undisturbed, row.undisturbed_only), (12, 9, true));
    assert!(row.result.mean_ns_per_op.unwrap() > 15_000.0, "the mean has the disturbed samples in it");
}

#[test]
fn the_lowest_and_the_highest_count_of_a_sample_are_told() {
    let mut several_ways = sample(1000);
    several_ways.participants.voluntary = Some(160);
    let row = summarize(
        &WorkloadSamples::made_up(vec![repetition(vec![sample(1000), several_ways, sample(1000)], 200)]),
        &counting(CountingMode::Cpu),
    );
    assert_eq!(row.result.switches_per_op_range, Some(SwitchesRange { lowest: 2.0, highest: 4.0 }));
}

#[test]
fn switches_are_those_of_the_accounting_and_perfs_count_is_beside_them() {
    let row = summarize(
        &WorkloadSamples::made_up(vec![repetition(vec![sample(1000); 4], 200); 3]),
        &counting(CountingMode::Cpu),
    );
    let result = &row.result;
    assert_eq!((result.switches_per_op, result.expected_switches_per_op), (Some(2.0), Some(2.0)));
    assert_eq!(result.switches_source, CountSource::Kernel);
    assert_eq!(result.switches_per_op_interval, Some(Estimate { median: 2.0, low: Some(2.0), high: Some(2.0) }));
    assert_eq!(result.switches_per_op_range, Some(SwitchesRange { lowest: 2.0, highest: 2.0 }));
    let audit = row.result.audit.unwrap();
    assert_eq!(
        (audit.accounting_per_op, audit.perf_by_accounting),
        (2.0, 1.0),
        "a neighbour's are in one sample of three"
    );
    assert_eq!(row.result.kernel_switches, Some(KernelSwitches { voluntary: 1.2, involuntary: 0.8 }));
    assert_eq!((row.result.samples.foreign_switches, row.fewest_foreign_switches), (Some(6), Some(0)));
    assert_eq!(row.result.samples.counted, 9);
}

#[test]
fn time_and_switches_of_a_cost_are_of_the_same_samples() {
    // Samples whose ops make three switches take longer, and in the counted ones there are more of them.
    let of_three = || {
        let mut sample = sample(1400);
        (sample.participants.voluntary, sample.participants.involuntary) = (Some(90), Some(60));
        sample
    };
    let mut of = repetition(vec![sample(1000), sample(1000), of_three(), of_three()], 200);
    of.counted = vec![Sample { counts: vec![Some(150), None], ..of_three() }; 3];
    let row = summarize(&WorkloadSamples::made_up(vec![of; 3]), &counting(CountingMode::Cpu));
    assert_eq!((row.result.ns_per_op.unwrap().median, row.result.switches_per_op), (1200.0, Some(2.5)));
    assert_eq!(row.result.ns_per_switch.unwrap().median, 2400.0 / 5.0);
    assert_eq!(row.result.net_ns_per_switch.unwrap().median, 400.0);
    assert_eq!((row.result.audit.unwrap().accounting_per_op, row.result.audit.unwrap().perf_by_accounting), (3.0, 1.0));
}

#[test]
fn each_repetition_has_the_cost_of_its_own_switches() {
    let of = |switches: u64, cost: u64| {
        let mut sample = sample(cost);
        (sample.participants.voluntary, sample.participants.involuntary) = (Some(switches * OPS), Some(0));
        repetition(vec![sample; 4], 0)
    };
    // Twice as many switches in twice the time are one cost.
    let row = summarize(
        &WorkloadSamples::made_up(vec![of(2, 1000), of(4, 2000), of(2, 1000), of(4, 2000)]),
        &counting(CountingMode::Rusage),
    );
    assert_eq!(row.result.ns_per_switch, Some(Estimate { median: 500.0, low: Some(500.0), high: Some(500.0) }));
    assert_eq!(row.result.switches_per_op_interval, Some(Estimate { median: 3.0, low: Some(2.0), high: Some(4.0) }));
}

#[test]
fn a_counter_that_shared_its_hardware_is_scaled_as_perf_stat_does() {
    let row = summarize(
        &WorkloadSamples::made_up(vec![repetition(vec![sample(1000); 4], 200); 3]),
        &counting(CountingMode::Cpu),
    );
    let cycles = &row.result.counters[1];
    assert_eq!((cycles.running_ratio, cycles.per_op), (0.5, 4000.0));
    assert_eq!(running_ratio(1000, 0), None);
    assert_eq!(running_ratio(1000, 1000), Some(1.0));
}

#[test]
fn without_undisturbed_samples_all_are_used_and_said_to_be() {
    let row = summarize(
        &WorkloadSamples::made_up(vec![repetition(vec![disturbed(1000); 5], 200); 3]),
        &counting(CountingMode::Cpu),
    );
    assert!(!row.undisturbed_only);
    assert_eq!(row.result.samples.undisturbed, 0);
    assert_eq!(row.result.ns_per_op.unwrap().median, 61_000.0);
    assert_eq!(
        row.result.kernel_switches_per_op,
        Some(2.0),
        "from kernel accounting of the participants, which has no neighbours in it"
    );
}

#[test]
fn more_cpu_time_than_there_was_is_a_reading_that_something_came_into() {
    let impossible = |extra_ns| {
        let mut sample = sample(1000);
        sample.participants.cpu_ns = Some(sample.participants.wall_ns + extra_ns);
        sample
    };
    // Of 50 µs: a clock's reading is no matter, a thread that ran for half a microsecond is.
    let of = || repetition(vec![impossible(0), impossible(100), impossible(300), impossible(600)], 200);
    let row = summarize(&WorkloadSamples::made_up(vec![of(), of(), of()]), &counting(CountingMode::Cpu));
    assert_eq!((row.result.samples.taken, row.result.samples.undisturbed), (12, 9));
}

#[test]
fn what_a_play_takes_before_and_after_its_ops_is_no_ops_cpu_time() {
    // Read 2 µs around the ops: 4 % of them.
    let read = |mut sample: Sample| {
        sample.participants.wall_ns += 2000;
        sample.participants.cpu_ns = Some(sample.participants.wall_ns);
        sample
    };
    let mut of = repetition(vec![read(sample(1000)); 4], 200);
    of.no_switch.iter_mut().for_each(|no_switch| *no_switch = read(no_switch.clone()));
    let row = summarize(&WorkloadSamples::made_up(vec![of; 3]), &counting(CountingMode::Cpu));
    assert_eq!(row.result.cpu_ns_per_op.unwrap().median, 1000.0);
    assert_eq!(row.result.net_cpu_ns_per_switch.unwrap().median, 400.0);
    assert_eq!(row.result.net_ns_per_switch, row.result.net_cpu_ns_per_switch);
}

#[test]
fn samples_of_a_slowed_core_are_not_undisturbed() {
    let slowed = || Sample { reference_loop_ns: 1700, ..sample(1500) };
    let of = |cost| repetition(vec![sample(cost), slowed(), sample(cost), slowed(), sample(cost)], 200);
    let row = summarize(&WorkloadSamples::made_up(vec![of(1000), of(1010), of(1020)]), &counting(CountingMode::Cpu));
    assert_eq!(row.result.ns_per_op.unwrap().median, 1010.0);
    assert_eq!((row.result.samples.undisturbed, row.result.samples.slowed), (9, 6));
}

#[test]
fn a_run_that_stays_slow_knows_its_costs_from_above_only() {
    let of = |cost| repetition(vec![sample(cost); 4], 200);
    let samples = WorkloadSamples::made_up(vec![of(1000), of(1010), of(1020)]);
    let all = samples.repetitions.iter().flat_map(|repetition| &repetition.samples);
    // It cannot know by itself: the reference loop took 1500 ns all the time.
    let reference_loop = ReferenceLoop::of(all);
    let quick = row::summarize(&samples, &counting(CountingMode::Cpu), reference_loop.with_reference(Some(1490.0)));
    assert_eq!((quick.result.samples.slowed, quick.result.ns_per_op.unwrap().low), (0, Some(1000.0)));
    let slow = row::summarize(&samples, &counting(CountingMode::Cpu), reference_loop.with_reference(Some(1200.0)));
    assert_eq!((slow.result.samples.slowed, slow.undisturbed_only), (12, false));
    assert_eq!(slow.result.ns_per_op, Some(Estimate { median: 1010.0, low: None, high: Some(1020.0) }));
    for bound in [
        slow.result.ns_per_switch,
        slow.result.net_ns_per_switch,
        slow.result.net_cpu_ns_per_switch,
        slow.result.cpu_ns_per_op,
    ] {
        assert!(bound.unwrap().is_at_most(), "{bound:?}");
    }
}

#[test]
fn an_repetition_without_undisturbed_samples_is_left_out_of_the_pairs() {
    let quiet = || repetition(vec![sample(1000); 4], 200);
    let row = summarize(
        &WorkloadSamples::made_up(vec![quiet(), repetition(vec![disturbed(1000); 4], 200), quiet()]),
        &counting(CountingMode::Cpu),
    );
    assert_eq!(row.rounds.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn three_quiet_repetitions_are_believed_beside_any_number_in_a_burst() {
    let quiet = |cost| repetition(vec![sample(cost); 4], 200);
    let burst = || repetition(vec![Sample { reference_loop_ns: 1700, ..sample(1400) }; 4], 200);
    let of = |costs: &[u64]| {
        let slowed = std::iter::repeat_with(burst).take(10 - costs.len());
        let repetitions = costs.iter().map(|&cost| quiet(cost)).chain(slowed).collect();
        summarize(&WorkloadSamples::made_up(repetitions), &counting(CountingMode::Cpu))
    };
    let row = of(&[1000, 1010, 1020]);
    assert_eq!(row.result.ns_per_op, Some(Estimate { median: 1010.0, low: Some(1000.0), high: Some(1020.0) }));
    assert_eq!((row.undisturbed_only, row.repetitions_with_cost), (true, 3));
    let row = of(&[1000, 1010]);
    assert_eq!((row.result.ns_per_op.unwrap().median, row.undisturbed_only), (1400.0, false), "two could be luck");
}

#[test]
fn uncounted_switches_are_expected_ones_and_say_so() {
    let mut quiet = repetition(vec![sample(1000); 4], 200);
    quiet.counted.clear();
    for sample in &mut quiet.samples {
        sample.participants.voluntary = None;
        sample.counts.clear();
    }
    let none = Counting { counters: Vec::new(), ..counting(CountingMode::None) };
    let row = summarize(&WorkloadSamples::made_up(vec![quiet; 3]), &none);
    let RunResult { switches_per_op, switches_per_op_interval, switches_per_op_range, .. } = row.result;
    assert_eq!((switches_per_op, switches_per_op_interval, switches_per_op_range), (None, None, None));
    assert_eq!(row.result.expected_switches_per_op, Some(2.0));
    assert_eq!(row.result.switches_source, CountSource::Expected);
    assert_eq!(row.result.kernel_switches_per_op, None);
    assert_eq!(row.result.ns_per_switch.unwrap().median, 500.0);
}

#[test]
fn what_counting_costs_is_the_ratio_to_the_uncounted_pass() {
    let mut workload = WorkloadSamples::made_up(vec![repetition(vec![sample(1170); 4], 200); 3]);
    workload.uncounted = vec![repetition(vec![sample(1000); 4], 200); 3];
    let cost = summarize(&workload, &counting(CountingMode::Thread)).result.counting_cost.unwrap();
    assert!((cost.median - 1.17).abs() < 1e-9);
}

#[test]
fn what_counting_costs_is_paired_within_repetitions_that_did_both() {
    let row = summarize(
        &WorkloadSamples::made_up(vec![repetition(vec![sample(1000); 4], 200); 3]),
        &counting(CountingMode::Cpu),
    );
    assert!((row.result.counting_cost.unwrap().median - 1.1).abs() < 1e-9);
    assert!(!row.is_counting_cost_included);
}

#[test]
fn user_mode_is_counted_in_a_pass_of_its_own() {
    let mut workload = WorkloadSamples::made_up(vec![repetition(vec![sample(1000); 4], 200); 3]);
    let mut pass = repetition(vec![sample(1300); 4], 200);
    pass.samples.iter_mut().for_each(|sample| sample.counts = vec![Some(OPS * 90)]);
    pass.counted.clear();
    pass.times = vec![CounterTimes { enabled_ns: 10, running_ns: 10 }];
    let counters = vec![CounterInfo { name: "cycles:u".to_string(), scope: CountingMode::Thread }];
    workload.passes = vec![PassSamples { counters, repetitions: vec![pass] }];
    let row = summarize(&workload, &counting(CountingMode::Cpu));
    let cycles = row.result.counters.last().unwrap();
    assert_eq!((cycles.name.as_str(), cycles.per_op), ("cycles:u", 90.0));
    assert_eq!(row.result.ns_per_op.unwrap().median, 1000.0, "and its time is in no cost");
}

#[test]
fn across_cpus_a_sample_is_undisturbed_when_every_switch_pairs_with_one_of_idle() {
    // The participants wait for each other: half of the wall time is CPU time, and a switch of theirs two of the CPUs'.
    let apart = |foreign: u64| {
        let mut sample = sample(1000);
        sample.participants.cpu_ns = Some(OPS * 500);
        sample.counts[0] = Some(4 * OPS + foreign);
        sample
    };
    let of = || repetition(vec![apart(0), apart(1), apart(3), apart(40)], 200);
    let mut workload = WorkloadSamples::made_up(vec![of(), of(), of()]);
    (workload.placement, workload.cpus) = (Placement::Llc, vec![0, 1]);
    let row = summarize(&workload, &counting(CountingMode::Cpu));
    assert_eq!((row.result.samples.taken, row.result.samples.undisturbed, row.undisturbed_only), (12, 9, true));
    assert_eq!(row.result.cpu_ns_per_op.unwrap().median, 500.0);
    assert_eq!(row.result.switches_per_op, Some(2.0), "the participants' own, without those of idle");
    assert_eq!((row.result.samples.foreign_switches, row.tells_disturbed), (None, true));
    let blind = summarize(&workload, &counting(CountingMode::Rusage));
    assert_eq!((blind.result.samples.undisturbed, blind.tells_disturbed), (12, false));
}

#[test]
fn goroutine_switches_are_what_the_probe_counted_and_else_expected() {
    let mut goroutines = WorkloadSamples {
        kind: Kind::Goroutine,
        switch_source: SwitchSource::Uprobe,
        ..WorkloadSamples::made_up(vec![repetition(vec![sample(200); 4], 20); 3])
    };
    let row = summarize(&goroutines, &counting(CountingMode::Cpu));
    assert_eq!((row.result.switches_source, row.result.ns_per_switch.unwrap().median), (CountSource::Expected, 100.0));
    assert_eq!(ratio(&[row], Kind::Goroutine), None, "what nobody counted is in no verdict");
    let mut hits = sample(10_000);
    hits.counts = vec![Some(3 * OPS)];
    let pass = Repetition { samples: vec![hits; 2], ..Repetition::default() };
    let counters = vec![CounterInfo { name: PROBE.to_string(), scope: CountingMode::Cpu }];
    goroutines.passes = vec![PassSamples { counters, repetitions: vec![pass] }];
    let row = summarize(&goroutines, &counting(CountingMode::Cpu));
    assert_eq!((row.result.switches_source, row.result.switches_per_op), (CountSource::Uprobe, Some(3.0)));
    assert_eq!(row.result.ns_per_op.unwrap().median, 200.0);
}

#[test]
fn what_switches_by_chance_only_has_no_cost_per_switch() {
    let mut quiet = sample(100);
    (quiet.participants.voluntary, quiet.participants.involuntary) = (Some(0), Some(0));
    let references = WorkloadSamples {
        kind: Kind::Reference,
        expected_switches_per_op: None,
        ..WorkloadSamples::made_up(vec![Repetition { samples: vec![quiet; 4], ..Repetition::default() }; 3])
    };
    let row = summarize(&references, &Counting::without_counters(CountingMode::Rusage));
    assert_eq!((row.result.switches_per_op, row.result.ns_per_switch), (Some(0.0), None));
    assert_eq!(row.result.ns_per_op.unwrap().median, 100.0);
}

#[test]
fn nothing_seen_is_nothing_said() {
    let row = summarize(&WorkloadSamples::made_up(Vec::new()), &counting(CountingMode::Cpu));
    assert_eq!(
        (
            row.result.ns_per_op,
            row.result.ns_per_switch,
            row.result.mean_ns_per_op,
            row.result.samples.foreign_switches
        ),
        (None, None, None, None)
    );
    assert!(row.result.counters.is_empty() || row.result.counters.iter().all(|counter| counter.total == 0.0));
}
