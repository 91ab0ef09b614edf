//! The registry of workloads: every way of passing control that can be measured.
//!
//! A workload counts its own switches where the kernel cannot (polls of a task), and reads no kernel counter. Adding
//! one is a file and a row here.

mod coroutine;
pub mod goroutine;
mod handoff;
pub mod kind;
mod process;
mod reference;
mod ring;
pub mod session;
pub mod shape;
mod task;
mod thread;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::sys::unavailable::Unavailable;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::{Session, Setting};
use crate::workload::shape::RingShape;

/// One way of passing control between threads, processes, tasks, coroutines or goroutines.
#[derive(Debug)]
pub struct Workload {
    pub name: &'static str,
    pub kind: Kind,
    /// Description that fits a line of `list`.
    pub brief: &'static str,
    pub summary: &'static str,
    /// Name of one op.
    pub op: &'static str,
    /// Switches per op that its author expects; results are divided by the count. `None` where nothing is promised.
    pub expected_switches_per_op: Option<f64>,
    pub switch_source: SwitchSource,
    /// Caveat for comparing its row with another.
    pub remark: Option<&'static str>,
    /// True if `run` measures it by default.
    pub default: bool,
    /// True if its participants can run on different CPUs.
    pub apart: bool,
    /// Target length of a sample, ns, with all participants on one CPU.
    pub sample_ns: u32,
    /// Checks that this system has the prerequisites, without starting anything.
    pub available: fn() -> Result<(), Unavailable>,
    /// Prepares and saves anything that takes long, before anything is measured. The callback gets a message if it does.
    pub provide: fn(Say<'_>) -> Result<()>,
    pub prepare: Prepare,
    /// The same calls without a switch, and their description.
    pub no_switch: Option<NoSwitch>,
    /// Prepares the same participants at another place in memory each time, where that matters and `prepare` does not show it.
    pub elsewhere: Option<Prepare>,
    /// Function at which its switches can be counted from outside, for [`SwitchSource::Uprobe`].
    pub probe_point: Option<fn() -> Result<ProbePoint>>,
    /// Returns the compiler, other than ctxprof's own, that built the participants' program, with its version, once
    /// [`Workload::provide`] is done.
    pub toolchain: fn() -> Option<String>,
    /// The same mechanism between any number of participants; `None` where there is none yet.
    pub ring: Option<Ring>,
}

pub type Prepare = fn(&Setting) -> Result<Box<dyn Session>>;

/// Reports to the user a step that will take a while.
pub type Say<'a> = &'a dyn Fn(&str);

/// No-switch cost of an op.
#[derive(Debug)]
pub struct NoSwitch {
    pub summary: &'static str,
    pub prepare: Prepare,
}

/// A mechanism by which participants pass a token around, each to the next. One op is one hop, and one switch.
#[derive(Debug)]
pub struct Ring {
    pub prepare: fn(&Setting, RingShape) -> Result<Box<dyn Session>>,
    /// The calling thread alone passes the token to itself, and walks as much memory as one participant, which stays hot.
    pub no_switch: fn(RingShape) -> Result<Box<dyn Session>>,
    /// Limited resources that one participant needs.
    pub needs: Needs,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// Linux threads, also those that are processes.
    pub threads: u32,
    pub files: u32,
    pub mappings: u32,
    /// Memory besides its working set, a lower bound.
    pub bytes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePoint {
    pub program: PathBuf,
    pub function: &'static str,
}

/// The op of a ping-pong.
const ROUND_TRIP: &str = "round trip";
pub const ONE_HOP: &str = "one hop";

impl Workload {
    /// Defaults for a row.
    const EMPTY: Workload = Workload {
        name: "",
        kind: Kind::Reference,
        brief: "",
        summary: "",
        op: ROUND_TRIP,
        expected_switches_per_op: None,
        switch_source: SwitchSource::Kernel,
        remark: None,
        default: false,
        apart: false,
        // Short enough to fall between a busy neighbour's time slices (3 ms), long enough for the clock's two reads
        // (50 ns) and the calls around it to vanish.
        sample_ns: 250_000,
        available: || Ok(()),
        provide: |_| Ok(()),
        prepare: |_| bail!("a workload without participants"),
        no_switch: None,
        elsewhere: None,
        probe_point: None,
        toolchain: || None,
        ring: None,
    };
}

/// Every workload, in the order in which they are listed and shown.
pub static WORKLOADS: &[Workload] = &[
    thread::pipe::WORKLOAD,
    thread::eventfd::WORKLOAD,
    thread::socketpair::WORKLOAD,
    thread::futex::WORKLOAD,
    thread::condvar::WORKLOAD,
    thread::park::WORKLOAD,
    thread::channel::WORKLOAD,
    thread::yields::WORKLOAD,
    process::pipe::WORKLOAD,
    process::futex::WORKLOAD,
    process::yields::WORKLOAD,
    process::ibpb::WORKLOAD,
    process::cgroups::WORKLOAD,
    task::channel::WORKLOAD,
    task::oneway::WORKLOAD,
    task::notify::WORKLOAD,
    task::yields::WORKLOAD,
    task::multi::WORKLOAD,
    task::pipe::WORKLOAD,
    coroutine::WORKLOAD,
    goroutine::CHANNEL,
    goroutine::ONEWAY,
    goroutine::YIELD,
    goroutine::PIPE,
    reference::SYSCALL,
    reference::CALL,
];

/// Stands for every workload.
pub const ALL: &str = "all";

/// Returns the workloads that a word (`all`, a kind, a glob or a name) selects, in the registry's order; empty if none.
pub fn meant_by(word: &str) -> Vec<&'static Workload> {
    let glob = glob::Pattern::new(word).ok();
    let is_meant = |workload: &&Workload| {
        word == ALL || word == workload.kind.name() || glob.as_ref().is_some_and(|glob| glob.matches(workload.name))
    };
    WORKLOADS.iter().filter(is_meant).collect()
}

/// Returns the workloads that `run` measures by default.
pub fn defaults() -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(|workload| workload.default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Ability, missing, skipped};
    use crate::perf::accounting::{Accounted, Accounting};
    use crate::test_lock;
    use crate::workload::session::Laps;
    use std::fs;

