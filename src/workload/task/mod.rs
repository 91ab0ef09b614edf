//! Tokio tasks on one thread, both spawned on a current-thread runtime without a driver unless a workload needs one: the
//! scheduler's path is part of the price, and with one party as `block_on`'s root, or with timers and I/O enabled, it is
//! another path and up to half dearer.

pub(super) mod channel;
pub(super) mod multi;
pub(super) mod notify;
pub(super) mod oneway;
pub(super) mod pipe;
mod ring;
pub(super) mod yields;

use std::cell::Cell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Laps, Pace, Party, Played, Session, Setting, Unpaced};

/// What is handed over.
const TOKEN: u64 = 1;

/// Tasks that wait for a number of ops to play, whose leading task does as this pace says between them.
struct TaskSession<P> {
    runtime: Runtime,
    start: Sender<Order<P>>,
    done: Receiver<(Played, P)>,
    /// The runtime's own threads, where it has any.
    workers: Vec<Party>,
}

/// What a leading task is told.
struct Order<P> {
    ops: u64,
    pace: P,
}

/// Where a leading task is told what to play, and tells what it took.
struct Orders<S, P> {
    start: Receiver<Order<P>>,
    done: Sender<(Played, P)>,
    /// Of the order that is being played.
    pace: P,
    switches: Arc<S>,
    started_ns: u64,
    switched: u64,
}

impl<S: Tally, P: Pace> Orders<S, P> {
    /// Waits for the next number of ops and starts the clock; `None` when there will be no more.
    async fn next(&mut self) -> Option<u64> {
        let Order { ops, pace } = self.start.recv().await?;
        self.pace = pace;
        self.switched = self.switches.count();
        self.started_ns = monotonic_ns();
        self.pace.begin();
        Some(ops)
    }

    /// Stops the clock and reports; `None` when nobody listens any more.
    async fn finish(&mut self) -> Option<()> {
        let elapsed_ns = monotonic_ns() - self.started_ns;
        let played = Played::counted(elapsed_ns, self.switches.count() - self.switched);
        self.done.send((played, mem::take(&mut self.pace))).await.ok()
    }
}

impl<P: Pace> TaskSession<P> {
    /// Tasks on this runtime, with the threads that it has beside the calling one.
    fn start<S: Tally>(runtime: Runtime, workers: Vec<Party>, spawn: impl FnOnce(&Runtime, Orders<S, P>)) -> Self {
        let (start, orders) = channel(1);
        let (report, done) = channel(1);
        let (pace, switches) = (P::default(), Arc::default());
        spawn(&runtime, Orders { start: orders, done: report, pace, switches, started_ns: 0, switched: 0 });
        TaskSession { runtime, start, done, workers }
    }

    /// Has every task run until it waits.
    fn settle(&mut self) {
        // Spawned from outside, as all of them were: into the same queue, behind them.
        let last = self.runtime.spawn(async {});
        let _ = self.runtime.block_on(last);
    }

    fn play(&mut self, ops: u64, pace: P) -> Result<(Played, P)> {
        // Entering the runtime costs about a microsecond: the leading task reads the clock itself.
        self.runtime.block_on(async {
            let order = Order { ops, pace };
            self.start.send(order).await.map_err(|_| anyhow!("the leading task has ended"))?;
            self.done.recv().await.ok_or_else(|| anyhow!("the leading task ended in the middle of the measurement"))
        })
    }
}

/// The tasks of a workload and, where their ops are to be timed one by one, the same once more, whose leading task reads the
/// clock after each: a task that could do both took up to 5 % longer where it did not.
struct Tasks {
    plain: TaskSession<Unpaced>,
    paced: Option<TaskSession<Laps>>,
}

impl Tasks {
    /// Tasks on the calling thread; one function in its two forms makes them.
    fn prepare(
        setting: &Setting,
        plain: fn(&Runtime, Orders<Switches, Unpaced>),
        paced: fn(&Runtime, Orders<Switches, Laps>),
    ) -> Result<Box<dyn Session>> {
        let plain = || Ok(TaskSession::start(on_this_thread()?, Vec::new(), plain));
        Tasks::made_by(setting, plain, || Ok(TaskSession::start(on_this_thread()?, Vec::new(), paced)))
    }

    /// Tasks on runtimes of the workload's own making.
    fn made_by(
        setting: &Setting,
        plain: impl FnOnce() -> Result<TaskSession<Unpaced>>,
        paced: impl FnOnce() -> Result<TaskSession<Laps>>,
    ) -> Result<Box<dyn Session>> {
        Ok(Box::new(Tasks { plain: plain()?, paced: setting.laps.then(paced).transpose()? }))
    }
}

/// A runtime that polls on the thread that enters it, with nothing that a workload does not need.
fn on_this_thread() -> Result<Runtime> {
    Builder::new_current_thread().build().context("starting a tokio runtime")
}

impl Session for Tasks {
    fn parties(&self) -> Vec<Party> {
        let paced = self.paced.iter().flat_map(|paced| &paced.workers);
        self.plain.workers.iter().chain(paced).copied().chain([Party::calling_thread()]).collect()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        Ok(self.plain.play(ops, Unpaced)?.0)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        let paced = self.paced.as_mut().context("these tasks were not made to be timed op by op")?;
        let (played, noted) = paced.play(ops, mem::take(laps))?;
        *laps = noted;
        Ok(played)
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

/// The tally of tasks on one thread, which is that thread's: reached without a pointer, since a poll takes some 30 ns and
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
    fn polled(&self, party: u64) {
        // Without a branch: which task is polled next may be hard to foresee.
        let switched = u64::from(POLLED_LAST.replace(party) != party);
        SWITCHES.set(SWITCHES.get() + switched);
    }
}

/// A task whose polls are counted as this party's.
#[repr(align(128))]
struct Counted<const PARTY: u64, F, S> {
    switches: Arc<S>,
    // Boxed: within tokio's own cell the same loop took 5 to 12 % longer where this was written.
    task: Pin<Box<F>>,
}

impl<const PARTY: u64, F: Future, S: Tally> Counted<PARTY, F, S> {
    fn new(switches: &Arc<S>, task: F) -> Self {
        Counted { switches: Arc::clone(switches), task: Box::pin(task) }
    }
}

impl<const PARTY: u64, F: Future, S: Tally> Future for Counted<PARTY, F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.switches.polled(PARTY);
        self.task.as_mut().poll(context)
    }
}
