//! `stat`: a program's switches counted: figures, estimated cost, document and view.

pub mod cost_estimate;
pub mod document;
pub mod figures;
pub mod verdict;
mod view;
