//! A program's kernel accounting as figures: per thread, per process name, in total.

use serde::{Deserialize, Serialize};

use crate::program::watched::{Accounting, ThreadGroup, Watched, sys_part};

/// Figures of threads. A figure unknown for all of them is null; waits and migrations, which wait4 does not report, may be
/// known for some only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub on_cpu_ns: u64,
    /// Its parts, on most kernels known by sampling at ticks.
    pub user_ns: u64,
    pub sys_ns: u64,
    pub run_queue_wait_ns: Option<u64>,
    /// Neither running nor waiting for a CPU: the threads' lifetimes minus both.
    pub off_cpu_ns: Option<u64>,
    pub migrations: Option<u64>,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub threads: u64,
    /// Threads whose run-queue wait is unknown, and those whose migrations are.
    #[serde(default)]
    pub waits_unknown_threads: u64,
    #[serde(default)]
    pub migrations_unknown_threads: u64,
}

impl Figures {
    pub fn switches(&self) -> u64 {
        self.voluntary_switches + self.involuntary_switches
    }
}

impl From<Accounting> for Figures {
    fn from(accounting: Accounting) -> Figures {
        let known =
            |value: u64, unknown: u64| (unknown < accounting.threads || accounting.threads == 0).then_some(value);
        let busy_ns = accounting.on_cpu_ns + accounting.run_queue_wait_ns;
        let waits = known(accounting.run_queue_wait_ns, accounting.waits_unknown);
        Figures {
            voluntary_switches: accounting.voluntary,
            involuntary_switches: accounting.involuntary,
            on_cpu_ns: accounting.on_cpu_ns,
            user_ns: accounting.on_cpu_ns.saturating_sub(accounting.sys_ns),
            sys_ns: accounting.sys_ns.min(accounting.on_cpu_ns),
            run_queue_wait_ns: waits,
            off_cpu_ns: waits
                .filter(|_| accounting.waits_unknown == 0)
                .map(|_| accounting.lifetime_ns.saturating_sub(busy_ns)),
            migrations: known(accounting.migrations, accounting.migrations_unknown),
            minor_faults: accounting.minor_faults,
            major_faults: accounting.major_faults,
            threads: accounting.threads,
            waits_unknown_threads: accounting.waits_unknown,
            migrations_unknown_threads: accounting.migrations_unknown,
        }
    }
}

/// Threads reported together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRow {
    pub process: String,
    pub thread: String,
    /// Present if each thread has a row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<i32>,
    /// True if of the program itself, not of a descendant process.
    pub of_program: bool,
    /// Those that have ended.
    pub ended: u64,
    #[serde(flatten)]
    pub figures: Figures,
}

/// Descendant processes of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRow {
    pub process: String,
    pub processes: u64,
    #[serde(flatten)]
    pub figures: Figures,
}

/// A program's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Accounts {
    pub totals: Figures,
    pub threads: Vec<ThreadRow>,
    pub children: Vec<ChildRow>,
    /// Accounting by wait4 beyond the threads that were seen; `None` if there is none.
    pub unseen: Option<Figures>,
    /// Kernel switches by what is known of the other side.
    pub classes: SwitchClasses,
    /// Threads known to have ended: each made one switch that no accounting includes.
    pub ended_threads: u64,
    pub processes: u64,
}

/// A program's kernel switches by what is known of the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwitchClasses {
    /// Of threads in multi-threaded processes: to a thread of the same process, or to anything else.
    pub within: SwitchSplit,
    /// Of threads in single-threaded processes.
    pub between: SwitchSplit,
}

/// Kernel switches by why a thread left the CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwitchSplit {
    /// The thread had to wait, and something had to wake it.
    pub voluntary: u64,
    /// It was still runnable: preempted, at a tick or by a thread that it woke, or it yielded.
    pub involuntary: u64,
}

impl SwitchSplit {
    pub fn total(self) -> u64 {
        self.voluntary + self.involuntary
    }
}

impl SwitchClasses {
    pub fn total(self) -> u64 {
        self.within.total() + self.between.total()
    }

    /// Returns switches in the same proportions with these totals.
    fn scaled_to(self, all: SwitchSplit) -> SwitchClasses {
        let within = |within: u64, between: u64, all: u64| {
            let share = if within + between == 0 { 0.0 } else { within as f64 / (within + between) as f64 };
            ((share * all as f64).round() as u64).min(all)
        };
        let within = SwitchSplit {
            voluntary: within(self.within.voluntary, self.between.voluntary, all.voluntary),
            involuntary: within(self.within.involuntary, self.between.involuntary, all.involuntary),
        };
        let between = SwitchSplit {
            voluntary: all.voluntary - within.voluntary,
            involuntary: all.involuntary - within.involuntary,
        };
        SwitchClasses { within, between }
    }
}

