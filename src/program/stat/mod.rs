//! A program's switches counted: figures, what they cost it, document and view.

pub mod bill;
pub mod document;
pub mod figures;
mod view;
