//! Memory of a parked task, by an allocator that counts: the reference for `ctxprof memory task`.
//!
//! ```sh
//! cargo run --release --example counted_tasks -- 400000 [STATE_BYTES]
//! ```
//!
//! Prints bytes per task: those requested, and those of the heap that the allocator set aside for them, including the gaps
//! between two allocations. tokio's tasks are aligned to 128 bytes, and glibc leaves a gap before each.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use ctxprof::footprint::participant::{Shape, prepare};
use ctxprof::workload::kind::Kind;

/// Counts requested bytes, and the end of the heap.
struct Counting;

static ASKED_FOR: AtomicUsize = AtomicUsize::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// From this size on glibc maps an allocation by itself, far from the others.
const MAPPED_APART: usize = 128 << 10;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is; counting touches atomics only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps alloc's contract, which is the system's too.
        let place = unsafe { System.alloc(layout) };
        ASKED_FOR.fetch_add(layout.size(), Ordering::Relaxed);
        if layout.size() < MAPPED_APART {
            HIGHEST.fetch_max(place as usize + layout.size(), Ordering::Relaxed);
            LOWEST.fetch_min(place as usize, Ordering::Relaxed);
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        ASKED_FOR.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees that this came from alloc with this layout, which is where the system gave it.
        unsafe { System.dealloc(place, layout) };
    }
}

/// Returns the bytes requested and not freed, and the end of the heap.
fn counted() -> (usize, usize) {
    let reach = HIGHEST.load(Ordering::Relaxed) - LOWEST.load(Ordering::Relaxed);
    (ASKED_FOR.load(Ordering::Relaxed), reach)
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse().expect("a number"));
    let count: usize = numbers.next().unwrap_or(400_000);
    let future_size = numbers.next().unwrap_or(0);
    let mut tasks = prepare(Kind::Task, Shape { future_size, ..Shape::default() }).expect("tasks of this size");
    // The first ones, and the runtime's own memory, are no part of it: the slope between a half and all.
    tasks.make(count / 2).expect("tasks can be made");
    let (asked_for, reach) = counted();
    tasks.make(count - count / 2).expect("tasks can be made");
    let (asked_for_all, reach_of_all) = counted();
    let per_task = |bytes: usize| bytes as f64 / (count - count / 2) as f64;
    println!("asked_for {:.2}", per_task(asked_for_all - asked_for));
    println!("heap {:.2}", per_task(reach_of_all - reach));
    tasks.end().expect("tasks end");
}
