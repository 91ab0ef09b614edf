//! A program's books as figures: per thread, per process name, in all.

use serde::{Deserialize, Serialize};

use crate::sample::watched::{Books, ThreadGroup, Watched};

/// What threads did. A figure that nobody knows of any of them is null; of waits and migrations, which wait4 does not tell,
/// it may be known of some only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub on_cpu_ns: u64,
    pub run_queue_wait_ns: Option<u64>,
    /// Neither on a CPU nor waiting for one: the threads' lifetimes less both.
    pub off_cpu_ns: Option<u64>,
    pub migrations: Option<u64>,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub threads: u64,
    /// Threads of which the run-queue wait is not known, and those of which the migrations are not.
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

impl From<Books> for Figures {
    fn from(books: Books) -> Figures {
        let known = |value: u64, unknown: u64| (unknown < books.threads || books.threads == 0).then_some(value);
        let busy_ns = books.on_cpu_ns + books.run_queue_wait_ns;
        let waits = known(books.run_queue_wait_ns, books.waits_unknown);
        Figures {
            voluntary_switches: books.voluntary,
            involuntary_switches: books.involuntary,
            on_cpu_ns: books.on_cpu_ns,
            run_queue_wait_ns: waits,
            off_cpu_ns: waits.filter(|_| books.waits_unknown == 0).map(|_| books.lifetime_ns.saturating_sub(busy_ns)),
            migrations: known(books.migrations, books.migrations_unknown),
            minor_faults: books.minor_faults,
            major_faults: books.major_faults,
            threads: books.threads,
            waits_unknown_threads: books.waits_unknown,
            migrations_unknown_threads: books.migrations_unknown,
        }
    }
}

/// Threads that are told together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRow {
    pub process: String,
    pub thread: String,
    /// Where every thread is told by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<i32>,
    /// Whether it is of the program itself, not of a process that came from it.
    pub of_program: bool,
    /// How many of them have ended.
    pub ended: u64,
    #[serde(flatten)]
    pub figures: Figures,
}

/// The processes of one name that came from the program.
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
    /// What wait4 tells beyond the threads that were seen; `None` where it is nothing.
    pub unseen: Option<Figures>,
    /// Kernel switches by what they were between.
    pub classes: SwitchClasses,
    /// Threads that are known to have ended: each made one switch that no book has.
    pub ended_threads: u64,
    pub processes: u64,
}

/// A program's kernel switches by what is known of the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwitchClasses {
    /// Of threads in processes with several: to another of them, or to anything else.
    pub within: u64,
    /// Of threads alone in their process.
    pub between: u64,
}

impl SwitchClasses {
    /// The same proportion, of `switches` in all.
    fn scaled_to(self, switches: u64) -> SwitchClasses {
        let known = self.within + self.between;
        if known == 0 {
            return SwitchClasses { within: 0, between: switches };
        }
        let within = (self.within as f64 / known as f64 * switches as f64).round() as u64;
        SwitchClasses { within: within.min(switches), between: switches - within.min(switches) }
    }
}

/// Works a program's books out. Rows are in falling order of switches.
pub fn accounts(watched: &Watched) -> Accounts {
    let sum = |groups: &mut dyn Iterator<Item = &ThreadGroup>| {
        groups.fold(Books::default(), |mut sum, group| {
            sum += group.books;
            sum
        })
    };
    let seen = sum(&mut watched.groups.iter());
    let (mut unseen, mut totals) = match watched.waited_for {
        None => (Books::default(), seen),
        Some(waited) => {
            let mut unseen = Books::default().with_booked(waited.booked);
            unseen -= waited.seen;
            let mut settled = seen;
            settled -= waited.seen;
            let mut booked = waited.booked;
            booked += settled;
            (unseen, seen.with_booked(booked))
        }
    };
    unseen.on_cpu_ns += watched.unseen_cpu_ns;
    totals.on_cpu_ns += watched.unseen_cpu_ns;
    let known = SwitchClasses {
        within: switches_of(watched, |group| !group.key.alone),
        between: switches_of(watched, |group| group.key.alone),
    };
    Accounts {
        totals: totals.into(),
        threads: thread_rows(watched),
        children: child_rows(watched),
        unseen: (unseen != Books::default()).then(|| Figures {
            // Of what nobody saw these are not known.
            run_queue_wait_ns: None,
            off_cpu_ns: None,
            migrations: None,
            ..unseen.into()
        }),
        classes: known.scaled_to(totals.switches()),
        ended_threads: watched.groups.iter().map(|group| group.ended).sum(),
        processes: watched.groups.iter().map(|group| group.processes).sum(),
    }
}

fn switches_of(watched: &Watched, which: impl Fn(&ThreadGroup) -> bool) -> u64 {
    watched.groups.iter().filter(|group| which(group)).map(|group| group.books.switches()).sum()
}

fn thread_rows(watched: &Watched) -> Vec<ThreadRow> {
    // Whether a thread was alone splits groups that people read as one.
    let mut merged: Vec<(ThreadGroup, Books)> = Vec::new();
    for group in &watched.groups {
        let same = |(other, _): &&mut (ThreadGroup, Books)| {
            let (one, other) = (&group.key, &other.key);
            (&one.process, &one.thread, one.ids, one.of_program)
                == (&other.process, &other.thread, other.ids, other.of_program)
        };
        match merged.iter_mut().find(same) {
            Some((first, books)) => {
                first.ended += group.ended;
                *books += group.books;
            }
            None => merged.push((group.clone(), group.books)),
        }
    }
    let mut rows: Vec<ThreadRow> = merged
        .into_iter()
        .map(|(group, books)| ThreadRow {
            process: group.key.process,
            thread: group.key.thread,
            pid: group.key.ids.map(|(pid, _)| pid),
            tid: group.key.ids.map(|(_, tid)| tid),
            of_program: group.key.of_program,
            ended: group.ended,
            figures: books.into(),
        })
        .collect();
    rows.sort_by_key(|row| (!row.of_program, std::cmp::Reverse(row.figures.switches())));
    rows
}

fn child_rows(watched: &Watched) -> Vec<ChildRow> {
    let mut rows: Vec<(String, u64, Books)> = Vec::new();
    for group in watched.groups.iter().filter(|group| !group.key.of_program) {
        match rows.iter_mut().find(|(process, ..)| *process == group.key.process) {
            Some((_, processes, books)) => {
                *processes += group.processes;
                *books += group.books;
            }
            None => rows.push((group.key.process.clone(), group.processes, group.books)),
        }
    }
    rows.sort_by_key(|(_, _, books)| std::cmp::Reverse(books.switches()));
    rows.into_iter().map(|(process, processes, books)| ChildRow { process, processes, figures: books.into() }).collect()
}
