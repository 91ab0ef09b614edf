//! Processes of the program, the last known accounting of each thread, and by whom it is reported: nothing may be dropped or
//! counted twice.
//!
//! A round polls every process that can be seen, takes the exit records of threads that have ended, and ends. The kernel sends
//! a thread's record before the thread leaves /proc, so a thread neither seen nor recorded by the end of a round has ended with
//! the accounting it was last seen with.
//!
//! ```text
//! a thread ends    → its process's groups
//! a process ends   → waited for by us: `waited`, beside what wait4 reports of it and of what it had waited for
//!                    not by us: its parent's groups, or `waited` once we have waited for that parent
//! the end          → what still runs: `settled`
//! ```

use std::collections::HashMap;
use std::io;

use crate::program::accounting::confined::Confined;
use crate::program::accounting::groups::{Entry, Groups};
use crate::program::accounting::process::{Grouping, Process, Thread};
use crate::program::accounting::roots::Roots;
use crate::program::accounting::unknown_processes::UnknownProcesses;
use crate::program::accounting::waited::Waited;
use crate::program::process::poll::{ProcessPoll, ticks_since_boot};
use crate::program::watched::{Accounting, Caveats, ThreadGroup, WaitedFor};
use crate::sys::reap::Usage;
use crate::sys::taskstats::ExitRecord;

/// Rounds until a process that is not seen counts as ended: its parent, which waited for it, may have been polled just before,
/// and shows that only the next time.
const ROUNDS_UNTIL_ENDED: u64 = 2;
/// Rounds within which an unknown process's parent is seen or recorded, if it is of the program.
const ROUNDS_TO_REMEMBER: u64 = 3;

#[derive(Debug)]
pub(crate) struct Ledger {
    grouping: Grouping,
    roots: Roots,
    /// Parent of the program's processes: this one, where it started the program and adopts its orphans.
    adopter: Option<i32>,
    round: u64,
    processes: HashMap<i32, Process>,
    /// Processes that have ended, for children whose end is noticed later.
    gone: HashMap<i32, Gone>,
    unknown_processes: UnknownProcesses,
    /// Confinement of its threads.
    confined: Confined,
    waited: Waited,
    settled: Groups,
    /// Accounting of the program's first thread before the watch began, which wait4 includes.
    before_program: Accounting,
    caveats: Caveats,
}

/// Ancestor that the accounting of an ended process is charged to.
#[derive(Debug, Clone, Copy)]
enum ChargedAncestor {
    /// One that wait4 has reported on to this process.
    Waited,
    /// None that anything will report on.
    Settled,
    /// The parent, with whose accounting it is reported.
    Process(i32),
}

#[derive(Debug, Clone, Copy)]
struct Gone {
    charged_ancestor: ChargedAncestor,
    ignores_children: bool,
    round: u64,
}

/// Final result of a ledger.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) groups: Vec<ThreadGroup>,
    pub(crate) waited_for: Option<WaitedFor>,
    pub(crate) unseen_cpu_ns: u64,
    pub(crate) only_cpu: Option<usize>,
    pub(crate) caveats: Caveats,
}

impl Ledger {
    /// Returns a ledger of a program and its descendants; `adopter` is the process that started it and adopts its orphans.
    pub(crate) fn new(program: i32, adopter: Option<i32>, per_thread: bool) -> Ledger {
        Ledger {
            grouping: Grouping { program, per_thread },
            roots: Roots::These(vec![program]),
            adopter,
            round: 0,
            processes: HashMap::new(),
            gone: HashMap::new(),
            unknown_processes: UnknownProcesses::default(),
            confined: Confined::Unknown,
            waited: Waited::default(),
            settled: Groups::default(),
            before_program: Accounting::default(),
            caveats: Caveats::default(),
        }
    }

    /// Returns the ledger with other processes as the program's own.
    pub(crate) fn of(mut self, roots: Roots) -> Ledger {
        self.roots = roots;
        self
    }

    /// Notes the state of a process of the program; in the first round, what it had done before.
    pub(crate) fn polled(&mut self, poll: ProcessPoll) {
        let pid = poll.pid;
        self.note(poll);
        // No longer unknown: its records can be taken.
        self.unknown_processes.take(pid).into_iter().for_each(|record| self.thread_recorded(pid, record));
    }

