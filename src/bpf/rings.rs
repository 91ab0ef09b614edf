//! The rings of records, one for each CPU, read in order of time.
//!
//! Each ring is in order, but not all together: a thread that moves from one CPU to another has its records in two. So all heads
//! are read twice:
//!
//! ```text
//! CPU 0  ……a1 ……………|…b2 ……|          first heads |, second heads |
//! CPU 1  …………b1 …|………………a2…|
//! ```
//!
//! Records earlier than one that the first reading sees were written before it, and are seen by the second. Records later than the
//! last one of the first reading are kept for the next drain.

use crate::bpf::layout::{RECORD, RING, RING_HEAD, RING_LOST, RING_TAIL, Record};
use crate::sys::mapped::Mapped;

#[derive(Debug)]
pub(super) struct Rings {
    ends: Mapped,
    records: Mapped,
    /// Number of records per CPU, a power of two.
    size: u64,
    cpus: usize,
    /// Records that were read and may still have missing predecessors.
    kept: Vec<Record>,
}

impl Rings {
    pub(super) fn new(ends: Mapped, records: Mapped, size: u64, cpus: usize) -> Rings {
        Rings { ends, records, size, cpus, kept: Vec::new() }
    }

    /// Passes on the records since the last call that are complete; with `all`, every record, as no more will come.
    pub(super) fn drain(&mut self, all: bool, each: &mut dyn FnMut(&Record)) {
        let first: Vec<u64> = (0..self.cpus).map(|cpu| self.head(cpu)).collect();
        let last_of = |(cpu, &head): (usize, &u64)| {
            let is_new = head != self.ends.load(cpu * RING + RING_TAIL);
            is_new.then(|| self.record(cpu, head.wrapping_sub(1)).at_ns)
        };
        let kept_to = self.kept.last().map(|record| record.at_ns);
        let complete_to = first.iter().enumerate().filter_map(last_of).chain(kept_to).max();
        for cpu in 0..self.cpus {
            let (head, tail) = (self.head(cpu), self.ends.load(cpu * RING + RING_TAIL));
            for at in tail..head {
                let record = self.record(cpu, at);
                self.kept.push(record);
            }
            self.ends.store(cpu * RING + RING_TAIL, head);
        }
        self.kept.sort_by_key(|record| record.at_ns);
        let complete = match (all, complete_to) {
            (true, _) => self.kept.len(),
            (false, Some(to)) => self.kept.partition_point(|record| record.at_ns <= to),
            (false, None) => 0,
        };
        self.kept.drain(..complete).for_each(|record| each(&record));
    }

    /// Returns the number of records lost for lack of room.
    pub(super) fn lost(&self) -> u64 {
        (0..self.cpus).map(|cpu| self.ends.load(cpu * RING + RING_LOST)).sum()
    }

    fn head(&self, cpu: usize) -> u64 {
        self.ends.load(cpu * RING + RING_HEAD)
    }

    fn record(&self, cpu: usize, at: u64) -> Record {
        let place = cpu * self.size as usize + (at & (self.size - 1)) as usize;
        let mut words = [0; RECORD / 8];
        self.records.copy(place * RECORD, &mut words);
        Record::read(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const SIZE: u64 = 8;

    struct MadeUp {
        ends: Mapped,
        records: Mapped,
        rings: Rings,
    }

    fn made_up() -> MadeUp {
        let mapped = |file: &File| Mapped::new(file, 2 * SIZE as usize * RECORD).unwrap();
        let [ends, records] = [(); 2].map(|()| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            file
        });
        let rings = Rings::new(mapped(&ends), mapped(&records), SIZE, 2);
        MadeUp { ends: mapped(&ends), records: mapped(&records), rings }
    }

    impl MadeUp {
        /// Writes as the kernel does: a record, then the head.
        fn write(&self, cpu: usize, at_ns: u64) {
            let head = self.ends.load(cpu * RING + RING_HEAD);
            let place = cpu * SIZE as usize + (head & (SIZE - 1)) as usize;
            self.records.store(place * RECORD, at_ns);
            self.ends.store(cpu * RING + RING_HEAD, head + 1);
        }

        fn drained(&mut self, all: bool) -> Vec<u64> {
            let mut times = Vec::new();
            self.rings.drain(all, &mut |record| times.push(record.at_ns));
            times
        }
    }

    #[test]
    fn records_of_several_cpus_come_in_the_order_of_their_times() {
        let mut made_up = made_up();
        assert!(made_up.drained(false).is_empty());
        for (cpu, at_ns) in [(0, 1), (1, 2), (0, 4), (1, 3), (1, 5)] {
            made_up.write(cpu, at_ns);
        }
        assert_eq!(made_up.drained(false), [1, 2, 3, 4, 5]);
        // Round and round.
        for at_ns in 6..30 {
            made_up.write(at_ns as usize % 2, at_ns);
            assert_eq!(made_up.drained(at_ns == 29), [at_ns]);
        }
    }
}
