//! Two tokio tasks on one thread, two channels.
//!
//! The no-switch cost: one task sends and receives through both channels by itself, without waking the other, the
//! scheduler's queue and its polls.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::unconstrained;

use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::task::ring::{Inbox, TaskRing, needs};
use crate::workload::task::{Counted, Orders, Switches, TOKEN, Tally, TaskSession, each_op};
use crate::workload::{NoSwitch, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "task-channel",
    kind: Kind::Task,
    brief: "two channels of capacity 1, on one thread (tokio)",
    summary: "two tokio tasks on one thread hand a token to and fro through two channels of capacity 1 (both spawned on a current-thread runtime, no driver)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Polls,
    default: true,
    prepare: |_| TaskSession::prepare(ping_pong),
    no_switch: Some(NoSwitch {
        summary: "one task sends and receives through the same two channels by itself: two sends, two receives, no other task polled",
        prepare: |_| TaskSession::prepare(alone),
    }),
    ring: Some(Ring {
        prepare: TaskRing::prepare::<Receiver<u64>>,
        no_switch: TaskRing::prepare_no_switch::<Receiver<u64>>,
        needs: needs(CHANNEL_BYTES),
    }),
    ..Workload::EMPTY
};

/// Memory of a tokio channel, measured over a million of them.
const CHANNEL_BYTES: u32 = 1250;

/// A channel of capacity 1.
impl Inbox for Receiver<u64> {
    type Door = Sender<u64>;

    fn make() -> (Sender<u64>, Receiver<u64>) {
        channel(1)
    }

    async fn hand_in(door: &Sender<u64>) -> Option<()> {
        door.send(TOKEN).await.ok()
    }

    async fn take_out(&mut self) -> Option<()> {
        self.recv().await.map(drop)
    }
}

pub(super) fn ping_pong<S: Tally>(runtime: &Runtime, mut orders: Orders<S>) {
    let switches = Arc::clone(&orders.switches);
    let (to_follower, mut from_leader) = channel(1);
    let (to_leader, mut from_follower) = channel(1);
    let leader = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, _ => {
                to_follower.send(TOKEN).await.ok()?;
                from_follower.recv().await?;
            });
            orders.finish().await?;
        }
        Some(())
    };
    let follower = async move {
        while let Some(token) = from_leader.recv().await {
            to_leader.send(token).await.ok()?;
        }
        Some(())
    };
    runtime.spawn(Counted::<1, _, _>::new(&switches, leader));
    runtime.spawn(Counted::<2, _, _>::new(&switches, follower));
}

pub(super) fn alone(runtime: &Runtime, mut orders: Orders<Switches>) {
    let switches = Arc::clone(&orders.switches);
    let (to_there, mut from_there) = channel(1);
    let (to_back, mut from_back) = channel(1);
    let task = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, _ => {
                to_there.send(TOKEN).await.ok()?;
                from_there.recv().await?;
                to_back.send(TOKEN).await.ok()?;
                from_back.recv().await?;
            });
            orders.finish().await?;
        }
        Some(())
    };
    // Unconstrained: these channels are always ready, and tokio makes a task that never waits yield every 128 times.
    runtime.spawn(Counted::<1, _, _>::new(&switches, unconstrained(task)));
}
