//! Signals as messages: for a process that waits for others and must handle all events in turn.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::sys::signal;

/// Signals that ask a program to end.
const STOPS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// Collects SIGINT, SIGQUIT, SIGTERM, SIGHUP and SIGCHLD until dropped. A signal that was ignored when this process began stays
/// ignored, as nohup(1) requires.
///
/// Where this process is the terminal's foreground job, it may write there from now on, also after the inbox is dropped, and
/// after a program has taken the terminal for itself: with `stty tostop` that would stop a job in the background (SIGTTOU).
#[derive(Debug)]
pub struct Inbox {
    messages: SignalFd,
    inherited: Inherited,
    /// Signals that stay blocked when it is dropped.
    stay_blocked: SigSet,
}

/// Signal settings of before, which a started program must inherit.
#[derive(Debug, Clone, Copy)]
pub struct Inherited {
    mask: SigSet,
    ignores_children: bool,
}

/// A signal that asked this process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopAsked {
    pub signal: Signal,
    /// True if the terminal sent it, and so to the whole foreground group, children included.
    pub by_terminal: bool,
}

impl Inbox {
    /// # Errors
    /// No more files may be opened.
    pub fn open() -> Result<Inbox> {
        let mut collected = SigSet::empty();
        collected.add(Signal::SIGCHLD);
        for stop in STOPS {
            if !signal::is_ignored(stop)? {
                collected.add(stop);
            }
        }
        // Children of a process that ignores SIGCHLD cannot be waited for.
        let ignores_children = signal::is_ignored(Signal::SIGCHLD)?;
        signal::take_default(Signal::SIGCHLD)?;
        let mut stay_blocked = SigSet::empty();
        if is_foreground_job() {
            stay_blocked.add(Signal::SIGTTOU);
        }
        let mut mask = SigSet::empty();
        let blocked = collected | stay_blocked;
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut mask)).context("blocking signals")?;
        let messages =
            SignalFd::with_flags(&collected, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")?;
        Ok(Inbox { messages, inherited: Inherited { mask, ignores_children }, stay_blocked })
    }

    /// Ignores further stop requests, also after the inbox is dropped: the stop is under way.
    pub fn heed_no_more(&mut self) {
        STOPS.into_iter().for_each(|stop| self.stay_blocked.add(stop));
    }

    pub fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// Waits until a signal comes, `also` becomes readable, or the time is up; the first two may have happened before.
    ///
    /// # Errors
    /// The errno of ppoll.
    pub fn wait(&self, also: Option<BorrowedFd<'_>>, timeout: Duration) -> Result<()> {
        let mut fds = vec![PollFd::new(self.messages.as_fd(), PollFlags::POLLIN)];
        fds.extend(also.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match ppoll(&mut fds, Some(timeout.into()), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context("ppoll"),
        }
    }

    /// Returns the oldest stop request not taken yet. SIGCHLD is dropped: check for ended children.
    pub fn stop_asked(&mut self) -> Option<StopAsked> {
        while let Ok(Some(message)) = self.messages.read_signal() {
            match Signal::try_from(message.ssi_signo as i32) {
                Ok(Signal::SIGCHLD) | Err(_) => {}
                Ok(signal) => return Some(StopAsked { signal, by_terminal: message.ssi_code == SI_KERNEL }),
            }
        }
        None
    }
}

/// Sent by the kernel, as the terminal's signals are; sigaction(2).
const SI_KERNEL: i32 = 0x80;

impl Drop for Inbox {
    fn drop(&mut self) {
        // Requests that came in the meantime have been met.
        while self.stop_asked().is_some() {}
        let _ = self.inherited.restore_but(self.stay_blocked);
    }
}

/// Returns true if this process has a terminal and is in its foreground.
fn is_foreground_job() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

impl Inherited {
    /// Restores the signal settings; also in a child between fork and exec.
    ///
    /// # Errors
    /// None with a correct mask.
    pub fn restore(&self) -> Result<(), Errno> {
        self.restore_but(SigSet::empty())
    }

    /// The same, with these signals left blocked.
    fn restore_but(&self, blocked: SigSet) -> Result<(), Errno> {
        if self.ignores_children {
            signal::ignore(Signal::SIGCHLD)?;
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&(self.mask | blocked)), None)
    }
}
