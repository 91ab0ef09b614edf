//! Who belongs to the program, what each thread's books were at last, and whose books are told by whom: nothing is to be
//! dropped or counted twice.
//!
//! A round is: look at every process that can be seen, take the kernel's records of threads that have ended, end the round.
//! A thread's record is sent before it leaves /proc, so what is neither seen nor recorded by the end of a round has ended
//! with the books it was last seen with.
//!
//! ```text
//! a thread ends    → its process's groups
//! a process ends   → waited for by us: `waited`, beside what wait4 booked        (the rest of that are unseen threads)
//!                    waited for by its parent: the parent's groups, to share its fate
//!                    dropped, as its parent ignores SIGCHLD: `settled`           (no wait4 will tell of it)
//! the end          → what lives on: `settled`
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::sample::watched::{Books, Doubts, ThreadGroup, ThreadKey, WaitedFor};
use crate::sys::reap::Usage;
use crate::sys::taskstats::ExitRecord;
use crate::watch::look::{ProcessLook, ThreadLook};

/// Records of processes of which nobody knows whose they are: more than end on a machine in a few rounds.
const MOST_STRANGERS: usize = 100_000;
/// A stranger's parent is seen or recorded within two rounds, or is not of the program.
const ROUNDS_FOR_STRANGERS: u64 = 2;

#[derive(Debug)]
pub(super) struct Ledger {
    program: i32,
    /// Whose children are the program's: this process, where it started the program and adopts its orphans.
    adopter: Option<i32>,
    /// Whether every thread is told by itself.
    per_thread: bool,
    round: u64,
    processes: HashMap<i32, Process>,
    /// Processes that have ended, for children of theirs whose end is noticed later.
    gone: HashMap<i32, Gone>,
    strangers: HashMap<i32, Stranger>,
    waited: Groups,
    settled: Groups,
    booked: Books,
    /// What the program's first thread had done before the watching began: wait4 tells it with the rest.
    before_program: Books,
    doubts: Doubts,
}

#[derive(Debug, Default)]
struct Process {
    parent: i32,
    name: String,
    /// `None` until it has been seen.
    started: Option<u64>,
    ignores_children: bool,
    /// Page faults of the children that it had waited for when it was last seen, and the time before.
    children_faults: u64,
    earlier_children_faults: u64,
    /// Those of its parent, at a time when this one had not ended.
    parents_children_faults: u64,
    had_many_threads: bool,
    /// CPU time of its threads that have ended.
    ended_cpu_ns: u64,
    /// CPU time by its clock when the watching began, and beyond that of its threads since.
    cpu_ns_before: u64,
    unseen_cpu_ns: u64,
    threads: HashMap<i32, Thread>,
    /// Threads whose record has come; they may be seen for a while.
    recorded: HashSet<i32>,
    /// Of its threads that have ended, and of the processes that it has waited for.
    groups: Groups,
    last_round: u64,
}

#[derive(Debug)]
struct Thread {
    name: String,
    started: u64,
    books: Books,
    /// What they were when the watching began.
    before: Books,
    last_round: u64,
}

#[derive(Debug, Clone, Copy)]
struct Gone {
    waited_for: bool,
    /// Whether it was ever looked at: of another it is not known what it did about its children.
    seen: bool,
    ignores_children: bool,
    children_faults: u64,
    round: u64,
}

#[derive(Debug)]
struct Stranger {
    parent: i32,
    records: Vec<ExitRecord>,
    round: u64,
}

/// Threads that are told together.
#[derive(Debug, Clone, Default)]
struct Groups {
    entries: BTreeMap<ThreadKey, Entry>,
    /// CPU time that their processes' clocks have beyond these threads': of threads that ended unseen, and what an exit
    /// record lacks.
    unseen_cpu_ns: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    books: Books,
    ended: u64,
    processes: u64,
}

impl Groups {
    fn add(&mut self, key: ThreadKey, entry: Entry) {
        let sum = self.entries.entry(key).or_default();
        sum.books += entry.books;
        sum.ended += entry.ended;
        sum.processes += entry.processes;
    }

    fn merge(&mut self, other: Groups) {
        other.entries.into_iter().for_each(|(key, entry)| self.add(key, entry));
        self.unseen_cpu_ns += other.unseen_cpu_ns;
    }

