//! A ring of threads of this process, the calling one among them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::sys::shared::Shared;
use crate::sys::{rlimit, signal};
use crate::workload::Needs;
use crate::workload::ring::{Leader, RingHandoff, RingToken, WorkingSet, follow};
use crate::workload::session::{Participant, Played, Session, Setting};
use crate::workload::shape::RingShape;
use crate::workload::thread::Follower;

/// Resource need of a thread without its handoff: by `ctxprof memory`, and by the mappings of its two stacks, each with a
/// guard.
pub(super) const NEEDS: Needs = Needs { threads: 1, files: 0, mappings: 4, bytes: 40_000 };

/// Maximum of files of a member.
const FILES_EACH: u64 = 2;

pub(super) struct ThreadRing<H: RingHandoff> {
    /// `None` once closed.
    leader: Option<Leader<H>>,
    followers: Vec<Follower>,
}

impl<H: RingHandoff + Send + 'static> ThreadRing<H> {
    /// Starts the ring, with every other member on the follower's CPU.
    pub(super) fn prepare(setting: &Setting, shape: RingShape) -> Result<Box<dyn Session>> {
        ensure!(shape.participants >= RingShape::FEWEST, "a ring has two participants or more");
        rlimit::allow_files(shape.participants.saturating_mul(FILES_EACH));
        let participants = shape.participants as usize;
        let making = "making what the threads hand a token round with";
        let ring_token = Arc::new(Shared::new(RingToken::default()).context(making)?);
        let (aside, theirs) = H::both().context(making)?;
        let theirs = Arc::new(Mutex::new(theirs));
        let (handoff, mut handoffs) = H::ring(participants).context(making)?;
        let mut ring = ThreadRing {
            leader: Some(Leader::new(handoff, aside, Arc::clone(&ring_token), shape)),
            followers: Vec::new(),
        };
        let follower = |member: usize| {
            let handoff = handoffs.next().context(making)?.context(making)?;
            let (theirs, ring_token, is_last) =
                (Arc::clone(&theirs), Arc::clone(&ring_token), member == participants - 1);
            let life = move || {
                let aside = |turn: &mut dyn FnMut(&mut H) -> _| {
                    turn(&mut theirs.lock().unwrap_or_else(PoisonError::into_inner))
                };
                follow(handoff, aside, &ring_token, is_last, WorkingSet::of(shape))
            };
            signal::progress();
            Follower::start(&setting.of_member(member), life)
        };
        match (1..participants)
            .map(follower)
            .try_for_each(|started| started.map(|follower| ring.followers.push(follower)))
        {
            Ok(()) => Ok(Box::new(ring)),
            Err(error) => {
                // The started members must not stay: the process may not fork beside them.
                Box::new(ring).end()?;
                Err(error)
            }
        }
    }
}

impl<H: RingHandoff + Send + 'static> Session for ThreadRing<H> {
    fn participants(&self) -> Vec<Participant> {
        std::iter::once(Participant::calling_thread()).chain(self.followers.iter().map(Follower::participant)).collect()
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

    fn end(mut self: Box<Self>) -> Result<()> {
        self.leader.take().into_iter().for_each(Leader::close);
        self.followers.drain(..).try_for_each(|follower| {
            signal::progress();
            follower.join()
        })
    }
}

impl<H: RingHandoff> Drop for ThreadRing<H> {
    fn drop(&mut self) {
        // Not joined: a stuck follower would be waited for forever.
        self.leader.take().into_iter().for_each(Leader::close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::handoff::Handoff;
    use crate::workload::thread::futex::{SlotHandoff, WITHIN};
    use std::io;

    thread_local! {
        /// Shared by every end of this test: its count shows leaks.
        static SHARES: Arc<()> = Arc::new(());
    }

    /// A ring whose fifth member cannot be opened.
    struct FourAtMost(SlotHandoff<WITHIN>, #[expect(dead_code, reason = "it is there to be counted")] Arc<()>);

    impl Handoff for FourAtMost {
        fn signal(&mut self) -> io::Result<()> {
            self.0.signal()
        }

        fn wait(&mut self) -> io::Result<()> {
            self.0.wait()
        }

        fn close(self) {
            self.0.close();
        }
    }

    impl RingHandoff for FourAtMost {
        fn ring(participants: usize) -> io::Result<(Self, impl Iterator<Item = io::Result<Self>>)> {
            let shares = SHARES.with(Arc::clone);
            let (leader, followers) = SlotHandoff::ring(participants)?;
            let leader = FourAtMost(leader, Arc::clone(&shares));
            let followers = followers.enumerate().map(move |(at, handoff)| match at {
                0..4 => handoff.map(|handoff| FourAtMost(handoff, Arc::clone(&shares))),
                _ => Err(io::ErrorKind::OutOfMemory.into()),
            });
            Ok((leader, followers))
        }
    }

    #[test]
    fn members_of_a_ring_that_cannot_be_completed_end() {
        let shape = RingShape { participants: 10, working_set_bytes: 0 };
        assert!(ThreadRing::<FourAtMost>::prepare(&Setting::on(0), shape).is_err());
        assert_eq!(SHARES.with(Arc::strong_count), 1, "a member lives on with its hand");
        let shape = RingShape { participants: 4, ..shape };
        ThreadRing::<FourAtMost>::prepare(&Setting::on(0), shape).unwrap().end().unwrap();
    }
}
