//! The engine of `memory`: parks parties, reads how much memory there is of them, and has them end.
//!
//! ```text
//! machine   before ────────────────────────────────────────────────────── after: as before, or the sample is disturbed
//! process          starts ─ before ─ makes parties ─ parked ─ they end ─ ends
//! ```
//!
//! Every count of every incarnation has a process of its own.

mod holder;
pub mod kind;
pub mod party;
pub mod plan;

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;

pub use holder::serve;

use crate::footprint::holder::Holder;
use crate::footprint::kind::PartyKind;
use crate::footprint::party::{Made, Shape};
use crate::footprint::plan::{Appetite, FootprintPlan, counts, most};
use crate::host::ceilings;
use crate::host::memory::{self, KernelBook};
use crate::sample::footprint::{Footprints, KindFootprints, Levels, Machine, Point, Stopped};
use crate::sample::{Ending, Kind};
use crate::sys::signal::{self, Watchdog};

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub kind: &'static str,
    pub done: u32,
    pub of: u32,
}

/// Parties in a batch: the clock's two readings vanish in them, and between two batches there is time to look around.
const BATCH: u64 = 500;
const FEWEST_BATCHES: u64 = 16;
/// How many are parked to see what one takes.
const PILOT: u64 = 64;
/// No party that waits takes less.
const LEAST_BYTES: usize = 128;
/// How long the kernel may take to give back what was used: threads and processes are freed after a grace period of RCU.
const SETTLE_STEPS: u32 = 40;
const SETTLE_STEP: Duration = Duration::from_millis(5);
/// Given back but for so much, which other programs use and free all the time.
const SETTLED_WITHIN: u64 = 128 << 10;

/// Measures a plan's kinds in turn, incarnation by incarnation.
///
/// # Errors
/// The kernel does not tell of its memory. What happens to a kind's parties is in what is returned.
pub fn run(plan: &FootprintPlan<'_>, on_progress: &mut dyn FnMut(Progress)) -> Result<Footprints> {
    let watchdog = Watchdog::start()?;
    let mut engine = Engine { plan, watchdog, book: KernelBook::find(Path::new("/")), on_progress, kinds: Vec::new() };
    memory::of_machine()?;
    let ending = match engine.measure() {
        Ok(()) => match signal::stop_requested() {
            Some(signal) => Ending::Interrupted(signal as i32),
            None => Ending::Complete,
        },
        Err(error) => Ending::Failed(format!("{error:#}")),
    };
    Ok(Footprints { kinds: engine.kinds, ending })
}

struct Engine<'a> {
    plan: &'a FootprintPlan<'a>,
    watchdog: Watchdog,
    book: Option<KernelBook>,
    on_progress: &'a mut dyn FnMut(Progress),
    /// As the plan's, with what has been seen of each.
    kinds: Vec<KindFootprints>,
}

/// Why there are fewer parties than were wanted, other than by an error.
#[derive(Debug)]
enum Short {
    /// A signal has come.
    Interrupted,
    Limited(Stopped),
}

