//! Counters opened with `perf_event_open`, and the meter built from them.

use std::ffi::CStr;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use perf_event::events::Event;
use perf_event::events::x86::{Msr, MsrId};
use perf_event::{Builder, Counter as PerfCounter, Group};

use crate::perf::counting::{CounterInfo, CountingMode};
use crate::perf::meter::{Edge, Meter, Reading, Ring};
use crate::perf::{CONTEXT_SWITCHES, Counter, EventKind, Side};
use crate::sys::perf;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Everything that runs on this CPU.
    Cpu(usize),
    /// The calling thread, and the threads and processes that it creates from now on.
    CallingThread,
    /// The same of another thread.
    Thread(Pid),
    /// The same of a child, once it has called exec.
    AfterExec(Pid),
}

impl Target {
    fn mode(self) -> CountingMode {
        match self {
            Target::Cpu(_) => CountingMode::Cpu,
            Target::CallingThread | Target::Thread(_) | Target::AfterExec(_) => CountingMode::Thread,
        }
    }
}

/// One event, open and counting.
pub(super) struct OpenCounter {
    info: CounterInfo,
    ring: Ring,
    side: Side,
    event: PerfCounter,
}

/// Returns a builder of a counter, without a target.
fn builder_of(counter: &Counter) -> io::Result<Builder<'static>> {
    let mut builder = match counter.event {
        EventKind::Software(event) => Builder::new(event),
        EventKind::Hardware(event) => Builder::new(event),
        EventKind::TimeStampCounter => Builder::new(Msr::new(MsrId::TSC)?),
    };
    // The builder excludes the kernel by default; the msr PMU refuses every exclusion (EINVAL).
    builder
        .exclude_kernel(counter.side == Side::User)
        .exclude_user(counter.side == Side::Kernel)
        .exclude_hv(counter.side != Side::Both);
    Ok(builder)
}

impl OpenCounter {
    /// # Errors
    /// The errno of `perf_event_open`; `NotFound` where the event's PMU is not in /sys.
    pub(super) fn open(counter: &Counter, target: Target) -> io::Result<OpenCounter> {
        let mut builder = builder_of(counter)?;
        match target {
            Target::Cpu(cpu) => builder.any_pid().one_cpu(cpu),
            Target::CallingThread => builder.observe_self().any_cpu().inherit(true),
            Target::Thread(thread) => builder.observe_pid(thread.as_raw()).any_cpu().inherit(true),
            Target::AfterExec(child) => {
                builder.observe_pid(child.as_raw()).any_cpu().inherit(true).enable_on_exec(true)
            }
        };
        let mut event = builder.build()?;
        if !matches!(target, Target::AfterExec(_)) {
            event.enable()?;
        }
        let info = CounterInfo { name: counter.name.to_string(), scope: target.mode() };
        Ok(OpenCounter { info, ring: counter.ring, side: counter.side, event })
    }

    /// Opens an event outside the registry on a CPU; counts only what passes the filter.
    ///
    /// # Errors
    /// The errno of `perf_event_open` or of the filter's ioctl.
    pub(super) fn open_event(
        name: &str,
        event: impl Event,
        filter: Option<&CStr>,
        cpu: usize,
    ) -> io::Result<OpenCounter> {
        let mut event = Builder::new(event).include_kernel().any_pid().one_cpu(cpu).build()?;
        if let Some(filter) = filter {
            perf::set_filter(&event, filter)?;
        }
        event.enable()?;
        let info = CounterInfo { name: name.to_string(), scope: CountingMode::Cpu };
        Ok(OpenCounter { info, ring: Ring::Outer, side: Side::Both, event })
    }

    pub(super) fn name(&self) -> &str {
        &self.info.name
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn read(&mut self) -> Result<Reading> {
        let value = self.event.read_count_and_time().with_context(|| format!("reading `{}`", self.info.name))?;
        Ok(Reading { count: value.count, enabled_ns: value.time_enabled, running_ns: value.time_running })
    }
}

/// The same counters on another CPU, whose counts are added to those of the first.
///
/// Reading an event on another CPU costs an interrupt there, whatever the number of software events: those are read together, as
/// a group.
struct Remote {
    group: Group,
    /// Members of the group, with the place of each among the meter's counters.
    members: Vec<(usize, PerfCounter)>,
    /// Hardware counters, which may be multiplexed, and better one by one.
    others: Vec<(usize, OpenCounter)>,
}

impl Remote {
    /// Opens these counters on a CPU; not a time-stamp counter, whose sum over CPUs would mean nothing.
    fn open(cpu: usize, counters: &[CounterInfo]) -> io::Result<Remote> {
        let mut group = Group::builder().any_pid().one_cpu(cpu).build_group()?;
        let (mut members, mut others) = (Vec::new(), Vec::new());
        for (at, info) in counters.iter().enumerate() {
            let Some(counter) = crate::perf::all().find(|counter| counter.name == info.name) else { continue };
            match counter.event {
                EventKind::TimeStampCounter => {}
                EventKind::Software(_) => {
                    members.push((at, group.add(builder_of(counter)?.any_pid().one_cpu(cpu))?));
                }
                EventKind::Hardware(_) => others.push((at, OpenCounter::open(counter, Target::Cpu(cpu))?)),
            }
        }
        group.enable()?;
        Ok(Remote { group, members, others })
    }

