//! The registry of counters, and the fallback chain of ways to attach them.
//!
//! A counter declares if it fires in kernel mode: opened without it, such an event reads 0 and no error says why.

pub mod accounting;
pub mod answer;
pub mod counting;
pub(crate) mod extra;
pub mod fallback_chain;
pub mod meter;
mod meters;
mod open;
mod rate;
pub mod records;
pub mod refusal;
pub mod threads;
mod tracefs;
pub mod trial;

use perf_event::events::{Hardware, Software};

use crate::perf::counting::{CountingMode, names};
use crate::perf::meter::Ring;

/// One event that ctxprof can count.
#[derive(Debug)]
pub struct Counter {
    /// As perf prints it.
    pub name: &'static str,
    pub summary: &'static str,
    pub event: EventKind,
    pub side: Side,
    pub ring: Ring,
    pub scope: Scope,
}

/// Targets on which attaching it makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Anywhere,
    /// On a CPU only.
    Cpu,
    /// On threads only.
    Thread,
}

impl Scope {
    pub fn includes(self, mode: CountingMode) -> bool {
        match self {
            Scope::Anywhere => matches!(mode, CountingMode::Cpu | CountingMode::Thread),
            Scope::Cpu => mode == CountingMode::Cpu,
            Scope::Thread => mode == CountingMode::Thread,
        }
    }
}

/// The kernel's event family that counts it.
#[derive(Debug, Clone, Copy)]
pub enum EventKind {
    Software(Software),
    Hardware(Hardware),
    /// The `msr` PMU's time-stamp counter: CPU-wide it is wall time by a constant, never cycles.
    TimeStampCounter,
}

/// The mode that the CPU is in when the event counts.
///
/// Events that fire in the kernel, as a switch does, need [`Side::Both`] or [`Side::Kernel`], and permission to observe the
/// kernel; opened as [`Side::User`] such an event reads 0 without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Both,
    User,
    Kernel,
}

/// The counter of kernel switches.
pub static CONTEXT_SWITCHES: Counter = Counter {
    name: names::CONTEXT_SWITCHES,
    summary: "kernel switches",
    event: EventKind::Software(Software::CONTEXT_SWITCHES),
    side: Side::Both,
    ring: Ring::Outer,
    scope: Scope::Anywhere,
};

/// Software counters read beside the switches, each where it exists.
pub static SOFTWARE: &[Counter] = &[
    Counter {
        name: names::CPU_MIGRATIONS,
        summary: "threads moved to another CPU",
        event: EventKind::Software(Software::CPU_MIGRATIONS),
        side: Side::Both,
        ring: Ring::Outer,
        scope: Scope::Anywhere,
    },
    Counter {
        name: names::PAGE_FAULTS,
        summary: "pages mapped on first touch",
        event: EventKind::Software(Software::PAGE_FAULTS),
        side: Side::Both,
        ring: Ring::Outer,
        scope: Scope::Anywhere,
    },
    Counter {
        name: names::TASK_CLOCK,
        summary: "time that the participants' threads were on a CPU, ns",
        event: EventKind::Software(Software::TASK_CLOCK),
        side: Side::Both,
        ring: Ring::Outer,
        scope: Scope::Thread,
    },
    Counter {
        name: "cpu-clock",
        summary: "time that the CPU was watched, ns",
        event: EventKind::Software(Software::CPU_CLOCK),
        side: Side::Both,
        ring: Ring::Outer,
        scope: Scope::Cpu,
    },
];

const USER_CYCLES: Counter = Counter {
    name: names::USER_CYCLES,
    summary: "CPU cycles in user mode",
    event: EventKind::Hardware(Hardware::CPU_CYCLES),
    side: Side::User,
    ring: Ring::Inner,
    scope: Scope::Anywhere,
};

/// Cycles and instructions, from a hardware PMU. Ordered so that the first, which the others explain, is read next to the
/// clock.
pub static HARDWARE: &[Counter] = &[
    Counter {
        name: names::INSTRUCTIONS,
        summary: "instructions retired",
        event: EventKind::Hardware(Hardware::INSTRUCTIONS),
        side: Side::Both,
        ring: Ring::Inner,
        scope: Scope::Anywhere,
    },
    Counter {
        name: names::KERNEL_CYCLES,
        summary: "CPU cycles in the kernel",
        event: EventKind::Hardware(Hardware::CPU_CYCLES),
        side: Side::Kernel,
        ring: Ring::Inner,
        scope: Scope::Anywhere,
    },
    USER_CYCLES,
    Counter {
        name: names::CYCLES,
        summary: "CPU cycles",
        event: EventKind::Hardware(Hardware::CPU_CYCLES),
        side: Side::Both,
        ring: Ring::Inner,
        scope: Scope::Anywhere,
    },
];

/// User-mode counters of one's own threads where the kernel may not be observed. Ordered as [`HARDWARE`] is.
pub static USER_MODE: &[Counter] = &[
    Counter {
        name: names::USER_INSTRUCTIONS,
        summary: "instructions retired in user mode",
        event: EventKind::Hardware(Hardware::INSTRUCTIONS),
        side: Side::User,
        ring: Ring::Inner,
        scope: Scope::Thread,
    },
    USER_CYCLES,
];

/// Substitute for cycles where there is no PMU, under its own name.
pub static TIME_STAMP_COUNTER: Counter = Counter {
    name: "msr/tsc/",
    summary: "time-stamp counter ticks: wall time by a constant, not cycles",
    event: EventKind::TimeStampCounter,
    side: Side::Both,
    ring: Ring::Inner,
    scope: Scope::Anywhere,
};

/// Every counter, in the order in which they are listed.
pub fn all() -> impl Iterator<Item = &'static Counter> {
    std::iter::once(&CONTEXT_SWITCHES)
        .chain(SOFTWARE)
        .chain(HARDWARE.iter().rev())
        .chain(std::iter::once(&TIME_STAMP_COUNTER))
}
