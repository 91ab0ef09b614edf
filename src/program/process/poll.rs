//! A process and its threads as /proc shows them. A poll costs the process nothing but a brief hold of its locks.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::str;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};
use procfs::FromRead;
use procfs::process::{Schedstat, Stat};

use crate::program::watched::{Accounting, sys_part};
use crate::sys::{clock, usage};

/// State of a process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProcessPoll {
    pub(crate) pid: i32,
    /// The process that is notified of its end.
    pub(crate) parent: i32,
    pub(crate) name: String,
    /// Clock ticks after boot; distinguishes it from others with the same PID.
    pub(crate) started: u64,
    /// True if the accounting of its ended children is dropped, as far as visible: `SA_NOCLDWAIT` is not.
    pub(crate) ignores_children: bool,
    /// Page faults of children that it has waited for: grows with each.
    pub(crate) children_faults: u64,
    pub(crate) kernel_thread: bool,
    /// Location of its program in memory, different after every exec; 0 if it may not be read.
    pub(crate) image: u64,
    /// CPU time of all its threads, ended ones included; 0 of a zombie that has been waited for.
    pub(crate) cpu_ns: u64,
    pub(crate) threads: Vec<ThreadPoll>,
    /// Number of its threads, polled or not.
    pub(crate) thread_count: u64,
    /// True if all of them were polled.
    pub(crate) all_threads: bool,
    /// Of the threads that were polled.
    pub(crate) children: Vec<i32>,
}

/// Threads to poll.
///
/// A thread that was polled in /proc takes longer to end: the kernel has to drop its directory after it has closed its
/// accounting, and in one case of two another switch falls into that time and is not accounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// A process's first thread only, whose end is the process's.
    FirstThread,
    AllThreads,
}

/// State of a thread.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ThreadPoll {
    pub(crate) tid: i32,
    pub(crate) name: String,
    pub(crate) started: u64,
    /// Exiting or a zombie: at most a switch or two are still to come.
    pub(crate) ending: bool,
    /// The CPU that it may run on, if it is one.
    pub(crate) only_cpu: Option<usize>,
    pub(crate) accounting: Accounting,
}

/// Reason why a process cannot be polled.
#[derive(Debug)]
pub(crate) enum Unseen {
    /// There is no such process, or /proc hides it.
    Gone,
    Failed(io::Error),
}

impl From<io::Error> for Unseen {
    fn from(error: io::Error) -> Unseen {
        // Reading an open file of /proc fails with ESRCH after its process has ended.
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ESRCH) => Unseen::Gone,
            _ => Unseen::Failed(error),
        }
    }
}

/// Reads files of /proc into one buffer, each in one call if possible: a poll uses CPU time that the program could have used.
#[derive(Debug)]
pub(crate) struct Poller {
    text: Vec<u8>,
}

/// Bytes; more than any file polled has, except the children of a process with hundreds.
const USUAL_LENGTH: usize = 8192;

impl Poller {
    pub(crate) fn new() -> Poller {
        Poller { text: Vec::with_capacity(USUAL_LENGTH) }
    }

    /// Polls a process, its threads and its children's PIDs. Threads that end meanwhile are left out.
    ///
    /// # Errors
    /// There is no such process, or /proc hides it or cannot be read.
    pub(crate) fn process(&mut self, pid: i32, depth: Depth) -> Result<ProcessPoll, Unseen> {
        let folder = format!("/proc/{pid}");
        let stat = self.stat(&folder)?;
        let mut poll = ProcessPoll {
            pid,
            parent: stat.ppid,
            name: stat.comm,
            started: stat.starttime,
            ignores_children: false,
            children_faults: stat.cminflt.saturating_add(stat.cmajflt),
            kernel_thread: stat.flags & KERNEL_THREAD != 0,
            // Without address randomization (setarch -R) the stack is always at the same address, and mostly only the code
            // differs.
            image: match stat.startstack {
                0 => 0,
                stack => stack ^ stat.startcode.rotate_left(32) ^ stat.endcode,
            },
            cpu_ns: clock::process_cpu_ns(Pid::from_raw(pid)).unwrap_or_default(),
            threads: Vec::new(),
            thread_count: stat.num_threads.unsigned_abs(),
            all_threads: depth == Depth::AllThreads,
            children: Vec::new(),
        };
        let tids = match depth {
            Depth::FirstThread => vec![pid],
            Depth::AllThreads => {
                let entries = fs::read_dir(format!("{folder}/task"))?;
                let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
                entries.flatten().filter_map(number).collect()
            }
        };
        for tid in tids {
            let folder = format!("{folder}/task/{tid}");
            match self.thread(&folder, tid) {
                Ok((thread, ignores_children)) => {
                    poll.threads.push(thread);
                    poll.ignores_children = ignores_children;
                }
                Err(Unseen::Gone) => continue,
                Err(failed) => return Err(failed),
            }
            poll.children.extend(self.children(&folder));
        }
        Ok(poll)
    }

