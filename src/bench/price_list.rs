//! What a switch costs on this host, by who switches and where: what a program's switches are multiplied with.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::host::placement::Placement;

/// What a switch costs here, net of the calls around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchPrice {
    /// Whose price it is.
    pub workload: String,
    pub placement: Placement,
    /// CPU time of both sides.
    pub cpu_ns: Estimate,
    /// From one party's work to the other's, by the clock.
    pub wall_ns: Option<Estimate>,
    pub source: PriceSource,
}

/// Where a price comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriceSource {
    /// A run that was kept, or named.
    Saved {
        file: String,
        started_at: String,
        /// Where and how well it was measured.
        conditions: String,
    },
    /// Measured right after the program had ended.
    Calibrated,
}

/// The prices of one sort of switch: on one CPU and across two of a thread that waits and is woken, and of one that goes on waiting
/// for a CPU only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PricePair {
    pub same: Option<SwitchPrice>,
    pub across: Option<SwitchPrice>,
    /// What giving way costs: nobody has to be woken. A thread that is preempted pays no more.
    #[serde(default, rename = "yield", skip_serializing_if = "Option::is_none")]
    pub yielding: Option<SwitchPrice>,
}

/// The prices that a bill is made with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceList {
    pub within: PricePair,
    pub between: PricePair,
}

impl PriceList {
    /// The same without the prices across CPUs, for a program that had one.
    pub fn on_one_cpu(&self) -> PriceList {
        let same = |pair: &PricePair| PricePair { across: None, ..pair.clone() };
        PriceList { within: same(&self.within), between: same(&self.between) }
    }

    /// Takes over those prices that are missing here.
    pub fn fill(&mut self, other: PriceList) {
        for (here, there) in [(&mut self.within, other.within), (&mut self.between, other.between)] {
            here.same = here.same.take().or(there.same);
            here.across = here.across.take().or(there.across);
            here.yielding = here.yielding.take().or(there.yielding);
        }
    }

    /// Every price that there is.
    pub fn prices(&self) -> impl Iterator<Item = &SwitchPrice> {
        [&self.within, &self.between].into_iter().flat_map(PricePair::all)
    }

    /// Whether no price is missing.
    pub fn is_complete(&self) -> bool {
        self.prices().count() == 6
    }
}

impl PricePair {
    /// Those of the two that there are.
    pub fn both(&self) -> impl Iterator<Item = &SwitchPrice> {
        self.same.iter().chain(&self.across)
    }

    /// Every price that there is.
    pub fn all(&self) -> impl Iterator<Item = &SwitchPrice> {
        self.both().chain(&self.yielding)
    }
}
