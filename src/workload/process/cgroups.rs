//! The processes of `process-pipe`, each in a cgroup of its own, as two containers are: the scheduler then chooses between
//! groups before it chooses within one.
//!
//! ctxprof makes the two cgroups, moves itself and the partner in, and moves back before it removes them. Without the right to make
//! cgroups it is left out.
//!
//! The floor is that of `process-pipe`: one thread writes and reads both pipes by itself.

use anyhow::Result;

use crate::sys::cgroup::{self, Cgroups};
use crate::workload::process::{ProcessPair, pipe};
use crate::workload::session::{Laps, Party, Played, Session};
use crate::workload::thread::pipe::PipeHand;
use crate::workload::{Unavailable, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "process-pipe-cgroups",
    summary: "process-pipe, with each process in a cgroup of its own that has the CPU controller, as containers have",
    default: false,
    available: || {
        let remedy = Some("it takes root, and cgroups with the CPU controller".to_string());
        cgroup::can_be_made().map_err(|error| Unavailable { reason: format!("{error:#}"), remedy })
    },
    // That the kernel refuses after all is found out before anything is measured.
    provide: |_| Cgroups::enter().map(drop),
    prepare: |setting| {
        let cgroups = Cgroups::enter()?;
        let session = ProcessPair::prepare(setting, PipeHand::pair)?;
        for party in session.parties().iter().skip(1) {
            cgroups.seat_follower(party.process)?;
        }
        Ok(Box::new(InCgroups { session, cgroups }))
    },
    ring: None,
    ..pipe::WORKLOAD
};

struct InCgroups {
    // In this order: a cgroup can be removed once its process has ended.
    session: Box<dyn Session>,
    cgroups: Cgroups,
}

impl Session for InCgroups {
    fn parties(&self) -> Vec<Party> {
        self.session.parties()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.session.play(ops)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.session.play_each(ops, laps)
    }

    fn end(self: Box<Self>) -> Result<()> {
        let InCgroups { session, cgroups } = *self;
        let ended = session.end();
        drop(cgroups);
        ended
    }
}
