//! Rings: their size, and the steps of a sweep over it.

use serde::{Deserialize, Serialize};

/// A token ring in place of a pair: each member passes the token to the next, and an op is one hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RingShape {
    /// Two or more, the calling thread among them.
    pub participants: u64,
    /// Private memory that each member walks on its turn.
    #[serde(default)]
    pub working_set_bytes: u64,
}

impl RingShape {
    /// The smallest ring.
    pub const FEWEST: u64 = 2;
}

/// Dimension of a ring that a sweep increases from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingVariable {
    Participants,
    WorkingSet,
}

impl RingVariable {
    pub const ALL: [RingVariable; 2] = [RingVariable::Participants, RingVariable::WorkingSet];

    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            RingVariable::Participants => "ring",
            RingVariable::WorkingSet => "working-set",
        }
    }

    /// Returns a ring's value of it.
    pub fn of(self, ring: RingShape) -> u64 {
        match self {
            RingVariable::Participants => ring.participants,
            RingVariable::WorkingSet => ring.working_set_bytes,
        }
    }

    /// Returns the same ring with this value of it.
    pub fn set(self, ring: RingShape, value: u64) -> RingShape {
        match self {
            RingVariable::Participants => RingShape { participants: value, ..ring },
            RingVariable::WorkingSet => RingShape { working_set_bytes: value, ..ring },
        }
    }
}

/// The rings of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingSteps {
    pub variable: RingVariable,
    /// Members, or bytes; ascending, both ends of the range among them.
    pub steps: Vec<u64>,
    /// The ring whose other dimension all steps share.
    pub fixed: RingShape,
}

impl RingSteps {
    /// The rings, in the order of the steps.
    pub fn rings(&self) -> impl Iterator<Item = RingShape> + '_ {
        self.steps.iter().map(|&step| self.variable.set(self.fixed, step))
    }
}
