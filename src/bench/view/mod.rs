//! How these documents are shown.

mod alike;
mod compare;
pub(crate) mod labels;
mod latency;
mod layers;
pub mod list;
pub mod prices;
mod run;
mod sweep;
