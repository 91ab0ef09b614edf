//! The registry of kinds of party: how each is made, how many by default, and what it uses up.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::footprint::holder::Holder;
use crate::footprint::party::Shape;
use crate::tool::go;
use crate::workload::Unavailable;
use crate::workload::kind::Kind;

/// Tells the user what is about to take a while.
type Say<'a> = &'a dyn Fn(&str);

/// One kind of party that can be parked.
#[derive(Debug)]
pub struct PartyKind {
    pub kind: Kind,
    /// How its parties are made and what they wait for.
    pub made_as: &'static str,
    /// The highest count that is measured when none is asked for: some tens of megabytes.
    pub default_max: u64,
    /// Whether each is a thread to the kernel.
    pub is_thread: bool,
    /// Whether it has a stack of its own that it can touch.
    pub has_stack: bool,
    /// Whether they are measured at addresses that are the same every time; they are at randomized ones as well, then.
    pub fixed_addresses: bool,
    /// Whether its own runtime keeps books of its memory.
    pub has_books: bool,
    /// How many of the first ones may be dearer than the next.
    pub knee: fn() -> u64,
    /// Whether this system has what it takes, found out without starting anything.
    pub available: fn() -> Result<(), Unavailable>,
    /// Starts the process that is to hold them. The path is that of this program.
    pub start: fn(&Path, Shape) -> Result<Holder>,
    /// Makes what takes long to make and is kept.
    pub provide: fn(Say<'_>) -> Result<()>,
}

/// The word by which this program is told to hold parties.
pub const HOLD: &str = "hold";

/// Of parties whose addresses are fixed, in how they are made.
pub const FIXED: &str = " without address randomization";

/// Every kind, in the order in which they are shown.
pub static KINDS: &[PartyKind] = &[
    PartyKind {
        kind: Kind::Thread,
        start: |program, shape| hold(program, Kind::Thread, shape),
        made_as: "std::thread with its default stack of 2 MiB, waiting in a futex",
        default_max: 4000,
        is_thread: true,
        knee: arenas,
        ..EMPTY
    },
    PartyKind {
        kind: Kind::Process,
        start: |program, shape| hold(program, Kind::Process, shape),
        made_as: "forked from a small process without address randomization, waiting in pause(2)",
        default_max: 800,
        is_thread: true,
        fixed_addresses: true,
        ..EMPTY
    },
    PartyKind {
        kind: Kind::Task,
        start: |program, shape| hold(program, Kind::Task, shape),
        made_as: "tokio task on a current-thread runtime, waiting for a Notify",
        default_max: 400_000,
        has_stack: false,
        ..EMPTY
    },
    PartyKind {
        kind: Kind::Coroutine,
        start: |program, shape| hold(program, Kind::Coroutine, shape),
        made_as: "corosensei with its default stack of 1 MiB, suspended",
        default_max: 8000,
        ..EMPTY
    },
    PartyKind {
        kind: Kind::Goroutine,
        made_as: "goroutine waiting for a channel to be closed",
        default_max: 100_000,
        has_books: true,
        available: || go::find().map(drop).map_err(Unavailable::from),
        start: |_, shape| Holder::start(&goroutines()?, &[&shape.stack_use.to_string()]),
        provide,
        ..EMPTY
    },
];

/// What a row need not say.
const EMPTY: PartyKind = PartyKind {
    kind: Kind::Reference,
    made_as: "",
    default_max: 1,
    is_thread: false,
    has_stack: true,
    fixed_addresses: false,
    has_books: false,
    knee: || 0,
    available: || Ok(()),
    start: |_, _| bail!("nothing that can be parked"),
    provide: |_| Ok(()),
};

/// How this program is told to hold parties of a kind.
fn hold(program: &Path, kind: Kind, shape: Shape) -> Result<Holder> {
    let numbers = [shape.capacity, shape.stack_use, shape.future_size].map(|number| number.to_string());
    let mut arguments = vec![HOLD, kind.name(), &numbers[0], &numbers[1], &numbers[2]];
    arguments.extend(shape.fixed_addresses.then_some("--fixed-addresses"));
    Holder::start(program, &arguments)
}

/// Each of the first threads is given an arena of its own by glibc, 8 per CPU at most on a 64-bit machine.
///
/// # References
/// mallopt(3), `M_ARENA_MAX`.
fn arenas() -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    8 * cpus
}

/// The module of the goroutines' program, by the names of its files.
const SOURCES: [(&str, &str); 2] =
    [("go.mod", include_str!("goroutine/go.mod")), ("main.go", include_str!("goroutine/main.go"))];

fn goroutines() -> Result<PathBuf> {
    go::find()?.build(&SOURCES)
}

fn provide(say: Say<'_>) -> Result<()> {
    let go = go::find()?;
    if !go.is_built(&SOURCES) {
        say(&format!("building the goroutines' program with {} (once)", go.path().display()));
    }
    go.build(&SOURCES).map(drop)
}
