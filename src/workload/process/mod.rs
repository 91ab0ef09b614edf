//! Two processes: the calling thread's leads, a forked one follows.

pub(super) mod futex;
pub(super) mod pipe;
mod ring;
pub(super) mod yields;

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::sys::fork::{Ended, Partner};
use crate::workload::hand::{self, Hand};
use crate::workload::session::{Laps, Pace, Party, Played, Session, Setting, Unpaced};

/// Forks a process that goes to its CPU and lives a life without allocating; how that ends is its exit code.
///
/// # Errors
/// `EAGAIN` when `RLIMIT_NPROC` or the cgroup's `pids.max` is reached.
fn fork_follower(setting: &Setting, life: impl FnOnce() -> io::Result<()>) -> Result<Partner> {
    let seated = || if setting.is_apart() { setting.seat_follower().is_ok() } else { true };
    Partner::fork(|| if seated() && life().is_ok() { 0 } else { 1 }).context("starting the partner process")
}

/// The partner's end as the cause, if that is why a play came to nothing.
fn explain(partner: &mut Partner, error: io::Error) -> anyhow::Error {
    // What it held closes a moment before it can be waited for.
    for _ in 0..100 {
        if let Some(ended) = partner.ended() {
            return anyhow::anyhow!("the partner process {} {ended} in the middle of the measurement", partner.pid());
        }
        if error.kind() == io::ErrorKind::TimedOut {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    anyhow::Error::new(error).context(format!("passing control to the partner process {} and back", partner.pid()))
}

/// Waits for a partner that has been told to end.
fn wait_for(partner: Partner) -> Result<()> {
    match partner.wait()? {
        Ended::Exited(0) => Ok(()),
        ended => bail!("the partner process {ended}"),
    }
}

/// A ping-pong between this process and a forked one.
struct ProcessPair<H: Hand> {
    hand: H,
    follower: Partner,
}

impl<H: Hand + 'static> ProcessPair<H> {
    fn prepare(setting: &Setting, pair: impl FnOnce() -> io::Result<(H, H)>) -> Result<Box<dyn Session>> {
        let mut pair = Some(pair().context("making what the processes pass control through")?);
        let follower = fork_follower(setting, || {
            let (mine, theirs) = pair.take().ok_or(io::ErrorKind::NotFound)?;
            // The leader's hand, of which this process has a copy: while one is open, the leader's end goes unnoticed.
            drop(mine);
            hand::follow(theirs)
        })?;
        let (mine, theirs) = pair.take().context("the partner's hand was taken here")?;
        drop(theirs);
        Ok(Box::new(ProcessPair { hand: mine, follower }))
    }

    fn lead(&mut self, ops: u64, pace: &mut impl Pace) -> Result<Played> {
        hand::lead(&mut self.hand, ops, pace).map_err(|error| explain(&mut self.follower, error))
    }
}

impl<H: Hand + 'static> Session for ProcessPair<H> {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread(), Party::process(self.follower.pid())]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.lead(ops, &mut Unpaced)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.lead(ops, laps)
    }

    fn end(self: Box<Self>) -> Result<()> {
        let ProcessPair { hand, follower } = *self;
        hand.let_go();
        wait_for(follower)
    }
}
