//! The ledger against single timelines: which processes are of the program, and that nothing is dropped or counted twice.

use crate::program::accounting::ledger::{Closed, Ledger};
use crate::program::accounting::world::{Drops, PROGRAM, Process, US, World, poll, record, total};

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
    let reported: u64 = closed.groups.iter().map(|group| group.accounting.voluntary).sum();
    assert_eq!((reported, closed.groups.iter().map(|group| group.ended).sum::<u64>()), (8, 2));
}

#[test]
fn threads_that_are_not_polled_for_a_while_have_not_ended() {
    let mut world = World::new(true);
    let tid = world.thread(PROGRAM);
    world.switch(PROGRAM, 5);
    world.round();
    for _ in 0..3 {
        let mut only_first = poll(PROGRAM, &world.processes[&PROGRAM]);
        only_first.threads.retain(|thread| thread.tid == PROGRAM);
        only_first.all_threads = false;
        world.ledger.polled(only_first);
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
        assert_eq!(closed.caveats.dropped_seen, 0);
        assert_eq!(closed.waited_for.unwrap().accounted.voluntary, 11);
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
    assert_eq!((closed.caveats.dropped_seen, closed.waited_for.unwrap().accounted.voluntary), (3, 32));
    assert_eq!(closed.caveats.dropping_parents, ["x"]);
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
    assert_eq!(check(world).caveats.left_running, [""; 0]);
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
    assert_eq!(closed.caveats.left_running, ["x"]);
}

#[test]
fn a_unknown_process_counts_once_its_parent_turns_out_to_be_of_the_program_and_never_if_not() {
    let mut ledger = Ledger::new(PROGRAM, None, false);
    let parent = Process::new(US, PROGRAM, 50);
    ledger.polled(poll(PROGRAM, &parent));
    ledger.end_round();
    // Neither the grandchild nor its parent was ever seen; the grandchild's record comes first.
    ledger.record(record(301, 301, 300, 3, 1));
    ledger.record(record(401, 401, 400, 1000, 1));
    ledger.record(record(300, 300, PROGRAM, 4, 1));
    ledger.end_round();
    for _ in 0..4 {
        ledger.polled(poll(PROGRAM, &parent));
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
    let process = |voluntary| Process::new(US, PROGRAM, voluntary);
    ledger.polled(poll(PROGRAM, &process(50)));
    ledger.end_round();
    ledger.polled(poll(PROGRAM, &process(60)));
    ledger.end_round();
    let mut other = poll(PROGRAM, &process(5));
    other.started = 8;
    other.threads[0].started = 8;
    ledger.polled(other);
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
        assert_eq!(closed.waited_for.unwrap().accounted.voluntary, 1003);
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
