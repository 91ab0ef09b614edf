//! Abilities of this machine, probed once in a process, and those that `CTXPROF_TEST_REQUIRE` demands.
//!
//! Unit tests and black-box tests both include this file. A test names what it needs and returns where that is missing:
//!
//! ```text
//! needs!(Root, Perf);
//! ```
//!
//! A missing ability is reported on stderr, past the capture of test output; where it is required, the test fails instead.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The abilities that a machine must have, separated by commas; `all` for every one.
const REQUIRE: &str = "CTXPROF_TEST_REQUIRE";

/// An ability that not every machine has, and that tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    Root,
    /// Perf events of a CPU, in kernel mode.
    Perf,
    /// Ordinary users may not count CPUs: the refusal can be tested.
    Paranoid,
    /// The kernel reports each thread that ends (taskstats).
    ExitRecords,
    /// A mount namespace of one's own, with tracefs in it.
    Tracefs,
    /// An ordinary user may make a user namespace, and be root there.
    UserNamespaces,
    /// Process 2 is the kernel's: these are the machine's own process IDs.
    HostPids,
    /// BPF programs can be attached to the scheduler, with the kernel's own types.
    Bpf,
    TwoCpus,
    /// `vm.max_map_count` is low enough to be reached.
    MappingLimit,
    CgroupPids,
    CgroupMemory,
    CgroupCpu,
    Strace,
    Go,
    Promtool,
    Chromium,
}

/// An ability, its name in `CTXPROF_TEST_REQUIRE`, and its probe, whose error is the reason why it is missing.
struct Row {
    ability: Ability,
    name: &'static str,
    probe: fn() -> Result<(), String>,
}

const ABILITIES: [Row; 17] = [
    Row { ability: Ability::Root, name: "root", probe: root },
    Row { ability: Ability::Perf, name: "perf", probe: perf },
    Row { ability: Ability::Paranoid, name: "paranoid", probe: paranoid },
    Row { ability: Ability::ExitRecords, name: "exit-records", probe: exit_records },
    Row { ability: Ability::Tracefs, name: "tracefs", probe: tracefs },
    Row { ability: Ability::UserNamespaces, name: "user-namespaces", probe: user_namespaces },
    Row { ability: Ability::HostPids, name: "host-pids", probe: host_pids },
    Row { ability: Ability::Bpf, name: "bpf", probe: bpf },
    Row { ability: Ability::TwoCpus, name: "two-cpus", probe: two_cpus },
    Row { ability: Ability::MappingLimit, name: "mapping-limit", probe: mapping_limit },
    Row { ability: Ability::CgroupPids, name: "cgroup-pids", probe: || cgroup("pids") },
    Row { ability: Ability::CgroupMemory, name: "cgroup-memory", probe: || cgroup("memory") },
    Row { ability: Ability::CgroupCpu, name: "cgroup-cpu", probe: || cgroup("cpu") },
    Row { ability: Ability::Strace, name: "strace", probe: || answers("strace", "--version") },
    Row { ability: Ability::Go, name: "go", probe: || answers("go", "version") },
    Row { ability: Ability::Promtool, name: "promtool", probe: || answers("promtool", "--version") },
    Row { ability: Ability::Chromium, name: "chromium", probe: || answers("chromium", "--version") },
];

impl Ability {
    fn row(self) -> &'static Row {
        ABILITIES.iter().find(|row| row.ability == self).expect("every ability has a row")
    }

    fn is_required(self) -> bool {
        required().contains(&self.row().name)
    }
}

/// Returns the names in `CTXPROF_TEST_REQUIRE`.
///
/// # Panics
///
/// If one of them is unknown: a misspelt one would require nothing.
fn required() -> Vec<&'static str> {
    let list = env::var(REQUIRE).unwrap_or_default();
    let known = |name: &str| {
        let row = ABILITIES.iter().find(|row| row.name == name);
        row.map(|row| row.name).unwrap_or_else(|| panic!("{REQUIRE}: no test needs {name:?}; {}", names().join(", ")))
    };
    match list.as_str() {
        "all" => names(),
        list => list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(known).collect(),
    }
}

fn names() -> Vec<&'static str> {
    ABILITIES.iter().map(|row| row.name).collect()
}

/// Returns true if this machine has an ability; prints that it is missing otherwise.
///
/// # Panics
///
/// If `CTXPROF_TEST_REQUIRE` has it and the machine does not.
#[track_caller]
pub fn can(ability: Ability) -> bool {
    static KNOWN: Mutex<Vec<(Ability, Result<(), String>)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.iter().find(|(each, _)| *each == ability).map(|(_, found)| found.clone());
    let found = found.unwrap_or_else(|| {
        let found = (ability.row().probe)();
        known.push((ability, found.clone()));
        found
    });
    drop(known);
    found.map_err(|reason| missing(ability, &reason)).is_ok()
}

/// Prints that a test is skipped because of a missing ability.
///
/// # Panics
///
/// If `CTXPROF_TEST_REQUIRE` has that ability.
#[track_caller]
pub fn missing(ability: Ability, reason: &str) {
    let name = ability.row().name;
    assert!(!ability.is_required(), "{REQUIRE} has {name}, and this machine has not: {reason}");
    skipped(name, reason);
}

