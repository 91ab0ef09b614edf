//! Kernel accounting of the participants: what the kernel records for every thread at no cost to it.

use anyhow::Result;
use nix::unistd::{Pid, getpid, gettid};
use serde::{Deserialize, Serialize};

use crate::sys::clock::{monotonic_ns, process_cpu_ns, thread_cpu_ns};
use crate::sys::usage::{self, SwitchCount, ThreadStatus};

/// Kernel accounting summed over all participants; `None` where it cannot be read or was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantUsage {
    /// Time between the two readings: the base of `cpu_ns`.
    pub wall_ns: u64,
    pub voluntary: Option<u64>,
    pub involuntary: Option<u64>,
    pub cpu_ns: Option<u64>,
}

impl ParticipantUsage {
    pub fn switches(&self) -> Option<u64> {
        Some(self.voluntary? + self.involuntary?)
    }
}

/// A set of threads whose switches and CPU time are read together.
///
/// Never the whole process's (`RUSAGE_SELF`): a helper thread's switches are not the participants'.
#[derive(Debug)]
pub struct Accounting {
    threads: Vec<Thread>,
    /// True if switches are read, false for CPU time only.
    switches: bool,
}

/// Of more threads than this only the CPU time is read, and only of those that took part: reading all would take longer than a
/// sample, need a file for each, and pull the state of waiting participants into the caches.
const CROWD: usize = 16;

#[derive(Debug)]
struct Thread {
    process: Pid,
    id: Pid,
    is_calling: bool,
    switches: SwitchAccount,
    /// Last reading; `None` if it cannot be read.
    cpu_ns: Option<u64>,
}

#[derive(Debug)]
enum SwitchAccount {
    CallingThread,
    Other(ThreadStatus),
    /// /proc is absent or hides it.
    Closed,
}

impl Accounting {
    /// Opens the accounting of these threads, given as (process, thread).
    pub fn open(threads: impl IntoIterator<Item = (Pid, Pid)>, switches: bool) -> Accounting {
        let threads: Vec<(Pid, Pid)> = threads.into_iter().collect();
        let switches = switches && threads.len() <= CROWD;
        let open = |(process, id)| {
            let is_calling = id == gettid();
            let account = match switches.then(|| ThreadStatus::open(process, id)) {
                _ if is_calling => SwitchAccount::CallingThread,
                Some(Ok(status)) => SwitchAccount::Other(status),
                Some(Err(_)) | None => SwitchAccount::Closed,
            };
            let mut thread = Thread { process, id, is_calling, switches: account, cpu_ns: None };
            thread.read_cpu_ns();
            thread
        };
        Accounting { threads: threads.into_iter().map(open).collect(), switches }
    }

    /// Lets the scheduler preempt the calling thread now if its time slice is over. Reading a thread's CPU time triggers that check:
    /// without this, beside busy threads, one sample of each slice would be interrupted by its own first reading.
    pub fn settle(&mut self) {
        self.own();
    }

    /// Returns the calling thread's CPU time and the clock: to be read last before a play and first after it, so that no other
    /// reading falls into the play. The order is the same at both ends: each of the two differences includes one reading of the
    /// other clock, so that both are equal where nothing else ran. The clock is read first, since this thread may be preempted
    /// after reading its CPU time.
    pub fn own(&mut self) -> Own {
        let at_ns = monotonic_ns();
        let own = self.threads.iter_mut().find(|thread| thread.is_calling);
        let cpu_ns = own.map_or(Some(0), |thread| {
            thread.read_cpu_ns();
            thread.cpu_ns
        });
        Own { cpu_ns, at_ns }
    }

    /// Returns the others' CPU time, constant while they wait, and all threads' switches, 10 µs of reading in /proc: to be read
    /// first before a play and last after it. A part is `None` if one thread's cannot be read. Of more than 16 threads, only those
    /// at the indices in `active` have run since the last reading.
    pub fn others(&mut self, active: Option<&[usize]>) -> Others {
        match active.filter(|_| self.threads.len() > CROWD) {
            Some(places) => places.iter().for_each(|&place| self.threads[place].read_cpu_ns_of_other()),
            None => self.threads.iter_mut().for_each(Thread::read_cpu_ns_of_other),
        }
        let switches: Option<Vec<SwitchCount>> =
            if self.switches { self.threads.iter().map(|thread| thread.switches.read().ok()).collect() } else { None };
        Others {
            cpu_ns: self.threads.iter().filter(|thread| !thread.is_calling).map(|thread| thread.cpu_ns).sum(),
            switches: switches.map(|each| SwitchCount {
                voluntary: each.iter().map(|count| count.voluntary).sum(),
                involuntary: each.iter().map(|count| count.involuntary).sum(),
            }),
        }
    }
}