    fn into_list(self) -> Vec<ThreadGroup> {
        let group = |(key, entry): (ThreadKey, Entry)| {
            let Entry { books, ended, processes } = entry;
            ThreadGroup { key, books, ended, processes }
        };
        self.entries.into_iter().map(group).collect()
    }

    fn sum(&self) -> Books {
        self.entries.values().fold(Books::default(), |mut sum, entry| {
            sum += entry.books;
            sum
        })
    }
}

/// All that a ledger knows in the end.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) groups: Vec<ThreadGroup>,
    pub(super) waited_for: Option<WaitedFor>,
    pub(super) unseen_cpu_ns: u64,
    pub(super) doubts: Doubts,
}

impl Ledger {
    /// A ledger of a program and all that comes from it; `adopter` is the process that started it and adopts its orphans.
    pub(super) fn new(program: i32, adopter: Option<i32>, per_thread: bool) -> Ledger {
        Ledger {
            program,
            adopter,
            per_thread,
            round: 0,
            processes: HashMap::new(),
            gone: HashMap::new(),
            strangers: HashMap::new(),
            waited: Groups::default(),
            settled: Groups::default(),
            booked: Books::default(),
            before_program: Books::default(),
            doubts: Doubts::default(),
        }
    }

    /// Notes what a process of the program looks like now. In the first round, that is what it had done before.
    pub(super) fn look(&mut self, look: ProcessLook) {
        let known = self.processes.get(&look.pid).and_then(|process| process.started);
        if known.is_some_and(|started| started != look.started) {
            // Another process has its number now.
            self.process_ended_unseen(look.pid);
        }
        let parents_children_faults = self.processes.get(&look.parent).map_or(0, |parent| parent.children_faults);
        let (round, program, per_thread) = (self.round, self.program, self.per_thread);
        let process = self.processes.entry(look.pid).or_default();
        let is_zombie = look.threads.iter().any(|thread| thread.tid == look.pid && thread.ending);
        if !is_zombie {
            // A zombie has no signal handling any more, and seems to ignore nothing.
            process.ignores_children = look.ignores_children;
        }
        if process.last_round < round {
            process.earlier_children_faults = process.children_faults;
        }
        process.parent = look.parent;
        process.name = look.name;
        process.started = Some(look.started);
        process.children_faults = look.children_faults;
        process.parents_children_faults = parents_children_faults;
        process.had_many_threads |= look.threads.len() > 1;
        process.last_round = round;
        for thread in look.threads {
            process.look(look.pid, thread, round, program, per_thread);
        }
        if round == 0 {
            process.cpu_ns_before = look.cpu_ns;
        }
        let threads_ns: u64 = process.threads.values().map(|thread| thread.since().on_cpu_ns).sum();
        let by_clock_ns = look.cpu_ns.saturating_sub(process.cpu_ns_before);
        process.unseen_cpu_ns =
            by_clock_ns.saturating_sub(threads_ns + process.ended_cpu_ns).max(process.unseen_cpu_ns);
        if round == 0 && look.pid == program {
            let first = process.threads.get(&program);
            self.before_program = first.map_or(Books::default(), |thread| thread.before);
        }
    }

    /// Notes the kernel's last word on a thread, whosesoever it was.
    pub(super) fn record(&mut self, record: ExitRecord) {
        let Some(pid) = record.pid else { return };
        if !self.processes.contains_key(&pid) && !self.is_known(record.parent) {
            if self.strangers.len() < MOST_STRANGERS {
                let (parent, round) = (record.parent, self.round);
                let stranger = self.strangers.entry(pid);
                stranger.or_insert(Stranger { parent, records: Vec::new(), round }).records.push(record);
            }
            return;
        }
        self.thread_recorded(pid, record);
    }

