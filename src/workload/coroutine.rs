//! A coroutine that is resumed and suspends itself: the cost of passing control without any scheduler.
//!
//! One op is a resume and a suspend, two switches of stacks. There is no no-switch cost: without the switch only a loop is
//! left.

use anyhow::{Context, Result, bail};
use corosensei::{Coroutine, CoroutineResult};

use crate::sys::clock::monotonic_ns;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Unpaced};
use crate::workload::{ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "coroutine",
    kind: Kind::Coroutine,
    brief: "resume and suspend (corosensei), no scheduler",
    summary: "one thread resumes a coroutine, which suspends itself at once (corosensei); no scheduler",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Resumes,
    prepare: |_| Ok(Box::new(Suspended::new())),
    ..Workload::EMPTY
};

/// A coroutine between two plays; resumed with `false`, it ends. `None` after one that failed.
struct Suspended(Option<Coroutine<bool, (), ()>>);

impl Suspended {
    fn new() -> Suspended {
        Suspended(Some(Coroutine::new(|suspender, mut go_on| {
            while go_on {
                go_on = suspender.suspend(());
            }
        })))
    }

    fn resume(&mut self, ops: u64, pace: &mut impl Pace) -> Result<Played> {
        // In a local variable its stack pointer stays in a register, as it does in a program that uses coroutines.
        let mut coroutine = self.0.take().context("the coroutine has ended")?;
        let mut suspended = 0;
        let started_ns = monotonic_ns();
        pace.begin();
        for _ in 0..ops {
            // Counted when it comes back by a suspend. Free: the counter is the loop's own.
            match coroutine.resume(true) {
                CoroutineResult::Yield(()) => suspended += 1,
                CoroutineResult::Return(()) => bail!("the coroutine ended in the middle of the measurement"),
            }
            pace.lap();
        }
        let elapsed_ns = monotonic_ns() - started_ns;
        self.0 = Some(coroutine);
        Ok(Played::counted(elapsed_ns, 2 * suspended))
    }
}

impl Session for Suspended {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.resume(ops, &mut Unpaced)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.resume(ops, laps)
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        self.0.as_mut().map(|coroutine| coroutine.resume(false));
        Ok(())
    }
}
