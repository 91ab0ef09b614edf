//! Tokio tasks on one thread, both spawned on a current-thread runtime without a driver unless a workload needs one: the
//! scheduler's path is part of the cost, and with one task as `block_on`'s root, or with timers and I/O enabled, it is
//! another path and costs up to half more.

pub(super) mod channel;
pub(super) mod multi;
pub(super) mod notify;
pub(super) mod oneway;
pub(super) mod pipe;
mod ring;
pub(super) mod yields;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Laps, Participant, Played, Session};

const TOKEN: u64 = 1;

/// Tasks that wait for a number of ops to play.
struct TaskSession {
    runtime: Runtime,
    start: Sender<Order>,
    done: Receiver<(Played, Option<Laps>)>,
    /// The runtime's own threads, if any.
    workers: Vec<Participant>,
}

/// Order to a leading task: the number of ops, and the laps to time each in, if wanted.
struct Order {
    ops: u64,
    laps: Option<Laps>,
}

/// A leading task's end of the orders and reports.
struct Orders<S> {
    start: Receiver<Order>,
    done: Sender<(Played, Option<Laps>)>,
    /// Of the current order.
    laps: Option<Laps>,
    switches: Arc<S>,
    started_ns: u64,
    switched: u64,
}

/// Plays the ops of an order in the leading task: `each_op!(orders, ops, left => { … })`, of which `left` are still to come.
///
/// The op's code is expanded twice, with and without the clock read after it: one loop for both would add a branch or a future
/// to each op, of some hundred nanoseconds.
macro_rules! each_op {
    ($orders:ident, $ops:ident, $left:pat => $op:block) => {
        match &mut $orders.laps {
            None => {
                for $left in (0..$ops).rev() {
                    $op
                }
            }
            Some(laps) => {
                let each = async {
                    $crate::workload::session::Pace::begin(laps);
                    for $left in (0..$ops).rev() {
                        $op
                        $crate::workload::session::Pace::lap(laps);
                    }
                    Some(())
                };
                $crate::workload::task::out_of_line(each).await?;
            }
        }
    };
}
use each_op;

/// Boxes the future out of line: a second loop within the leading task's own made the first 2 % slower.
#[cold]
#[inline(never)]
fn out_of_line<'a>(
    each: impl Future<Output = Option<()>> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Option<()>> + Send + 'a>> {
    Box::pin(each)
}

impl<S: Tally> Orders<S> {
    /// Waits for the next number of ops and starts the clock; `None` when there will be no more.
    async fn next(&mut self) -> Option<u64> {
        let Order { ops, laps } = self.start.recv().await?;
        self.laps = laps;
        self.switched = self.switches.count();
        self.started_ns = monotonic_ns();
        Some(ops)
    }

    /// Stops the clock and reports; `None` when nobody receives any more.
    async fn finish(&mut self) -> Option<()> {
        let elapsed_ns = monotonic_ns() - self.started_ns;
        let played = Played::counted(elapsed_ns, self.switches.count() - self.switched);
        self.done.send((played, self.laps.take())).await.ok()
    }
}

impl TaskSession {
    /// Tasks on the calling thread.
    fn prepare(spawn: fn(&Runtime, Orders<Switches>)) -> Result<Box<dyn Session>> {
        TaskSession::on(Builder::new_current_thread().build().context("starting a tokio runtime")?, Vec::new(), spawn)
    }

    /// Tasks on a runtime built by the workload, with the threads that it has beside the calling one.
    fn on<S: Tally>(
        runtime: Runtime,
        workers: Vec<Participant>,
        spawn: impl FnOnce(&Runtime, Orders<S>),
    ) -> Result<Box<dyn Session>> {
        Ok(Box::new(TaskSession::start(runtime, workers, spawn)))
    }

    fn start<S: Tally>(
        runtime: Runtime,
        workers: Vec<Participant>,
        spawn: impl FnOnce(&Runtime, Orders<S>),
    ) -> TaskSession {
        let (start, orders) = channel(1);
        let (report, done) = channel(1);
        let orders =
            Orders { start: orders, done: report, laps: None, switches: Arc::default(), started_ns: 0, switched: 0 };
        spawn(&runtime, orders);
        TaskSession { runtime, start, done, workers }
    }

    /// Runs every task until it waits.
    fn settle(&mut self) {
        // Spawned from outside, as all of them were: into the same queue, behind them.
        let last = self.runtime.spawn(async {});
        let _ = self.runtime.block_on(last);
    }

    fn play_order(&mut self, order: Order) -> Result<(Played, Option<Laps>)> {
        // Entering the runtime costs about a microsecond: the leading task reads the clock itself.
        self.runtime.block_on(async {
            self.start.send(order).await.map_err(|_| anyhow!("the leading task has ended"))?;
            self.done.recv().await.ok_or_else(|| anyhow!("the leading task ended in the middle of the measurement"))
        })
    }
}

impl Session for TaskSession {
    fn participants(&self) -> Vec<Participant> {
        self.workers.iter().copied().chain([Participant::calling_thread()]).collect()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        Ok(self.play_order(Order { ops, laps: None })?.0)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        let (played, noted) = self.play_order(Order { ops, laps: Some(std::mem::take(laps)) })?;
        *laps = noted.unwrap_or_default();
        Ok(played)
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Counts how often a poll went to another task than the one before.
trait Tally: Default + Send + Sync + 'static {
    fn count(&self) -> u64;

    fn polled(&self, participant: u64);
}

/// Tally of tasks on one thread, in thread-local variables: reached without a pointer, since a poll takes some 30 ns and
/// every load of it shows.
#[derive(Debug, Default)]
struct Switches;

thread_local! {
    static POLLED_LAST: Cell<u64> = const { Cell::new(0) };
    static SWITCHES: Cell<u64> = const { Cell::new(0) };
}

impl Tally for Switches {
    fn count(&self) -> u64 {
        SWITCHES.get()
    }

    #[inline]
    fn polled(&self, participant: u64) {
        // Branchless: which task is polled next may be hard to predict.
        let switched = u64::from(POLLED_LAST.replace(participant) != participant);
        SWITCHES.set(SWITCHES.get() + switched);
    }
}

/// A task whose polls are counted under this number.
#[repr(align(128))]
struct Counted<const PARTICIPANT: u64, F, S> {
    switches: Arc<S>,
    // Boxed: within tokio's own cell the same loop took 5 to 12 % longer on the machine of the measurement.
    task: Pin<Box<F>>,
}

impl<const PARTICIPANT: u64, F: Future, S: Tally> Counted<PARTICIPANT, F, S> {
    fn new(switches: &Arc<S>, task: F) -> Self {
        Counted { switches: Arc::clone(switches), task: Box::pin(task) }
    }
}

impl<const PARTICIPANT: u64, F: Future, S: Tally> Future for Counted<PARTICIPANT, F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.switches.polled(PARTICIPANT);
        self.task.as_mut().poll(context)
    }
}
