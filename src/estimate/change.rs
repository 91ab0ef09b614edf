//! Four verdicts on a cost measured twice: slower, faster, the same, or undecided.

use serde::{Deserialize, Serialize};

use crate::estimate::pool::half_width;
use crate::estimate::{ALPHA, Component, Components, Measurement};

/// Verdict on a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The difference is significantly below the margin.
    Same,
    Faster,
    Slower,
    /// More runs are needed.
    Undecided,
}

impl Verdict {
    pub const ALL: [Verdict; 4] = [Verdict::Same, Verdict::Faster, Verdict::Slower, Verdict::Undecided];

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::Undecided => "undecided",
        }
    }
}

/// Decision of a gate: more was lost than allowed, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Passed,
    Failed,
    Undecided,
}

impl Decision {
    pub const ALL: [Decision; 3] = [Decision::Passed, Decision::Failed, Decision::Undecided];

    pub fn name(self) -> &'static str {
        match self {
            Decision::Passed => "passed",
            Decision::Failed => "failed",
            Decision::Undecided => "undecided",
        }
    }
}

/// Runs of one side, taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    /// Mean of its runs' logarithms.
    ln: f64,
    /// Error of that mean within its runs.
    u: Component,
    runs: usize,
    sessions: usize,
    varies: Components,
}

impl Component {
    /// Returns the component between runs, with these runs taken in. None of them is treated as an outlier: they are what is
    /// judged.
    fn with(self, runs: &[(Measurement, f64)], mean: f64) -> Component {
        let k = runs.len() as f64;
        let squares: f64 = runs.iter().map(|(run, _)| (run.ln - mean).powi(2) - run.u * run.u * (1.0 - 1.0 / k)).sum();
        let freedom = self.freedom + k - 1.0;
        Component { variance: (self.freedom * self.variance + squares.max(0.0)) / freedom, freedom }
    }
}

impl Side {
    /// Returns a side of these runs, each with the degrees of freedom of its standard error, made in so many sessions on a
    /// machine that varies by `varies`; `None` without runs.
    pub fn of(runs: &[(Measurement, f64)], sessions: usize, varies: Components) -> Option<Side> {
        let k = runs.len() as f64;
        let ln = runs.iter().map(|(run, _)| run.ln).sum::<f64>() / k;
        let variance = runs.iter().map(|(run, _)| run.u * run.u).sum::<f64>() / (k * k);
        let freedom = runs.iter().map(|(_, freedom)| freedom).sum();
        let u = Component { variance, freedom };
        let varies = Components { run: varies.run.with(runs, ln), ..varies };
        (ln.is_finite() && variance.is_finite()).then_some(Side {
            ln,
            u,
            runs: runs.len(),
            sessions: sessions.max(1),
            varies,
        })
    }
}

/// Change of a cost from one side to the other, as a logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    old: Side,
    new: Side,
    of_one_session: bool,
    /// Number of changes that are judged together.
    rows: usize,
}

/// Question about a change; shares are of the old cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Question {
    /// Slower, faster, or the same within this margin.
    Verdict(f64),
    /// More than this lost, or not.
    Above(f64),
}

/// Most runs per side that are worth making to decide something.
pub const MOST_RUNS: usize = 1000;

impl Change {
    /// Returns the change between two sides, as one of `rows` that are judged together; `of_one_session` if all their runs are.
    pub fn between(old: Side, new: Side, of_one_session: bool, rows: usize) -> Change {
        Change { old, new, of_one_session, rows: rows.max(1) }
    }

    /// Returns new ÷ old − 1: the change itself and the ends of its interval, which holds for all rows at once.
    pub fn relative(&self) -> [f64; 3] {
        let (change, half) = (self.ln(), self.half_width());
        [change, change - half, change + half].map(f64::exp_m1)
    }

    fn ln(&self) -> f64 {
        self.new.ln - self.old.ln
    }

    /// Returns the smallest significant change, as a logarithm.
    ///
    /// # References
    /// Dunn: "Multiple comparisons among means", JASA 56, 1961 (Bonferroni's inequality).
    pub fn half_width(&self) -> f64 {
        self.half_width_by(self.old.runs, self.new.runs)
    }

