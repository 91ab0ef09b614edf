//! Facts about the machine from /proc, /sys and the control groups.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::host::ceilings::{self, Needs};
use crate::host::checks::context::{HostContext, Tools};
use crate::host::checks::{self, CHECKS};
use crate::host::memory::{self, KernelAccount};
use crate::host::placement::Place;
use crate::host::probe;
use crate::host::surroundings::{self, NoiseMonitor};
use crate::perf::answer::{Cycles, PerfTrials};
use crate::perf::records::parse::offset_of;
use crate::sys::affinity::CpuList;
use crate::sys::unavailable::Unavailable;
use crate::tool::system;

/// Texts that pure functions parse.
pub(super) fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(cpus) = text.parse::<CpuList>() {
        assert_eq!(
            cpus.to_string().parse::<CpuList>().ok(),
            Some(cpus),
            "a list of CPUs says something else when written"
        );
    }
    for cpu in [0, 1] {
        if let Some(counts) = probe::interrupts_of(&text, cpu) {
            assert!(counts.devices <= counts.all && counts.timer.is_none_or(|timer| timer <= counts.all), "{counts:?}");
        }
    }
    let _ = (memory::machine(&text, &text), surroundings::throttled_in(&text), ceilings::threads_of(&text));
    let _ = (offset_of(&text, "pid"), offset_of(&text, "id"), system::family(&text));
}

/// A tree in which every file has the same text: one in another's place does no harm.
pub(super) fn tree(bytes: &[u8]) {
    thread_local!(static ROOT: OnceCell<TempDir> = const { OnceCell::new() });
    ROOT.with(|root| {
        let root = root.get_or_init(|| tempfile::tempdir_in(memory_folder()).expect("a temporary folder")).path();
        for file in FILES {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder can be made");
            fs::write(path, bytes).expect("a file can be written");
        }
        read_all(root);
    });
}

fn read_all(root: &Path) {
    let place = Place { cpu: 0, because: String::new() };
    let processors = probe::processors(root).expect("the kernel says where this thread may run");
    let mut host = probe::facts(root, Some(&place), &processors);
    // Gives its configuration a name that does not depend on the machine.
    host.kernel = "fuzzed".to_string();
    let _ = probe::candidates(root, &"0-1".parse().expect("two CPUs"));
    let _ = (probe::neighbourhood(root, 0), probe::smt_siblings(root, 0), probe::cgroup_cpu_stat(root));
    let _ = (memory::huge_page_mode(root), memory::cgroup_folder(root, "memory"));
    let _ = KernelAccount::find(root).map(|account| account.read());
    let needs = Needs { threads: 1.0, files: 1.0, mappings: 2.0, bytes: 4096.0, mappings_before: 100 };
    let (most, _) = ceilings::most(1000, needs, root);
    assert!(most <= 1000);
    let noise_monitor = NoiseMonitor::below(root, &[place.cpu]);
    let earlier = noise_monitor.look();
    let window = noise_monitor.look().window_since(&earlier);
    let perf_events = PerfTrials {
        on_cpu: Ok(()),
        on_thread: Ok(()),
        in_user_mode: Ok(()),
        cycles: Cycles::Counting { gigahertz: 3.4 },
    };
    let missing = || Unavailable { reason: "it is not looked for".to_string(), remedy: None };
    let tools = Tools { perf: Err(missing()), go: Err(missing()) };
    let context =
        HostContext { root, facts: &host, cpu: place.cpu, window: &window, perf_events: &perf_events, tools: &tools };
    let findings = checks::examine(&context);
    assert!(findings.len() == CHECKS.len() && findings.iter().all(|finding| !finding.found.is_empty()), "{findings:?}");
    let _ = checks::of_facts(&host, true);
}

/// Returns a folder in memory, if there is one.
fn memory_folder() -> &'static Path {
    let folder = Path::new("/dev/shm");
    if folder.is_dir() { folder } else { Path::new("/tmp") }
}

/// The files of a machine with two CPUs, in control groups of version 1, of which the top one is this process's.
const FILES: &[&str] = &[
    "boot/config-fuzzed",
    "etc/os-release",
    "proc/cmdline",
    "proc/cpuinfo",
    "proc/interrupts",
    "proc/loadavg",
    "proc/stat",
    "proc/pressure/cpu",
    "proc/self/cgroup",
    "proc/self/status",
    "proc/self/uid_map",
    "proc/4711/comm",
    "proc/4711/status",
    "proc/sys/kernel/perf_event_paranoid",
    "proc/sys/kernel/pid_max",
    "proc/sys/kernel/sched_autogroup_enabled",
    "proc/sys/kernel/sched_rt_runtime_us",
    "proc/sys/kernel/threads-max",
    "proc/sys/vm/max_map_count",
    "run/systemd/container",
    "sys/class/dmi/id/sys_vendor",
    "sys/devices/system/clocksource/clocksource0/available_clocksource",
    "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "sys/devices/system/cpu/present",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/isolated",
    "sys/devices/system/cpu/nohz_full",
    "sys/devices/system/cpu/cpuidle/current_driver",
    "sys/devices/system/cpu/cpuidle/current_governor",
    "sys/devices/system/cpu/cpufreq/boost",
    "sys/devices/system/cpu/intel_pstate/no_turbo",
    "sys/devices/system/cpu/cpu0/cpu_capacity",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "sys/devices/system/cpu/cpu0/cpuidle/state0/name",
    "sys/devices/system/cpu/cpu0/cpuidle/state0/latency",
    "sys/devices/system/cpu/cpu0/cpuidle/state0/disable",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
    "sys/devices/system/cpu/cpu0/topology/package_cpus_list",
    "sys/devices/system/cpu/cpu0/cache/index0/level",
    "sys/devices/system/cpu/cpu0/cache/index0/size",
    "sys/devices/system/cpu/cpu0/cache/index0/type",
    "sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list",
    "sys/devices/system/cpu/vulnerabilities/meltdown",
    "sys/firmware/devicetree/base/hypervisor/compatible",
    "sys/kernel/debug/sched/base_slice_ns",
    "sys/kernel/debug/sched/preempt",
    "sys/kernel/mm/transparent_hugepage/enabled",
    "sys/kernel/sched_ext/state",
    "sys/kernel/sched_ext/root/ops",
    "sys/kernel/tracing/current_tracer",
    "sys/kernel/tracing/set_event",
    "sys/kernel/tracing/kprobe_events",
    "sys/kernel/tracing/uprobe_events",
    "sys/fs/cgroup/cpu/cpu.stat",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us",
    "sys/fs/cgroup/memory/memory.limit_in_bytes",
    "sys/fs/cgroup/memory/memory.usage_in_bytes",
    "sys/fs/cgroup/memory/memory.kmem.usage_in_bytes",
    "sys/fs/cgroup/pids/pids.max",
    "sys/fs/cgroup/pids/pids.current",
];
