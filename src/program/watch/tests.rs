//! The ledger against timelines: which processes are of the program, and that nothing is dropped or counted twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::program::watch::ledger::{Closed, Ledger};
use crate::program::watch::look::{ProcessLook, ThreadLook};
use crate::program::watched::{Books, WaitedFor};
use crate::sys::reap::Usage;
use crate::sys::taskstats::ExitRecord;

/// Parent of this process, with other children.
const SHELL: i32 = 1;
const US: i32 = 2;
const PROGRAM: i32 = 100;

/// A world of processes with known accounting, and a ledger that sees it as the engine does.
struct World {
    ledger: Ledger,
    records: bool,
    /// True if every second record is lost.
    loses_some: bool,
    lost_next: bool,
    processes: BTreeMap<i32, Process>,
    /// Sent by the kernel and not taken yet.
    sent: Vec<ExitRecord>,
    /// Switches of all that was ever of the program.
    truth: u64,
    next_id: i32,
}

/// Handling of a process's ended children: dropped by the kernel or not, and visibly or not.
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
    /// True if it adopts its descendants' orphans.
    subreaper: bool,
    /// True if it has no page fault, as a child that shares its parent's memory.
    shares_memory: bool,
    /// True if it has ended and has yet to be waited for.
    zombie: bool,
    image: u64,
    /// Image in the last round: two execs between two polls cannot be told apart.
    image_seen: u64,
    threads: BTreeMap<i32, u64>,
    /// Of threads that have ended, and of waited-for children.
    ended: u64,
    of_children: u64,
    faults: u64,
    children_faults: u64,
}

impl World {
    /// Returns a world with the program, started by us and polled once.
    fn new(records: bool) -> World {
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
        let (parent, faults) = (process.parent, u64::from(!process.shares_memory));
        process.faults += faults;
        self.sent.push(record(pid, tid, parent, voluntary, faults));
    }

    fn child(&mut self, parent: i32) -> i32 {
        let pid = self.id();
        self.processes.insert(pid, Process { parent, threads: BTreeMap::from([(pid, 0)]), ..Process::default() });
        pid
    }

    /// Ends a child of the shell, from before it became ctxprof: not of the program.
    fn earlier_child(&mut self, voluntary: u64) {
        let pid = self.id();
        self.sent.push(record(pid, pid, SHELL, voluntary, 1));
    }

