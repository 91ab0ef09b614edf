//! Processes that this one has waited for, each with what the kernel booked on it and on all that it had waited for itself, and with
//! the threads of it and of its children that were seen.
//!
//! That a child of such a process was waited for is not to be seen: its parent may have had the kernel drop it (SIGCHLD
//! ignored or `SA_NOCLDWAIT`, for a while perhaps), it may have no page faults of its own (`CLONE_VM`), and it may be gone before
//! anybody looks. What is known is the sum. Books only grow, so what is booked is at least what was seen of those that were waited
//! for; where more was seen, something was not waited for, and all that was seen is the least that there was:
//!
//! ```text
//! booked ≥ seen   all were waited for, or as good as all: the rest is of threads that nobody saw, and last switches
//! booked < seen   some were dropped: what was seen counts, each once
//! ```
//!
//! So nothing counts twice and no total is below its rows. With the exit record of every thread, what was seen is all but last
//! switches, and the total is right either way. Without, the dropped may hide in the rest; there a warning says so.

use std::collections::HashMap;

use crate::sample::watched::{Books, WaitedFor};
use crate::watch::groups::Groups;

/// Orphans are roots, too: of a program with more than these, the first are told together.
const MOST_ROOTS: usize = 4096;

#[derive(Debug, Default)]
struct Root {
    booked: Books,
    seen: Groups,
}

/// All that was waited for.
#[derive(Debug, Default)]
pub(super) struct Roots {
    by_pid: HashMap<i32, Root>,
    /// Those that are told together.
    others: Root,
}

impl Roots {
    /// Notes what was booked on a process when it was waited for, and what had been seen of it and its children.
    pub(super) fn waited_for(&mut self, pid: i32, booked: Books, seen: Groups) {
        let full = self.by_pid.len() >= MOST_ROOTS;
        // Another process has had its number, or there are too many.
        let earlier: Vec<i32> = self.by_pid.keys().copied().filter(|&other| other == pid || full).collect();
        for earlier in earlier {
            let Some(root) = self.by_pid.remove(&earlier) else { continue };
            self.others.booked += root.told();
            self.others.seen.merge(root.seen);
        }
        self.by_pid.insert(pid, Root { booked, seen });
    }

    /// Adds what was seen of a process that has ended below this one, and was noticed later.
    pub(super) fn add(&mut self, pid: i32, seen: Groups) {
        self.by_pid.get_mut(&pid).unwrap_or(&mut self.others).seen.merge(seen);
    }

    /// What was booked, where more was seen that; and how much of it was seen.
    pub(super) fn sum(&self) -> WaitedFor {
        let mut sum = WaitedFor::default();
        for root in self.all() {
            sum.booked += root.told();
            sum.seen += root.seen.sum();
        }
        sum
    }

    /// The threads that were seen.
    pub(super) fn groups(&self) -> Groups {
        let mut all = Groups::default();
        self.all().for_each(|root| all.merge(root.seen.clone()));
        all
    }

    /// Of how many more was seen than was booked: children of theirs were dropped.
    pub(super) fn dropping(&self) -> u64 {
        self.all().filter(|root| root.lacks_some()).count() as u64
    }

    fn all(&self) -> impl Iterator<Item = &Root> {
        self.by_pid.values().chain([&self.others])
    }
}

impl Root {
    /// Whether something was seen that nobody has waited for.
    fn lacks_some(&self) -> bool {
        let (booked, seen) = (self.booked, self.seen.sum());
        seen.voluntary > booked.voluntary
            || seen.involuntary > booked.involuntary
            || seen.minor_faults > booked.minor_faults
            || seen.major_faults > booked.major_faults
    }

    /// The most that is known: what was booked, or seen.
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