    /// Adds this CPU's counts; a counter that counts on one of the two CPUs only becomes `None`.
    fn add_to(&mut self, readings: &mut [Option<Reading>]) -> Result<()> {
        let mut here: Vec<Option<Reading>> = vec![None; readings.len()];
        let data = self.group.read().context("reading the other CPU's counters")?;
        let nanoseconds = |time: Option<Duration>| time.map_or(0, |time| time.as_nanos() as u64);
        for (at, counter) in &self.members {
            here[*at] = data.get(counter).map(|entry| Reading {
                count: entry.value(),
                enabled_ns: nanoseconds(data.time_enabled()),
                running_ns: nanoseconds(data.time_running()),
            });
        }
        for (at, counter) in &mut self.others {
            here[*at] = Some(counter.read()?);
        }
        for (sum, here) in readings.iter_mut().zip(here) {
            *sum = sum.zip(here).map(|(sum, here)| Reading {
                count: sum.count + here.count,
                enabled_ns: sum.enabled_ns + here.enabled_ns,
                running_ns: sum.running_ns + here.running_ns,
            });
        }
        Ok(())
    }
}

/// The real meter: perf events, all on one target, or on two CPUs.
///
/// On a CPU, the event that counts switches is opened on demand. It takes the kernel's software-event path at every switch, which
/// cost 3 % of a pipe round trip where this was written, and half of that while open but disabled; the others had no measurable
/// cost. Across two CPUs, where a round trip takes ten times as long, it is always open, since it identifies undisturbed samples.
pub(super) struct PerfMeter {
    infos: Vec<CounterInfo>,
    /// `None` while not open.
    counters: Vec<Option<OpenCounter>>,
    /// The CPU on which the first counter, that of switches, is opened on demand.
    on_demand: Option<usize>,
    remote: Option<Remote>,
    /// Counters added to the first one.
    summands: Vec<OpenCounter>,
}

impl PerfMeter {
    /// Returns a meter of these counters, all open.
    pub(super) fn new(counters: Vec<OpenCounter>) -> PerfMeter {
        let infos: Vec<CounterInfo> = counters.iter().map(|counter| counter.info.clone()).collect();
        PerfMeter {
            infos,
            counters: counters.into_iter().map(Some).collect(),
            on_demand: None,
            remote: None,
            summands: Vec::new(),
        }
    }

    /// Returns a meter of one counter, whose count is the sum of these.
    pub(super) fn sum_of(counters: Vec<OpenCounter>) -> PerfMeter {
        let mut counters = counters.into_iter();
        let mut meter = PerfMeter::new(counters.next().into_iter().collect());
        meter.summands = counters.collect();
        meter
    }

    /// Returns the same meter with its first counter, that of switches, open on demand only.
    pub(super) fn on_demand(mut self, cpu: usize) -> PerfMeter {
        self.counters[0] = None;
        self.on_demand = Some(cpu);
        self
    }

    /// Returns the same meter with the same counters on another CPU too.
    ///
    /// # Errors
    /// The errno of `perf_event_open` for one of them.
    pub(super) fn and_on(mut self, cpu: usize) -> io::Result<PerfMeter> {
        self.remote = Some(Remote::open(cpu, &self.infos)?);
        Ok(self)
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
        // The other CPU's counters are read farthest out, and this one's beside them, to be added up.
        if let Some(remote) = &mut self.remote {
            if ring == Ring::Inner {
                return Ok(());
            }
            for (counter, reading) in self.counters.iter_mut().zip(&mut *readings) {
                *reading = counter.as_mut().map(OpenCounter::read).transpose()?;
            }
            return remote.add_to(readings);
        }
        let read = |(counter, reading): (&mut Option<OpenCounter>, &mut Option<Reading>)| -> Result<()> {
            match counter {
                Some(counter) if counter.ring == ring => *reading = Some(counter.read()?),
                Some(_) => {}
                None => *reading = None,
            }
            Ok(())
        };
        let mut pairs = self.counters.iter_mut().zip(&mut *readings);
        match edge {
            Edge::Begin => pairs.try_for_each(read),
            Edge::End => pairs.rev().try_for_each(read),
        }?;
        for summand in self.summands.iter_mut().filter(|summand| summand.ring == ring) {
            let more = summand.read()?.count;
            readings[0].iter_mut().for_each(|reading| reading.count += more);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Ability, missing};
    use crate::perf::SOFTWARE;

    /// Returns a counter of the calling thread after ten sleeps; `None` where perf is not available.
    fn after_ten_sleeps(counter: &Counter) -> Option<u64> {
        let mut open = match OpenCounter::open(counter, Target::CallingThread) {
            Ok(open) => open,
            Err(error) => {
                missing(Ability::Perf, &format!("{}: {error}", counter.name));
                return None;
            }
        };
        (0..10).for_each(|_| std::thread::sleep(std::time::Duration::from_micros(100)));
        touch_pages(16);
        Some(open.read().unwrap().count)
    }

    /// Writes to this many pages for the first time: of more memory than an allocator caches, each in a huge page of its own.
    fn touch_pages(count: usize) {
        const APART: usize = 4 << 20;
        let mut pages = vec![0_u8; count * APART];
        pages.iter_mut().step_by(APART).for_each(|byte| *std::hint::black_box(byte) = 1);
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
            let Some(read) = after_ten_sleeps(counter) else { continue };
            // Range that ten sleeps of this thread can cause.
            let possible = match counter.name {
                "cpu-migrations" => 0..=10_000,
                "page-faults" => 16..=10_000,
                "task-clock" => 1..=60_000_000_000,
                name => panic!("nobody knows what {name} may read"),
            };
            assert!(possible.contains(&read), "{}: {read}", counter.name);
        }
    }
}
