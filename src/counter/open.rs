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
    infos: Vec<CounterInfo>,
    /// `None` while it is not open.
    counters: Vec<Option<OpenCounter>>,
    /// The CPU on which the first counter, that of switches, is opened on demand.
    on_demand: Option<usize>,
}

impl PerfMeter {
    /// A meter of these counters, all open, on one target; if it counts switches, that one is the first.
    pub(super) fn new(target: Target, counters: Vec<OpenCounter>) -> PerfMeter {
        let infos: Vec<CounterInfo> = counters.iter().map(|counter| counter.info.clone()).collect();
        let mut counters: Vec<Option<OpenCounter>> = counters.into_iter().map(Some).collect();
        let on_demand = match (target, counters.first_mut()) {
            (Target::Cpu(cpu), Some(switches)) => {
                *switches = None;
                Some(cpu)
            }
            _ => None,
        };
        PerfMeter { infos, counters, on_demand }
    }
}

impl Meter for PerfMeter {
    fn counters(&self) -> &[CounterInfo] {
        &self.infos
    }

    fn switches_on_demand(&self) -> bool {
        self.on_demand.is_some()
    }

    fn count_switches(&mut self, on: bool) -> Result<()> {
        if let Some(cpu) = self.on_demand {
            let event = on.then(|| OpenCounter::open(&CONTEXT_SWITCHES, Target::Cpu(cpu)));
            self.counters[0] = event.transpose().context("opening `context-switches` again")?;
        }
        Ok(())
    }

    fn read(&mut self, ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
        let read = |(counter, reading): (&mut Option<OpenCounter>, &mut Option<Reading>)| -> Result<()> {
            match counter {
                Some(counter) if counter.ring == ring => *reading = Some(counter.read()?),
                Some(_) => {}
                None => *reading = None,
            }
            Ok(())
        };
        let mut pairs = self.counters.iter_mut().zip(readings);
        match edge {
            Edge::Begin => pairs.try_for_each(read),
            Edge::End => pairs.rev().try_for_each(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::SOFTWARE;

    /// What a counter of the calling thread reads after ten sleeps; `None` where perf is not to be had.
    fn after_ten_sleeps(counter: &Counter) -> Option<u64> {
        let mut open = match OpenCounter::open(counter, Target::CallingThread) {
            Ok(open) => open,
            Err(error) => {
                let required = std::env::var("CTXPROF_TEST_REQUIRE").is_ok_and(|list| list.contains("perf"));
                assert!(!required, "this machine is said to have perf, and {} answers {error}", counter.name);
                eprintln!("skipped: {}: {error}", counter.name);
                return None;
            }
        };
        (0..10).for_each(|_| std::thread::sleep(std::time::Duration::from_micros(100)));
        Some(open.read().unwrap().count)
    }

    #[test]
    fn switches_are_counted_on_their_own_side_only() {
        if let Some(count) = after_ten_sleeps(&CONTEXT_SWITCHES) {
            assert!(count >= 10, "{count}");
        }
        if let Some(count) = after_ten_sleeps(&Counter { side: Side::User, ..CONTEXT_SWITCHES }) {
            assert_eq!(count, 0, "without the kernel there is nothing to see, and no error that says so");
        }
    }

    #[test]
    fn every_software_counter_opens_and_is_read() {
        for counter in SOFTWARE.iter().filter(|counter| counter.scope.includes(CountingMode::Thread)) {
            after_ten_sleeps(counter);
        }
    }
}
