//! Breakdowns and timelines of event lists that were written by hand, and of any others.

use proptest::prelude::*;

use crate::bench::figures::of_recorded_switches;
use crate::bench::figures::recorded::*;
use crate::bench::sample::records::{Event, OtherThread, RecordedPlay, Recording};
use crate::perf::counting::{AbsentCounter, WAKE_UPS};
use crate::perf::records::{What, YIELDS};
use crate::sched::timeline::{Left, RecordSource, Timeline};
use What::{In, Out, OutRunnable, Waking, Yield};

const LEADER: u32 = 0;
const FOLLOWER: u32 = 1;
const IDLE: u32 = 2;
const HOG: u32 = 3;

/// Of `[at_ns, cpu, what, thread, by]`.
type Line = (u64, u32, What, u32, u32);

fn recording(plays: Vec<(Vec<u64>, &[Line])>) -> Recording {
    let play = |(ops_ns, lines): (Vec<u64>, &[Line])| RecordedPlay {
        repetition: 0,
        began_at_ns: 1_000_000,
        ops_ns,
        events: lines.iter().map(|&line| Event::from(line)).collect(),
        lost: 0,
    };
    let other = |id, name: &str| OtherThread { id, name: Some(name.to_string()) };
    Recording {
        source: RecordSource::Cpu,
        buffer_bytes: 4096,
        absent: Vec::new(),
        participants: 2,
        leader_cpu: 0,
        others: vec![other(0, "idle"), other(77, "hog")],
        plays: plays.into_iter().map(play).collect(),
        no_switch_ns: Vec::new(),
    }
}

/// Returns the parts of the only op, which add up to it, without those that are 0.
fn parts(recording: &Recording) -> Vec<(BreakdownPartKind, f64)> {
    let breakdown = breakdown::breakdown(recording, None).unwrap();
    let parts =
        breakdown.parts.iter().filter(|part| BreakdownPartKind::PARTS.contains(&part.kind) && part.ns_per_op > 0.0);
    let parts: Vec<(BreakdownPartKind, f64)> = parts.map(|part| (part.kind, part.ns_per_op)).collect();
    let whole = breakdown.parts.iter().find(|part| part.kind == BreakdownPartKind::Whole).unwrap();
    assert_eq!(parts.iter().map(|(_, ns)| ns).sum::<f64>(), whole.ns_per_op);
    parts
}

fn part(breakdown: &Breakdown, kind: BreakdownPartKind) -> &BreakdownPart {
    breakdown.parts.iter().find(|part| part.kind == kind).unwrap()
}

/// ```text
/// ns        0          200   300 350   450   550 600            1000
/// leader    ████████████W████s               ░░░░▒▒██████████████
/// follower              ░░░░░▒▒▒███████W██████s
/// ```
const SLEEPING: &[Line] = &[
    (200, 0, Waking, FOLLOWER, LEADER),
    (300, 0, Out, LEADER, LEADER),
    (350, 0, In, FOLLOWER, FOLLOWER),
    (450, 0, Waking, LEADER, FOLLOWER),
    (550, 0, Out, FOLLOWER, FOLLOWER),
    (600, 0, In, LEADER, LEADER),
];

/// ```text
/// ns        0     100 150 200           500 550        800
/// leader    ███████W██p░░░░░░░░░░░░░░░░░░░▒▒▒███████████
/// follower         ░░░▒▒▒██████████████s
/// ```
const PREEMPTED: &[Line] = &[
    (100, 0, Waking, FOLLOWER, LEADER),
    (150, 0, OutRunnable, LEADER, LEADER),
    (200, 0, In, FOLLOWER, FOLLOWER),
    (500, 0, Out, FOLLOWER, FOLLOWER),
    (550, 0, In, LEADER, LEADER),
];

