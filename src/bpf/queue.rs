//! Slots on their way round: free ones to the kernel, those of threads that have ended back.

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
    /// All slots but the first, which stands for none, are free.
    pub(super) fn new(threads: Mapped, free: Mapped, ended: Mapped, control: &Mapped) -> Slots {
        let mut slots = Slots { threads, free, ended, free_tail: 0, ended_tail: 0 };
        (1..SLOTS as u64).for_each(|slot| slots.give(slot));
        control.store(FREE_TAIL, slots.free_tail);
        slots
    }

    /// Returns how many threads have been handed over up to now.
    pub(super) fn handed_over(control: &Mapped) -> u64 {
        control.load(ENDED_HEAD)
    }

    /// Hands over the threads that had ended when so many had been handed over, and frees their slots.
    pub(super) fn take_ended(&mut self, up_to: u64, control: &Mapped, each: &mut dyn FnMut(&Thread)) {
        while self.ended_tail < up_to {
            let place = (self.ended_tail & (SLOTS as u64 - 1)) as usize * 8;
            let slot = self.ended.load(place);
            if slot == 0 || slot >= SLOTS as u64 {
                // Another CPU has taken the place and not written yet.
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
