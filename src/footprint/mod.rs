//! The engine of `memory`: parks participants, reads how much memory they take, and ends them.
//!
//! ```text
//! machine   before ──────────────────────────────────────────────────────────── after: as before, or it was disturbed
//! process          starts ─ before ─ participants ── n/8 ─ n/4 ─ n/2 ─ n ─ they end ─ ends
//! ```
//!
//! Every repetition has a process of its own, but its counts do not: memory layout is random, and with it the number of page
//! tables of a forked process (11 to 15), so that between two processes half of a slope could be chance. For the same reason
//! its figures are of processes with fixed addresses; randomized ones are measured beside that.

mod disturbance;
pub mod document;
pub mod figures;
pub(crate) mod holder;
pub mod kind;
pub mod participant;
pub mod plan;
pub mod samples;
mod view;

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;

pub use holder::serve;

use crate::document::Ending;
use crate::footprint::holder::Holder;
use crate::footprint::kind::{FIXED, ParticipantKind};
use crate::footprint::participant::{Made, Shape};
use crate::footprint::plan::{FootprintPlan, ResourceNeed, counts, most};
use crate::footprint::samples::{Footprints, KindFootprints, Levels, Point, Repetition, Stopped};
use crate::host::ceilings::{self, Ceiling};
use crate::host::memory::{self, KernelAccount, Machine};
use crate::sys::layout;
use crate::sys::signal::{self, Watchdog};
use crate::workload::kind::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub kind: &'static str,
    pub done: u32,
    pub of: u32,
}

/// Participants in a batch: two readings of the clock are negligible in it, and limits are checked between two batches.
const BATCH: u64 = 500;
const FEWEST_BATCHES: u64 = 16;
/// Number parked to see what one takes.
const PILOT: u64 = 64;
/// Least memory of a waiting participant.
const LEAST_BYTES: usize = 128;
/// Steps that the kernel may take to give back memory: threads and processes are freed after a grace period of RCU.
const SETTLE_STEPS: u32 = 40;
const SETTLE_STEP: Duration = Duration::from_millis(5);
/// Bytes that may be missing from what was given back: other programs use and free so much all the time.
const SETTLED_WITHIN: u64 = 128 << 10;

/// Measures a plan's kinds in turn, repetition by repetition.
///
/// # Errors
/// The kernel does not report its memory. Failures of a kind's participants are in the result.
pub fn run(plan: &FootprintPlan<'_>, on_progress: &mut dyn FnMut(Progress)) -> Result<Footprints> {
    let watchdog = Watchdog::start()?;
    let mut engine =
        Engine { plan, watchdog, account: KernelAccount::find(Path::new("/")), on_progress, kinds: Vec::new() };
    memory::of_machine(None)?;
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
    account: Option<KernelAccount>,
    on_progress: &'a mut dyn FnMut(Progress),
    /// In the plan's order, with what has been seen of each.
    kinds: Vec<KindFootprints>,
}

