//! What the system answered when something was tried out.

/// What `perf_event_open` answered, from the most that one may ask of it to the least.
#[derive(Debug, Clone, PartialEq)]
pub struct PerfTrials {
    /// A software event on a CPU, whoever runs there.
    pub on_cpu: Result<(), Refusal>,
    /// A software event on the calling thread, the kernel's side included.
    pub on_thread: Result<(), Refusal>,
    /// The same in user mode only.
    pub in_user_mode: Result<(), Refusal>,
    pub cycles: Cycles,
}

/// What the hardware's cycles turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Cycles {
    /// They are not to be had.
    Refused(Refusal),
    /// They open and do not count, and why that is so.
    Lying(String),
    /// They are time rather than work, and how that shows.
    Emulated(String),
    /// They count, so many per ns of CPU time.
    Counting { gigahertz: f64 },
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `None` where it was no system call that failed.
    pub errno: Option<i32>,
    /// What the system answered, as a sentence.
    pub answer: String,
}