/// Computes a program's figures. Rows are in falling order of switches.
pub fn accounts(watched: &Watched) -> Accounts {
    let seen: Accounting = watched.groups.iter().map(|group| group.accounting).sum();
    let (mut unseen, mut totals) = match watched.waited_for {
        None => (Accounting::default(), seen),
        Some(waited) => {
            let mut unseen = Accounting::default().with_accounted(waited.accounted);
            unseen -= waited.seen;
            let mut settled = seen;
            settled -= waited.seen;
            let mut accounted = waited.accounted;
            accounted += settled;
            (unseen, seen.with_accounted(accounted))
        }
    };
    unseen.on_cpu_ns += watched.unseen_cpu_ns;
    // In the same parts as the rest.
    totals.sys_ns += sys_part(watched.unseen_cpu_ns, totals.on_cpu_ns.saturating_sub(totals.sys_ns), totals.sys_ns);
    totals.on_cpu_ns += watched.unseen_cpu_ns;
    let ended_threads: u64 = watched.groups.iter().map(|group| group.ended).sum();
    let known = SwitchClasses {
        within: switches_of(watched, |group| !group.key.alone),
        between: switches_of(watched, |group| group.key.alone),
    };
    let classes = known.scaled_to(SwitchSplit { voluntary: totals.voluntary, involuntary: totals.involuntary });
    let mut totals = Figures::from(totals);
    if unseen.switches() > ended_threads {
        // More than last switches: some threads were never seen, and their waits and migrations are unknown.
        totals.waits_unknown_threads += 1;
        totals.migrations_unknown_threads += 1;
        totals.off_cpu_ns = None;
    }
    Accounts {
        totals,
        threads: thread_rows(watched),
        children: child_rows(watched),
        unseen: (unseen != Accounting::default()).then(|| Figures {
            // Unknown for threads that were never seen.
            run_queue_wait_ns: None,
            off_cpu_ns: None,
            migrations: None,
            ..unseen.into()
        }),
        classes,
        ended_threads,
        processes: watched.groups.iter().map(|group| group.processes).sum(),
    }
}

fn switches_of(watched: &Watched, which: impl Fn(&ThreadGroup) -> bool) -> SwitchSplit {
    let accounting = || watched.groups.iter().filter(|group| which(group)).map(|group| group.accounting);
    SwitchSplit {
        voluntary: accounting().map(|accounting| accounting.voluntary).sum(),
        involuntary: accounting().map(|accounting| accounting.involuntary).sum(),
    }
}

fn thread_rows(watched: &Watched) -> Vec<ThreadRow> {
    // `alone` splits groups that are one row of the report.
    let mut merged: Vec<(ThreadGroup, Accounting)> = Vec::new();
    for group in &watched.groups {
        let same = |(other, _): &&mut (ThreadGroup, Accounting)| -> bool {
            let (one, other) = (&group.key, &other.key);
            (&one.process, &one.thread, one.ids, one.of_program)
                == (&other.process, &other.thread, other.ids, other.of_program)
        };
        // Groups are sorted by their keys, of which `alone` is the last part.
        match merged.last_mut().filter(same) {
            Some((first, accounting)) => {
                first.ended += group.ended;
                *accounting += group.accounting;
            }
            None => merged.push((group.clone(), group.accounting)),
        }
    }
    let mut rows: Vec<ThreadRow> = merged
        .into_iter()
        .map(|(group, accounting)| ThreadRow {
            process: group.key.process,
            thread: group.key.thread,
            pid: group.key.ids.map(|(pid, _)| pid),
            tid: group.key.ids.map(|(_, tid)| tid),
            of_program: group.key.of_program,
            ended: group.ended,
            figures: accounting.into(),
        })
        .collect();
    rows.sort_by_key(|row| (!row.of_program, std::cmp::Reverse(row.figures.switches())));
    rows
}

