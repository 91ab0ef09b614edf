//! Tokio tasks on one thread, both spawned on a current-thread runtime without a driver unless a workload needs one: the
//! scheduler's path is part of the price, and with one party as `block_on`'s root, or with timers and I/O enabled, it is
//! another path and up to half dearer.

pub(super) mod channel;
pub(super) mod multi;
pub(super) mod notify;
pub(super) mod oneway;
pub(super) mod pipe;
pub(super) mod yields;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Party, Played, Session};

/// What is handed over.
const TOKEN: u64 = 1;

/// Tasks that wait for a number of ops to play.
struct TaskSession {
    runtime: Runtime,
    start: Sender<u64>,
    done: Receiver<Played>,
    /// The runtime's own threads, where it has any.
    workers: Vec<Party>,
}

/// Where a leading task is told how many ops to play, and tells what they took.
struct Orders<S> {
    start: Receiver<u64>,
    done: Sender<Played>,
    switches: Arc<S>,
    started_ns: u64,
    switched: u64,
}

impl<S: Tally> Orders<S> {
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
        let played = Played::counted(elapsed_ns, self.switches.count() - self.switched);
        self.done.send(played).await.ok()
    }
}

impl TaskSession {
    /// Tasks on the calling thread.
    fn prepare(spawn: fn(&Runtime, Orders<Switches>)) -> Result<Box<dyn Session>> {
        TaskSession::on(Builder::new_current_thread().build().context("starting a tokio runtime")?, Vec::new(), spawn)
    }

    /// Tasks on a runtime of the workload's own making, with the threads that it has beside the calling one.
    fn on<S: Tally>(
        runtime: Runtime,
        workers: Vec<Party>,
        spawn: impl FnOnce(&Runtime, Orders<S>),
    ) -> Result<Box<dyn Session>> {
        let (start, orders) = channel(1);
        let (report, done) = channel(1);
        spawn(&runtime, Orders { start: orders, done: report, switches: Arc::default(), started_ns: 0, switched: 0 });
        Ok(Box::new(TaskSession { runtime, start, done, workers }))
    }
}

impl Session for TaskSession {
    fn parties(&self) -> Vec<Party> {
        self.workers.iter().copied().chain([Party::calling_thread()]).collect()
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

/// Counts how often a poll went to another task than the one before.
trait Tally: Default + Send + Sync + 'static {
    fn count(&self) -> u64;

    fn polled(&self, party: u64);
}

/// The tally of tasks on one thread: plain loads and stores.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Switches {
    polled_last: AtomicU64,
    switches: AtomicU64,
}

impl Tally for Switches {
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
struct Counted<F, S> {
    party: u64,
    switches: Arc<S>,
    task: Pin<Box<F>>,
}

impl<F: Future, S: Tally> Counted<F, S> {
    fn new(party: u64, switches: &Arc<S>, task: F) -> Counted<F, S> {
        Counted { party, switches: Arc::clone(switches), task: Box::pin(task) }
    }
}

impl<F: Future, S: Tally> Future for Counted<F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.switches.polled(self.party);
        self.task.as_mut().poll(context)
    }
}
