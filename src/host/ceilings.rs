//! Limits of this host on threads, mappings, memory and open files: value, use, and the command that raises it.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Uid, getuid};

use crate::host::memory::{available_bytes, cgroup_folder};
use crate::sys::{ownership, rlimit};
use crate::unit::Bytes;

/// A limit and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    pub name: String,
    pub value: u64,
    pub used: u64,
    /// Share left to others: of what the whole machine shares, a twentieth.
    pub spared: u64,
    /// True if the limit is in bytes, false if it is a number of things.
    pub in_bytes: bool,
    pub remedy: String,
}

impl Ceiling {
    /// Returns the amount that is still available.
    pub fn room(&self) -> u64 {
        self.value.saturating_sub(self.used).saturating_sub(self.spared)
    }

    /// Returns the limit and its use as a clause.
    pub fn state(&self) -> String {
        let Ceiling { name, value, used, in_bytes, .. } = self;
        match (in_bytes, used) {
            (true, 0) => format!("{name} is {}", Bytes(*value as f64)),
            (true, _) => format!("{name} is {}, of which {} are in use", Bytes(*value as f64), Bytes(*used as f64)),
            (false, _) => format!("{name} is {value}, of which {used} are in use"),
        }
    }
}

/// A share of the machine's numbers that is left to others.
const SPARED: u64 = 20;
/// Left free of what only this user or cgroup has: a shell must be able to start a process to kill others.
const A_FEW: u64 = 4;
/// Files for counters, kernel accounting and reports.
const SPARE_FILES: u64 = 512;
/// A fifth of the available memory is left free.
const MEMORY_SPARED: u64 = 5;

/// Returns the limits on threads and processes.
pub fn of_threads(root: &Path) -> Vec<Ceiling> {
    let number = |path: &str| fs::read_to_string(root.join(path)).ok()?.trim().parse::<u64>().ok();
    let all = fs::read_to_string(root.join("proc/loadavg")).ok().and_then(|text| threads_of(&text)).unwrap_or(0);
    let machine = |name: &str, path: &str| {
        let value = number(path)?;
        let remedy = format!("sysctl -w {name}={}", value.saturating_mul(4));
        Some(Ceiling { name: name.to_string(), value, used: all, spared: value / SPARED, in_bytes: false, remedy })
    };
    let mut ceilings: Vec<Ceiling> = pids_max(root);
    ceilings.extend(machine("kernel.pid_max", "proc/sys/kernel/pid_max"));
    ceilings.extend(machine("kernel.threads-max", "proc/sys/kernel/threads-max"));
    ceilings.extend(rlimit_nproc(root));
    ceilings
}

/// Returns the limit on a process's mappings, of which `used` are in use.
pub fn of_mappings(root: &Path, used: u64) -> Option<Ceiling> {
    let value: u64 = fs::read_to_string(root.join("proc/sys/vm/max_map_count")).ok()?.trim().parse().ok()?;
    let remedy = format!("sysctl -w vm.max_map_count={}", value.saturating_mul(4));
    Some(Ceiling { name: "vm.max_map_count".to_string(), value, used, spared: value / 100, in_bytes: false, remedy })
}

/// Returns the limits on memory, in bytes.
pub fn of_memory(root: &Path) -> Vec<Ceiling> {
    let spare = |room: u64| room / MEMORY_SPARED;
    let available = available_bytes().ok().map(|value| Ceiling {
        name: "MemAvailable".to_string(),
        value,
        used: 0,
        spared: spare(value),
        in_bytes: true,
        remedy: "a machine with more memory, or fewer programs beside this one; a fifth of it stays free".to_string(),
    });
    let in_group = |(folder, limit, usage): (PathBuf, &str, &str)| {
        let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        // "max", or in version 1 the largest number of pages: no limit.
        let value = number(limit).filter(|&value| value < 1 << 60)?;
        let used = number(usage).unwrap_or(0);
        let spared = spare(value.saturating_sub(used));
        let path = folder.join(limit);
        let remedy = format!("echo {} > {}", value.saturating_mul(4), path.display());
        Some(Ceiling { name: format!("the cgroup's {limit}"), value, used, spared, in_bytes: true, remedy })
    };
    let groups = ancestors(root, "memory").into_iter().map(|folder| {
        if folder.join("memory.limit_in_bytes").exists() {
            (folder, "memory.limit_in_bytes", "memory.usage_in_bytes")
        } else {
            (folder, "memory.max", "memory.current")
        }
    });
    available.into_iter().chain(groups.filter_map(in_group)).collect()
}

