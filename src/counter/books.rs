//! The parties' own books: what the kernel keeps for every thread at no cost to it.

use anyhow::Result;
use nix::unistd::{Pid, getpid, gettid};

use crate::sample::PartyUsage;
use crate::sys::clock::{monotonic_ns, process_cpu_ns, thread_cpu_ns};
use crate::sys::usage::{self, SwitchCount, ThreadStatus};

/// A set of threads whose switches and CPU time are read together.
///
/// Never the whole process's (`RUSAGE_SELF`): a helper thread's switches are not the parties'.
#[derive(Debug)]
pub struct Books {
    threads: Vec<Thread>,
    /// Whether switches are read at all, or CPU time only.
    switches: bool,
}

#[derive(Debug)]
struct Thread {
    process: Pid,
    id: Pid,
    switches: SwitchBook,
}

#[derive(Debug)]
enum SwitchBook {
    CallingThread,
    Other(ThreadStatus),
    /// /proc is absent or hides it.
    Closed,
}

impl Books {
    /// Opens the books of these threads, given as (process, thread).
    pub fn open(threads: impl IntoIterator<Item = (Pid, Pid)>, switches: bool) -> Books {
        let open = |(process, id)| {
            let switches = match ThreadStatus::open(process, id) {
                _ if id == gettid() => SwitchBook::CallingThread,
                Ok(status) => SwitchBook::Other(status),
                Err(_) => SwitchBook::Closed,
            };
            Thread { process, id, switches }
        };
        Books { threads: threads.into_iter().map(open).collect(), switches }
    }

    /// What is booked on all of them since they began; a part is `None` as soon as one thread's cannot be read.
    pub fn read(&self) -> Booked {
        let switches =
            if self.switches { self.threads.iter().map(|thread| thread.switches.read().ok()).collect() } else { None };
        let cpu_ns = self.threads.iter().map(Thread::cpu_ns).sum();
        Booked {
            at_ns: monotonic_ns(),
            cpu_ns,
            switches: switches.map(|each: Vec<SwitchCount>| SwitchCount {
                voluntary: each.iter().map(|count| count.voluntary).sum(),
                involuntary: each.iter().map(|count| count.involuntary).sum(),
            }),
        }
    }
}

impl Thread {
    /// Another process's is read as a whole: the kernel does not tell its threads' apart.
    fn cpu_ns(&self) -> Option<u64> {
        if self.process == getpid() { thread_cpu_ns(self.id) } else { process_cpu_ns(self.process) }
    }
}

impl SwitchBook {
    fn read(&self) -> Result<SwitchCount> {
        match self {
            SwitchBook::CallingThread => usage::of_calling_thread(),
            SwitchBook::Other(status) => status.read(),
            SwitchBook::Closed => anyhow::bail!("this thread's /proc status cannot be read"),
        }
    }
}

/// A reading of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    at_ns: u64,
    switches: Option<SwitchCount>,
    cpu_ns: Option<u64>,
}

impl Booked {
    /// What was booked since an earlier reading.
    pub fn since(self, earlier: Booked) -> PartyUsage {
        let switches = self.switches.zip(earlier.switches);
        PartyUsage {
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

    #[test]
    fn a_partners_waits_are_booked_and_a_helpers_are_not() {
        let (go, wait) = mpsc::channel::<()>();
        let (introduce, introduced) = mpsc::channel();
        let partner = thread::spawn(move || {
            introduce.send(gettid()).unwrap();
            while wait.recv().is_ok() {}
        });
        let helper = thread::spawn(|| (0..20).for_each(|_| thread::sleep(std::time::Duration::from_micros(100))));
        let books = Books::open([(getpid(), introduced.recv().unwrap())], true);
        let before = books.read();
        for _ in 0..5 {
            thread::sleep(std::time::Duration::from_millis(1));
            go.send(()).unwrap();
        }
        helper.join().unwrap();
        thread::sleep(std::time::Duration::from_millis(5));
        let usage = books.read().since(before);
        let switches = usage.voluntary.unwrap() + usage.involuntary.unwrap();
        assert!((1..20).contains(&switches), "{usage:?}");
        drop(go);
        partner.join().unwrap();
    }

    #[test]
    fn a_thread_that_is_not_there_has_no_numbers_instead_of_zeros() {
        // One above the largest id that a kernel can be set to give.
        let nobody = Pid::from_raw((1 << 22) + 1);
        let books = Books::open([(nobody, nobody)], true);
        let booked = books.read();
        assert_eq!((booked.switches, booked.cpu_ns), (None, None));
    }

    #[test]
    fn switches_left_out_are_absent() {
        let books = Books::open([(getpid(), gettid())], false);
        let booked = books.read();
        assert!(booked.switches.is_none() && booked.cpu_ns.is_some());
    }
}
