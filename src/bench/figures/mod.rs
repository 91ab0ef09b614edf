//! Figures from samples: pure arithmetic, no kernel and no output.

pub mod alike;
mod chosen;
mod counters;
mod latency;
pub mod recorded;
pub mod reference;
mod result;
mod row;
#[cfg(test)]
mod tests;
mod verdict;
pub mod warning;

pub use chosen::ReferenceLoop;
pub use counters::{Audit, CounterRecord};
pub use latency::{LatencyBucket, LatencyFigures};
pub use result::{
    CountSource, Elsewhere, KernelSwitches, NO_UNDISTURBED_SAMPLES, RunResult, SampleCounts, SwitchesRange, When,
    hand_overs_per_op,
};
pub use row::{Row, summarize};
pub use verdict::{Ratio, ratio};
pub use warning::{of_absent_records, of_counting, of_recorded_switches, of_recording, of_row, of_steal};