    /// Returns the resources that could leak: open files and threads of this process, and its children.
    fn left_overs() -> (usize, usize, Vec<String>) {
        let count = |folder: &str| fs::read_dir(folder).unwrap().count();
        let children = fs::read_dir("/proc/self/task")
            .unwrap()
            .flat_map(|task| {
                fs::read_to_string(task.unwrap().path().join("children"))
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(String::from)
                    .collect::<Vec<_>>()
            })
            .collect();
        (count("/proc/self/fd"), count("/proc/self/task"), children)
    }

    fn accounted(accounting: &mut Accounting) -> Accounted {
        let others = accounting.others(None);
        accounting.own().with(others)
    }

    fn check_session(
        name: &str,
        prepare: impl Fn(&Setting) -> Result<Box<dyn Session>>,
        own_switches_per_op: Option<f64>,
        may_overtake: bool,
        is_ring: bool,
    ) {
        let setting = Setting::on(0);
        let before = left_overs();
        let mut session = prepare(&setting).unwrap();
        assert!(!session.participants().is_empty(), "{name}");
        // A reactor learns only by the first play that its pipes are empty.
        session.play(session.fitting(1)).unwrap();
        let mut accounting = Accounting::open(
            session.participants().into_iter().map(|participant| (participant.process, participant.thread)),
            true,
        );
        for ops in [1, 2, 7, 100] {
            let ops = session.fitting(ops);
            let before = accounted(&mut accounting);
            let played = session.play(ops).unwrap();
            let kernel_switches = accounted(&mut accounting).since(before).switches().unwrap_or(0) as f64;
            assert!(played.elapsed_ns > 0, "{name}");
            if let Some(per_op) = own_switches_per_op {
                let (counted, expected) = (played.own_switches.unwrap() as f64, per_op * ops as f64);
                // Where participants run in parallel, a preempted one may find the other's answer already there and not wait; or
                // the last poll of the previous play comes only now.
                let (missing, late) = if may_overtake { (kernel_switches, 2.0) } else { (0.0, 0.0) };
                assert!((-late..=missing).contains(&(expected - counted)), "{name}, {ops} ops: {counted}");
            }
            let mut laps = Laps::of(ops);
            let played = session.play_each(ops, &mut laps);
            assert_eq!(played.is_err(), is_ring, "{name}");
            let Ok(played) = played else { continue };
            assert_eq!(laps.durations().count() as u64, ops, "{name}");
            assert_eq!(laps.durations().sum::<u64>(), laps.elapsed_ns(), "{name}");
            assert!(laps.elapsed_ns() <= played.elapsed_ns, "{name}: {laps:?} in {played:?}");
        }
        assert!(session.lap_cost_ns().unwrap() > 0.0, "{name}");
        drop(accounting);
        session.end().unwrap();
        // A joined thread stays in /proc for a moment.
        let settles = |how: &str| {
            let settled = (0..1000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                left_overs() == before
            });
            assert!(settled, "{name} left something behind when {how}: {:?}, before {before:?}", left_overs());
        };
        settles("ended");
        drop(prepare(&setting).unwrap());
        settles("dropped");
    }

    /// In a process of its own: other tests of this one open files and start threads as they please.
    #[test]
    fn every_workload_plays_ends_and_leaves_nothing_behind() {
        const ALONE: &str = "CTXPROF_TEST_ALONE";
        let _alone = test_lock();
        if std::env::var_os(ALONE).is_none() {
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            test.args([
                "--exact",
                "workload::tests::every_workload_plays_ends_and_leaves_nothing_behind",
                "--nocapture",
            ]);
            let output = test.env(ALONE, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
            return;
        }
        for workload in WORKLOADS {
            if let Err(unavailable) = (workload.available)() {
                let why = format!("{}: {unavailable:?}", workload.name);
                match workload.kind {
                    Kind::Goroutine => missing(Ability::Go, &why),
                    _ => skipped(workload.name, &why),
                }
                continue;
            }
            let own = match workload.switch_source {
                SwitchSource::Polls | SwitchSource::Resumes => workload.expected_switches_per_op,
                SwitchSource::Kernel | SwitchSource::Uprobe => None,
            };
            check_session(workload.name, workload.prepare, own, workload.apart, false);
            if let Some(no_switch) = &workload.no_switch {
                check_session(workload.name, no_switch.prepare, own.map(|_| 0.0), false, false);
            }
            let Some(ring) = &workload.ring else { continue };
            for participants in [2, 3, 5, 40] {
                for working_set_bytes in [0, 5000] {
                    let shape = RingShape { participants, working_set_bytes };
                    let prepare = |setting: &Setting| (ring.prepare)(setting, shape);
                    check_session(workload.name, prepare, own.map(|_| 1.0), false, true);
                    check_session(workload.name, |_| (ring.no_switch)(shape), own.map(|_| 0.0), false, false);
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_begin_with_their_kind() {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            let is_reference = workload.kind == Kind::Reference;
            assert!(is_reference || workload.name.starts_with(workload.kind.name()), "{}", workload.name);
            assert!(workload.name != ALL && !workload.name.contains(['*', '?', '[']), "{}", workload.name);
            assert!(WORKLOADS[..at].iter().all(|earlier| earlier.name != workload.name), "{}", workload.name);
        }
    }

    #[test]
    fn a_word_means_all_or_a_kind_or_a_glob_or_a_name() {
        let names = |word: &str| meant_by(word).iter().map(|workload| workload.name).collect::<Vec<_>>();
        assert_eq!(names("all").len(), WORKLOADS.len());
        assert_eq!(
            names("process"),
            ["process-pipe", "process-futex", "process-yield", "process-pipe-ibpb", "process-pipe-cgroups"]
        );
        assert_eq!(names("*-pipe"), ["thread-pipe", "process-pipe", "task-pipe", "goroutine-pipe"]);
        assert_eq!(names("coroutine"), ["coroutine"]);
        assert_eq!(names("call"), ["call"]);
        for nothing in ["", "thread-", "zzz*", "[", "Thread"] {
            assert!(names(nothing).is_empty(), "{nothing:?}");
        }
    }
}
