//! Other languages' tools: found, and used to build programs that are kept.
//!
//! Nothing here knows what is built, or what for.

mod errand;
pub mod go;
mod private;

use std::fmt;

/// Why a tool cannot be used here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub reason: String,
    pub remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Missing {}
