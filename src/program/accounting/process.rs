//! A process of the program in the ledger: its threads, and the accounting of those that have ended.

use std::collections::{HashMap, HashSet};

use crate::program::accounting::groups::{Entry, Groups};
use crate::program::process::poll::ThreadPoll;
use crate::program::watched::{Accounting, ThreadKey, sys_part};
use crate::sys::taskstats::ExitRecord;

/// Reporting of threads: PID of the program itself, and true if each thread is reported by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping {
    pub(super) program: i32,
    pub(super) per_thread: bool,
}

#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// True if of the program itself, not of a descendant process.
    pub(super) of_program: bool,
    /// Clock ticks after boot when it was first seen, if it came from elsewhere: what its threads had done by then is not counted.
    pub(super) joined_ticks: u64,
    pub(super) parent: i32,
    pub(super) name: String,
    /// `None` until it has been seen.
    pub(super) started: Option<u64>,
    pub(super) ignores_children: bool,
    /// Page faults of waited-for children when it was last seen.
    pub(super) children_faults: u64,
    pub(super) had_many_threads: bool,
    /// True if a thread other than the first has called exec and taken over the first TID; its former TID, seen perhaps, is
    /// unused.
    pub(super) taken_over: bool,
    /// Program that it executes, as far as visible; and true if that has changed since the last round.
    pub(super) image: u64,
    pub(super) has_executed: bool,
    /// Former owner of the first TID, as last seen; and a record of it or of the present owner.
    pub(super) first: Option<Thread>,
    pub(super) first_recorded: Option<Thread>,
    /// CPU time of its threads that have ended.
    pub(super) ended_cpu_ns: u64,
    /// CPU time by its clock, when the watch began and at the last poll.
    pub(super) cpu_ns_before: u64,
    pub(super) cpu_ns: u64,
    /// True if all its threads were polled in this round.
    pub(super) all_seen: bool,
    pub(super) threads: HashMap<i32, Thread>,
    /// Threads whose record has come; they may still be seen for a while.
    pub(super) recorded: HashSet<i32>,
    /// Of its threads that have ended, and of ended processes charged to it.
    pub(super) groups: Groups,
    pub(super) last_round: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub(super) name: String,
    pub(super) started: u64,
    pub(super) accounting: Accounting,
    /// Accounting when the watch began.
    pub(super) before: Accounting,
    /// True if it was exiting when last seen.
    pub(super) ending: bool,
    /// Accounting by its exit record, if there is one.
    pub(super) recorded: Option<Accounting>,
    pub(super) last_round: u64,
}

impl Process {
    pub(super) fn polled(&mut self, poll: ThreadPoll, round: u64, grouping: Grouping) {
        let ThreadPoll { tid, name, started, ending, accounting, .. } = poll;
        if self.recorded.contains(&tid) {
            match self.threads.get_mut(&tid) {
                // The first thread, now a zombie whose last switch is accounted.
                Some(thread) if ending => {
                    (thread.accounting, thread.last_round) = (accounting, round);
                    return;
                }
                None if ending => return,
                // Another thread of the process has called exec, and taken over the first TID.
                _ => {
                    self.recorded.remove(&tid);
                    self.is_taken_over(grouping, tid);
                }
            }
        }
        if tid == self.pid && self.has_executed {
            if let Some(known) =
                self.threads.get(&tid).filter(|known| accounting.switches() < known.accounting.switches())
            {
                // Counts only grow: another thread's. The first one's last counts are in its record.
                self.first = Some(known.clone());
                self.threads.insert(
                    tid,
                    Thread {
                        name,
                        started,
                        accounting,
                        before: Accounting::default(),
                        ending,
                        recorded: None,
                        last_round: round,
                    },
                );
                return;
            }
        }
        if self.threads.get(&tid).is_some_and(|thread| thread.started != started) {
            // The TID has been reused.
            self.fold(grouping, |other, _| other == tid, true);
        }
        // What it had done before.
        let is_earlier = round == 0 || started < self.joined_ticks;
        let before = if is_earlier { accounting } else { Accounting::default() };
        let thread = self.threads.entry(tid).or_insert(Thread {
            name: String::new(),
            started,
            accounting,
            before: Accounting { threads: 0, waits_unknown: 0, migrations_unknown: 0, ..before },
            ending,
            recorded: None,
            last_round: round,
        });
        (thread.name, thread.accounting, thread.ending, thread.last_round) = (name, accounting, ending, round);
    }

