//! The reference loop: fixed arithmetic, timed beside every sample, that shows how fast the core itself runs just then.
//!
//! An SMT sibling that is busy, on this machine or in another guest of its host, slows the participants without a
//! switch, steal, or any other trace that this kernel could see. It slows this loop as well, which keeps the core's
//! execution units full and touches no memory; so does a lower frequency.

use std::hint::black_box;

use crate::bench::sample::speed::SLOWED;
use crate::sys::clock::monotonic_ns;
use crate::sys::signal;

/// Rounds of the loop: about 1.5 µs, so that the clock's own 25 ns do not matter.
const ROUNDS: u64 = 600;

/// Returns the loop's time now, in ns.
#[inline(never)]
pub(super) fn measure() -> u64 {
    let started = monotonic_ns();
    // Eight chains that do not wait for each other: more than a shared core can keep running.
    let mut lanes = black_box([1_u64, 2, 3, 4, 5, 6, 7, 8]);
    for round in 0..ROUNDS {
        let round = black_box(round);
        for lane in &mut lanes {
            *lane = lane.rotate_left(7).wrapping_add(round);
        }
    }
    black_box(lanes);
    monotonic_ns() - started
}

/// Readings whose median is the core's speed now: 0.15 ms of them.
const READINGS: usize = 101;

/// Keeps the core busy until the loop takes no longer than at full speed, for `patience_ns` at most: an idle core
/// raises its frequency under load only, and a neighbour on the host may finish. Returns how long that took, in ns.
pub(super) fn wait_for_full_speed(full_speed_ns: f64, patience_ns: u64, on_look: impl Fn()) -> u64 {
    wait(full_speed_ns, patience_ns, monotonic_ns, measure, on_look)
}

fn wait(
    full_speed_ns: f64,
    patience_ns: u64,
    clock: impl Fn() -> u64,
    mut measure: impl FnMut() -> u64,
    on_look: impl Fn(),
) -> u64 {
    let began_ns = clock();
    loop {
        let mut readings: [u64; READINGS] = std::array::from_fn(|_| measure());
        readings.sort_unstable();
        let waited_ns = clock() - began_ns;
        let is_full_speed = readings[READINGS / 2] as f64 <= SLOWED * full_speed_ns;
        if is_full_speed || waited_ns >= patience_ns || signal::stop_requested().is_some() {
            return waited_ns;
        }
        on_look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Returns the wait for a core that is slow until some time, in ns of a clock that its own readings advance.
    fn waited(slow_until_ns: u64, patience_ns: u64) -> u64 {
        let now = Cell::new(0);
        let take = || {
            let took = if now.get() < slow_until_ns { 2000 } else { 1500 };
            now.set(now.get() + took);
            took
        };
        wait(1500.0, patience_ns, || now.get(), take, || {})
    }

    #[test]
    fn a_core_at_full_speed_is_not_waited_for_and_a_slow_one_until_it_is_or_patience_ends() {
        let once = READINGS as u64 * 2000;
        assert!(waited(0, u64::MAX) < once);
        assert!((1_000_000..1_000_000 + 2 * once).contains(&waited(1_000_000, u64::MAX)));
        assert!((500_000..500_000 + once).contains(&waited(u64::MAX, 500_000)));
        assert!(waited(u64::MAX, 0) <= once);
    }
}
