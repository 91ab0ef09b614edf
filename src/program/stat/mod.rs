//! `stat`: a program's switches counted: figures, estimated cost, document and view.

pub mod bill;
pub mod document;
pub mod figures;
mod view;
