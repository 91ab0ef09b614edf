//! Kernel accounting of a real program's threads and processes, as seen by a watch.

use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::perf::threads::ThreadCounting;

/// Kernel accounting of a thread, which costs it nothing; or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Switches at which the thread had to wait.
    pub voluntary: u64,
    /// Switches at which it was still runnable.
    pub involuntary: u64,
    pub on_cpu_ns: u64,
    /// The part of it that was spent in the kernel.
    pub sys_ns: u64,
    /// Time that it was runnable without a CPU.
    pub run_queue_wait_ns: u64,
    pub migrations: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    /// Time that it existed while it was watched.
    pub lifetime_ns: u64,
    /// Number of threads that this is the accounting of.
    pub threads: u64,
    /// Threads among them whose run-queue wait is unknown, and those whose migrations are.
    pub waits_unknown: u64,
    pub migrations_unknown: u64,
}

impl Accounting {
    pub fn switches(&self) -> u64 {
        self.voluntary + self.involuntary
    }

    /// Returns this accounting of the threads seen, with the figures that wait4 reports replaced by `accounted`.
    pub fn with_accounted(self, accounted: Accounting) -> Accounting {
        Accounting {
            voluntary: accounted.voluntary,
            involuntary: accounted.involuntary,
            on_cpu_ns: accounted.on_cpu_ns,
            sys_ns: accounted.sys_ns,
            minor_faults: accounted.minor_faults,
            major_faults: accounted.major_faults,
            ..self
        }
    }
}

/// Returns the part of an exact CPU time that was spent in the kernel, by the kernel's less exact user and system times: most
/// kernels count those by sampling at ticks.
pub fn sys_part(on_cpu_ns: u64, user: u64, sys: u64) -> u64 {
    let share = if sys == 0 { 0.0 } else { sys as f64 / (user as f64 + sys as f64) };
    ((on_cpu_ns as f64 * share) as u64).min(on_cpu_ns)
}

impl AddAssign for Accounting {
    fn add_assign(&mut self, other: Accounting) {
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.on_cpu_ns += other.on_cpu_ns;
        self.sys_ns += other.sys_ns;
        self.run_queue_wait_ns += other.run_queue_wait_ns;
        self.migrations += other.migrations;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.lifetime_ns += other.lifetime_ns;
        self.threads += other.threads;
        self.waits_unknown += other.waits_unknown;
        self.migrations_unknown += other.migrations_unknown;
    }
}

impl Sum for Accounting {
    fn sum<I: Iterator<Item = Accounting>>(accounting: I) -> Accounting {
        accounting.fold(Accounting::default(), |mut sum, each| {
            sum += each;
            sum
        })
    }
}

impl SubAssign for Accounting {
    /// Subtracts counts and times, down to 0; the numbers of threads stay.
    fn sub_assign(&mut self, other: Accounting) {
        let less = |value: &mut u64, by: u64| *value = value.saturating_sub(by);
        less(&mut self.voluntary, other.voluntary);
        less(&mut self.involuntary, other.involuntary);
        less(&mut self.on_cpu_ns, other.on_cpu_ns);
        less(&mut self.sys_ns, other.sys_ns);
        less(&mut self.run_queue_wait_ns, other.run_queue_wait_ns);
        less(&mut self.migrations, other.migrations);
        less(&mut self.minor_faults, other.minor_faults);
        less(&mut self.major_faults, other.major_faults);
        less(&mut self.lifetime_ns, other.lifetime_ns);
    }
}

/// Threads reported together: all of one name in all processes of one name, or a single one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadKey {
    pub process: String,
    pub thread: String,
    /// PID and TID, if each thread is reported by itself.
    pub ids: Option<(i32, i32)>,
    /// True if of the program itself, not of a descendant process.
    pub of_program: bool,
    /// True if it was alone in its process, so that its switches were all to other processes.
    pub alone: bool,
}

impl ThreadKey {
    /// Returns the thread's name, with its process's if that differs.
    pub fn name(&self) -> String {
        let id = self.ids.map_or(String::new(), |(_, tid)| format!(" {tid}"));
        if self.process == self.thread {
            format!("{}{id}", self.thread)
        } else {
            format!("{}/{}{id}", self.process, self.thread)
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ThreadGroup {
    pub key: ThreadKey,
    pub accounting: Accounting,
    /// Those that have ended.
    pub ended: u64,
    /// Those that are the first of their process.
    pub processes: u64,
}

/// Everything seen of a program from beginning to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    pub program: Program,
    pub elapsed: Duration,
    pub ended: ProgramEnd,
    /// Signal that asked for the report while a program started by this process was running.
    pub interrupted_by: Option<Signal>,
    /// Every thread that was seen.
    pub groups: Vec<ThreadGroup>,
    /// Accounting by wait4 of processes that were waited for, and how much of it is in `groups`; `None` of an attached program.
    pub waited_for: Option<WaitedFor>,
    /// CPU time of the other processes that is in none of their threads' accounting.
    pub unseen_cpu_ns: u64,
    /// The CPU that all its threads were confined to, if it was one.
    pub only_cpu: Option<usize>,
    /// Use of the kernel's exit records.
    pub exit_records: ExitRecordsUse,
    pub caveats: Caveats,
    /// perf's counters on the threads, if asked for.
    pub counting: Option<ThreadCounting>,
    /// Number of polls of the program, and CPU time of this process meanwhile.
    pub polls: u64,
    pub own_cpu: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub pid: i32,
    pub name: String,
    /// True of a kernel thread, which has no program.
    pub kernel_thread: bool,
}

/// Reason why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramEnd {
    /// With this exit code.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// An attached program ended, with unknown status.
    Gone,
    /// It still runs: the time was up, or a signal asked for the report.
    GoesOn,
}

/// Accounting of everything that was waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitedFor {
    /// As reported by wait4, without waits and migrations.
    pub accounted: Accounting,
    /// The part of it that is also in the groups.
    pub seen: Accounting,
}

/// Use of the kernel's exit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitRecordsUse {
    /// With the number of times that some were lost.
    Read { lost: u64 },
    /// Reason why there are none.
    Refused(String),
}

/// Possible gaps in the accounting, and their upper bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caveats {
    /// Processes that have the kernel drop their children, whose accounting is lost.
    pub dropping_parents: Vec<String>,
    /// Processes whose accounting was dropped, seen before.
    pub dropped_seen: u64,
    /// True if a process has waited for children since it was first seen.
    pub some_have_ended: bool,
    /// Tracer of the program, or else of this process.
    pub tracer: Option<Tracer>,
    /// Reason why a process could not be polled.
    pub cannot_poll: Option<String>,
    /// Other switches of the whole machine meanwhile: nothing missing can exceed them.
    pub other_switches: Option<u64>,
    /// Processes that still run, whose ended threads and children are not accounted.
    pub left_running: Vec<String>,
}

/// A process that traces another, as strace and gdb do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracer {
    pub name: String,
    pub pid: i32,
    /// True if it traces the program, not just this process.
    pub of_program: bool,
}
