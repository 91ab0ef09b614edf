//! Coroutines on stacks of their own, each suspended.

use anyhow::{Result, bail};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};

use crate::footprint::participant::{Made, Participants, Shape, below, errno_of};
use crate::sys::clock::monotonic_ns;

/// Default stack of corosensei, below which lies a page without memory.
const STACK_BYTES: usize = 1 << 20;

pub(super) struct Coroutines {
    shape: Shape,
    suspended: Vec<Coroutine<(), (), ()>>,
}

impl Coroutines {
    pub(super) fn new(shape: Shape) -> Coroutines {
        Coroutines { shape, suspended: Vec::with_capacity(shape.capacity) }
    }
}

impl Participants for Coroutines {
    fn make(&mut self, count: usize) -> Result<Made> {
        let (already, stack_use) = (self.suspended.len(), self.shape.stack_use);
        let mut refused = None;
        let started_ns = monotonic_ns();
        while self.suspended.len() < already + count {
            let stack = match DefaultStack::new(STACK_BYTES) {
                Ok(stack) => stack,
                Err(error) => {
                    refused = Some(errno_of(&error));
                    break;
                }
            };
            let body =
                move |suspender: &corosensei::Yielder<(), ()>, ()| below(stack_use, &mut || suspender.suspend(()));
            self.suspended.push(Coroutine::with_stack(stack, body));
        }
        let created_ns = monotonic_ns() - started_ns;
        for coroutine in &mut self.suspended[already..] {
            if let CoroutineResult::Return(()) = coroutine.resume(()) {
                bail!("a coroutine ended that should wait");
            }
        }
        let count = self.suspended.len() - already;
        Ok(Made { count, created_ns, ran_ns: monotonic_ns() - started_ns, refused })
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        for coroutine in &mut self.suspended {
            if let CoroutineResult::Yield(()) = coroutine.resume(()) {
                bail!("a coroutine waits again that should end");
            }
        }
        Ok(())
    }
}

impl Drop for Coroutines {
    fn drop(&mut self) {
        // Dropped while suspended, corosensei would unwind it, frame by frame; resumed, it just ends.
        for coroutine in self.suspended.iter_mut().filter(|coroutine| coroutine.started() && !coroutine.done()) {
            coroutine.resume(());
        }
    }
}
