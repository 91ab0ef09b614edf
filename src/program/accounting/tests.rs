//! The ledger against random timelines.

use proptest::prelude::*;

use crate::program::accounting::world::{Drops, PROGRAM, World, total};

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
        let rows: u64 = closed.groups.iter().map(|group| group.accounting.voluntary).sum();
        let total = total(&closed);
        prop_assert!(rows <= total && total <= truth, "{} rows, {} in all, {} in truth: {:?}", rows, total, truth, closed);
    }
}
