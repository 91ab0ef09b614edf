//! A model of processes that switch, exec and end, next to a ledger that watches them, for tests.

use std::collections::BTreeMap;

use crate::program::accounting::ledger::{Closed, Ledger};
use crate::program::process::poll::{ProcessPoll, ThreadPoll};
use crate::program::watched::{Accounting, WaitedFor};
use crate::sys::reap::Usage;
use crate::sys::taskstats::ExitRecord;

/// Parent of this process, with other children.
const SHELL: i32 = 1;
pub(super) const US: i32 = 2;
pub(super) const PROGRAM: i32 = 100;

/// A world of processes with known accounting, and a ledger that sees it as the engine does.
pub(super) struct World {
    pub(super) ledger: Ledger,
    records: bool,
    /// True if every second record is lost.
    pub(super) loses_some: bool,
    lost_next: bool,
    pub(super) processes: BTreeMap<i32, Process>,
    /// Sent by the kernel and not taken yet.
    sent: Vec<ExitRecord>,
    /// Switches of all that was ever of the program.
    truth: u64,
    next_id: i32,
}

/// Handling of a process's ended children: dropped by the kernel or not, and visibly or not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Drops {
    #[default]
    No,
    IgnoringSigchld,
    /// By `SA_NOCLDWAIT`.
    Invisibly,
}

#[derive(Clone, Default)]
pub(super) struct Process {
    parent: i32,
    pub(super) drops: Drops,
    /// True if it adopts its descendants' orphans.
    pub(super) subreaper: bool,
    /// True if it has no page fault, as a child that shares its parent's memory.
    pub(super) shares_memory: bool,
    /// True if it has ended and has yet to be waited for.
    pub(super) zombie: bool,
    pub(super) image: u64,
    /// Image in the last round: two execs between two polls cannot be reported apart.
    pub(super) image_seen: u64,
    pub(super) threads: BTreeMap<i32, u64>,
    /// Of threads that have ended, and of waited-for children.
    ended: u64,
    of_children: u64,
    faults: u64,
    children_faults: u64,
}

impl Process {
    /// Returns a process with one thread, which has switched so many times.
    pub(super) fn new(parent: i32, pid: i32, voluntary: u64) -> Process {
        Process { parent, threads: BTreeMap::from([(pid, voluntary)]), ..Process::default() }
    }
}

impl World {
    /// Returns a world with the program, started by us and polled once.
    pub(super) fn new(records: bool) -> World {
        let mut world = World {
            ledger: Ledger::new(PROGRAM, Some(US), false),
            records,
            loses_some: false,
            lost_next: false,
            processes: BTreeMap::new(),
            sent: Vec::new(),
            truth: 0,
            next_id: PROGRAM + 1,
        };
        world.processes.insert(PROGRAM, Process::new(US, PROGRAM, 0));
        world.round();
        world
    }

    fn id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn switch(&mut self, pid: i32, times: u64) {
        let process = self.processes.get_mut(&pid).unwrap();
        *process.threads.values_mut().next_back().unwrap() += times;
        self.truth += times;
    }

    pub(super) fn thread(&mut self, pid: i32) -> i32 {
        let tid = self.id();
        self.processes.get_mut(&pid).unwrap().threads.insert(tid, 0);
        tid
    }

    pub(super) fn end_thread(&mut self, pid: i32, tid: i32) {
        let process = self.processes.get_mut(&pid).unwrap();
        let Some(voluntary) = process.threads.remove(&tid) else { return };
        process.ended += voluntary;
        let (parent, faults) = (process.parent, u64::from(!process.shares_memory));
        process.faults += faults;
        self.sent.push(record(pid, tid, parent, voluntary, faults));
    }

    pub(super) fn child(&mut self, parent: i32) -> i32 {
        let pid = self.id();
        self.processes.insert(pid, Process::new(parent, pid, 0));
        pid
    }

    /// Ends a child of the shell, from before it became ctxprof: not of the program.
    pub(super) fn earlier_child(&mut self, voluntary: u64) {
        let pid = self.id();
        self.sent.push(record(pid, pid, SHELL, voluntary, 1));
    }

    /// Adds a child with the same parent as `of`.
    pub(super) fn sibling(&mut self, of: i32) -> i32 {
        let parent = self.processes[&of].parent;
        self.child(parent)
    }

    /// Returns the process that adopts a process's children when it ends.
    fn adopter_of(&self, pid: i32) -> i32 {
        let mut ancestor = self.processes[&pid].parent;
        while let Some(process) = self.processes.get(&ancestor) {
            if process.subreaper && !process.zombie {
                return ancestor;
            }
            ancestor = process.parent;
        }
        US
    }

    /// A thread calls exec: all others end, their records come, and it continues under the first TID, with its own counts.
    pub(super) fn exec(&mut self, pid: i32, tid: i32) {
        let others: Vec<i32> = self.processes[&pid].threads.keys().copied().filter(|&other| other != tid).collect();
        others.into_iter().for_each(|other| self.end_thread(pid, other));
        let process = self.processes.get_mut(&pid).unwrap();
        let own = process.threads.remove(&tid).unwrap();
        process.threads.insert(pid, own);
        process.image += 1;
    }