    fn thread_recorded(&mut self, pid: i32, record: ExitRecord) {
        let (round, program, per_thread) = (self.round, self.program, self.per_thread);
        let parents_faults = self.processes.get(&record.parent).map_or(0, |parent| parent.earlier_children_faults);
        let process = self.processes.entry(pid).or_insert_with(|| Process {
            parent: record.parent,
            name: record.name.clone(),
            // It ended after the last round, and so after its parent was looked at then.
            parents_children_faults: parents_faults,
            last_round: round,
            ..Process::default()
        });
        if process.recorded.contains(&record.tid) {
            // Of the first thread; another had called exec and then had its number.
            process.fold(pid, program, per_thread, |tid, _| tid == record.tid, 1);
        }
        let seen = process.threads.remove(&record.tid);
        let (before, last) = seen.map_or((Books::default(), None), |thread| (thread.before, Some(thread.books)));
        let migrations = last.filter(|last| last.migrations_unknown == 0).map(|last| last.migrations);
        // The record lacks what the thread ran since the last tick or switch. Without a wait it ran, or waited for a CPU,
        // all its life.
        let without_a_wait = record.elapsed_ns.saturating_sub(record.run_queue_wait_ns);
        let on_cpu_ns = match record.voluntary {
            0 => record.on_cpu_ns.max(without_a_wait),
            _ => record.on_cpu_ns.max(last.map_or(0, |last| last.on_cpu_ns)),
        };
        let books = Books {
            voluntary: record.voluntary,
            involuntary: record.involuntary,
            on_cpu_ns,
            run_queue_wait_ns: record.run_queue_wait_ns,
            migrations: migrations.unwrap_or_default(),
            minor_faults: record.minor_faults,
            major_faults: record.major_faults,
            lifetime_ns: record.elapsed_ns,
            threads: 1,
            waits_unknown: 0,
            migrations_unknown: u64::from(migrations.is_none()),
        };
        process.had_many_threads |= record.tid != pid;
        process.recorded.insert(record.tid);
        let started = process.started.unwrap_or_default();
        let thread = Thread { name: record.name, started, books, before, last_round: round };
        process.threads.insert(record.tid, thread);
        if record.tid != pid {
            process.fold(pid, program, per_thread, |tid, _| tid == record.tid, 1);
        }
    }

    /// A process of the program has ended and was waited for, with its threads' and its waited-for children's books.
    pub(super) fn waited_for(&mut self, pid: i32, usage: Usage) {
        let mut booked = Books {
            voluntary: usage.voluntary,
            involuntary: usage.involuntary,
            on_cpu_ns: usage.cpu_ns,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            ..Books::default()
        };
        if pid == self.program {
            booked -= self.before_program;
        }
        self.settle_strangers();
        if let Some(mut process) = self.processes.remove(&pid) {
            process.all_ended(pid, self.program, self.per_thread);
            self.note_gone(pid, &process, true);
            self.waited.merge(process.groups);
        }
        self.booked += booked;
    }

    /// Ends a round of looks and records.
    pub(super) fn end_round(&mut self) {
        self.settle_strangers();
        let round = self.round;
        let (program, per_thread) = (self.program, self.per_thread);
        for (&pid, process) in &mut self.processes {
            if process.last_round == round {
                // The first thread stays while its process does: its last switch is booked when it is a zombie.
                let over = |tid, thread: &Thread| thread.last_round < round && tid != pid;
                process.fold(pid, program, per_thread, over, 1);
                let threads = &process.threads;
                process.recorded.retain(|tid| threads.contains_key(tid) || *tid == pid);
            }
        }
        let mut unseen: Vec<i32> = self
            .processes
            .iter()
            .filter(|(_, process)| process.last_round < round && Some(process.parent) != self.adopter)
            .map(|(&pid, _)| pid)
            .collect();
        // Children before their parents, whose fate they share.
        unseen.sort_by_key(|&pid| std::cmp::Reverse(self.depth(pid)));
        unseen.into_iter().for_each(|pid| self.process_ended_unseen(pid));
        self.gone.retain(|_, gone| gone.round + ROUNDS_FOR_STRANGERS >= round);
        self.strangers.retain(|_, stranger| stranger.round + ROUNDS_FOR_STRANGERS >= round);
        self.round += 1;
    }

