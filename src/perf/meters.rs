//! The meters of perf events, one for each way of reading them.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use perf_event::{Counter as PerfCounter, Group};

use crate::perf::counting::{CounterInfo, Counting, CountingMode};
use crate::perf::meter::{Attached, Edge, Meter, Reading, Ring};
use crate::perf::open::{OpenCounter, Target, builder_of};
use crate::perf::{CONTEXT_SWITCHES, EventKind};

/// Counters on one target, always open.
pub(super) struct Always {
    infos: Vec<CounterInfo>,
    counters: Vec<OpenCounter>,
}

impl Always {
    pub(super) fn new(counters: Vec<OpenCounter>) -> Always {
        Always { infos: infos(&counters), counters }
    }
}

impl Meter for Always {
    fn counters(&self) -> &[CounterInfo] {
        &self.infos
    }

    fn read(&mut self, ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
        read_ring(&mut self.counters, ring, edge, readings)
    }
}

/// Counters on a CPU, of which the one of switches is opened on demand.
///
/// It takes the kernel's software-event path at every switch, which cost 3 % of a pipe round trip where this was written, and
/// half of that while open but disabled; the others had no measurable cost.
pub(super) struct OnDemand {
    infos: Vec<CounterInfo>,
    cpu: usize,
    /// `None` while not open.
    switches: Option<OpenCounter>,
    others: Vec<OpenCounter>,
}

impl OnDemand {
    /// Returns a meter with its first counter, that of switches, closed.
    pub(super) fn new(mut counters: Vec<OpenCounter>, cpu: usize) -> OnDemand {
        let infos = infos(&counters);
        OnDemand { infos, cpu, switches: None, others: counters.split_off(1) }
    }
}

impl Meter for OnDemand {
    fn counters(&self) -> &[CounterInfo] {
        &self.infos
    }

    fn switches_on_demand(&self) -> bool {
        true
    }

    fn count_switches(&mut self, on: bool) -> Result<()> {
        let event = on.then(|| OpenCounter::open(&CONTEXT_SWITCHES, Target::Cpu(self.cpu)));
        self.switches = event.transpose().context("opening `context-switches` again")?;
        Ok(())
    }

    fn read(&mut self, ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
        let (first, rest) = readings.split_at_mut(1);
        let mut read_switches = || match &mut self.switches {
            Some(switches) => read_ring(std::slice::from_mut(switches), ring, edge, first),
            None => {
                first[0] = None;
                Ok(())
            }
        };
        // The first of a ring is read farthest out.
        match edge {
            Edge::Begin => {
                read_switches()?;
                read_ring(&mut self.others, ring, edge, rest)
            }
            Edge::End => {
                read_ring(&mut self.others, ring, edge, rest)?;
                read_switches()
            }
        }
    }
}

/// The same counters on several CPUs, added up.
///
/// Across CPUs, where a round trip takes ten times as long as on one, that of switches is always open, since it identifies
/// undisturbed samples.
pub(super) struct Across {
    infos: Vec<CounterInfo>,
    counters: Vec<OpenCounter>,
    others: Vec<Remote>,
}

impl Across {
    /// Returns a meter of these counters, and of the same on the other CPUs.
    ///
    /// # Errors
    /// The errno of `perf_event_open` for one of them.
    pub(super) fn new(counters: Vec<OpenCounter>, others: &[usize]) -> io::Result<Across> {
        let infos = infos(&counters);
        let others = others.iter().map(|&cpu| Remote::open(cpu, &infos)).collect::<io::Result<_>>()?;
        Ok(Across { infos, counters, others })
    }
}

impl Meter for Across {
    fn counters(&self) -> &[CounterInfo] {
        &self.infos
    }

    fn read(&mut self, ring: Ring, _: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
        // Those of other CPUs are read farthest out, and this one's beside them, to be added up.
        if ring == Ring::Outer {
            for (counter, reading) in self.counters.iter_mut().zip(&mut *readings) {
                *reading = Some(counter.read()?);
            }
            self.others.iter_mut().try_for_each(|other| other.add_to(readings))?;
        }
        Ok(())
    }
}

/// Counters on another CPU.
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

    /// Adds this CPU's counts; a counter that does not count on every CPU becomes `None`.
    fn add_to(&mut self, readings: &mut [Option<Reading>]) -> Result<()> {
        let mut here: Vec<Option<Reading>> = vec![None; readings.len()];
        let data = self.group.read().context("reading another CPU's counters")?;
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

/// One counter, whose count is the sum of several, as of a tracepoint on several CPUs.
pub(super) struct Sum {
    info: [CounterInfo; 1],
    first: OpenCounter,
    others: Vec<OpenCounter>,
}

impl Sum {
    pub(super) fn of(first: OpenCounter, others: Vec<OpenCounter>) -> Sum {
        Sum { info: [first.info.clone()], first, others }
    }
}

impl Meter for Sum {
    fn counters(&self) -> &[CounterInfo] {
        &self.info
    }

    fn read(&mut self, ring: Ring, _: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
        if self.first.ring == ring {
            let mut sum = self.first.read()?;
            for other in &mut self.others {
                sum.count += other.read()?.count;
            }
            readings[0] = Some(sum);
        }
        Ok(())
    }
}

/// Returns a meter as attached in this mode, with nothing absent or refused.
pub(super) fn attached(meter: impl Meter + 'static, mode: CountingMode) -> Attached {
    let counting = Counting { counters: meter.counters().to_vec(), ..Counting::without_counters(mode) };
    Attached { meter: Box::new(meter), counting }
}

fn infos(counters: &[OpenCounter]) -> Vec<CounterInfo> {
    counters.iter().map(|counter| counter.info.clone()).collect()
}

/// Reads those of a ring, in opposite orders at the two ends.
fn read_ring(counters: &mut [OpenCounter], ring: Ring, edge: Edge, readings: &mut [Option<Reading>]) -> Result<()> {
    let read = |(counter, reading): (&mut OpenCounter, &mut Option<Reading>)| -> Result<()> {
        if counter.ring == ring {
            *reading = Some(counter.read()?);
        }
        Ok(())
    };
    let mut pairs = counters.iter_mut().zip(readings);
    match edge {
        Edge::Begin => pairs.try_for_each(read),
        Edge::End => pairs.rev().try_for_each(read),
    }
}
