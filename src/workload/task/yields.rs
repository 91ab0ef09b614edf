//! Two tokio tasks on one thread that yield to each other: the scheduler's queue and nothing else.
//!
//! Which task is polled next is up to the scheduler, so that no number of switches is promised. Tokio puts tasks that yield
//! aside and takes them back in the opposite order (A B, B A, A B, …): every second poll is of the same task again and no
//! switch.
//!
//! There is no no-switch cost: a task that yields with nobody else ready still goes through the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::workload::Workload;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::task::{Counted, Orders, Switches, TaskSession, each_op};
use crate::workload::thread::yields::ONE_YIELD_EACH;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "task-yield",
    kind: Kind::Task,
    brief: "yield_now (tokio); no fixed number of switches",
    summary: "two tokio tasks on one thread yield to each other (tokio::task::yield_now); how often that goes to the other is counted, not promised",
    op: ONE_YIELD_EACH,
    switch_source: SwitchSource::Polls,
    prepare: |_| TaskSession::prepare(take_turns),
    ..Workload::EMPTY
};

#[derive(Default)]
struct Track {
    ops: AtomicU64,
    go: Notify,
    through: Notify,
}

fn take_turns(runtime: &Runtime, mut orders: Orders<Switches>) {
    let switches = Arc::clone(&orders.switches);
    let track = Arc::<Track>::default();
    let follower_track = Arc::clone(&track);
    let leader = async move {
        while let Some(ops) = orders.next().await {
            track.ops.store(ops, Ordering::Relaxed);
            track.go.notify_one();
            each_op!(orders, ops, _ => {
                yield_now().await;
            });
            track.through.notified().await;
            orders.finish().await?;
        }
        Some(())
    };
    // Ends with its runtime.
    let follower = async move {
        loop {
            follower_track.go.notified().await;
            for _ in 0..follower_track.ops.load(Ordering::Relaxed) {
                yield_now().await;
            }
            follower_track.through.notify_one();
        }
    };
    runtime.spawn(Counted::<1, _, _>::new(&switches, leader));
    runtime.spawn(Counted::<2, _, _>::new(&switches, follower));
}
