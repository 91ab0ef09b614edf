//! The ledger against timelines: who belongs to the program, and that nothing is dropped or counted twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::sample::watched::{Books, WaitedFor};
use crate::sys::reap::Usage;
use crate::sys::taskstats::ExitRecord;
use crate::watch::ledger::{Closed, Ledger};
use crate::watch::look::{ProcessLook, ThreadLook};

const US: i32 = 1;
const PROGRAM: i32 = 100;

/// A world with processes whose books are known, and a ledger that sees it as the engine does.
struct World {
    ledger: Ledger,
    records: bool,
    processes: BTreeMap<i32, Process>,
    /// Sent by the kernel and not taken yet.
    sent: Vec<ExitRecord>,
    /// Switches of all that was ever of the program.
    truth: u64,
    next_id: i32,
}

/// Whether the kernel drops the books of a process's ended children, and whether that shows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Drops {
    #[default]
    No,
    IgnoringSigchld,
    /// By `SA_NOCLDWAIT`.
    Invisibly,
}

#[derive(Clone, Default)]
struct Process {
    parent: i32,
    drops: Drops,
    threads: BTreeMap<i32, u64>,
    /// Of threads that have ended, and of children that it has waited for.
    ended: u64,
    of_children: u64,
    children_faults: u64,
}

impl World {
    /// The program, started by us and not looked at yet but once.
    fn new(records: bool) -> World {
        let mut world = World {
            ledger: Ledger::new(PROGRAM, Some(US), false),
            records,
            processes: BTreeMap::new(),
            sent: Vec::new(),
            truth: 0,
            next_id: PROGRAM + 1,
        };
        let threads = BTreeMap::from([(PROGRAM, 0)]);
        world.processes.insert(PROGRAM, Process { parent: US, threads, ..Process::default() });
        world.round();
        world
    }

    fn id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id
    }

    fn switch(&mut self, pid: i32, times: u64) {
        let process = self.processes.get_mut(&pid).unwrap();
        *process.threads.values_mut().next_back().unwrap() += times;
        self.truth += times;
    }

    fn thread(&mut self, pid: i32) -> i32 {
        let tid = self.id();
        self.processes.get_mut(&pid).unwrap().threads.insert(tid, 0);
        tid
    }

    fn end_thread(&mut self, pid: i32, tid: i32) {
        let process = self.processes.get_mut(&pid).unwrap();
        let Some(voluntary) = process.threads.remove(&tid) else { return };
        process.ended += voluntary;
        let parent = process.parent;
        self.sent.push(record(pid, tid, parent, voluntary));
    }

    fn child(&mut self, parent: i32) -> i32 {
        let pid = self.id();
        self.processes.insert(pid, Process { parent, threads: BTreeMap::from([(pid, 0)]), ..Process::default() });
        pid
    }

    /// A process ends and is waited for by whoever is its parent: at once, unless that is us.
    fn end(&mut self, pid: i32) {
        let process = self.processes[&pid].clone();
        let first = process.threads.get(&pid).copied();
        process.threads.keys().rev().for_each(|&tid| self.end_thread(pid, tid));
        let mut process = self.processes.remove(&pid).unwrap();
        // Its children become ours.
        self.processes.values_mut().filter(|child| child.parent == pid).for_each(|child| child.parent = US);
        let all = process.ended + process.of_children;
        if process.parent == US {
            process.threads.extend(first.map(|voluntary| (pid, voluntary)));
            // A zombie: the engine looks at it, takes the records, and waits for it.
            self.ledger.look(look(pid, &process, true));
            self.take_records();
            self.ledger.waited_for(pid, Usage { voluntary: all, ..Usage::default() });
            return;
        }
        let parent = self.processes.get_mut(&process.parent).unwrap();
        if parent.drops == Drops::No {
            parent.of_children += all;
            parent.children_faults += 1 + process.children_faults;
        }
    }

    fn round(&mut self) {
        for (&pid, process) in &self.processes {
            self.ledger.look(look(pid, process, false));
        }
        self.take_records();
        self.ledger.end_round();
    }

    fn take_records(&mut self) {
        for record in std::mem::take(&mut self.sent) {
            if self.records {
                self.ledger.record(record);
            }
        }
    }

    fn close(mut self) -> (u64, Closed) {
        let all_has_ended = self.processes.is_empty();
        if !all_has_ended {
            self.round();
        }
        (self.truth, self.ledger.close(all_has_ended))
    }
}

fn record(pid: i32, tid: i32, parent: i32, voluntary: u64) -> ExitRecord {
    ExitRecord {
        tid,
        pid: Some(pid),
        parent,
        name: "x".to_string(),
        voluntary,
        involuntary: 0,
        on_cpu_ns: 0,
        run_queue_wait_ns: 0,
        minor_faults: 1,
        major_faults: 0,
        elapsed_ns: 0,
    }
}