    /// Notes that this thread has ended, and that another one continues under its TID.
    fn is_taken_over(&mut self, grouping: Grouping, tid: i32) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            // A poll since then may have seen the other one.
            thread.accounting = thread.recorded.unwrap_or(thread.accounting);
        }
        self.fold(grouping, |other, _| other == tid, true);
        self.taken_over |= tid == self.pid;
    }

    /// Notes the program that it executes. After exec, only the thread that called it is left, with the first TID.
    pub(super) fn executes(&mut self, image: u64) {
        if image != 0 {
            self.has_executed |= self.image != 0 && self.image != image;
            self.image = image;
        }
    }

    /// Settles, once all records have come, whose accounting is under the first TID after an exec: if another thread called it,
    /// that one was not seen again under its own TID, and has no record. That TID is then unused.
    pub(super) fn settle_exec(&mut self, grouping: Grouping, round: u64) {
        let executed = std::mem::take(&mut self.has_executed);
        let taken_over = std::mem::take(&mut self.taken_over);
        let (recorded, last_seen) = (self.first_recorded.take(), self.first.take());
        let Some(now) = self.threads.get(&self.pid).map(|thread| thread.accounting.switches()) else { return };
        let over = |tid: i32, thread: &Thread| tid != self.pid && thread.last_round < round;
        let earlier =
            self.threads.iter().filter(|(tid, thread)| over(**tid, thread) && thread.accounting.switches() <= now);
        let earlier = earlier.max_by_key(|(_, thread)| thread.accounting.switches()).map(|(&tid, _)| tid);
        let earlier = earlier.filter(|_| executed || taken_over).and_then(|tid| self.threads.remove(&tid));
        let is_another = earlier.is_some();
        if let (Some(earlier), Some(first)) = (earlier, self.threads.get_mut(&self.pid)) {
            first.before = earlier.before;
        }
        let was_another = is_another || last_seen.is_some();
        match (recorded, last_seen) {
            // Of the former owner.
            (Some(first), _) if was_another || first.accounting.switches() < now => {
                self.report(grouping, self.pid, first, true)
            }
            (None, Some(first)) => self.report(grouping, self.pid, first, true),
            (Some(same), _) => {
                self.recorded.insert(self.pid);
                self.threads.insert(self.pid, same);
            }
            (None, None) => {}
        }
    }

    /// Gives its one thread what wait4 accounted after the last poll, where that can only be this thread's: its last switch,
    /// and what ends a process.
    pub(super) fn was_accounted(&mut self, accounted: Accounting) {
        /// With more, there were threads or children that were never seen.
        const AT_ITS_END: u64 = 2;
        let alone = !self.had_many_threads && self.children_faults == 0 && self.groups.is_empty();
        let only = self.threads.get_mut(&self.pid).filter(|_| alone);
        if let Some(only) =
            only.filter(|only| accounted.switches().saturating_sub(only.accounting.switches()) <= AT_ITS_END)
        {
            only.accounting = only.accounting.with_accounted(accounted);
        }
    }

    /// Returns the CPU time by its clock beyond that of its ended threads and of `others_ns`.
    pub(super) fn unseen_cpu_ns(&self, others_ns: u64) -> u64 {
        self.cpu_ns.saturating_sub(self.cpu_ns_before).saturating_sub(self.ended_cpu_ns + others_ns)
    }

    /// Returns true if the records of all its threads have come.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.contains(&self.pid) && self.threads.keys().all(|tid| *tid == self.pid)
    }

    pub(super) fn key(&self, grouping: Grouping, tid: i32, thread: String) -> ThreadKey {
        ThreadKey {
            process: self.name.clone(),
            thread,
            ids: grouping.per_thread.then_some((self.pid, tid)),
            of_program: self.of_program,
            alone: !self.had_many_threads,
        }
    }

    /// Ends all threads, with the accounting they were last seen with.
    pub(super) fn all_ended(&mut self, grouping: Grouping) {
        self.settle_exec(grouping, u64::MAX);
        self.fold(grouping, |_, _| true, true);
        self.groups.unseen_cpu_ns += self.unseen_cpu_ns(0);
    }

    /// Adds the threads as they are now.
    pub(super) fn still_there(&mut self, grouping: Grouping) {
        self.fold(grouping, |_, _| true, false);
        self.groups.unseen_cpu_ns += self.unseen_cpu_ns(0);
    }

    /// Moves the accounting of these threads into the groups: they have ended, or are reported as they are.
    pub(super) fn fold(&mut self, grouping: Grouping, which: impl Fn(i32, &Thread) -> bool, ended: bool) {
        let chosen = self.threads.iter().filter(|(tid, thread)| which(**tid, thread));
        let tids: Vec<i32> = chosen.map(|(&tid, _)| tid).collect();
        for tid in tids {
            if let Some(thread) = self.threads.remove(&tid) {
                self.report(grouping, tid, thread, ended);
            }
        }
    }

    fn report(&mut self, grouping: Grouping, tid: i32, thread: Thread, ended: bool) {
        let accounting = thread.since();
        self.ended_cpu_ns += accounting.on_cpu_ns;
        let key = self.key(grouping, tid, thread.name);
        let (ended, processes) = (u64::from(ended), u64::from(tid == self.pid));
        self.groups.add(key, Entry { accounting, ended, processes });
    }

    /// Takes the exit record of a thread.
    pub(super) fn record(&mut self, record: ExitRecord, round: u64, grouping: Grouping) {
        // Newer than any poll: its parent may have ended, and another process adopted it.
        self.parent = record.parent;
        if self.recorded.contains(&record.tid) {
            // Of the first thread; another had called exec and taken over its TID.
            self.is_taken_over(grouping, record.tid);
        }
        let is_first = record.tid == self.pid;
        // Counts only grow: one seen alive with more is another thread, which has called exec.
        let switches = record.voluntary + record.involuntary;
        let has_more = |seen: &Thread| !seen.ending && seen.accounting.switches() > switches;
        self.has_executed |= is_first && self.threads.get(&record.tid).is_some_and(has_more);
        // The first thread's entry stays: it may be that other thread's.
        let seen = match is_first && self.has_executed {
            true => self.threads.get(&record.tid).cloned(),
            false => self.threads.remove(&record.tid),
        };
        let (before, last) =
            seen.map_or((Accounting::default(), None), |thread| (thread.before, Some(thread.accounting)));
        self.had_many_threads |= !is_first;
        let accounting = recorded_accounting(&record, last);
        let ExitRecord { tid, name, .. } = record;
        let started = self.started.unwrap_or_default();
        let recorded = Some(accounting);
        self.take_record(
            grouping,
            tid,
            Thread { name, started, accounting, before, ending: true, recorded, last_round: round },
        );
    }

    /// Takes a recorded thread. Of the first TID, just after an exec, it may be the former owner's: that is settled
    /// later.
    fn take_record(&mut self, grouping: Grouping, tid: i32, mut thread: Thread) {
        if tid == self.pid && self.has_executed {
            match self.first_recorded.take() {
                None => {
                    if let Some(first) = &self.first {
                        thread.before = first.before;
                    }
                    self.first_recorded = Some(thread);
                    return;
                }
                Some(first) => {
                    self.report(grouping, tid, first, true);
                    self.taken_over = true;
                }
            }
        }
        self.recorded.insert(tid);
        self.threads.insert(tid, thread);
        if tid != self.pid {
            self.fold(grouping, |other, _| other == tid, true);
        }
    }
}

