//! Whatever perf prints, it is figures that make sense, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|output: &str| {
    if let Ok(figures) = ctxprof::tool::perf::parse_pipe(output) {
        assert!(figures.ops > 0 && figures.ops_per_second > 0);
        assert!(figures.usecs_per_op > 0.0 && figures.usecs_per_op.is_finite());
    }
});
