//! Two threads, a `Mutex` and a `Condvar` of std, used as its documentation shows: notified while the lock is held.
//!
//! The woken thread runs into the lock that its waker still holds, so that a round trip takes more than two switches; that is
//! the finding and is not corrected.
//!
//! The no-switch cost: one thread locks, changes whose turn it is, notifies nobody and unlocks; then locks again and need not
//! wait.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::workload::handoff::{Alone, Handoff};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::thread::ThreadPair;
use crate::workload::{NoSwitch, ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-condvar",
    kind: Kind::Thread,
    brief: "Condvar under a Mutex (std, notified while locked)",
    summary: "two threads wait on a Condvar under a Mutex for their turn (std, notified while locked)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, CondvarHandoff::pair),
    no_switch: Some(NoSwitch {
        summary: "one thread locks, notifies nobody and unlocks: atomics only, no switch",
        prepare: |_| Alone::prepare(CondvarHandoff::pair),
    }),
    ..Workload::EMPTY
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Of(u8),
    Over,
}

struct CondvarHandoff {
    table: Arc<(Mutex<Turn>, Condvar)>,
    participant: u8,
}

impl CondvarHandoff {
    fn pair() -> io::Result<(CondvarHandoff, CondvarHandoff)> {
        let table = Arc::new((Mutex::new(Turn::Of(0)), Condvar::new()));
        Ok((CondvarHandoff { table: Arc::clone(&table), participant: 0 }, CondvarHandoff { table, participant: 1 }))
    }

    /// The turn is a plain value: a thread that panicked while holding the lock has not left it half changed.
    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.table.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, turn: Turn) {
        let mut whose = self.lock();
        *whose = turn;
        self.table.1.notify_one();
    }
}

impl Handoff for CondvarHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        self.set(Turn::Of(1 - self.participant));
        Ok(())
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        let mut whose = self.lock();
        loop {
            match *whose {
                Turn::Of(participant) if participant == self.participant => return Ok(()),
                Turn::Over => return Err(io::ErrorKind::UnexpectedEof.into()),
                Turn::Of(_) => whose = self.table.1.wait(whose).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn close(self) {
        self.set(Turn::Over);
    }
}