    /// Adds a child with the same parent as `of`.
    fn sibling(&mut self, of: i32) -> i32 {
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
    fn exec(&mut self, pid: i32, tid: i32) {
        let others: Vec<i32> = self.processes[&pid].threads.keys().copied().filter(|&other| other != tid).collect();
        others.into_iter().for_each(|other| self.end_thread(pid, other));
        let process = self.processes.get_mut(&pid).unwrap();
        let own = process.threads.remove(&tid).unwrap();
        process.threads.insert(pid, own);
        process.image += 1;
    }

    /// A process ends, and its parent waits for it at once.
    fn end(&mut self, pid: i32) {
        self.end_and(pid, false);
    }

    /// A process ends; if it lingers, its parent does not wait for it yet.
    fn end_and(&mut self, pid: i32, lingers: bool) {
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
    fn gone(&mut self, pid: i32, is_waited_for: bool) {
        let zombie = self.processes.remove(&pid).unwrap();
        let all = zombie.ended + zombie.of_children;
        if zombie.parent == US {
            // The engine polls it, takes the records, and waits for it.
            self.ledger.look(look(pid, &zombie));
            self.take_records();
            let minor_faults = zombie.faults + zombie.children_faults;
            self.ledger.waited_for(pid, Usage { voluntary: all, minor_faults, ..Usage::default() });
        } else if is_waited_for {
            let parent = self.processes.get_mut(&zombie.parent).unwrap();
            parent.of_children += all;
            parent.children_faults += zombie.faults + zombie.children_faults;
        }
    }

    fn round(&mut self) {
        for (&pid, process) in &self.processes {
            self.ledger.look(look(pid, process));
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

    fn close(mut self) -> (u64, Closed) {
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

fn record(pid: i32, tid: i32, parent: i32, voluntary: u64, minor_faults: u64) -> ExitRecord {
    ExitRecord {
        tid,
        pid: Some(pid),
        parent,
        name: "x".to_string(),
        voluntary,
        involuntary: 0,
        on_cpu_ns: 0,
        run_queue_wait_ns: 0,
        minor_faults,
        major_faults: 0,
        elapsed_ns: 0,
    }
}

fn look(pid: i32, process: &Process) -> ProcessLook {
    let zombie = process.zombie;
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
        image: if zombie { 0 } else { process.image + 1 },
        cpu_ns: 0,
        threads: process.threads.iter().map(thread).collect(),
        thread_count: process.threads.len() as u64,
        all_threads: true,
        children: Vec::new(),
    }
}

/// Returns the switches of a closed ledger, summed as in the report.
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
        let mut only_first = look(PROGRAM, &world.processes[&PROGRAM]);
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
    assert_eq!((closed.doubts.dropped_seen, closed.waited_for.unwrap().booked.voluntary), (3, 32));
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
    ledger.look(look(PROGRAM, &parent));
    ledger.end_round();
    // Neither the grandchild nor its parent was ever seen; the grandchild's record comes first.
    ledger.record(record(301, 301, 300, 3, 1));
    ledger.record(record(401, 401, 400, 1000, 1));
    ledger.record(record(300, 300, PROGRAM, 4, 1));
    ledger.end_round();
    for _ in 0..4 {
        ledger.look(look(PROGRAM, &parent));
        ledger.end_round();
    }
    let closed = ledger.close(false);
    // What the program had done before it was watched is not reported.
    assert_eq!(total(&closed), 7, "{closed:?}");
}

#[test]
fn a_thread_that_calls_exec_takes_over_the_first_ones_number() {
    let mut world = World::new(true);
    let tid = world.thread(PROGRAM);
    world.switch(PROGRAM, 5);
    world.round();
    world.exec(PROGRAM, tid);
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
    ledger.look(look(PROGRAM, &process(50)));
    ledger.end_round();
    ledger.look(look(PROGRAM, &process(60)));
    ledger.end_round();
    let mut other = look(PROGRAM, &process(5));
    other.started = 8;
    other.threads[0].started = 8;
    ledger.look(other);
    ledger.end_round();
    assert_eq!(total(&ledger.close(false)), 15);
}

#[test]
fn a_child_without_page_faults_that_was_waited_for_counts_once() {
    for records in [true, false] {
        let mut world = World::new(records);
        let child = world.child(PROGRAM);
        world.processes.get_mut(&child).unwrap().shares_memory = true;
        world.switch(child, 1000);
        world.round();
        world.end(child);
        // Its parent lives on, and is polled.
        (0..4).for_each(|_| world.round());
        world.switch(PROGRAM, 3);
        world.end(PROGRAM);
        let closed = check(world);
        assert_eq!(closed.waited_for.unwrap().booked.voluntary, 1003);
    }
}

#[test]
fn a_child_that_was_dropped_counts_although_a_later_one_was_waited_for() {
    let mut world = World::new(true);
    world.processes.get_mut(&PROGRAM).unwrap().drops = Drops::IgnoringSigchld;
    let dropped = world.child(PROGRAM);
    world.switch(dropped, 500);
    world.end(dropped);
    world.processes.get_mut(&PROGRAM).unwrap().drops = Drops::No;
    let child = world.child(PROGRAM);
    world.switch(child, 10);
    world.end(child);
    (0..4).for_each(|_| world.round());
    world.end(PROGRAM);
    check(world);
}

#[test]
fn what_the_shell_had_started_before_is_not_the_programs() {
    let mut world = World::new(true);
    world.earlier_child(1000);
    world.switch(PROGRAM, 2);
    (0..3).for_each(|_| world.round());
    world.end(PROGRAM);
    check(world);
}

#[test]
fn an_orphan_that_a_subreaper_has_adopted_and_waited_for_counts_once() {
    let mut world = World::new(true);
    let init = world.child(PROGRAM);
    world.processes.get_mut(&init).unwrap().subreaper = true;
    let middle = world.child(init);
    let orphan = world.child(middle);
    world.switch(orphan, 7);
    world.round();
    world.end(middle);
    world.switch(orphan, 7);
    world.end(orphan);
    world.end(init);
    world.end(PROGRAM);
    check(world);
}

/// An event, with a number that chooses the process.
#[derive(Debug, Clone, Copy)]
enum Event {
    Switch(u8),
    Thread(u8),
    EndThread(u8),
    Exec(u8),
    Child(u8),
    /// By `CLONE_VM`, as vfork does.
    ChildInItsMemory(u8),
    /// By `CLONE_PARENT`.
    Sibling(u8),
    EarlierChild(u8),
    Adopts(u8),
    Drops(u8, Drops),
    End(u8),
    /// Without being waited for yet.
    Linger(u8),
    Wait(u8),
    Round,
}

fn event() -> impl Strategy<Value = Event> {
    let drops = prop::sample::select(vec![Drops::No, Drops::IgnoringSigchld, Drops::Invisibly]);
    prop_oneof![
        4 => any::<u8>().prop_map(Event::Switch),
        2 => any::<u8>().prop_map(Event::Thread),
        1 => any::<u8>().prop_map(Event::EndThread),
        1 => any::<u8>().prop_map(Event::Exec),
        2 => any::<u8>().prop_map(Event::Child),
        1 => any::<u8>().prop_map(Event::ChildInItsMemory),
        1 => any::<u8>().prop_map(Event::Sibling),
        1 => any::<u8>().prop_map(Event::EarlierChild),
        1 => any::<u8>().prop_map(Event::Adopts),
        1 => (any::<u8>(), drops).prop_map(|(which, drops)| Event::Drops(which, drops)),
        1 => any::<u8>().prop_map(Event::End),
        1 => any::<u8>().prop_map(Event::Linger),
        1 => any::<u8>().prop_map(Event::Wait),
        2 => Just(Event::Round),
    ]
}

impl World {
    fn happens(&mut self, event: Event) {
        let living = |world: &World| -> Vec<i32> {
            world.processes.iter().filter(|(_, process)| !process.zombie).map(|(&pid, _)| pid).collect()
        };
        let pids = living(self);
        if pids.is_empty() {
            return;
        }
        let of = |which: u8| pids[usize::from(which) % pids.len()];
        match event {
            Event::Switch(which) => self.switch(of(which), u64::from(which) + 1),
            Event::Thread(which) => drop(self.thread(of(which))),
            Event::EndThread(which) => {
                let pid = of(which);
                let last = *self.processes[&pid].threads.keys().next_back().unwrap();
                if last != pid {
                    self.end_thread(pid, last);
                }
            }
            Event::Exec(which) => {
                let pid = of(which);
                let tids: Vec<i32> = self.processes[&pid].threads.keys().copied().collect();
                if self.processes[&pid].image == self.processes[&pid].image_seen {
                    self.exec(pid, tids[usize::from(which) % tids.len()]);
                }
            }
            Event::Child(which) => drop(self.child(of(which))),
            Event::ChildInItsMemory(which) => {
                let child = self.child(of(which));
                self.processes.get_mut(&child).unwrap().shares_memory = true;
            }
            Event::Sibling(which) => drop(self.sibling(of(which))),
            Event::EarlierChild(which) => self.earlier_child(u64::from(which)),
            Event::Adopts(which) => self.processes.get_mut(&of(which)).unwrap().subreaper = true,
            Event::Drops(which, drops) => self.processes.get_mut(&of(which)).unwrap().drops = drops,
            Event::End(which) => self.end(of(which)),
            Event::Linger(which) => self.end_and(of(which), true),
            Event::Wait(which) => {
                let zombies: Vec<i32> =
                    self.processes.iter().filter(|(_, process)| process.zombie).map(|(&pid, _)| pid).collect();
                if !zombies.is_empty() {
                    self.gone(zombies[usize::from(which) % zombies.len()], true);
                }
            }
            Event::Round => self.round(),
        }
    }

    /// Ends everything: parents last, so that nothing is left behind.
    fn ends(&mut self) {
        while let Some(pid) = self.processes.iter().rev().find(|(_, process)| !process.zombie).map(|(&pid, _)| pid) {
            self.end(pid);
        }
    }
}

proptest! {
    #[test]
    fn with_every_record_the_total_is_the_truth(
        events in prop::collection::vec(event(), 0..60),
        drops in prop::sample::select(vec![Drops::No, Drops::IgnoringSigchld, Drops::Invisibly]),
        ends in any::<bool>(),
    ) {
        let mut world = World::new(true);
        world.processes.get_mut(&PROGRAM).unwrap().drops = drops;
        // The ledger sees how it treats its children.
        world.round();
        events.into_iter().for_each(|event| world.happens(event));
        if ends {
            world.ends();
        }
        let (truth, closed) = world.close();
        prop_assert_eq!(total(&closed), truth, "{:?}", closed);
    }

    #[test]
    fn without_some_records_or_any_nothing_counts_twice_and_no_total_is_below_its_rows(
        events in prop::collection::vec(event(), 0..60),
        records in any::<bool>(),
        ends in any::<bool>(),
    ) {
        let mut world = World::new(records);
        world.loses_some = true;
        for event in events {
            let executes = matches!(event, Event::Exec(_));
            if executes {
                world.round();
            }
            world.happens(event);
            // Without a poll in between, nothing shows that the ending thread was seen under another TID.
            if executes {
                world.round();
            }
        }
        if ends {
            world.ends();
        }
        let (truth, closed) = world.close();
        let rows: u64 = closed.groups.iter().map(|group| group.books.voluntary).sum();
        let total = total(&closed);
        prop_assert!(rows <= total && total <= truth, "{} rows, {} in all, {} in truth: {:?}", rows, total, truth, closed);
    }
}
