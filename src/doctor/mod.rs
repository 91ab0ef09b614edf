//! What the host's checks found, as a document and as it is shown.

pub mod document;
mod view;
