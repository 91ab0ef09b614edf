//! A real program, followed from its first instruction to its end.

mod accounting;
pub(crate) mod process;
pub mod stat;
pub mod trace;
pub mod watch;
pub mod watched;
