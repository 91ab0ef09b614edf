//! The counting mode, its counters, and those that are not available.

use serde::{Deserialize, Serialize};

/// Counters that were attached, and those that could not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counting {
    pub mode: CountingMode,
    /// Counters behind each sample's `counts`, in their order.
    pub counters: Vec<CounterInfo>,
    /// Counters that this system does not offer, with its answer.
    pub absent: Vec<AbsentCounter>,
    /// Better modes that were tried before this one, with the system's answers.
    pub refused: Vec<String>,
    /// Caveats about these counters.
    pub remarks: Vec<String>,
}

impl Counting {
    /// Returns no counters and no caveats.
    pub fn without_counters(mode: CountingMode) -> Counting {
        Counting { mode, counters: Vec::new(), absent: Vec::new(), refused: Vec::new(), remarks: Vec::new() }
    }
}

/// Scope in which kernel switches were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountingMode {
    /// Perf events on the pinned CPU, for all threads.
    Cpu,
    /// Perf events on the participants' threads, which slows every switch.
    Thread,
    /// Kernel accounting of every thread (getrusage, /proc), without perf.
    Rusage,
    /// Nowhere.
    None,
}

impl CountingMode {
    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            CountingMode::Cpu => "cpu",
            CountingMode::Thread => "thread",
            CountingMode::Rusage => "rusage",
            CountingMode::None => "none",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterInfo {
    /// As perf prints it: `context-switches`, `cycles:u`, `msr/tsc/`.
    pub name: String,
    pub scope: CountingMode,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentCounter {
    pub name: String,
    pub reason: String,
}

/// Names of counters that figures and columns look up.
pub mod names {
    pub const CONTEXT_SWITCHES: &str = "context-switches";
    pub const CPU_MIGRATIONS: &str = "cpu-migrations";
    pub const PAGE_FAULTS: &str = "page-faults";
    pub const TASK_CLOCK: &str = "task-clock";
    pub const CYCLES: &str = "cycles";
    pub const USER_CYCLES: &str = "cycles:u";
    pub const KERNEL_CYCLES: &str = "cycles:k";
    pub const INSTRUCTIONS: &str = "instructions";
    pub const USER_INSTRUCTIONS: &str = "instructions:u";
}

/// Threads woken, counted in a pass of its own.
pub const WAKE_UPS: &str = "sched:sched_waking";

/// Switches to the idle thread, counted in a pass of its own where the participants run on two CPUs.
pub const TO_IDLE: &str = "sched:sched_switch/next_pid==0/";

/// Calls of the function by which a program's runtime switches, counted in a pass of its own.
pub const PROBE: &str = "uprobe";

/// perf's `time_enabled` and `time_running`: equal unless the event had to share its hardware with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterTimes {
    pub enabled_ns: u64,
    pub running_ns: u64,
}
