//! Which CPUs the calling thread may run on.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// A set of CPU numbers, ascending, written and read as the kernel does: `0-3,8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuList(Vec<usize>);

impl CpuList {
    /// The CPU numbers, ascending.
    pub fn cpus(&self) -> &[usize] {
        &self.0
    }

    pub fn contains(&self, cpu: usize) -> bool {
        self.0.binary_search(&cpu).is_ok()
    }
}

impl FromIterator<usize> for CpuList {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        let mut cpus: Vec<usize> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        CpuList(cpus)
    }
}

impl FromStr for CpuList {
    type Err = anyhow::Error;

    /// Reads the kernel's list format; the empty string is the empty set.
    fn from_str(text: &str) -> Result<Self> {
        /// More than any kernel is built for (`NR_CPUS` is at most 8192), so that a damaged file cannot ask for memory.
        const MOST_CPUS: usize = 65_536;
        let mut cpus = Vec::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.parse().with_context(|| format!("CPU list {text:?}"))?;
            let last: usize = last.parse().with_context(|| format!("CPU list {text:?}"))?;
            if first > last || last >= MOST_CPUS {
                bail!("CPU list {text:?} has the impossible range {part:?}");
            }
            cpus.extend(first..=last);
        }
        Ok(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_slice();
        let mut separator = "";
        while let Some(&first) = rest.first() {
            let run = rest.iter().enumerate().take_while(|&(at, &cpu)| cpu == first + at).count();
            write!(out, "{separator}{first}")?;
            if run > 1 {
                write!(out, "-{}", first + run - 1)?;
            }
            separator = ",";
            rest = &rest[run..];
        }
        Ok(())
    }
}

/// The CPUs that the calling thread may run on: what `taskset` or a cpuset left it.
///
/// # Errors
/// `EINVAL` on a kernel with more CPUs than a `cpu_set_t` holds (1024).
pub fn allowed() -> Result<CpuList> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity")?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}

/// Lets the calling thread, and every thread and process that it creates from now on, run on these CPUs only.
///
/// # Errors
/// `EINVAL` when none of them is online or allowed by the cpuset.
pub fn restrict_to(cpus: &CpuList) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus.cpus() {
        set.set(cpu).with_context(|| format!("CPU {cpu} is beyond what sched_setaffinity takes"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("sched_setaffinity to CPU {cpus}"))
}

/// The CPU that the calling thread is on; where it is pinned, another one only if its own has gone offline or its mask was
/// changed from outside. `None` where the kernel does not say.
pub fn current_cpu() -> Option<usize> {
    sched_getcpu().ok()
}

/// Whether a CPU is there to run on; one that the kernel does not say this of is.
pub fn is_online(cpu: usize) -> bool {
    // A CPU that cannot be taken offline has no such file.
    std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/online")).map_or(true, |text| text.trim() != "0")
}

/// The calling thread on one CPU, until dropped; then it goes back to where it was allowed before.
#[derive(Debug)]
pub struct Pinned {
    home: CpuList,
}

impl Pinned {
    /// # Errors
    /// The CPU is offline, or not allowed to this process.
    pub fn to(cpu: usize) -> Result<Pinned> {
        let home = allowed()?;
        restrict_to(&[cpu].into_iter().collect()).with_context(|| format!("pinning to CPU {cpu}"))?;
        Ok(Pinned { home })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The CPUs it came from may be offline by now; then it stays where it is.
        let _ = restrict_to(&self.home);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, cpus: &[usize], printed: &str) {
        let list: CpuList = text.parse().unwrap();
        assert_eq!(list.cpus(), cpus, "{text:?}");
        assert_eq!(list.to_string(), printed, "{text:?}");
    }

    #[test]
    fn reads_and_prints_the_kernels_list_format() {
        check("", &[], "");
        check("\n", &[], "");
        check("0", &[0], "0");
        check("0-3\n", &[0, 1, 2, 3], "0-3");
        check("0-1,4,6-7", &[0, 1, 4, 6, 7], "0-1,4,6-7");
        check("5,1,1,0", &[0, 1, 5], "0-1,5");
    }

    #[test]
    fn refuses_what_is_no_list() {
        for text in ["a", "1-", "3-1", "-1", "0-99999999999", "0-70000"] {
            assert!(text.parse::<CpuList>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_pinned_thread_runs_on_one_cpu_and_is_let_go_again() {
        // In a thread of its own: affinity belongs to the thread, and the other tests keep theirs.
        std::thread::spawn(|| {
            let last = *allowed().unwrap().cpus().last().unwrap();
            let one: CpuList = [last].into_iter().collect();
            let home = allowed().unwrap();
            let pinned = Pinned::to(last).unwrap();
            assert_eq!(allowed().unwrap(), one);
            drop(pinned);
            assert_eq!(allowed().unwrap(), home);
        })
        .join()
        .unwrap();
    }
}