    fn note(&mut self, poll: ProcessPoll) {
        let has_joined = matches!(self.roots, Roots::All)
            && self.round > 0
            && !self.processes.contains_key(&poll.pid)
            && !self.is_known(poll.parent);
        let known = self.processes.get(&poll.pid).and_then(|process| process.started);
        if known.is_some_and(|started| started != poll.started) {
            // The PID has been reused.
            self.process_ended_unseen(poll.pid);
        }
        let waited_for_more =
            |process: &Process| process.started.is_some() && poll.children_faults > process.children_faults;
        self.caveats.some_have_ended |= self.processes.get(&poll.pid).is_some_and(waited_for_more);
        let (round, grouping) = (self.round, self.grouping);
        let of_program = self.roots.have(poll.pid);
        let process = self.processes.entry(poll.pid).or_default();
        (process.pid, process.of_program) = (poll.pid, of_program);
        if has_joined {
            process.joined_ticks = ticks_since_boot();
        }
        let is_zombie = poll.threads.iter().any(|thread| thread.tid == poll.pid && thread.ending);
        if !is_zombie {
            // A zombie has no signal handling any more, and appears to ignore nothing.
            process.ignores_children = poll.ignores_children;
        }
        process.executes(poll.image);
        process.parent = poll.parent;
        process.name = poll.name;
        process.started = Some(poll.started);
        process.children_faults = poll.children_faults;
        process.had_many_threads |= poll.thread_count > 1;
        process.all_seen |= poll.all_threads;
        process.last_round = round;
        for thread in poll.threads {
            // In the first round, before exec, the affinity may be about to change.
            if round > 0 {
                self.confined.by(thread.only_cpu);
            }
            process.polled(thread, round, grouping);
        }
        if round == 0 || has_joined {
            process.cpu_ns_before = poll.cpu_ns;
        }
        process.cpu_ns = process.cpu_ns.max(poll.cpu_ns);
        if round == 0 && poll.pid == grouping.program {
            let first = process.threads.get(&poll.pid);
            self.before_program = first.map_or(Accounting::default(), |thread| thread.before);
        }
    }

    /// Notes that a process cannot be polled.
    pub(crate) fn cannot_poll(&mut self, pid: i32, error: &io::Error) {
        self.caveats.cannot_poll.get_or_insert_with(|| format!("/proc/{pid}: {error}"));
    }

    /// Notes the exit record of a thread, whatever process it is of.
    pub(crate) fn record(&mut self, record: ExitRecord) {
        let Some(pid) = record.pid else { return };
        if !self.processes.contains_key(&pid) && !self.is_known(record.parent) {
            return self.unknown_processes.hold(pid, record, self.round);
        }
        self.thread_recorded(pid, record);
    }

    fn thread_recorded(&mut self, pid: i32, record: ExitRecord) {
        let (round, grouping) = (self.round, self.grouping);
        let of_program = self.roots.have(pid);
        let process = self.processes.entry(pid).or_insert_with(|| Process {
            pid,
            of_program,
            name: record.name.clone(),
            last_round: round,
            ..Process::default()
        });
        process.record(record, round, grouping);
    }

    /// Notes that a process of the program was waited for; `usage` includes its threads and its waited-for children.
    pub(crate) fn waited_for(&mut self, pid: i32, usage: Usage) {
        let mut accounted = Accounting {
            voluntary: usage.voluntary,
            involuntary: usage.involuntary,
            on_cpu_ns: usage.cpu_ns,
            sys_ns: usage.sys_ns,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            ..Accounting::default()
        };
        self.settle_unknown_processes();
        // Never polled; but what this process waits for is of the program.
        self.unknown_processes.take(pid).into_iter().for_each(|record| self.thread_recorded(pid, record));
        let process = self.processes.remove(&pid);
        let all = accounted;
        if pid == self.grouping.program {
            accounted -= self.before_program;
        }
        if let Some(mut process) = process {
            process.was_accounted(all);
            process.all_ended(self.grouping);
            self.note_gone(pid, &process, ChargedAncestor::Waited);
            self.waited.see(process.groups);
        }
        self.waited.account(accounted);
    }

