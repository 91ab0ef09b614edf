//! Expected difference of another run from a figure, as saved in documents.

use serde::{Deserialize, Serialize};

use crate::estimate::{Component, Components, Priors};

/// Distance within which another run on this host lies from this one, 95 %. Shares: 0.015 is 1.5 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reproducibility {
    /// Another run of this session: of the same boot, less than an hour apart.
    pub session: f64,
    pub any_day: f64,
    /// Standard deviation between the runs of a session, and between sessions.
    pub run_sd: f64,
    pub day_sd: f64,
    /// Earlier runs that this is based on, and the number of their sessions.
    pub runs: usize,
    pub sessions: usize,
    /// True without saved earlier runs: then it is assumed.
    pub assumed: bool,
}

impl Reproducibility {
    /// Returns the reproducibility by these components, for a figure with the standard error `u`.
    pub fn of(components: &Components, u: Component, runs: usize, sessions: usize) -> Reproducibility {
        Reproducibility {
            session: components.this_session(u),
            any_day: components.any_day(u),
            run_sd: components.run.variance.sqrt(),
            day_sd: components.day.variance.sqrt(),
            runs,
            sessions,
            assumed: runs == 0,
        }
    }

    /// Returns the components that it was made of, or the assumptions where a document has impossible ones.
    pub fn components(&self, priors: Priors) -> Components {
        let assumed = Components::assumed(priors);
        let component = |sd: f64, more: f64, instead: Component| match sd * sd {
            variance if variance.is_finite() && (0.0..=MOST).contains(&sd) => {
                Component { variance, freedom: priors.freedom + more }
            }
            _ => instead,
        };
        let within = self.runs.saturating_sub(self.sessions) as f64 / 2.0;
        let between = self.sessions.saturating_sub(1) as f64;
        Components {
            run: component(self.run_sd, within, assumed.run),
            day: component(self.day_sd, between, assumed.day),
        }
    }
}

/// Largest possible standard deviation: runs of one thing do not differ by a factor of e.
const MOST: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    const U: Component = Component { variance: 0.003 * 0.003, freedom: 9.0 };

    #[test]
    fn what_was_kept_in_a_document_gives_the_same_widths_again() {
        let components = Components {
            run: Component { variance: 0.004 * 0.004, freedom: 3.0 + 4.5 },
            day: Component { variance: 0.008 * 0.008, freedom: 3.0 + 2.0 },
        };
        let kept = Reproducibility::of(&components, U, 12, 3);
        let again = kept.components(Priors::VIRTUAL);
        assert!(
            (again.any_day(U) - kept.any_day).abs() < 1e-12 && (again.this_session(U) - kept.session).abs() < 1e-12
        );
        assert!(kept.session < kept.any_day && !kept.assumed);
    }

    #[test]
    fn what_cannot_be_is_replaced_by_what_is_assumed() {
        let kept = Reproducibility::of(&Components::assumed(Priors::VIRTUAL), U, 0, 0);
        assert!(kept.assumed);
        for sd in [-1.0, 1e300, f64::NAN, f64::INFINITY] {
            let impossible = Reproducibility { run_sd: sd, day_sd: sd, ..kept };
            assert_eq!(impossible.components(Priors::VIRTUAL), Components::assumed(Priors::VIRTUAL), "{sd}");
        }
    }
}
