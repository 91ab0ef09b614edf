//! Cost of a switch on this host, by who switches and where: a program's switches are multiplied by it.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::host::placement::Placement;

/// Cost of a switch on this host, net of the calls around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchCost {
    /// The workload that it was measured with.
    pub workload: String,
    pub placement: Placement,
    /// CPU time of both sides.
    pub cpu_ns: Estimate,
    /// Wall time from one participant's work to the other's.
    pub wall_ns: Option<Estimate>,
    pub source: CostSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CostSource {
    /// A run that was saved, or named.
    Saved {
        file: String,
        started_at: String,
        /// Where and how well it was measured.
        conditions: String,
    },
    /// Measured right after the program had ended.
    Calibrated,
}

/// Costs of one kind of switch: of a thread that waits and is woken, on one CPU and across two, and of one that yields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CostPair {
    pub same: Option<SwitchCost>,
    pub across: Option<SwitchCost>,
    /// Cost of a yield, which wakes nobody; a preemption costs no more.
    #[serde(default, rename = "yield", skip_serializing_if = "Option::is_none")]
    pub yielding: Option<SwitchCost>,
}

/// Costs that a program's switch cost is estimated with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CostList {
    pub within: CostPair,
    pub between: CostPair,
}

impl CostList {
    /// Returns the list without the costs across CPUs, for a program that had one CPU.
    pub fn on_one_cpu(&self) -> CostList {
        let same = |pair: &CostPair| CostPair { across: None, ..pair.clone() };
        CostList { within: same(&self.within), between: same(&self.between) }
    }

    /// Fills in missing costs from `other`.
    pub fn fill(&mut self, other: CostList) {
        for (here, there) in [(&mut self.within, other.within), (&mut self.between, other.between)] {
            here.same = here.same.take().or(there.same);
            here.across = here.across.take().or(there.across);
            here.yielding = here.yielding.take().or(there.yielding);
        }
    }

    /// Returns every cost that is known.
    pub fn costs(&self) -> impl Iterator<Item = &SwitchCost> {
        [&self.within, &self.between].into_iter().flat_map(CostPair::all)
    }

    pub fn is_complete(&self) -> bool {
        self.costs().count() == 6
    }
}

impl CostPair {
    /// Returns those of `same` and `across` that are known.
    pub fn both(&self) -> impl Iterator<Item = &SwitchCost> {
        self.same.iter().chain(&self.across)
    }

    /// Returns every cost that is known.
    pub fn all(&self) -> impl Iterator<Item = &SwitchCost> {
        self.both().chain(&self.yielding)
    }
}
