//! The thread on each CPU, and each run slice and switch when it is over.

use std::collections::BTreeMap;

use crate::sched::timeline::Left;

/// A run slice: a thread on a CPU, from when it came to when it left, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSlice {
    pub cpu: u32,
    pub thread: u32,
    pub from: u64,
    pub to: u64,
    pub left: Left,
}

/// A switch: from one thread's leaving to the next one's coming, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
    pub out_of: u32,
    /// `None` where the records end first.
    pub into: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Cpu {
    Runs { thread: u32, since: u64 },
    Switches { out_of: u32, since: u64 },
}

/// Any number of CPUs, whose events are taken in the order of their times.
#[derive(Debug, Default)]
pub struct Cpus {
    cpus: BTreeMap<u32, Cpu>,
    /// In the order of their ends.
    pub run_slices: Vec<RunSlice>,
    pub gaps: Vec<Gap>,
    /// Times of events that do not match the one before, as where a record is missing.
    pub misfits: Vec<u64>,
}

impl Cpus {
    /// Returns true if a thread is on a CPU.
    pub fn runs(&self, thread: u32) -> bool {
        self.cpus.values().any(|cpu| matches!(cpu, Cpu::Runs { thread: running, .. } if *running == thread))
    }

    /// Notes a thread that is switched in.
    pub fn enter(&mut self, thread: u32, cpu: u32, at: u64) {
        match self.cpus.insert(cpu, Cpu::Runs { thread, since: at }) {
            Some(Cpu::Switches { out_of, since }) => {
                self.gaps.push(Gap { from: since, to: at, out_of, into: Some(thread) });
            }
            // It came before the first thing that was recorded there, or a record is missing.
            Some(Cpu::Runs { thread: before, since }) => {
                self.misfits.push(at);
                self.run_slices.push(RunSlice { cpu, thread: before, from: since, to: at, left: Left::Unknown });
            }
            None => self.misfits.push(at),
        }
    }

    /// Notes a thread that is switched out.
    pub fn leave(&mut self, thread: u32, cpu: u32, at: u64, left: Left) {
        let since = match self.cpus.insert(cpu, Cpu::Switches { out_of: thread, since: at }) {
            Some(Cpu::Runs { thread: running, since }) if running == thread => since,
            // The first record of this CPU: the thread ran there all the time.
            None => 0,
            Some(_) => {
                self.misfits.push(at);
                at
            }
        };
        self.run_slices.push(RunSlice { cpu, thread, from: since, to: at, left });
    }

    /// Ends the records: a thread that runs then goes on. `thread` ran on `quiet_cpu` all the time if nothing was recorded there.
    pub fn finish(&mut self, end: u64, thread: u32, quiet_cpu: u32) {
        self.cpus.entry(quiet_cpu).or_insert(Cpu::Runs { thread, since: 0 });
        for (&cpu, state) in &self.cpus {
            match *state {
                Cpu::Runs { thread, since } => {
                    self.run_slices.push(RunSlice { cpu, thread, from: since, to: end, left: Left::Stays });
                }
                Cpu::Switches { out_of, since } => {
                    self.gaps.push(Gap { from: since, to: end, out_of, into: None });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_gaps_divide_the_time_of_each_cpu() {
        let mut cpus = Cpus::default();
        cpus.leave(1, 0, 10, Left::Sleeps);
        cpus.enter(2, 0, 12);
        assert!(cpus.runs(2) && !cpus.runs(1));
        cpus.leave(2, 0, 20, Left::Preempted);
        cpus.finish(30, 9, 1);
        let slice = |cpu, thread, from, to, left| RunSlice { cpu, thread, from, to, left };
        assert_eq!(
            cpus.run_slices,
            [slice(0, 1, 0, 10, Left::Sleeps), slice(0, 2, 12, 20, Left::Preempted), slice(1, 9, 0, 30, Left::Stays)]
        );
        let gap = |from, to, out_of, into| Gap { from, to, out_of, into };
        assert_eq!((cpus.gaps, cpus.misfits), (vec![gap(10, 12, 1, Some(2)), gap(20, 30, 2, None)], vec![]));
    }

    #[test]
    fn what_cannot_be_is_noted_with_its_time() {
        let mut cpus = Cpus::default();
        cpus.enter(1, 0, 5);
        cpus.enter(2, 0, 7);
        cpus.leave(3, 0, 9, Left::Sleeps);
        assert_eq!(cpus.misfits, [5, 7, 9]);
    }
}
