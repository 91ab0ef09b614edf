//! The ends of the scale: the cost of a call that switches nothing.
//!
//! One op is one call. Neither has a no-switch cost of its own: they are one.

use std::hint::black_box;

use anyhow::Result;
use nix::unistd::getppid;

use crate::sys::clock::monotonic_ns;
use crate::workload::Workload;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Unpaced};

pub(crate) const SYSCALL: Workload = Workload {
    name: "syscall",
    kind: Kind::Reference,
    brief: "one of the cheapest system calls; no switch",
    summary: "one thread asks for its parent's id, one of the cheapest system calls; nothing switches",
    op: ONE_CALL,
    switch_source: SwitchSource::Kernel,
    prepare: |_| Ok(Box::new(Calls { plain: enter_kernel, paced: enter_kernel })),
    ..Workload::EMPTY
};

pub(crate) const CALL: Workload = Workload {
    name: "call",
    kind: Kind::Reference,
    brief: "a function call that is not inlined; no switch",
    summary: "one thread calls a function that is not inlined; nothing switches",
    op: ONE_CALL,
    switch_source: SwitchSource::Kernel,
    prepare: |_| Ok(Box::new(Calls { plain: call_function, paced: call_function })),
    ..Workload::EMPTY
};

const ONE_CALL: &str = "one call";

/// A loop of calls. The loop is behind the pointer, so that the pointer costs nothing per op.
struct Calls {
    plain: fn(u64, &mut Unpaced),
    paced: fn(u64, &mut Laps),
}

fn enter_kernel(ops: u64, pace: &mut impl Pace) {
    pace.begin();
    for _ in 0..ops {
        black_box(getppid());
        pace.lap();
    }
}

fn call_function(ops: u64, pace: &mut impl Pace) {
    pace.begin();
    for op in 0..ops {
        black_box(callee(black_box(op)));
        pace.lap();
    }
}

#[inline(never)]
fn callee(argument: u64) -> u64 {
    black_box(argument)
}

impl Session for Calls {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        let started_ns = monotonic_ns();
        (self.plain)(ops, &mut Unpaced);
        Ok(Played::timed(monotonic_ns() - started_ns))
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        let started_ns = monotonic_ns();
        (self.paced)(ops, laps);
        Ok(Played::timed(monotonic_ns() - started_ns))
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
