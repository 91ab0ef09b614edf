//! Tries what `perf_event_open` allows on this host, without measuring anything.

use std::io;

use crate::perf::answer::{Cycles, PerfTrials, Refusal};
use crate::perf::open::{OpenCounter, Target};
use crate::perf::rate::{self, Rate};
use crate::perf::{CONTEXT_SWITCHES, Counter, HARDWARE, Side, USER_MODE, refusal};

/// Opens events on this CPU and on the calling thread, each closed again at once; spins for 2.5 ms where there are cycles, up to
/// 50 ms where these may be a clock's.
pub fn perf_events(cpu: usize) -> PerfTrials {
    PerfTrials {
        on_cpu: opens(&CONTEXT_SWITCHES, Target::Cpu(cpu)).map(drop),
        on_thread: opens(&CONTEXT_SWITCHES, Target::CallingThread).map(drop),
        in_user_mode: opens(&Counter { side: Side::User, ..CONTEXT_SWITCHES }, Target::CallingThread).map(drop),
        cycles: cycles(),
    }
}

fn opens(counter: &Counter, target: Target) -> Result<OpenCounter, Refusal> {
    OpenCounter::open(counter, target)
        .map_err(|error: io::Error| Refusal { errno: error.raw_os_error(), answer: refusal::answer(&error) })
}

fn cycles() -> Cycles {
    let mut refused = Refusal { errno: None, answer: "no event of cycles is known".to_string() };
    for counter in cycle_counters() {
        match opens(counter, Target::CallingThread) {
            Ok(mut cycles) => return judged(rate::of_spinning(&mut cycles)),
            Err(refusal) => refused = refusal,
        }
    }
    Cycles::Refused(refused)
}

/// Returns cycles, and those of user mode: without permission for the kernel the first is refused, with or without a PMU. Each is
/// the last of its list, after its parts.
fn cycle_counters() -> impl Iterator<Item = &'static Counter> {
    [HARDWARE.last(), USER_MODE.last()].into_iter().flatten()
}

fn judged(rate: Result<Rate, String>) -> Cycles {
    match rate.and_then(|rate| Ok((rate, rate.judge()?))) {
        Err(reason) => Cycles::Lying(reason),
        Ok((_, Some(remark))) => Cycles::Emulated(remark),
        Ok((rate, None)) => Cycles::Counting { gigahertz: rate.gigahertz() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_all_cycles_and_not_of_the_kernels() {
        let names: Vec<&str> = cycle_counters().map(|counter| counter.name).collect();
        assert_eq!(names, ["cycles", "cycles:u"]);
    }

    #[test]
    fn cycles_are_judged_by_their_rate() {
        let of = |count| judged(Ok(Rate::made_up(count, 1000)));
        assert!(matches!(of(0), Cycles::Lying(how) if how.contains("reads 0")));
        assert!(matches!(of(1000), Cycles::Emulated(how) if how.contains("1.000 GHz")));
        assert_eq!(of(3400), Cycles::Counting { gigahertz: 3.4 });
        assert_eq!(judged(Err("no".to_string())), Cycles::Lying("no".to_string()));
    }

    #[test]
    fn what_is_allowed_on_a_cpu_is_allowed_on_a_thread() {
        let trials = perf_events(0);
        assert!(trials.on_cpu.is_err() || trials.on_thread.is_ok(), "{trials:?}");
        assert!(trials.on_thread.is_err() || trials.in_user_mode.is_ok(), "{trials:?}");
    }
}
