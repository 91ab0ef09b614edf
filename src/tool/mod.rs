//! External tools: finding them, running them, building programs with them, and parsing their output.
//!
//! Nothing in this folder knows what is built, or its purpose.

pub(crate) mod figures;
pub mod go;
pub mod gobench;
pub mod perf;
mod private;
pub(crate) mod system;

use std::process::Command;

/// Kind of a line of saved output, by a tool's reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line that the tool prints around its results, or a result.
    Known,
    /// The tool's or its benchmark's output, and no result, with the reason.
    PassedOver(String),
    /// Not this tool's.
    Foreign,
}

/// Returns the words of a command, the program first; invalid UTF-8 is replaced.
pub fn words(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}
