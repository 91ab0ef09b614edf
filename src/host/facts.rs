//! Facts of this host, as plain data.

use serde::{Deserialize, Serialize};

use crate::sys::cpuid::Processor;

/// Facts that change the results; `None` where they cannot be read, which is not the same as "no".
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
    /// Identification by the processor itself (CPUID); `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// First digits of the kernel's boot ID: shows that a boot lies between two runs, and identifies no host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// In the kernel's list format, like the other lists.
    pub online_cpus: Option<String>,
    pub allowed_cpus: Option<String>,
    /// The hypervisor's name; `None` also on bare metal.
    pub hypervisor: Option<String>,
    pub clocksource: Option<String>,
    /// The pinned CPU's frequency governor; `None` where this kernel does not control the frequency.
    pub frequency_governor: Option<String>,
    /// The other hardware threads of the pinned CPU's core; `None` also where it has none.
    pub smt_siblings: Option<String>,
    /// `kernel.sched_autogroup_enabled`.
    pub autogroup: Option<String>,
    /// Mitigations of the vulnerabilities that the processors have.
    pub mitigations: Option<String>,
    /// The preemption model in force, from debugfs.
    pub preemption: Option<String>,
    /// The preemption model that the kernel was started with, from its command line or configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption_at_start: Option<String>,
    /// `CONFIG_HZ`: timer ticks of a busy CPU per second, where the kernel's configuration can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_hz: Option<String>,
    /// The scheduler's base slice, from debugfs.
    pub base_slice_ns: Option<String>,
    /// `kernel.sched_rt_runtime_us`: µs of every period (one second) that real-time threads may use; -1 means all of it.
    pub sched_rt_runtime_us: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<String>,
    pub user_id: u32,
    /// Name and PID of the process that traces this one, as strace and gdb do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracer: Option<String>,
    /// The pinned CPU's data caches, nearest first; empty where the kernel does not list them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    /// Null where nothing was pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_cpu: Option<usize>,
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
    pub shared_cpus: Option<String>,
}

impl Cache {
    /// Returns the usual name: `L1d`, `L2`.
    pub fn name(&self) -> String {
        let suffix = if self.kind == "Data" { "d" } else { "" };
        format!("L{}{suffix}", self.level)
    }
}

impl Facts {
    /// Returns true if both have the same sort of processor at the same clock: by CPUID, or by model name where one has no CPUID.
    pub fn is_same_processor(&self, other: &Facts) -> bool {
        match (self.processor, other.processor) {
            (Some(one), Some(other)) => one.is_like(other),
            _ => self.cpu_model == other.cpu_model,
        }
    }

    /// Returns the CPU that the participants ran on and the reason, as reports print it.
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
