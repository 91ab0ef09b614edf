//! How fast a counter of cycles counts: not at all, by the clock, or by the work that is done.

use crate::counter::open::OpenCounter;
use crate::sys::clock::{monotonic_ns, read_cost_ns};

/// What a counter counts per ns, which is between these.
///
/// ```text
/// clock ─ reading ─ look at the clock ─ look ─ look ─ … ─ look ─ reading ─ clock
/// ```
///
/// It is more than the count over all of that time, and less than the count over the looks that follow each other closely.
/// Whatever lies in a gap between two looks may have been counted or not: the kernel's work is not by an event of user
/// mode, another thread's is by a CPU's event and not by a thread's, and the host's is time of an emulated PMU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    low: f64,
    high: f64,
}

/// How much the bounds of a rate may differ for it to be known.
const KNOWN: f64 = 0.015;
/// An emulated PMU derives its cycles from the guest's clock: 1 GHz to four digits or better.
const OFF_THE_CLOCK: f64 = 0.02;

impl Rate {
    /// Of a count between two readings: `around_ns` from before the first to after the second, `kept_ns` surely between them.
    pub(super) fn of(count: u64, around_ns: u64, kept_ns: u64) -> Rate {
        let per = |ns: u64| count as f64 / ns.max(1) as f64;
        Rate { low: per(around_ns), high: per(kept_ns) }
    }

    /// Cycles per ns.
    pub(super) fn gigahertz(self) -> f64 {
        f64::midpoint(self.low, self.high)
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

    /// What to make of it. The error says why these are no cycles; the remark, why they may not be.
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

/// Spins on this thread, 2.5 ms at a time, until the rate is known or as well known as it will be: 3 times at most, 20 where it
/// may be a clock's.
///
/// # Errors
/// The counter cannot be read, and why.
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
    let looks = std::iter::repeat_with(|| {
        std::hint::spin_loop();
        monotonic_ns()
    });
    let kept_ns = kept_ns(first_ns, looks.take_while(|&now_ns| now_ns - first_ns < SPIN_NS), longest_look_ns);
    let after = count()?;
    Ok(Rate::of(after - before, monotonic_ns() - begin_ns, kept_ns))
}

/// Who looks at the clock again and again and finds it later than by this was interrupted.
fn longest_look_ns() -> u64 {
    const USUAL_ONES: u64 = 8;
    const LEAST_NS: u64 = 2_000;
    LEAST_NS + USUAL_ONES * read_cost_ns()
}

/// The time between looks at the clock that follow each other closely.
fn kept_ns(first_ns: u64, looks: impl Iterator<Item = u64>, longest_look_ns: u64) -> u64 {
    let mut last_ns = first_ns;
    looks
        .map(|now_ns| now_ns - std::mem::replace(&mut last_ns, now_ns))
        .filter(|&since_last_ns| since_last_ns <= longest_look_ns)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_that_stand_still_or_tick_like_a_clock_are_told_apart() {
        let known = |count| Rate::of(count, 1_000_000, 999_000);
        assert!(known(0).judge().unwrap_err().contains("reads 0"));
        assert!(known(999_700).judge().unwrap().unwrap().contains("tick at 1.000 GHz"));
        assert_eq!(known(3_400_000).judge(), Ok(None));
        assert!([0, 999_700, 3_400_000].into_iter().all(|count| known(count).is_known()));
    }

    /// Half a spin went to the kernel, another thread, or the host: what was counted of it depends on the event.
    #[test]
    fn an_interruption_hides_no_clock_and_makes_none_of_cycles() {
        let interrupted = |count| Rate::of(count, 2_500_000, 1_250_000);
        for a_clocks in [1_250_000, 2_000_000, 2_500_000] {
            let rate = interrupted(a_clocks);
            assert!(rate.may_be_a_clocks() && !rate.is_known(), "{rate:?}");
        }
        // At 3.4 GHz, with the interruption and without; and of a slow core.
        for work in [3.4 * 2.5e6, 3.4 * 1.25e6, 0.4 * 2.5e6] {
            assert_eq!(interrupted(work as u64).judge(), Ok(None), "{work}");
        }
    }

    #[test]
    fn only_looks_that_follow_closely_are_kept() {
        assert_eq!(kept_ns(1000, [1100, 1150, 41_150, 41_250, 43_251].into_iter(), 2000), 250);
        assert_eq!(kept_ns(1000, [3000].into_iter(), 2000), 2000);
        assert_eq!(kept_ns(1000, std::iter::empty(), 2000), 0);
    }

    #[test]
    fn looking_at_the_clock_takes_most_of_a_spin() {
        let kept_of_a_millisecond = || {
            let first_ns = monotonic_ns();
            let looks = std::iter::repeat_with(monotonic_ns).take_while(|&now_ns| now_ns < first_ns + 1_000_000);
            kept_ns(first_ns, looks, longest_look_ns())
        };
        // A busy machine interrupts some.
        let most_ns = (0..100).map(|_| kept_of_a_millisecond()).max().unwrap();
        assert!((900_000..=1_000_000).contains(&most_ns), "{most_ns} ns of 1 ms");
    }
}
