//! The registry of kinds of participant: how each is made, how many by default, and which resources it takes.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::footprint::holder::Holder;
use crate::footprint::participant::Shape;
use crate::sys::unavailable::Unavailable;
use crate::tool::go;
use crate::workload::kind::Kind;

/// Reports to the user what is about to take a while.
type Say<'a> = &'a dyn Fn(&str);

/// One kind of participant that can be parked.
#[derive(Debug)]
pub struct ParticipantKind {
    pub kind: Kind,
    /// Way its participants are made, and what they wait for.
    pub made_as: &'static str,
    /// Highest count when none is asked for: some tens of megabytes.
    pub default_max: u64,
    /// True if each is a thread to the kernel.
    pub is_thread: bool,
    /// True if it has a stack of its own that it can touch.
    pub has_stack: bool,
    /// True if measured at fixed addresses, and then at randomized ones as well.
    pub fixed_addresses: bool,
    /// True if its own runtime has accounting of its memory.
    pub has_accounting: bool,
    /// Number of the first ones that may take more than the next.
    pub knee: fn() -> u64,
    /// Checks that this system has what it needs, without starting anything.
    pub available: fn() -> Result<(), Unavailable>,
    /// Starts the process that is to hold them; the path is that of this program.
    pub start: fn(&Path, Shape) -> Result<Holder>,
    /// Makes what takes long to make and is reused.
    pub provide: fn(Say<'_>) -> Result<()>,
}

/// Command by which this program holds participants.
pub const HOLD: &str = "hold";

/// Part of `made_as` for participants at fixed addresses.
pub const FIXED: &str = " without address randomization";

/// Every kind, in the order of display.
pub static KINDS: &[ParticipantKind] = &[
    ParticipantKind {
        kind: Kind::Thread,
        start: |program, shape| hold(program, Kind::Thread, shape),
        made_as: "std::thread with its default stack of 2 MiB, waiting in a futex",
        default_max: 4000,
        is_thread: true,
        knee: arenas,
        ..EMPTY
    },
    ParticipantKind {
        kind: Kind::Process,
        start: |program, shape| hold(program, Kind::Process, shape),
        made_as: "forked from a small process without address randomization, waiting in pause(2)",
        default_max: 800,
        is_thread: true,
        fixed_addresses: true,
        ..EMPTY
    },
    ParticipantKind {
        kind: Kind::Task,
        start: |program, shape| hold(program, Kind::Task, shape),
        made_as: "tokio task on a current-thread runtime, waiting for a Notify",
        default_max: 400_000,
        has_stack: false,
        ..EMPTY
    },
    ParticipantKind {
        kind: Kind::Coroutine,
        start: |program, shape| hold(program, Kind::Coroutine, shape),
        made_as: "corosensei with its default stack of 1 MiB, suspended",
        default_max: 8000,
        ..EMPTY
    },
    ParticipantKind {
        kind: Kind::Goroutine,
        made_as: "goroutine waiting for a channel to be closed",
        default_max: 100_000,
        has_accounting: true,
        available: || go::find().map(drop),
        start: |_, shape| Holder::start(&goroutines()?, &[&shape.stack_use.to_string()]),
        provide,
        ..EMPTY
    },
];

/// Defaults of a row.
const EMPTY: ParticipantKind = ParticipantKind {
    kind: Kind::Reference,
    made_as: "",
    default_max: 1,
    is_thread: false,
    has_stack: true,
    fixed_addresses: false,
    has_accounting: false,
    knee: || 0,
    available: || Ok(()),
    start: |_, _| bail!("nothing that can be parked"),
    provide: |_| Ok(()),
};

/// Starts this program to hold participants of a kind.
fn hold(program: &Path, kind: Kind, shape: Shape) -> Result<Holder> {
    let numbers = [shape.capacity, shape.stack_use, shape.future_size].map(|number| number.to_string());
    let mut arguments = vec![HOLD, kind.name(), &numbers[0], &numbers[1], &numbers[2]];
    arguments.extend(shape.fixed_addresses.then_some("--fixed-addresses"));
    Holder::start(program, &arguments)
}

/// Returns the number of first threads that each get an arena from glibc: 8 per CPU at most on a 64-bit machine.
///
/// # References
/// mallopt(3), `M_ARENA_MAX`.
fn arenas() -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    8 * cpus
}

/// Files of the goroutines' module, by name.
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
