//! The kernel's calls as this crate needs them: processors, clocks, pipes, processes, signals.
//!
//! All of the crate's `unsafe` is here. Nothing here knows what a workload or a counter is.

pub mod affinity;
pub mod child;
pub mod clock;
pub mod cpuid;
pub mod fork;
pub mod pipe;
pub mod signal;
pub mod sysctl;
pub mod usage;