    /// Returns the same for other numbers of runs per side, made as the present ones were.
    fn half_width_by(&self, old_runs: usize, new_runs: usize) -> f64 {
        let parts = |side: &Side, runs: usize| {
            let times = side.runs as f64 / runs as f64;
            let scaled = |part: Component, by: f64| Component { variance: part.variance * by, freedom: part.freedom };
            // Runs beyond the present ones would each be of a session of their own.
            let sessions = if runs > side.runs { runs } else { side.sessions };
            let day = if self.of_one_session { 0.0 } else { 1.0 / sessions as f64 };
            [scaled(side.u, times), scaled(side.varies.run, 1.0 / runs as f64), scaled(side.varies.day, day)]
        };
        let [u, run, day] = parts(&self.old, old_runs);
        let [other_u, other_run, other_day] = parts(&self.new, new_runs);
        // Both sides' σ are of one estimate, so their errors go together.
        let both = |one: Component, other: Component| Component {
            variance: one.variance + other.variance,
            freedom: one.freedom.min(other.freedom),
        };
        half_width(&[u, other_u, both(run, other_run), both(day, other_day)], ALPHA / self.rows as f64)
    }

    /// Returns the verdict; a significant change is slower or faster, however small it is.
    pub fn verdict(&self, margin: f64) -> Verdict {
        verdict(self.ln(), self.half_width(), margin)
    }

    /// Returns the decision on a loss of more than this share.
    pub fn is_above(&self, share: f64) -> Decision {
        decision(self.ln(), self.half_width(), share)
    }

    /// Returns the number of runs per side that would decide, if they averaged what the present ones do; `None` beyond
    /// [`MOST_RUNS`].
    pub fn runs_that_decide(&self, question: Question) -> Option<usize> {
        let decides = |runs: usize| {
            let half = self.half_width_by(runs, runs);
            match question {
                Question::Verdict(margin) => verdict(self.ln(), half, margin) != Verdict::Undecided,
                Question::Above(share) => decision(self.ln(), half, share) != Decision::Undecided,
            }
        };
        let fewest = self.old.runs.max(self.new.runs);
        (fewest..=MOST_RUNS).find(|&runs| decides(runs))
    }
}

fn verdict(change: f64, half: f64, margin: f64) -> Verdict {
    match change {
        change if change - half > 0.0 => Verdict::Slower,
        change if change + half < 0.0 => Verdict::Faster,
        change if change + half < margin.ln_1p() && change - half > -margin.ln_1p() => Verdict::Same,
        _ => Verdict::Undecided,
    }
}