    /// A process ends, and its parent waits for it at once.
    pub(super) fn end(&mut self, pid: i32) {
        self.end_and(pid, false);
    }

    /// A process ends; if it lingers, its parent does not wait for it yet.
    pub(super) fn end_and(&mut self, pid: i32, lingers: bool) {
        let first = self.processes[&pid].threads.get(&pid).copied();
        let tids: Vec<i32> = self.processes[&pid].threads.keys().rev().copied().collect();
        tids.into_iter().for_each(|tid| self.end_thread(pid, tid));
        let adopter = self.adopter_of(pid);
        let orphans: Vec<i32> =
            self.processes.iter().filter(|(_, child)| child.parent == pid).map(|(&pid, _)| pid).collect();
        orphans.iter().for_each(|orphan| self.processes.get_mut(orphan).unwrap().parent = adopter);
        let process = self.processes.get_mut(&pid).unwrap();
        process.zombie = true;
        process.threads.extend(first.map(|voluntary| (pid, voluntary)));
        let drops = self.drops(pid);
        if !lingers || drops || self.processes[&pid].parent == US {
            self.gone(pid, !drops);
        }
        // Zombies with a new parent, which is notified.
        for orphan in orphans {
            let drops = self.drops(orphan);
            if self.processes[&orphan].zombie && (adopter == US || drops) {
                self.gone(orphan, !drops);
            }
        }
    }

    /// Returns true if a process's parent has the kernel drop it.
    fn drops(&self, pid: i32) -> bool {
        self.processes.get(&self.processes[&pid].parent).is_some_and(|parent| parent.drops != Drops::No)
    }

    /// A zombie goes, waited for by its parent or dropped.
    pub(super) fn gone(&mut self, pid: i32, is_waited_for: bool) {
        let zombie = self.processes.remove(&pid).unwrap();
        let all = zombie.ended + zombie.of_children;
        if zombie.parent == US {
            // The engine polls it, takes the records, and waits for it.
            self.ledger.polled(poll(pid, &zombie));
            self.take_records();
            let minor_faults = zombie.faults + zombie.children_faults;
            self.ledger.waited_for(pid, Usage { voluntary: all, minor_faults, ..Usage::default() });
        } else if is_waited_for {
            let parent = self.processes.get_mut(&zombie.parent).unwrap();
            parent.of_children += all;
            parent.children_faults += zombie.faults + zombie.children_faults;
        }
    }

    pub(super) fn round(&mut self) {
        for (&pid, process) in &self.processes {
            self.ledger.polled(poll(pid, process));
        }
        self.processes.values_mut().for_each(|process| process.image_seen = process.image);
        self.take_records();
        self.ledger.end_round();
    }

    fn take_records(&mut self) {
        for record in std::mem::take(&mut self.sent) {
            self.lost_next = self.loses_some && !self.lost_next;
            if self.records && !self.lost_next {
                self.ledger.record(record);
            }
        }
    }

    pub(super) fn close(mut self) -> (u64, Closed) {
        let all_has_ended = self.processes.is_empty();
        if !all_has_ended {
            if self.processes.values().any(|process| process.image != process.image_seen) {
                // Only the next poll shows if the record of a first TID is of its owner before an exec.
                self.round();
            }
            self.round();
        }
        (self.truth, self.ledger.close(all_has_ended))
    }
}

pub(super) fn record(pid: i32, tid: i32, parent: i32, voluntary: u64, minor_faults: u64) -> ExitRecord {
    ExitRecord {
        tid,
        pid: Some(pid),
        parent,
        name: "x".to_string(),
        voluntary,
        involuntary: 0,
        on_cpu_ns: 0,
        user_us: 0,
        sys_us: 0,
        run_queue_wait_ns: 0,
        minor_faults,
        major_faults: 0,
        elapsed_ns: 0,
    }
}

pub(super) fn poll(pid: i32, process: &Process) -> ProcessPoll {
    let zombie = process.zombie;
    let thread = |(&tid, &voluntary): (&i32, &u64)| ThreadPoll {
        tid,
        name: "x".to_string(),
        started: 7,
        ending: zombie,
        only_cpu: None,
        accounting: Accounting { voluntary, threads: 1, ..Accounting::default() },
    };
    ProcessPoll {
        pid,
        parent: process.parent,
        name: "x".to_string(),
        started: 7,
        ignores_children: process.drops == Drops::IgnoringSigchld && !zombie,
        children_faults: process.children_faults,
        kernel_thread: false,
        image: if zombie { 0 } else { process.image + 1 },
        cpu_ns: 0,
        threads: process.threads.iter().map(thread).collect(),
        thread_count: process.threads.len() as u64,
        all_threads: true,
        children: Vec::new(),
    }
}

/// Returns the switches of a closed ledger, summed as in the report.
pub(super) fn total(closed: &Closed) -> u64 {
    let reported: u64 = closed.groups.iter().map(|group| group.accounting.voluntary).sum();
    let WaitedFor { accounted, seen } = closed.waited_for.unwrap_or_default();
    reported - seen.voluntary + accounted.voluntary
}