/// ```text
/// ns           0     100    200 250    400 450    600   700 750 800 850   1000
/// CPU 0 leader ███████W██████s▒▒▒ idle ···············░░░░░░░░░░▒▒▒▒███████
/// CPU 1        idle ···░░░░░░░░░░░░░░░░▒▒▒▒██████W██████s▒▒▒ idle ··········
/// ```
const APART: &[Line] = &[
    (100, 0, Waking, FOLLOWER, LEADER),
    (200, 0, Out, LEADER, LEADER),
    (250, 0, In, IDLE, IDLE),
    (400, 1, OutRunnable, IDLE, IDLE),
    (450, 1, In, FOLLOWER, FOLLOWER),
    (600, 1, Waking, LEADER, FOLLOWER),
    (700, 1, Out, FOLLOWER, FOLLOWER),
    (750, 1, In, IDLE, IDLE),
    (800, 0, OutRunnable, IDLE, IDLE),
    (850, 0, In, LEADER, LEADER),
];

#[test]
fn an_op_is_parted_into_running_wake_ups_and_switches() {
    use BreakdownPartKind::{Running, Switch, WakeUp};
    let check = |whole: u64, lines: &[Line], expected: [(BreakdownPartKind, f64); 3]| {
        assert_eq!(parts(&recording(vec![(vec![whole], lines)])), expected);
    };
    check(1000, SLEEPING, [(Running, 700.0), (WakeUp, 200.0), (Switch, 100.0)]);
    // A preempted thread waits too, but for what the other does: that is running.
    check(800, PREEMPTED, [(Running, 650.0), (WakeUp, 50.0), (Switch, 100.0)]);
    // While a participant waits for its CPU, what the other CPU does is in nobody's way.
    check(1000, APART, [(Running, 400.0), (WakeUp, 500.0), (Switch, 100.0)]);
}

#[test]
fn events_are_measured_by_themselves_whatever_overlaps_them() {
    let breakdown = breakdown::breakdown(&recording(vec![(vec![1000], SLEEPING)]), Some(500.0)).unwrap();
    let wake_up = part(&breakdown, BreakdownPartKind::WakeUp);
    assert_eq!((wake_up.per_op, wake_up.p50_ns, wake_up.p99_ns), (2.0, Some(150.0), Some(150.0)));
    let switch = part(&breakdown, BreakdownPartKind::Switch);
    assert_eq!((switch.per_op, switch.p50_ns), (2.0, Some(50.0)));
    assert_eq!((breakdown.recording_cost, breakdown.ops, breakdown.ops_left_out), (Some(2.0), 1, 0));
    assert_eq!(breakdown.switches_per_op, 2.0);
    // Across CPUs those to and from idle are switches, too, and the op waits for two of the four.
    let apart = breakdown::breakdown(&recording(vec![(vec![1000], APART)]), None).unwrap();
    assert_eq!((part(&apart, BreakdownPartKind::Switch).per_op, apart.switches_per_op), (4.0, 2.0));
}

#[test]
fn ops_that_switch_otherwise_when_they_are_recorded_are_warned_of() {
    let breakdown = breakdown::breakdown(&recording(vec![(vec![1000], SLEEPING)]), None).unwrap();
    let code = |counted| of_recorded_switches(&breakdown, counted, "w").map(|warning| warning.code);
    assert_eq!((code(Some(2.05)), code(None)), (None, None));
    assert_eq!(code(Some(2.5)).as_deref(), Some("recording-differs"));
}

#[test]
fn what_was_measured_by_itself_is_added_up_and_what_was_not_is_no_sum() {
    let mut recorded = recording(vec![(vec![1000], SLEEPING)]);
    assert_eq!(breakdown::breakdown(&recorded, None).unwrap().accounted_ns_per_op, None);
    recorded.no_switch_ns = vec![400, 380, 9000];
    assert_eq!(breakdown::breakdown(&recorded, None).unwrap().accounted_ns_per_op, Some(400.0 + 200.0 + 100.0));
    recorded.absent = vec![AbsentCounter { name: WAKE_UPS.to_string(), reason: String::new() }];
    recorded.plays[0].events.retain(|event| event.what != Waking);
    let breakdown = breakdown::breakdown(&recorded, None).unwrap();
    assert_eq!(breakdown.accounted_ns_per_op, None);
    assert!(breakdown.parts.iter().all(|part| part.kind != BreakdownPartKind::WakeUp), "what was not recorded is no 0");
    assert_eq!(part(&breakdown, BreakdownPartKind::Running).ns_per_op, 900.0);
}

