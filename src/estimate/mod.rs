//! Uncertainty of a figure: by its own run, and by what earlier runs predict of the next one. Pure arithmetic, on logarithms,
//! since a cost that is a tenth too high is as wrong for a cheap operation as for an expensive one.
//!
//! ```text
//! repetition  <  run  <  session (runs of one boot, less than an hour apart)  <  day
//!     u          σ_run                        σ_day
//! ```
//!
//! # References
//! Kalibera & Jones, "Rigorous benchmarking in reasonable time", ISMM 2013: an interval belongs to the highest level that
//! varies. ISO 5725-1: repeatability and reproducibility. JCGM 100 (GUM), F.2: a component pooled from earlier measurements.

mod change;
mod interval;
pub mod knee;
mod median;
mod pool;
mod quantile;
mod reproducibility;
#[cfg(test)]
mod simulation;
pub mod slope;

pub use change::{Change, Decision, MOST_RUNS, Question, Side, Verdict};
pub use interval::{Confidence, Estimate, median};
pub use median::standard_error;
pub use pool::{Component, Components, Measurement, Priors, Session, Stratum, pool};
pub use quantile::student_two_sided;
pub use reproducibility::Reproducibility;

/// Widest interval, high end ÷ low end, with which a ratio is shown.
pub const WIDEST_RATIO: f64 = 1.5;

/// Probability of an interval to be wrong: intervals are of 95 %.
pub const ALPHA: f64 = 0.05;
