//! Other activity on the participants' CPUs during a measurement: steal time, interrupts, throttling, SMT siblings.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{SysconfVar, sysconf};
use procfs::{FromReadSI, KernelStats};

use crate::host::probe;
use crate::sys::affinity::CpuList;
use crate::sys::clock::monotonic_ns;

/// Other activity on the pinned CPU during a repetition; `None` where it cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    pub elapsed_ns: u64,
    /// Time taken by the hypervisor.
    pub steal_ns: Option<u64>,
    /// Interrupts that the CPU took.
    pub interrupts: Option<u64>,
    /// Number of times that the cgroup's CPU quota stopped it.
    pub throttled: Option<u64>,
    /// Time that the CPU's SMT siblings were busy, summed over them.
    pub siblings_busy_ns: Option<u64>,
}

impl Surroundings {
    /// Share of steal time above which reports mention it.
    pub const STEAL: f64 = 0.01;
    /// Share of busy time above which an SMT sibling slows its core.
    pub const SIBLING_BUSY: f64 = 0.1;
}

/// Watches the participants' CPUs, their SMT siblings, and the participants' cgroup.
#[derive(Debug)]
pub struct NoiseMonitor {
    /// Root of /proc and /sys.
    root: PathBuf,
    cpus: Vec<usize>,
    siblings: CpuList,
    /// The cgroup's `cpu.stat`, where it has a CPU controller.
    cpu_stat: Option<PathBuf>,
    ns_per_tick: u64,
}

/// Totals since boot.
#[derive(Debug)]
pub struct Look(Window);

/// Other activity around the watched CPUs in a time window, and the busy time on them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    pub surroundings: Surroundings,
    /// Time that threads ran on the watched CPUs, summed over them; whose threads is not known.
    pub busy_ns: Option<u64>,
}

impl NoiseMonitor {
    pub fn new(cpus: &[usize]) -> NoiseMonitor {
        NoiseMonitor::below(Path::new("/"), cpus)
    }

    /// Opens it below a root that a test may bring.
    pub fn below(root: &Path, cpus: &[usize]) -> NoiseMonitor {
        let siblings_of = |&cpu: &usize| probe::smt_siblings(root, cpu).unwrap_or_default().cpus().to_vec();
        let siblings = cpus.iter().flat_map(siblings_of).filter(|sibling| !cpus.contains(sibling)).collect();
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100).max(1);
        NoiseMonitor {
            root: root.to_path_buf(),
            cpus: cpus.to_vec(),
            siblings,
            cpu_stat: probe::cgroup_cpu_stat(root),
            ns_per_tick: 1_000_000_000 / ticks_per_second as u64,
        }
    }

    /// Returns timer interrupts of the participants' CPUs since boot; `None` where the kernel does not report them.
    pub fn timer_interrupts(&self) -> Option<u64> {
        let interrupts = self.interrupts()?;
        total(self.cpus.iter().map(|&cpu| probe::interrupts_of(&interrupts, cpu)?.timer))
    }

    pub fn look(&self) -> Look {
        let stats = KernelStats::from_file(self.root.join("proc/stat"), procfs::current_system_info()).ok();
        let times = |cpu: usize| stats.as_ref().and_then(|stats| stats.cpu_time.get(cpu));
        let ns = |ticks: u64| ticks.saturating_mul(self.ns_per_tick);
        let busy =
            |cpu: usize| times(cpu).map(|time| ns(time.user.saturating_add(time.nice).saturating_add(time.system)));
        let stolen = |cpu: usize| times(cpu).and_then(|time| time.steal).map(ns);
        let throttled = self.cpu_stat.as_ref().and_then(|path| throttled_in(&fs::read_to_string(path).ok()?));
        let interrupts = self.interrupts();
        let taken = |cpu: usize| Some(probe::interrupts_of(interrupts.as_ref()?, cpu)?.all);
        let surroundings = Surroundings {
            elapsed_ns: monotonic_ns(),
            steal_ns: total(self.cpus.iter().map(|&cpu| stolen(cpu))),
            interrupts: total(self.cpus.iter().map(|&cpu| taken(cpu))),
            throttled,
            siblings_busy_ns: if self.siblings.cpus().is_empty() {
                None
            } else {
                total(self.siblings.cpus().iter().map(|&cpu| busy(cpu)))
            },
        };
        Look(Window { surroundings, busy_ns: total(self.cpus.iter().map(|&cpu| busy(cpu))) })
    }

    fn interrupts(&self) -> Option<String> {
        fs::read_to_string(self.root.join("proc/interrupts")).ok()
    }
}

impl Look {
    /// Returns the activity around the CPUs between an earlier reading and this one.
    pub fn since(&self, earlier: &Look) -> Surroundings {
        self.window_since(earlier).surroundings
    }

    /// The same, with the busy time on them.
    pub fn window_since(&self, earlier: &Look) -> Window {
        let grown = |now: Option<u64>, then: Option<u64>| now.zip(then).map(|(now, then)| now.saturating_sub(then));
        let busy_ns = grown(self.0.busy_ns, earlier.0.busy_ns);
        let (now, then) = (&self.0.surroundings, &earlier.0.surroundings);
        let surroundings = Surroundings {
            elapsed_ns: now.elapsed_ns - then.elapsed_ns,
            steal_ns: grown(now.steal_ns, then.steal_ns),
            interrupts: grown(now.interrupts, then.interrupts),
            throttled: grown(now.throttled, then.throttled),
            siblings_busy_ns: grown(now.siblings_busy_ns, then.siblings_busy_ns),
        };
        Window { surroundings, busy_ns }
    }
}

/// Returns the sum, saturating since the kernel may report any number; `None` if one is unknown.
fn total(mut figures: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    figures.try_fold(0, |sum: u64, figure| Some(sum.saturating_add(figure?)))
}

pub(crate) fn throttled_in(cpu_stat: &str) -> Option<u64> {
    cpu_stat.lines().find_map(|line| line.strip_prefix("nr_throttled "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_read_from_either_cgroup_version() {
        assert_eq!(throttled_in("nr_periods 7\nnr_throttled 3\nthrottled_time 12\n"), Some(3));
        assert_eq!(throttled_in("usage_usec 7\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"), Some(0));
        assert_eq!(throttled_in("usage_usec 7\n"), None);
    }

    #[test]
    fn time_passes_and_interrupts_come() {
        let noise_monitor = NoiseMonitor::new(&[0]);
        let before = noise_monitor.look();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let seen = noise_monitor.look().since(&before);
        assert!(seen.elapsed_ns >= 30_000_000);
        assert!(seen.interrupts.is_some());
        assert!(noise_monitor.timer_interrupts().is_some());
    }
}