    /// Ends a round of polls and records.
    pub(crate) fn end_round(&mut self) {
        self.settle_unknown_processes();
        let round = self.round;
        let grouping = self.grouping;
        for (&pid, process) in &mut self.processes {
            process.settle_exec(grouping, round);
            if process.last_round == round && std::mem::take(&mut process.all_seen) {
                // The first thread stays as long as its process: its last switch is accounted when it is a zombie.
                let over = |tid, thread: &Thread| thread.last_round < round && tid != pid;
                process.fold(grouping, over, true);
                let threads = &process.threads;
                process.recorded.retain(|tid| threads.contains_key(tid) || *tid == pid);
            }
        }
        self.end_unseen(|process| process.last_round + ROUNDS_UNTIL_ENDED <= round);
        self.gone.retain(|_, gone| gone.round + ROUNDS_TO_REMEMBER >= round);
        self.unknown_processes.forget(|held| held + ROUNDS_TO_REMEMBER < round);
        self.round += 1;
    }

    /// Ends these processes, except those that this process has yet to wait for.
    fn end_unseen(&mut self, which: impl Fn(&Process) -> bool) {
        let ours = |process: &Process| Some(process.parent) == self.adopter;
        let unseen = self.processes.iter().filter(|(_, process)| which(process) && !ours(process));
        let mut unseen: Vec<i32> = unseen.map(|(&pid, _)| pid).collect();
        // Children before their parents, which they are reported with.
        unseen.sort_by_key(|&pid| std::cmp::Reverse(self.depth(pid)));
        unseen.into_iter().for_each(|pid| self.process_ended_unseen(pid));
    }

    /// Notes the end of a process that this one did not wait for: its parent did, or nothing.
    fn process_ended_unseen(&mut self, pid: i32) {
        let Some(mut process) = self.processes.remove(&pid) else { return };
        process.all_ended(self.grouping);
        let parent = process.parent;
        let ignored = match (self.processes.get(&parent), self.gone.get(&parent)) {
            (Some(living), _) => living.ignores_children,
            (None, Some(gone)) => gone.ignores_children,
            (None, None) => false,
        };
        self.caveats.dropped_seen += u64::from(ignored);
        let charged_ancestor = self.charged_ancestor_of(parent);
        self.note_gone(pid, &process, charged_ancestor);
        match charged_ancestor {
            ChargedAncestor::Waited => self.waited.see(process.groups),
            ChargedAncestor::Settled => self.settled.merge(process.groups),
            ChargedAncestor::Process(pid) => self.processes.entry(pid).or_default().groups.merge(process.groups),
        }
    }

    /// Returns the ancestor that ended children of this process are charged to, waited for or dropped.
    fn charged_ancestor_of(&self, pid: i32) -> ChargedAncestor {
        let mut pid = pid;
        // Each ended later than the one before, so the loop ends.
        while !self.processes.contains_key(&pid) {
            match self.gone.get(&pid).map(|gone| gone.charged_ancestor) {
                Some(ChargedAncestor::Process(next)) if next != pid => pid = next,
                Some(charged_ancestor) => return charged_ancestor,
                None => return ChargedAncestor::Settled,
            }
        }
        ChargedAncestor::Process(pid)
    }

    pub(crate) fn so_far(&self) -> Accounting {
        let mut sum = self.settled.sum();
        sum.on_cpu_ns += self.settled.unseen_cpu_ns;
        let WaitedFor { accounted, seen } = self.waited.sum();
        sum += seen.with_accounted(accounted);
        for process in self.processes.values() {
            sum += process.groups.sum();
            process.threads.values().for_each(|thread| sum += thread.since());
            let threads_ns = process.threads.values().map(|thread| thread.since().on_cpu_ns).sum();
            sum.on_cpu_ns += process.groups.unseen_cpu_ns + process.unseen_cpu_ns(threads_ns);
        }
        sum
    }

