//! Layout randomization: where memory lands differs from one process to the next and changes a cost by a per cent or
//! two, and the order of workloads may do so too. Both are shuffled from one repetition to the next, so that a run's
//! interval includes that. All of it comes from one seed.
//!
//! # References
//! Mytkowicz, Diwan, Hauswirth, Sweeney: "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009.

use std::hint::black_box;

use fastrand::Rng;

/// Calls `play` with heap and stack displaced by random amounts.
pub(super) fn shuffled<T>(layout_randomization: &mut Rng, play: impl FnOnce() -> T) -> T {
    let _heap = displaced_heap(layout_randomization);
    below(layout_randomization.u8(..64), Box::new(play))
}

/// Returns the entries in a random order; all orders are equally likely.
pub(super) fn in_any_order(layout_randomization: &mut Rng, entries: &[usize]) -> Vec<usize> {
    let mut entries = entries.to_vec();
    layout_randomization.shuffle(&mut entries);
    entries
}

/// Allocates blocks of the sizes that participants use, so that the allocator has to place theirs elsewhere.
fn displaced_heap(layout_randomization: &mut Rng) -> Vec<Vec<u8>> {
    const SIZES: [usize; 8] = [32, 64, 128, 256, 512, 1024, 2048, 4096];
    (0..layout_randomization.usize(1..64))
        .map(|_| black_box(Vec::with_capacity(SIZES[layout_randomization.usize(..SIZES.len())])))
        .collect()
}

/// Calls `play` with this many stack frames between it and the caller's.
#[inline(never)]
fn below<'a, T>(frames: u8, play: Box<dyn FnOnce() -> T + 'a>) -> T {
    let frame = black_box([0u8; 48]);
    let result = if frames == 0 { play() } else { below(frames - 1, play) };
    black_box(frame);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn objects_land_at_many_places() {
        let mut layout_randomization = Rng::with_seed(1);
        let mut places = |place: fn() -> usize| {
            (0..50).map(|_| shuffled(&mut layout_randomization, place)).collect::<BTreeSet<_>>().len()
        };
        let on_stack = || {
            let local = black_box(0u8);
            std::ptr::from_ref(&local).addr()
        };
        let on_heap = || std::ptr::from_ref(black_box(Box::new([0u8; 256])).as_ref()).addr();
        let (on_stack, on_heap) = (places(on_stack), places(on_heap));
        assert!(on_stack > 4, "{on_stack} places on the stack");
        assert!(on_heap > 4, "{on_heap} places on the heap");
    }

    #[test]
    fn every_order_comes_up_and_a_seed_repeats_them() {
        let orders = |seed| {
            let mut layout_randomization = Rng::with_seed(seed);
            (0..60).map(|_| in_any_order(&mut layout_randomization, &[0, 1, 2])).collect::<Vec<_>>()
        };
        assert_eq!(orders(7).iter().collect::<BTreeSet<_>>().len(), 6);
        assert_eq!(orders(7), orders(7));
        assert_ne!(orders(7), orders(8));
    }
}