/// The calling thread's part of a reading; CPU time 0 where it is not among the threads.
#[derive(Debug, Clone, Copy)]
pub struct Own {
    cpu_ns: Option<u64>,
    at_ns: u64,
}

/// The other threads' part of a reading, with the switches of all.
#[derive(Debug, Clone, Copy)]
pub struct Others {
    cpu_ns: Option<u64>,
    switches: Option<SwitchCount>,
}

impl Own {
    pub fn with(self, others: Others) -> Accounted {
        let cpu_ns = self.cpu_ns.zip(others.cpu_ns).map(|(own, others)| own + others);
        Accounted { at_ns: self.at_ns, switches: others.switches, cpu_ns }
    }
}

impl Thread {
    fn read_cpu_ns_of_other(&mut self) {
        if !self.is_calling {
            self.read_cpu_ns();
        }
    }

    /// Reads another process's CPU time as a whole: the kernel does not report it per thread.
    fn read_cpu_ns(&mut self) {
        self.cpu_ns = if self.process == getpid() { thread_cpu_ns(self.id) } else { process_cpu_ns(self.process) };
    }
}

impl SwitchAccount {
    fn read(&self) -> Result<SwitchCount> {
        match self {
            SwitchAccount::CallingThread => usage::of_calling_thread(),
            SwitchAccount::Other(status) => status.read(),
            SwitchAccount::Closed => anyhow::bail!("this thread's /proc status cannot be read"),
        }
    }
}

/// A reading of the kernel accounting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accounted {
    at_ns: u64,
    switches: Option<SwitchCount>,
    cpu_ns: Option<u64>,
}

impl Accounted {
    /// Returns the time of the reading, on the monotonic clock.
    pub fn at_ns(self) -> u64 {
        self.at_ns
    }

    /// Returns the difference from an earlier reading.
    pub fn since(self, earlier: Accounted) -> ParticipantUsage {
        let switches = self.switches.zip(earlier.switches);
        ParticipantUsage {
            wall_ns: self.at_ns - earlier.at_ns,
            voluntary: switches.map(|(now, then)| now.voluntary - then.voluntary),
            involuntary: switches.map(|(now, then)| now.involuntary - then.involuntary),
            cpu_ns: self.cpu_ns.zip(earlier.cpu_ns).map(|(now, then)| now - then),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    fn reading(accounting: &mut Accounting) -> Accounted {
        let others = accounting.others(None);
        accounting.own().with(others)
    }

    #[test]
    fn what_is_read_between_the_two_parts_is_in_neither_end() {
        let mut accounting = Accounting::open([(getpid(), gettid())], true);
        let others = accounting.others(None);
        let begin = accounting.own().with(others);
        let own = accounting.own();
        let until = monotonic_ns() + 20_000_000;
        while monotonic_ns() < until {}
        let spun_after = own.with(accounting.others(None)).since(begin);
        // The clock is part of the same reading as the CPU time, and neither includes work before the others were read.
        assert!(spun_after.cpu_ns.unwrap() < 10_000_000, "{spun_after:?}");
        assert_eq!(spun_after.wall_ns, own.at_ns - begin.at_ns);
    }

    #[test]
    fn a_partners_waits_are_accounted_and_a_helpers_are_not() {
        let (go, wait) = mpsc::channel::<()>();
        let (introduce, introduced) = mpsc::channel();
        let partner = thread::spawn(move || {
            introduce.send(gettid()).unwrap();
            while wait.recv().is_ok() {}
        });
        let helper = thread::spawn(|| (0..20).for_each(|_| thread::sleep(std::time::Duration::from_micros(100))));
        let mut accounting = Accounting::open([(getpid(), introduced.recv().unwrap())], true);
        let before = reading(&mut accounting);
        for _ in 0..5 {
            thread::sleep(std::time::Duration::from_millis(1));
            go.send(()).unwrap();
        }
        helper.join().unwrap();
        thread::sleep(std::time::Duration::from_millis(5));
        let usage = reading(&mut accounting).since(before);
        // However often another thread preempts it.
        assert!((1..20).contains(&usage.voluntary.unwrap()), "{usage:?}");
        drop(go);
        partner.join().unwrap();
    }

    #[test]
    fn a_thread_that_is_not_there_has_no_numbers_instead_of_zeros() {
        // One above the largest id that a kernel can be set to give.
        let nobody = Pid::from_raw((1 << 22) + 1);
        let mut accounting = Accounting::open([(nobody, nobody)], true);
        let accounted = reading(&mut accounting);
        assert_eq!((accounted.switches, accounted.cpu_ns), (None, None));
    }

    #[test]
    fn switches_left_out_are_absent() {
        let mut accounting = Accounting::open([(getpid(), gettid())], false);
        let accounted = reading(&mut accounting);
        assert!(accounted.switches.is_none() && accounted.cpu_ns.is_some());
    }
}
