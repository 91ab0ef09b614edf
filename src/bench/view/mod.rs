//! Views of these documents.

mod alike;
mod compare;
pub(crate) mod labels;
mod latency;
mod layers;
pub mod list;
pub mod prices;
mod run;
mod sweep;
