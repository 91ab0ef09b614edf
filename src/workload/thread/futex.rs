//! Two threads, one word that says whose turn it is, and futex(2) to wait for it.
//!
//! The no-switch cost: one thread changes the word and wakes nobody, twice. The waiting system call is left out: without a
//! need to wait it is not made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::futex::{self, Scope};
use crate::sys::shared::{Shared, SharedSlice};
use crate::workload::hand::{Alone, Hand};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::ring::{RingHand, RingOfOne};
use crate::workload::thread::ThreadPair;
use crate::workload::thread::ring::{self, ThreadRing};
use crate::workload::{Floor, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-futex",
    kind: Kind::Thread,
    summary: "two threads wait with futex(2) for a word to say that it is their turn",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    default: true,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, || FutexHand::pair(Scope::Process)),
    floor: Some(Floor {
        summary: "one thread changes the word by itself: two wakes that find nobody, no switch",
        prepare: |_| Alone::prepare(|| FutexHand::pair(Scope::Process)),
    }),
    ring: Some(Ring {
        prepare: ThreadRing::<SlotHand<WITHIN>>::prepare,
        floor: RingOfOne::<SlotHand<WITHIN>>::prepare,
        needs: ring::NEEDS,
    }),
    ..Workload::EMPTY
};

/// Whose turn it is: 0 for the leader, 1 for the follower, [`OVER`] for nobody any more.
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

/// A slot of a ring: [`EMPTY`], [`TOKEN`] or [`OVER`].
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot(AtomicU32);

const EMPTY: u32 = 0;
const TOKEN: u32 = 1;

/// Values of `SHARED`: the members are of one process, or of several.
pub(in crate::workload) const WITHIN: bool = false;
pub(in crate::workload) const BETWEEN: bool = true;

/// A member of a ring, which waits at its own slot and puts the token into the next.
pub(in crate::workload) struct SlotHand<const SHARED: bool> {
    slots: Arc<SharedSlice<Slot>>,
    here: usize,
}

impl<const SHARED: bool> SlotHand<SHARED> {
    const SCOPE: Scope = if SHARED { Scope::Shared } else { Scope::Process };

    fn lay(&self, what: u32) {
        let next = &self.slots[(self.here + 1) % self.slots.len()].0;
        next.store(what, Ordering::Release);
        futex::wake(next, Self::SCOPE);
    }
}

impl<const SHARED: bool> RingHand for SlotHand<SHARED> {
    fn ring(parties: usize) -> io::Result<(Self, impl Iterator<Item = io::Result<Self>>)> {
        let slots = Arc::new(SharedSlice::new(parties)?);
        let hand = move |member| SlotHand { slots: Arc::clone(&slots), here: member };
        Ok((hand(0), (1..parties).map(move |member| Ok(hand(member)))))
    }
}

impl<const SHARED: bool> Hand for SlotHand<SHARED> {
    #[inline]
    fn give(&mut self) -> io::Result<()> {
        self.lay(TOKEN);
        Ok(())
    }

    #[inline]
    fn take(&mut self) -> io::Result<()> {
        let here = &self.slots[self.here].0;
        loop {
            match here.load(Ordering::Acquire) {
                TOKEN => {
                    here.store(EMPTY, Ordering::Relaxed);
                    return Ok(());
                }
                OVER => return Err(io::ErrorKind::UnexpectedEof.into()),
                empty => futex::wait(here, empty, Self::SCOPE)?,
            }
        }
    }

    fn let_go(self) {
        self.lay(OVER);
    }
}
