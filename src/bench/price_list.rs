//! Cost of a switch on this host, by who switches and where: a program's switches are multiplied by it.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::host::placement::Placement;

/// Cost of a switch on this host, net of the calls around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchPrice {
    /// The workload that it was measured with.
    pub workload: String,
    pub placement: Placement,
    /// CPU time of both sides.
    pub cpu_ns: Estimate,
    /// Wall time from one participant's work to the other's.
    pub wall_ns: Option<Estimate>,
    pub source: PriceSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriceSource {
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
pub struct PricePair {
    pub same: Option<SwitchPrice>,
    pub across: Option<SwitchPrice>,
    /// Cost of a yield, which wakes nobody; a preemption costs no more.
    #[serde(default, rename = "yield", skip_serializing_if = "Option::is_none")]
    pub yielding: Option<SwitchPrice>,
}

/// Costs that a program's switch cost is estimated with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceList {
    pub within: PricePair,
    pub between: PricePair,
}

impl PriceList {
    /// Returns the list without the costs across CPUs, for a program that had one CPU.
    pub fn on_one_cpu(&self) -> PriceList {
        let same = |pair: &PricePair| PricePair { across: None, ..pair.clone() };
        PriceList { within: same(&self.within), between: same(&self.between) }
    }

    /// Fills in missing costs from `other`.
    pub fn fill(&mut self, other: PriceList) {
        for (here, there) in [(&mut self.within, other.within), (&mut self.between, other.between)] {
            here.same = here.same.take().or(there.same);
            here.across = here.across.take().or(there.across);
            here.yielding = here.yielding.take().or(there.yielding);
        }
    }

    /// Returns every cost that is known.
    pub fn prices(&self) -> impl Iterator<Item = &SwitchPrice> {
        [&self.within, &self.between].into_iter().flat_map(PricePair::all)
    }

    pub fn is_complete(&self) -> bool {
        self.prices().count() == 6
    }
}

impl PricePair {
    /// Returns those of `same` and `across` that are known.
    pub fn both(&self) -> impl Iterator<Item = &SwitchPrice> {
        self.same.iter().chain(&self.across)
    }

    /// Returns every cost that is known.
    pub fn all(&self) -> impl Iterator<Item = &SwitchPrice> {
        self.both().chain(&self.yielding)
    }
}