/// Returns the limit on this process's open files.
pub fn of_files(root: &Path) -> Option<Ceiling> {
    let used = fs::read_dir(root.join("proc/self/fd")).map_or(0, |files| files.count() as u64);
    let value = rlimit::most_files();
    let remedy =
        format!("ulimit -n {} (a higher hard limit takes root with CAP_SYS_RESOURCE)", value.saturating_mul(4));
    Some(Ceiling {
        name: "RLIMIT_NOFILE (ulimit -n)".to_string(),
        value,
        used,
        spared: SPARE_FILES,
        in_bytes: false,
        remedy,
    })
}

/// Limited resources that one participant takes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Needs {
    pub threads: f64,
    pub files: f64,
    pub mappings: f64,
    pub bytes: f64,
    /// Mappings of the process before it creates any participant.
    pub mappings_before: u64,
}

/// Returns the number of participants possible on this host, at most `asked`; with the limit that allows no more, if it is fewer.
pub fn most(asked: u64, needs: Needs, root: &Path) -> (u64, Option<Ceiling>) {
    let per_participant = |each: f64| move |ceiling: Ceiling| (ceiling, each);
    let limits = of_threads(root).into_iter().map(per_participant(needs.threads));
    let limits = limits.chain(of_memory(root).into_iter().map(per_participant(needs.bytes)));
    let limits = limits.chain(of_mappings(root, needs.mappings_before).map(per_participant(needs.mappings)));
    most_within(asked, limits.chain(of_files(root).map(per_participant(needs.files))))
}

fn most_within(asked: u64, limits: impl Iterator<Item = (Ceiling, f64)>) -> (u64, Option<Ceiling>) {
    let most = |ceiling: &Ceiling, each: f64| (ceiling.room() as f64 / each) as u64;
    let hit = limits
        .filter(|(_, each)| *each > 0.0)
        .map(|(ceiling, each)| (most(&ceiling, each), ceiling))
        .min_by_key(|(most, _)| *most)
        .filter(|(most, _)| *most < asked);
    hit.map_or((asked, None), |(most, ceiling)| (most, Some(ceiling)))
}

/// Returns the limit with the least room.
pub fn lowest(ceilings: &[Ceiling]) -> Option<&Ceiling> {
    ceilings.iter().min_by_key(|ceiling| ceiling.room())
}

/// Returns this process's cgroup with a controller and the cgroups above it.
fn ancestors(root: &Path, controller: &str) -> Vec<PathBuf> {
    let Some(folder) = cgroup_folder(root, controller) else { return Vec::new() };
    let top = root.join("sys/fs/cgroup");
    folder.ancestors().take_while(|folder| folder.starts_with(&top)).map(Path::to_path_buf).collect()
}

fn pids_max(root: &Path) -> Vec<Ceiling> {
    let ceiling = |folder: PathBuf| {
        let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let value = number("pids.max")?;
        let used = number("pids.current").unwrap_or(0);
        let remedy = format!("echo {} > {}", value.saturating_mul(4), folder.join("pids.max").display());
        Some(Ceiling { name: "the cgroup's pids.max".to_string(), value, used, spared: A_FEW, in_bytes: false, remedy })
    };
    ancestors(root, "pids").into_iter().filter_map(ceiling).collect()
}

