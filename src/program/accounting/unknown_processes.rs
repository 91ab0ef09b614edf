//! Processes of unknown parentage, whose exit records are held until their parents are known.

use std::collections::HashMap;

use crate::sys::taskstats::ExitRecord;

/// Most processes held: more than end on a machine in a few rounds.
const MOST_UNKNOWN_PROCESSES: usize = 100_000;

/// Processes that may be of the program, or of any other.
#[derive(Debug, Default)]
pub(super) struct UnknownProcesses(HashMap<i32, UnknownProcess>);

#[derive(Debug)]
struct UnknownProcess {
    parent: i32,
    records: Vec<ExitRecord>,
    round: u64,
}

impl UnknownProcesses {
    /// Holds the record of a thread of this process, as long as there is room.
    pub(super) fn hold(&mut self, pid: i32, record: ExitRecord, round: u64) {
        if self.0.len() < MOST_UNKNOWN_PROCESSES {
            let unknown_process = UnknownProcess { parent: record.parent, records: Vec::new(), round };
            self.0.entry(pid).or_insert(unknown_process).records.push(record);
        }
    }

    /// Returns the records of a process, and holds them no longer.
    pub(super) fn take(&mut self, pid: i32) -> Vec<ExitRecord> {
        self.0.remove(&pid).map_or(Vec::new(), |unknown_process| unknown_process.records)
    }

    /// Returns a process whose parent is known.
    pub(super) fn find(&self, is_known: impl Fn(i32) -> bool) -> Option<i32> {
        self.0.iter().find(|(_, unknown_process)| is_known(unknown_process.parent)).map(|(&pid, _)| pid)
    }

    /// Forgets those held since a round that is long ago.
    pub(super) fn forget(&mut self, is_long_ago: impl Fn(u64) -> bool) {
        self.0.retain(|_, unknown_process| !is_long_ago(unknown_process.round));
    }
}
