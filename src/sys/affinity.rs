//! CPU affinity of the calling thread.
#![allow(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sched::sched_getcpu;

/// More than any kernel is built for (`NR_CPUS` is at most 8192), so that a damaged file cannot ask for memory.
const MOST_CPUS: usize = 65_536;

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

/// A mask of CPUs as the kernel takes it, of any length.
type Mask = Vec<libc::c_ulong>;

const BITS: usize = libc::c_ulong::BITS as usize;
/// CPUs of a `cpu_set_t`, enough for most machines.
const USUAL_CPUS: usize = 1024;

/// Returns the CPUs that the calling thread may run on, by `taskset` or a cpuset, however many the kernel has.
///
/// # Errors
/// Neither sched_getaffinity(2) nor /proc reports them.
///
/// # References
/// sched_setaffinity(2), "Handling systems with large CPU affinity masks".
pub fn allowed() -> Result<CpuList> {
    let mut errno = Errno::EINVAL;
    let mut cpus = USUAL_CPUS;
    // The kernel answers EINVAL to a mask with fewer bits than it has CPUs.
    while errno == Errno::EINVAL && cpus <= MOST_CPUS {
        match mask_of_this_thread(cpus) {
            Ok(mask) => return Ok(cpus_of(&mask)),
            Err(refused) => errno = refused,
        }
        cpus *= 2;
    }
    let listed = std::fs::read_to_string("/proc/thread-self/status").ok();
    let listed = listed.as_deref().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        line.parse::<CpuList>().ok()
    });
    listed.filter(|listed| !listed.cpus().is_empty()).ok_or(errno).context("sched_getaffinity")
}

fn mask_of_this_thread(cpus: usize) -> Result<Mask, Errno> {
    let mut mask: Mask = vec![0; cpus.div_ceil(BITS)];
    let length = std::mem::size_of_val(mask.as_slice());
    // SAFETY: the kernel writes at most `length` bytes to the mask, which has as many.
    let answer = unsafe { libc::sched_getaffinity(0, length, mask.as_mut_ptr().cast()) };
    Errno::result(answer).map(|_| mask)
}

fn cpus_of(mask: &[libc::c_ulong]) -> CpuList {
    let is_set = |&cpu: &usize| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1;
    (0..mask.len() * BITS).filter(is_set).collect()
}

fn mask_of(cpus: &CpuList) -> Mask {
    let most = cpus.cpus().last().map_or(0, |last| last + 1).max(USUAL_CPUS);
    let mut mask: Mask = vec![0; most.div_ceil(BITS)];
    cpus.cpus().iter().for_each(|cpu| mask[cpu / BITS] |= 1 << (cpu % BITS));
    mask
}

/// Lets the calling thread, and every thread and process that it creates from now on, run on these CPUs only.
///
/// # Errors
/// `EINVAL` when none of them is online or allowed by the cpuset.
pub fn restrict_to(cpus: &CpuList) -> Result<()> {
    if let Some(cpu) = cpus.cpus().last().filter(|&&last| last >= MOST_CPUS) {
        bail!("CPU {cpu} is beyond what sched_setaffinity takes");
    }
    let mask = mask_of(cpus);
    let length = std::mem::size_of_val(mask.as_slice());
    // SAFETY: the kernel reads `length` bytes from the mask, which has as many; bits beyond its own it leaves out.
    let answer = unsafe { libc::sched_setaffinity(0, length, mask.as_ptr().cast()) };
    Errno::result(answer).map(drop).with_context(|| format!("sched_setaffinity to CPU {cpus}"))
}

/// Returns the CPU that the calling thread is on; where it is pinned, another one only if its own has gone offline or its mask was
/// changed from outside. `None` where the kernel does not report it.
pub fn current_cpu() -> Option<usize> {
    sched_getcpu().ok()
}

/// Returns true if a CPU is online, or the kernel does not report its state.
pub fn is_online(cpu: usize) -> bool {
    // A CPU that cannot be taken offline has no such file.
    std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/online")).map_or(true, |text| text.trim() != "0")
}

/// Pins the calling thread to one CPU until dropped, then restores its mask.
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
        // The CPUs of the mask may be offline by now; then it stays where it is.
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
    fn masks_have_room_for_every_cpu_that_there_may_be() {
        for cpus in [vec![0], vec![63, 64], vec![1023, 1024], vec![5, 8191], vec![65_535]] {
            let list: CpuList = cpus.iter().copied().collect();
            assert_eq!(cpus_of(&mask_of(&list)), list, "{cpus:?}");
        }
        let beyond: CpuList = [MOST_CPUS].into_iter().collect();
        assert!(restrict_to(&beyond).unwrap_err().to_string().contains("beyond"));
    }

    #[test]
    fn a_larger_mask_says_the_same() {
        let (small, large) = (mask_of_this_thread(USUAL_CPUS).unwrap(), mask_of_this_thread(MOST_CPUS).unwrap());
        assert_eq!(cpus_of(&small), cpus_of(&large));
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