fn look(pid: i32, process: &Process, zombie: bool) -> ProcessLook {
    let thread = |(&tid, &voluntary): (&i32, &u64)| ThreadLook {
        tid,
        name: "x".to_string(),
        started: 7,
        ending: zombie,
        only_cpu: None,
        books: Books { voluntary, threads: 1, ..Books::default() },
    };
    ProcessLook {
        pid,
        parent: process.parent,
        name: "x".to_string(),
        started: 7,
        ignores_children: process.drops == Drops::IgnoringSigchld && !zombie,
        children_faults: process.children_faults,
        kernel_thread: false,
        cpu_ns: 0,
        threads: process.threads.iter().map(thread).collect(),
        thread_count: process.threads.len() as u64,
        all_threads: true,
        children: Vec::new(),
    }
}

/// The switches of all that a closed ledger tells, as the summary adds them up.
fn total(closed: &Closed) -> u64 {
    let told: u64 = closed.groups.iter().map(|group| group.books.voluntary).sum();
    let WaitedFor { booked, seen } = closed.waited_for.unwrap_or_default();
    told - seen.voluntary + booked.voluntary
}

#[track_caller]
fn check(world: World) -> Closed {
    let (truth, closed) = world.close();
    assert_eq!(total(&closed), truth, "{closed:?}");
    closed
}

#[test]
fn a_thread_that_is_seen_and_recorded_counts_once() {
    let mut world = World::new(true);
    let tid = world.thread(PROGRAM);
    world.switch(PROGRAM, 5);
    world.round();
    world.switch(PROGRAM, 3);
    world.end_thread(PROGRAM, tid);
    world.round();
    world.end(PROGRAM);
    let closed = check(world);
    let told: u64 = closed.groups.iter().map(|group| group.books.voluntary).sum();
    assert_eq!((told, closed.groups.iter().map(|group| group.ended).sum::<u64>()), (8, 2));
}

#[test]
fn threads_that_nobody_looks_at_for_a_while_have_not_ended() {
    let mut world = World::new(true);
    let tid = world.thread(PROGRAM);
    world.switch(PROGRAM, 5);
    world.round();
    for _ in 0..3 {
        let mut only_first = look(PROGRAM, &world.processes[&PROGRAM], false);
        only_first.threads.retain(|thread| thread.tid == PROGRAM);
        only_first.all_threads = false;
        world.ledger.look(only_first);
        world.ledger.end_round();
    }
    world.switch(PROGRAM, 3);
    world.end_thread(PROGRAM, tid);
    world.round();
    world.end(PROGRAM);
    let closed = check(world);
    assert_eq!(closed.groups.iter().map(|group| group.ended).sum::<u64>(), 2, "{closed:?}");
}

#[test]
fn without_records_what_nobody_saw_is_what_wait4_tells_beyond() {
    let mut world = World::new(false);
    let tid = world.thread(PROGRAM);
    world.switch(PROGRAM, 5);
    world.round();
    world.switch(PROGRAM, 3);
    world.end_thread(PROGRAM, tid);
    world.round();
    let unseen = world.thread(PROGRAM);
    world.switch(PROGRAM, 11);
    world.end_thread(PROGRAM, unseen);
    world.round();
    world.end(PROGRAM);
    let closed = check(world);
    let seen = closed.waited_for.unwrap().seen.voluntary;
    assert_eq!(seen, 5);
}

#[test]
fn children_share_their_parents_fate() {
    for records in [true, false] {
        let mut world = World::new(records);
        let child = world.child(PROGRAM);
        let grandchild = world.child(child);
        world.switch(child, 4);
        world.switch(grandchild, 6);
        world.round();
        world.switch(grandchild, 1);
        world.end(grandchild);
        world.end(child);
        world.round();
        world.round();
        world.round();
        world.end(PROGRAM);
        let closed = check(world);
        assert_eq!(closed.doubts.dropped_seen, 0);
        assert_eq!(closed.waited_for.unwrap().booked.voluntary, 11);
    }
}

#[test]
fn children_that_the_kernel_drops_count_beside_what_wait4_tells() {
    let mut world = World::new(true);
    world.processes.get_mut(&PROGRAM).unwrap().drops = Drops::IgnoringSigchld;
    world.switch(PROGRAM, 2);
    world.round();
    for _ in 0..3 {
        let child = world.child(PROGRAM);
        world.switch(child, 10);
        world.end(child);
    }
    (0..3).for_each(|_| world.round());
    world.end(PROGRAM);
    let closed = check(world);
    assert_eq!((closed.doubts.dropped_seen, closed.waited_for.unwrap().booked.voluntary), (3, 2));
    assert_eq!(closed.doubts.dropping_parents, ["x"]);
}

#[test]
fn orphans_are_waited_for_by_us_and_count() {
    let mut world = World::new(false);
    let middle = world.child(PROGRAM);
    let orphan = world.child(middle);
    world.end(middle);
    world.switch(orphan, 9);
    world.end(PROGRAM);
    world.round();
    world.switch(orphan, 1);
    world.end(orphan);
    assert_eq!(check(world).doubts.left_running, [""; 0]);
}

