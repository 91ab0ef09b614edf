//! ctxprof measures what context switches cost: on this host, and in your program.
//!
//! # From your own program
//!
//! [`count`] returns the number of switches that a piece of code makes:
//!
//! ```
//! use ctxprof::count::{self, Whose};
//! use std::{thread, time::Duration};
//!
//! let (answer, switches) = count::switches(Whose::CallingThread, || {
//!     thread::sleep(Duration::from_millis(1)); // the code to be counted
//!     42
//! })?;
//! assert_eq!(answer, 42);
//! assert!(switches.voluntary >= 1); // whoever sleeps gives up the CPU
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! That module is the library's stable interface. All others are the program's own, public for its benchmarks and for
//! readers, and change with it.
//!
//! # Map
//!
//! Everything of one subject is in one folder, from its engine to its view: [`mod@bench`] (the cost of a switch on this host),
//! [`program`] (a real program: its switches counted, estimated and traced), [`footprint`] (memory), [`change`] (two sides), [`doctor`].
//! [`command`] runs the commands of the command line ([`cli`]) with them.
//!
//! Below are the parts they share: [`workload`]s, [`mod@perf`] counters and the [`bpf`] object, assembled scheduler events
//! ([`sched`]), the [`host`], external [`tool`]s, [`document`]s and the folders they are saved in ([`store`]), formats ([`output`]),
//! intervals ([`estimate`]) and system calls ([`sys`]).

#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "ctxprof measures the Linux kernel and builds on Linux only; on a Mac, `cd vagrant && vagrant up` gives you one (see vagrant/ and README.md)"
);

#[cfg(target_os = "linux")]
pub mod bench;
#[cfg(target_os = "linux")]
pub mod bpf;
#[cfg(target_os = "linux")]
pub mod change;
#[cfg(target_os = "linux")]
pub mod cli;
#[cfg(target_os = "linux")]
pub mod command;
#[cfg(target_os = "linux")]
pub mod count;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
pub mod document;
#[cfg(target_os = "linux")]
pub mod estimate;
#[cfg(target_os = "linux")]
pub mod footprint;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(target_os = "linux")]
pub mod glossary;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod output;
#[cfg(target_os = "linux")]
pub mod perf;
#[cfg(target_os = "linux")]
pub mod program;
#[cfg(target_os = "linux")]
pub mod sched;
#[cfg(target_os = "linux")]
pub mod store;
#[cfg(target_os = "linux")]
pub mod sys;
#[cfg(target_os = "linux")]
pub mod text;
#[cfg(target_os = "linux")]
pub mod tool;
#[cfg(target_os = "linux")]
pub mod unit;
#[cfg(target_os = "linux")]
pub mod workload;

#[cfg(test)]
#[path = "../tests/support/generated.rs"]
mod generated;
/// Abilities of this machine, for unit tests and black-box tests alike.
#[cfg(test)]
#[path = "../tests/support/machine.rs"]
mod machine;
#[cfg(test)]
#[path = "../tests/support/program.rs"]
mod made_program;

/// Held by tests that fork, count this process's threads and files, or measure: they would interfere.
#[cfg(test)]
pub(crate) fn test_lock() -> std::sync::MutexGuard<'static, ()> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
