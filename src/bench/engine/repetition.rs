//! One repetition of a workload: its participants between two halves of their no-switch loop.

use anyhow::{Error, Result, anyhow};

use crate::bench::engine::injected_slowdown::Slowed;
use crate::bench::engine::passes::Pass;
use crate::bench::engine::plan::{Entry, Quota};
use crate::bench::engine::sampler::{Length, Sampler};
use crate::bench::engine::{Engine, Stop, latency, offline_cpu, take};
use crate::bench::sample::Repetition;
use crate::host::limits;
use crate::perf::counting::CounterTimes;
use crate::perf::meter::Reading;
use crate::sys::clock::monotonic_ns;
use crate::workload::session::Setting;

impl Engine<'_> {
    /// Plays one set of participants between two halves of their no-switch loop, and fills `repetition`.
    pub(super) fn repetition(&mut self, at: usize, pass: &Pass, repetition: &mut Repetition) -> Result<(), Stop> {
        let halves = pass.no_switch.map(Quota::halves);
        self.no_switch(at, halves.map(|halves| halves[0]), repetition)?;
        let before = self.noise_monitors[at].look();
        let outcome = self.participants(at, pass, repetition);
        repetition.surroundings = self.noise_monitors[at].look().since(&before);
        outcome?;
        self.no_switch(at, halves.map(|halves| halves[1]), repetition)
    }

    /// Plays the no-switch loop's part of a repetition, or half of it; nothing where a pass or a workload has none.
    fn no_switch(&mut self, at: usize, quota: Option<Quota>, repetition: &mut Repetition) -> Result<(), Stop> {
        let entry = self.plan.entries[at];
        let Some(quota) = quota else { return Ok(()) };
        if let Some(mut session) = entry.prepare_no_switch().map_err(|error| not_made(&entry.setting, error))? {
            let mut sampler = Sampler::new(session.as_mut(), &mut self.attached, self.watchdog);
            self.first_op_at_ns.get_or_insert_with(monotonic_ns);
            let (known, length) = (&mut self.sizes[at].no_switch, Length::of(&entry));
            let ops = size(known, self.plan.ops_per_sample, &mut sampler, length)?;
            sampler.warm_up_no_switch(ops)?;
            let mut samples = Vec::new();
            let outcome = take(&mut sampler, ops, quota, &entry.setting, &mut samples);
            repetition.no_switch.append(&mut samples);
            outcome?;
            session.end()?;
        }
        Ok(())
    }

    /// Plays the participants' part of a repetition.
    fn participants(&mut self, at: usize, pass: &Pass, repetition: &mut Repetition) -> Result<(), Stop> {
        let entry = self.plan.entries[at];
        let Entry { workload, setting, .. } = entry;
        let elsewhere = entry.elsewhere().filter(|_| pass.elsewhere);
        let session = elsewhere.map_or_else(|| entry.prepare(), |prepare| prepare(&setting));
        let mut session = session.map_err(|error| not_made(&setting, error))?;
        if let Some(injected_slowdown) =
            self.plan.injected_slowdown.as_ref().filter(|injected_slowdown| injected_slowdown.workload == workload.name)
        {
            session = Box::new(Slowed { session, share: injected_slowdown.share });
        }
        let mut sampler = Sampler::new(session.as_mut(), &mut self.attached, self.watchdog);
        self.first_op_at_ns.get_or_insert_with(monotonic_ns);
        let ops = match pass.ops {
            Some(ops) => ops,
            None => {
                let (fixed, length) = (self.plan.ops_per_sample, Length::of(&entry));
                let ops = size(&mut self.sizes[at].sample, fixed, &mut sampler, length)?;
                // A participant's first turn maps pages and finds nothing of its own in any cache.
                sampler.warm_up(ops, setting.ring.map_or(0, |ring| ring.participants))?;
                ops
            }
        };
        let before = sampler.readings()?;
        let outcome = take(&mut sampler, ops, pass.samples, &setting, &mut repetition.samples);
        repetition.times = elapsed(&before, &sampler.readings()?);
        outcome?;
        if let Some(quota) = pass.latency {
            let (entry, noise_monitor) = (&self.plan.entries[at], &self.noise_monitors[at]);
            latency::take_each(&mut sampler, ops, quota, entry, noise_monitor, &mut repetition.latency)?;
        }
        if let Some(quota) = pass.counted.filter(|_| sampler.switches_on_demand()) {
            sampler.count_switches(true)?;
            let outcome = take(&mut sampler, ops, quota, &setting, &mut repetition.counted);
            sampler.count_switches(false)?;
            outcome?;
        }
        session.end()?;
        // The participants on the other CPU cannot be asked where they are.
        if let Some(cpu) = offline_cpu(&setting) {
            repetition.samples.clear();
            return Err(Stop::Failure(anyhow!("the participants of CPU {cpu} were moved away")));
        }
        Ok(())
    }
}

/// Returns the stop for participants that cannot be spawned: of a ring, it may be the ring that is too large.
fn not_made(setting: &Setting, error: Error) -> Stop {
    let error = limits::explain(error);
    if setting.ring.is_some() { Stop::Refused(error) } else { Stop::Failure(error) }
}

/// Returns the number of ops in a sample: known, fixed by the plan, or calibrated now and known from now on.
fn size(known: &mut Option<u64>, fixed: Option<u64>, sampler: &mut Sampler<'_>, length: Length) -> Result<u64> {
    let ops = match known.or(fixed) {
        Some(ops) => ops,
        None => sampler.calibrate(length)?,
    };
    Ok(*known.insert(ops))
}

/// Returns each counter's enabled and running time between two readings.
fn elapsed(before: &[Option<Reading>], after: &[Option<Reading>]) -> Vec<CounterTimes> {
    let grown = |(before, after): (&Option<Reading>, &Option<Reading>)| match (before, after) {
        (Some(before), Some(after)) => CounterTimes {
            enabled_ns: after.enabled_ns - before.enabled_ns,
            running_ns: after.running_ns - before.running_ns,
        },
        _ => CounterTimes::default(),
    };
    before.iter().zip(after).map(grown).collect()
}
