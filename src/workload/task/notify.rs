//! Two tokio tasks on one thread, two `Notify`s: the cost of waking a task without a channel.
//!
//! The no-switch cost: one task notifies itself and finds that it need not wait.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::unconstrained;

use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::task::ring::{Inbox, TaskRing, needs};
use crate::workload::task::{Counted, Orders, Switches, TaskSession, each_op};
use crate::workload::{NoSwitch, ROUND_TRIP, Ring, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "task-notify",
    kind: Kind::Task,
    brief: "tokio::sync::Notify, on one thread",
    summary: "two tokio tasks on one thread notify each other (tokio::sync::Notify)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Polls,
    prepare: |_| TaskSession::prepare(ping_pong),
    no_switch: Some(NoSwitch {
        summary: "one task notifies itself and does not wait, twice: no other task polled",
        prepare: |_| TaskSession::prepare(alone),
    }),
    ring: Some(Ring {
        prepare: TaskRing::prepare::<Arc<Notify>>,
        no_switch: TaskRing::prepare_no_switch::<Arc<Notify>>,
        needs: needs(NOTIFY_BYTES),
    }),
    ..Workload::EMPTY
};

/// Memory of a `Notify` in an `Arc`, measured over a million of them.
const NOTIFY_BYTES: u32 = 100;

impl Inbox for Arc<Notify> {
    type Door = Arc<Notify>;

    fn make() -> (Arc<Notify>, Arc<Notify>) {
        let notify = Arc::new(Notify::new());
        (Arc::clone(&notify), notify)
    }

    async fn hand_in(door: &Arc<Notify>) -> Option<()> {
        door.notify_one();
        Some(())
    }

    async fn take_out(&mut self) -> Option<()> {
        self.notified().await;
        Some(())
    }
}

fn ping_pong(runtime: &Runtime, mut orders: Orders<Switches>) {
    let switches = Arc::clone(&orders.switches);
    let (there, back) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (follower_there, follower_back) = (Arc::clone(&there), Arc::clone(&back));
    let leader = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, _ => {
                there.notify_one();
                back.notified().await;
            });
            orders.finish().await?;
        }
        Some(())
    };
    // Ends with its runtime.
    let follower = async move {
        loop {
            follower_there.notified().await;
            follower_back.notify_one();
        }
    };
    runtime.spawn(Counted::<1, _, _>::new(&switches, leader));
    runtime.spawn(Counted::<2, _, _>::new(&switches, follower));
}

fn alone(runtime: &Runtime, mut orders: Orders<Switches>) {
    let switches = Arc::clone(&orders.switches);
    let (there, back) = (Notify::new(), Notify::new());
    let task = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, _ => {
                there.notify_one();
                there.notified().await;
                back.notify_one();
                back.notified().await;
            });
            orders.finish().await?;
        }
        Some(())
    };
    // Unconstrained: tokio makes a task that is always ready yield.
    runtime.spawn(Counted::<1, _, _>::new(&switches, unconstrained(task)));
}