/// Reason why there are fewer participants than wanted, other than an error.
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
        let most = |(kind, seen): (&&'static ParticipantKind, &KindFootprints)| {
            seen.stopped.as_ref().map_or(self.asked(kind), |stopped| stopped.reached)
        };
        let mut maxima: Vec<u64> = plan.kinds.iter().zip(&self.kinds).map(most).collect();
        let layouts: Vec<&[bool]> = plan.kinds.iter().map(|kind| layouts(kind)).collect();
        let of = plan.repetitions * plan.kinds.len() as u32;
        for number in 0..plan.repetitions {
            for (at, kind) in plan.kinds.iter().enumerate() {
                let done = number * plan.kinds.len() as u32 + at as u32;
                (self.on_progress)(Progress { kind: kind.kind.name(), done, of });
                if maxima[at] == 0 {
                    continue;
                }
                for &randomized in layouts[at] {
                    let (repetition, short) = self
                        .repetition(kind, maxima[at], randomized)
                        .with_context(|| format!("repetition {} of {}", number + 1, kind.kind.name()))?;
                    let seen = &mut self.kinds[at];
                    let repetitions = if randomized { &mut seen.randomized } else { &mut seen.repetitions };
                    repetitions.extend(repetition.filter(|repetition| !repetition.points.is_empty()));
                    match short {
                        None => {}
                        Some(Short::Interrupted) => return Ok(()),
                        // The next repetitions use counts that are possible.
                        Some(Short::Limited(stopped)) => {
                            maxima[at] = stopped.reached;
                            self.kinds[at].stopped = Some(Stopped { asked: self.asked(kind), ..stopped });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn asked(&self, kind: &ParticipantKind) -> u64 {
        self.plan.max.unwrap_or(kind.default_max)
    }

    /// Parks a few, to find out how many are possible; `None` when a signal has come.
    fn first_look(&mut self, kind: &ParticipantKind) -> Result<Option<KindFootprints>> {
        let asked = self.asked(kind);
        let seen = |stopped| {
            let as_allowed = if layout::can_fix() { FIXED } else { "" };
            let (made_as, knee) = (kind.made_as.replace(FIXED, as_allowed), (kind.knee)());
            let (repetitions, randomized) = (Vec::new(), Vec::new());
            Ok(Some(KindFootprints { kind: kind.kind, made_as, knee, stopped, repetitions, randomized }))
        };
        let root = Path::new("/");
        // Memory per participant is not known yet; room for a process and a thread or two is checked.
        let (few, stopped) = most(PILOT.min(asked), kind, ResourceNeed::default(), root);
        if few == 0 {
            return seen(stopped.map(|stopped| Stopped { asked, ..stopped }));
        }
        let mut holder = self.start(kind, few, false)?;
        let before = self.levels(&mut holder)?;
        let mappings_before = memory::mappings(holder.pid()).unwrap_or(0);
        let outcome = self.fill(&mut holder, 0, few)?;
        let parked = self.levels(&mut holder)?;
        let mappings = memory::mappings(holder.pid()).unwrap_or(0);
        holder.end()?;
        match outcome {
            Ok(_) => {}
            Err(Short::Interrupted) => return Ok(None),
            Err(Short::Limited(stopped)) => return seen(Some(Stopped { asked, ..stopped })),
        }
        let grown = |of: fn(&Levels) -> u64| of(&parked).saturating_sub(of(&before)) as f64 / few as f64;
        let kernel = |levels: &Levels| levels.machine.kernel_stack_bytes + levels.machine.slab_bytes;
        let bytes = grown(|levels| levels.family.pss_bytes + levels.family.page_table_bytes) + grown(kernel);
        let mappings =
            if kind.kind == Kind::Process { 0.0 } else { mappings.saturating_sub(mappings_before) as f64 / few as f64 };
        // A few tasks may still fit into what the process had.
        let resource_need = ResourceNeed { bytes: bytes.max(self.least_bytes(kind)), mappings, mappings_before };
        seen(most(asked, kind, resource_need, root).1)
    }

    fn least_bytes(&self, kind: &ParticipantKind) -> f64 {
        let Shape { stack_use, future_size, .. } = self.plan.shape;
        let state = if kind.has_stack { stack_use } else { future_size };
        (LEAST_BYTES + state) as f64
    }

    /// Parks participants up to `max` in a new process, and reads memory at each count; returns also why it stopped early.
    fn repetition(
        &mut self,
        kind: &ParticipantKind,
        max: u64,
        randomized: bool,
    ) -> Result<(Option<Repetition>, Option<Short>)> {
        if signal::stop_requested().is_some() {
            return Ok((None, Some(Short::Interrupted)));
        }
        let machine_before = self.machine()?;
        let mut holder = self.start(kind, max, randomized)?;
        let before = self.levels(&mut holder)?;
        let (mut points, mut made, mut short) = (Vec::new(), 0, None);
        for count in counts(max) {
            match self.fill(&mut holder, made, count)? {
                Ok(batches) => points.push(Point {
                    count,
                    parked: self.levels(&mut holder)?,
                    batch: batches.first().map_or(1, |batch| batch.count as u64),
                    spawn_ns: batches.iter().map(|batch| batch.created_ns).collect(),
                    first_run_ns: batches.iter().map(|batch| batch.ran_ns).collect(),
                }),
                Err(reason) => {
                    short = Some(reason);
                    break;
                }
            }
            made = count;
        }
        self.watchdog.progress();
        let join_ns = holder.end()?;
        let machine_after = self.settled(&machine_before)?;
        Ok((Some(Repetition { machine_before, before, points, join_ns, machine_after }), short))
    }

    fn start(&self, kind: &ParticipantKind, capacity: u64, randomized: bool) -> Result<Holder> {
        self.watchdog.progress();
        let fixed_addresses = kind.fixed_addresses && !randomized;
        let shape = Shape { capacity: usize::try_from(capacity)?, fixed_addresses, ..self.plan.shape };
        let holder = (kind.start)(self.plan.program, shape)?;
        // If memory runs out all the same, it is this process that is killed; raising the score is always allowed.
        let _ = fs::write(format!("/proc/{}/oom_score_adj", holder.pid()), "1000");
        Ok(holder)
    }

    /// Makes participants up to a count batch by batch, and checks limits between two.
    fn fill(&self, holder: &mut Holder, already: u64, count: u64) -> Result<Result<Vec<Made>, Short>> {
        let batch = ((count - already) / FEWEST_BATCHES).clamp(1, BATCH);
        let (mut made, mut batches) = (already, Vec::new());
        let no_switch_costs = NoSwitchCosts::now();
        while made < count {
            if signal::stop_requested().is_some() {
                return Ok(Err(Short::Interrupted));
            }
            if let Some(stopped) = no_switch_costs.reached(made) {
                return Ok(Err(Short::Limited(stopped)));
            }
            let done = holder.make(batch.min(count - made))?;
            self.watchdog.progress();
            made += done.count as u64;
            if let Some(errno) = done.refused {
                return Ok(Err(Short::Limited(refused(errno, made))));
            }
            batches.push(done);
        }
        Ok(Ok(batches))
    }

    fn machine(&self) -> Result<Machine> {
        memory::of_machine(self.account.as_ref())
    }

    /// Returns the levels of memory. The kernel's come first: reading a process's own makes the kernel allocate some.
    fn levels(&self, holder: &mut Holder) -> Result<Levels> {
        let own_bytes = holder.own_bytes()?;
        let machine = self.machine()?;
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
        Ok(Levels { family, machine, own_bytes })
    }

    /// Returns the machine's levels once they are back to those before, or after waiting long enough.
    fn settled(&self, before: &Machine) -> Result<Machine> {
        let mut now = self.machine()?;
        for _ in 0..SETTLE_STEPS {
            if now.kernel_bytes() <= before.kernel_bytes() + SETTLED_WITHIN {
                break;
            }
            sleep(SETTLE_STEP);
            self.watchdog.progress();
            now = self.machine()?;
        }
        Ok(now)
    }
}

/// Returns the layouts that a kind is measured in, as it is and randomized: both if they differ and fixed addresses are
/// allowed.
fn layouts(kind: &ParticipantKind) -> &'static [bool] {
    let both = kind.fixed_addresses && layout::can_fix() && layout::is_randomized();
    if both { &[false, true] } else { &[false] }
}

/// Memory to be left while participants are made.
struct NoSwitchCosts {
    spared: Vec<(String, u64)>,
}

impl NoSwitchCosts {
    fn now() -> NoSwitchCosts {
        let ceilings = ceilings::of_memory(Path::new("/"));
        NoSwitchCosts { spared: ceilings.into_iter().map(|ceiling| (ceiling.name, ceiling.spared)).collect() }
    }

    /// Returns the limit that is nearly reached.
    fn reached(&self, made: u64) -> Option<Stopped> {
        let low = |ceiling: &Ceiling| {
            let spared = self.spared.iter().find(|(name, _)| *name == ceiling.name).map(|(_, spared)| *spared);
            spared.is_some_and(|spared| ceiling.value.saturating_sub(ceiling.used) < spared)
        };
        let ceiling = ceilings::of_memory(Path::new("/")).into_iter().find(low)?;
        Some(plan::stopped(made, made, &ceiling))
    }
}

/// Returns the cause of a refusal: of the limits that could have refused, the one that is nearly reached.
fn refused(errno: Errno, made: u64) -> Stopped {
    let root = Path::new("/");
    let ceilings = if errno == Errno::EAGAIN { ceilings::of_threads(root) } else { ceilings::of_memory(root) };
    of_refusal(errno, made, &ceilings)
}

fn of_refusal(errno: Errno, made: u64, ceilings: &[Ceiling]) -> Stopped {
    let near = |ceiling: &&Ceiling| ceiling.room() <= ceiling.value / 10;
    if let Some(ceiling) = ceilings::lowest(ceilings).filter(near) {
        let stopped = plan::stopped(made, made, ceiling);
        return Stopped {
            reason: format!("the system refused another one ({errno:?}); {}", stopped.reason),
            ..stopped
        };
    }
    Stopped {
        limit: format!("{errno:?}"),
        value: None,
        reason: format!(
            "the system refused another one ({errno:?}) with no known limit near: a security module, a seccomp filter, or a container's host has its own"
        ),
        remedy: None,
        asked: made,
        reached: made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_limit_that_is_near_or_says_that_none_is() {
        let ceiling = |value, used| Ceiling {
            name: "a limit".to_string(),
            value,
            used,
            spared: 4,
            in_bytes: false,
            remedy: "raise it".to_string(),
        };
        let near = of_refusal(Errno::EAGAIN, 7, &[ceiling(32_768, 100), ceiling(100, 95)]);
        assert_eq!((near.limit.as_str(), near.value, near.reached), ("a limit", Some(100), 7));
        assert!(near.reason.contains("EAGAIN") && near.reason.contains("of which 95 are in use"), "{near:?}");
        let far = of_refusal(Errno::EAGAIN, 7, &[ceiling(32_768, 100)]);
        assert_eq!((far.limit.as_str(), far.value, far.remedy), ("EAGAIN", None, None));
        assert!(far.reason.contains("seccomp"));
    }
}
