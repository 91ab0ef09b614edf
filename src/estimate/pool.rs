//! Spread between the runs of a session and between sessions, pooled from saved runs and assumptions.

use crate::estimate::ALPHA;
use crate::estimate::quantile::student_two_sided;

/// A run's measurement of a cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// Logarithm of its median.
    pub ln: f64,
    /// Standard error of that, by the run alone.
    pub u: f64,
    /// Number of runs that it is the mean of: 1, unless a session was merged.
    pub runs: u32,
}

/// Runs that followed each other.
pub type Session = Vec<Measurement>;

/// Sessions under the same conditions: only those can be expected to agree.
pub type Stratum = Vec<Session>;

/// Assumptions before any run is saved, worth so many degrees of freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priors {
    /// Standard deviation between the runs of a session.
    pub run: f64,
    /// Between sessions.
    pub day: f64,
    pub freedom: f64,
}

impl Priors {
    /// Of a virtual machine, whose neighbours come and go.
    pub const VIRTUAL: Priors = Priors { run: 0.005, day: 0.01, freedom: 3.0 };
    /// Of bare metal.
    pub const BARE: Priors = Priors { run: 0.0025, day: 0.005, freedom: 3.0 };
}

/// A variance, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    pub variance: f64,
    pub freedom: f64,
}

/// Variation beyond a single run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    pub run: Component,
    pub day: Component,
}

impl Components {
    /// Returns the assumptions without saved runs.
    pub fn assumed(priors: Priors) -> Components {
        let component = |sd: f64| Component { variance: sd * sd, freedom: priors.freedom };
        Components { run: component(priors.run), day: component(priors.day) }
    }

    /// Returns the half width, as a logarithm, of the interval for another run of the same session, from this run's own
    /// standard error and its degrees of freedom.
    pub fn this_session(&self, u: Component) -> f64 {
        half_width(&[u, self.run], ALPHA)
    }

    /// Returns the same for a run of any day.
    pub fn any_day(&self, u: Component) -> f64 {
        half_width(&[u, self.run, self.day], ALPHA)
    }
}

/// Returns the half width of an interval for something that varies by all of these, missed with the probability `alpha`.
///
/// # References
/// Welch, Biometrika 34, 1947; Satterthwaite, Biometrics Bulletin 2, 1946: the freedom of a sum of variances.
pub(super) fn half_width(parts: &[Component], alpha: f64) -> f64 {
    let variance: f64 = parts.iter().map(|part| part.variance).sum();
    let doubt: f64 = parts.iter().map(|part| part.variance * part.variance / part.freedom).sum();
    if doubt > 0.0 { student_two_sided(variance * variance / doubt, alpha) * variance.sqrt() } else { 0.0 }
}

/// Standard deviations beyond which a deviation counts as so many: one outlying run must not widen every interval.
///
/// # References
/// Huber, *Robust Statistics*, §5.2 ("proposal 2"); ISO 5725-5 has the same with 1.5.
const ODD_RUN: f64 = 2.4;
/// Below 2, so that one outlying session of two adds less to the variance than it would take to count in full.
const ODD_SESSION: f64 = 1.9;

/// Most iterations. Each brings the variance nearer to its fixed point, by a factor of about ten at the slowest in real
/// histories.
const ROUNDS: usize = 60;

/// Returns the components from the saved runs of all strata, each run compared with its session and each session with its
/// stratum, and from the assumptions. Without saved runs, those are returned.
pub fn pool(strata: &[Stratum], priors: Priors) -> Components {
    let sessions = || strata.iter().flatten().filter(|session| session.len() > 1);
    let freedom = sessions().map(|session| (session.len() - 1) as f64).sum::<f64>() / 2.0;
    let mut run = priors.run * priors.run;
    for _ in 0..ROUNDS {
        let squares: f64 = sessions().map(|session| centre_and_squares(&deviates(session, run), ODD_RUN).1).sum();
        // Half of them, as of their degrees of freedom: consecutive runs resemble each other.
        let next = (priors.freedom * priors.run * priors.run + squares / 2.0) / (priors.freedom + freedom);
        let is_steady = (next - run).abs() <= 1e-9 * run;
        run = next;
        if is_steady {
            break;
        }
    }
    let run = Component { variance: run, freedom: priors.freedom + freedom };
    Components { run, day: between(strata, priors, run.variance) }
}

