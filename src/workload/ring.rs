//! A ring: threads, processes or tasks that pass one token around, each to the next. One op is one hop.
//!
//! ```text
//! members   0 ─► 1 ─► 2 ─► … ─► n-1 ─► 0     0 is the calling thread, which reads the clock
//! aside     m ─► 0, and later 0 ─► m         where a play ends before the token has come round
//! ```
//!
//! A lap of a million members is longer than any sample. So a play has a number of hops, and the member that would make the
//! last of them passes the token to the calling thread instead of the next member; the next play continues from there. When
//! the token comes by, the calling thread is a member like the others. The number of hops left is shared: only the holder of
//! the token touches it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, iter, mem};

use anyhow::{Context, Result};

use crate::sys::clock::monotonic_ns;
use crate::sys::heap;
use crate::sys::shared::Shared;
use crate::workload::handoff::Handoff;
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Unpaced};
use crate::workload::shape::RingShape;

/// A mechanism by which any number of participants can form a ring.
pub(super) trait RingHandoff: Handoff {
    /// Opens the ends of a ring, each of which passes to the next member and waits for the one before: the calling thread's,
    /// then those of members 1 and up, one by one. Each end's files are opened with it, so that a process that is forked in
    /// between inherits few. When the calling thread closes its end, the other members see it one after the other.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`: a limit is reached; also from each item.
    fn ring(participants: usize) -> io::Result<(Self, impl Iterator<Item = io::Result<Self>>)>;

    /// A ring of two.
    fn both() -> io::Result<(Self, Self)> {
        let (leader, mut followers) = Self::ring(2)?;
        let follower = followers.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        Ok((leader, follower))
    }
}

/// Opens the giving and the taking end of each member, in the form of [`RingHandoff::ring`]; each line is opened when needed.
///
/// # Errors
/// A line cannot be opened.
#[expect(clippy::type_complexity, reason = "the form of what it is for, with pairs for hands")]
pub(super) fn chain<G, T>(
    participants: usize,
    mut line: impl FnMut() -> io::Result<(G, T)>,
) -> io::Result<((G, T), impl Iterator<Item = io::Result<(G, T)>>)> {
    let (to_first, from_leader) = line()?;
    let (leader, mut to_leader, mut from_before) = if participants == 1 {
        ((to_first, from_leader), None, None)
    } else {
        let (to_leader, from_last) = line()?;
        ((to_first, from_last), Some(to_leader), Some(from_leader))
    };
    let followers = (1..participants).map(move |member| {
        let (to_next, from_here) = match to_leader.take_if(|_| member == participants - 1) {
            Some(to_leader) => (to_leader, None),
            None => line().map(|(to_next, from_here)| (to_next, Some(from_here)))?,
        };
        // Opened by the turn before; after an error there are no more turns.
        let from_before = mem::replace(&mut from_before, from_here).ok_or(io::ErrorKind::NotFound)?;
        Ok((to_next, from_before))
    });
    Ok((leader, followers))
}

/// Number of hops left in a play. Only the holder of the token touches it; passing the token orders the writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct RingToken {
    left: AtomicU64,
}

impl RingToken {
    pub(super) fn start(&self, hops: u64) {
        self.left.store(hops, Ordering::Release);
    }

    /// Counts a hop and returns the number left.
    #[inline]
    pub(super) fn passed(&self) -> u64 {
        let left = self.left.load(Ordering::Acquire) - 1;
        self.left.store(left, Ordering::Release);
        left
    }
}

/// Private memory that a participant walks on its turn.
#[derive(Debug, Clone)]
pub(super) struct WorkingSet(Vec<CacheLine>);

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct CacheLine([u64; 8]);

impl WorkingSet {
    /// From this size on, the allocator's free memory is released first: in a small cgroup there is no room for both.
    const LARGE_BYTES: u64 = 1 << 20;

    /// Allocates the working set, rounded up to whole cache lines.
    pub(super) fn of(shape: RingShape) -> WorkingSet {
        if shape.working_set_bytes >= Self::LARGE_BYTES {
            heap::give_back();
        }
        let lines = shape.working_set_bytes.div_ceil(size_of::<CacheLine>() as u64);
        WorkingSet(vec![CacheLine([0; 8]); lines as usize])
    }

    /// Reads and writes a word of every line, in order.
    #[inline]
    pub(super) fn walk(&mut self) {
        for line in &mut self.0 {
            line.0[0] = line.0[0].wrapping_add(1);
        }
        black_box(&mut self.0);
    }
}

