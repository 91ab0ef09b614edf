//! Taking one sample, and calibrating how many ops it has.

use anyhow::Result;

use crate::bench::engine::plan::Entry;
use crate::bench::engine::reference_loop;
use crate::bench::sample::Sample;
use crate::perf::accounting::Accounting;
use crate::perf::counting::CountingMode;
use crate::perf::meter::{Attached, Edge, Meter, Reading, Ring};
use crate::sys::clock::monotonic_ns;
use crate::sys::signal::Watchdog;
use crate::workload::kind::SwitchSource;
use crate::workload::session::{Laps, PlayTimes, Played, Session};

/// Target length of a sample, in ns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Length(f64);

impl Length {
    pub(super) fn of(entry: &Entry) -> Length {
        /// Across CPUs an op may take a tenth of a millisecond by itself.
        const APART_NS: f64 = 1_000_000.0;
        /// Of a ring of threads or processes: a participant that is preempted by the one it has just woken runs on
        /// later, an extra switch, and how often that happens settles only after some milliseconds of play.
        const RING_NS: f64 = 4_000_000.0;
        let is_kernels_ring = entry.setting.ring.is_some() && entry.workload.switch_source == SwitchSource::Kernel;
        let together_ns = if is_kernels_ring { RING_NS } else { f64::from(entry.workload.sample_ns) };
        Length(if entry.setting.is_apart() { together_ns.max(APART_NS) } else { together_ns })
    }
}

/// Time spent before a repetition's first sample: first touches, caches, branch predictors.
const WARM_UP_NS: u64 = 2_000_000;

/// A session under observation.
pub(super) struct Sampler<'a> {
    session: &'a mut dyn Session,
    meter: &'a mut dyn Meter,
    watchdog: &'a Watchdog,
    accounting: Accounting,
    begin: Vec<Option<Reading>>,
    end: Vec<Option<Reading>>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(session: &'a mut dyn Session, attached: &'a mut Attached, watchdog: &'a Watchdog) -> Self {
        let participants =
            session.participants().into_iter().map(|participant| (participant.process, participant.thread));
        let accounting = Accounting::open(participants, attached.counting.mode != CountingMode::None);
        let meter = attached.meter.as_mut();
        let counters = meter.counters().len();
        Sampler { session, meter, watchdog, accounting, begin: vec![None; counters], end: vec![None; counters] }
    }

    /// Plays until caches and clocks are warm, and at least this many ops have been played.
    pub(super) fn warm_up(&mut self, ops: u64, at_least: u64) -> Result<()> {
        self.warm_up_for(WARM_UP_NS, ops, at_least)
    }

    /// The same for half as long: half a no-switch loop is one loop in one thread.
    pub(super) fn warm_up_no_switch(&mut self, ops: u64) -> Result<()> {
        self.warm_up_for(WARM_UP_NS / 2, ops, 0)
    }

    fn warm_up_for(&mut self, warm_up_ns: u64, ops: u64, at_least: u64) -> Result<()> {
        let began = monotonic_ns();
        let mut played = 0;
        while monotonic_ns() - began < warm_up_ns || played < at_least {
            let ops = self.session.fitting(ops);
            self.session.play(ops)?;
            played += ops;
            self.watchdog.progress();
        }
        // Of all of them: samples read only those that take part.
        self.accounting.others(None);
        Ok(())
    }

    /// The same with the clock read after every op.
    pub(super) fn warm_up_each(&mut self, ops: u64, laps: &mut Laps) -> Result<()> {
        let began = monotonic_ns();
        while monotonic_ns() - began < WARM_UP_NS {
            self.session.play_each(ops, laps)?;
            self.watchdog.progress();
        }
        Ok(())
    }

    /// Returns how many ops fill a sample.
    ///
    /// The best of three tries counts at each step, so that a neighbour's time slice is not taken for the cost.
    pub(super) fn calibrate(&mut self, Length(sample_ns): Length) -> Result<u64> {
        let mut ops = 1;
        loop {
            let mut best_ns_per_op = f64::INFINITY;
            for _ in 0..3 {
                // Where a ring's token is after one play decides how many hops the next may have.
                let ops = self.session.fitting(ops);
                best_ns_per_op = best_ns_per_op.min(self.session.play(ops)?.elapsed_ns as f64 / ops as f64);
                self.watchdog.progress();
            }
            let filling = sample_ns / best_ns_per_op;
            if ops as f64 >= filling / 4.0 {
                return Ok((filling as u64).max(1));
            }
            ops *= 2;
        }
    }

    /// Returns true if [`Sampler::count_switches`] changes anything.
    pub(super) fn switches_on_demand(&self) -> bool {
        self.meter.switches_on_demand()
    }

    /// Has the meter count switches from now on, or no longer.
    pub(super) fn count_switches(&mut self, on: bool) -> Result<()> {
        self.meter.count_switches(on)
    }

    /// Returns the cost of reading the clock after every op of these participants, ns.
    pub(super) fn lap_cost_ns(&mut self) -> Result<f64> {
        self.session.lap_cost_ns()
    }

    /// Plays `ops` ops once, or the few more that it takes, with everything read around them.
    pub(super) fn sample(&mut self, ops: u64) -> Result<Sample> {
        let ops = self.session.fitting(ops);
        self.sample_of(ops, |session| session.play(ops))
    }

    /// The same with the clock read after every op; the sample's time is from the first of these readings to the last.
    pub(super) fn sample_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Sample> {
        let sample = self.sample_of(ops, |session| session.play_each(ops, laps))?;
        Ok(Sample { elapsed_ns: laps.elapsed_ns(), ..sample })
    }

    fn sample_of(&mut self, ops: u64, play: impl FnOnce(&mut dyn Session) -> Result<Played>) -> Result<Sample> {
        // Before anything is counted: the turn that ends now is not part of this sample.
        self.accounting.settle();
        let reference_loop_before_ns = reference_loop::measure();
        self.meter.read(Ring::Outer, Edge::Begin, &mut self.begin)?;
        // With many participants, those were read at the end of their last play.
        let others = self.accounting.others(Some(&[]));
        self.meter.read(Ring::Inner, Edge::Begin, &mut self.begin)?;
        let accounted = self.accounting.own().with(others);
        let started_at_ns = accounted.at_ns();
        let played = play(self.session)?;
        let own = self.accounting.own();
        self.meter.read(Ring::Inner, Edge::End, &mut self.end)?;
        let active = self.session.visited();
        let mut participants = own.with(self.accounting.others(active.as_deref())).since(accounted);
        if let Some(PlayTimes { wall_ns, cpu_ns }) = played.times {
            (participants.wall_ns, participants.cpu_ns) = (wall_ns, Some(cpu_ns));
        }
        self.meter.read(Ring::Outer, Edge::End, &mut self.end)?;
        let reference_loop_after_ns = reference_loop::measure();
        self.watchdog.progress();
        let counts = self
            .begin
            .iter()
            .zip(&self.end)
            .map(|(begin, end)| Some(end.as_ref()?.count - begin.as_ref()?.count))
            .collect();
        Ok(Sample {
            started_at_ns,
            ops,
            elapsed_ns: played.elapsed_ns,
            own_switches: played.own_switches,
            participants,
            reference_loop_ns: reference_loop_before_ns.max(reference_loop_after_ns),
            counts,
        })
    }

    pub(super) fn readings(&mut self) -> Result<Vec<Option<Reading>>> {
        let mut now = vec![None; self.begin.len()];
        self.meter.read(Ring::Outer, Edge::Begin, &mut now)?;
        self.meter.read(Ring::Inner, Edge::Begin, &mut now)?;
        Ok(now)
    }
}
