//! Two threads, one word that says whose turn it is, and futex(2) to wait for it.
//!
//! The floor: one thread changes the word and wakes nobody, twice. The system call that waits is left out, since one that
//! need not wait is not made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sample::{Kind, SwitchSource};
use crate::sys::futex::{self, Scope};
use crate::sys::shared::Shared;
use crate::workload::hand::{Alone, Hand};
use crate::workload::thread::ThreadPair;
use crate::workload::{Floor, ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-futex",
    kind: Kind::Thread,
    summary: "two threads wait with futex(2) for a word to say that it is their turn",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, || FutexHand::pair(Scope::Process)),
    floor: Some(Floor {
        summary: "one thread changes the word by itself: two wakes that find nobody, no switch",
        prepare: |_| Alone::prepare(|| FutexHand::pair(Scope::Process)),
    }),
    ..Workload::EMPTY
};

/// Whose turn it is: a party's number, or nobody's any more.
#[repr(align(128))]
struct Turn(AtomicU32);

const OVER: u32 = 2;

pub(in crate::workload) struct FutexHand {
    turn: Arc<Shared<Turn>>,
    /// 0 for the leader, 1 for the follower.
    party: u32,
    scope: Scope,
}

impl FutexHand {
    pub(in crate::workload) fn pair(scope: Scope) -> io::Result<(FutexHand, FutexHand)> {
        let turn = Arc::new(Shared::new(Turn(AtomicU32::new(0)))?);
        Ok((FutexHand { turn: Arc::clone(&turn), party: 0, scope }, FutexHand { turn, party: 1, scope }))
    }

    fn set(&self, turn: u32) {
        self.turn.0.store(turn, Ordering::Release);
        futex::wake(&self.turn.0, self.scope);
    }
}

impl Hand for FutexHand {
    #[inline]
    fn give(&mut self) -> io::Result<()> {
        self.set(1 - self.party);
        Ok(())
    }

    #[inline]
    fn take(&mut self) -> io::Result<()> {
        loop {
            match self.turn.0.load(Ordering::Acquire) {
                turn if turn == self.party => return Ok(()),
                OVER => return Err(io::ErrorKind::UnexpectedEof.into()),
                others => futex::wait(&self.turn.0, others, self.scope)?,
            }
        }
    }

    fn let_go(self) {
        self.set(OVER);
    }
}
