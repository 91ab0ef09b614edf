//! The processes of `process-pipe`, each with its indirect branch speculation turned off, as browsers and password stores have it:
//! the kernel then flushes the branch predictor at every switch between them, which it spares plain processes.
//!
//! Where the processor or the kernel offers no such choice, as in many virtual machines, it is left out with what prctl(2)
//! answered. It has not been run on a host that offers it.
//!
//! The no-switch cost is that of `process-pipe`, also with speculation off: one thread writes and reads both pipes by itself.

use anyhow::Result;

use crate::sys::speculation::{self, Barriers};
use crate::sys::unavailable::Unavailable;
use crate::workload::process::{ProcessPair, pipe};
use crate::workload::session::{Session, Setting, Within};
use crate::workload::thread::pipe::{NO_SWITCH, PipeHandoff};
use crate::workload::{NoSwitch, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "process-pipe-ibpb",
    brief: "process-pipe, branch predictor flushed each switch",
    summary: "process-pipe, with the branch predictor flushed at every switch (both sides have PR_SPEC_INDIRECT_BRANCH disabled)",
    default: false,
    available: || speculation::may_choose().map_err(Unavailable::from),
    prepare: |setting| with_barriers(|| ProcessPair::prepare(setting, PipeHandoff::pair)),
    no_switch: Some(NoSwitch {
        summary: "one thread writes and reads both pipes by itself, its indirect branch speculation off, too: no switch, no flush",
        prepare: |setting: &Setting| with_barriers(|| (NO_SWITCH.prepare)(setting)),
    }),
    ring: None,
    ..pipe::WORKLOAD
};

fn with_barriers(prepare: impl FnOnce() -> Result<Box<dyn Session>>) -> Result<Box<dyn Session>> {
    // A process that is forked from here on has it off, too.
    let barriers = Barriers::on()?;
    Ok(Box::new(Within { session: prepare()?, surroundings: barriers }))
}
