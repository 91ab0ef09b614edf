//! Where it happened: what this machine is, what is allowed on it, and what else went on.

pub mod ceilings;
pub mod checks;
pub mod facts;
pub mod limits;
pub mod memory;
pub mod placement;
pub mod probe;
pub mod surroundings;