    /// Returns every thread seen so far, living or ended.
    pub(crate) fn groups(&self) -> Vec<ThreadGroup> {
        let mut all = self.settled.clone();
        all.merge(self.waited.groups().clone());
        for (&pid, process) in &self.processes {
            all.merge(process.groups.clone());
            for (&tid, thread) in &process.threads {
                let key = process.key(self.grouping, tid, thread.name.clone());
                all.add(key, Entry { accounting: thread.since(), ended: 0, processes: u64::from(tid == pid) });
            }
        }
        all.into_list()
    }

    /// Returns true if a process was seen in the last round.
    pub(crate) fn was_seen(&self, pid: i32) -> bool {
        self.processes.get(&pid).is_some_and(|process| process.last_round + 1 == self.round)
    }

    /// Returns the numbers of threads and processes in the last round.
    pub(crate) fn alive(&self) -> (u64, u64) {
        let now = || self.processes.values().filter(|process| process.last_round + 1 == self.round);
        (now().map(|process| process.threads.len() as u64).sum(), now().count() as u64)
    }

    /// Returns the processes to poll in any case, whatever their parent is by now, with their start times.
    pub(crate) fn known(&self) -> Vec<(i32, u64)> {
        self.processes.iter().filter_map(|(&pid, process)| Some((pid, process.started?))).collect()
    }

    /// Returns the living processes, by PID and name.
    pub(crate) fn names(&self) -> Vec<(i32, String)> {
        let mut names: Vec<(i32, String)> =
            self.processes.iter().map(|(&pid, process)| (pid, process.name.clone())).collect();
        names.sort_unstable();
        names
    }

    /// Closes the ledger: what has not ended is still running, unless all is known to have ended.
    pub(crate) fn close(mut self, all_has_ended: bool) -> Closed {
        if all_has_ended {
            self.settle_unknown_processes();
            self.end_unseen(|_| true);
        }
        // Those that the last round did not see, or whose last record it took.
        let round = self.round;
        self.end_unseen(|process| process.last_round + 1 < round || process.is_recorded());
        let grouping = self.grouping;
        let mut alive: Vec<(i32, Process)> = self.processes.drain().collect();
        alive.sort_by_key(|(pid, _)| *pid);
        for (_, mut process) in alive {
            if process.ignores_children {
                self.caveats.dropping_parents.push(process.name.clone());
            }
            self.caveats.left_running.push(process.name.clone());
            process.still_there(grouping);
            self.settled.merge(process.groups);
        }
        let waited_for = self.adopter.map(|_| self.waited.sum());
        self.caveats.dropped_seen = self.caveats.dropped_seen.max(u64::from(self.waited.lacks_some()));
        let unseen_cpu_ns = self.settled.unseen_cpu_ns;
        let mut all = self.settled;
        all.merge(self.waited.groups().clone());
        self.caveats.dropping_parents.sort();
        self.caveats.dropping_parents.dedup();
        Closed {
            groups: all.into_list(),
            waited_for,
            unseen_cpu_ns,
            only_cpu: self.confined.cpu(),
            caveats: self.caveats,
        }
    }

    /// Returns the number of known ancestors of a process.
    fn depth(&self, pid: i32) -> usize {
        const NO_TREE_IS_DEEPER: usize = 10_000;
        let parent = |pid: &i32| self.processes.get(pid).map(|process| process.parent);
        std::iter::successors(parent(&pid), parent).take(NO_TREE_IS_DEEPER).count()
    }

    fn is_known(&self, pid: i32) -> bool {
        Some(pid) == self.adopter || self.processes.contains_key(&pid) || self.gone.contains_key(&pid)
    }

    fn note_gone(&mut self, pid: i32, process: &Process, charged_ancestor: ChargedAncestor) {
        let ignores_children = process.ignores_children;
        if ignores_children {
            self.caveats.dropping_parents.push(process.name.clone());
        }
        self.gone.insert(pid, Gone { charged_ancestor, ignores_children, round: self.round });
    }

    /// Takes in the unknown processes whose parent has turned out to be of the program.
    fn settle_unknown_processes(&mut self) {
        while let Some(pid) = self.unknown_processes.find(|parent| self.is_known(parent)) {
            self.unknown_processes.take(pid).into_iter().for_each(|record| self.thread_recorded(pid, record));
        }
    }
}
