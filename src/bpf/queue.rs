//! Queues of slots: free ones to the kernel, and back those of threads that have ended.

use crate::bpf::layout::{ENDED_HEAD, FREE_TAIL, SLOTS, THREAD, Thread};
use crate::sys::mapped::Mapped;

/// Both queues, and the threads in the slots.
#[derive(Debug)]
pub(super) struct Slots {
    threads: Mapped,
    free: Mapped,
    ended: Mapped,
    free_tail: u64,
    ended_tail: u64,
}

impl Slots {
    /// Frees all slots but the first, which means none.
    pub(super) fn new(threads: Mapped, free: Mapped, ended: Mapped, control: &Mapped) -> Slots {
        let mut slots = Slots { threads, free, ended, free_tail: 0, ended_tail: 0 };
        (1..SLOTS as u64).for_each(|slot| slots.give(slot));
        control.store(FREE_TAIL, slots.free_tail);
        slots
    }

    /// Returns the number of threads handed over so far.
    pub(super) fn handed_over(control: &Mapped) -> u64 {
        control.load(ENDED_HEAD)
    }

    /// Passes on the ended threads among the first `up_to` handed over, and frees their slots.
    pub(super) fn take_ended(&mut self, up_to: u64, control: &Mapped, each: &mut dyn FnMut(&Thread)) {
        while self.ended_tail < up_to {
            let place = (self.ended_tail & (SLOTS as u64 - 1)) as usize * 8;
            let slot = self.ended.load(place);
            if slot == 0 || slot >= SLOTS as u64 {
                // Another CPU has reserved the place and not written yet.
                return;
            }
            each(&self.thread(slot as usize));
            self.ended.store(place, 0);
            self.ended_tail += 1;
            self.give(slot);
            control.store(FREE_TAIL, self.free_tail);
        }
    }

    pub(super) fn thread(&self, slot: usize) -> Thread {
        let mut words = [0; THREAD / 8];
        self.threads.copy(slot * THREAD, &mut words);
        Thread::read(&words)
    }

    pub(super) fn threads(&self) -> &Mapped {
        &self.threads
    }

    fn give(&mut self, slot: u64) {
        self.free.store((self.free_tail & (SLOTS as u64 - 1)) as usize * 8, slot);
        self.free_tail += 1;
    }
}
