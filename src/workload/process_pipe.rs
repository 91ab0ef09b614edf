//! Two processes, two pipes: the round trip that `perf bench sched pipe` times.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd;

use crate::sample::{Kind, SwitchSource};
use crate::sys::fork::{Ended, Partner};
use crate::sys::pipe::{self, Pipe};
use crate::workload::session::{Party, Played, Session};
use crate::workload::{Workload, thread_pipe};

pub(super) const WORKLOAD: Workload = Workload {
    name: "process-pipe",
    kind: Kind::Process,
    summary: "two processes hand a token to and fro through two pipes, as `perf bench sched pipe` does",
    op: "round trip",
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Kernel,
    default: true,
    prepare: || Ok(Box::new(ProcessPipe::prepare()?)),
    floor: Some(thread_pipe::FLOOR),
};

/// The calling thread leads, a forked process follows.
struct ProcessPipe {
    to_follower: OwnedFd,
    from_follower: OwnedFd,
    follower: Partner,
}

impl ProcessPipe {
    fn prepare() -> Result<ProcessPipe> {
        let there = Pipe::new().context("making a pipe")?;
        let back = Pipe::new().context("making a pipe")?;
        let follower = Partner::fork(|| {
            // The leader's ends, of which this process has copies: while one is open, the end of the leader goes
            // unnoticed. The child leaves by _exit, so nobody closes these numbers a second time.
            let closed = [&there.writer, &back.reader].map(|end| unistd::close(end.as_raw_fd()));
            if closed.iter().any(Result::is_err) {
                return 1;
            }
            follow(&there.reader, &back.writer)
        })
        .context("starting the partner process")?;
        Ok(ProcessPipe { to_follower: there.writer, from_follower: back.reader, follower })
    }

    /// The partner's end as the cause, if that is why the token did not come back.
    fn explain(&mut self, error: io::Error) -> anyhow::Error {
        // Its pipes close a moment before it can be waited for.
        for _ in 0..100 {
            if let Some(ended) = self.follower.ended() {
                return anyhow::anyhow!(
                    "the partner process {} {ended} in the middle of the measurement",
                    self.follower.pid()
                );
            }
            if error.kind() == io::ErrorKind::TimedOut {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        anyhow::Error::new(error)
            .context(format!("passing a token to the partner process {} and back", self.follower.pid()))
    }
}

/// The child's whole life: hands every token back, without allocating. Its value is the exit code.
fn follow(from_leader: &OwnedFd, to_leader: &OwnedFd) -> i32 {
    loop {
        match pipe::receive(from_leader).map(|()| pipe::send(to_leader)) {
            Ok(Ok(())) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return 0,
            _ => return 1,
        }
    }
}

impl Session for ProcessPipe {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread(), Party::process(self.follower.pid())]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        thread_pipe::lead(&self.to_follower, &self.from_follower, ops).map_err(|error| self.explain(error))
    }

    fn end(self: Box<Self>) -> Result<()> {
        let ProcessPipe { to_follower, from_follower, follower } = *self;
        drop(to_follower);
        let ended = follower.wait()?;
        drop(from_follower);
        if ended != Ended::Exited(0) {
            bail!("the partner process {ended}");
        }
        Ok(())
    }
}
