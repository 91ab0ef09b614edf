//! What this machine is, as plain data.

use serde::{Deserialize, Serialize};

use crate::host::kernel;
use crate::sys::cpuid::Processor;

/// Facts that move the numbers; `None` where they cannot be read, which is not the same as "no".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -v`: build, and the preemption model's first word.
    pub kernel_build: String,
    /// `uname -m`.
    pub architecture: String,
    pub cpu_model: Option<String>,
    /// What the processor says that it is; `None` where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// The beginning of the kernel's name for this boot: it says of two runs whether a boot lies between them, and of the host nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// In the kernel's list format, as are the other lists.
    pub online_cpus: Option<String>,
    pub allowed_cpus: Option<String>,
    /// The hypervisor's name; `None` also on bare metal.
    pub hypervisor: Option<String>,
    pub clocksource: Option<String>,
    /// The pinned CPU's frequency governor; `None` where frequency is not this kernel's to set.
    pub frequency_governor: Option<String>,
    /// The other hardware threads of the pinned CPU's core; `None` also where it has none.
    pub smt_siblings: Option<String>,
    /// `kernel.sched_autogroup_enabled`.
    pub autogroup: Option<String>,
    /// What the kernel does about its processors' vulnerabilities, those that they have.
    pub mitigations: Option<String>,
    /// The preemption model in force, where debugfs says.
    pub preemption: Option<String>,
    /// The preemption model that the kernel was started with, where its command line or configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption_at_start: Option<String>,
    /// `CONFIG_HZ`: ticks of a busy CPU's timer per second, where the kernel's configuration can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_hz: Option<String>,
    /// The scheduler's base slice, where debugfs says.
    pub base_slice_ns: Option<String>,
    /// `kernel.sched_rt_runtime_us`: of every period (a second), what real-time threads may have; -1 is all of it.
    pub sched_rt_runtime_us: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<String>,
    pub user_id: u32,
    /// The process that traces this one, as strace and gdb do, by its name and number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracer: Option<String>,
    /// The caches of the pinned CPU that hold data, nearest first; empty where the kernel does not say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    /// Null where nothing was pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_cpu: Option<usize>,
    /// Why that one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pinned_because: String,
}

/// A cache, as the kernel or, in a guest, the hypervisor describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    pub level: u32,
    /// `Data` or `Unified`.
    pub kind: String,
    pub size_bytes: u64,
    /// The CPUs that have it in common.
    pub shared_cpus: Option<String>,
}

impl Cache {
    /// As people call it: `L1d`, `L2`.
    pub fn name(&self) -> String {
        let suffix = if self.kind == "Data" { "d" } else { "" };
        format!("L{}{suffix}", self.level)
    }
}

impl Facts {
    /// Whether the two are of one sort of processor, at one clock: by its own word, and by its name where one of them has no other.
    pub fn is_same_processor(&self, other: &Facts) -> bool {
        match (self.processor, other.processor) {
            (Some(one), Some(other)) => one.is_like(other),
            _ => self.cpu_model == other.cpu_model,
        }
    }

    /// What of the kernel decides what a switch costs, in words; `None` where nothing of it is known.
    pub fn kernel_in_words(&self) -> Option<String> {
        let model = self.preemption.as_ref().or(self.preemption_at_start.as_ref());
        let parts = [
            model.map(|model| format!("preemption {model}")),
            self.tick_hz.as_ref().map(|hz| format!("HZ {hz}")),
            self.mitigations.as_ref().map(|told| format!("mitigations: {}", kernel::mitigations_in_words(told))),
        ];
        let known: Vec<String> = parts.into_iter().flatten().collect();
        (!known.is_empty()).then(|| known.join("; "))
    }

    /// Where the parties ran and why, as reports say it.
    pub fn pinned_to(&self) -> String {
        match self.pinned_cpu {
            Some(cpu) => format!("CPU {cpu} ({})", self.pinned_because),
            None => "any CPU".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_known_by_its_own_word_and_else_by_its_name() {
        let host = |name: &str, stepping: u32, tsc_khz: f64| Facts {
            cpu_model: Some(name.to_string()),
            processor: Some(Processor { family: 25, model: 1, stepping, tsc_khz }),
            ..Facts::default()
        };
        let here = host("AMD EPYC", 1, 2_450_000.0);
        assert!(here.is_same_processor(&host("renamed by a hypervisor", 1, 2_450_900.0)));
        assert!(!here.is_same_processor(&host("AMD EPYC", 1, 2_600_000.0)));
        assert!(!here.is_same_processor(&host("AMD EPYC", 2, 2_450_000.0)));
        let unasked = |name: &str| Facts { processor: None, ..host(name, 0, 0.0) };
        assert!(here.is_same_processor(&unasked("AMD EPYC")) && !here.is_same_processor(&unasked("another")));
    }
}
