//! Counters opened through `perf_event_open`, and the meter made of them.

use std::io;

use anyhow::{Context, Result};
use perf_event::events::x86::{Msr, MsrId};
use perf_event::{Builder, Counter as PerfCounter};

use crate::counter::meter::{Edge, Meter, Reading, Ring};
use crate::counter::{CONTEXT_SWITCHES, Counter, EventKind, Side};
use crate::sample::{CounterInfo, CountingMode};

/// What an event watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Everything that runs on this CPU.
    Cpu(usize),
    /// The calling thread, and the threads and processes that it makes from now on.
    CallingThread,
}

impl Target {
    fn mode(self) -> CountingMode {
        match self {
            Target::Cpu(_) => CountingMode::Cpu,
            Target::CallingThread => CountingMode::Thread,
        }
    }
}

/// One event, open and counting.
pub(super) struct OpenCounter {
    info: CounterInfo,
    ring: Ring,
    event: PerfCounter,
}

impl OpenCounter {
    /// # Errors
    /// What `perf_event_open` answers; `NotFound` where the event's PMU is not in /sys.
    pub(super) fn open(counter: &Counter, target: Target) -> io::Result<OpenCounter> {
        let mut builder = match counter.event {
            EventKind::Software(event) => Builder::new(event),
            EventKind::Hardware(event) => Builder::new(event),
            EventKind::TimeStampCounter => Builder::new(Msr::new(MsrId::TSC)?),
        };
        // The builder leaves the kernel out unless told otherwise; the msr PMU refuses every exclusion (EINVAL).
        builder
            .exclude_kernel(counter.side == Side::User)
            .exclude_user(counter.side == Side::Kernel)
            .exclude_hv(counter.side != Side::Both);
        match target {
            Target::Cpu(cpu) => builder.any_pid().one_cpu(cpu),
            Target::CallingThread => builder.observe_self().any_cpu().inherit(true),
        };
        let mut event = builder.build()?;
        event.enable()?;
        let info = CounterInfo { name: counter.name.to_string(), scope: target.mode() };
        Ok(OpenCounter { info, ring: counter.ring, event })
    }

    pub(super) fn read(&mut self) -> Result<Reading> {
        let value = self.event.read_count_and_time().with_context(|| format!("reading `{}`", self.info.name))?;
        Ok(Reading { count: value.count, enabled_ns: value.time_enabled, running_ns: value.time_running })
    }
}

/// The real meter: perf events, all on one target.
///
/// On a CPU, the event that counts switches is opened on demand. Counting one takes the kernel's software-event path at
/// every switch, which cost 3 % of a pipe round trip where this was written, and half of that while the event was open
/// but disabled; the others cost nothing that could be measured.
pub(super) struct PerfMeter {
    target: Target,
    infos: Vec<CounterInfo>,
    switches: Option<OpenCounter>,
    others: Vec<OpenCounter>,
}

impl PerfMeter {
    /// A meter of the event that counts switches, open, and of these others.
    pub(super) fn new(target: Target, switches: OpenCounter, others: Vec<OpenCounter>) -> PerfMeter {
        let infos = std::iter::once(&switches).chain(&others).map(|counter| counter.info.clone()).collect();
        let mut meter = PerfMeter { target, infos, switches: Some(switches), others };
        if meter.switches_on_demand() {
            meter.switches = None;
        }
        meter
    }
}

impl Meter for PerfMeter {
    fn counters(&self) -> &[CounterInfo] {
        &self.infos
    }

    fn switches_on_demand(&self) -> bool {
        matches!(self.target, Target::Cpu(_))
    }

    fn count_switches(&mut self, on: bool) -> Result<()> {
        if self.switches_on_demand() {
            self.switches = if on {
                Some(OpenCounter::open(&CONTEXT_SWITCHES, self.target).context("opening `context-switches` again")?)
            } else {
                None
            };
        }
        Ok(())
    }

    fn read(&mut self, ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
        let Some((switches, others)) = readings.split_first_mut() else { return Ok(()) };
        if ring == Ring::Outer && edge == Edge::Begin {
            *switches = self.switches.as_mut().map(OpenCounter::read).transpose()?;
        }
        let mut read = |(counter, reading): (&mut OpenCounter, &mut Option<Reading>)| -> Result<()> {
            if counter.ring == ring {
                *reading = Some(counter.read()?);
            }
            Ok(())
        };
        let mut pairs = self.others.iter_mut().zip(others);
        match edge {
            Edge::Begin => pairs.try_for_each(&mut read)?,
            Edge::End => pairs.rev().try_for_each(&mut read)?,
        }
        if ring == Ring::Outer && edge == Edge::End {
            *switches = self.switches.as_mut().map(OpenCounter::read).transpose()?;
        }
        Ok(())
    }
}
