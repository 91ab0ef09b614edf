use crate::bench::document::run::RunResult;
use crate::bench::document::sweep::of_run;
use crate::bench::figures::NO_UNDISTURBED_SAMPLES;
use crate::bench::view::sweep::*;
use crate::document::Warning;
use crate::estimate::Estimate;
use crate::output::{Look, format};
use crate::sys::unavailable::Unavailable;
use crate::workload::shape::RingShape;

const RUN: &str = include_str!("../../../../tests/golden/run-2.json");

/// A sweep with these net costs, each known to ±1 %, on a CPU with caches of 32 KiB, 1 MiB and 32 MiB.
fn sweep(variable: RingVariable, fixed: RingShape, costs: &[(u64, f64)]) -> SweepDocument {
    let mut run: RunDocument = serde_json::from_str(RUN).unwrap();
    let cache = |(level, size_bytes)| Cache { level, kind: "Unified".to_string(), size_bytes, shared_cpus: None };
    run.host.caches = [(1, 32 << 10), (2, 1 << 20), (3, 32 << 20)].map(cache).to_vec();
    let model = run.body.results[0].clone();
    let row = |&(step, ns): &(u64, f64)| RunResult {
        ring: Some(variable.set(fixed, step)),
        net_ns_per_switch: Some(Estimate { median: ns, low: Some(ns * 0.99), high: Some(ns * 1.01) }),
        ..model.clone()
    };
    run.body.results = costs.iter().map(row).collect();
    of_run(run, RingSteps { variable, steps: costs.iter().map(|(step, _)| *step).collect(), fixed })
}

fn pair() -> RingShape {
    RingShape { participants: 2, working_set_bytes: 0 }
}

fn of_working_sets() -> SweepDocument {
    let costs = [(0, 1500.0), (64, 1500.0), (128, 1500.0), (256, 1510.0), (512, 6000.0), (1024, 12_000.0)];
    sweep(RingVariable::WorkingSet, pair(), &costs.map(|(kib, ns)| (kib << 10, ns)))
}

/// Returns its table as text of this width.
fn drawn(document: &SweepDocument, width: usize) -> String {
    (format("table").unwrap().draw)(document, &Look { width, wide: false, ascii: false, color: false }).unwrap()
}

#[track_caller]
fn check_says(document: &SweepDocument, sentence: &str) {
    let text = drawn(document, 100).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(sentence), "{sentence:?} is not in {text}");
}

#[test]
fn a_knee_is_put_down_to_the_cache_that_all_working_sets_outgrow() {
    check_says(
        &of_working_sets(),
        "thread-pipe has a knee between 256 KiB and 512 KiB, from net 1.51 µs to 6.00 µs a switch: all working sets together grow \
         from 512 KiB to 1.00 MiB, and L2 has 1.00 MiB.",
    );
}

#[test]
fn rows_that_neighbours_have_spoiled_have_no_knee_and_are_counted() {
    let mut run = of_working_sets().as_run();
    let RingSteps { variable, steps, fixed } = of_working_sets().settings.steps;
    for spoiled in &mut run.body.results[4..] {
        spoiled.warnings.push(Warning::new(NO_UNDISTURBED_SAMPLES, "spoiled"));
    }
    let document = of_run(run, RingSteps { variable, steps, fixed });
    assert_eq!(document.body.knees, []);
    check_says(&document, "Knees are looked for without 2 of 6 rows");
}

#[test]
fn what_participants_touch_is_a_guess_and_said_to_be_one() {
    let costs = [(64, 1000.0), (128, 1000.0), (256, 1000.0), (512, 2000.0)];
    let document = sweep(RingVariable::Participants, pair(), &costs);
    check_says(
        &document,
        "what a participant touches is not measured: L2 ends there if each touches 2.00 KiB to 4.00 KiB.",
    );
    check_says(&document, "a knee is not the run queue's length");
    let wide = Look { width: 100, wide: true, ascii: false, color: false };
    let text =
        (format("table").unwrap().draw)(&document, &wide).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("noisy neighbour or lower frequency) (3 other rows have this warning too)"), "{text}");
}

#[test]
fn where_there_is_no_knee_or_nothing_is_known_of_caches_it_says_so() {
    let flat = [(2, 1000.0), (4, 1010.0), (8, 1000.0), (16, 1020.0)];
    check_says(&sweep(RingVariable::Participants, pair(), &flat), "No knee:");
    let mut unknown = of_working_sets();
    unknown.host.caches.clear();
    check_says(&unknown, "how large the caches are is not known");
    let between = [(2, 1000.0), (4, 1000.0), (8, 3000.0)];
    let each = RingShape { working_set_bytes: 16 << 10, ..pair() };
    check_says(
        &sweep(RingVariable::Participants, each, &between),
        "grow from 64.0 KiB to 128 KiB, and no cache ends there; L2 has 1.00 MiB, and perhaps other guests.",
    );
}

#[test]
fn steps_left_out_are_told_once_with_what_would_help() {
    let mut document = of_working_sets();
    let left_out = |mib: u64| LeftOut {
        workload: "thread-pipe".to_string(),
        placement: Placement::Same,
        ring: Some(RingShape { working_set_bytes: mib << 20, ..pair() }),
        why: Unavailable { reason: format!("{mib} MiB are too many"), remedy: Some("get more".to_string()) },
    };
    document.body.left_out = vec![left_out(2), left_out(4), left_out(8)];
    check_says(
        &document,
        "Not measured: thread-pipe (ring of 2, 2.00 MiB each) and on to 8.00 MiB: 2 MiB are too many; get more.",
    );
}

#[test]
fn the_plot_has_the_caches_on_its_axis_and_fits_a_narrow_terminal() {
    for width in [60, 80, 100] {
        let text = drawn(&of_working_sets(), width);
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
        let caches = text.lines().find(|line| line.trim_start().starts_with("L1")).unwrap();
        let axis = text.lines().find(|line| line.contains("64K")).unwrap();
        // L1 is full at 16 KiB each, on the way to the first step; L2 at the fifth.
        assert!(caches.find("L1") < axis.find("64K") && caches.find("L2") == axis.find("512K"), "{text}");
        assert!(!caches.contains("L3"), "{text}");
    }
}

#[test]
fn steps_are_short_on_an_axis() {
    for (variable, step, expected) in [
        (RingVariable::Participants, 4096, "4096"),
        (RingVariable::WorkingSet, 0, "0"),
        (RingVariable::WorkingSet, 100, "100"),
        (RingVariable::WorkingSet, 4096, "4K"),
        (RingVariable::WorkingSet, 3 << 19, "1.5M"),
        (RingVariable::WorkingSet, 1 << 30, "1G"),
    ] {
        assert_eq!(short(variable, step), expected);
    }
}
