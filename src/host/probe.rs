//! Reads the facts. Every function takes the root of /proc and /sys, so that a test can bring its own.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::host::facts::{Cache, Facts};
use crate::host::kernel;
use crate::host::placement::{Candidate, Neighbourhood, Place, Processors};
use crate::sys::affinity::{self, CpuList};
use crate::sys::cpuid;

/// Returns the facts of this host, for participants pinned to `place`, or for a program that runs on any CPU.
pub fn facts(root: &Path, place: Option<&Place>, processors: &Processors) -> Facts {
    let name = uname().ok();
    let cpu = place.map(|place| place.cpu).or(processors.allowed.cpus().first().copied()).unwrap_or_default();
    let uname_field = |field: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|name| field(name).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let (release, build) = (uname_field(|name| name.release()), uname_field(|name| name.version()));
    let config = kernel::config(root, &release).ok();
    let command_line = text(root, "proc/cmdline").unwrap_or_default();
    Facts {
        preemption_at_start: kernel::preemption_at_start(&build, &command_line, config.as_deref()),
        tick_hz: config.as_deref().and_then(|config| kernel::option(config, "CONFIG_HZ")).map(String::from),
        kernel: release,
        kernel_build: build,
        architecture: uname_field(|name| name.machine()),
        cpu_model: cpu_model(root),
        processor: cpuid::processor(),
        boot: text(root, "proc/sys/kernel/random/boot_id").and_then(|id| id.get(..8).map(String::from)),
        online_cpus: Some(processors.online.to_string()).filter(|list| !list.is_empty()),
        allowed_cpus: Some(processors.allowed.to_string()),
        hypervisor: hypervisor(root),
        clocksource: text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        frequency_governor: text(root, &format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")),
        smt_siblings: place
            .and_then(|place| smt_siblings(root, place.cpu))
            .map(|siblings| siblings.to_string())
            .filter(|list| !list.is_empty()),
        autogroup: text(root, "proc/sys/kernel/sched_autogroup_enabled"),
        mitigations: mitigations(root),
        preemption: text(root, "sys/kernel/debug/sched/preempt").map(|models| chosen_of(&models).to_string()),
        base_slice_ns: text(root, "sys/kernel/debug/sched/base_slice_ns"),
        sched_rt_runtime_us: text(root, "proc/sys/kernel/sched_rt_runtime_us"),
        perf_event_paranoid: text(root, "proc/sys/kernel/perf_event_paranoid"),
        user_id: geteuid().as_raw(),
        tracer: tracer_of(root, "self"),
        caches: place.map(|place| caches(root, place.cpu)).unwrap_or_default(),
        pinned_cpu: place.map(|place| place.cpu),
        pinned_because: place.map(|place| place.because.clone()).unwrap_or_default(),
    }
}

/// Returns name and PID of the tracer of a process, which is a PID or `self`.
pub fn tracer_of(root: &Path, process: &str) -> Option<String> {
    let status = text(root, &format!("proc/{process}/status"))?;
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim();
    let name = || text(root, &format!("proc/{tracer}/comm")).unwrap_or_else(|| "a process".to_string());
    (tracer != "0").then(|| format!("{} ({tracer})", name()))
}

/// Returns the CPUs that are present, online, and allowed to this thread.
///
/// # Errors
/// The kernel does not report the CPUs allowed to this thread.
pub fn processors(root: &Path) -> anyhow::Result<Processors> {
    let list = |name: &str| {
        text(root, &format!("sys/devices/system/cpu/{name}")).and_then(|list| list.parse().ok()).unwrap_or_default()
    };
    Ok(Processors { present: list("present"), online: list("online"), allowed: affinity::allowed()? })
}

/// As [`processors`], with the online CPUs where the kernel does not report the allowed ones. For callers that pin nothing.
pub fn processors_if_told(root: &Path) -> Processors {
    processors(root).unwrap_or_else(|_| {
        let online = text(root, "sys/devices/system/cpu/online").and_then(|list| list.parse().ok());
        let online: CpuList = online.unwrap_or_default();
        Processors { present: online.clone(), online: online.clone(), allowed: online }
    })
}

pub fn candidates(root: &Path, cpus: &CpuList) -> Vec<Candidate> {
    let nohz_full: CpuList =
        text(root, "sys/devices/system/cpu/nohz_full").and_then(|list| list.parse().ok()).unwrap_or_default();
    let interrupts = text(root, "proc/interrupts").unwrap_or_default();
    let candidate = |&cpu: &usize| Candidate {
        cpu,
        capacity: text(root, &format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"))
            .and_then(|capacity| capacity.parse().ok()),
        nohz_full: nohz_full.contains(cpu),
        interrupts: interrupts_of(&interrupts, cpu).map_or(0, |counts| counts.devices),
    };
    cpus.cpus().iter().map(candidate).collect()
}

/// Returns the CPUs that share a core, cache or socket with a CPU.
pub fn neighbourhood(root: &Path, cpu: usize) -> Neighbourhood {
    let list = |name: &str| {
        let list = text(root, &format!("sys/devices/system/cpu/cpu{cpu}/{name}"));
        list.and_then(|list| list.parse::<CpuList>().ok()).unwrap_or_default()
    };
    // A level of the hierarchy may have a data and an instruction cache; the last has one cache.
    let levels = (0..MOST_CACHES).filter_map(|index| {
        let level: u32 =
            text(root, &format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}/level"))?.parse().ok()?;
        Some((level, list(&format!("cache/index{index}/shared_cpu_list"))))
    });
    let last = levels.max_by_key(|(level, _)| *level).map(|(_, sharers)| sharers).unwrap_or_default();
    let siblings =
        |new: &str, old: &str| Some(list(new)).filter(|list| !list.cpus().is_empty()).unwrap_or_else(|| list(old));
    Neighbourhood {
        core: siblings("topology/core_cpus_list", "topology/thread_siblings_list"),
        last_level_cache: last,
        socket: siblings("topology/package_cpus_list", "topology/core_siblings_list"),
    }
}

const MOST_CACHES: u32 = 8;

/// Returns a CPU's data caches of known size, nearest first.
///
/// # References
/// Documentation/ABI/testing/sysfs-devices-system-cpu: `size` is in kilobytes, as `32K`.
pub fn caches(root: &Path, cpu: usize) -> Vec<Cache> {
    let cache = |index| {
        let field = |name: &str| text(root, &format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}/{name}"));
        let kilobytes: u64 = field("size")?.strip_suffix('K')?.parse().ok()?;
        let cache = Cache {
            level: field("level")?.parse().ok()?,
            kind: field("type")?,
            size_bytes: kilobytes.checked_mul(1024)?,
            shared_cpus: field("shared_cpu_list"),
        };
        (cache.kind != "Instruction").then_some(cache)
    };
    let mut caches: Vec<Cache> = (0..MOST_CACHES).filter_map(cache).collect();
    caches.sort_by_key(|cache| cache.level);
    caches
}

/// Returns the other hardware threads of a CPU's core; `None` where the kernel does not list them.
pub fn smt_siblings(root: &Path, cpu: usize) -> Option<CpuList> {
    let all: CpuList =
        text(root, &format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))?.parse().ok()?;
    Some(all.cpus().iter().copied().filter(|&sibling| sibling != cpu).collect())
}

/// Interrupts that one CPU took since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterruptCounts {
    /// Of all kinds: devices, timer, other CPUs.
    pub all: u64,
    pub devices: u64,
    /// Of the CPU's own timer; `None` where none is listed.
    pub timer: Option<u64>,
}