    /// A process has ended without our waiting for it: its parent has, or nobody.
    fn process_ended_unseen(&mut self, pid: i32) {
        let Some(mut process) = self.processes.remove(&pid) else { return };
        process.all_ended(pid, self.program, self.per_thread);
        let parent = self.processes.get(&process.parent);
        // A child has faults of its own, always: they are in the parent's books once it has waited for it.
        let told = |seen: bool, ignores_children: bool, children_faults: u64| {
            !seen || (!ignores_children && children_faults > process.parents_children_faults)
        };
        let by_living =
            parent.map(|parent| told(parent.started.is_some(), parent.ignores_children, parent.children_faults));
        let by_gone = || {
            let gone = self.gone.get(&process.parent)?;
            Some((told(gone.seen, gone.ignores_children, gone.children_faults), gone.waited_for))
        };
        let into = match (by_living, by_gone()) {
            (Some(true), _) => Into::Parent,
            (None, Some((true, true))) => Into::Waited,
            (None, Some((true, false)) | None) => Into::Settled,
            (Some(false), _) | (None, Some((false, _))) => Into::Dropped,
        };
        self.note_gone(pid, &process, matches!(into, Into::Waited));
        match into {
            Into::Parent => {
                if let Some(parent) = self.processes.get_mut(&process.parent) {
                    parent.groups.merge(process.groups);
                }
            }
            Into::Waited => self.waited.merge(process.groups),
            Into::Settled => self.settled.merge(process.groups),
            Into::Dropped => {
                self.doubts.dropped_seen += 1;
                self.settled.merge(process.groups);
            }
        }
    }

    /// What is known so far, for a look in between.
    pub(super) fn so_far(&self) -> Books {
        let mut sum = self.settled.sum();
        sum.on_cpu_ns += self.settled.unseen_cpu_ns;
        sum += self.waited.sum().with_booked(self.booked);
        for process in self.processes.values() {
            sum += process.groups.sum();
            sum.on_cpu_ns += process.groups.unseen_cpu_ns + process.unseen_cpu_ns;
            process.threads.values().for_each(|thread| sum += thread.since());
        }
        sum
    }

    /// Every thread that has been seen so far, living or ended.
    pub(super) fn groups(&self) -> Vec<ThreadGroup> {
        let mut all = self.settled.clone();
        all.merge(self.waited.clone());
        for (&pid, process) in &self.processes {
            all.merge(process.groups.clone());
            for (&tid, thread) in &process.threads {
                let key = process.key(pid, tid, thread.name.clone(), pid == self.program, self.per_thread);
                all.add(key, Entry { books: thread.since(), ended: 0, processes: u64::from(tid == pid) });
            }
        }
        all.into_list()
    }

    /// How many threads and processes of the program there are now.
    pub(super) fn alive(&self) -> (u64, u64) {
        let threads = self.processes.values().map(|process| process.threads.len() as u64).sum();
        (threads, self.processes.len() as u64)
    }

    /// The processes to be looked at in any case, whosever children they are by now, and when they were started.
    pub(super) fn known(&self) -> Vec<(i32, u64)> {
        self.processes.iter().filter_map(|(&pid, process)| Some((pid, process.started?))).collect()
    }

    /// The names of the processes that are there now, by their numbers.
    pub(super) fn names(&self) -> Vec<(i32, String)> {
        let mut names: Vec<(i32, String)> =
            self.processes.iter().map(|(&pid, process)| (pid, process.name.clone())).collect();
        names.sort_unstable();
        names
    }

    /// Closes the books: what has not ended goes on, unless it is known that all has.
    pub(super) fn close(mut self, all_has_ended: bool) -> Closed {
        if all_has_ended {
            // What the last records told of counts as there until a round without it.
            self.end_round();
            self.end_round();
        }
        let (program, per_thread) = (self.program, self.per_thread);
        let mut alive: Vec<(i32, Process)> = self.processes.drain().collect();
        alive.sort_by_key(|(pid, _)| *pid);
        for (pid, mut process) in alive {
            if process.ignores_children {
                self.doubts.dropping_parents.push(process.name.clone());
            }
            if process.recorded.contains(&pid) {
                process.all_ended(pid, program, per_thread);
            } else {
                self.doubts.left_running.push(process.name.clone());
                process.still_there(pid, program, per_thread);
            }
            self.settled.merge(process.groups);
        }
        let waited_for = self.adopter.map(|_| WaitedFor { booked: self.booked, seen: self.waited.sum() });
        let unseen_cpu_ns = self.settled.unseen_cpu_ns;
        let mut all = self.settled;
        all.merge(self.waited);
        self.doubts.dropping_parents.sort();
        self.doubts.dropping_parents.dedup();
        Closed { groups: all.into_list(), waited_for, unseen_cpu_ns, doubts: self.doubts }
    }

    /// How many of a process's forebears are known.
    fn depth(&self, pid: i32) -> usize {
        const NO_TREE_IS_DEEPER: usize = 10_000;
        let parent = |pid: &i32| self.processes.get(pid).map(|process| process.parent);
        std::iter::successors(parent(&pid), parent).take(NO_TREE_IS_DEEPER).count()
    }

