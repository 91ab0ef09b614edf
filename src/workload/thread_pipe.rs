//! Two threads, two pipes: the round trip that `perf bench sched pipe -T` times.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::unistd::{Pid, getpid, gettid};

use crate::sample::{Kind, SwitchSource};
use crate::sys::clock::monotonic_ns;
use crate::sys::pipe::{self, Pipe};
use crate::sys::signal;
use crate::workload::session::{Party, Played, Session};
use crate::workload::{Floor, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "thread-pipe",
    kind: Kind::Thread,
    summary: "two threads hand a token to and fro through two pipes, as `perf bench sched pipe -T` does",
    op: "round trip",
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    default: true,
    prepare: || Ok(Box::new(ThreadPipe::prepare()?)),
    floor: Some(FLOOR),
};

/// What remains of a pipe round trip when nothing switches.
pub(super) const FLOOR: Floor = Floor {
    summary: "one thread writes and reads the same two pipes by itself: two writes, two reads, no switch",
    prepare: || Ok(Box::new(PipeFloor::prepare()?)),
};

/// The calling thread leads, another one follows.
struct ThreadPipe {
    to_follower: OwnedFd,
    from_follower: OwnedFd,
    follower: JoinHandle<io::Result<()>>,
    follower_thread: Pid,
}

impl ThreadPipe {
    fn prepare() -> Result<ThreadPipe> {
        let there = Pipe::new().context("making a pipe")?;
        let back = Pipe::new().context("making a pipe")?;
        let (introduce, introduced) = mpsc::channel();
        let (from_leader, to_leader) = (there.reader, back.writer);
        let follower = thread::Builder::new()
            .name("ctxprof-follow".to_string())
            .spawn(move || {
                // Signals are the main thread's: one caught here would be a switch of a party.
                signal::block_all().map_err(io::Error::other)?;
                let _ = introduce.send(gettid());
                echo(from_leader, to_leader)
            })
            .context("starting a thread")?;
        let follower_thread = introduced.recv().context("the partner thread ended before it began")?;
        Ok(ThreadPipe { to_follower: there.writer, from_follower: back.reader, follower, follower_thread })
    }
}

/// Hands every token back until the other side closes its end.
fn echo(from_leader: OwnedFd, to_leader: OwnedFd) -> io::Result<()> {
    loop {
        match pipe::receive(&from_leader) {
            Ok(()) => pipe::send(&to_leader)?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Plays the leader of a pipe ping-pong and returns its time; the same loop for threads and for processes.
pub(super) fn lead(to_follower: &OwnedFd, from_follower: &OwnedFd, ops: u64) -> io::Result<Played> {
    let started = monotonic_ns();
    for _ in 0..ops {
        pipe::send(to_follower)?;
        pipe::receive(from_follower)?;
    }
    Ok(Played { elapsed_ns: monotonic_ns() - started, own_switches: None })
}

impl Session for ThreadPipe {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread(), Party { process: getpid(), thread: self.follower_thread }]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        lead(&self.to_follower, &self.from_follower, ops).context("passing a token to the partner thread and back")
    }

    fn end(self: Box<Self>) -> Result<()> {
        drop(self.to_follower);
        self.follower.join().map_err(|_| anyhow!("the partner thread panicked"))?.context("the partner thread")
    }
}

/// One thread on both sides of both pipes.
struct PipeFloor {
    there: Pipe,
    back: Pipe,
}

impl PipeFloor {
    fn prepare() -> Result<PipeFloor> {
        Ok(PipeFloor { there: Pipe::new().context("making a pipe")?, back: Pipe::new().context("making a pipe")? })
    }

    fn play_floor(&self, ops: u64) -> io::Result<Played> {
        let started = monotonic_ns();
        for _ in 0..ops {
            pipe::send(&self.there.writer)?;
            pipe::receive(&self.there.reader)?;
            pipe::send(&self.back.writer)?;
            pipe::receive(&self.back.reader)?;
        }
        Ok(Played { elapsed_ns: monotonic_ns() - started, own_switches: None })
    }
}

impl Session for PipeFloor {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.play_floor(ops).context("writing and reading a pipe")
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
