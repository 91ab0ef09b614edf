//! A coroutine that is resumed and suspends itself: what control costs to hand over with no scheduler at all.
//!
//! One op is a resume and a suspend, two switches of stacks. There is no floor: without the switch nothing is left but a
//! loop.

use anyhow::Result;
use corosensei::{Coroutine, CoroutineResult};

use crate::sample::{Kind, SwitchSource};
use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Party, Played, Session};
use crate::workload::{ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "coroutine",
    kind: Kind::Coroutine,
    summary: "one thread resumes a coroutine, which suspends itself at once (corosensei); no scheduler",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Resumes,
    prepare: |_| Ok(Box::new(Suspended::new())),
    ..Workload::EMPTY
};

/// A coroutine between two plays. It hands out how often it was resumed; resumed with `false`, it ends.
struct Suspended(Coroutine<bool, u64, ()>);

impl Suspended {
    fn new() -> Suspended {
        Suspended(Coroutine::new(|suspender, mut go_on| {
            let mut resumed = 0;
            while go_on {
                resumed += 1;
                go_on = suspender.suspend(resumed);
            }
        }))
    }
}

impl Session for Suspended {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        let resumed_before = resume(&mut self.0)?;
        let mut resumed = resumed_before;
        let started_ns = monotonic_ns();
        for _ in 0..ops {
            resumed = resume(&mut self.0)?;
        }
        let elapsed_ns = monotonic_ns() - started_ns;
        // Each resume that was counted has come back by a suspend, or the loop would not have gone on.
        Ok(Played::counted(elapsed_ns, 2 * (resumed - resumed_before)))
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        self.0.resume(false);
        Ok(())
    }
}

/// One round trip; how often the coroutine says that it has been resumed.
#[inline]
fn resume(coroutine: &mut Coroutine<bool, u64, ()>) -> Result<u64> {
    match coroutine.resume(true) {
        CoroutineResult::Yield(resumed) => Ok(resumed),
        CoroutineResult::Return(()) => anyhow::bail!("the coroutine ended in the middle of the measurement"),
    }
}