    fn is_known(&self, pid: i32) -> bool {
        Some(pid) == self.adopter || self.processes.contains_key(&pid) || self.gone.contains_key(&pid)
    }

    fn note_gone(&mut self, pid: i32, process: &Process, waited_for: bool) {
        if process.ignores_children {
            self.doubts.dropping_parents.push(process.name.clone());
        }
        let Process { ignores_children, children_faults, .. } = *process;
        let (seen, round) = (process.started.is_some(), self.round);
        self.gone.insert(pid, Gone { waited_for, seen, ignores_children, children_faults, round });
    }

    /// Takes in those strangers whose parent has turned out to be of the program.
    fn settle_strangers(&mut self) {
        loop {
            let found = self.strangers.iter().find(|(_, stranger)| self.is_known(stranger.parent));
            let Some(pid) = found.map(|(&pid, _)| pid) else { return };
            let Some(stranger) = self.strangers.remove(&pid) else { return };
            stranger.records.into_iter().for_each(|record| self.thread_recorded(pid, record));
        }
    }
}

/// Where the books of a process go that has ended.
enum Into {
    Parent,
    Waited,
    Settled,
    Dropped,
}

impl Process {
    fn look(&mut self, pid: i32, look: ThreadLook, round: u64, program: i32, per_thread: bool) {
        let ThreadLook { tid, name, started, ending, books } = look;
        if self.recorded.contains(&tid) {
            match self.threads.get_mut(&tid) {
                // The first thread, now a zombie with its last switch booked.
                Some(thread) if ending => {
                    (thread.books, thread.last_round) = (books, round);
                    return;
                }
                None if ending => return,
                // Another thread of the process has called exec, and has the number of the first now.
                _ => {
                    self.recorded.remove(&tid);
                    self.fold(pid, program, per_thread, |other, _| other == tid, 1);
                }
            }
        }
        if self.threads.get(&tid).is_some_and(|thread| thread.started != started) {
            // Another thread has its number now.
            self.fold(pid, program, per_thread, |other, _| other == tid, 1);
        }
        // In the first round, what it had done before.
        let before = if round == 0 { books } else { Books::default() };
        let thread = self.threads.entry(tid).or_insert(Thread {
            name: String::new(),
            started,
            books,
            before: Books { threads: 0, waits_unknown: 0, migrations_unknown: 0, ..before },
            last_round: round,
        });
        (thread.name, thread.books, thread.last_round) = (name, books, round);
    }

    fn key(&self, pid: i32, tid: i32, thread: String, of_program: bool, per_thread: bool) -> ThreadKey {
        ThreadKey {
            process: self.name.clone(),
            thread,
            ids: per_thread.then_some((pid, tid)),
            of_program,
            alone: !self.had_many_threads,
        }
    }

    /// All threads have ended, with the books that they were last seen with.
    fn all_ended(&mut self, pid: i32, program: i32, per_thread: bool) {
        self.fold(pid, program, per_thread, |_, _| true, 1);
        self.groups.unseen_cpu_ns += std::mem::take(&mut self.unseen_cpu_ns);
    }

    /// Adds the threads as they are now.
    fn still_there(&mut self, pid: i32, program: i32, per_thread: bool) {
        self.fold(pid, program, per_thread, |_, _| true, 0);
        self.groups.unseen_cpu_ns += std::mem::take(&mut self.unseen_cpu_ns);
    }

    /// Moves these threads' books into the groups.
    fn fold(&mut self, pid: i32, program: i32, per_thread: bool, which: impl Fn(i32, &Thread) -> bool, ended: u64) {
        let chosen = self.threads.iter().filter(|&(&tid, ref thread)| which(tid, thread));
        let tids: Vec<i32> = chosen.map(|(&tid, _)| tid).collect();
        for tid in tids {
            let Some(thread) = self.threads.remove(&tid) else { continue };
            let books = thread.since();
            self.ended_cpu_ns += books.on_cpu_ns;
            let key = self.key(pid, tid, thread.name, pid == program, per_thread);
            self.groups.add(key, Entry { books, ended, processes: u64::from(tid == pid) });
        }
    }
}

impl Thread {
    fn since(&self) -> Books {
        let mut books = self.books;
        books -= self.before;
        books
    }
}