/// The token's way in a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// The member that gets it first.
    pub(super) first: u64,
    /// Number of times it passes the calling thread before the end.
    pub(super) comes_by: u64,
    /// The member that makes the last hop aside, and has the token when the next play begins; 0 where the token comes
    /// round to the calling thread by itself.
    pub(super) ends_at: u64,
}

impl Route {
    /// Returns the token's way through `hops` hops, from its holder `at`: the calling thread (0) or a member. The number of
    /// hops is one that [`fitting`] returns.
    pub(super) fn of(participants: u64, at: u64, hops: u64) -> Route {
        debug_assert_eq!(hops, fitting(participants, at, hops), "of {participants}, from {at}");
        let first = first(at);
        let last_giver = (first + hops - 2) % participants;
        // At the calling thread after `before_home` hops, and every `participants` hops after that.
        let before_home = participants - first + 1;
        let arrivals = if hops < before_home { 0 } else { (hops - before_home) / participants + 1 };
        let comes_round = last_giver == participants - 1;
        Route { first, comes_by: arrivals - u64::from(comes_round), ends_at: if comes_round { 0 } else { last_giver } }
    }

    /// Returns the members that get the token besides the calling thread; `None` if all do.
    pub(super) fn members(&self, participants: u64, hops: u64) -> Option<Vec<usize>> {
        let given =
            (hops < participants).then(|| (0..hops - 1).map(|hop| ((self.first + hop) % participants) as usize));
        given.map(Iterator::collect)
    }
}

/// Returns the member that gets the token first, from its holder `at`.
fn first(at: u64) -> u64 {
    at.max(1)
}

/// Returns the number of hops, this or the next above, with which a play can end at the calling thread: a round trip is two,
/// and the last hop cannot be its own.
pub(super) fn fitting(participants: u64, at: u64, hops: u64) -> u64 {
    let hops = hops.max(2);
    if (first(at) + hops - 2) % participants == 0 { hops + 1 } else { hops }
}

/// The calling thread's part of a ring.
#[derive(Debug)]
pub(super) struct Leader<H> {
    handoff: H,
    aside: H,
    ring_token: Arc<Shared<RingToken>>,
    memory: WorkingSet,
    participants: u64,
    /// Holder of the token, as [`Route::ends_at`].
    at: u64,
    /// Members that had it in the last play.
    visited: Option<Vec<usize>>,
}

impl<H: Handoff> Leader<H> {
    pub(super) fn new(handoff: H, aside: H, ring_token: Arc<Shared<RingToken>>, shape: RingShape) -> Leader<H> {
        let mut memory = WorkingSet::of(shape);
        memory.walk();
        Leader { handoff, aside, ring_token, memory, participants: shape.participants, at: 0, visited: None }
    }

    pub(super) fn fitting(&self, hops: u64) -> u64 {
        fitting(self.participants, self.at, hops)
    }

    /// Returns the indexes of the members of the last play; `None` if all took part.
    pub(super) fn visited(&self) -> Option<Vec<usize>> {
        self.visited.clone()
    }

    pub(super) fn play(&mut self, hops: u64) -> io::Result<Played> {
        let route = Route::of(self.participants, self.at, hops);
        let ring_token = &**self.ring_token;
        ring_token.start(hops);
        let started_ns = monotonic_ns();
        if self.at == 0 { self.handoff.signal() } else { self.aside.signal() }?;
        for _ in 0..route.comes_by {
            self.handoff.wait()?;
            self.memory.walk();
            ring_token.passed();
            self.handoff.signal()?;
        }
        if route.ends_at == 0 { self.handoff.wait() } else { self.aside.wait() }?;
        self.memory.walk();
        let elapsed_ns = monotonic_ns() - started_ns;
        self.at = route.ends_at;
        self.visited = route.members(self.participants, hops).map(|members| iter::once(0).chain(members).collect());
        Ok(Played::timed(elapsed_ns))
    }

    /// Closes the ends to both neighbours and to the member that may hold the token aside: one after the other follows.
    pub(super) fn close(self) {
        self.handoff.close();
        self.aside.close();
    }
}

