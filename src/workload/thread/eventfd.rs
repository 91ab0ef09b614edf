//! Two threads, two eventfds.
//!
//! The floor: one thread adds to and reads both eventfds by itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sample::{Kind, SwitchSource};
use crate::sys::token::{self, INCREMENT, Line};
use crate::workload::hand::{Alone, Hand};
use crate::workload::thread::ThreadPair;
use crate::workload::{Floor, ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-eventfd",
    kind: Kind::Thread,
    summary: "two threads hand control to and fro through two eventfds",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, EventHand::pair),
    floor: Some(Floor {
        summary: "one thread adds to and reads both eventfds by itself: two writes, two reads, no switch",
        prepare: |_| Alone::prepare(EventHand::pair),
    }),
    ..Workload::EMPTY
};

struct EventHand {
    to_other: Arc<Line>,
    from_other: Arc<Line>,
    /// A closed eventfd is not seen on the other side, so that this has to be said.
    over: Arc<AtomicBool>,
}

impl EventHand {
    fn pair() -> io::Result<(EventHand, EventHand)> {
        let (there, back) = (Arc::new(Line::eventfd()?), Arc::new(Line::eventfd()?));
        let over = Arc::default();
        let follower =
            EventHand { to_other: Arc::clone(&back), from_other: Arc::clone(&there), over: Arc::clone(&over) };
        Ok((EventHand { to_other: there, from_other: back, over }, follower))
    }
}

impl Hand for EventHand {
    #[inline]
    fn give(&mut self) -> io::Result<()> {
        token::send(&self.to_other.writer, INCREMENT)
    }

    #[inline]
    fn take(&mut self) -> io::Result<()> {
        token::receive::<{ INCREMENT.len() }>(&self.from_other.reader)?;
        if self.over.load(Ordering::Acquire) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn let_go(mut self) {
        self.over.store(true, Ordering::Release);
        // It cannot fail for want of a reader: this process holds both sides.
        let _ = self.give();
    }
}
