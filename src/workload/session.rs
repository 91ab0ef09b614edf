//! What every way of switching must be able to do: make its parties, play, end.

use anyhow::Result;
use nix::unistd::{Pid, getpid, gettid};

/// One set of parties, alive and waiting between plays. Made pinned: its parties run where the maker runs.
pub trait Session {
    /// The Linux threads that take part, the calling one included if it does.
    fn parties(&self) -> Vec<Party>;

    /// Plays this many ops and times them, with the clock read at both ends only.
    ///
    /// # Errors
    /// A party is gone or stuck; the session is then good for nothing but [`Session::end`] or being dropped.
    fn play(&mut self, ops: u64) -> Result<Played>;

    /// Ends all parties and waits for them, leaving no thread, process or file descriptor behind.
    ///
    /// # Errors
    /// A party had failed.
    fn end(self: Box<Self>) -> Result<()>;
}

/// What a play took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    pub elapsed_ns: u64,
    /// Switches between the parties, where the workload counts them itself.
    pub own_switches: Option<u64>,
}

/// A Linux thread that takes part in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    pub process: Pid,
    pub thread: Pid,
}

impl Party {
    pub fn calling_thread() -> Party {
        Party { process: getpid(), thread: gettid() }
    }

    /// A process with a single thread.
    pub fn process(pid: Pid) -> Party {
        Party { process: pid, thread: pid }
    }
}
