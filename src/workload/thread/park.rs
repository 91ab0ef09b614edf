//! Two threads, `std::thread::park` and `unpark`.
//!
//! The no-switch cost: one thread unparks itself and finds that it need not park.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::thread::Thread;

use crate::workload::handoff::{Alone, Handoff};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::thread::ThreadPair;
use crate::workload::{NoSwitch, ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-park",
    kind: Kind::Thread,
    brief: "park and unpark (std::thread)",
    summary: "two threads park until the other unparks them (std::thread)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, ParkHandoff::pair),
    no_switch: Some(NoSwitch {
        summary: "one thread unparks itself and does not park: atomics only, no switch",
        prepare: |_| Alone::prepare(ParkHandoff::pair),
    }),
    ..Workload::EMPTY
};

const OVER: usize = 2;

#[derive(Default)]
#[repr(align(128))]
struct Table {
    /// Whose turn it is, or [`OVER`].
    turn: AtomicUsize,
    /// The threads to be unparked; each enters its own when it first waits.
    participants: [OnceLock<Thread>; 2],
}

struct ParkHandoff {
    table: Arc<Table>,
    participant: usize,
}

impl ParkHandoff {
    fn pair() -> io::Result<(ParkHandoff, ParkHandoff)> {
        let table = Arc::<Table>::default();
        Ok((ParkHandoff { table: Arc::clone(&table), participant: 0 }, ParkHandoff { table, participant: 1 }))
    }

    fn set(&self, turn: usize) {
        self.table.turn.store(turn, Ordering::SeqCst);
        // One that has not entered itself yet will check the turn before it parks.
        if let Some(other) = self.table.participants[1 - self.participant].get() {
            other.unpark();
        }
    }
}

impl Handoff for ParkHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        self.set(1 - self.participant);
        Ok(())
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        self.table.participants[self.participant].get_or_init(thread::current);
        loop {
            match self.table.turn.load(Ordering::SeqCst) {
                turn if turn == self.participant => return Ok(()),
                OVER => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => thread::park(),
            }
        }
    }

    fn close(self) {
        self.set(OVER);
    }
}
