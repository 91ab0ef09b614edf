//! What was seen of a real program: the kernel's books of its threads and processes.

use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::perf::threads::ThreadCounting;

/// What the kernel keeps for every thread, at no cost to it; or for several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// Switches at which the thread had to wait.
    pub voluntary: u64,
    /// Switches at which it could have gone on.
    pub involuntary: u64,
    pub on_cpu_ns: u64,
    /// How long it could have run and did not get a CPU.
    pub run_queue_wait_ns: u64,
    pub migrations: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    /// How long it was there while it was watched.
    pub lifetime_ns: u64,
    /// How many threads' books these are.
    pub threads: u64,
    /// Of how many of them nobody knows how long they waited for a CPU, or how often they were moved.
    pub waits_unknown: u64,
    pub migrations_unknown: u64,
}

impl Books {
    pub fn switches(&self) -> u64 {
        self.voluntary + self.involuntary
    }

    /// These of threads that were seen, with what was booked on all of them where wait4 tells of it.
    pub fn with_booked(self, booked: Books) -> Books {
        Books {
            voluntary: booked.voluntary,
            involuntary: booked.involuntary,
            on_cpu_ns: booked.on_cpu_ns,
            minor_faults: booked.minor_faults,
            major_faults: booked.major_faults,
            ..self
        }
    }
}

impl AddAssign for Books {
    fn add_assign(&mut self, other: Books) {
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.on_cpu_ns += other.on_cpu_ns;
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

impl Sum for Books {
    fn sum<I: Iterator<Item = Books>>(books: I) -> Books {
        books.fold(Books::default(), |mut sum, each| {
            sum += each;
            sum
        })
    }
}

impl SubAssign for Books {
    /// Of the counts and times; the threads stay. What is more than there is leaves 0.
    fn sub_assign(&mut self, other: Books) {
        let less = |value: &mut u64, by: u64| *value = value.saturating_sub(by);
        less(&mut self.voluntary, other.voluntary);
        less(&mut self.involuntary, other.involuntary);
        less(&mut self.on_cpu_ns, other.on_cpu_ns);
        less(&mut self.run_queue_wait_ns, other.run_queue_wait_ns);
        less(&mut self.migrations, other.migrations);
        less(&mut self.minor_faults, other.minor_faults);
        less(&mut self.major_faults, other.major_faults);
        less(&mut self.lifetime_ns, other.lifetime_ns);
    }
}

/// Threads that are told together: all of one name in all processes of one name, or one by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadKey {
    pub process: String,
    pub thread: String,
    /// Process and thread, where each is told by itself.
    pub ids: Option<(i32, i32)>,
    /// Whether it is of the program itself, not of a process that came from it.
    pub of_program: bool,
    /// Whether it was alone in its process, so that its switches were all to other processes.
    pub alone: bool,
}

impl ThreadKey {
    /// The thread's name, with its process's where that is another.
    pub fn name(&self) -> String {
        let id = self.ids.map_or(String::new(), |(_, tid)| format!(" {tid}"));
        if self.process == self.thread {
            format!("{}{id}", self.thread)
        } else {
            format!("{}/{}{id}", self.process, self.thread)
        }
    }
}

/// The threads of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadGroup {
    pub key: ThreadKey,
    pub books: Books,
    /// How many of them have ended.
    pub ended: u64,
    /// How many of them are the first of their process.
    pub processes: u64,
}

/// What was seen of a program from beginning to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    pub program: Program,
    pub elapsed: Duration,
    pub ended: ProgramEnd,
    /// What asked for the report while a program ran that this process had started.
    pub interrupted_by: Option<Signal>,
    /// Every thread that was seen.
    pub groups: Vec<ThreadGroup>,
    /// What the kernel booked on those whose end was waited for, and how much of it is in `groups`; `None` of a program that
    /// somebody else had started.
    pub waited_for: Option<WaitedFor>,
    /// CPU time of the others that is in nobody's books but their processes'.
    pub unseen_cpu_ns: u64,
    /// The CPU that all its threads had to run on, if it was one.
    pub only_cpu: Option<usize>,
    /// Whether every thread that ended said so itself.
    pub exit_records: ExitRecordsUse,
    pub doubts: Doubts,
    /// perf's counters on the threads, if they were asked for.
    pub counting: Option<ThreadCounting>,
    /// How often the program was looked at, and the CPU time of this process meanwhile.
    pub looks: u64,
    pub own_cpu: Duration,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub pid: i32,
    pub name: String,
    /// A thread of the kernel's, which has no program.
    pub kernel_thread: bool,
}

/// How the watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramEnd {
    /// With this code.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// The program that somebody else had started ended, nobody knows how.
    Gone,
    /// It goes on: the time was up, or a signal asked for the report.
    GoesOn,
}

/// The books of all that was waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitedFor {
    /// As wait4 told them: of waits and migrations nothing.
    pub booked: Books,
    /// The part of them that is in the groups, too.
    pub seen: Books,
}

/// Whether the kernel's records of ended threads were had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitRecordsUse {
    /// With the number of times that some were lost.
    Read { lost: u64 },
    /// Why not.
    Refused(String),
}

/// What may be missing, and how much at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Processes that let the kernel drop their children, whose books nobody gets.
    pub dropping_parents: Vec<String>,
    /// Processes whose books were dropped and that were seen before.
    pub dropped_seen: u64,
    /// Whether threads or children of a process that is not our child have ended.
    pub some_have_ended: bool,
    /// Who traces the program, or this process if nobody does, by name and number.
    pub tracer: Option<Tracer>,
    /// Why a process could not be looked at.
    pub cannot_look: Option<String>,
    /// Switches of the whole machine meanwhile that were not the program's: nothing missing can exceed them.
    pub other_switches: Option<u64>,
    /// Processes that go on, of which nobody knows what their ended threads and children did.
    pub left_running: Vec<String>,
}

/// A process that traces another, as strace and gdb do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracer {
    pub name: String,
    pub pid: i32,
    /// Whether it is the program that is traced, not just this process.
    pub of_program: bool,
}
