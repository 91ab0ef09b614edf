//! Partner processes: forked, tied to their parent's life, reaped.
#![allow(unsafe_code)]

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use crate::sys::reap::{self, Ended};
use crate::sys::signal;

/// A forked process that runs one function and ends. It dies with its parent, and is killed and reaped when dropped.
#[derive(Debug)]
pub struct Partner {
    pid: Pid,
    reaped: bool,
}

impl Partner {
    /// Forks a process that runs `body` and ends with its value as exit code.
    ///
    /// To be called from the main thread while no other exists: `PR_SET_PDEATHSIG` fires when the *thread* that forked
    /// ends, and what another thread had locked would stay locked in the child. `body` should not allocate. The child
    /// ignores SIGINT and SIGTERM: a Ctrl-C reaches the whole group, and the parent wants to finish its sample.
    ///
    /// # Errors
    /// `EAGAIN` when `RLIMIT_NPROC` or the cgroup's `pids.max` is reached, `ENOMEM`.
    pub fn fork(body: impl FnOnce() -> i32) -> Result<Partner> {
        let parent = getpid();
        signal::watch_children()?;
        // SAFETY: the caller's process has one thread, so the child finds no lock taken and no state half changed; it
        // leaves through _exit, so that no destructor or exit handler of the parent runs twice.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => Ok(Partner { pid: child, reaped: false }),
            ForkResult::Child => {
                let tied = set_pdeathsig(Signal::SIGKILL).is_ok();
                // The parent may have died before the line above: then the signal would never be sent.
                let code = if tied && getppid() == parent && signal::ignore_stops().is_ok() { body() } else { 1 };
                // SAFETY: _exit only ends the process.
                unsafe { libc::_exit(code) }
            }
        }
    }

    /// Takes over a child process that was started in another way, and that nothing else waits for.
    pub(super) fn adopt(pid: Pid) -> Partner {
        Partner { pid, reaped: false }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns its exit status if it has ended; does not wait.
    pub fn ended(&mut self) -> Option<Ended> {
        self.wait_with(false).ok().flatten()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// The watchdog gave up while waiting.
    pub fn wait(mut self) -> Result<Ended> {
        loop {
            if let Some(ended) = self.wait_with(true)? {
                return Ok(ended);
            }
        }
    }

    fn wait_with(&mut self, block: bool) -> Result<Option<Ended>> {
        let ended = match reap::wait(self.pid, block) {
            Ok(Some(reaped)) => reaped.ended,
            Ok(None) => return Ok(None),
            Err(Errno::EINTR) => {
                signal::check_not_stalled()?;
                return Ok(None);
            }
            Err(errno) => bail!("waiting for partner process {}: {errno}", self.pid),
        };
        self.reaped = true;
        signal::forget_ended_children();
        Ok(Some(ended))
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        if !self.reaped {
            // It may have ended already; until it is reaped its PID is not reused.
            let _ = kill(self.pid, Signal::SIGKILL);
            while let Ok(None) | Err(Errno::EINTR) = reap::wait(self.pid, true) {}
            signal::forget_ended_children();
        }
    }
}
