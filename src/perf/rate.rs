//! Rate of a cycle counter: zero, that of a clock, or that of work.

use crate::perf::Side;
use crate::perf::open::OpenCounter;
use crate::sys::clock::{monotonic_ns, read_cost_ns};

/// Counts per ns, with bounds.
///
/// ```text
/// clock ─ reading ─ clock poll ─ poll ─ poll ─ … ─ poll ─ reading ─ clock
/// ```
///
/// It is at least the count over all of that time, and at most the count over the polls that follow each other closely.
/// Whatever runs in a gap between two polls may have been counted or not: an event of user mode omits the kernel's work, a CPU's
/// event counts another thread's and a thread's event does not, and an emulated PMU counts the host's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    low: f64,
    likely: f64,
    high: f64,
}

/// Duration of a spin, by three measures.
#[derive(Debug, Clone, Copy)]
struct Spin {
    /// From before the first reading to after the second.
    around_ns: u64,
    /// From the first poll to the last.
    between_ns: u64,
    /// Sum between polls that follow each other closely.
    kept_ns: u64,
}

/// Largest relative width of the bounds of a known rate.
const KNOWN: f64 = 0.015;
/// An emulated PMU derives its cycles from the guest's clock: 1 GHz to four digits or better.
const OFF_THE_CLOCK: f64 = 0.02;

impl Rate {
    /// Returns the rate of a count between the readings of a spin. An event that sees the kernel most likely counted in the gaps too.
    fn of(count: u64, spin: Spin, side: Side) -> Rate {
        let Spin { around_ns, between_ns, kept_ns } = spin;
        let likely_ns = match side {
            Side::User => kept_ns,
            Side::Both | Side::Kernel => u64::midpoint(around_ns, between_ns),
        };
        let per = |ns: u64| count as f64 / ns.max(1) as f64;
        Rate { low: per(around_ns), likely: per(likely_ns), high: per(kept_ns) }
    }

    pub(super) fn gigahertz(self) -> f64 {
        self.likely
    }

    fn width(self) -> f64 {
        self.high - self.low
    }

    fn is_known(self) -> bool {
        self.width() <= KNOWN * self.high
    }

    fn may_be_a_clocks(self) -> bool {
        self.low < 1.0 + OFF_THE_CLOCK && self.high > 1.0 - OFF_THE_CLOCK
    }

    /// Judges the rate. The error is the reason why these are no cycles; the remark, why they may not be.
    pub(super) fn judge(self) -> Result<Option<String>, String> {
        if self.high == 0.0 {
            return Err("opened, but reads 0: this hypervisor has no PMU and does not say so".to_string());
        }
        let gigahertz = self.gigahertz();
        Ok(self
            .may_be_a_clocks()
            .then(|| format!("cycles tick at {gigahertz:.3} GHz, as an emulated PMU's do: they are time, not work")))
    }
}

/// Spins on this thread, 2.5 ms at a time, until the rate is known: at most 3 times, 20 where it may be a clock's. Returns the
/// narrowest rate.
///
/// # Errors
/// The counter cannot be read, with the reason.
pub(super) fn of_spinning(cycles: &mut OpenCounter) -> Result<Rate, String> {
    const SPINS: usize = 3;
    const SPINS_IN_DOUBT: usize = 20;
    let longest_look_ns = longest_look_ns();
    let mut best = spin(cycles, longest_look_ns)?;
    let mut spins = 1;
    while !best.is_known() && spins < if best.may_be_a_clocks() { SPINS_IN_DOUBT } else { SPINS } {
        let rate = spin(cycles, longest_look_ns)?;
        if rate.width() < best.width() {
            best = rate;
        }
        spins += 1;
    }
    Ok(best)
}

fn spin(cycles: &mut OpenCounter, longest_look_ns: u64) -> Result<Rate, String> {
    const SPIN_NS: u64 = 2_500_000;
    let mut count = || cycles.read().map(|reading| reading.count).map_err(|error| format!("cannot be read: {error:#}"));
    let begin_ns = monotonic_ns();
    let before = count()?;
    let first_ns = monotonic_ns();
    let polls = std::iter::repeat_with(|| {
        std::hint::spin_loop();
        monotonic_ns()
    });
    let (between_ns, kept_ns) = looked_ns(first_ns, polls, SPIN_NS, longest_look_ns);
    let after = count()?;
    let spin = Spin { around_ns: monotonic_ns() - begin_ns, between_ns, kept_ns };
    Ok(Rate::of(after - before, spin, cycles.side()))
}

