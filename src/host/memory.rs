//! Memory as the kernel reports it: of a process, of the machine, of a cgroup. Pure functions parse the texts.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// Sum over the participants' parent process and its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// `Pss` of smaps_rollup: the sum counts a shared page once.
    pub pss_bytes: u64,
    pub anonymous_huge_bytes: u64,
    /// `VmSize`.
    pub virtual_bytes: u64,
    /// `VmPTE`.
    pub page_table_bytes: u64,
}

/// Kernel memory of the whole machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// `KernelStack` of /proc/meminfo.
    pub kernel_stack_bytes: u64,
    /// `SUnreclaim`: slab caches without what the kernel can reclaim, such as /proc's own inodes.
    pub slab_bytes: u64,
    /// `PageTables`.
    pub page_table_bytes: u64,
    /// Kernel memory charged to this program's memory cgroup; null where no cgroup reports it.
    pub cgroup_kernel_bytes: Option<u64>,
    /// Processes and threads created since boot.
    pub forks: u64,
}

impl Machine {
    /// Returns the kernel memory that participants may account for: of the cgroup, or else stacks and slabs of the whole machine.
    pub fn kernel_bytes(&self) -> u64 {
        self.cgroup_kernel_bytes.unwrap_or(self.kernel_stack_bytes + self.slab_bytes)
    }
}

/// Returns the memory of one process.
///
/// # Errors
/// It has ended; or it is another user's, whose smaps_rollup may not be read.
pub fn of_process(pid: Pid) -> Result<Family> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    };
    family(&read("smaps_rollup")?, &read("status")?).with_context(|| format!("/proc/{pid} does not tell its memory"))
}

/// Returns the kernel's memory on this machine now, and in this cgroup where `account` is given.
///
/// # Errors
/// /proc/meminfo or /proc/stat cannot be read.
pub fn of_machine(account: Option<&KernelAccount>) -> Result<Machine> {
    let meminfo = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let told = machine(&meminfo, &stat).context("/proc/meminfo does not tell the kernel's memory")?;
    Ok(Machine { cgroup_kernel_bytes: account.and_then(KernelAccount::read), ..told })
}

/// Returns `MemAvailable`, in bytes.
///
/// # Errors
/// /proc/meminfo cannot be read.
pub fn available_bytes() -> Result<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    field_bytes(&meminfo, "MemAvailable").context("/proc/meminfo has no MemAvailable")
}

/// Returns the number of a process's mappings.
pub fn mappings(pid: Pid) -> Option<u64> {
    Some(fs::read(format!("/proc/{pid}/maps")).ok()?.iter().filter(|&&byte| byte == b'\n').count() as u64)
}

/// Returns the mode of transparent huge pages: the word in brackets.
pub fn huge_page_mode(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("sys/kernel/mm/transparent_hugepage/enabled")).ok()?;
    bracketed(&text).map(String::from)
}

/// Returns the children of a process that have not ended.
pub fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw).collect()
}

/// File in which this process's memory cgroup reports its kernel memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelAccount {
    /// Version 1: a file with a number.
    Usage(PathBuf),
    /// Version 2: the line `kernel` of memory.stat.
    Stat(PathBuf),
}

impl KernelAccount {
    pub fn find(root: &Path) -> Option<KernelAccount> {
        let folder = cgroup_folder(root, "memory")?;
        let usage = folder.join("memory.kmem.usage_in_bytes");
        if usage.exists() {
            return Some(KernelAccount::Usage(usage));
        }
        let account = KernelAccount::Stat(folder.join("memory.stat"));
        account.read().map(|_| account)
    }

    pub fn read(&self) -> Option<u64> {
        match self {
            KernelAccount::Usage(path) => fs::read_to_string(path).ok()?.trim().parse().ok(),
            KernelAccount::Stat(path) => {
                let text = fs::read_to_string(path).ok()?;
                text.lines().find_map(|line| line.strip_prefix("kernel "))?.trim().parse().ok()
            }
        }
    }

    /// Returns its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            KernelAccount::Usage(_) => "memory.kmem.usage_in_bytes",
            KernelAccount::Stat(_) => "memory.stat (kernel)",
        }
    }
}