/// Sums a CPU's column of /proc/interrupts; `None` if it has no such column.
///
/// ```text
///            CPU0       CPU1
///  36:          0       4762   PCI-MSIX-0000:00:02.0   1-edge   virtio1-req.0      a device: its label is a number
/// LOC:       5851       5591   Local timer interrupts                              HVS under Hyper-V
///  11:       4711       4712   GICv2  27 Level   arch_timer                       the same on arm64, among the devices
/// ERR:          0                                                                  of the machine, not of a CPU
/// ```
pub fn interrupts_of(text: &str, cpu: usize) -> Option<InterruptCounts> {
    let mut lines = text.lines();
    let heading = format!("CPU{cpu}");
    let columns: Vec<&str> = lines.next()?.split_whitespace().collect();
    let column = columns.iter().position(|&column| column == heading)?;
    let mut counts = InterruptCounts { all: 0, devices: 0, timer: None };
    for line in lines {
        let Some((label, rest)) = line.split_once(':') else { continue };
        let numbers: Vec<u64> =
            rest.split_whitespace().map_while(|number| number.parse().ok()).take(columns.len()).collect();
        if numbers.len() < columns.len() {
            continue;
        }
        counts.all = counts.all.saturating_add(numbers[column]);
        if ["LOC", "HVS"].contains(&label.trim()) || rest.trim_end().ends_with(" arch_timer") {
            counts.timer = Some(counts.timer.unwrap_or_default().saturating_add(numbers[column]));
        }
        if label.trim().bytes().all(|byte| byte.is_ascii_digit()) {
            counts.devices = counts.devices.saturating_add(numbers[column]);
        }
    }
    Some(counts)
}

