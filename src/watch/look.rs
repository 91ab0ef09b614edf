//! A process and its threads as /proc shows them at a moment. Looking costs the process nothing but its locks, briefly.

use std::io::{self, Read};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use procfs::ProcError;
use procfs::process::{Process, Stat, Task};

use crate::sample::watched::Books;
use crate::sys::{clock, usage};

/// A process, now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProcessLook {
    pub(super) pid: i32,
    /// The process that would be told of its end.
    pub(super) parent: i32,
    pub(super) name: String,
    /// Clock ticks after boot: tells it from another that had or gets its number.
    pub(super) started: u64,
    /// Whether its ended children's books are dropped, as far as that can be seen: `SA_NOCLDWAIT` cannot.
    pub(super) ignores_children: bool,
    /// Page faults of the children that it has waited for: grows with each.
    pub(super) children_faults: u64,
    pub(super) kernel_thread: bool,
    /// CPU time of all its threads, those too that have ended; 0 of a zombie that has been waited for.
    pub(super) cpu_ns: u64,
    pub(super) threads: Vec<ThreadLook>,
    pub(super) children: Vec<i32>,
}

/// A thread, now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ThreadLook {
    pub(super) tid: i32,
    pub(super) name: String,
    pub(super) started: u64,
    /// On its way out or a zombie: what is still to come is a switch or two.
    pub(super) ending: bool,
    pub(super) books: Books,
}

/// Why there is nothing to see.
#[derive(Debug)]
pub(super) enum Unseen {
    /// There is no such process, or /proc hides it.
    Gone,
    Failed(io::Error),
}

impl From<ProcError> for Unseen {
    fn from(error: ProcError) -> Unseen {
        match error {
            ProcError::NotFound(_) => Unseen::Gone,
            // A file of /proc that is open when its process ends.
            ProcError::Io(error, _) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Unseen::Gone,
            ProcError::Io(error, _) => Unseen::Failed(error),
            ProcError::PermissionDenied(_) => Unseen::Failed(io::ErrorKind::PermissionDenied.into()),
            other => Unseen::Failed(io::Error::other(other)),
        }
    }
}

/// Looks at a process with all its threads and, if wished, its children's numbers. Threads that end meanwhile are left out.
pub(super) fn process(pid: i32, with_children: bool) -> Result<ProcessLook, Unseen> {
    let process = Process::new(pid)?;
    let stat = process.stat()?;
    let mut look = ProcessLook {
        pid,
        parent: stat.ppid,
        name: stat.comm,
        started: stat.starttime,
        ignores_children: ignores_children(&process),
        children_faults: stat.cminflt + stat.cmajflt,
        kernel_thread: stat.flags & KERNEL_THREAD != 0,
        cpu_ns: 0,
        threads: Vec::new(),
        children: Vec::new(),
    };
    for task in process.tasks()?.flatten() {
        match thread(&process, &task) {
            Ok(thread) => look.threads.push(thread),
            Err(Unseen::Gone) => continue,
            Err(failed) => return Err(failed),
        }
        if with_children {
            look.children.extend(task.children().unwrap_or_default().into_iter().map(|pid| pid as i32));
        }
    }
    look.cpu_ns = clock::process_cpu_ns(Pid::from_raw(pid)).unwrap_or_default();
    Ok(look)
}

/// Whether a process sleeps, and so has its switches booked up to now.
pub(super) fn is_asleep(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state == 'S')
}

/// The children of this process.
pub(super) fn own_children() -> Vec<i32> {
    let tasks = Process::myself().and_then(|process| process.tasks());
    let children = tasks.into_iter().flatten().flatten().filter_map(|task| task.children().ok());
    children.flatten().map(|pid| pid as i32).collect()
}

/// `PF_KTHREAD` and `PF_EXITING` of include/linux/sched.h, shown by proc_pid_stat(5).
const KERNEL_THREAD: u32 = 0x0020_0000;
const EXITING: u32 = 0x4;