/// Returns the component between sessions, given that within them.
fn between(strata: &[Stratum], priors: Priors, run: f64) -> Component {
    let means: Vec<Vec<(f64, f64)>> = strata
        .iter()
        .map(|stratum| stratum.iter().filter(|session| !session.is_empty()).map(|session| mean(session, run)).collect())
        .filter(|means: &Vec<_>| means.len() > 1)
        .collect();
    let freedom: f64 = means.iter().map(|means| (means.len() - 1) as f64).sum();
    let mut day = priors.day * priors.day;
    for _ in 0..ROUNDS {
        let of = |means: &Vec<(f64, f64)>| {
            let deviates: Vec<Deviate> =
                means.iter().map(|&(ln, explained)| Deviate { ln, explained, variance: day + explained }).collect();
            centre_and_squares(&deviates, ODD_SESSION).1
        };
        let squares: f64 = means.iter().map(of).sum();
        let next = (priors.freedom * priors.day * priors.day + squares) / (priors.freedom + freedom);
        let is_steady = (next - day).abs() <= 1e-9 * day;
        day = next;
        if is_steady {
            break;
        }
    }
    Component { variance: day, freedom: priors.freedom + freedom }
}

/// Returns a session's mean, and the part of a mean's variance that its runs explain.
fn mean(session: &Session, run: f64) -> (f64, f64) {
    let runs: u32 = session.iter().map(|measurement| measurement.runs).sum();
    (centre_and_squares(&deviates(session, run), ODD_RUN).0, run / f64::from(runs.max(1)))
}

/// A value among others with which it should agree.
struct Deviate {
    ln: f64,
    /// Part of its variance with another cause than the one sought.
    explained: f64,
    variance: f64,
}

fn deviates(session: &Session, run: f64) -> Vec<Deviate> {
    let deviate = |measurement: &Measurement| {
        let explained = measurement.u * measurement.u;
        Deviate { ln: measurement.ln, explained, variance: explained + run }
    };
    session.iter().map(deviate).collect()
}

/// Returns the centre of values, and the sum of their squared deviations from it beyond what is explained, none of more
/// standard deviations than `odd`.
fn centre_and_squares(values: &[Deviate], odd: f64) -> (f64, f64) {
    let n = values.len() as f64;
    // Factor of a value's variance around a mean that it is part of.
    let apart = 1.0 - 1.0 / n;
    let limit = |value: &Deviate| odd * (value.variance * apart).sqrt();
    let mut sorted: Vec<f64> = values.iter().map(|value| value.ln).collect();
    sorted.sort_by(f64::total_cmp);
    let mut centre = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    for _ in 0..20 {
        let cut = |value: &Deviate| (value.ln - centre).clamp(-limit(value), limit(value));
        let step = values.iter().map(cut).sum::<f64>() / n;
        centre += step;
        if step.abs() < 1e-12 {
            break;
        }
    }
    let squares: f64 = values.iter().map(|value| (value.ln - centre).abs().min(limit(value)).powi(2)).sum();
    let explained: f64 = values.iter().map(|value| value.explained * apart).sum();
    (centre, (squares - explained).max(0.0))
}