#[test]
fn what_lives_on_is_counted_up_to_the_end() {
    let mut world = World::new(true);
    let daemon = world.child(PROGRAM);
    world.switch(daemon, 5);
    world.end(PROGRAM);
    world.round();
    world.switch(daemon, 5);
    let closed = check(world);
    assert_eq!(closed.doubts.left_running, ["x"]);
}

#[test]
fn a_stranger_counts_once_its_parent_turns_out_to_be_of_the_program_and_never_if_not() {
    let mut ledger = Ledger::new(PROGRAM, None, false);
    let parent = Process { parent: US, threads: BTreeMap::from([(PROGRAM, 50)]), ..Process::default() };
    ledger.look(look(PROGRAM, &parent, false));
    ledger.end_round();
    // Neither the grandchild nor its parent was ever seen; the grandchild's record comes first.
    ledger.record(record(301, 301, 300, 3));
    ledger.record(record(401, 401, 400, 1000));
    ledger.record(record(300, 300, PROGRAM, 4));
    ledger.end_round();
    for _ in 0..4 {
        ledger.look(look(PROGRAM, &parent, false));
        ledger.end_round();
    }
    let closed = ledger.close(false);
    // What the program had done before it was watched is not told.
    assert_eq!(total(&closed), 7, "{closed:?}");
}

#[test]
fn a_thread_that_calls_exec_takes_over_the_first_ones_number() {
    let mut world = World::new(true);
    let tid = world.thread(PROGRAM);
    world.switch(PROGRAM, 5);
    world.round();
    // exec ends the first thread, whose record comes; the other goes on under its number, with its own books.
    let process = world.processes.get_mut(&PROGRAM).unwrap();
    let first = process.threads.remove(&PROGRAM).unwrap();
    let other = process.threads.remove(&tid).unwrap();
    process.ended += first;
    process.threads.insert(PROGRAM, other);
    world.sent.push(record(PROGRAM, PROGRAM, US, first));
    world.switch(PROGRAM, 7);
    world.round();
    world.round();
    world.end(PROGRAM);
    check(world);
}

#[test]
fn another_process_with_the_same_number_is_another() {
    let mut ledger = Ledger::new(PROGRAM, None, false);
    let process =
        |voluntary| Process { parent: US, threads: BTreeMap::from([(PROGRAM, voluntary)]), ..Process::default() };
    ledger.look(look(PROGRAM, &process(50), false));
    ledger.end_round();
    ledger.look(look(PROGRAM, &process(60), false));
    ledger.end_round();
    let mut other = look(PROGRAM, &process(5), false);
    other.started = 8;
    other.threads[0].started = 8;
    ledger.look(other);
    ledger.end_round();
    assert_eq!(total(&ledger.close(false)), 15);
}

/// What may happen, with a number that chooses to whom.
#[derive(Debug, Clone, Copy)]
enum Event {
    Switch(u8),
    Thread(u8),
    EndThread(u8),
    Child(u8),
    End(u8),
    Round,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<u8>().prop_map(Event::Switch),
        2 => any::<u8>().prop_map(Event::Thread),
        1 => any::<u8>().prop_map(Event::EndThread),
        2 => any::<u8>().prop_map(Event::Child),
        1 => any::<u8>().prop_map(Event::End),
        2 => Just(Event::Round),
    ]
}

proptest! {
    #[test]
    fn nothing_is_dropped_or_counted_twice(
        events in prop::collection::vec(event(), 0..60),
        drops in prop::sample::select(vec![Drops::No, Drops::IgnoringSigchld, Drops::Invisibly]),
        ends in any::<bool>(),
    ) {
        let mut world = World::new(true);
        world.processes.get_mut(&PROGRAM).unwrap().drops = drops;
        // Before anything can be told of what it does about its children.
        world.round();
        for event in events {
            let pids: Vec<i32> = world.processes.keys().copied().collect();
            let of = |which: u8| pids[usize::from(which) % pids.len()];
            match event {
                _ if pids.is_empty() => {}
                Event::Switch(which) => world.switch(of(which), u64::from(which) + 1),
                Event::Thread(which) => drop(world.thread(of(which))),
                Event::EndThread(which) => {
                    let pid = of(which);
                    let last = *world.processes[&pid].threads.keys().next_back().unwrap();
                    if last != pid {
                        world.end_thread(pid, last);
                    }
                }
                Event::Child(which) => drop(world.child(of(which))),
                Event::End(which) => world.end(of(which)),
                Event::Round => world.round(),
            }
        }
        if ends {
            // Parents last, so that no orphan is left behind.
            let pids: Vec<i32> = world.processes.keys().copied().rev().collect();
            pids.into_iter().for_each(|pid| world.end(pid));
        }
        let (truth, closed) = world.close();
        prop_assert_eq!(total(&closed), truth, "{:?}", closed);
    }
}