/// Returns `RLIMIT_NPROC` where it is enforced: not for root, nor with a capability to exceed it.
fn rlimit_nproc(root: &Path) -> Option<Ceiling> {
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    if ownership::is_machines_root() || may_exceed_nproc(&status) {
        return None;
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    // RLIM_INFINITY: no limit.
    if soft == u64::MAX {
        return None;
    }
    let used = threads_of_user(root, getuid());
    let remedy = if hard > soft {
        format!("ulimit -u {}", if hard == u64::MAX { soft.saturating_mul(4) } else { hard })
    } else {
        "a higher nproc in /etc/security/limits.conf, or root".to_string()
    };
    Some(Ceiling {
        name: "RLIMIT_NPROC (ulimit -u)".to_string(),
        value: soft,
        used,
        spared: A_FEW,
        in_bytes: false,
        remedy,
    })
}

/// Returns true if the effective capabilities include CAP_SYS_ADMIN (21) or CAP_SYS_RESOURCE (24), which fork asks for.
pub(crate) fn may_exceed_nproc(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    effective & (1 << 21 | 1 << 24) != 0
}

fn threads_of_user(root: &Path, user: Uid) -> u64 {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return 0 };
    let threads = |status: String| {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let uid: u32 = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        (uid == user.as_raw()).then(|| field("Threads:")?.trim().parse::<u64>().ok())?
    };
    let is_process =
        |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
    let processes = entries.flatten().filter(|entry| is_process(&entry.file_name()));
    processes.filter_map(|entry| threads(fs::read_to_string(entry.path().join("status")).ok()?)).sum()
}

/// Returns the number of threads on the machine, from the fourth field of /proc/loadavg: `1/123`.
pub(crate) fn threads_of(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::made_up_root as tree;
    use proptest::prelude::*;

    #[test]
    fn the_lowest_limit_is_named_with_its_value_and_how_to_raise_it() {
        let root = tree(&[
            ("proc/loadavg", "0.1 0.2 0.3 2/100 4711\n"),
            ("proc/sys/kernel/pid_max", "32768\n"),
            ("proc/sys/kernel/threads-max", "192730\n"),
            ("proc/self/cgroup", "8:pids:/a/b\n"),
            ("sys/fs/cgroup/pids/a/pids.max", "50\n"),
            ("sys/fs/cgroup/pids/a/pids.current", "10\n"),
            ("sys/fs/cgroup/pids/a/b/pids.max", "max\n"),
        ]);
        let ceilings = of_threads(root.path());
        let lowest = lowest(&ceilings).unwrap();
        assert_eq!((lowest.name.as_str(), lowest.value, lowest.room()), ("the cgroup's pids.max", 50, 36));
        assert!(lowest.remedy.starts_with("echo 200 > ") && lowest.remedy.ends_with("pids/a/pids.max"), "{lowest:?}");
        let pid_max = ceilings.iter().find(|ceiling| ceiling.name == "kernel.pid_max").unwrap();
        assert_eq!((pid_max.room(), pid_max.remedy.as_str()), (32_768 - 100 - 1638, "sysctl -w kernel.pid_max=131072"));
    }

    #[test]
    fn the_limit_with_the_least_room_for_participants_decides() {
        let ceiling = |value, used| Ceiling {
            name: "a limit".to_string(),
            value,
            used,
            spared: 0,
            in_bytes: false,
            remedy: "raise it".to_string(),
        };
        let limits = || [(ceiling(100, 40), 1.0), (ceiling(1000, 0), 50.0), (ceiling(7, 7), 0.0)].into_iter();
        let (most, hit) = most_within(30, limits());
        assert_eq!((most, hit.map(|ceiling| ceiling.value)), (20, Some(1000)));
        assert_eq!(most_within(20, limits()), (20, None));
    }

    #[test]
    fn a_cgroup_without_a_memory_limit_is_no_ceiling() {
        let limit = |value: &str| {
            let root = tree(&[
                ("proc/self/cgroup", "4:memory:/a\n"),
                ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", value),
                ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000\n"),
            ]);
            of_memory(root.path()).into_iter().find(|ceiling| ceiling.name != "MemAvailable").map(|it| it.room())
        };
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("6000\n"), Some(4000));
    }

    #[test]
    fn capabilities_that_exceed_nproc_are_known_by_their_bits() {
        assert!(may_exceed_nproc("CapEff:\t000001ffffffffff\n"));
        assert!(may_exceed_nproc("CapEff:\t0000000001000000\n"));
        assert!(!may_exceed_nproc("CapEff:\t0000000000000000\n"));
        assert!(!may_exceed_nproc(""));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (threads_of(&text), may_exceed_nproc(&text));
        }
    }
}
