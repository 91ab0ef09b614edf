//! A real program, followed from its first instruction to its end.

pub mod saved;
pub mod trace;
