//! System calls as this crate needs them: processors, clocks, tokens, processes, signals.
//!
//! The crate's `unsafe` is in this folder. Nothing in it knows what a workload or a counter is.

pub mod affinity;
pub mod cgroup;
pub mod cgroup_members;
pub mod child;
pub mod clock;
pub mod cpuid;
pub mod fork;
pub mod futex;
pub mod heap;
pub mod inbox;
pub mod inherited;
pub mod launch;
pub mod layout;
pub mod mapped;
pub mod ownership;
pub mod perf;
pub mod pidfd;
pub mod policy;
pub mod reap;
pub mod rlimit;
pub mod shared;
pub mod signal;
pub mod speculation;
pub mod stand_in;
pub mod subprocess;
pub mod sysctl;
pub mod taskstats;
pub mod token;
pub mod unavailable;
pub mod usage;
