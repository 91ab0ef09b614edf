//! Simulated hosts: tests that an interval holds the other runs of a series, run after run from an empty history.
//!
//! The random numbers are seeded, so that it is the same series every time.

use fastrand::Rng;

use crate::estimate::{
    Change, Component, Components, Decision, Measurement, Priors, Session, Side, Verdict, pool, standard_error,
};

/// A host, in per cent.
#[derive(Clone, Copy)]
struct Host {
    name: &'static str,
    /// Standard deviation between the repetitions of a run, and between runs: a drift that lasts some runs.
    repetition: f64,
    drift: f64,
    /// Share of the drift that the next run still has.
    keeps: f64,
    /// True if the drift has the tails of Student's with 4 degrees of freedom.
    heavy: bool,
    /// Share of runs that are slow from end to end.
    slow: f64,
}

const CALM: Host = Host { name: "calm", repetition: 0.45, drift: 0.4, keeps: 0.8, heavy: false, slow: 0.0 };
const HOSTS: [Host; 4] = [
    CALM,
    Host { name: "restless", repetition: 0.8, drift: 0.7, ..CALM },
    Host { name: "heavy-tailed", heavy: true, ..CALM },
    Host { name: "with slow runs", slow: 0.14, ..CALM },
];

const REPETITIONS: usize = 10;
const RUNS: usize = 40;
const ROWS: usize = 8;

fn normal(random: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// Returns a step of the drift, of variance 1.
fn step(host: &Host, random: &mut Rng) -> f64 {
    let step = normal(random);
    if !host.heavy {
        return step;
    }
    let squares: f64 = (0..4).map(|_| normal(random).powi(2)).sum();
    // Student's with 4 degrees of freedom has a variance of 2.
    step / (squares / 4.0).sqrt() / 2.0_f64.sqrt()
}

fn drift(host: &Host, random: &mut Rng) -> Vec<f64> {
    let mut at = step(host, random);
    let mut next = || {
        let now = at;
        at = host.keeps * at + (1.0 - host.keeps * host.keeps).sqrt() * step(host, random);
        now * host.drift
    };
    (0..RUNS).map(|_| next()).collect()
}

/// Returns the median of ten repetitions around a level, with its standard error.
fn run(level: f64, host: &Host, random: &mut Rng) -> Measurement {
    let mut values: Vec<f64> = (0..REPETITIONS).map(|_| level + host.repetition * normal(random)).collect();
    values.sort_by(f64::total_cmp);
    let ends = [values[1], values[8]].map(|per_cent| (per_cent / 100.0).exp());
    let u = standard_error(REPETITIONS, 1, ends[0], ends[1]).unwrap();
    Measurement { ln: f64::midpoint(values[4], values[5]) / 100.0, u, runs: 1 }
}

/// Results of a series of one row.
struct Series {
    /// Intervals that held the median of the other runs, and all that count.
    held: usize,
    counted: usize,
    first: f64,
    last: f64,
}

fn series(drift: &[f64], is_slow: &[bool], host: &Host, random: &mut Rng) -> Series {
    let mut kept: Session = Vec::new();
    let mut intervals = Vec::new();
    for (&level, &is_slow) in drift.iter().zip(is_slow) {
        let measured = run(level + if is_slow { 28.0 } else { 0.0 }, host, random);
        // The reference loop shows a slow run, once another is saved to compare it with.
        if is_slow && !kept.is_empty() {
            continue;
        }
        kept.push(measured);
        let components = pool(&[vec![kept.clone()]], Priors::VIRTUAL);
        let u = Component { variance: measured.u * measured.u, freedom: (REPETITIONS - 1) as f64 };
        intervals.push((measured.ln, components.this_session(u), is_slow));
    }
    let held = intervals.iter().enumerate().filter(|(at, (ln, half, is_slow))| {
        let others = intervals.iter().enumerate().filter(|(other, _)| other != at).map(|(_, other)| other.0);
        let mut others: Vec<f64> = others.collect();
        others.sort_by(f64::total_cmp);
        !is_slow && (others[others.len() / 2] - ln).abs() <= *half
    });
    let counted = intervals.iter().filter(|(_, _, is_slow)| !is_slow).count();
    let half = |at: usize| intervals[at].1;
    Series { held: held.count(), counted, first: half(0), last: half(intervals.len() - 1) }
}

/// Returns a session of [`RUNS`] runs of [`ROWS`] rows, whose drift they have in common by half.
fn session(host: &Host, random: &mut Rng) -> Vec<Series> {
    let is_slow: Vec<bool> = (0..RUNS).map(|_| random.f64() < host.slow).collect();
    let common = drift(host, random);
    let share = 0.5_f64.sqrt();
    let of_row = |_| {
        let own = drift(host, random);
        let both: Vec<f64> = common.iter().zip(own).map(|(common, own)| share * (common + own)).collect();
        series(&both, &is_slow, host, random)
    };
    (0..ROWS).map(of_row).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn intervals_hold_on_simulated_hosts_what_the_acceptance_rule_asks_for() {
    let mut random = Rng::with_seed(20261128);
    for host in HOSTS {
        let rows: Vec<Series> = (0..12).flat_map(|_| session(&host, &mut random)).collect();
        let (held, counted) = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.held, sum.1 + row.counted));
        let poor = rows.iter().filter(|row| (row.held as f64) < 0.8 * row.counted as f64).count();
        let pooled = held as f64 / counted as f64;
        let [first, last] = [|row: &Series| row.first, |row: &Series| row.last]
            .map(|width| 100.0 * median(rows.iter().map(width).collect()));
        println!(
            "{}: {pooled:.3} held, {poor} of {} rows below 32 of 40, ±{first:.2} %, later ±{last:.2} %",
            host.name,
            rows.len()
        );
        // A host more restless than assumed is not known at once: there a few rows of many may fall short.
        let allowed = if host.drift > CALM.drift { rows.len() / 20 } else { 0 };
        assert!(pooled >= 0.93 && poor <= allowed, "{}: {pooled} {poor}", host.name);
        assert!(first <= 2.5 && last <= 2.0, "{}: ±{first} ±{last}", host.name);
    }
}

