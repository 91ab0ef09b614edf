//! Tokio tasks on a current-thread runtime without a driver, each waiting to be notified.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use anyhow::{Context, Result, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::footprint::participant::{Made, Participants, Shape};
use crate::sys::clock::monotonic_ns;

/// The sizes of state for which there is a task. A future's size is part of its type.
pub const FUTURE_SIZES: [usize; 9] = [0, 64, 256, 512, 1024, 4096, 16_384, 65_536, 262_144];

/// Tasks that hold `STATE` bytes across their await.
struct Tasks<const STATE: usize> {
    runtime: Runtime,
    gate: Arc<Gate>,
    made: usize,
}

/// Gate that tasks count themselves in at, and wait at.
#[derive(Debug, Default)]
struct Gate {
    notify: Notify,
    arrived: AtomicUsize,
    ended: AtomicUsize,
}

pub(super) fn prepare(shape: Shape) -> Result<Box<dyn Participants>> {
    let prepare = match shape.future_size {
        0 => Tasks::<0>::prepare,
        64 => Tasks::<64>::prepare,
        256 => Tasks::<256>::prepare,
        512 => Tasks::<512>::prepare,
        1024 => Tasks::<1024>::prepare,
        4096 => Tasks::<4096>::prepare,
        16_384 => Tasks::<16_384>::prepare,
        65_536 => Tasks::<65_536>::prepare,
        262_144 => Tasks::<262_144>::prepare,
        other => bail!("there is no task that holds {other} bytes"),
    };
    prepare()
}

impl<const STATE: usize> Tasks<STATE> {
    fn prepare() -> Result<Box<dyn Participants>> {
        let runtime = Builder::new_current_thread().build().context("starting a tokio runtime")?;
        Ok(Box::new(Tasks::<STATE> { runtime, gate: Arc::default(), made: 0 }))
    }

    /// Runs tasks until the number is reached.
    fn run_until(&self, number: &AtomicUsize, reached: usize) {
        self.runtime.block_on(poll_fn(|context| {
            if number.load(Ordering::Relaxed) >= reached {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
    }
}

impl<const STATE: usize> Participants for Tasks<STATE> {
    fn make(&mut self, count: usize) -> Result<Made> {
        let started_ns = monotonic_ns();
        for _ in 0..count {
            self.runtime.spawn(wait::<STATE>(Arc::clone(&self.gate)));
        }
        let created_ns = monotonic_ns() - started_ns;
        self.made += count;
        self.run_until(&self.gate.arrived, self.made);
        Ok(Made { count, created_ns, ran_ns: monotonic_ns() - started_ns, refused: None })
    }

    fn end(self: Box<Self>) -> Result<()> {
        self.gate.notify.notify_waiters();
        self.run_until(&self.gate.ended, self.made);
        Ok(())
    }
}

async fn wait<const STATE: usize>(gate: Arc<Gate>) {
    let mut state = [1_u8; STATE];
    black_box(&mut state);
    gate.arrived.fetch_add(1, Ordering::Relaxed);
    gate.notify.notified().await;
    black_box(&mut state);
    gate.ended.fetch_add(1, Ordering::Relaxed);
}
