//! Where memory lands, which between two processes differs by luck and moves a price by a per cent or two: shuffled from
//! one incarnation to the next, so that a run's interval has that luck in it.
//!
//! # References
//! Mytkowicz, Diwan, Hauswirth, Sweeney: "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009.

use std::hint::black_box;

/// Calls `play` with the heap and the stack somewhat displaced.
pub(super) fn shuffled<T>(play: impl FnOnce() -> T) -> T {
    let _heap = displaced_heap();
    below(fastrand::u8(..64), Box::new(play))
}

/// Blocks of the sizes that parties are made of, so that the allocator has to place theirs elsewhere.
fn displaced_heap() -> Vec<Vec<u8>> {
    const SIZES: [usize; 8] = [32, 64, 128, 256, 512, 1024, 2048, 4096];
    (0..fastrand::usize(1..64)).map(|_| black_box(Vec::with_capacity(SIZES[fastrand::usize(..SIZES.len())]))).collect()
}

/// Calls `play` with this many frames between it and the caller's.
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
        let places = |place: fn() -> usize| (0..50).map(|_| shuffled(place)).collect::<BTreeSet<_>>().len();
        let on_stack = || {
            let local = black_box(0u8);
            std::ptr::from_ref(&local).addr()
        };
        let on_heap = || std::ptr::from_ref(black_box(Box::new([0u8; 256])).as_ref()).addr();
        assert!(places(on_stack) > 4, "{} places on the stack", places(on_stack));
        assert!(places(on_heap) > 4, "{} places on the heap", places(on_heap));
    }
}
