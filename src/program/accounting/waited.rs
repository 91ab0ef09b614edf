//! Accounting by wait4 of the processes that this one has waited for, including all that those had waited for, next to what was
//! seen of their threads and of their ended descendants.
//!
//! It is not visible that a child of such a process was waited for: its parent may have had the kernel drop it (SIGCHLD ignored
//! or `SA_NOCLDWAIT`, for a while perhaps), it may have no page faults of its own (`CLONE_VM`), a subreaper may have adopted it
//! between two polls. Only the sum is known. Counts only grow, so the sum is at least what was seen of those that were waited
//! for; where more was seen, something was not waited for, and what was seen is a lower bound:
//!
//! ```text
//! the sum ≥ seen   all were waited for, or nearly all: the rest is of threads that were never seen, and last switches
//! the sum < seen   some were dropped: what was seen counts, each once
//! ```
//!
//! So nothing counts twice and no total is below the sum of its rows. With an exit record of every thread, what was seen lacks
//! only last switches, and the total is right either way. Without, dropped processes may hide in the rest; a warning then says
//! so.

use crate::program::accounting::groups::Groups;
use crate::program::watched::{Accounting, WaitedFor};

/// Everything that was waited for.
#[derive(Debug, Default)]
pub(super) struct Waited {
    accounted: Accounting,
    seen: Groups,
}

impl Waited {
    /// Adds the accounting by wait4 of one process.
    pub(super) fn account(&mut self, accounted: Accounting) {
        self.accounted += accounted;
    }

    /// Adds what was seen of such a process, or of an ended descendant.
    pub(super) fn see(&mut self, seen: Groups) {
        self.seen.merge(seen);
    }

    /// Returns the accounting by wait4, or what was seen if that is more; and how much of it was seen.
    pub(super) fn sum(&self) -> WaitedFor {
        WaitedFor { accounted: self.reported(), seen: self.seen.sum() }
    }

    /// Returns the threads that were seen.
    pub(super) fn groups(&self) -> &Groups {
        &self.seen
    }

    /// Returns true if something was seen that was not waited for.
    pub(super) fn lacks_some(&self) -> bool {
        let (accounted, seen) = (self.accounted, self.seen.sum());
        seen.voluntary > accounted.voluntary
            || seen.involuntary > accounted.involuntary
            || seen.minor_faults > accounted.minor_faults
            || seen.major_faults > accounted.major_faults
    }

    fn reported(&self) -> Accounting {
        if !self.lacks_some() {
            // CPU time too: a record's may be some microseconds off.
            return self.accounted;
        }
        let (accounted, seen) = (self.accounted, self.seen.sum());
        Accounting {
            voluntary: accounted.voluntary.max(seen.voluntary),
            involuntary: accounted.involuntary.max(seen.involuntary),
            on_cpu_ns: accounted.on_cpu_ns.max(seen.on_cpu_ns + self.seen.unseen_cpu_ns),
            sys_ns: accounted.sys_ns.max(seen.sys_ns),
            minor_faults: accounted.minor_faults.max(seen.minor_faults),
            major_faults: accounted.major_faults.max(seen.major_faults),
            ..accounted
        }
    }
}
