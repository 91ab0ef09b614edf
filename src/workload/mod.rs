//! The registry of workloads: every way of passing control that can be measured.
//!
//! A workload counts its own switches where the kernel cannot (polls of a task), and reads no kernel counter. Adding
//! one is a file and a row here.

mod process_pipe;
pub mod session;
mod task_channel;
mod thread_pipe;

use anyhow::Result;

use crate::sample::{Kind, SwitchSource};
use crate::workload::session::Session;

/// One way of passing control between parties.
#[derive(Debug)]
pub struct Workload {
    pub name: &'static str,
    pub kind: Kind,
    pub summary: &'static str,
    /// What one op is.
    pub op: &'static str,
    /// Switches per op that its author expects; what is divided by is the count.
    pub expected_switches_per_op: Option<f64>,
    pub switch_source: SwitchSource,
    /// Whether `run` measures it without being told.
    pub default: bool,
    pub prepare: fn() -> Result<Box<dyn Session>>,
    /// The same calls where nothing switches, and what they are.
    pub floor: Option<Floor>,
}

/// What an op costs without its switches.
#[derive(Debug)]
pub struct Floor {
    pub summary: &'static str,
    pub prepare: fn() -> Result<Box<dyn Session>>,
}

/// Every workload, in the order in which they are listed and shown.
pub static WORKLOADS: &[Workload] = &[thread_pipe::WORKLOAD, process_pipe::WORKLOAD, task_channel::WORKLOAD];

/// The workload of this name.
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// What `run` measures when it is not told what.
pub fn defaults() -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(|workload| workload.default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_lock;
    use std::fs;

    /// What could be left behind: open files and threads of this process, and its children.
    fn left_overs() -> (usize, usize, Vec<String>) {
        let count = |folder: &str| fs::read_dir(folder).unwrap().count();
        let children = fs::read_dir("/proc/self/task")
            .unwrap()
            .flat_map(|task| {
                fs::read_to_string(task.unwrap().path().join("children"))
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(String::from)
                    .collect::<Vec<_>>()
            })
            .collect();
        (count("/proc/self/fd"), count("/proc/self/task"), children)
    }

    fn check_session(name: &str, prepare: fn() -> Result<Box<dyn Session>>, own_switches_per_op: Option<f64>) {
        let before = left_overs();
        let mut session = prepare().unwrap();
        assert!(!session.parties().is_empty(), "{name}");
        for ops in [1, 2, 100] {
            let played = session.play(ops).unwrap();
            assert!(played.elapsed_ns > 0, "{name}");
            assert_eq!(
                played.own_switches,
                own_switches_per_op.map(|per_op| (per_op * ops as f64) as u64),
                "{name}, {ops} ops"
            );
        }
        session.end().unwrap();
        assert_eq!(left_overs(), before, "{name} left files, threads or children behind");
        drop(prepare().unwrap());
        let settled = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            left_overs() == before
        });
        assert!(settled, "{name} left something behind when dropped: {:?}, before {before:?}", left_overs());
    }

    #[test]
    fn every_workload_plays_ends_and_leaves_nothing_behind() {
        let _alone = test_lock();
        for workload in WORKLOADS {
            let own = match workload.switch_source {
                SwitchSource::Polls => workload.expected_switches_per_op,
                SwitchSource::Kernel => None,
            };
            check_session(workload.name, workload.prepare, own);
            if let Some(floor) = &workload.floor {
                check_session(workload.name, floor.prepare, own.map(|_| 0.0));
            }
        }
    }

    #[test]
    fn names_are_unique_and_begin_with_their_kind() {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            assert!(workload.name.starts_with(workload.kind.name()), "{}", workload.name);
            assert!(WORKLOADS[..at].iter().all(|earlier| earlier.name != workload.name), "{}", workload.name);
        }
    }
}
