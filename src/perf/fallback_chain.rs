//! The fallback chain of ways to count, from the best that a system may allow to none. A level is chosen by trying it: neither
//! the user's id nor the paranoid level determines what a kernel, a container or a hypervisor allows.
//!
//! | level | requires | provides |
//! |---|---|---|
//! | `cpu` | root, `CAP_PERFMON` or paranoid ≤ 0 | events on the pinned CPU, at no cost to the participants |
//! | `thread` | paranoid ≤ 1 | events on the participants' threads, which slows every switch |
//! | `rusage` | nothing | kernel accounting; user-mode cycles, in a pass of their own, where there is a PMU |

use std::io;
use std::time::Duration;

use anyhow::{Result, anyhow};
use nix::unistd::Pid;

use crate::perf::counting::{AbsentCounter, Counting, CountingMode};
use crate::perf::meter::{Attach, Attached, Extra};
use crate::perf::meters::{self, Across, Always, OnDemand};
use crate::perf::open::{OpenCounter, Target};
use crate::perf::records::Recorder;
use crate::perf::refusal::{self, Refused};
use crate::perf::{CONTEXT_SWITCHES, Counter, HARDWARE, SOFTWARE, TIME_STAMP_COUNTER, USER_MODE, extra, rate};

/// The level to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterChoice {
    /// The highest that the system allows.
    Auto,
    /// This one or an error.
    Only(CountingMode),
}

impl CounterChoice {
    /// Every choice, by its name on the command line.
    pub const ALL: [CounterChoice; 5] = [
        CounterChoice::Auto,
        CounterChoice::Only(CountingMode::Cpu),
        CounterChoice::Only(CountingMode::Thread),
        CounterChoice::Only(CountingMode::Rusage),
        CounterChoice::Only(CountingMode::None),
    ];

    pub fn name(self) -> &'static str {
        match self {
            CounterChoice::Auto => "auto",
            CounterChoice::Only(mode) => mode.name(),
        }
    }
}

/// Attaches the real meter.
#[derive(Debug, Clone)]
pub struct FallbackChain {
    choice: CounterChoice,
    /// Refusals on the way to the level that `choice` has become.
    refused: Vec<String>,
}

impl FallbackChain {
    pub fn new(choice: CounterChoice) -> FallbackChain {
        FallbackChain { choice, refused: Vec::new() }
    }
}

impl Attach for FallbackChain {
    fn attach(&mut self, cpus: &[usize]) -> Result<Attached> {
        match self.choice {
            CounterChoice::Auto => Ok(self.climb_down(cpus)),
            CounterChoice::Only(mode) => {
                self.step(mode, cpus).map_err(|reason| anyhow!("--counters {} is refused: {reason}", mode.name()))
            }
        }
    }

    fn attach_extra(&mut self, extra: &Extra<'_>, cpus: &[usize]) -> Result<Attached, Refused> {
        match (extra, self.choice) {
            (Extra::UserMode, CounterChoice::Only(CountingMode::Rusage)) if !self.refused.is_empty() => {
                attach_user_mode().ok_or(Refused::NotNeeded)
            }
            (Extra::UserMode, _) => Err(Refused::NotNeeded),
            (_, CounterChoice::Only(CountingMode::None)) => Err(Refused::NotNeeded),
            (extra, _) => extra::attach(extra, cpus),
        }
    }

    // Independent of the level: records have an option of their own.
    fn recorder(&mut self, cpus: &[usize], participants: &[Pid]) -> Result<Recorder, Refused> {
        Recorder::open(cpus, participants)
    }
}

/// Attaches the level `thread` to the calling thread and those that it creates from now on.
///
/// # Errors
/// `perf_event_open` refuses to count switches, with the reason; other refused counters are absent.
pub fn attach_to_calling_thread() -> Result<Attached> {
    let fallback_chain = FallbackChain::new(CounterChoice::Only(CountingMode::Thread));
    fallback_chain
        .step(CountingMode::Thread, &[])
        .map_err(|reason| anyhow!("counting on this thread is refused: {reason}"))
}

/// Attaches user-mode cycles to the calling thread and those that it creates; `None` where they are not available.
fn attach_user_mode() -> Option<Attached> {
    let (cycles, others) = USER_MODE.split_last()?;
    let mut cycles = OpenCounter::open(cycles, Target::CallingThread).ok()?;
    let remark = check_cycles(&mut cycles).ok()?;
    let others = others.iter().filter_map(|counter| OpenCounter::open(counter, Target::CallingThread).ok());
    let mut attached = meters::attached(Always::new(others.chain([cycles]).collect()), CountingMode::Thread);
    attached.counting.remarks.extend(remark);
    Some(attached)
}

impl FallbackChain {
    /// Takes the highest level that the system allows, and the same one if asked again.
    fn climb_down(&mut self, cpus: &[usize]) -> Attached {
        for mode in [CountingMode::Cpu, CountingMode::Thread] {
            match self.step(mode, cpus) {
                Ok(attached) => {
                    self.choice = CounterChoice::Only(mode);
                    return attached;
                }
                Err(reason) => self.refused.push(format!("{}: {reason}", mode.name())),
            }
        }
        self.choice = CounterChoice::Only(CountingMode::Rusage);
        Attached::without_events(CountingMode::Rusage, self.refused.clone())
    }