/// ```text
/// ns        0      200  300 350  400  450   600  700 750        1000 │      2000
/// leader    ████████W███s                   ░░░░░░░░░░▒▒██████████████ ██████████
/// follower          ░░░░░░░░░░░░░░░░░░▒▒█████W███s
/// hog                    ▒▒██████p
/// ```
const WITH_HOG: &[Line] = &[
    (200, 0, Waking, FOLLOWER, LEADER),
    (300, 0, Out, LEADER, LEADER),
    (350, 0, In, HOG, HOG),
    (400, 0, OutRunnable, HOG, HOG),
    (450, 0, In, FOLLOWER, FOLLOWER),
    (600, 0, Waking, LEADER, FOLLOWER),
    (700, 0, Out, FOLLOWER, FOLLOWER),
    (750, 0, In, LEADER, LEADER),
];

#[test]
fn ops_in_which_others_ran_are_left_out_unless_all_are_such() {
    let some = breakdown::breakdown(&recording(vec![(vec![1000, 1000], WITH_HOG)]), None).unwrap();
    assert_eq!((some.ops, some.ops_left_out, some.disturbed), (1, 1, false));
    assert_eq!(part(&some, BreakdownPartKind::Running).ns_per_op, 1000.0);
    let all = recording(vec![(vec![1000], WITH_HOG)]);
    assert!(breakdown::breakdown(&all, None).unwrap().disturbed);
    // The hog is in the way of the follower, which was woken and would have come; going to the hog is in its time.
    let other = parts(&all).into_iter().find(|(kind, _)| *kind == BreakdownPartKind::Other);
    assert_eq!(other, Some((BreakdownPartKind::Other, 50.0)));
}

#[test]
fn ops_after_lost_records_are_left_out() {
    let mut recorded = recording(vec![(vec![1000, 1000], SLEEPING)]);
    assert_eq!(breakdown::breakdown(&recorded, None).unwrap().ops, 2);
    recorded.plays[0].lost = 3;
    assert_eq!(breakdown::breakdown(&recorded, None), None, "the last record is in the first op");
    recorded.plays[0].events.push(Event::from((1500, 0, Waking, FOLLOWER, LEADER)));
    let breakdown = breakdown::breakdown(&recorded, None).unwrap();
    assert_eq!((breakdown.ops, breakdown.ops_left_out, breakdown.lost_records), (1, 1, 3));
}

#[test]
fn ops_of_which_a_record_is_missing_are_left_out() {
    for missing in [1, 2, 4, 5] {
        let mut lines = SLEEPING.to_vec();
        lines.remove(missing);
        assert_eq!(
            breakdown::breakdown(&recording(vec![(vec![1000], &lines)]), None),
            None,
            "without record {missing}"
        );
    }
}

/// Leader, follower and so on: who ran, how long, and why it left.
fn story(timeline: &Timeline) -> Vec<(&str, u64, Left)> {
    timeline.run_slices.iter().map(|run| (run.who.as_str(), run.to_ns - run.from_ns, run.left)).collect()
}

#[test]
fn the_typical_op_is_the_median_of_the_most_frequent_way() {
    let plays = vec![(vec![1000], SLEEPING), (vec![900], PREEMPTED), (vec![800], PREEMPTED), (vec![950], PREEMPTED)];
    let timelines = timeline::timelines(&recording(plays));
    let [typical] = timelines.as_slice() else { panic!("{timelines:?}") };
    assert_eq!((typical.ops, typical.alike, typical.duration_ns, typical.switches), (4, 3, 900, 2));
    let story = story(typical);
    assert_eq!(
        story,
        [("leader", 150, Left::Preempted), ("follower", 300, Left::Sleeps), ("leader", 350, Left::Stays)]
    );
    assert_eq!((typical.wake_ups[0].at_ns, typical.wake_ups[0].whom.as_str()), (100, "follower"));
}

