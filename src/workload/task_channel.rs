//! Two tokio tasks on one thread, two channels.
//!
//! Both tasks are spawned on a current-thread runtime without a driver: the scheduler's path is part of the price, and
//! with one of them as `block_on`'s root, or with timers and I/O enabled, it is another path and up to half dearer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::unconstrained;

use crate::sample::{Kind, SwitchSource};
use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Party, Played, Session};
use crate::workload::{Floor, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "task-channel",
    kind: Kind::Task,
    summary: "two tokio tasks on one thread hand a token to and fro through two channels of capacity 1 (both spawned on a current-thread runtime, no driver)",
    op: "round trip",
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Polls,
    default: true,
    prepare: || Ok(Box::new(TaskSession::prepare(ping_pong)?)),
    floor: Some(Floor {
        summary: "one task sends and receives through the same two channels by itself: two sends, two receives, no other task polled",
        prepare: || Ok(Box::new(TaskSession::prepare(alone)?)),
    }),
};

/// What is handed over.
const TOKEN: u64 = 1;

/// Tasks that wait for a number of ops to play.
struct TaskSession {
    runtime: Runtime,
    start: Sender<u64>,
    done: Receiver<Played>,
}

/// Where a leading task is told how many ops to play, and tells what they took.
struct Orders {
    start: Receiver<u64>,
    done: Sender<Played>,
    switches: Arc<Switches>,
    started_ns: u64,
    switched: u64,
}

impl Orders {
    /// Waits for the next number of ops and starts the clock; `None` when there will be no more.
    async fn next(&mut self) -> Option<u64> {
        let ops = self.start.recv().await?;
        self.switched = self.switches.count();
        self.started_ns = monotonic_ns();
        Some(ops)
    }

    /// Stops the clock and reports; `None` when nobody listens any more.
    async fn finish(&mut self) -> Option<()> {
        let elapsed_ns = monotonic_ns() - self.started_ns;
        let own_switches = Some(self.switches.count() - self.switched);
        self.done.send(Played { elapsed_ns, own_switches }).await.ok()
    }
}

impl TaskSession {
    fn prepare(spawn: fn(&Runtime, Orders)) -> Result<TaskSession> {
        let runtime = runtime::Builder::new_current_thread().build().context("starting a tokio runtime")?;
        let (start, orders) = channel(1);
        let (report, done) = channel(1);
        spawn(&runtime, Orders { start: orders, done: report, switches: Arc::default(), started_ns: 0, switched: 0 });
        Ok(TaskSession { runtime, start, done })
    }
}

impl Session for TaskSession {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        // Entering the runtime costs about a microsecond: the leading task reads the clock itself.
        self.runtime.block_on(async {
            self.start.send(ops).await.map_err(|_| anyhow!("the leading task has ended"))?;
            self.done.recv().await.ok_or_else(|| anyhow!("the leading task ended in the middle of the measurement"))
        })
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn ping_pong(runtime: &Runtime, mut orders: Orders) {
    let switches = Arc::clone(&orders.switches);
    let (to_follower, mut from_leader) = channel(1);
    let (to_leader, mut from_follower) = channel(1);
    let leader = async move {
        while let Some(ops) = orders.next().await {
            for _ in 0..ops {
                to_follower.send(TOKEN).await.ok()?;
                from_follower.recv().await?;
            }
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
    runtime.spawn(Counted::new(1, &switches, leader));
    runtime.spawn(Counted::new(2, &switches, follower));
}

fn alone(runtime: &Runtime, mut orders: Orders) {
    let switches = Arc::clone(&orders.switches);
    let (to_there, mut from_there) = channel(1);
    let (to_back, mut from_back) = channel(1);
    let task = async move {
        while let Some(ops) = orders.next().await {
            for _ in 0..ops {
                to_there.send(TOKEN).await.ok()?;
                from_there.recv().await?;
                to_back.send(TOKEN).await.ok()?;
                from_back.recv().await?;
            }
            orders.finish().await?;
        }
        Some(())
    };
    // Unconstrained: these channels are always ready, and tokio makes a task that never waits yield every 128 times.
    runtime.spawn(Counted::new(1, &switches, unconstrained(task)));
}

/// Counts how often a poll went to another task than the one before.
///
/// Plain loads and stores: all polls happen on one thread.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Switches {
    polled_last: AtomicU64,
    switches: AtomicU64,
}

impl Switches {
    fn count(&self) -> u64 {
        self.switches.load(Ordering::Relaxed)
    }

    #[inline]
    fn polled(&self, party: u64) {
        if self.polled_last.load(Ordering::Relaxed) != party {
            self.polled_last.store(party, Ordering::Relaxed);
            self.switches.store(self.switches.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}

/// A task whose polls are counted.
#[repr(align(128))]
struct Counted<F> {
    party: u64,
    switches: Arc<Switches>,
    task: Pin<Box<F>>,
}

impl<F: Future> Counted<F> {
    fn new(party: u64, switches: &Arc<Switches>, task: F) -> Counted<F> {
        Counted { party, switches: Arc::clone(switches), task: Box::pin(task) }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.switches.polled(self.party);
        self.task.as_mut().poll(context)
    }
}