    /// Returns the process that a PID or TID belongs to.
    pub(crate) fn process_of(&mut self, id: i32) -> Option<i32> {
        let status = self.read(&format!("/proc/{id}"), "status").ok()?;
        number_of(status, b"Tgid", 10)?.try_into().ok()
    }

    /// Returns PID and name of a process's tracer; not this process, whose children may have asked it to trace them.
    pub(crate) fn tracer_of(&mut self, pid: i32) -> Option<(i32, String)> {
        let status = self.read(&format!("/proc/{pid}"), "status").ok()?;
        let tracer = number_of(status, b"TracerPid", 10)?.try_into().ok().filter(|&tracer: &i32| tracer > 0)?;
        let name = self.read(&format!("/proc/{tracer}"), "comm").map(|name| String::from_utf8_lossy(name).into_owned());
        let name = name.map_or("a process".to_string(), |name| name.trim_end_matches('\n').to_string());
        (tracer != getpid().as_raw()).then_some((tracer, name))
    }

    /// Returns the children of this process, which has one thread.
    pub(crate) fn own_children(&mut self) -> Vec<i32> {
        let pid = getpid();
        self.children(&format!("/proc/{pid}/task/{pid}"))
    }

    /// Returns true if a process sleeps, so that its switches up to now are accounted.
    pub(crate) fn is_asleep(&mut self, pid: i32) -> bool {
        self.stat(&format!("/proc/{pid}")).is_ok_and(|stat| stat.state == 'S')
    }

    /// Returns a thread, and true if its process ignores SIGCHLD.
    fn thread(&mut self, folder: &str, tid: i32) -> Result<(ThreadPoll, bool), Unseen> {
        let status = self.read(folder, "status")?;
        let switches = usage::parse_status(status).map_err(|error| Unseen::Failed(io::Error::other(error)))?;
        let ignores_children = ignores_children(status);
        // A list of one CPU is a number.
        let only_cpu = number_of(status, b"Cpus_allowed_list", 10).map(|cpu| cpu as usize);
        // After the switches: if the thread is not exiting even now, its record will have at least as many.
        let stat = self.stat(folder)?;
        let mut accounting = Accounting {
            minor_faults: stat.minflt,
            major_faults: stat.majflt,
            threads: 1,
            lifetime_ns: lifetime_ns(&stat),
            ..Accounting::default()
        };
        (accounting.voluntary, accounting.involuntary) = (switches.voluntary, switches.involuntary);
        match self.read(folder, "schedstat").ok().and_then(|text| Schedstat::from_read(text).ok()) {
            Some(scheduler) => {
                accounting.on_cpu_ns = scheduler.sum_exec_runtime;
                accounting.run_queue_wait_ns = scheduler.run_delay;
            }
            // A kernel without CONFIG_SCHED_INFO has CPU time in ticks only.
            None => {
                accounting.on_cpu_ns = stat.utime.saturating_add(stat.stime).saturating_mul(tick_ns());
                accounting.waits_unknown = 1;
            }
        }
        accounting.sys_ns = sys_part(accounting.on_cpu_ns, stat.utime, stat.stime);
        match self.read(folder, "sched").ok().and_then(migrations) {
            Some(migrations) => accounting.migrations = migrations,
            None => accounting.migrations_unknown = 1,
        }
        let ending = matches!(stat.state, 'Z' | 'X') || stat.flags & EXITING != 0;
        let (name, started) = (stat.comm, stat.starttime);
        Ok((ThreadPoll { tid, name, started, ending, only_cpu, accounting }, ignores_children))
    }

    fn stat(&mut self, folder: &str) -> Result<Stat, Unseen> {
        parse_stat(self.read(folder, "stat")?).map_err(Unseen::Failed)
    }

