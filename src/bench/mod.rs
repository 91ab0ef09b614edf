//! What a switch costs on this host: how it is measured, what was seen, the figures, their documents and views.
//!
//! Layers, lowest first: samples, the engine that takes them, the figures that are worked out of them, documents, views. A
//! document holds figures of all sorts and a view draws documents, so that folders by sort (latency, breakdown, sweep) would
//! use each other in circles.

pub mod document;
pub mod engine;
pub mod external;
pub mod figures;
pub mod left_out;
pub mod price_list;
pub mod sample;
pub(crate) mod view;
