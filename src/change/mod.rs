//! Two runs, or two sides of several, and what changed between them.

pub mod diff;
pub mod rows;
mod view;
