//! A process of the program as the ledger has it: its threads, and the books of those that have ended.

use std::collections::{HashMap, HashSet};

use crate::sample::watched::{Books, ThreadKey};
use crate::watch::groups::{Entry, Groups};
use crate::watch::look::ThreadLook;

/// How threads are told: which process is the program itself, and whether each is told by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    pub(super) program: i32,
    pub(super) per_thread: bool,
}

#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) name: String,
    /// `None` until it has been seen.
    pub(super) started: Option<u64>,
    pub(super) ignores_children: bool,
    /// Page faults of the children that it had waited for when it was last seen, and the time before.
    pub(super) children_faults: u64,
    pub(super) earlier_children_faults: u64,
    /// Those of its parent, at a time when this one had not ended.
    pub(super) parents_children_faults: u64,
    pub(super) had_many_threads: bool,
    /// CPU time of its threads that have ended.
    pub(super) ended_cpu_ns: u64,
    /// CPU time by its clock, when the watching began and last.
    pub(super) cpu_ns_before: u64,
    pub(super) cpu_ns: u64,
    /// Whether all its threads were looked at in this round.
    pub(super) all_seen: bool,
    pub(super) threads: HashMap<i32, Thread>,
    /// Threads whose record has come; they may be seen for a while.
    pub(super) recorded: HashSet<i32>,
    /// Of its threads that have ended, and of the processes that it has waited for.
    pub(super) groups: Groups,
    pub(super) last_round: u64,
}

#[derive(Debug)]
pub(super) struct Thread {
    pub(super) name: String,
    pub(super) started: u64,
    pub(super) books: Books,
    /// What they were when the watching began.
    pub(super) before: Books,
    pub(super) last_round: u64,
}

impl Process {
    pub(super) fn look(&mut self, look: ThreadLook, round: u64, telling: Telling) {
        let ThreadLook { tid, name, started, ending, books, .. } = look;
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
                    self.fold(telling, |other, _| other == tid, true);
                }
            }
        }
        if self.threads.get(&tid).is_some_and(|thread| thread.started != started) {
            // Another thread has its number now.
            self.fold(telling, |other, _| other == tid, true);
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

    /// Where all that wait4 booked can only be its one thread's, gives it what it did after the last look: its last switch,
    /// and what ends a process.
    pub(super) fn was_booked(&mut self, booked: Books) {
        /// More are of threads or children that nobody saw.
        const AT_ITS_END: u64 = 2;
        let alone = !self.had_many_threads && self.children_faults == 0 && self.groups.is_empty();
        let only = self.threads.get_mut(&self.pid).filter(|_| alone);
        if let Some(only) = only.filter(|only| booked.switches().saturating_sub(only.books.switches()) <= AT_ITS_END) {
            only.books = only.books.with_booked(booked);
        }
    }

    /// CPU time by its clock beyond that of its threads that have ended and of `others`.
    pub(super) fn unseen_cpu_ns(&self, others_ns: u64) -> u64 {
        self.cpu_ns.saturating_sub(self.cpu_ns_before).saturating_sub(self.ended_cpu_ns + others_ns)
    }

    /// Whether the records of all its threads have come.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.contains(&self.pid) && self.threads.keys().all(|tid| *tid == self.pid)
    }

    pub(super) fn key(&self, telling: Telling, tid: i32, thread: String) -> ThreadKey {
        ThreadKey {
            process: self.name.clone(),
            thread,
            ids: telling.per_thread.then_some((self.pid, tid)),
            of_program: self.pid == telling.program,
            alone: !self.had_many_threads,
        }
    }

    /// All threads have ended, with the books that they were last seen with.
    pub(super) fn all_ended(&mut self, telling: Telling) {
        self.fold(telling, |_, _| true, true);
        self.groups.unseen_cpu_ns += self.unseen_cpu_ns(0);
    }

    /// Adds the threads as they are now.
    pub(super) fn still_there(&mut self, telling: Telling) {
        self.fold(telling, |_, _| true, false);
        self.groups.unseen_cpu_ns += self.unseen_cpu_ns(0);
    }

    /// Moves these threads' books into the groups: they have ended, or are told as they are.
    pub(super) fn fold(&mut self, telling: Telling, which: impl Fn(i32, &Thread) -> bool, ended: bool) {
        let chosen = self.threads.iter().filter(|(tid, thread)| which(**tid, thread));
        let tids: Vec<i32> = chosen.map(|(&tid, _)| tid).collect();
        for tid in tids {
            let Some(thread) = self.threads.remove(&tid) else { continue };
            let books = thread.since();
            self.ended_cpu_ns += books.on_cpu_ns;
            let key = self.key(telling, tid, thread.name);
            let (ended, processes) = (u64::from(ended), u64::from(tid == self.pid));
            self.groups.add(key, Entry { books, ended, processes });
        }
    }
}

impl Thread {
    pub(super) fn since(&self) -> Books {
        let mut books = self.books;
        books -= self.before;
        books
    }
}
