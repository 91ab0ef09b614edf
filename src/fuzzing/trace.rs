//! Input of `trace`: the kernel's types, and the memory that its BPF programs write.

use crate::bpf::btf::KernelTypes;
use crate::bpf::layout::{RECORD, Record, THREAD, Thread};
use crate::bpf::tracer::Step;
use crate::program::trace::collect::Collected;
use crate::program::trace::reason::Reason;

/// Types are read or refused, and every name looked up is found within its structure or is absent.
pub(super) fn kernel_types(bytes: &[u8]) {
    let Ok(types) = KernelTypes::read(bytes) else { return };
    let _ = (types.per_cpu("runqueues"), types.per_cpu("pcpu_hot"), types.parameters("btf_trace_sched_switch"));
    for path in [["sched_info", "run_delay"], ["se", "cfs_rq"], ["thread_info", "preempt"]] {
        let of_all = types.member("task_struct", &path);
        // A member's offset is known if its structure's is.
        assert!(of_all.is_none() || types.member("task_struct", &path[..1]).is_some(), "{path:?}");
    }
}

/// Every record has a reason with a name, and the switches shown are those of the records and of threads that are off the CPU. A
/// piece that begins with an odd byte is a thread that has ended or still runs, any other one a record.
pub(super) fn records(bytes: &[u8]) {
    let mut collected = Collected::new(bytes.first().is_some_and(|first| first % 4 == 0));
    let (mut records, mut off) = (0, 0);
    for piece in bytes.chunks_exact(1 + THREAD) {
        let words: Vec<u64> =
            piece[1..].chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes"))).collect();
        if piece[0] % 2 == 1 {
            let thread = Thread::read(words.as_slice().try_into().expect("a thread's words"));
            // The kernel's counters do not come near this.
            if [thread.switches, thread.missed, thread.queue_ns, thread.voluntary, thread.involuntary]
                .into_iter()
                .chain([thread.run_delay_ns, thread.cpu_ns])
                .any(|count| count > u64::MAX >> 16)
            {
                continue;
            }
            off += u64::from(thread.off.is_some());
            collected.step(Step::Ended(&thread));
        } else {
            for record in words.chunks_exact(RECORD / 8) {
                let record = Record::read(record.try_into().expect("a record's words"));
                assert!(!Reason::of(&record).to_string().is_empty());
                records += 1;
                collected.step(Step::Record(&record));
            }
        }
    }
    let shown: u64 = collected.tally.rows().iter().map(|(_, row)| row.switches()).sum();
    assert_eq!(shown, records + off);
}
