//! Layout of records in a perf ring buffer.
//!
//! ```text
//! SWITCH            [pid tid] [time] [cpu]                          of the thread that gets or leaves the CPU
//! SWITCH_CPU_WIDE   next_prev_pid next_prev_tid, then the same
//! SAMPLE            [pid tid] [time] [cpu] raw_size raw …           of the thread that hit the tracepoint
//! LOST              id lost, then the same
//! ```
//!
//! # References
//! perf_event_open(2), with `sample_id_all` and `PERF_SAMPLE_TID | TIME | CPU`, `| RAW` for samples.

use perf_event_open_sys::bindings::{
    PERF_RECORD_LOST, PERF_RECORD_MISC_SWITCH_OUT, PERF_RECORD_MISC_SWITCH_OUT_PREEMPT, PERF_RECORD_SAMPLE,
    PERF_RECORD_SWITCH, PERF_RECORD_SWITCH_CPU_WIDE,
};

use crate::perf::records::What;

/// An event of a thread, by the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub at_ns: u64,
    pub cpu: u32,
    pub what: What,
    /// The kernel's id of the thread, 0 for an idle one.
    pub thread: u32,
    /// The thread that caused it.
    pub by: u32,
}

/// Meaning of a sample in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Samples {
    /// There are none.
    None,
    /// Wake-ups; the woken thread's id is a 32-bit number at this offset of the raw data.
    Waking { id_at: usize },
    /// Calls of sched_yield(2).
    Yield,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    Record(Record),
    /// This many did not fit.
    Lost(u64),
    /// Something else, or too short.
    Nothing,
}

/// Reads a record's bytes, those after its header.
pub(crate) fn parse(kind: u32, misc: u16, bytes: &[u8], samples: Samples) -> Parsed {
    let parsed = match kind {
        PERF_RECORD_SWITCH => switch(misc, bytes, 0),
        PERF_RECORD_SWITCH_CPU_WIDE => switch(misc, bytes, 8),
        PERF_RECORD_SAMPLE => sample(bytes, samples),
        PERF_RECORD_LOST => u64_at(bytes, 8).map(Parsed::Lost),
        _ => None,
    };
    parsed.unwrap_or(Parsed::Nothing)
}

fn switch(misc: u16, bytes: &[u8], id_at: usize) -> Option<Parsed> {
    let misc = u32::from(misc);
    let what = match (misc & PERF_RECORD_MISC_SWITCH_OUT != 0, misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT != 0) {
        (false, _) => What::In,
        (true, false) => What::Out,
        (true, true) => What::OutRunnable,
    };
    let (thread, at_ns, cpu) = identity(bytes, id_at)?;
    Some(Parsed::Record(Record { at_ns, cpu, what, thread, by: thread }))
}

fn sample(bytes: &[u8], samples: Samples) -> Option<Parsed> {
    /// After pid, tid, time, CPU and its padding: the length of the raw data, and the data.
    const RAW_AT: usize = 24 + 4;
    let (by, at_ns, cpu) = identity(bytes, 0)?;
    let (what, thread) = match samples {
        Samples::None => return None,
        Samples::Waking { id_at } => (What::Waking, u32_at(bytes, RAW_AT.checked_add(id_at)?)?),
        Samples::Yield => (What::Yield, by),
    };
    Some(Parsed::Record(Record { at_ns, cpu, what, thread, by }))
}

/// Returns thread, time and CPU of a record, in this order from `at` on.
fn identity(bytes: &[u8], at: usize) -> Option<(u32, u64, u32)> {
    Some((u32_at(bytes, at + 4)?, u64_at(bytes, at + 8)?, u32_at(bytes, at + 16)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(field.try_into().ok()?))
}

/// Returns the offset of a field in a tracepoint's raw data, by its `format` file in tracefs; `None` if it has no such 32-bit field.
pub(crate) fn offset_of(format: &str, field: &str) -> Option<usize> {
    let value = |part: &str, key: &str| part.trim().strip_prefix(key)?.trim().parse::<usize>().ok();
    format.lines().find_map(|line| {
        let parts: Vec<&str> = line.trim().strip_prefix("field:")?.split(';').collect();
        let [declaration, offset, size, ..] = parts.as_slice() else { return None };
        let is_it = declaration.split_whitespace().last() == Some(field) && value(size, "size:") == Some(4);
        value(offset, "offset:").filter(|_| is_it)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pid 7, thread 8, 1000 ns, CPU 1.
    fn identity_bytes() -> Vec<u8> {
        let mut bytes = [7_u32, 8].map(u32::to_ne_bytes).concat();
        bytes.extend(1000_u64.to_ne_bytes());
        bytes.extend([1_u32, 0].map(u32::to_ne_bytes).concat());
        bytes
    }

    fn check(kind: u32, misc: u32, bytes: &[u8], samples: Samples, what: What, thread: u32) {
        let expected = Record { at_ns: 1000, cpu: 1, what, thread, by: 8 };
        assert_eq!(parse(kind, misc as u16, bytes, samples), Parsed::Record(expected));
    }

    #[test]
    fn switches_are_read_with_and_without_the_other_thread() {
        let of_thread = identity_bytes();
        let of_cpu = [vec![0xff; 8], identity_bytes()].concat();
        for (kind, bytes) in [(PERF_RECORD_SWITCH, &of_thread), (PERF_RECORD_SWITCH_CPU_WIDE, &of_cpu)] {
            let out = PERF_RECORD_MISC_SWITCH_OUT;
            check(kind, 0, bytes, Samples::None, What::In, 8);
            check(kind, out, bytes, Samples::None, What::Out, 8);
            check(kind, out | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT, bytes, Samples::None, What::OutRunnable, 8);
        }
    }

    #[test]
    fn a_sample_says_who_was_woken_or_yielded() {
        let raw = [36_u32, 0, 0, 4711].map(u32::to_ne_bytes).concat();
        let bytes = [identity_bytes(), raw].concat();
        check(PERF_RECORD_SAMPLE, 0, &bytes, Samples::Waking { id_at: 8 }, What::Waking, 4711);
        check(PERF_RECORD_SAMPLE, 0, &bytes, Samples::Yield, What::Yield, 8);
        assert_eq!(parse(PERF_RECORD_SAMPLE, 0, &bytes, Samples::Waking { id_at: 100 }), Parsed::Nothing);
        assert_eq!(parse(PERF_RECORD_SAMPLE, 0, &bytes, Samples::Waking { id_at: usize::MAX }), Parsed::Nothing);
    }

    #[test]
    fn lost_records_are_counted() {
        let bytes = [3_u64, 250].map(u64::to_ne_bytes).concat();
        assert_eq!(parse(PERF_RECORD_LOST, 0, &bytes, Samples::None), Parsed::Lost(250));
    }

    #[test]
    fn a_field_is_where_the_format_says() {
        let format = "name: sched_waking\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
            \tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n";
        assert_eq!(offset_of(format, "pid"), Some(24));
        assert_eq!(offset_of(format, "common_pid"), Some(4));
        assert_eq!(offset_of(format, "comm[16]"), None);
        assert_eq!(offset_of("field:pid_t pid; offset:x; size:4;", "pid"), None);
        assert_eq!(offset_of("", "pid"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 0..40_u32, misc in any::<u16>(), bytes in any::<Vec<u8>>(), id_at in any::<usize>()) {
            for samples in [Samples::None, Samples::Yield, Samples::Waking { id_at }] {
                let _ = parse(kind, misc, &bytes, samples);
            }
        }
    }
}
