//! Two threads of this process: the calling one leads, another one follows.

pub(super) mod channel;
pub(super) mod condvar;
pub(super) mod eventfd;
pub(super) mod futex;
pub(super) mod park;
pub(super) mod pipe;
mod ring;
pub(super) mod socketpair;
pub(super) mod yields;

use std::io;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use nix::unistd::{Pid, gettid};

use crate::sys::signal;
use crate::workload::handoff::{self, Handoff};
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Setting, Unpaced};

/// Address space of a follower's stack: small, as there may be thousands.
const STACK_BYTES: usize = 256 << 10;

/// A thread that follows the calling one.
pub(super) struct Follower {
    thread: Pid,
    handle: JoinHandle<Result<()>>,
}

impl Follower {
    /// Starts a thread that moves to its CPU and runs `life`.
    ///
    /// # Errors
    /// `EAGAIN` when `RLIMIT_NPROC` or the cgroup's `pids.max` is reached; its CPU is not available.
    pub(super) fn start(setting: &Setting, life: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<Follower> {
        let (introduce, introduced) = mpsc::channel();
        let setting = *setting;
        let handle = thread::Builder::new()
            .name("ctxprof-follow".to_string())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Signals are the main thread's: one caught by this thread would be a switch of a participant.
                let ready = signal::block_all().and_then(|()| setting.seat_follower());
                let is_ready = ready.is_ok();
                let _ = introduce.send(ready.map(|()| gettid()));
                if is_ready { life().context("the partner thread") } else { Ok(()) }
            })
            .context("starting a thread")?;
        let thread = introduced.recv().context("the partner thread ended before it began")??;
        Ok(Follower { thread, handle })
    }

    pub(super) fn participant(&self) -> Participant {
        Participant::thread(self.thread)
    }

    /// Waits until it has ended, which it must have been asked to.
    pub(super) fn join(self) -> Result<()> {
        self.handle.join().map_err(|_| anyhow!("the partner thread panicked"))?
    }
}

/// A ping-pong between the calling thread and another.
pub(super) struct ThreadPair<H: Handoff> {
    /// `None` once closed.
    handoff: Option<H>,
    /// `None` once joined.
    follower: Option<Follower>,
}

impl<H: Handoff + Send + 'static> ThreadPair<H> {
    pub(super) fn prepare(setting: &Setting, pair: impl FnOnce() -> io::Result<(H, H)>) -> Result<Box<dyn Session>> {
        let (mine, theirs) = pair().context("making what the threads pass control through")?;
        let follower = Follower::start(setting, || handoff::follow(theirs))?;
        Ok(Box::new(ThreadPair { handoff: Some(mine), follower: Some(follower) }))
    }

    fn lead(&mut self, ops: u64, pace: &mut impl Pace) -> Result<Played> {
        let handoff = self.handoff.as_mut().context("the session has ended")?;
        handoff::lead(handoff, ops, pace).context("passing control to the partner thread and back")
    }
}

impl<H: Handoff + Send + 'static> Session for ThreadPair<H> {
    fn participants(&self) -> Vec<Participant> {
        self.follower.iter().map(Follower::participant).chain([Participant::calling_thread()]).collect()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.lead(ops, &mut Unpaced)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.lead(ops, laps)
    }

    fn end(mut self: Box<Self>) -> Result<()> {
        self.handoff.take().into_iter().for_each(Handoff::close);
        self.follower.take().map_or(Ok(()), Follower::join)
    }
}

impl<H: Handoff> Drop for ThreadPair<H> {
    fn drop(&mut self) {
        // Not joined: a stuck follower would be waited for forever.
        self.handoff.take().into_iter().for_each(Handoff::close);
    }
}