fn child_rows(watched: &Watched) -> Vec<ChildRow> {
    let mut rows: Vec<(String, u64, Accounting)> = Vec::new();
    for group in watched.groups.iter().filter(|group| !group.key.of_program) {
        match rows.iter_mut().find(|(process, ..)| *process == group.key.process) {
            Some((_, processes, accounting)) => {
                *processes += group.processes;
                *accounting += group.accounting;
            }
            None => rows.push((group.key.process.clone(), group.processes, group.accounting)),
        }
    }
    rows.sort_by_key(|(_, _, accounting)| std::cmp::Reverse(accounting.switches()));
    rows.into_iter()
        .map(|(process, processes, accounting)| ChildRow { process, processes, figures: accounting.into() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::watched::{Caveats, ExitRecordsUse, Program, ProgramEnd, ThreadKey, WaitedFor};
    use std::time::Duration;

    fn group(process: &str, of_program: bool, alone: bool, voluntary: u64) -> ThreadGroup {
        let (process, thread) = (process.to_string(), process.to_string());
        let accounting = Accounting { voluntary, on_cpu_ns: 10, lifetime_ns: 100, threads: 1, ..Accounting::default() };
        ThreadGroup {
            key: ThreadKey { process, thread, ids: None, of_program, alone },
            accounting,
            ended: 1,
            processes: 1,
        }
    }

    fn watched(groups: Vec<ThreadGroup>, waited_for: Option<WaitedFor>) -> Watched {
        Watched {
            program: Program { pid: 1, name: "a".to_string(), kernel_thread: false },
            elapsed: Duration::from_secs(1),
            ended: ProgramEnd::Exited(0),
            interrupted_by: None,
            groups,
            waited_for,
            unseen_cpu_ns: 0,
            only_cpu: None,
            exit_records: ExitRecordsUse::Read { lost: 0 },
            caveats: Caveats::default(),
            counting: None,
            polls: 1,
            own_cpu: Duration::ZERO,
        }
    }

    #[test]
    fn totals_are_what_was_accounted_and_what_nobody_accounted() {
        let groups = vec![group("a", true, false, 30), group("b", false, true, 10), group("dropped", false, true, 5)];
        // The first two as reported by wait4, with two switches of threads that were never seen.
        let accounted = Accounting { voluntary: 42, on_cpu_ns: 25, ..Accounting::default() };
        let seen = Accounting { voluntary: 40, on_cpu_ns: 20, ..Accounting::default() };
        let accounts = accounts(&watched(groups, Some(WaitedFor { accounted, seen })));
        assert_eq!((accounts.totals.voluntary_switches, accounts.totals.on_cpu_ns), (47, 35));
        let unseen = accounts.unseen.unwrap();
        assert_eq!((unseen.voluntary_switches, unseen.on_cpu_ns, unseen.run_queue_wait_ns), (2, 5, None));
        // Unseen switches are split in the proportions of the seen ones.
        let split = |voluntary| SwitchSplit { voluntary, involuntary: 0 };
        assert_eq!(accounts.classes, SwitchClasses { within: split(31), between: split(16) });
        assert_eq!((accounts.children.len(), accounts.children[0].process.as_str()), (2, "b"));
    }

    #[test]
    fn each_sort_of_switch_is_shared_out_by_itself() {
        let split = |voluntary, involuntary| SwitchSplit { voluntary, involuntary };
        let known = SwitchClasses { within: split(30, 1), between: split(10, 9) };
        let all = SwitchClasses { within: split(60, 2), between: split(20, 18) };
        assert_eq!(known.scaled_to(split(80, 20)), all);
        let nothing_known = SwitchClasses::default().scaled_to(split(3, 4));
        assert_eq!(nothing_known, SwitchClasses { within: split(0, 0), between: split(3, 4) });
    }

    #[test]
    fn threads_of_one_name_are_one_row_whether_they_were_alone_or_not() {
        let groups = vec![group("a", true, false, 1), group("a", true, true, 2), group("b", false, true, 9)];
        let accounts = accounts(&watched(groups, None));
        let rows: Vec<(&str, u64, u64)> = accounts
            .threads
            .iter()
            .map(|row| (row.thread.as_str(), row.figures.voluntary_switches, row.figures.threads))
            .collect();
        assert_eq!(rows, [("a", 3, 2), ("b", 9, 1)], "the program's own come first");
        assert_eq!((accounts.unseen, accounts.ended_threads, accounts.processes), (None, 3, 3));
    }

    #[test]
    fn what_is_known_of_no_thread_is_absent_and_of_some_a_least() {
        let known = Accounting {
            migrations: 3,
            run_queue_wait_ns: 5,
            on_cpu_ns: 10,
            lifetime_ns: 100,
            threads: 2,
            ..Accounting::default()
        };
        let figures = Figures::from(Accounting { migrations_unknown: 1, ..known });
        assert_eq!(
            (figures.migrations, figures.migrations_unknown_threads, figures.off_cpu_ns),
            (Some(3), 1, Some(85))
        );
        let figures = Figures::from(Accounting { migrations_unknown: 2, waits_unknown: 1, ..known });
        assert_eq!((figures.migrations, figures.run_queue_wait_ns, figures.off_cpu_ns), (None, Some(5), None));
    }
}
