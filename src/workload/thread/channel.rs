//! Two threads, two rendezvous channels of std: `sync_channel(0)`.
//!
//! A sender waits until its message is received, so that both threads wait twice a round trip: more than two switches, which is
//! the finding and is not corrected.
//!
//! There is no no-switch cost: a rendezvous takes two.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::workload::handoff::Handoff;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::thread::ThreadPair;
use crate::workload::{ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "thread-channel",
    kind: Kind::Thread,
    brief: "two rendezvous channels (std sync_channel(0))",
    summary: "two threads hand a token to and fro through two rendezvous channels (std sync_channel(0))",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    apart: true,
    prepare: |setting| ThreadPair::prepare(setting, ChannelHandoff::pair),
    ..Workload::EMPTY
};

struct ChannelHandoff {
    to_other: SyncSender<u64>,
    from_other: Receiver<u64>,
}

impl ChannelHandoff {
    fn pair() -> io::Result<(ChannelHandoff, ChannelHandoff)> {
        let (to_follower, from_leader) = sync_channel(0);
        let (to_leader, from_follower) = sync_channel(0);
        let leader = ChannelHandoff { to_other: to_follower, from_other: from_follower };
        Ok((leader, ChannelHandoff { to_other: to_leader, from_other: from_leader }))
    }
}

impl Handoff for ChannelHandoff {
    #[inline]
    fn signal(&mut self) -> io::Result<()> {
        self.to_other.send(1).map_err(|_| io::ErrorKind::UnexpectedEof.into())
    }

    #[inline]
    fn wait(&mut self) -> io::Result<()> {
        self.from_other.recv().map(drop).map_err(|_| io::ErrorKind::UnexpectedEof.into())
    }

    /// Drops both ends, which disconnects them.
    fn close(self) {}
}
