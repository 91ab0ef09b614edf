//! A fixed stretch of arithmetic, timed beside every sample: how fast the core itself runs just then.
//!
//! A hardware thread that is busy beside the parties, on this machine or in another guest of its host, slows them without
//! a switch, steal, or any other trace that this kernel could see. It slows this stretch as well, which keeps the core's
//! execution units full and touches no memory; so does a lower frequency.

use std::hint::black_box;

use crate::sys::clock::monotonic_ns;

/// Rounds of the stretch: about 1.5 µs, so that the clock's own 25 ns are no matter.
const ROUNDS: u64 = 600;

/// How long the stretch takes now, in ns.
#[inline(never)]
pub(super) fn measure() -> u64 {
    let started = monotonic_ns();
    // Eight chains that do not wait for each other: more than a core can keep running when it is shared.
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
