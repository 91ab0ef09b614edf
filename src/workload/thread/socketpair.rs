//! Two threads, one pair of connected UNIX stream sockets.
//!
//! The no-switch cost: one thread writes and reads both sockets by itself.

use std::io;
use std::os::fd::OwnedFd;

use crate::sys::token::{self, WORD};
use crate::workload::handoff::{Alone, Handoff};
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::thread::ThreadPair;
use crate::workload::{NoSwitch, ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-socketpair",
    kind: Kind::Thread,
    brief: "a pair of UNIX stream sockets",
    summary: "two threads hand a token to and fro through a pair of UNIX stream sockets",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, SocketHandoff::pair),
    no_switch: Some(NoSwitch {
        summary: "one thread writes and reads both sockets by itself: two writes, two reads, no switch",
        prepare: |_| Alone::prepare(SocketHandoff::pair),
    }),
    ..Workload::EMPTY
};

struct SocketHandoff(OwnedFd);

impl SocketHandoff {
    fn pair() -> io::Result<(SocketHandoff, SocketHandoff)> {
        let (here, there) = token::socket_pair()?;
        Ok((SocketHandoff(here), SocketHandoff(there)))
    }
}

impl Handoff for SocketHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        token::send(&self.0, WORD)
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        token::receive::<{ WORD.len() }>(&self.0)
    }

    /// Closes the socket, which the other thread sees.
    fn close(self) {}
}