fn thread(process: &Process, task: &Task) -> Result<ThreadLook, Unseen> {
    let stat = task.stat()?;
    let mut books = Books {
        minor_faults: stat.minflt,
        major_faults: stat.majflt,
        threads: 1,
        lifetime_ns: lifetime_ns(&stat),
        ..Books::default()
    };
    let text = |name| read(process, task.tid, name);
    let switches = usage::parse_status(&text("status")?).map_err(|error| Unseen::Failed(io::Error::other(error)))?;
    (books.voluntary, books.involuntary) = (switches.voluntary, switches.involuntary);
    match task.schedstat() {
        Ok(scheduler) => {
            books.on_cpu_ns = scheduler.sum_exec_runtime;
            books.run_queue_wait_ns = scheduler.run_delay;
        }
        // A kernel without CONFIG_SCHED_INFO has ticks only.
        Err(_) => {
            books.on_cpu_ns = (stat.utime + stat.stime) * tick_ns();
            books.waits_unknown = 1;
        }
    }
    match text("sched").ok().and_then(|text| migrations(&text)) {
        Some(migrations) => books.migrations = migrations,
        None => books.migrations_unknown = 1,
    }
    let ending = matches!(stat.state, 'Z' | 'X') || stat.flags & EXITING != 0;
    Ok(ThreadLook { tid: task.tid, name: stat.comm, started: stat.starttime, ending, books })
}

fn read(process: &Process, tid: i32, name: &str) -> Result<Vec<u8>, Unseen> {
    let mut file = process.open_relative(format!("task/{tid}/{name}"))?;
    let mut text = Vec::with_capacity(4096);
    match file.read_to_end(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Err(Unseen::Gone),
        Err(error) => Err(Unseen::Failed(error)),
    }
}

/// The line of `sched` with this number; the file's other lines are the scheduler's own business.
fn migrations(text: &[u8]) -> Option<u64> {
    let line = text.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"se.nr_migrations"))?;
    std::str::from_utf8(line).ok()?.rsplit(':').next()?.trim().parse().ok()
}

/// Bit 16 of `SigIgn`, for signal 17.
fn ignores_children(process: &Process) -> bool {
    const BIT: u64 = 1 << (Signal::SIGCHLD as i32 - 1);
    let mut text = String::new();
    let read = process.open_relative("status").map(|mut file| file.read_to_string(&mut text));
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    matches!(read, Ok(Ok(_))) && mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0) & BIT != 0
}

fn tick_ns() -> u64 {
    1_000_000_000 / procfs::ticks_per_second().max(1)
}

fn lifetime_ns(stat: &Stat) -> u64 {
    clock::since_boot_ns().saturating_sub(stat.starttime * tick_ns())
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
            let me = process(std::process::id() as i32, true).unwrap();
            me
        });
        let me = napping.unwrap().join().unwrap();
        let napping = me.threads.iter().find(|thread| thread.name == "napping").unwrap();
        assert!(napping.books.voluntary >= 20 && napping.books.on_cpu_ns > 0, "{napping:?}");
        assert!(napping.books.lifetime_ns >= 30_000_000, "{napping:?}");
        assert!(me.children.contains(&(child.id() as i32)), "{me:?}");
        assert!(!me.ignores_children && !me.kernel_thread);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(process(child.id() as i32, false), Err(Unseen::Gone)));
    }

    #[test]
    fn a_kernel_thread_is_known() {
        // kthreadd, which every kernel has; in a PID namespace 2 may be anything.
        if let Ok(look) = process(2, false) {
            assert_eq!(look.kernel_thread, look.name == "kthreadd", "{look:?}");
        }
    }

    #[test]
    fn migrations_are_found_or_absent() {
        assert_eq!(migrations(b"x (1)\nse.nr_migrations      :       12\n"), Some(12));
        assert_eq!(migrations(b"x (1)\n"), None);
    }
}
