//! Counting during a sample. A meter never knows which workload it measures.

use std::path::Path;

use anyhow::Result;
use nix::unistd::Pid;

use crate::perf::counting::{CounterInfo, Counting, CountingMode};
use crate::perf::records::Recorder;
use crate::perf::refusal::Refused;

/// Reads a fixed set of counters around each sample.
///
/// ```text
/// Outer begin ── others' accounting ── Inner begin ── clock, own CPU time ── ops ── clock, own CPU time ── Inner end ── others' accounting ── Outer end
/// ```
///
/// Counters of switches bracket the kernel accounting, so that its switches are always among those counted. Counters of work
/// (cycles) lie within it, so that reading it is not counted as work; innermost are the calling thread's CPU time and a clock,
/// since any reading by this thread within them would be CPU time of the participants. Within a ring the counters are read in
/// opposite orders at the two ends, so that the first of a ring is read farthest out.
pub trait Meter {
    /// Returns the counters; one place in `readings` each, in this order.
    fn counters(&self) -> &[CounterInfo];

    /// Returns true if counting switches slows every counted switch, so that it is off while time is measured.
    fn switches_on_demand(&self) -> bool {
        false
    }

    /// Turns counting of switches on or off where that is done on demand; else does nothing.
    ///
    /// # Errors
    /// The kernel refuses the event that it allowed before.
    fn count_switches(&mut self, _on: bool) -> Result<()> {
        Ok(())
    }

    /// Reads the counters of a ring into their places of `readings`; `None` for one that is not counting.
    ///
    /// # Errors
    /// The kernel refuses to read, for example because the CPU went offline.
    fn read(&mut self, ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()>;
}

/// Distance from the clock at which a counter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    Outer,
    Inner,
}

/// The end of a sample that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Begin,
    End,
}

/// A counter's value and times since it was opened. `RESET` does not clear the times: use differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    pub count: u64,
    pub enabled_ns: u64,
    pub running_ns: u64,
}

/// A meter and the way it was attached.
pub struct Attached {
    pub meter: Box<dyn Meter>,
    pub counting: Counting,
}

impl Attached {
    /// Returns a meter without perf events; `refused` lists the modes tried before.
    pub fn without_events(mode: CountingMode, refused: Vec<String>) -> Attached {
        let counting = Counting { refused, ..Counting::without_counters(mode) };
        Attached { meter: Box::new(NoMeter), counting }
    }
}

struct NoMeter;

impl Meter for NoMeter {
    fn counters(&self) -> &[CounterInfo] {
        &[]
    }

    fn read(&mut self, _: Ring, _: Edge, _: &mut [Option<Reading>]) -> Result<()> {
        Ok(())
    }
}

/// Attaches meters; the engine does so once, and again after a pass without one or a move to other CPUs.
pub trait Attach {
    /// Attaches one to participants on these CPUs, the calling thread's first; called again, in the same mode.
    ///
    /// # Errors
    /// The mode requested by name is refused.
    fn attach(&mut self, cpus: &[usize]) -> Result<Attached>;

    /// Attaches counters that need a pass of their own, since they slow the participants.
    ///
    /// # Errors
    /// It is not needed, or not available.
    fn attach_extra(&mut self, extra: &Extra<'_>, cpus: &[usize]) -> Result<Attached, Refused>;

    /// Opens a recorder of every switch of these threads on these CPUs, also in a pass of its own.
    ///
    /// # Errors
    /// It is not available.
    fn recorder(&mut self, cpus: &[usize], participants: &[Pid]) -> Result<Recorder, Refused>;
}

/// Counters that need a pass of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra<'a> {
    /// User-mode counters where the kernel may not be observed. Must be the last pass: it slows what follows for a second.
    UserMode,
    /// Threads woken from these CPUs.
    WakeUps,
    /// Switches to the idle thread on these CPUs.
    ToIdle,
    /// Calls of a function of a program, on these CPUs.
    Probe { program: &'a Path, function: &'a str },
}

/// A scripted meter: for tests of everything above the kernel.
#[cfg(test)]
pub mod scripted {
    use super::*;

    /// Counters that grow by fixed steps from one read to the next; the first counts switches, on demand.
    pub struct Scripted {
        counters: Vec<CounterInfo>,
        script: Vec<(Ring, u64)>,
        now: Vec<Reading>,
        counts_switches: bool,
        on_demand: bool,
    }

    impl Scripted {
        pub fn new(counters: &[(&str, Ring, u64)]) -> Scripted {
            let info = |name: &str| CounterInfo { name: name.to_string(), scope: CountingMode::Cpu };
            Scripted {
                counters: counters.iter().map(|(name, ..)| info(name)).collect(),
                script: counters.iter().map(|&(_, ring, step)| (ring, step)).collect(),
                now: vec![Reading::default(); counters.len()],
                counts_switches: false,
                on_demand: true,
            }
        }

        /// The same script with nothing on demand.
        pub fn always_on(self) -> Scripted {
            Scripted { counts_switches: true, on_demand: false, ..self }
        }
    }

    impl Meter for Scripted {
        fn counters(&self) -> &[CounterInfo] {
            &self.counters
        }

        fn switches_on_demand(&self) -> bool {
            self.on_demand && !self.counters.is_empty()
        }

        fn count_switches(&mut self, on: bool) -> Result<()> {
            self.counts_switches = on;
            Ok(())
        }

        fn read(&mut self, ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
            for (at, &(_, step)) in self.script.iter().enumerate().filter(|(_, (of, _))| *of == ring) {
                if edge == Edge::End {
                    self.now[at].count += step;
                    self.now[at].enabled_ns += 1000;
                    self.now[at].running_ns += 500;
                }
                readings[at] = Some(self.now[at]).filter(|_| at > 0 || self.counts_switches);
            }
            Ok(())
        }
    }
}
