//! A ring of threads of this process, the calling one among them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::sample::RingShape;
use crate::sys::shared::Shared;
use crate::sys::{rlimit, signal};
use crate::workload::Needs;
use crate::workload::ring::{Baton, Leader, RingHand, WorkingSet, follow, no_laps};
use crate::workload::session::{Laps, Party, Played, Session, Setting};
use crate::workload::thread::Follower;

/// What a thread takes besides what its hand does: by `ctxprof memory`, and by the mappings of its two stacks, each with a
/// guard.
pub(super) const NEEDS: Needs = Needs { threads: 1, files: 0, mappings: 4, bytes: 40_000 };

/// The files of a member, at the most.
const FILES_EACH: u64 = 2;

pub(super) struct ThreadRing<H: RingHand> {
    /// `None` once let go.
    leader: Option<Leader<H>>,
    followers: Vec<Follower>,
}

impl<H: RingHand + Send + 'static> ThreadRing<H> {
    /// Makes the ring, with every other member on the follower's CPU.
    pub(super) fn prepare(setting: &Setting, shape: RingShape) -> Result<Box<dyn Session>> {
        ensure!(shape.parties >= RingShape::FEWEST, "a ring has two parties or more");
        rlimit::allow_files(shape.parties.saturating_mul(FILES_EACH));
        let parties = shape.parties as usize;
        let making = "making what the threads hand a token round with";
        let baton = Arc::new(Shared::new(Baton::default()).context(making)?);
        let (aside, theirs) = H::both().context(making)?;
        let theirs = Arc::new(Mutex::new(theirs));
        let mut hands = H::ring(parties).context(making)?;
        let mut next = || hands.next().context(making)?.context(making);
        let mut followers = Vec::with_capacity(parties - 1);
        // Dropped before an error is returned: the threads that there are see it, and end.
        for member in 1..parties {
            let (hand, theirs, baton) = (next()?, Arc::clone(&theirs), Arc::clone(&baton));
            let is_last = member == parties - 1;
            let life = move || {
                let aside = |turn: &mut dyn FnMut(&mut H) -> _| {
                    turn(&mut theirs.lock().unwrap_or_else(PoisonError::into_inner))
                };
                follow(hand, aside, &baton, is_last, WorkingSet::of(shape))
            };
            followers.push(Follower::start(&setting.of_member(member), life)?);
            signal::progress();
        }
        let leader = Some(Leader::new(next()?, aside, baton, shape));
        Ok(Box::new(ThreadRing { leader, followers }))
    }
}

impl<H: RingHand + Send + 'static> Session for ThreadRing<H> {
    fn parties(&self) -> Vec<Party> {
        std::iter::once(Party::calling_thread()).chain(self.followers.iter().map(Follower::party)).collect()
    }

    fn fitting(&self, ops: u64) -> u64 {
        self.leader.as_ref().map_or(ops, |leader| leader.fitting(ops))
    }

    fn visited(&self) -> Option<Vec<usize>> {
        self.leader.as_ref()?.visited()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        let leader = self.leader.as_mut().context("the session has ended")?;
        leader.play(ops).context("handing a token round the threads")
    }

    fn play_each(&mut self, _ops: u64, _laps: &mut Laps) -> Result<Played> {
        no_laps()
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        self.leader.take().into_iter().for_each(Leader::let_go);
        self.followers.drain(..).try_for_each(|follower| {
            signal::progress();
            follower.join()
        })
    }
}

impl<H: RingHand> Drop for ThreadRing<H> {
    fn drop(&mut self) {
        // Not joined: a follower that is stuck would be waited for without end.
        self.leader.take().into_iter().for_each(Leader::let_go);
    }
}