    /// Attaches one level; the error is a sentence for the user.
    fn step(&self, mode: CountingMode, cpus: &[usize]) -> Result<Attached, String> {
        let target = match mode {
            CountingMode::Cpu => Target::Cpu(cpus[0]),
            CountingMode::Thread => Target::CallingThread,
            CountingMode::Rusage | CountingMode::None => {
                return Ok(Attached::without_events(mode, self.refused.clone()));
            }
        };
        let explain = |error: &io::Error| refusal::explain(mode, error);
        let mut switches = OpenCounter::open(&CONTEXT_SWITCHES, target).map_err(|error| explain(&error))?;
        check_alive(&mut switches).map_err(|error| format!("`context-switches`: {error}"))?;
        let mut counters = vec![switches];
        let mut absent = Vec::new();
        for counter in SOFTWARE.iter().filter(|counter| counter.scope.includes(mode)) {
            match OpenCounter::open(counter, target) {
                Ok(open) => counters.push(open),
                Err(error) => absent.push(missing(counter, explain(&error))),
            }
        }
        let mut remarks = Vec::new();
        match open_hardware(target, &explain, &mut absent) {
            Ok((hardware, remark)) => {
                counters.extend(hardware);
                remarks.extend(remark);
            }
            Err(reason) => {
                absent.extend(HARDWARE.iter().rev().map(|counter| missing(counter, reason.clone())));
                match OpenCounter::open(&TIME_STAMP_COUNTER, target) {
                    Ok(ticks) => counters.push(ticks),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let reason = "this kernel has no `msr` PMU (it is x86's)".to_string();
                        absent.push(missing(&TIME_STAMP_COUNTER, reason));
                    }
                    Err(error) => absent.push(missing(&TIME_STAMP_COUNTER, explain(&error))),
                }
            }
        }
        let Attached { meter, counting } = match (mode, cpus) {
            (CountingMode::Cpu, [cpu]) => meters::attached(OnDemand::new(counters, *cpu), mode),
            (CountingMode::Cpu, [_, others @ ..]) => {
                meters::attached(Across::new(counters, others).map_err(|error| explain(&error))?, mode)
            }
            _ => meters::attached(Always::new(counters), mode),
        };
        let refused = self.refused.clone();
        Ok(Attached { meter, counting: Counting { absent, refused, remarks, ..counting } })
    }
}

/// Opens cycles and, if they are plausible, the counters that explain them. The error is the reason why there are no cycles.
fn open_hardware(
    target: Target,
    explain: &dyn Fn(&io::Error) -> String,
    absent: &mut Vec<AbsentCounter>,
) -> Result<(Vec<OpenCounter>, Option<String>), String> {
    let (cycles, others) = HARDWARE.split_last().expect("the registry has cycles");
    let mut cycles = OpenCounter::open(cycles, target).map_err(|error| explain(&error))?;
    let remark = check_cycles(&mut cycles)?;
    let mut hardware = Vec::new();
    for counter in others {
        match OpenCounter::open(counter, target) {
            Ok(open) => hardware.push(open),
            Err(error) => absent.push(missing(counter, explain(&error))),
        }
    }
    hardware.push(cycles);
    Ok((hardware, remark))
}

/// Checks that this machine's cycles are cycles. The error is the reason why not; the remark, why they may not be.
pub(super) fn check_hardware() -> Result<Option<String>, String> {
    let [.., cycles] = HARDWARE else { unreachable!("the registry has cycles") };
    let opened = OpenCounter::open(cycles, Target::CallingThread);
    check_cycles(&mut opened.map_err(|error| refusal::explain(CountingMode::Thread, &error))?)
}

fn missing(counter: &Counter, reason: String) -> AbsentCounter {
    AbsentCounter { name: counter.name.to_string(), reason }
}

/// Sleeps, which is a switch, and checks that the counter saw it: an event opened wrongly, or by a hypervisor that only pretends,
/// opens without an error and always reads 0.
///
/// A guest may be delayed on its way to sleep until the time is over, and then does not switch: so it tries again, for longer.
fn check_alive(switches: &mut OpenCounter) -> Result<(), String> {
    const SLEEPS_US: [u64; 4] = [50, 200, 1000, 5000];
    let mut read = || switches.read().map_err(|error| format!("cannot be read: {error:#}"));
    let before = read()?;
    for sleep_us in SLEEPS_US {
        std::thread::sleep(Duration::from_micros(sleep_us));
        if read()?.count != before.count {
            return Ok(());
        }
    }
    Err("opened, but did not count a switch that was made".to_string())
}

/// Spins and compares cycles with the clock. The error is the reason why these are no cycles; the remark, why they may not be.
fn check_cycles(cycles: &mut OpenCounter) -> Result<Option<String>, String> {
    rate::of_spinning(cycles)?.judge()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmetered_rung_has_no_counters_and_always_works() {
        for mode in [CountingMode::Rusage, CountingMode::None] {
            let attached = FallbackChain::new(CounterChoice::Only(mode)).attach(&[0]).unwrap();
            assert_eq!(attached.counting.mode, mode);
            assert!(attached.meter.counters().is_empty());
        }
    }
}
