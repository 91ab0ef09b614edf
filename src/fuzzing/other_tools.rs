//! Output of other programs, perf and go among them, and their executables.

use crate::bench::external::saved;
use crate::footprint::holder;
use crate::perf::extra::offset_in;
use crate::tool::{gobench, perf};
use crate::workload::goroutine;
use crate::workload::session::Laps;

/// Any output of perf gives figures that make sense, or an error.
pub(super) fn perf_output(bytes: &[u8]) {
    if let Ok(figures) = perf::parse_pipe(&String::from_utf8_lossy(bytes)) {
        assert!(figures.ops > 0 && figures.ops_per_second > 0, "{figures:?}");
        assert!(figures.usecs_per_op > 0.0 && figures.usecs_per_op.is_finite(), "{figures:?}");
    }
}

/// Any output of a Go test program gives results that make sense, or an error.
pub(super) fn go_output(bytes: &[u8]) {
    if let Ok(benchmarks) = gobench::parse(&String::from_utf8_lossy(bytes)) {
        assert!(!benchmarks.is_empty());
        for benchmark in benchmarks {
            assert!(benchmark.iterations > 0, "{benchmark:?}");
            assert!(benchmark.ns_per_op > 0.0 && benchmark.ns_per_op.is_finite(), "{benchmark:?}");
        }
    }
}

/// A file for `compare --with` has claims above 0, or is of neither tool; skipped passages are lines of it, in order.
pub(super) fn saved_claim(bytes: &[u8]) {
    if let Ok(output) = saved::parse(bytes) {
        assert!(!output.claims.is_empty());
        for claim in output.claims {
            assert!(claim.ns_per_op > 0.0 && claim.ns_per_op.is_finite(), "{claim:?}");
            assert!(!claim.what.contains(char::is_control), "{claim:?}");
        }
        let mut last = 0;
        for passed in output.passed_over {
            let (from, to) = passed.lines;
            assert!(last < from && from <= to, "{passed:?}");
            last = to;
        }
    }
}

/// A child's line: a play's times, each op's, or the answer of `hold`. The first byte is the number of ops asked for.
pub(super) fn child_answer(bytes: &[u8]) {
    let Some((&ops, answer)) = bytes.split_first() else { return };
    let answer = String::from_utf8_lossy(answer);
    let mut laps = Laps::default();
    if goroutine::parse_each(&answer, ops.into(), &mut laps).is_ok() {
        assert_eq!(laps.durations().count(), usize::from(ops));
    }
    if let Ok(played) = goroutine::parse(&answer) {
        assert!(played.elapsed_ns > 0);
    }
    let _ = holder::made(&answer);
}

/// A function of a program's file is found, or not: another compiler has built Go programs.
pub(super) fn go_program(bytes: &[u8]) {
    let _ = offset_in(bytes, "main.main");
}
