//! Threads reported together, and their accounting.

use std::collections::BTreeMap;

use crate::program::watched::{Accounting, ThreadGroup, ThreadKey};

#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    pub(super) entries: BTreeMap<ThreadKey, Entry>,
    /// CPU time that their processes' clocks have beyond these threads': of threads that ended unseen, and what exit records
    /// lack.
    pub(super) unseen_cpu_ns: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub(super) accounting: Accounting,
    pub(super) ended: u64,
    pub(super) processes: u64,
}

impl Groups {
    pub(super) fn add(&mut self, key: ThreadKey, entry: Entry) {
        let sum = self.entries.entry(key).or_default();
        sum.accounting += entry.accounting;
        sum.ended += entry.ended;
        sum.processes += entry.processes;
    }

    pub(super) fn merge(&mut self, other: Groups) {
        other.entries.into_iter().for_each(|(key, entry)| self.add(key, entry));
        self.unseen_cpu_ns += other.unseen_cpu_ns;
    }

    pub(super) fn into_list(self) -> Vec<ThreadGroup> {
        let group = |(key, entry): (ThreadKey, Entry)| {
            let Entry { accounting, ended, processes } = entry;
            ThreadGroup { key, accounting, ended, processes }
        };
        self.entries.into_iter().map(group).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn sum(&self) -> Accounting {
        self.entries.values().map(|entry| entry.accounting).sum()
    }
}