    fn children(&mut self, folder: &str) -> Vec<i32> {
        let text = self.read(folder, "children").unwrap_or_default();
        str::from_utf8(text).unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    fn read(&mut self, folder: &str, name: &str) -> Result<&[u8], Unseen> {
        let mut file = File::open(format!("{folder}/{name}"))?;
        self.text.resize(USUAL_LENGTH, 0);
        let mut length = file.read(&mut self.text)?;
        while length == self.text.len() {
            self.text.resize(length * 2, 0);
            length += file.read(&mut self.text[length..])?;
        }
        Ok(&self.text[..length])
    }
}

/// Parses a `stat` of /proc. procfs slices it around the name's parentheses unchecked, and panics at anything but `4711 (name)
/// S …`.
///
/// # Errors
/// The text has another form, or a number is missing.
pub(crate) fn parse_stat(text: &[u8]) -> io::Result<Stat> {
    let place = |byte| text.iter().position(|&other| other == byte).zip(text.iter().rposition(|&other| other == byte));
    let cut = |((opens, _), (_, closes)): ((usize, usize), (usize, usize))| {
        let number = text[..opens].strip_suffix(b" ")?;
        let state = text.get(closes..)?.strip_prefix(b") ")?.first()?;
        let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        (opens < closes && is_number && state.is_ascii_alphabetic()).then_some(())
    };
    if place(b'(').zip(place(b')')).and_then(cut).is_none() {
        return Err(io::Error::other("a stat of /proc is not as it should be"));
    }
    Stat::from_read(text).map_err(io::Error::other)
}

/// `PF_KTHREAD` and `PF_EXITING` of include/linux/sched.h, shown by proc_pid_stat(5).
const KERNEL_THREAD: u32 = 0x0020_0000;
const EXITING: u32 = 0x4;

/// Returns the migrations in a thread's `sched`, whose other lines vary with the scheduler.
pub(crate) fn migrations(text: &[u8]) -> Option<u64> {
    number_of(text, b"se.nr_migrations", 10)
}

/// Returns bit 16 of `SigIgn`, for signal 17.
pub(crate) fn ignores_children(status: &[u8]) -> bool {
    const BIT: u64 = 1 << (Signal::SIGCHLD as i32 - 1);
    number_of(status, b"SigIgn", 16).unwrap_or(0) & BIT != 0
}

/// Returns the number after the colon of the line that begins with `name`.
fn number_of(text: &[u8], name: &[u8], radix: u32) -> Option<u64> {
    let line = text.split(|&byte| byte == b'\n').find(|line| line.starts_with(name))?;
    u64::from_str_radix(str::from_utf8(line).ok()?.rsplit(':').next()?.trim(), radix).ok()
}

/// Returns the time since boot in clock ticks, as start times are.
pub(crate) fn ticks_since_boot() -> u64 {
    clock::since_boot_ns() / tick_ns()
}

fn tick_ns() -> u64 {
    1_000_000_000 / procfs::ticks_per_second().max(1)
}

pub(crate) fn lifetime_ns(stat: &Stat) -> u64 {
    clock::since_boot_ns().saturating_sub(stat.starttime.saturating_mul(tick_ns()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_lock;
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_process_is_seen_with_its_threads_and_children() {
        let _alone = test_lock();
        let mut child = Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let napping = thread::Builder::new().name("napping".to_string()).spawn(|| {
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(2));
            }
            Poller::new().process(std::process::id() as i32, Depth::AllThreads).unwrap()
        });
        let me = napping.unwrap().join().unwrap();
        let napping = me.threads.iter().find(|thread| thread.name == "napping").unwrap();
        assert!(napping.accounting.voluntary >= 20 && napping.accounting.on_cpu_ns > 0, "{napping:?}");
        assert!(napping.accounting.lifetime_ns >= 30_000_000, "{napping:?}");
        assert!(me.children.contains(&(child.id() as i32)), "{me:?}");
        assert!(!me.ignores_children && !me.kernel_thread);
        let first = Poller::new().process(std::process::id() as i32, Depth::FirstThread).unwrap();
        assert!(first.threads.len() == 1 && first.thread_count > 1 && !first.all_threads, "{first:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(Poller::new().process(child.id() as i32, Depth::FirstThread), Err(Unseen::Gone)));
    }

    #[test]
    fn a_kernel_thread_is_known() {
        // kthreadd, present in every kernel; in a PID namespace 2 may be anything.
        if let Ok(poll) = Poller::new().process(2, Depth::FirstThread) {
            assert_eq!(poll.kernel_thread, poll.name == "kthreadd", "{poll:?}");
        }
    }

    #[test]
    fn migrations_are_found_or_absent() {
        assert_eq!(migrations(b"x (1)\nse.nr_migrations      :       12\n"), Some(12));
        assert_eq!(migrations(b"x (1)\n"), None);
    }

    #[test]
    fn a_stat_is_read_whatever_the_process_is_called_and_nothing_else_is() {
        let rest = " S 1 ".to_string() + &"7 ".repeat(48);
        assert_eq!(parse_stat(format!("4711 (a) (b{rest}").as_bytes()).map(|stat| stat.comm).ok(), None);
        assert_eq!(parse_stat(format!("4711 (a) (b) ){rest}").as_bytes()).unwrap().comm, "a) (b) ");
        let named = [b"4711 (\xff\xfe)".as_slice(), rest.as_bytes()].concat();
        assert_eq!(parse_stat(&named).unwrap().comm, "\u{fffd}\u{fffd}");
        for text in [
            "",
            "(",
            ")",
            "()",
            "1 )(",
            "(a) S",
            " (a) S 1",
            "4711 (a)",
            "4711 (a) ",
            "4711 (a) S",
            "47\u{e9}(a) S 1",
            "4711 (a)\u{e9}S",
        ] {
            assert!(parse_stat(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ignoring_sigchld_is_one_bit_of_the_mask() {
        assert!(ignores_children(b"SigBlk:\t0000000000000000\nSigIgn:\t0000000000010000\n"));
        assert!(!ignores_children(b"SigIgn:\t0000000000001000\n") && !ignores_children(b""));
    }

    #[test]
    fn a_file_longer_than_usual_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let long = vec![b'x'; 3 * USUAL_LENGTH + 5];
        fs::write(folder.path().join("long"), &long).unwrap();
        let read = Poller::new().read(folder.path().to_str().unwrap(), "long").unwrap().to_vec();
        assert_eq!(read.len(), long.len());
    }
}