fn decision(change: f64, half: f64, share: f64) -> Decision {
    match share.ln_1p() {
        limit if change - half > limit => Decision::Failed,
        limit if change + half <= limit => Decision::Passed,
        _ => Decision::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Priors;
    use crate::estimate::pool::per_cent;

    /// Returns a side of single runs, in per cent, each known to ±`u`, on a machine without saved runs.
    fn side(runs: &[f64], u: f64) -> Side {
        let runs: Vec<(Measurement, f64)> = runs.iter().map(|&run| (per_cent(run, u), 9.0)).collect();
        Side::of(&runs, 1, Components::assumed(Priors::VIRTUAL)).unwrap()
    }

    /// Returns the same on a machine whose runs repeat within this.
    fn quiet(ln: f64) -> Side {
        let component = |sd: f64| Component { variance: sd * sd, freedom: 20.0 };
        let varies = Components { run: component(0.001), day: component(0.002) };
        Side::of(&[(per_cent(ln, 0.05), 9.0)], 1, varies).unwrap()
    }

    #[track_caller]
    fn check(new: f64, verdict: Verdict, above_1: Decision) {
        let change = Change::between(quiet(0.0), quiet(new), true, 2);
        assert_eq!((change.verdict(0.03), change.is_above(0.01)), (verdict, above_1), "{change:?}");
    }

    #[test]
    fn an_uncertainty_is_as_worked_out_by_hand() {
        // 2u² + 2σ² = 2 · 0.04 + 2 · 0.25 = 0.58; ν = 0.58² / (2 · 0.04²/9 + 0.5²/3) = 4.02; t(α/2) = 3.48; U = 2.65 %.
        let change = Change::between(side(&[0.0], 0.2), side(&[2.5], 0.2), true, 2);
        assert!((change.half_width() * 100.0 - 2.65).abs() < 0.01, "{}", change.half_width());
        let [median, low, high] = change.relative();
        assert!((median - 0.025315).abs() < 1e-6 && low < 0.0 && high > 0.05, "{median} {low} {high}");
        // And of another session 2 · 1 besides: √2.58; ν = 2.58² / (0.00036 + 0.0833 + 1.3333) = 4.70; t = 3.24.
        let apart = Change::between(side(&[0.0], 0.2), side(&[2.5], 0.2), false, 2);
        assert!((apart.half_width() * 100.0 - 5.20).abs() < 0.03, "{}", apart.half_width());
        // Four runs a side halve it.
        let more = Change::between(side(&[0.0; 4], 0.2), side(&[2.5; 4], 0.2), true, 2);
        assert!(more.half_width() < 0.55 * change.half_width(), "{}", more.half_width());
    }

    #[test]
    fn there_are_four_verdicts() {
        // U is 0.4 %.
        check(0.0, Verdict::Same, Decision::Passed);
        check(2.5, Verdict::Slower, Decision::Failed);
        check(0.9, Verdict::Slower, Decision::Undecided);
        check(-0.6, Verdict::Faster, Decision::Passed);
        let open = Change::between(side(&[0.0], 0.2), side(&[2.5], 0.2), true, 2);
        assert_eq!((open.verdict(0.03), open.is_above(0.01)), (Verdict::Undecided, Decision::Undecided));
        assert_eq!(open.verdict(0.06), Verdict::Same);
        assert_eq!(open.is_above(0.06), Decision::Passed);
    }

    #[test]
    fn several_runs_a_side_bring_their_own_spread() {
        // σ² = (3 · 0.25 + 2 · 100) / 5 = 40.15; the other side's is 0.25, known by three: √(40.15/3 + 0.25) = 3.69, t = 3.18.
        let spread = Change::between(side(&[-10.0, 0.0, 10.0], 0.0), side(&[8.0], 0.0), true, 1);
        assert!((spread.half_width() - 0.1175).abs() < 0.0005, "{}", spread.half_width());
        assert_eq!(spread.verdict(0.03), Verdict::Undecided);
        let near = Change::between(side(&[-0.1, 0.0, 0.1], 0.0), side(&[8.0], 0.0), true, 1);
        assert_eq!(near.verdict(0.03), Verdict::Slower);
    }

    #[test]
    fn more_runs_decide_and_how_many_is_known() {
        let open = Change::between(side(&[0.0], 0.2), side(&[2.5], 0.2), true, 2);
        let needed = open.runs_that_decide(Question::Verdict(0.03)).unwrap();
        assert!((2..6).contains(&needed), "{needed}");
        let with = |runs: usize| Change::between(side(&vec![0.0; runs], 0.2), side(&vec![2.5; runs], 0.2), true, 2);
        assert_eq!(with(needed).verdict(0.03), Verdict::Slower);
        assert!(open.half_width_by(needed - 1, needed - 1) > 0.025 && open.half_width_by(needed, needed) < 0.025);
        let above = open.runs_that_decide(Question::Above(0.01)).unwrap();
        assert!(above > needed && with(above).is_above(0.01) == Decision::Failed, "{above}");
        // No number of runs decides a change right at the limit.
        let on_it = Change::between(side(&[0.0], 0.2), side(&[100.0 * 0.01_f64.ln_1p()], 0.2), true, 1);
        assert_eq!(on_it.runs_that_decide(Question::Above(0.01)), None);
    }

    #[test]
    fn what_has_no_run_or_no_number_is_no_side() {
        let varies = Components::assumed(Priors::VIRTUAL);
        assert_eq!(Side::of(&[], 1, varies), None);
        assert_eq!(Side::of(&[(per_cent(f64::NAN, 0.1), 9.0)], 1, varies), None);
        assert_eq!(Side::of(&[(per_cent(0.0, f64::INFINITY), 9.0)], 1, varies), None);
    }
}
