//! Findings of the host's checks, as a document and as a report.

pub mod document;
mod view;
