//! The engine with scripted sessions and meters: the order in which it acts, and what it saves.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::bail;
use nix::unistd::Pid;

use crate::bench::engine::plan::{Effort, lay_out};
use crate::bench::engine::*;
use crate::host::placement::Placement;
use crate::perf::counting::{Counting, TO_IDLE, WAKE_UPS};
use crate::perf::meter::scripted::Scripted;
use crate::perf::meter::{Extra, Ring};
use crate::perf::records::{Recorder, SWITCH_RECORDS};
use crate::perf::refusal::Refused;
use crate::sys::unavailable::Unavailable;
use crate::test_lock;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Laps, Participant, Played, Session, Setting};
use crate::workload::{NoSwitch, Prepare, WORKLOADS, Workload};

thread_local! {
    /// Calls of a test's sessions, in order.
    static DIARY: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn note(entry: &'static str) {
    DIARY.with_borrow_mut(|diary| {
        // The faster the machine, the more plays the warm-up takes.
        if diary.last() != Some(&entry) {
            diary.push(entry);
        }
    });
}

/// A session that costs 1000 ns an op, or fails.
struct Fake {
    name: &'static str,
    fails: bool,
}

impl Session for Fake {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        note(self.name);
        if self.fails {
            bail!("out of luck");
        }
        Ok(Played::counted(ops * 1000, 2 * ops))
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        note("each");
        laps.replay((0..ops).map(|op| 1000 + op));
        Ok(Played::counted(ops * 1000, 2 * ops))
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

const fn fake(name: &'static str, prepare: Prepare, no_switch: Option<NoSwitch>) -> Workload {
    Workload {
        name,
        kind: Kind::Task,
        brief: "",
        summary: "",
        op: "",
        remark: None,
        expected_switches_per_op: Some(2.0),
        switch_source: SwitchSource::Polls,
        default: false,
        apart: true,
        sample_ns: 250_000,
        available: || Ok(()),
        provide: |_| Ok(()),
        prepare,
        no_switch,
        elsewhere: None,
        probe_point: None,
        toolchain: || None,
        ring: None,
    }
}

static FIRST: Workload = fake(
    "first",
    |_| Ok(Box::new(Fake { name: "first", fails: false })),
    Some(NoSwitch { summary: "", prepare: |_| Ok(Box::new(Fake { name: "no_switch", fails: false })) }),
);
static SECOND: Workload = fake("second", |_| Ok(Box::new(Fake { name: "second", fails: false })), None);
static FAILING: Workload = fake("failing", |_| Ok(Box::new(Fake { name: "failing", fails: true })), None);

/// Attaches a scripted meter of two counters, in this mode.
struct Script(CountingMode);

impl Attach for Script {
    fn attach(&mut self, _: &[usize]) -> Result<Attached> {
        let counters: &[(&str, Ring, u64)] = match self.0 {
            CountingMode::Cpu => &[("context-switches", Ring::Outer, 20), ("cycles", Ring::Inner, 700)],
            _ => &[],
        };
        let meter = Scripted::new(counters);
        let counters = crate::perf::meter::Meter::counters(&meter).to_vec();
        let counting = Counting { counters, ..Counting::without_counters(self.0) };
        Ok(Attached { meter: Box::new(meter), counting })
    }

    fn attach_extra(&mut self, extra: &Extra<'_>, _: &[usize]) -> Result<Attached, Refused> {
        match (extra, self.0) {
            (Extra::WakeUps, CountingMode::Cpu) => {
                let meter = Scripted::new(&[(WAKE_UPS, Ring::Outer, 11)]).always_on();
                let counters = crate::perf::meter::Meter::counters(&meter).to_vec();
                let counting = Counting { counters, ..Counting::without_counters(CountingMode::Cpu) };
                Ok(Attached { meter: Box::new(meter), counting })
            }
            (Extra::ToIdle, CountingMode::Cpu) => Err(Refused::absent(TO_IDLE, "not in this script")),
            _ => Err(Refused::NotNeeded),
        }
    }

    fn recorder(&mut self, _: &[usize], _: &[Pid]) -> Result<Recorder, Refused> {
        Err(Refused::absent(SWITCH_RECORDS, "not in this script"))
    }
}

/// All on the first CPU that is allowed.
fn plan_of(workloads: &[&'static Workload], effort: Effort) -> Plan {
    let setting = Setting::on(crate::sys::affinity::allowed().unwrap().cpus()[0]);
    let (entries, left_out) = lay_out(workloads, &[(Placement::Same, setting)]);
    Plan { seed: 1, repeat_slowed: false, ..Plan::of_costs(entries, left_out, 2, effort) }
}

fn engine_run(workloads: Vec<&'static Workload>, repetitions: u32, mode: CountingMode) -> (RunSamples, Vec<Progress>) {
    let _alone = test_lock();
    let effort = Effort { time: None, samples: Some(10) };
    let plan = Plan { repetitions, ops_per_sample: Some(10), ..plan_of(&workloads, effort) };
    let mut told = Vec::new();
    DIARY.take();
    let seen = run(&plan, &mut Script(mode), &mut |progress| told.push(progress)).unwrap();
    (seen, told)
}

#[test]
fn workloads_take_turns_in_any_order_and_a_no_switch_is_played_on_both_sides_of_its_workload() {
    let rounds = |seed| {
        let _alone = test_lock();
        let effort = Effort { time: None, samples: Some(10) };
        let plan = Plan { repetitions: 8, ops_per_sample: Some(10), seed, ..plan_of(&[&FIRST, &SECOND], effort) };
        let mut told = Vec::new();
        DIARY.take();
        let seen = run(&plan, &mut Script(CountingMode::Rusage), &mut |progress| told.push(progress)).unwrap();
        assert_eq!(seen.ending, Ending::Complete);
        assert_eq!(
            told.iter().map(|progress| (progress.done, progress.of)).collect::<Vec<_>>(),
            (1..=16).map(|done| (done, 16)).collect::<Vec<_>>()
        );
        let first = &seen.workloads[0].repetitions;
        assert_eq!((first.len(), first[0].samples.len(), first[0].no_switch.len()), (8, 10, 5));
        assert!(first[0].counted.is_empty(), "nothing is counted on demand where there is no event");
        // The end of one no-switch loop and the beginning of the next are one entry of the diary.
        let diary = DIARY.take();
        let played = |name: &str| diary.iter().filter(|entry| **entry == name).count();
        assert_eq!((played("first"), played("second") <= 8), (8, true), "{diary:?}");
        let is_between = |window: &[&str]| window[1] != "first" || (window[0], window[2]) == ("no_switch", "no_switch");
        assert!(diary.windows(3).all(is_between) && diary.first() != Some(&"first"), "{diary:?}");
        told.chunks(2).map(|round| [round[0].workload, round[1].workload]).collect::<Vec<_>>()
    };
    let orders = rounds(1);
    assert!(orders.iter().all(|[one, other]| one != other), "each once in every round: {orders:?}");
    assert!(orders.contains(&["first", "second"]) && orders.contains(&["second", "first"]), "{orders:?}");
    assert_eq!(orders, rounds(1), "a seed repeats the order");
    assert!((2..5).any(|seed| rounds(seed) != orders));
}

#[test]
fn switches_are_counted_in_samples_of_their_own_and_work_in_those_that_are_timed() {
    let (seen, _) = engine_run(vec![&SECOND], 1, CountingMode::Cpu);
    let repetition = &seen.workloads[0].repetitions[0];
    assert!(repetition.samples.iter().all(|sample| sample.counts == [None, Some(700)]));
    assert!(!repetition.counted.is_empty());
    assert!(repetition.counted.iter().all(|sample| sample.counts == [Some(20), Some(700)]));
    // The script's counter runs half of the time it is enabled.
    assert_eq!(repetition.times[1].enabled_ns, 2 * repetition.times[1].running_ns);
}

#[test]
fn ops_are_timed_one_by_one_by_the_same_participants_right_after_their_samples() {
    let _alone = test_lock();
    let effort = Effort { time: None, samples: Some(10) };
    let plan = Plan { ops_per_sample: Some(20_000), latency: true, ..plan_of(&[&FIRST], effort) };
    DIARY.take();
    let seen = run(&plan, &mut Script(CountingMode::Rusage), &mut |_| ()).unwrap();
    assert_eq!(DIARY.take(), ["no_switch", "first", "each", "no_switch", "first", "each", "no_switch"]);
    for repetition in &seen.workloads[0].repetitions {
        let latency = repetition.latency.as_ref().unwrap();
        assert_eq!((latency.samples.len(), latency.samples[0].ops), (10, 10_000));
        // Ops of 1000 ns, 1001 ns and so on, all of which can be distinguished below 2048 ns.
        assert_eq!(latency.samples[0].elapsed_ns, (1000..11_000).sum::<u64>());
        assert_eq!(latency.durations[..2], [(1000, 10), (1001, 10)]);
        assert_eq!(latency.durations.iter().map(|(_, ops)| ops).sum::<u64>(), 100_000);
        assert!(latency.lap_cost_ns > 0.0 && latency.timer.is_some());
    }
}

#[test]
fn only_linux_threads_are_recorded_and_a_refusal_is_no_failure() {
    static THREADS: Workload = Workload {
        kind: Kind::Thread,
        ..fake("threads", |_| Ok(Box::new(Fake { name: "threads", fails: false })), None)
    };
    let recorded = |workload: &'static Workload| {
        let _alone = test_lock();
        let effort = Effort { time: None, samples: Some(10) };
        let plan = Plan { record: true, ops_per_sample: Some(10), ..plan_of(&[workload], effort) };
        run(&plan, &mut Script(CountingMode::Cpu), &mut |_| {}).unwrap()
    };
    for (workload, refused) in [(&SECOND, false), (&THREADS, true)] {
        let seen = recorded(workload);
        assert_eq!((seen.ending, &seen.workloads[0].recording), (Ending::Complete, &None));
        assert_eq!(seen.workloads[0].repetitions.len(), 2, "the costs are there all the same");
        assert_eq!(seen.counting.absent.iter().any(|absent| absent.name == SWITCH_RECORDS), refused);
    }
}

#[test]
fn what_a_slow_core_played_is_played_once_more_at_the_end() {
    let _alone = test_lock();
    let effort = Effort { time: None, samples: Some(10) };
    // No core takes a nanosecond for the reference loop.
    let patience = Duration::from_millis(5);
    let plan = Plan {
        repeat_slowed: true,
        reference_ns: Some(1.0),
        patience,
        ops_per_sample: Some(10),
        ..plan_of(&[&FIRST, &SECOND], effort)
    };
    let mut told = Vec::new();
    DIARY.take();
    let seen = run(&plan, &mut Script(CountingMode::Rusage), &mut |progress| told.push(progress)).unwrap();
    assert_eq!(seen.ending, Ending::Complete);
    assert_eq!(told.last().map(|progress| (progress.done, progress.of)), Some((8, 8)), "each of four, twice");
    assert_eq!(DIARY.take().iter().filter(|entry| **entry == "first").count(), 4);
    for workload in &seen.workloads {
        assert_eq!((workload.repetitions.len(), workload.repeated), (2, 2), "{}", workload.workload);
        assert!(workload.repetitions.iter().all(|repetition| repetition.samples.len() == 10));
    }
    assert!(seen.waited_ns.unwrap() >= 5_000_000);
    assert_eq!(seen.reference_ns, Some(1.0));
}

#[test]
fn a_core_that_nothing_is_known_of_is_not_waited_for() {
    let _alone = test_lock();
    let plan = Plan {
        patience: Duration::from_secs(100),
        ops_per_sample: Some(10),
        ..plan_of(&[&SECOND], Effort { time: None, samples: Some(2) })
    };
    let seen = run(&plan, &mut Script(CountingMode::Rusage), &mut |_| ()).unwrap();
    assert_eq!((seen.waited_ns, seen.reference_ns), (None, None));
}

#[test]
fn a_failure_keeps_what_was_seen_before_it() {
    let (seen, told) = engine_run(vec![&FIRST, &FAILING, &SECOND], 2, CountingMode::Rusage);
    assert_eq!(seen.ending, Ending::Failed("failing, repetition 1: out of luck".to_string()));
    let kept: Vec<(&str, usize)> =
        seen.workloads.iter().map(|workload| (workload.workload.as_str(), workload.repetitions.len())).collect();
    let before = |name| told.iter().filter(|progress| progress.workload == name).count();
    assert_eq!(kept, [("first", before("first")), ("failing", 0), ("second", before("second"))]);
    assert!(!told.is_empty(), "with this seed it is not the first");
}

#[test]
fn what_counting_on_threads_costs_is_measured_without_it_first() {
    let (seen, told) = engine_run(vec![&SECOND], 7, CountingMode::Thread);
    assert_eq!((seen.workloads[0].uncounted.len(), seen.workloads[0].repetitions.len()), (5, 7));
    assert_eq!(told.last().map(|progress| (progress.done, progress.of)), Some((12, 12)));
    assert!(seen.workloads[0].uncounted[0].samples.iter().all(|sample| sample.participants.voluntary.is_none()));
}

#[test]
fn what_slows_the_participants_is_counted_in_a_pass_of_its_own() {
    let (seen, _) = engine_run(vec![&FIRST, &SECOND], 3, CountingMode::Cpu);
    for workload in &seen.workloads {
        assert_eq!(workload.passes.len(), 1);
        let pass = &workload.passes[0];
        assert_eq!((pass.counters[0].name.as_str(), pass.repetitions.len()), (WAKE_UPS, 2));
        let samples = &pass.repetitions[0].samples;
        assert!(samples.len() == 10 && samples.iter().all(|sample| sample.counts == [Some(11)]));
        assert!(pass.repetitions[0].no_switch.is_empty() && pass.repetitions[0].counted.is_empty());
    }
    assert!(seen.counting.absent.is_empty(), "nothing runs apart, and so idle is not asked about");
}

#[test]
fn a_workload_that_cannot_be_taken_apart_is_left_out_with_the_reason() {
    static TOGETHER: Workload =
        Workload { apart: false, ..fake("together", |_| Ok(Box::new(Fake { name: "together", fails: false })), None) };
    static MISSING: Workload = Workload {
        available: || Err(Unavailable { reason: "no compiler".to_string(), remedy: Some("get one".to_string()) }),
        ..fake("missing", |_| Ok(Box::new(Fake { name: "missing", fails: false })), None)
    };
    let same = (Placement::Same, Setting::on(0));
    let llc = (Placement::Llc, Setting { follower_cpu: 1, ..Setting::on(0) });
    let laid_out = |places: &[(Placement, Setting)]| {
        let (entries, left_out) = lay_out(&[&FIRST, &TOGETHER, &MISSING], places);
        let entries: Vec<_> = entries.iter().map(|entry| (entry.workload.name, entry.placement)).collect();
        let left_out: Vec<_> = left_out.iter().map(ToString::to_string).collect();
        (entries, left_out)
    };
    let missing = "missing: no compiler (get one)".to_string();
    assert_eq!(
        laid_out(&[same]),
        (vec![("first", Placement::Same), ("together", Placement::Same)], vec![missing.clone()])
    );
    assert_eq!(
        laid_out(&[llc]),
        (vec![("first", Placement::Llc)], vec!["together: all of it runs on one CPU".to_string(), missing.clone()])
    );
    // One row is enough to report what is missing, and nothing is missed that was measured on one CPU.
    assert_eq!(
        laid_out(&[same, llc]),
        (vec![("first", Placement::Same), ("together", Placement::Same), ("first", Placement::Llc)], vec![missing])
    );
}

#[test]
fn every_real_workload_calibrates_and_counts_what_it_promises() {
    let _alone = test_lock();
    let effort = Effort { time: Some(Duration::from_millis(100)), samples: None };
    let plan = plan_of(&WORKLOADS.iter().collect::<Vec<_>>(), effort);
    let seen = run(&plan, &mut Script(CountingMode::Rusage), &mut |_| ()).unwrap();
    assert_eq!(seen.ending, Ending::Complete);
    for workload in &seen.workloads {
        let samples = workload.repetitions.iter().flat_map(|repetition| &repetition.samples);
        check_switches(workload, &samples.collect::<Vec<_>>());
    }
}

/// Checks samples against the switches that their workload promises, whatever else runs on this machine: a neighbour
/// that preempts a participant adds switches to a sample and takes none away, so that all samples make at least the
/// promised number, and the one with the fewest an op no more than that.
fn check_switches(samples_of: &WorkloadSamples, samples: &[&Sample]) {
    let name = samples_of.workload.as_str();
    let kernel = |sample: &Sample| sample.participants.switches().unwrap();
    let counted = |sample: &Sample| sample.own_switches.unwrap_or_else(|| kernel(sample));
    let per_op = samples.iter().map(|sample| counted(sample) as f64 / sample.ops as f64);
    let fewest = per_op.fold(f64::INFINITY, f64::min);
    match samples_of.expected_switches_per_op {
        _ if samples_of.switch_source == SwitchSource::Uprobe => {}
        // A worker that is preempted between sending and waiting finds the answer there: each poll saved costs a kernel
        // switch. The last poll of the play before may come only now.
        Some(expected) if name == "task-multi" => samples.iter().for_each(|sample| {
            let (polls, promised) = (counted(sample), expected as u64 * sample.ops);
            assert!(polls <= promised + 2 && promised <= polls + kernel(sample), "{name}: {sample:?}");
        }),
        // The point of these is that they may make more.
        Some(expected) if ["thread-channel", "thread-condvar", "thread-socketpair"].contains(&name) => {
            assert!(fewest > expected - 0.1, "{name}: {fewest}");
        }
        Some(expected) => assert!((fewest - expected).abs() < 0.1, "{name}: {fewest}"),
        None if samples_of.kind == Kind::Reference => assert!(fewest < 0.01, "{name}: {fewest}"),
        None => {}
    }
}
