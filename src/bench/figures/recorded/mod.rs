//! Breakdown of an op and a typical one as a timeline, from records of switches.
//!
//! ```text
//! events   in ────────────── waking ──── out   in ─────── out   in          of one CPU
//! replay   run slice of A ─────┼───────────┤ gap ├ run slice of B ┤ gap ├ A …
//!                             └ wait of B ─────┘
//! ```

pub mod breakdown;
mod replay;
#[cfg(test)]
mod tests;
pub mod timeline;

pub use breakdown::{Breakdown, BreakdownPart, BreakdownPartKind};