/// Returns the path of `cpu.stat` of this process's cgroup, of either version; `None` where it has no CPU controller.
pub fn cgroup_cpu_stat(root: &Path) -> Option<PathBuf> {
    let cgroups = text(root, "proc/self/cgroup")?;
    let mounts = [("cpu", "sys/fs/cgroup/cpu"), ("", "sys/fs/cgroup"), ("", "sys/fs/cgroup/unified")];
    cgroups.lines().find_map(|line| {
        // "4:cpu,cpuacct:/user.slice" or, version 2, "0::/user.slice".
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        mounts
            .iter()
            .filter(|(controller, _)| controllers.split(',').any(|each| each == *controller))
            .map(|(_, mount)| root.join(mount).join(path.trim_start_matches('/')).join("cpu.stat"))
            .find(|stat| stat.exists())
    })
}

/// Returns the mitigation of each vulnerability that the processors have, ordered by name.
fn mitigations(root: &Path) -> Option<String> {
    let folder = "sys/devices/system/cpu/vulnerabilities";
    let mut names: Vec<String> = fs::read_dir(root.join(folder))
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let told = names.iter().filter_map(|name| Some((name, text(root, &format!("{folder}/{name}"))?)));
    let affected = told.filter(|(_, state)| state != "Not affected");
    Some(affected.map(|(name, state)| format!("{name}: {state}")).collect::<Vec<_>>().join("; "))
}

/// Returns the word in parentheses of a list such as `none voluntary (full)`.
fn chosen_of(models: &str) -> &str {
    let chosen = models.split_whitespace().find_map(|model| model.strip_prefix('(')?.strip_suffix(')'));
    chosen.unwrap_or(models)
}

/// Returns the processor's model name, as x86 and most others have it, else implementer and part number, as arm64 has them.
fn cpu_model(root: &Path) -> Option<String> {
    let cpuinfo = text(root, "proc/cpuinfo")?;
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    field("model name")
        .or_else(|| field("cpu model"))
        .or_else(|| Some(format!("CPU implementer {} part {}", field("CPU implementer")?, field("CPU part")?)))
}

/// Returns the hypervisor's name from CPUID, the firmware, or the device tree.
fn hypervisor(root: &Path) -> Option<String> {
    let known = [
        ("KVMKVMKVM", "KVM"),
        ("Microsoft Hv", "Hyper-V"),
        ("VMwareVMware", "VMware"),
        ("XenVMMXenVMM", "Xen"),
        ("VBoxVBoxVBox", "VirtualBox"),
        ("TCGTCGTCGTCG", "QEMU TCG"),
        ("prl hyperv", "Parallels"),
        ("lrpepyh vr", "Parallels"),
    ];
    if let Some(signature) = cpuid::hypervisor_signature() {
        let name = known.iter().find(|(sign, _)| *sign == signature).map(|(_, name)| name.to_string());
        return Some(name.unwrap_or(signature));
    }
    let vendor = text(root, "sys/class/dmi/id/sys_vendor").unwrap_or_default();
    let virtual_vendors =
        ["QEMU", "VMware, Inc.", "innotek GmbH", "Parallels", "Xen", "Apple Inc.", "Amazon EC2", "Google"];
    // On x86, CPUID has already ruled one out; elsewhere the maker of the "board" is the best sign.
    let by_vendor = virtual_vendors.iter().find(|name| !cfg!(target_arch = "x86_64") && vendor.starts_with(**name));
    let device_tree = || {
        text(root, "sys/firmware/devicetree/base/hypervisor/compatible").or_else(|| {
            text(root, "sys/firmware/devicetree/base/compatible").filter(|board| board.contains("dummy-virt"))
        })
    };
    by_vendor
        .map(|name| name.to_string())
        .or_else(|| device_tree().map(|text| text.trim_end_matches('\0').replace('\0', " ")))
}