/// Returns the changes of four rows, of which the first now costs so many per cent more, within a session or two days apart.
fn verdicts(effect: f64, days_apart: bool, varies: Components, random: &mut Rng) -> Vec<Change> {
    let half = 0.5_f64.sqrt() * CALM.drift;
    let day = if days_apart { 0.7 } else { 0.0 };
    let common = [0.0, day].map(|day| day * normal(random) + half * normal(random));
    let side = |level: f64, random: &mut Rng| {
        let measured = run(level + half * normal(random), &CALM, random);
        Side::of(&[(measured, (REPETITIONS - 1) as f64)], 1, varies).unwrap()
    };
    let mut row = |at| {
        let effect = if at == 0 { effect } else { 0.0 };
        Change::between(side(common[0], random), side(common[1] + effect, random), !days_apart, 4)
    };
    (0..4).map(&mut row).collect()
}

/// Returns the components known after twelve runs of a calm host, in so many sessions.
fn after_twelve_runs(sessions: usize, random: &mut Rng) -> Components {
    let mut session = || {
        let day = 0.7 * normal(random);
        (0..12 / sessions).map(|_| run(day + CALM.drift * normal(random), &CALM, random)).collect()
    };
    pool(&[(0..sessions).map(|_| session()).collect()], Priors::VIRTUAL)
}

#[test]
fn verdicts_are_right_on_a_simulated_host() {
    const TRIES: usize = 400;
    let mut random = Rng::with_seed(20261129);
    let mut share = |effect: f64, sessions: usize, is_so: fn(&[Change]) -> bool| {
        let tries = (0..TRIES).filter(|_| {
            let varies = after_twelve_runs(sessions, &mut random);
            is_so(&verdicts(effect, sessions > 3, varies, &mut random))
        });
        tries.count() as f64 / TRIES as f64
    };
    fn is_changed(change: &Change) -> bool {
        matches!(change.verdict(0.03), Verdict::Slower | Verdict::Faster)
    }
    for (effect, sessions, expected, is_so) in [
        // Nothing has changed, and no change is reported; nor does a gate of 1 % fail.
        (0.0, 3, 0.95..=1.0, (|rows| !rows.iter().any(is_changed)) as fn(&[Change]) -> bool),
        (0.0, 6, 0.95..=1.0, |rows| !rows.iter().any(is_changed)),
        (0.0, 3, 0.99..=1.0, |rows| rows.iter().all(|row| row.is_above(0.01) != Decision::Failed)),
        // One row has changed.
        (3.0, 3, 0.9..=1.0, |rows| rows[0].verdict(0.03) == Verdict::Slower),
        (-3.0, 3, 0.9..=1.0, |rows| rows[0].verdict(0.03) == Verdict::Faster),
        (8.0, 6, 0.9..=1.0, |rows| rows[0].verdict(0.03) == Verdict::Slower),
    ] {
        let found = share(effect, sessions, is_so);
        assert!(expected.contains(&found), "{effect} % after {sessions} sessions: {found}");
    }
}