/// Prints on stderr, past the capture of test output, that a test or a part of it is skipped for lack of something that no machine
/// can be expected to have.
pub fn skipped(want: &str, reason: &str) {
    // The harness names a test's thread after it, unless there is only one thread.
    let test = thread::current().name().unwrap_or("main").to_string();
    let _ = writeln!(std::io::stderr(), "skipped for want of {want}: {test} ({reason})");
}

/// Returns from a test where this machine lacks one of these abilities.
macro_rules! needs {
    ($($ability:ident),+ $(,)?) => {
        if ![$($crate::machine::Ability::$ability),+].into_iter().all($crate::machine::can) {
            return;
        }
    };
}
pub(crate) use needs;

fn root() -> Result<(), String> {
    nix::unistd::geteuid().is_root().then_some(()).ok_or_else(|| "not root".to_string())
}

fn perf() -> Result<(), String> {
    let event = perf_event::events::Software::CONTEXT_SWITCHES;
    let mut builder = perf_event::Builder::new(event);
    let opened = builder.any_pid().one_cpu(0).include_kernel().include_hv().build();
    opened.map(drop).map_err(|error| format!("perf_event_open: {error}"))
}

fn paranoid() -> Result<(), String> {
    let file = "/proc/sys/kernel/perf_event_paranoid";
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let level: i32 = text.trim().parse().map_err(|_| format!("{file}: {text:?}"))?;
    if level > 0 { Ok(()) } else { Err(format!("{file} is {level}")) }
}

/// Root of the machine's own user and PID namespaces, which are the first of their kind.
fn exit_records() -> Result<(), String> {
    root()?;
    host_pids()?;
    let first = |kind: &str, inode: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).map_err(|error| error.to_string())?;
        let is_first = link.to_string_lossy().contains(inode);
        is_first.then_some(()).ok_or_else(|| format!("in a {kind} namespace of its own"))
    };
    first("user", "4026531837")?;
    first("pid", "4026531836")
}

/// Mounts tracefs unless it is mounted already, as on most machines: for a shell in a mount namespace of its own.
pub const MOUNT_TRACEFS: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing";

fn tracefs() -> Result<(), String> {
    root()?;
    let mut unshare = Command::new("unshare");
    done(unshare.args(["--mount", "sh", "-c", MOUNT_TRACEFS]))
}

fn user_namespaces() -> Result<(), String> {
    root()?;
    let mut unshare = Command::new("setpriv");
    done(unshare.args(["--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Ur", "true"]))
}

fn host_pids() -> Result<(), String> {
    let name = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if name.trim() == "kthreadd" { Ok(()) } else { Err(format!("process 2 is {:?}", name.trim())) }
}

/// The kernel lists loaded programs to those only who may load some; where that is a capability in a namespace, it does not.
fn bpf() -> Result<(), String> {
    let types = "/sys/kernel/btf/vmlinux";
    fs::metadata(types).map_err(|error| format!("{types}: {error}"))?;
    match aya::programs::loaded_programs().next() {
        Some(Err(error)) => Err(format!("bpf: {error}")),
        None | Some(Ok(_)) => Ok(()),
    }
}

fn two_cpus() -> Result<(), String> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    if cpus > 1 { Ok(()) } else { Err("one CPU only".to_string()) }
}

fn mapping_limit() -> Result<(), String> {
    let file = "/proc/sys/vm/max_map_count";
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let limit: u64 = text.trim().parse().map_err(|_| format!("{file}: {text:?}"))?;
    if limit <= 200_000 { Ok(()) } else { Err(format!("{file} is {limit}")) }
}

/// Makes a cgroup of this name with a controller, below whichever hierarchy has it.
///
/// # Errors
///
/// Where no such cgroup can be made, with the attempts.
pub fn make_cgroup(controller: &str, name: &str) -> Result<PathBuf, String> {
    let limits = ["pids.max", "memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us"];
    let mounts = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup".to_string()];
    let mut tried = Vec::new();
    for mount in mounts.iter().map(Path::new).filter(|mount| mount.join("cgroup.procs").exists()) {
        let folder = mount.join(name);
        if let Err(error) = fs::create_dir(&folder) {
            tried.push(format!("{}: {error}", folder.display()));
            continue;
        }
        if limits.iter().any(|file| file.starts_with(controller) && folder.join(file).exists()) {
            return Ok(folder);
        }
        let _ = fs::remove_dir(&folder);
        tried.push(format!("{} has no controller {controller}", mount.display()));
    }
    Err(if tried.is_empty() { "no cgroups are mounted".to_string() } else { tried.join("; ") })
}

fn cgroup(controller: &str) -> Result<(), String> {
    root()?;
    let folder = make_cgroup(controller, &format!("ctxprof-test-probe-{}-{controller}", std::process::id()))?;
    fs::remove_dir(folder).map_err(|error| error.to_string())
}

/// Checks that a program is installed and answers.
fn answers(program: &str, argument: &str) -> Result<(), String> {
    done(Command::new(program).arg(argument))
}

fn done(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{program}: {}: {}", output.status, said.trim()))
}
