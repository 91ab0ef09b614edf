//! The processes of `process-pipe`, each in a cgroup of its own, as two containers are: the scheduler then chooses between
//! groups before it chooses within one.
//!
//! ctxprof makes the two cgroups, moves itself and the partner in, and moves back before it removes them. Without the right to make
//! cgroups it is left out.
//!
//! The no-switch cost is that of `process-pipe`: one thread writes and reads both pipes by itself.

use crate::sys::cgroup::{self, Cgroups};
use crate::sys::unavailable::Unavailable;
use crate::workload::Workload;
use crate::workload::process::{ProcessPair, pipe};
use crate::workload::session::Within;
use crate::workload::thread::pipe::PipeHandoff;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "process-pipe-cgroups",
    brief: "process-pipe, each process in a cgroup of its own",
    summary: "process-pipe, with each process in a cgroup of its own that has the CPU controller, as containers have",
    default: false,
    available: || {
        let remedy = Some("it takes root, and cgroups with the CPU controller".to_string());
        cgroup::can_be_made().map_err(|error| Unavailable { reason: format!("{error:#}"), remedy })
    },
    // A refusal by the kernel shows before anything is measured.
    provide: |_| Cgroups::enter().map(drop),
    prepare: |setting| {
        let cgroups = Cgroups::enter()?;
        let session = ProcessPair::prepare(setting, PipeHandoff::pair)?;
        for participant in session.participants().iter().skip(1) {
            cgroups.seat_follower(participant.process)?;
        }
        Ok(Box::new(Within { session, surroundings: cgroups }))
    },
    ring: None,
    ..pipe::WORKLOAD
};
