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

/// Of more threads than these only the CPU time is read, and only of those that took part: reading all would take longer than
/// a sample, need a file of each, and bring the state of parties into the caches whose turn is to find it elsewhere.
const CROWD: usize = 16;

#[derive(Debug)]
struct Thread {
    process: Pid,
    id: Pid,
    is_calling: bool,
    switches: SwitchBook,
    /// As read last; `None` if it cannot be.
    cpu_ns: Option<u64>,
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
        let threads: Vec<(Pid, Pid)> = threads.into_iter().collect();
        let switches = switches && threads.len() <= CROWD;
        let open = |(process, id)| {
            let is_calling = id == gettid();
            let book = match switches.then(|| ThreadStatus::open(process, id)) {
                _ if is_calling => SwitchBook::CallingThread,
                Some(Ok(status)) => SwitchBook::Other(status),
                Some(Err(_)) | None => SwitchBook::Closed,
            };
            let mut thread = Thread { process, id, is_calling, switches: book, cpu_ns: None };
            thread.read_cpu_ns();
            thread
        };
        Books { threads: threads.into_iter().map(open).collect(), switches }
    }

    /// What is booked on all of them since they began; a part is `None` as soon as one thread's cannot be read. Of a crowd, only
    /// those at the places in `active` have run since the last reading: the calling thread's is read anyway.
    pub fn read(&mut self, active: Option<&[usize]>) -> Booked {
        match active.filter(|_| self.threads.len() > CROWD) {
            Some(places) => places.iter().for_each(|&place| self.threads[place].read_cpu_ns()),
            None => self.threads.iter_mut().for_each(Thread::read_cpu_ns),
        }
        let switches =
            if self.switches { self.threads.iter().map(|thread| thread.switches.read().ok()).collect() } else { None };
        // Last, since it is this thread that does the reading, and next to the clock.
        self.threads.iter_mut().filter(|thread| thread.is_calling).for_each(Thread::read_cpu_ns);
        let cpu_ns = self.threads.iter().map(|thread| thread.cpu_ns).sum();
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
    fn read_cpu_ns(&mut self) {
        self.cpu_ns = if self.process == getpid() { thread_cpu_ns(self.id) } else { process_cpu_ns(self.process) };
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
        let mut books = Books::open([(getpid(), introduced.recv().unwrap())], true);
        let before = books.read(None);
        for _ in 0..5 {
            thread::sleep(std::time::Duration::from_millis(1));
            go.send(()).unwrap();
        }
        helper.join().unwrap();
        thread::sleep(std::time::Duration::from_millis(5));
        let usage = books.read(None).since(before);
        let switches = usage.voluntary.unwrap() + usage.involuntary.unwrap();
        assert!((1..20).contains(&switches), "{usage:?}");
        drop(go);
        partner.join().unwrap();
    }

    #[test]
    fn a_thread_that_is_not_there_has_no_numbers_instead_of_zeros() {
        // One above the largest id that a kernel can be set to give.
        let nobody = Pid::from_raw((1 << 22) + 1);
        let mut books = Books::open([(nobody, nobody)], true);
        let booked = books.read(None);
        assert_eq!((booked.switches, booked.cpu_ns), (None, None));
    }

    #[test]
    fn switches_left_out_are_absent() {
        let mut books = Books::open([(getpid(), gettid())], false);
        let booked = books.read(None);
        assert!(booked.switches.is_none() && booked.cpu_ns.is_some());
    }
}