impl Engine<'_> {
    fn measure(&mut self) -> Result<()> {
        let plan = self.plan;
        for kind in &plan.kinds {
            let Some(seen) = self.first_look(kind).with_context(|| format!("a first look at {}", kind.kind.name()))?
            else {
                return Ok(());
            };
            self.kinds.push(seen);
        }
        let mut maxima: Vec<u64> = plan
            .kinds
            .iter()
            .zip(&self.kinds)
            .map(|(kind, seen)| seen.stopped.as_ref().map_or(self.asked(kind), |stopped| stopped.reached))
            .collect();
        let of = plan.incarnations * maxima.iter().map(|&max| counts(max).len() as u32).sum::<u32>();
        let mut done = 0;
        for incarnation in 1..=plan.incarnations {
            for (at, kind) in plan.kinds.iter().enumerate() {
                for count in counts(maxima[at]) {
                    (self.on_progress)(Progress { kind: kind.kind.name(), done, of });
                    done += 1;
                    let parked = self.point(kind, incarnation, count, maxima[at]);
                    match parked.with_context(|| format!("{}, {count} of them", kind.kind.name()))? {
                        Ok(point) => self.kinds[at].points.push(point),
                        Err(Short::Interrupted) => return Ok(()),
                        // The next incarnations are of counts that there can be.
                        Err(Short::Limited(stopped)) => {
                            maxima[at] = stopped.reached;
                            self.kinds[at].stopped = Some(stopped);
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn asked(&self, kind: &PartyKind) -> u64 {
        self.plan.max.unwrap_or(kind.default_max)
    }

    /// Parks a few, to know how many there may be; `None` when a signal has come.
    fn first_look(&mut self, kind: &PartyKind) -> Result<Option<KindFootprints>> {
        let asked = self.asked(kind);
        let seen = |stopped| {
            let (made_as, knee) = (kind.made_as.to_string(), (kind.knee)());
            Ok(Some(KindFootprints { kind: kind.kind, made_as, knee, stopped, points: Vec::new() }))
        };
        let root = Path::new("/");
        // What a few take is not known yet; that there may be a process and a thread or two is.
        let (few, stopped) = most(PILOT.min(asked), kind, Appetite::default(), root);
        if few == 0 {
            return seen(stopped.map(|stopped| Stopped { asked, ..stopped }));
        }
        let mut holder = self.start(kind, few)?;
        let before = self.levels(&holder)?;
        let mappings_before = memory::mappings(holder.pid()).unwrap_or(0);
        let outcome = self.fill(&mut holder, few, asked)?;
        let parked = self.levels(&holder)?;
        let mappings = memory::mappings(holder.pid()).unwrap_or(0);
        holder.end()?;
        match outcome {
            Ok(_) => {}
            Err(Short::Interrupted) => return Ok(None),
            Err(Short::Limited(stopped)) => return seen(Some(stopped)),
        }
        let grown = |of: fn(&Levels) -> u64| of(&parked).saturating_sub(of(&before)) as f64 / few as f64;
        let kernel = |levels: &Levels| levels.machine.kernel_stack_bytes + levels.machine.slab_bytes;
        let bytes = grown(|levels| levels.family.pss_bytes + levels.family.page_table_bytes) + grown(kernel);
        let mappings =
            if kind.kind == Kind::Process { 0.0 } else { mappings.saturating_sub(mappings_before) as f64 / few as f64 };
        // Of tasks, a few may still fit into what the process had.
        let appetite = Appetite { bytes: bytes.max(self.least_bytes(kind)), mappings, mappings_before };
        seen(most(asked, kind, appetite, root).1)
    }

    /// What a party takes at least.
    fn least_bytes(&self, kind: &PartyKind) -> f64 {
        let Shape { stack_use, future_size, .. } = self.plan.shape;
        let state = if kind.has_stack { stack_use } else { future_size };
        (LEAST_BYTES + state) as f64
    }

    /// Parks so many parties once.
    fn point(&mut self, kind: &PartyKind, incarnation: u32, count: u64, max: u64) -> Result<Result<Point, Short>> {
        if signal::stop_requested().is_some() {
            return Ok(Err(Short::Interrupted));
        }
        let machine_before = memory::of_machine()?;
        let mut holder = self.start(kind, count)?;
        let own_before = holder.own_bytes()?;
        let before = self.levels(&holder)?;
        let batches = match self.fill(&mut holder, count, max)? {
            Ok(batches) => batches,
            Err(short) => {
                holder.end()?;
                return Ok(Err(short));
            }
        };
        let own_parked = holder.own_bytes()?;
        let parked = self.levels(&holder)?;
        self.watchdog.progress();
        let end_ns = holder.end()?;
        let machine_after = self.settled(&machine_before)?;
        Ok(Ok(Point {
            incarnation,
            count,
            before,
            parked,
            machine_before,
            machine_after: Some(machine_after),
            creation_ns: batches.iter().map(|batch| batch.created_ns).collect(),
            first_run_ns: batches.iter().map(|batch| batch.ran_ns).collect(),
            batch: batches.first().map_or(0, |batch| batch.count as u64),
            end_ns,
            own_bytes: own_before.zip(own_parked).map(|(before, parked)| [before, parked]),
        }))
    }

    fn start(&self, kind: &PartyKind, capacity: u64) -> Result<Holder> {
        self.watchdog.progress();
        let shape = Shape { capacity: usize::try_from(capacity)?, ..self.plan.shape };
        let holder = (kind.start)(self.plan.program, shape)?;
        // If memory should run out all the same, it is this process that goes; it may always be made more likely.
        let _ = fs::write(format!("/proc/{}/oom_score_adj", holder.pid()), "1000");
        Ok(holder)
    }

    /// Makes parties batch by batch, and looks around between two.
    fn fill(&self, holder: &mut Holder, count: u64, asked: u64) -> Result<Result<Vec<Made>, Short>> {
        let (batch, mut made, mut batches) = ((count / FEWEST_BATCHES).clamp(1, BATCH), 0, Vec::new());
        let floors = Floors::now();
        while made < count {
            if signal::stop_requested().is_some() {
                return Ok(Err(Short::Interrupted));
            }
            if let Some(stopped) = floors.reached(asked, made) {
                return Ok(Err(Short::Limited(stopped)));
            }
            let done = holder.make(batch.min(count - made))?;
            self.watchdog.progress();
            made += done.count as u64;
            if let Some(errno) = done.refused {
                return Ok(Err(Short::Limited(refused(errno, asked, made))));
            }
            batches.push(done);
        }
        Ok(Ok(batches))
    }

    /// The kernel's books first: reading a process's own makes the kernel keep something of it.
    fn levels(&self, holder: &Holder) -> Result<Levels> {
        let machine = memory::of_machine()?;
        let cgroup_kernel_bytes = self.book.as_ref().and_then(KernelBook::read);
        let mut family = memory::of_process(holder.pid())?;
        for (at, child) in memory::children(holder.pid()).into_iter().enumerate() {
            let one = memory::of_process(child)?;
            family.pss_bytes += one.pss_bytes;
            family.anonymous_huge_bytes += one.anonymous_huge_bytes;
            family.virtual_bytes += one.virtual_bytes;
            family.page_table_bytes += one.page_table_bytes;
            if at % 256 == 0 {
                self.watchdog.progress();
            }
        }
        Ok(Levels { family, machine, cgroup_kernel_bytes })
    }

    /// The machine once it has what it had before, or when it has been waited for long enough.
    fn settled(&self, before: &Machine) -> Result<Machine> {
        let kernel = |machine: &Machine| machine.kernel_stack_bytes + machine.slab_bytes;
        let mut now = memory::of_machine()?;
        for _ in 0..SETTLE_STEPS {
            if kernel(&now) <= kernel(before) + SETTLED_WITHIN {
                break;
            }
            sleep(SETTLE_STEP);
            self.watchdog.progress();
            now = memory::of_machine()?;
        }
        Ok(now)
    }
}

/// How much room is to be left while parties are made.
struct Floors {
    spared: Vec<(String, u64)>,
}

impl Floors {
    fn now() -> Floors {
        let ceilings = ceilings::of_memory(Path::new("/"));
        Floors { spared: ceilings.into_iter().map(|ceiling| (ceiling.name, ceiling.spared)).collect() }
    }

    /// The limit that is as good as reached.
    fn reached(&self, asked: u64, made: u64) -> Option<Stopped> {
        let low = |ceiling: &ceilings::Ceiling| {
            let spared = self.spared.iter().find(|(name, _)| *name == ceiling.name).map(|(_, spared)| *spared);
            spared.is_some_and(|spared| ceiling.value.saturating_sub(ceiling.used) < spared)
        };
        let ceiling = ceilings::of_memory(Path::new("/")).into_iter().find(low)?;
        Some(plan::stopped(asked, made / 2, &ceiling))
    }
}

/// What a refusal means: of the limits that could have refused, the nearest is named.
fn refused(errno: Errno, asked: u64, made: u64) -> Stopped {
    let root = Path::new("/");
    let ceilings = if errno == Errno::EAGAIN { ceilings::of_threads(root) } else { ceilings::of_memory(root) };
    match ceilings::lowest(&ceilings) {
        Some(ceiling) => {
            let stopped = plan::stopped(asked, made, ceiling);
            Stopped {
                reason: format!("the system refused another one ({errno:?}); nearest is {}", stopped.reason),
                ..stopped
            }
        }
        None => Stopped {
            limit: format!("{errno:?}"),
            value: None,
            reason: format!("the system refused another one: {errno}"),
            remedy: None,
            asked,
            reached: made,
        },
    }
}
