//! Other people's tools: found, started, used to build programs that are kept, and understood.
//!
//! Nothing here knows what is built, or what for.

pub mod go;
mod private;
mod system;

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
