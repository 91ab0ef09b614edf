//! Whatever a Go test program prints, it is results that make sense, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|output: &str| {
    if let Ok(benchmarks) = ctxprof::tool::gobench::parse(output) {
        assert!(!benchmarks.is_empty());
        for benchmark in benchmarks {
            assert!(benchmark.iterations > 0 && benchmark.ns_per_op > 0.0 && benchmark.ns_per_op.is_finite());
        }
    }
});
