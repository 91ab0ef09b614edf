//! A ring of processes: the calling thread's, and forked ones.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::sys::fork::Partner;
use crate::sys::shared::Shared;
use crate::sys::signal;
use crate::workload::Needs;
use crate::workload::process::{explain, fork_follower, wait_for};
use crate::workload::ring::{Leader, RingHandoff, RingToken, WorkingSet, follow};
use crate::workload::session::{Participant, Played, Session, Setting};
use crate::workload::shape::RingShape;

/// Resource need of a process, by `ctxprof memory`; its files are its own.
pub(super) const NEEDS: Needs = Needs { threads: 1, files: 0, mappings: 0, bytes: 130_000 };

pub(super) struct ProcessRing<H: RingHandoff> {
    leader: Leader<H>,
    followers: Vec<Partner>,
}

impl<H: RingHandoff + 'static> ProcessRing<H> {
    /// Starts the ring, with every other member on the follower's CPU.
    pub(super) fn prepare(setting: &Setting, shape: RingShape) -> Result<Box<dyn Session>> {
        ensure!(shape.participants >= RingShape::FEWEST, "a ring has two participants or more");
        let participants = shape.participants as usize;
        let making = "making what the processes hand a token round with";
        let ring_token = Arc::new(Shared::new(RingToken::default()).context(making)?);
        let (mine, theirs) = H::both().context(making)?;
        let (mut mine, mut theirs) = (Some(mine), Some(theirs));
        let (leader, handoffs) = H::ring(participants).context(making)?;
        let (mut leader, mut handoffs) = (Some(leader), Some(handoffs));
        let mut followers = Vec::with_capacity(participants - 1);
        for member in 1..participants {
            let mut handoff = Some(handoffs.as_mut().and_then(Iterator::next).context(making)?.context(making)?);
            // Allocated before the fork; the child touches it, and so gets pages of its own.
            let mut memory = Some(WorkingSet::of(shape));
            let is_last = member == participants - 1;
            let follower = fork_follower(&setting.of_member(member), || {
                // Copies of the other members' ends: while one is open, nobody's exit is noticed.
                drop((leader.take(), mine.take(), handoffs.take()));
                let mut aside = theirs.take().ok_or(std::io::ErrorKind::NotFound)?;
                let handoff = handoff.take().ok_or(std::io::ErrorKind::NotFound)?;
                let memory = memory.take().ok_or(std::io::ErrorKind::NotFound)?;
                follow(handoff, |turn| turn(&mut aside), &ring_token, is_last, memory)
            })?;
            followers.push(follower);
            signal::progress();
        }
        let leader = Leader::new(leader.context(making)?, mine.context(making)?, ring_token, shape);
        Ok(Box::new(ProcessRing { leader, followers }))
    }
}

impl<H: RingHandoff + 'static> Session for ProcessRing<H> {
    fn participants(&self) -> Vec<Participant> {
        let followers = self.followers.iter().map(|follower| Participant::process(follower.pid()));
        std::iter::once(Participant::calling_thread()).chain(followers).collect()
    }

    fn fitting(&self, ops: u64) -> u64 {
        self.leader.fitting(ops)
    }

    fn visited(&self) -> Option<Vec<usize>> {
        self.leader.visited()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.leader.play(ops).map_err(|error| explain(&mut self.followers, error))
    }

    fn end(self: Box<Self>) -> Result<()> {
        let ProcessRing { leader, followers } = *self;
        leader.close();
        followers.into_iter().try_for_each(|follower| {
            signal::progress();
            wait_for(follower)
        })
    }
}
