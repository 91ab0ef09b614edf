//! Two tokio tasks on a multi-thread runtime, two channels.
//!
//! Measures that scheduler, with its LIFO slot: a woken task goes straight to the worker that woke it, so that two tasks
//! that take turns tend to stay on one worker, and the others look for work now and then. The kernel switches of all workers
//! are counted beside the polls. While a task is on the other worker, either may be preempted between sending and waiting,
//! find the answer already there, and save a poll at the cost of a kernel switch: then an op has fewer than two polls.
//!
//! It has no no-switch cost of its own: a single task on these workers is that of `task-channel` with more expensive wakes.

use std::io;
use std::io::Write;
use std::panic;
use std::process;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::gettid;
use tokio::runtime::{Builder, Runtime};

use crate::sys::signal;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Participant, Session, Setting};
use crate::workload::task::channel::ping_pong;
use crate::workload::task::{Tally, TaskSession};
use crate::workload::{ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "task-multi",
    kind: Kind::Task,
    brief: "task-channel on a multi-thread runtime (--workers)",
    summary: "two tokio tasks on a multi-thread runtime (--workers, 2 by default) hand a token to and fro through two channels of capacity 1",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Polls,
    apart: true,
    remark: Some(
        "part of what it measures is the LIFO slot, which hands a woken task straight to the worker that woke it",
    ),
    prepare: |setting| prepare(setting),
    ..Workload::EMPTY
};

fn prepare(setting: &Setting) -> Result<Box<dyn Session>> {
    let workers = Arc::<Mutex<Vec<Participant>>>::default();
    let (started, seats) = (Arc::clone(&workers), *setting);
    let turn = AtomicUsize::new(0);
    check_threads(setting.workers)?;
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(setting.workers).thread_name("ctxprof-worker").on_thread_start(move || {
        // Signals are the main thread's. A worker that cannot be pinned is not entered, and missed below.
        let odd = turn.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let seated = signal::block_all().and_then(|()| if odd { seats.seat_follower() } else { Ok(()) });
        if seated.is_ok() {
            started.lock().unwrap_or_else(PoisonError::into_inner).push(Participant::thread(gettid()));
        }
    });
    let runtime = build(&mut builder)?;
    let all_started = || workers.lock().unwrap_or_else(PoisonError::into_inner).len() == setting.workers;
    if !(0..1000).any(|_| {
        all_started() || {
            thread::sleep(Duration::from_millis(1));
            false
        }
    }) {
        bail!("the runtime's {} workers did not all start on their CPUs", setting.workers);
    }
    let workers = workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    TaskSession::on(runtime, workers, ping_pong::<SharedSwitches>)
}

/// Starts as many threads at once, for a moment. Tokio does not return the error where it cannot start its own: it panics.
fn check_threads(count: usize) -> Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let mut held = Vec::with_capacity(count);
    let refused = loop {
        if held.len() == count {
            break None;
        }
        let gate = Arc::clone(&gate);
        let wait = move || {
            let _ = signal::block_all();
            drop(gate.lock());
        };
        match thread::Builder::new().spawn(wait) {
            Ok(thread) => held.push(thread),
            Err(error) => break Some(error),
        }
    };
    drop(closed);
    held.into_iter().for_each(|thread| drop(thread.join()));
    refused.map_or(Ok(()), |error| Err(error).with_context(|| format!("starting {count} threads for tokio")))
}

/// Builds a runtime. Where threads that could be started a moment ago cannot any more, it ends this process with the reason:
/// after tokio's panic the started workers are waited for, and they wait for the missing ones.
fn build(builder: &mut Builder) -> Result<Runtime> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|panicked| {
        let words = panicked.payload().downcast_ref::<String>().map_or("it panicked", String::as_str);
        let _ = writeln!(io::stderr(), "ctxprof: starting a tokio runtime: {words}; ending");
        process::exit(1);
    }));
    let built = builder.build();
    panic::set_hook(usual);
    built.context("starting a tokio runtime")
}

/// The tally of tasks that may run on any worker.
///
/// Plain loads and stores, though there are several threads: the tasks take turns, and each poll begins after the other
/// task has sent, so that polls are ordered. A locked instruction would cost a tenth of the poll.
#[derive(Debug, Default)]
#[repr(align(128))]
struct SharedSwitches {
    polled_last: AtomicU64,
    switches: AtomicU64,
}

impl Tally for SharedSwitches {
    fn count(&self) -> u64 {
        self.switches.load(Ordering::Acquire)
    }

    #[inline]
    fn polled(&self, participant: u64) {
        let switched = u64::from(self.polled_last.load(Ordering::Acquire) != participant);
        self.polled_last.store(participant, Ordering::Release);
        self.switches.store(self.switches.load(Ordering::Acquire) + switched, Ordering::Release);
    }
}
