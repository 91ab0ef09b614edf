//! Settings of a command, as its documents have them.

use serde::{Deserialize, Serialize};

use crate::document::invocation::Invocation;
use crate::host::facts::Facts;
use crate::host::placement::{ASKED_FOR, Placement};
use crate::perf::fallback_chain::CounterChoice;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    pub workloads: Vec<String>,
    pub repetitions: u32,
    /// Budget per workload, s.
    pub time_s: Option<f64>,
    pub samples: Option<u32>,
    pub ops_per_sample: Option<u64>,
    /// True if ops were also timed one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latency: bool,
    /// As asked for: `auto`, or a mode's name.
    pub counters: String,
    /// As asked for: a placement's name, `0,1`, or `all`.
    #[serde(default)]
    pub place: Option<String>,
    /// As asked for: `fifo:50`; null as inherited.
    #[serde(default)]
    pub policy: Option<String>,
    #[serde(default)]
    pub nice: Option<i32>,
    #[serde(default)]
    pub workers: Option<u32>,
    /// True if the breakdown of an op was to be shown, and `timeline` if a typical op was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub breakdown: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timeline: bool,
    /// Seed of the order of the rounds and of the places in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// A workload that was slowed on purpose, for a test: `thread-pipe:0.06`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected_slowdown: Option<String>,
}

impl RunSettings {
    /// Returns the command line with these words, its workloads among them, and these settings.
    pub(crate) fn invocation(&self, host: &Facts, command: &str, words: &[String]) -> Invocation {
        let cpu = host.pinned_cpu.filter(|_| host.pinned_because == ASKED_FOR);
        Invocation::of(host, command)
            .words(words)
            .option("--cpu", cpu)
            .option("--place", self.place.as_ref().filter(|place| *place != Placement::Same.name()))
            .option("--policy", self.policy.as_ref())
            .option("--nice", self.nice)
            .option("--repetitions", Some(self.repetitions))
            .option("--time", self.time_s)
            .option("--samples", self.samples)
            .option("--ops-per-sample", self.ops_per_sample)
            .option("--counters", Some(&self.counters).filter(|counters| *counters != CounterChoice::Auto.name()))
            .option("--seed", self.seed)
            .flag("--latency", self.latency)
            .flag("--breakdown", self.breakdown)
            .flag("--timeline", self.timeline)
    }

    pub fn is_realtime(&self) -> bool {
        self.policy.as_deref().is_some_and(|policy| policy.starts_with("fifo:") || policy.starts_with("rr:"))
    }
}
