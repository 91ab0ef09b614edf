//! Cost of a switch on this host: its measurement, samples, figures, documents and views.
//!
//! Folders, lowest first: samples, the engine that takes them, the figures computed from them, documents, views. A
//! document holds figures of all kinds and a view draws documents, so that folders by kind (latency, breakdown, sweep)
//! would use each other in circles.

pub mod cost_list;
pub mod document;
pub mod engine;
pub mod external;
pub mod figures;
pub(crate) mod grouped;
pub mod left_out;
pub mod sample;
pub(crate) mod view;
