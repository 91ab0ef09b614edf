//! Two threads, two pipes: the round trip that `perf bench sched pipe -T` times.
//!
//! The no-switch cost: one thread writes and reads both pipes by itself, without waking the other, the switches, and the
//! second thread's stack and caches.

use std::io;
use std::os::fd::OwnedFd;

use crate::sys::token::{self, Line, WORD};
use crate::workload::handoff::{Alone, Handoff};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::ring::{RingHandoff, RingOfOne, chain};
use crate::workload::thread::ThreadPair;
use crate::workload::thread::ring::{self, ThreadRing};
use crate::workload::{Needs, NoSwitch, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-pipe",
    kind: Kind::Thread,
    brief: "two pipes, as perf bench sched pipe -T",
    summary: "two threads hand a token to and fro through two pipes, as `perf bench sched pipe -T` does",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    default: true,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, PipeHandoff::pair),
    no_switch: Some(NO_SWITCH),
    ring: Some(Ring {
        prepare: ThreadRing::<PipeHandoff>::prepare,
        no_switch: RingOfOne::<PipeHandoff>::prepare,
        needs: Needs { files: 2, ..ring::NEEDS },
    }),
    ..Workload::EMPTY
};

/// A pipe round trip without a switch.
pub(in crate::workload) const NO_SWITCH: NoSwitch = NoSwitch {
    summary: "one thread writes and reads the same two pipes by itself: two writes, two reads, no switch",
    prepare: |_| Alone::prepare(PipeHandoff::pair),
};

/// The writing end of one pipe and the reading end of the other.
pub(in crate::workload) struct PipeHandoff {
    to_other: OwnedFd,
    from_other: OwnedFd,
}

impl PipeHandoff {
    pub(in crate::workload) fn pair() -> io::Result<(PipeHandoff, PipeHandoff)> {
        PipeHandoff::both()
    }
}

impl RingHandoff for PipeHandoff {
    fn ring(participants: usize) -> io::Result<(PipeHandoff, impl Iterator<Item = io::Result<PipeHandoff>>)> {
        let line = || Line::pipe().map(|line| (line.writer, line.reader));
        let handoff = |(to_other, from_other)| PipeHandoff { to_other, from_other };
        let (leader, followers) = chain(participants, line)?;
        Ok((handoff(leader), followers.map(move |ends| ends.map(handoff))))
    }
}

impl Handoff for PipeHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        token::send(&self.to_other, WORD)
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        token::receive::<{ WORD.len() }>(&self.from_other)
    }

    /// Closes both ends, which the other thread sees as the end of its pipe.
    fn close(self) {}
}
