//! Two processes: the calling thread's leads, a forked one follows.

pub(super) mod cgroups;
pub(super) mod futex;
pub(super) mod ibpb;
pub(super) mod pipe;
mod ring;
pub(super) mod yields;

use std::io;
use std::slice;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::unistd::Pid;

use crate::sys::fork::Partner;
use crate::sys::reap::Ended;
use crate::workload::handoff::{self, Handoff};
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Setting, Unpaced};

/// Forks a process that moves to its CPU and runs `life` without allocating; its exit code is the outcome.
///
/// # Errors
/// `EAGAIN` when `RLIMIT_NPROC` or the cgroup's `pids.max` is reached.
fn fork_follower(setting: &Setting, life: impl FnOnce() -> io::Result<()>) -> Result<Partner> {
    let seated = || if setting.is_apart() { setting.seat_follower().is_ok() } else { true };
    Partner::fork(|| if seated() && life().is_ok() { 0 } else { 1 }).context("starting the partner process")
}

/// Returns a partner's end as the cause, if a play failed because of it. Of several, the one that was killed: the others
/// ended because of it.
fn explain(partners: &mut [Partner], error: io::Error) -> anyhow::Error {
    let mut culprit: Option<(Pid, Ended)> = None;
    // Its files close a moment before it can be waited for.
    for _ in 0..100 {
        for partner in &mut *partners {
            match partner.ended() {
                Some(Ended::Killed(signal)) => culprit = Some((partner.pid(), Ended::Killed(signal))),
                Some(ended) => culprit = culprit.or(Some((partner.pid(), ended))),
                None => {}
            }
        }
        // Another partner's end may be seen before that of the one whose files it waited at.
        let is_certain =
            matches!(culprit, Some((_, ended)) if partners.len() == 1 || matches!(ended, Ended::Killed(_)));
        if is_certain || error.kind() == io::ErrorKind::TimedOut {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    match (culprit, partners) {
        (Some((pid, ended)), _) => anyhow!("the partner process {pid} {ended} in the middle of the measurement"),
        (None, [partner]) => {
            Error::new(error).context(format!("passing control to the partner process {} and back", partner.pid()))
        }
        (None, _) => Error::new(error).context("handing a token round the processes"),
    }
}

/// Waits for a partner that has been asked to end.
fn wait_for(partner: Partner) -> Result<()> {
    match partner.wait()? {
        Ended::Exited(0) => Ok(()),
        ended => bail!("the partner process {ended}"),
    }
}

/// A ping-pong between this process and a forked one.
struct ProcessPair<H: Handoff> {
    handoff: H,
    follower: Partner,
}

impl<H: Handoff + 'static> ProcessPair<H> {
    fn prepare(setting: &Setting, pair: impl FnOnce() -> io::Result<(H, H)>) -> Result<Box<dyn Session>> {
        let mut pair = Some(pair().context("making what the processes pass control through")?);
        let follower = fork_follower(setting, || {
            let (mine, theirs) = pair.take().ok_or(io::ErrorKind::NotFound)?;
            // The leader's end, of which this process has a copy: while one is open, the leader's exit goes unnoticed.
            drop(mine);
            handoff::follow(theirs)
        })?;
        let (mine, theirs) = pair.take().context("the partner's hand was taken here")?;
        drop(theirs);
        Ok(Box::new(ProcessPair { handoff: mine, follower }))
    }

    fn lead(&mut self, ops: u64, pace: &mut impl Pace) -> Result<Played> {
        handoff::lead(&mut self.handoff, ops, pace).map_err(|error| explain(slice::from_mut(&mut self.follower), error))
    }
}

impl<H: Handoff + 'static> Session for ProcessPair<H> {
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
        let ProcessPair { handoff, follower } = *self;
        handoff.close();
        wait_for(follower)
    }
}