fn text(root: &Path, path: &str) -> Option<String> {
    Some(fs::read_to_string(root.join(path)).ok()?.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::made_up_root as tree;

    const INTERRUPTS: &str = "           CPU0       CPU2
  24:          1          0  IO-APIC   5-edge      ACPI:Ged
  41:       1651          3  PCI-MSIX-0000:00:04.0   1-edge      virtio3-rx
 LOC:       5851       5591   Local timer interrupts
 ERR:          7
";

    #[test]
    fn interrupts_are_summed_by_the_columns_name() {
        assert_eq!(interrupts_of(INTERRUPTS, 0), Some(InterruptCounts { all: 7503, devices: 1652, timer: Some(5851) }));
        assert_eq!(interrupts_of(INTERRUPTS, 2), Some(InterruptCounts { all: 5594, devices: 3, timer: Some(5591) }));
        assert_eq!(interrupts_of(INTERRUPTS, 1), None);
        assert_eq!(interrupts_of("", 0), None);
        let timer = |line: &str| interrupts_of(&format!("           CPU0\n{line}\n"), 0).unwrap().timer;
        assert_eq!(timer(" 11:       4711     GICv2  27 Level     arch_timer"), Some(4711));
        assert_eq!(timer(" 24:          1     IO-APIC   5-edge      ACPI:Ged"), None);
    }

    #[test]
    fn candidates_carry_what_the_choice_needs() {
        let root = tree(&[
            ("proc/interrupts", INTERRUPTS),
            ("sys/devices/system/cpu/nohz_full", "2\n"),
            ("sys/devices/system/cpu/cpu2/cpu_capacity", "1024\n"),
        ]);
        let seen = candidates(root.path(), &"0,2".parse().unwrap());
        assert_eq!(seen[0], Candidate { cpu: 0, capacity: None, nohz_full: false, interrupts: 1652 });
        assert_eq!(seen[1], Candidate { cpu: 2, capacity: Some(1024), nohz_full: true, interrupts: 3 });
    }

    #[test]
    fn siblings_leave_the_cpu_itself_out() {
        let root = tree(&[("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,5\n")]);
        assert_eq!(smt_siblings(root.path(), 1).unwrap().to_string(), "5");
        assert_eq!(smt_siblings(root.path(), 2), None);
    }

    #[test]
    fn caches_of_data_are_told_nearest_first_and_those_of_unknown_size_left_out() {
        let folder = "sys/devices/system/cpu/cpu3/cache";
        let files = [
            ("index0", "2", "Unified", "1024K\n", "3\n"),
            ("index1", "1", "Instruction", "32K\n", "3\n"),
            ("index2", "1", "Data", "48K\n", "3\n"),
            ("index3", "3", "Unified", "0\n", "0-7\n"),
        ];
        let files = files.iter().flat_map(|(index, level, kind, size, shared)| {
            [("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)]
                .map(|(name, text)| (format!("{folder}/{index}/{name}"), *text))
        });
        let files: Vec<(String, &str)> = files.collect();
        let root = tree(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>());
        let told: Vec<_> = caches(root.path(), 3)
            .into_iter()
            .map(|cache| (cache.name(), cache.size_bytes, cache.shared_cpus))
            .collect();
        let own = Some("3".to_string());
        assert_eq!(told, [("L1d".to_string(), 48 << 10, own.clone()), ("L2".to_string(), 1 << 20, own)]);
        assert_eq!(caches(root.path(), 0), []);
    }

    #[test]
    fn the_cgroups_cpu_stat_is_found_in_both_versions() {
        let one = tree(&[("proc/self/cgroup", "4:cpu,cpuacct:/user\n0::/\n"), ("sys/fs/cgroup/cpu/user/cpu.stat", "")]);
        assert!(cgroup_cpu_stat(one.path()).unwrap().ends_with("cpu/user/cpu.stat"));
        let two = tree(&[("proc/self/cgroup", "0::/user.slice\n"), ("sys/fs/cgroup/user.slice/cpu.stat", "")]);
        assert!(cgroup_cpu_stat(two.path()).unwrap().ends_with("cgroup/user.slice/cpu.stat"));
        let none = tree(&[("proc/self/cgroup", "0::/gone\n")]);
        assert_eq!(cgroup_cpu_stat(none.path()), None);
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        let root = tree(&[]);
        let place = Place { cpu: 0, because: "test".to_string() };
        let facts = facts(root.path(), Some(&place), &Processors::default());
        assert_eq!((facts.cpu_model, facts.clocksource, facts.perf_event_paranoid), (None, None, None));
        assert!(!facts.kernel.is_empty());
    }

    #[test]
    fn processors_of_x86_and_arm_are_named() {
        let x86 = tree(&[("proc/cpuinfo", "processor\t: 0\nmodel\t: 17\nmodel name\t: AMD EPYC\n")]);
        assert_eq!(cpu_model(x86.path()).unwrap(), "AMD EPYC");
        let arm = tree(&[("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n")]);
        assert_eq!(cpu_model(arm.path()).unwrap(), "CPU implementer 0x41 part 0xd0c");
    }
}