/// Passes the token on whenever it comes, until the member before closes its end. `aside` is for one member at a time.
pub(super) fn follow<H: Handoff>(
    mut handoff: H,
    mut aside: impl FnMut(&mut dyn FnMut(&mut H) -> io::Result<()>) -> io::Result<()>,
    ring_token: &RingToken,
    is_last: bool,
    mut memory: WorkingSet,
) -> io::Result<()> {
    memory.walk();
    let mut turn = || -> io::Result<()> {
        handoff.wait()?;
        memory.walk();
        // The last hop is the calling thread's, also of a play that begins here.
        while ring_token.passed() == 1 && !is_last {
            aside(&mut |aside| {
                aside.signal()?;
                aside.wait()
            })?;
            memory.walk();
        }
        handoff.signal()
    };
    let outcome = loop {
        match turn() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    handoff.close();
    outcome
}

/// A ring of one: the calling thread passes the token to itself, and nothing switches.
pub(super) struct RingOfOne<H> {
    handoff: H,
    ring_token: Shared<RingToken>,
    memory: WorkingSet,
}

impl<H: RingHandoff + 'static> RingOfOne<H> {
    pub(super) fn prepare(shape: RingShape) -> Result<Box<dyn Session>> {
        let making = "making what the no-switch cost is played on";
        let (handoff, _nobody) = H::ring(1).context(making)?;
        let ring_token = Shared::new(RingToken::default()).context(making)?;
        Ok(Box::new(RingOfOne { handoff, ring_token, memory: WorkingSet::of(shape) }))
    }

    fn hops(&mut self, hops: u64, pace: &mut impl Pace) -> io::Result<Played> {
        self.ring_token.start(hops);
        let started_ns = monotonic_ns();
        pace.begin();
        for _ in 0..hops {
            self.handoff.signal()?;
            self.handoff.wait()?;
            self.memory.walk();
            self.ring_token.passed();
            pace.lap();
        }
        Ok(Played::timed(monotonic_ns() - started_ns))
    }
}

impl<H: RingHandoff + 'static> Session for RingOfOne<H> {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.hops(ops, &mut Unpaced).context("handing the token to oneself")
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.hops(ops, laps).context("handing the token to oneself")
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Computes the token's way by walking it, hop by hop.
    fn walked(participants: u64, at: u64, hops: u64) -> (Vec<u64>, Option<Route>) {
        let first = if at == 0 { 1 } else { at };
        let mut holders = vec![first];
        while (holders.len() as u64) < hops - 1 {
            holders.push((holders[holders.len() - 1] + 1) % participants);
        }
        let last = holders[holders.len() - 1];
        let comes_by = holders.iter().filter(|&&holder| holder == 0).count() as u64;
        let ends_at = if last == participants - 1 { 0 } else { last };
        (holders, (last != 0).then_some(Route { first, comes_by, ends_at }))
    }

    #[test]
    fn a_pair_goes_to_and_fro() {
        assert_eq!(fitting(2, 0, 1), 2);
        assert_eq!(fitting(2, 0, 7), 8);
        assert_eq!(Route::of(2, 0, 8), Route { first: 1, comes_by: 3, ends_at: 0 });
    }

    #[test]
    fn a_play_that_is_shorter_than_a_lap_goes_on_where_it_ended() {
        // 0 → 1 → 2 → 3, and aside to 0.
        assert_eq!(Route::of(10, 0, 4), Route { first: 1, comes_by: 0, ends_at: 3 });
        // aside to 3 → 4 → 5 → 6, and aside to 0.
        assert_eq!(Route::of(10, 3, 5), Route { first: 3, comes_by: 0, ends_at: 6 });
        // aside to 6 → 7 → 8 → 9 → 0.
        assert_eq!(Route::of(10, 6, 5), Route { first: 6, comes_by: 0, ends_at: 0 });
        assert_eq!(Route::of(10, 6, 5).members(10, 5), Some(vec![6, 7, 8, 9]));
    }

    proptest! {
        #[test]
        fn a_route_is_what_walking_it_gives(participants in 2_u64..20, at in 0_u64..20, hops in 0_u64..100) {
            // The last member's token comes round by itself, so that it never waits aside.
            let at = if at >= participants - 1 { 0 } else { at };
            let hops = fitting(participants, at, hops);
            let (holders, route) = walked(participants, at, hops);
            prop_assert_eq!(Some(Route::of(participants, at, hops)), route);
            if let Some(members) = Route::of(participants, at, hops).members(participants, hops) {
                prop_assert_eq!(members, holders.iter().map(|&holder| holder as usize).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_working_set_is_walked_line_by_line() {
        let mut memory = WorkingSet::of(RingShape { participants: 2, working_set_bytes: 100 });
        assert_eq!(memory.0.len(), 2);
        memory.walk();
        memory.walk();
        assert!(memory.0.iter().all(|line| line.0[0] == 2));
        WorkingSet::of(RingShape { participants: 2, working_set_bytes: 0 }).walk();
    }
}
