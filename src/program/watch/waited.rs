//! What the kernel booked on the processes that this one has waited for and on all that those had waited for themselves, beside the
//! threads of them and of what ended below them that were seen.
//!
//! That a child of such a process was waited for is not to be seen: its parent may have had the kernel drop it (SIGCHLD
//! ignored or `SA_NOCLDWAIT`, for a while perhaps), it may have no page faults of its own (`CLONE_VM`), a subreaper may have adopted
//! it between two looks. What is known is the sum. Books only grow, so what is booked is at least what was seen of those that
//! were waited for; where more was seen, something was not waited for, and all that was seen is the least that there was:
//!
//! ```text
//! booked ≥ seen   all were waited for, or as good as all: the rest is of threads that nobody saw, and last switches
//! booked < seen   some were dropped: what was seen counts, each once
//! ```
//!
//! So nothing counts twice and no total is below its rows. With the exit record of every thread, what was seen is all but last
//! switches, and the total is right either way. Without, the dropped may hide in the rest; there a warning says so.

use crate::program::watch::groups::Groups;
use crate::program::watched::{Books, WaitedFor};

/// All that was waited for.
#[derive(Debug, Default)]
pub(super) struct Waited {
    booked: Books,
    seen: Groups,
}

impl Waited {
    /// Notes what was booked on a process when it was waited for.
    pub(super) fn book(&mut self, booked: Books) {
        self.booked += booked;
    }

    /// Adds what was seen of such a process, or of one that has ended below it.
    pub(super) fn see(&mut self, seen: Groups) {
        self.seen.merge(seen);
    }

    /// Returns what was booked, or seen where that is more; and how much of it was seen.
    pub(super) fn sum(&self) -> WaitedFor {
        WaitedFor { booked: self.told(), seen: self.seen.sum() }
    }

    /// The threads that were seen.
    pub(super) fn groups(&self) -> &Groups {
        &self.seen
    }

    /// Whether something was seen that nobody has waited for.
    pub(super) fn lacks_some(&self) -> bool {
        let (booked, seen) = (self.booked, self.seen.sum());
        seen.voluntary > booked.voluntary
            || seen.involuntary > booked.involuntary
            || seen.minor_faults > booked.minor_faults
            || seen.major_faults > booked.major_faults
    }

    fn told(&self) -> Books {
        if !self.lacks_some() {
            // CPU time too: a record's may be some microseconds off.
            return self.booked;
        }
        let (booked, seen) = (self.booked, self.seen.sum());
        Books {
            voluntary: booked.voluntary.max(seen.voluntary),
            involuntary: booked.involuntary.max(seen.involuntary),
            on_cpu_ns: booked.on_cpu_ns.max(seen.on_cpu_ns + self.seen.unseen_cpu_ns),
            minor_faults: booked.minor_faults.max(seen.minor_faults),
            major_faults: booked.major_faults.max(seen.major_faults),
            ..booked
        }
    }
}
