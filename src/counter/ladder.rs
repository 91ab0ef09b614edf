//! The ladder of ways to count, from the best that a system may allow to none. A rung is taken by trying it: neither
//! the user's id nor the paranoid level says for sure what a kernel, a container or a hypervisor lets one do.
//!
//! | rung | what it takes | what it gives |
//! |---|---|---|
//! | `cpu` | root, `CAP_PERFMON` or paranoid ≤ 0 | events on the pinned CPU, at no cost to the parties |
//! | `thread` | paranoid ≤ 1 | events on the parties' threads, which slows every switch |
//! | `rusage` | nothing | what the kernel keeps anyway |

use std::io;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::unistd::gettid;

use crate::counter::meter::{Attach, Attached, Meter};
use crate::counter::open::{OpenCounter, PerfMeter, Target};
use crate::counter::{CONTEXT_SWITCHES, Counter, HARDWARE, SOFTWARE, TIME_STAMP_COUNTER, refusal};
use crate::sample::{AbsentCounter, Counting, CountingMode};
use crate::sys::clock::{monotonic_ns, thread_cpu_ns};

/// Which rung to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterChoice {
    /// The highest that the system allows.
    Auto,
    /// This one or none.
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

/// Attaches the real meter for parties pinned to one CPU.
#[derive(Debug, Clone)]
pub struct Ladder {
    choice: CounterChoice,
    cpu: usize,
    /// What was refused on the way to the rung that `choice` has become.
    refused: Vec<String>,
}

impl Ladder {
    pub fn new(choice: CounterChoice, cpu: usize) -> Ladder {
        Ladder { choice, cpu, refused: Vec::new() }
    }
}

impl Attach for Ladder {
    fn attach(&mut self) -> Result<Attached> {
        let CounterChoice::Only(mode) = self.choice else { return Ok(self.climb_down()) };
        match self.step(mode) {
            Ok(mut attached) => {
                attached.counting.refused = self.refused.clone();
                Ok(attached)
            }
            Err(reason) => bail!("--counters {} is refused: {reason}", mode.name()),
        }
    }
}

impl Ladder {
    /// Takes the highest rung that the system allows, and stays there if asked again.
    fn climb_down(&mut self) -> Attached {
        for mode in [CountingMode::Cpu, CountingMode::Thread] {
            match self.step(mode) {
                Ok(mut attached) => {
                    self.choice = CounterChoice::Only(mode);
                    attached.counting.refused = self.refused.clone();
                    return attached;
                }
                Err(reason) => self.refused.push(format!("{}: {reason}", mode.name())),
            }
        }
        self.choice = CounterChoice::Only(CountingMode::Rusage);
        Attached::without_events(CountingMode::Rusage, self.refused.clone())
    }

    /// Takes one rung; the error is a sentence for the user.
    fn step(&self, mode: CountingMode) -> Result<Attached, String> {
        let target = match mode {
            CountingMode::Cpu => Target::Cpu(self.cpu),
            CountingMode::Thread => Target::CallingThread,
            CountingMode::Rusage | CountingMode::None => return Ok(Attached::without_events(mode, Vec::new())),
        };
        let explain = |error: &io::Error| refusal::explain(mode, error);
        let mut switches = OpenCounter::open(&CONTEXT_SWITCHES, target).map_err(|error| explain(&error))?;
        check_alive(&mut switches).map_err(|error| format!("`context-switches`: {error}"))?;
        let mut counters = Vec::new();
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
                    Err(error)
                        if error.kind() == io::ErrorKind::NotFound
                            && error.raw_os_error().is_none_or(|raw| raw == libc::ENOENT) =>
                    {
                        absent.push(missing(
                            &TIME_STAMP_COUNTER,
                            "this kernel has no `msr` PMU (it is x86's)".to_string(),
                        ));
                    }
                    Err(error) => absent.push(missing(&TIME_STAMP_COUNTER, explain(&error))),
                }
            }
        }
        let meter = PerfMeter::new(target, switches, counters);
        let counting = Counting { mode, counters: meter.counters().to_vec(), absent, refused: Vec::new(), remarks };
        Ok(Attached { meter: Box::new(meter), counting })
    }
}

/// Opens cycles and, if they tell the truth, what explains them. The error says why there are no cycles.
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

fn missing(counter: &Counter, reason: String) -> AbsentCounter {
    AbsentCounter { name: counter.name.to_string(), reason }
}

/// Sleeps, which is a switch, and looks whether the counter saw it: an event opened wrongly, or by a hypervisor that
/// only pretends, opens without an error and reads 0 for ever.
fn check_alive(switches: &mut OpenCounter) -> Result<(), String> {
    let mut read = || switches.read().map_err(|error| format!("cannot be read: {error:#}"));
    let before = read()?;
    std::thread::sleep(Duration::from_micros(50));
    if read()?.count == before.count {
        return Err("opened, but did not count a switch that was made".to_string());
    }
    Ok(())
}

/// Spins for a millisecond and compares cycles with CPU time. The error says why these are no cycles; the remark, why
/// they may not be.
fn check_cycles(cycles: &mut OpenCounter) -> Result<Option<String>, String> {
    const SPIN_NS: u64 = 1_000_000;
    let mut read = || cycles.read().map_err(|error| format!("cannot be read: {error:#}"));
    let cpu_ns = || thread_cpu_ns(gettid()).unwrap_or_default();
    let (before, began_ns) = (read()?, cpu_ns());
    let until = monotonic_ns() + SPIN_NS;
    while monotonic_ns() < until {
        std::hint::spin_loop();
    }
    let (after, ended_ns) = (read()?, cpu_ns());
    judge_cycles(after.count - before.count, ended_ns.saturating_sub(began_ns))
}

fn judge_cycles(cycles: u64, cpu_ns: u64) -> Result<Option<String>, String> {
    if cycles == 0 {
        return Err("opened, but reads 0: this hypervisor has no PMU and does not say so".to_string());
    }
    let gigahertz = cycles as f64 / cpu_ns.max(1) as f64;
    // An emulated PMU derives its cycles from the guest's clock: 1 GHz to four digits or better.
    let emulated = (gigahertz - 1.0).abs() < 0.02;
    Ok(emulated.then(|| format!("cycles tick at {gigahertz:.3} GHz, as an emulated PMU's do: they are time, not work")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_that_stand_still_or_tick_like_a_clock_are_told_apart() {
        assert!(judge_cycles(0, 1_000_000).unwrap_err().contains("reads 0"));
        assert!(judge_cycles(1_000_200, 1_000_000).unwrap().unwrap().contains("emulated"));
        assert_eq!(judge_cycles(3_400_000, 1_000_000), Ok(None));
    }

    #[test]
    fn an_unmetered_rung_has_no_counters_and_always_works() {
        for mode in [CountingMode::Rusage, CountingMode::None] {
            let attached = Ladder::new(CounterChoice::Only(mode), 0).attach().unwrap();
            assert_eq!(attached.counting.mode, mode);
            assert!(attached.meter.counters().is_empty());
        }
    }
}
