//! Answers of the system to trial calls.

/// Answers of `perf_event_open`, from the most privileged request to the least.
#[derive(Debug, Clone, PartialEq)]
pub struct PerfTrials {
    /// A software event on a CPU, for all threads.
    pub on_cpu: Result<(), Refusal>,
    /// A software event on the calling thread, kernel mode included.
    pub on_thread: Result<(), Refusal>,
    /// The same in user mode only.
    pub in_user_mode: Result<(), Refusal>,
    pub cycles: Cycles,
}

/// Quality of the hardware's cycle counter.
#[derive(Debug, Clone, PartialEq)]
pub enum Cycles {
    /// Not available.
    Refused(Refusal),
    /// They open and do not count, with the reason.
    Lying(String),
    /// They measure time rather than work, with the evidence.
    Emulated(String),
    /// They count, at this rate per ns of CPU time.
    Counting { gigahertz: f64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `None` where it was no system call that failed.
    pub errno: Option<i32>,
    /// The system's answer, as a sentence.
    pub answer: String,
}