/// Returns a run for the tests: its deviation and its standard error, in per cent.
#[cfg(test)]
pub(super) fn per_cent(ln: f64, u: f64) -> Measurement {
    Measurement { ln: ln / 100.0, u: u / 100.0, runs: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checks the standard deviations of both components in per cent, with their degrees of freedom.
    #[track_caller]
    fn check(strata: &[Stratum], run: (f64, f64), day: (f64, f64)) -> Components {
        let found = pool(strata, Priors::VIRTUAL);
        for (component, (sd, freedom)) in [(found.run, run), (found.day, day)] {
            assert!((component.variance.sqrt() * 100.0 - sd).abs() < 0.0005, "{found:?}: {sd}");
            assert!((component.freedom - freedom).abs() < 1e-9, "{found:?}: {freedom}");
        }
        found
    }

    fn session(runs: &[(f64, f64)]) -> Session {
        runs.iter().map(|&(ln, u)| per_cent(ln, u)).collect()
    }

    #[test]
    fn nothing_kept_or_one_run_gives_what_is_assumed() {
        check(&[], (0.5, 3.0), (1.0, 3.0));
        check(&[vec![session(&[(5.0, 0.2)])]], (0.5, 3.0), (1.0, 3.0));
        check(&[vec![vec![]]], (0.5, 3.0), (1.0, 3.0));
    }

    #[test]
    fn the_runs_of_a_session_are_pooled_as_worked_out_by_hand() {
        // Σ d² = 0.5² + 0² + 0.5² = 0.5; Σ u²(1 - 1/3) = 3 · 0.09 · 2/3 = 0.18; SS = 0.32, df = 1.
        // σ² = (3 · 0.25 + 0.16) / 4 = 0.2275.
        check(&[vec![session(&[(-0.5, 0.3), (0.0, 0.3), (0.5, 0.3)])]], (0.2275_f64.sqrt(), 4.0), (1.0, 3.0));
        // What their own errors explain is no spread: 0.75 / 4.
        check(&[vec![session(&[(-0.1, 0.3), (0.0, 0.3), (0.1, 0.3)])]], (0.1875_f64.sqrt(), 4.0), (1.0, 3.0));
    }

    #[test]
    fn sessions_are_pooled_as_worked_out_by_hand() {
        // Σ d² of each session is 0.5: SS = 1, df = 1, σ² = (0.75 + 0.5) / 4 = 0.3125. Their means are -1 and 1: Σ d² = 2,
        // (D - 1)·σ²·mean(1/n) = 0.3125 / 2. σ²_day = (3 · 1 + 2 - 0.15625) / 4.
        let sessions = || vec![session(&[(-1.5, 0.0), (-0.5, 0.0)]), session(&[(0.5, 0.0), (1.5, 0.0)])];
        check(&[sessions()], (0.3125_f64.sqrt(), 4.0), ((4.84375_f64 / 4.0).sqrt(), 4.0));
        // Another stratum a tenth off is no spread. σ² = (0.75 + 1) / 5 = 0.35; σ²_day = (3 + 2 · (2 - 0.175)) / 5.
        let elsewhere: Stratum = sessions()
            .iter()
            .map(|session| session.iter().map(|run| Measurement { ln: run.ln + 0.1, ..*run }).collect())
            .collect();
        check(&[sessions(), elsewhere], (0.35_f64.sqrt(), 5.0), ((6.65_f64 / 5.0).sqrt(), 5.0));
    }

    #[test]
    fn an_interval_is_as_worked_out_by_hand() {
        // √(0.3² + 0.5²) = 0.583; ν = 0.34² / (0.3⁴/9 + 0.5⁴/3) = 5.32; t = 2.525.
        let components = Components::assumed(Priors::VIRTUAL);
        let u = Component { variance: 0.003 * 0.003, freedom: 9.0 };
        assert!((components.this_session(u) * 100.0 - 1.472).abs() < 0.003, "{}", components.this_session(u));
        // √(0.34 + 1) = 1.158; ν = 1.34² / (0.0009 + 0.0208 + 0.3333) = 5.058; t = 2.564.
        assert!((components.any_day(u) * 100.0 - 2.966).abs() < 0.005, "{}", components.any_day(u));
        assert_eq!(half_width(&[Component { variance: 0.0, freedom: 3.0 }], ALPHA), 0.0);
    }

    #[test]
    fn one_odd_run_does_not_triple_any_width() {
        let u = Component { variance: 0.0025 * 0.0025, freedom: 9.0 };
        for priors in [Priors::VIRTUAL, Priors::BARE] {
            let widths = |runs: &[f64], per_session: usize| {
                let sessions = runs.chunks(per_session);
                let sessions = sessions.map(|runs| session(&runs.iter().map(|&run| (run, 0.25)).collect::<Vec<_>>()));
                let components = pool(&[sessions.collect()], priors);
                [components.this_session(u), components.any_day(u)]
            };
            for earlier in 1..30 {
                for per_session in [1, 2, 5, 30] {
                    let mut runs: Vec<f64> = (0..earlier).map(|run| 0.3 * f64::from(run % 3)).collect();
                    let before = widths(&runs, per_session);
                    runs.push(7.0);
                    let after = widths(&runs, per_session);
                    for (before, after) in before.iter().zip(after) {
                        assert!(after < 3.0 * before, "{earlier} runs, {per_session} a session: {before} {after}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_machine_that_is_restless_all_the_time_is_believed() {
        let runs: Vec<(f64, f64)> = (0..12).map(|run| (if run % 2 == 0 { -2.0 } else { 2.0 }, 0.2)).collect();
        let found = pool(&[vec![session(&runs)]], Priors::VIRTUAL);
        assert!(found.run.variance.sqrt() > 0.015, "{found:?}");
    }

    proptest! {
        #[test]
        fn whatever_was_kept_gives_a_width(values in prop::collection::vec((-700.0..700.0_f64, 0.0..10.0_f64, 0..4_u8), 0..60)) {
            let mut strata: Vec<Stratum> = vec![vec![vec![]]];
            for (ln, u, way) in values {
                match way {
                    0 => strata.push(vec![vec![]]),
                    1 => strata.last_mut().unwrap().push(vec![]),
                    _ => {}
                }
                strata.last_mut().unwrap().last_mut().unwrap().push(Measurement { ln, u, runs: 1 });
            }
            let found = pool(&strata, Priors::VIRTUAL);
            let width = found.any_day(Component { variance: 1e-6, freedom: 9.0 });
            prop_assert!(width.is_finite() && width > 0.0, "{found:?}");
        }
    }
}
