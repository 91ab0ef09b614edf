//! Threads of std, each waiting in a futex.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::thread::JoinHandle;

use anyhow::{Result, bail};

use crate::footprint::participant::{Made, Participants, Shape, below, errno_of};
use crate::sys::clock::monotonic_ns;
use crate::sys::futex::{self, Scope};

pub(super) struct Threads {
    shape: Shape,
    gate: Arc<Gate>,
    handles: Vec<JoinHandle<()>>,
}

/// Gate that threads count themselves in at, and wait at.
#[derive(Debug, Default)]
struct Gate {
    arrived: AtomicUsize,
    open: AtomicU32,
}

impl Threads {
    pub(super) fn new(shape: Shape) -> Threads {
        Threads { shape, gate: Arc::default(), handles: Vec::with_capacity(shape.capacity) }
    }
}

impl Participants for Threads {
    fn make(&mut self, count: usize) -> Result<Made> {
        let stack_use = self.shape.stack_use;
        let (mut made, mut refused) = (0, None);
        let started_ns = monotonic_ns();
        while made < count {
            let gate = Arc::clone(&self.gate);
            let body = move || {
                below(stack_use, &mut || {
                    gate.arrived.fetch_add(1, Ordering::Release);
                    while gate.open.load(Ordering::Acquire) == 0 {
                        if futex::wait(&gate.open, 0, Scope::Process).is_err() {
                            return;
                        }
                    }
                });
            };
            match thread::Builder::new().spawn(body) {
                Ok(handle) => self.handles.push(handle),
                Err(error) => {
                    refused = Some(errno_of(&error));
                    break;
                }
            }
            made += 1;
        }
        let created_ns = monotonic_ns() - started_ns;
        while self.gate.arrived.load(Ordering::Acquire) < self.handles.len() {
            if self.handles.last().is_some_and(JoinHandle::is_finished) {
                bail!("a thread ended that should wait");
            }
            thread::yield_now();
        }
        Ok(Made { count: made, created_ns, ran_ns: monotonic_ns() - started_ns, refused })
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        self.open();
        // All of them, even after one that panicked.
        let panicked =
            std::mem::take(&mut self.handles).into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        if panicked == 0 { Ok(()) } else { bail!("{panicked} threads panicked") }
    }
}

impl Threads {
    fn open(&self) {
        self.gate.open.store(1, Ordering::Release);
        futex::wake_all(&self.gate.open);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.open();
    }
}