/// Returns the longest gap between two polls of the clock without an interruption.
fn longest_look_ns() -> u64 {
    const USUAL_ONES: u64 = 8;
    const LEAST_NS: u64 = 2_000;
    LEAST_NS + USUAL_ONES * read_cost_ns()
}

/// Returns the time from the first of these polls of the clock to the one that finds `spin_ns` over, and how much of it lies
/// between polls that follow each other closely.
fn looked_ns(first_ns: u64, polls: impl Iterator<Item = u64>, spin_ns: u64, longest_look_ns: u64) -> (u64, u64) {
    let (mut last_ns, mut kept_ns) = (first_ns, 0);
    for now_ns in polls {
        let since_last_ns = now_ns - last_ns;
        if since_last_ns <= longest_look_ns {
            kept_ns += since_last_ns;
        }
        last_ns = now_ns;
        if now_ns - first_ns >= spin_ns {
            break;
        }
    }
    (last_ns - first_ns, kept_ns)
}

#[cfg(test)]
impl Rate {
    /// Returns the rate of a spin without interruptions whose readings took no time.
    pub(super) fn made_up(count: u64, spin_ns: u64) -> Rate {
        Rate::of(count, Spin { around_ns: spin_ns, between_ns: spin_ns, kept_ns: spin_ns }, Side::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings take 20 µs; half of what is between them is a gap.
    const INTERRUPTED: Spin = Spin { around_ns: 2_520_000, between_ns: 2_500_000, kept_ns: 1_250_000 };

    #[test]
    fn cycles_that_stand_still_or_tick_like_a_clock_are_told_apart() {
        let of =
            |count| Rate::of(count, Spin { around_ns: 1_000_000, between_ns: 999_000, kept_ns: 999_000 }, Side::Both);
        assert!(of(0).judge().unwrap_err().contains("reads 0"));
        assert!(of(999_700).judge().unwrap().unwrap().contains("tick at 1.000 GHz"));
        assert_eq!(of(3_400_000).judge(), Ok(None));
        assert!([0, 999_700, 3_400_000].into_iter().all(|count| of(count).is_known()));
    }

    /// The event decides if a gap is counted, which went to the kernel, another thread, or the host.
    #[test]
    fn an_interruption_hides_no_clock_and_makes_none_of_cycles() {
        for side in [Side::Both, Side::User] {
            for a_clocks in [1_250_000, 2_000_000, 2_510_000] {
                let rate = Rate::of(a_clocks, INTERRUPTED, side);
                assert!(rate.may_be_a_clocks() && !rate.is_known(), "{rate:?}");
            }
            // At 3.4 GHz, with the gap and without; and of a slow core.
            for work in [3.4 * 2.5e6, 3.4 * 1.25e6, 0.4 * 2.5e6] {
                assert_eq!(Rate::of(work as u64, INTERRUPTED, side).judge(), Ok(None), "{work}");
            }
        }
    }

    #[test]
    fn an_event_of_user_mode_most_likely_counts_no_gap_and_another_all_of_them() {
        assert_eq!(Rate::of(2_510_000, INTERRUPTED, Side::Both).gigahertz(), 1.0);
        assert_eq!(Rate::of(1_250_000, INTERRUPTED, Side::User).gigahertz(), 1.0);
    }

    #[test]
    fn only_looks_that_follow_closely_are_kept() {
        let looked_ns = |polls: &[u64]| looked_ns(1000, polls.iter().copied(), 45_000, 2000);
        assert_eq!(looked_ns(&[1100, 1150, 41_150, 41_250, 43_251, 46_000, 46_100]), (45_000, 250));
        assert_eq!(looked_ns(&[3000]), (2000, 2000));
        assert_eq!(looked_ns(&[]), (0, 0));
    }

    #[test]
    fn looking_at_the_clock_takes_most_of_a_spin() {
        let looked = || looked_ns(monotonic_ns(), std::iter::repeat_with(monotonic_ns), 1_000_000, longest_look_ns());
        // A busy machine interrupts some.
        let (between_ns, kept_ns) = (0..100).map(|_| looked()).max_by_key(|&(_, kept_ns)| kept_ns).unwrap();
        assert!(between_ns >= 1_000_000 && (900_000..=between_ns).contains(&kept_ns), "{kept_ns} ns of {between_ns}");
    }
}
