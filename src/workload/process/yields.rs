//! Two processes on one CPU that yield to each other with sched_yield(2), as the threads of `thread-yield` do.
//!
//! The no-switch cost: one thread yields twice, with nobody to yield to.

use std::slice;

use anyhow::{Context, Result};

use crate::sys::fork::Partner;
use crate::sys::futex::Scope;
use crate::sys::shared::Shared;
use crate::workload::Workload;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::process::{explain, fork_follower, wait_for};
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Setting, Unpaced};
use crate::workload::thread::yields::{NO_SWITCH, ONE_YIELD_EACH, Track, YIELDS_NS};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "process-yield",
    kind: Kind::Process,
    brief: "sched_yield(2); makes no fixed number of switches",
    summary: "two processes give way to each other with sched_yield(2); how often that switches is counted, not promised",
    op: ONE_YIELD_EACH,
    switch_source: SwitchSource::Kernel,
    apart: true,
    sample_ns: YIELDS_NS,
    prepare: |setting| ProcessYield::prepare(setting),
    no_switch: Some(NO_SWITCH),
    ..Workload::EMPTY
};

struct ProcessYield {
    track: Shared<Track>,
    follower: Partner,
}

impl ProcessYield {
    fn prepare(setting: &Setting) -> Result<Box<dyn Session>> {
        let track = Shared::new(Track::default()).context("mapping a page")?;
        let follower = fork_follower(setting, || track.follow(Scope::Shared))?;
        Ok(Box::new(ProcessYield { track, follower }))
    }

    fn lead(&mut self, ops: u64, pace: &mut impl Pace) -> Result<Played> {
        self.track.lead(ops, Scope::Shared, pace).map_err(|error| explain(slice::from_mut(&mut self.follower), error))
    }
}

impl Session for ProcessYield {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread(), Participant::process(self.follower.pid())]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.lead(ops, &mut Unpaced)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.lead(ops, laps)
    }

    fn end(self: Box<Self>) -> Result<()> {
        let ProcessYield { track, follower } = *self;
        track.call_off(Scope::Shared);
        wait_for(follower)
    }
}
