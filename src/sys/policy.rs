//! The scheduling policy of the calling thread, inherited by those that it starts.
#![allow(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;

/// A scheduling policy, written as `--policy` takes it: `other`, `batch`, `idle`, `fifo:50`, `rr:1`.
///
/// # References
/// sched(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Other,
    Batch,
    Idle,
    /// With its priority, 1 to 99.
    Fifo(u8),
    /// With its priority, 1 to 99.
    RoundRobin(u8),
}

impl Policy {
    /// Returns true if it takes precedence over all threads that are not real-time.
    pub fn is_realtime(self) -> bool {
        matches!(self, Policy::Fifo(_) | Policy::RoundRobin(_))
    }

    fn number(self) -> libc::c_int {
        match self {
            Policy::Other => libc::SCHED_OTHER,
            Policy::Batch => libc::SCHED_BATCH,
            Policy::Idle => libc::SCHED_IDLE,
            Policy::Fifo(_) => libc::SCHED_FIFO,
            Policy::RoundRobin(_) => libc::SCHED_RR,
        }
    }

    fn priority(self) -> u8 {
        match self {
            Policy::Other | Policy::Batch | Policy::Idle => 0,
            Policy::Fifo(priority) | Policy::RoundRobin(priority) => priority,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Other => write!(out, "other"),
            Policy::Batch => write!(out, "batch"),
            Policy::Idle => write!(out, "idle"),
            Policy::Fifo(priority) => write!(out, "fifo:{priority}"),
            Policy::RoundRobin(priority) => write!(out, "rr:{priority}"),
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Policy, String> {
        let (name, priority) = match text.split_once(':') {
            Some((name, priority)) => (name, Some(priority)),
            None => (text, None),
        };
        let realtime = || -> Result<u8, String> {
            let range = || format!("{name} needs a priority from 1 to 99, as in {name}:50");
            let priority = priority.ok_or_else(range)?.parse().map_err(|_| range())?;
            if (1..=99).contains(&priority) { Ok(priority) } else { Err(range()) }
        };
        let plain = |policy| if priority.is_none() { Ok(policy) } else { Err(format!("{name} takes no priority")) };
        match name {
            "other" => plain(Policy::Other),
            "batch" => plain(Policy::Batch),
            "idle" => plain(Policy::Idle),
            "fifo" => Ok(Policy::Fifo(realtime()?)),
            "rr" => Ok(Policy::RoundRobin(realtime()?)),
            _ => Err("is none of other, batch, idle, fifo:PRIORITY, rr:PRIORITY".to_string()),
        }
    }
}

/// Sets another policy or nice value for the calling thread, until dropped.
#[derive(Debug)]
pub struct Applied {
    /// The policy with its flags, and the priority.
    policy: Option<(libc::c_int, libc::c_int)>,
    nice: Option<libc::c_int>,
}

impl Applied {
    /// # Errors
    /// `EPERM` when this user, its limits (`RLIMIT_RTPRIO`, `RLIMIT_NICE`) or its cgroup (`cpu.rt_runtime_us`) does not
    /// allow it. Nothing is changed then.
    pub fn to(policy: Option<Policy>, nice: Option<i32>) -> Result<Applied, Errno> {
        let mut applied = Applied { policy: None, nice: None };
        if let Some(nice) = nice {
            let before = get_nice();
            set_nice(nice)?;
            applied.nice = Some(before);
        }
        if let Some(policy) = policy {
            let before = get_scheduler()?;
            set_scheduler(policy.number(), policy.priority().into())?;
            applied.policy = Some(before);
        }
        Ok(applied)
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        // An unprivileged user may not return to a lower nice value; then it ends with this process.
        if let Some((policy, priority)) = self.policy {
            let _ = set_scheduler(policy, priority);
        }
        if let Some(nice) = self.nice {
            let _ = set_nice(nice);
        }
    }
}

fn get_scheduler() -> Result<(libc::c_int, libc::c_int), Errno> {
    // SAFETY: asks about the calling thread and touches no memory.
    let policy = Errno::result(unsafe { libc::sched_getscheduler(0) })?;
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the struct is live and writable.
    Errno::result(unsafe { libc::sched_getparam(0, &raw mut parameters) })?;
    Ok((policy, parameters.sched_priority))
}

fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the struct is live; the call changes the calling thread's policy only.
    Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
}

fn get_nice() -> libc::c_int {
    // SAFETY: asks about the calling thread and touches no memory. It cannot fail for a thread that exists.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

fn set_nice(nice: libc::c_int) -> Result<(), Errno> {
    // SAFETY: on Linux this changes the calling thread's nice value only.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for text in ["other", "batch", "idle", "fifo:50", "rr:1", "fifo:99"] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
        }
        for (text, words) in [
            ("fifo", "priority from 1 to 99"),
            ("fifo:0", "priority from 1 to 99"),
            ("rr:100", "priority from 1 to 99"),
            ("rr:-1", "priority from 1 to 99"),
            ("fifo:x", "priority from 1 to 99"),
            ("other:5", "no priority"),
            ("deadline", "none of"),
            ("", "none of"),
        ] {
            let error = text.parse::<Policy>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_policy_is_applied_and_taken_back() {
        // In a thread of its own, for the policy belongs to the thread.
        std::thread::spawn(|| {
            let before = (get_scheduler().unwrap(), get_nice());
            let applied = Applied::to(Some(Policy::Batch), Some(before.1 + 1)).unwrap();
            assert_eq!((get_scheduler().unwrap().0, get_nice()), (libc::SCHED_BATCH, before.1 + 1));
            drop(applied);
            assert_eq!(get_scheduler().unwrap(), before.0);
        })
        .join()
        .unwrap();
    }
}
