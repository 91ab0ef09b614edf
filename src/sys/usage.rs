//! Kernel accounting of every thread's switches, voluntary and involuntary, at no cost to it.

use std::fs::File;
use std::ops::Sub;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

/// Kernel switches of one or more threads since they began, or a difference of two such counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwitchCount {
    /// Switches at which a thread blocked: for data, a lock, a timer.
    pub voluntary: u64,
    /// Switches at which it was runnable, which includes `sched_yield` and preemption by the thread that it has just woken.
    pub involuntary: u64,
}

impl SwitchCount {
    pub fn total(self) -> u64 {
        self.voluntary + self.involuntary
    }
}

impl Sub for SwitchCount {
    type Output = SwitchCount;

    fn sub(self, earlier: SwitchCount) -> SwitchCount {
        SwitchCount {
            voluntary: self.voluntary - earlier.voluntary,
            involuntary: self.involuntary - earlier.involuntary,
        }
    }
}

/// Returns the calling thread's switches.
///
/// # References
/// getrusage(2), `RUSAGE_THREAD`.
pub fn of_calling_thread() -> Result<SwitchCount> {
    accounted(UsageWho::RUSAGE_THREAD).context("getrusage(RUSAGE_THREAD)")
}

/// Returns the switches of all threads of this process, also of those that have ended, without the last one of each.
///
/// # References
/// getrusage(2), `RUSAGE_SELF`.
pub fn of_this_process() -> Result<SwitchCount> {
    accounted(UsageWho::RUSAGE_SELF).context("getrusage(RUSAGE_SELF)")
}

/// Returns the switches of the children that this process has waited for, and of those that they have waited for.
///
/// # References
/// getrusage(2), `RUSAGE_CHILDREN`.
pub fn of_children() -> Result<SwitchCount> {
    accounted(UsageWho::RUSAGE_CHILDREN).context("getrusage(RUSAGE_CHILDREN)")
}

fn accounted(who: UsageWho) -> nix::Result<SwitchCount> {
    let usage = getrusage(who)?;
    Ok(SwitchCount {
        voluntary: usage.voluntary_context_switches() as u64,
        involuntary: usage.involuntary_context_switches() as u64,
    })
}

/// Another thread's switches, from its `/proc/<pid>/task/<tid>/status`, opened once and read often.
#[derive(Debug)]
pub struct ThreadStatus(File);

impl ThreadStatus {
    /// # Errors
    /// The thread has ended, or /proc is absent or hides it (`hidepid`).
    pub fn open(process: Pid, thread: Pid) -> Result<ThreadStatus> {
        let path = format!("/proc/{process}/task/{thread}/status");
        Ok(ThreadStatus(File::open(&path).with_context(|| format!("opening {path}"))?))
    }

    /// # Errors
    /// `ESRCH` once the thread has ended.
    pub fn read(&self) -> Result<SwitchCount> {
        // 1.4 kB on a two-CPU machine; the two masks in it grow with the number of CPUs the kernel is built for.
        let mut buffer = [0; 8192];
        let length = self.0.read_at(&mut buffer, 0).context("reading a thread's /proc status")?;
        parse_status(&buffer[..length])
    }
}

/// Returns the switches in a thread's `/proc/<pid>/task/<tid>/status`.
///
/// # Errors
/// It has no such lines.
pub fn parse_status(text: &[u8]) -> Result<SwitchCount> {
    let field = |name: &str| -> Result<u64> {
        let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()));
        let Some(value) = line else { bail!("/proc status has no line {name:?}") };
        let value = std::str::from_utf8(value).unwrap_or_default().trim();
        value.parse().with_context(|| format!("/proc status: {name:?} is {value:?}"))
    };
    Ok(SwitchCount {
        voluntary: field("voluntary_ctxt_switches:")?,
        involuntary: field("nonvoluntary_ctxt_switches:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{getpid, gettid};

    #[test]
    fn status_lines_become_counts() {
        let text = b"Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t345\n";
        assert_eq!(parse_status(text).unwrap(), SwitchCount { voluntary: 12, involuntary: 345 });
    }

    #[test]
    fn a_status_without_counts_is_an_error_that_names_the_line() {
        for text in [
            &b""[..],
            b"voluntary_ctxt_switches:\t12\n",
            b"voluntary_ctxt_switches:\tx\nnonvoluntary_ctxt_switches:\t1\n",
        ] {
            let error = format!("{:#}", parse_status(text).unwrap_err());
            assert!(error.contains("voluntary_ctxt_switches"), "{error}");
        }
    }

    #[test]
    fn both_sources_see_the_same_sleeps() {
        std::thread::spawn(|| {
            let status = ThreadStatus::open(getpid(), gettid()).unwrap();
            let (rusage_before, status_before) = (of_calling_thread().unwrap(), status.read().unwrap());
            for _ in 0..10 {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            let (rusage, status) = (of_calling_thread().unwrap(), status.read().unwrap());
            assert!(rusage.voluntary - rusage_before.voluntary >= 10);
            assert!(status.voluntary - status_before.voluntary >= 10);
        })
        .join()
        .unwrap();
    }
}
