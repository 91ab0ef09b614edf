//! Claims from files: what `go test -bench` or `perf bench sched pipe` printed somewhere else.

use anyhow::{Result, anyhow};

use crate::tool::{gobench, perf};

/// A claim that nobody counted.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedClaim {
    pub what: String,
    pub ns_per_op: f64,
}

/// The claims in a saved output, whichever of the two tools it is of.
///
/// # Errors
/// It is neither's; what each reader stumbled over, with the line.
pub fn parse(text: &str) -> Result<Vec<SavedClaim>> {
    let of_perf = perf::parse_pipe(text).map(|figures| {
        let what = format!("perf bench sched pipe, {} ops", figures.ops);
        vec![SavedClaim { what, ns_per_op: figures.usecs_per_op * 1000.0 }]
    });
    let of_go = || {
        gobench::parse(text).map(|benchmarks| {
            let claim = |each: gobench::Benchmark| SavedClaim { what: each.name, ns_per_op: each.ns_per_op };
            benchmarks.into_iter().map(claim).collect()
        })
    };
    of_perf.or_else(|no_perf| {
        of_go().map_err(|no_go| {
            anyhow!("this is no output of perf bench sched pipe ({no_perf:#}) nor of go test -bench ({no_go:#})")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_tools_output_is_read() {
        let perf = "# Running 'sched/pipe' benchmark:\n# Executed 1000000 pipe operations between two threads\n\n     Total time: 5.760 [sec]\n\n       5.760123 usecs/op\n         173607 ops/sec\n";
        assert!((parse(perf).unwrap()[0].ns_per_op - 5760.123).abs() < 1e-6);
        let go = "goos: darwin\ngoarch: arm64\nBenchmarkContextSwitch-8 \t 6843128\t       175.3 ns/op\nPASS\nok  \tx\t1.5s\n";
        assert_eq!(parse(go).unwrap(), [SavedClaim { what: "BenchmarkContextSwitch".to_string(), ns_per_op: 175.3 }]);
        let error = parse("hello\nworld\n").unwrap_err().to_string();
        assert!(error.contains("perf bench") && error.contains("go test") && error.contains("hello"), "{error}");
        assert!(parse("").is_err());
    }
}
