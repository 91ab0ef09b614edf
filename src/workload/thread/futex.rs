//! Two threads, one word that says whose turn it is, and futex(2) to wait for it.
//!
//! The no-switch cost: one thread changes the word and wakes nobody, twice. The waiting system call is left out: without a
//! need to wait it is not made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::futex::{self, Scope};
use crate::sys::shared::{Shared, SharedSlice};
use crate::workload::handoff::{Alone, Handoff};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::ring::{RingHandoff, RingOfOne};
use crate::workload::thread::ThreadPair;
use crate::workload::thread::ring::{self, ThreadRing};
use crate::workload::{NoSwitch, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-futex",
    kind: Kind::Thread,
    brief: "futex(2) on a word that says whose turn it is",
    summary: "two threads wait with futex(2) for a word to say that it is their turn",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    default: true,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, || FutexHandoff::pair(Scope::Process)),
    no_switch: Some(NoSwitch {
        summary: "one thread changes the word by itself: two wakes that find nobody, no switch",
        prepare: |_| Alone::prepare(|| FutexHandoff::pair(Scope::Process)),
    }),
    ring: Some(Ring {
        prepare: ThreadRing::<SlotHandoff<WITHIN>>::prepare,
        no_switch: RingOfOne::<SlotHandoff<WITHIN>>::prepare,
        needs: ring::NEEDS,
    }),
    ..Workload::EMPTY
};

/// Whose turn it is: 0 for the leader, 1 for the follower, [`OVER`] for nobody any more.
#[repr(align(128))]
struct Turn(AtomicU32);

const OVER: u32 = 2;

pub(in crate::workload) struct FutexHandoff {
    turn: Arc<Shared<Turn>>,
    /// 0 for the leader, 1 for the follower.
    participant: u32,
    scope: Scope,
}

impl FutexHandoff {
    pub(in crate::workload) fn pair(scope: Scope) -> io::Result<(FutexHandoff, FutexHandoff)> {
        let turn = Arc::new(Shared::new(Turn(AtomicU32::new(0)))?);
        Ok((
            FutexHandoff { turn: Arc::clone(&turn), participant: 0, scope },
            FutexHandoff { turn, participant: 1, scope },
        ))
    }

    fn set(&self, turn: u32) {
        self.turn.0.store(turn, Ordering::Release);
        futex::wake(&self.turn.0, self.scope);
    }
}

impl Handoff for FutexHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        self.set(1 - self.participant);
        Ok(())
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        loop {
            match self.turn.0.load(Ordering::Acquire) {
                turn if turn == self.participant => return Ok(()),
                OVER => return Err(io::ErrorKind::UnexpectedEof.into()),
                others => futex::wait(&self.turn.0, others, self.scope)?,
            }
        }
    }

    fn close(self) {
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
pub(in crate::workload) struct SlotHandoff<const SHARED: bool> {
    slots: Arc<SharedSlice<Slot>>,
    here: usize,
}

impl<const SHARED: bool> SlotHandoff<SHARED> {
    const SCOPE: Scope = if SHARED { Scope::Shared } else { Scope::Process };

    fn lay(&self, what: u32) {
        let next = &self.slots[(self.here + 1) % self.slots.len()].0;
        next.store(what, Ordering::Release);
        futex::wake(next, Self::SCOPE);
    }
}

impl<const SHARED: bool> RingHandoff for SlotHandoff<SHARED> {
    fn ring(participants: usize) -> io::Result<(Self, impl Iterator<Item = io::Result<Self>>)> {
        let slots = Arc::new(SharedSlice::new(participants)?);
        let handoff = move |member| SlotHandoff { slots: Arc::clone(&slots), here: member };
        Ok((handoff(0), (1..participants).map(move |member| Ok(handoff(member)))))
    }
}

impl<const SHARED: bool> Handoff for SlotHandoff<SHARED> {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        self.lay(TOKEN);
        Ok(())
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
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

    fn close(self) {
        self.lay(OVER);
    }
}