/// Returns the accounting by a thread's exit record, with what it lacks from the last poll.
fn recorded_accounting(record: &ExitRecord, last: Option<Accounting>) -> Accounting {
    let migrations = last.filter(|last| last.migrations_unknown == 0).map(|last| last.migrations);
    // The record lacks the run time since the last tick or switch. A thread that never waited ran, or queued for a CPU, all
    // its life.
    let without_a_wait = record.elapsed_ns.saturating_sub(record.run_queue_wait_ns);
    let on_cpu_ns = match record.voluntary {
        0 => record.on_cpu_ns.max(without_a_wait),
        _ => record.on_cpu_ns.max(last.map_or(0, |last| last.on_cpu_ns)),
    };
    Accounting {
        voluntary: record.voluntary,
        involuntary: record.involuntary,
        on_cpu_ns,
        sys_ns: sys_part(on_cpu_ns, record.user_us, record.sys_us),
        run_queue_wait_ns: record.run_queue_wait_ns,
        migrations: migrations.unwrap_or_default(),
        minor_faults: record.minor_faults,
        major_faults: record.major_faults,
        lifetime_ns: record.elapsed_ns,
        threads: 1,
        waits_unknown: 0,
        migrations_unknown: u64::from(migrations.is_none()),
    }
}

impl Thread {
    pub(super) fn since(&self) -> Accounting {
        let mut accounting = self.accounting;
        accounting -= self.before;
        accounting
    }
}
