//! Two threads, two eventfds.
//!
//! The no-switch cost: one thread adds to and reads both eventfds by itself.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::token::{self, INCREMENT};
use crate::workload::handoff::{Alone, Handoff};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::ring::{RingHandoff, RingOfOne, chain};
use crate::workload::thread::ThreadPair;
use crate::workload::thread::ring::{self, ThreadRing};
use crate::workload::{Needs, NoSwitch, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-eventfd",
    kind: Kind::Thread,
    brief: "two eventfds",
    summary: "two threads hand control to and fro through two eventfds",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, EventHandoff::pair),
    no_switch: Some(NoSwitch {
        summary: "one thread adds to and reads both eventfds by itself: two writes, two reads, no switch",
        prepare: |_| Alone::prepare(EventHandoff::pair),
    }),
    ring: Some(Ring {
        prepare: ThreadRing::<EventHandoff>::prepare,
        no_switch: RingOfOne::<EventHandoff>::prepare,
        needs: Needs { files: 1, ..ring::NEEDS },
    }),
    ..Workload::EMPTY
};

struct EventHandoff {
    to_other: Arc<OwnedFd>,
    from_other: Arc<OwnedFd>,
    /// A closed eventfd is not seen on the other side: this flag reports it.
    over: Arc<AtomicBool>,
}

impl EventHandoff {
    fn pair() -> io::Result<(EventHandoff, EventHandoff)> {
        EventHandoff::both()
    }
}

impl RingHandoff for EventHandoff {
    fn ring(participants: usize) -> io::Result<(EventHandoff, impl Iterator<Item = io::Result<EventHandoff>>)> {
        let over = Arc::<AtomicBool>::default();
        let line = || token::eventfd().map(Arc::new).map(|event| (Arc::clone(&event), event));
        let handoff = move |(to_other, from_other)| EventHandoff { to_other, from_other, over: Arc::clone(&over) };
        let (leader, followers) = chain(participants, line)?;
        Ok((handoff(leader), followers.map(move |ends| ends.map(&handoff))))
    }
}

impl Handoff for EventHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        token::send(&*self.to_other, INCREMENT)
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        token::receive::<{ INCREMENT.len() }>(&*self.from_other)?;
        if self.over.load(Ordering::Acquire) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn close(mut self) {
        self.over.store(true, Ordering::Release);
        // It cannot fail for lack of a reader: this process holds both sides.
        let _ = self.signal();
    }
}
