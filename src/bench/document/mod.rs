//! Documents of what was measured on this host, and the history of the saved ones.

pub mod compare;
pub mod cost;
pub mod history;
pub mod list;
pub mod pace;
pub mod run;
pub mod runs;
pub mod samples;
pub mod saved_runs;
pub mod settings;
pub mod sweep;
mod warnings;
