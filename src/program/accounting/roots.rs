//! The processes of a program that are its own.

/// The program's own processes, as opposed to their descendants.
#[derive(Debug)]
pub(crate) enum Roots {
    These(Vec<i32>),
    /// All that are polled: they come and go, and what those did before that come from elsewhere does not count.
    All,
}

impl Roots {
    pub(super) fn have(&self, pid: i32) -> bool {
        match self {
            Roots::These(pids) => pids.contains(&pid),
            Roots::All => true,
        }
    }
}
