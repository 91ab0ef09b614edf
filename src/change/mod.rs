//! Two runs, or two sides of several, and what changed between them.

pub mod diff;
mod rows;
mod view;