/// Returns the folder of this process's cgroup that has this controller, of either version.
pub fn cgroup_folder(root: &Path, controller: &str) -> Option<PathBuf> {
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    cgroups.lines().find_map(|line| {
        // "4:memory:/user.slice" or, version 2, "0::/user.slice".
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let below = |mount: &str| root.join(mount).join(path.trim_start_matches('/'));
        if controllers.split(',').any(|each| each == controller) {
            return Some(below(&format!("sys/fs/cgroup/{controller}"))).filter(|folder| folder.exists());
        }
        let places = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
        // In version 2 a group has a controller only if it has that controller's files; the root has none.
        let has = |folder: &PathBuf| folder.join(format!("{controller}.max")).exists();
        (controllers.is_empty()).then(|| places.iter().map(|place| below(place)).find(has))?
    })
}

pub(crate) fn family(smaps_rollup: &str, status: &str) -> Option<Family> {
    Some(Family {
        pss_bytes: field_bytes(smaps_rollup, "Pss")?,
        anonymous_huge_bytes: field_bytes(smaps_rollup, "AnonHugePages").unwrap_or(0),
        virtual_bytes: field_bytes(status, "VmSize")?,
        page_table_bytes: field_bytes(status, "VmPTE")?,
    })
}

pub(crate) fn machine(meminfo: &str, stat: &str) -> Option<Machine> {
    Some(Machine {
        kernel_stack_bytes: field_bytes(meminfo, "KernelStack")?,
        slab_bytes: field_bytes(meminfo, "SUnreclaim")?,
        page_table_bytes: field_bytes(meminfo, "PageTables")?,
        cgroup_kernel_bytes: None,
        forks: stat.lines().find_map(|line| line.strip_prefix("processes "))?.trim().parse().ok()?,
    })
}

/// Returns the bytes of a line `Name:   12 kB`.
fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn bracketed(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::made_up_root as tree;
    use proptest::prelude::*;

    const ROLLUP: &str = "55e0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:   1500 kB\nPss:    812 kB\nPss_Dirty:   90 kB\nAnonHugePages:   2048 kB\n";
    const STATUS: &str = "Name:\tctxprof\nVmSize:\t    3400 kB\nVmPTE:\t      44 kB\n";
    const MEMINFO: &str = "MemTotal:  24684084 kB\nMemAvailable: 24258324 kB\nSlab:  275032 kB\nSUnreclaim:  32224 kB\nKernelStack:  1392 kB\nPageTables:  1836 kB\nSecPageTables:  0 kB\n";

    #[test]
    fn what_the_kernel_tells_is_read_in_bytes() {
        let told = family(ROLLUP, STATUS).unwrap();
        assert_eq!((told.pss_bytes, told.anonymous_huge_bytes), (812 << 10, 2048 << 10));
        assert_eq!((told.virtual_bytes, told.page_table_bytes), (3400 << 10, 44 << 10));
        let told = machine(MEMINFO, "cpu 1 2\nprocesses 4711\n").unwrap();
        assert_eq!((told.kernel_stack_bytes, told.slab_bytes), (1392 << 10, 32_224 << 10));
        assert_eq!((told.page_table_bytes, told.forks), (1836 << 10, 4711));
    }

    #[test]
    fn what_is_not_told_is_unknown_and_not_0() {
        assert_eq!(family("Rss: 5 kB\n", STATUS), None);
        assert_eq!(machine(MEMINFO, "cpu 1 2\n"), None);
        assert_eq!(field_bytes("Pss: 18446744073709551615 kB", "Pss"), None);
        assert_eq!(bracketed("always [madvise] never"), Some("madvise"));
        assert_eq!(bracketed("always"), None);
    }

    #[test]
    fn the_kernels_account_is_found_in_both_versions_of_cgroups() {
        let one = tree(&[
            ("proc/self/cgroup", "4:memory:/a\n0::/\n"),
            ("sys/fs/cgroup/memory/a/memory.kmem.usage_in_bytes", "77\n"),
        ]);
        assert_eq!(KernelAccount::find(one.path()).unwrap().read(), Some(77));
        let two = tree(&[
            ("proc/self/cgroup", "0::/a\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 5\nkernel 99\nkernel_stack 3\n"),
        ]);
        assert_eq!(KernelAccount::find(two.path()).unwrap().read(), Some(99));
        let none = tree(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.stat", "kernel 99\n")]);
        assert_eq!(KernelAccount::find(none.path()), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(one in any::<String>(), other in any::<String>()) {
            let _ = (family(&one, &other), machine(&one, &other), bracketed(&one));
        }

        #[test]
        fn a_damaged_line_is_unknown_or_a_number(value in "[0-9 kB:a-z]{0,24}") {
            let _ = field_bytes(&format!("Pss:{value}\n"), "Pss");
        }
    }
}