#[test]
fn a_second_number_of_switches_is_drawn_if_a_quarter_of_the_ops_makes_it() {
    let none: &[Line] = &[];
    let of = |quiet: usize| {
        let plays = (0..4).map(|at| (vec![1000], if at < quiet { none } else { SLEEPING })).collect();
        let numbers = |timeline: &Timeline| (timeline.switches, timeline.alike);
        timeline::timelines(&recording(plays)).iter().map(numbers).collect::<Vec<_>>()
    };
    assert_eq!(of(0), [(2, 4)]);
    assert_eq!(of(1), [(2, 3), (0, 1)]);
    assert_eq!(of(4), [(0, 4)]);
}

#[test]
fn a_yield_is_told_from_a_preemption_only_where_yields_are_recorded() {
    let mut lines = PREEMPTED.to_vec();
    let left = |recorded: &Recording| timeline::timelines(recorded)[0].run_slices[0].left;
    assert_eq!(left(&recording(vec![(vec![800], &lines)])), Left::Preempted);
    lines.insert(1, (120, 0, Yield, LEADER, LEADER));
    let mut recorded = recording(vec![(vec![800], &lines)]);
    assert_eq!(left(&recorded), Left::Yields);
    recorded.plays[0].events.retain(|event| event.what != Yield);
    recorded.absent = vec![AbsentCounter { name: YIELDS.to_string(), reason: String::new() }];
    assert_eq!(left(&recorded), Left::Runnable);
}

#[test]
fn an_idle_cpu_and_other_threads_are_in_the_timeline_by_their_names() {
    let apart = &timeline::timelines(&recording(vec![(vec![1000], APART)]))[0];
    assert_eq!(apart.switches, 2, "to idle and back is no switch of a participant's");
    let idle = apart.run_slices.iter().filter(|run| run.who == "idle").map(|run| (run.cpu, run.from_ns, run.to_ns));
    assert_eq!(idle.collect::<Vec<_>>(), [(1, 0, 400), (0, 250, 800), (1, 750, 1000)]);
    let hog = &timeline::timelines(&recording(vec![(vec![1000], WITH_HOG)]))[0];
    assert!(hog.run_slices.iter().any(|run| run.who == "hog (77)" && !run.participant));
}

#[test]
fn nothing_recorded_is_nothing_to_show() {
    assert_eq!(breakdown::breakdown(&recording(vec![]), None), None);
    assert_eq!(timeline::timelines(&recording(vec![(vec![], &[])])), []);
    assert_eq!(timeline::timelines(&recording(vec![(vec![0], SLEEPING)])), []);
}

fn any_line() -> impl Strategy<Value = Line> {
    let what = prop::sample::select(vec![In, Out, OutRunnable, Waking, Yield]);
    (prop_oneof![0..3000_u64, any::<u64>()], 0..3_u32, what, 0..6_u32, 0..6_u32)
}

proptest! {
    #[test]
    fn the_parts_add_up_to_the_whole_whatever_was_recorded(
        lines in prop::collection::vec(any_line(), 0..60),
        ops in prop::collection::vec(prop_oneof![0..800_u64, any::<u64>()], 0..8),
        lost in prop_oneof![Just(0), any::<u64>()],
        participants in 0..4_u32,
    ) {
        let mut recorded = recording(vec![(ops.clone(), &lines), (ops, &lines)]);
        (recorded.plays[0].lost, recorded.plays[1].lost, recorded.participants) = (lost, lost, participants);
        let timelines = timeline::timelines(&recorded);
        prop_assert!(timelines.iter().flat_map(|timeline| &timeline.run_slices).all(|run| run.from_ns <= run.to_ns));
        if let Some(breakdown) = breakdown::breakdown(&recorded, Some(100.0)) {
            prop_assert_eq!(breakdown.lost_records, lost.saturating_mul(2));
            let of = |kind: BreakdownPartKind| breakdown.parts.iter().find(|part| part.kind == kind).map(|part| part.ns_per_op);
            let whole = of(BreakdownPartKind::Whole).unwrap();
            let sum: f64 = BreakdownPartKind::PARTS.into_iter().filter_map(of).sum();
            prop_assert!((sum - whole).abs() <= whole * 1e-9, "{} of {}", sum, whole);
        }
    }
}
