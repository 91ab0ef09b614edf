//! Views of these documents.

mod alike;
mod breakdown;
mod claim;
mod compare;
pub mod costs;
pub(crate) mod labels;
mod latency;
pub mod list;
mod quality;
mod run;
mod runs;
mod sweep;
