//! Other people's tools: found, started, used to build programs that are kept, and understood.
//!
//! Nothing here knows what is built, or what for.

pub(crate) mod figures;
pub mod go;
pub mod gobench;
pub mod perf;
mod private;
pub(crate) mod system;

use std::fmt;
use std::process::Command;

/// Why a tool cannot be used here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub reason: String,
    pub remedy: String,
}

/// What a line of saved output is to a tool's reader that takes it line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// One that the tool prints around its results, or a result that has been taken.
    Known,
    /// The tool's, or about what it ran, and no result; why.
    PassedOver(String),
    /// Not this tool's.
    Foreign,
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Missing {}

/// A command as it would be typed, the program first; what is not UTF-8 is replaced.
pub fn words(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}
