//! What the tool itself costs: from exec to the first op, a default run's length, and its memory.
//!
//! ```sh
//! cargo bench --bench startup
//! ```

use std::process::{Command, Stdio};
use std::time::Instant;

use ctxprof::sys::clock::monotonic_ns;
use nix::sys::resource::{UsageWho, getrusage};

const RUNS: usize = 5;

fn main() {
    let samples = std::env::temp_dir().join(format!("ctxprof-startup-{}.json", std::process::id()));
    for run in 1..=RUNS {
        let (exec_ns, started) = (monotonic_ns(), Instant::now());
        let status = Command::new(env!("CARGO_BIN_EXE_ctxprof"))
            .args(["run", "--no-save", "--quiet", "--samples-out"])
            .arg(&samples)
            .stdout(Stdio::null())
            .status()
            .expect("the built binary runs");
        assert!(status.success());
        let text = std::fs::read_to_string(&samples).expect("the samples were written");
        // Searched, not parsed: a child's peak is at least what this process had when it was forked.
        let (_, after) = text.split_once("\"first_op_at_ns\":").expect("an op was played");
        let first_op_ns: u64 = after
            .split(|byte: char| !byte.is_ascii_digit())
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number of ns");
        let resident_kib = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage works").max_rss();
        println!(
            "run {run}: exec to first op {:.1} ms (wanted: under 10), whole run {:.2} s (wanted: within 6), resident {:.1} MB (wanted: under 20)",
            (first_op_ns - exec_ns) as f64 / 1e6,
            started.elapsed().as_secs_f64(),
            resident_kib as f64 * 1024.0 / 1e6,
        );
    }
    let _ = std::fs::remove_file(samples);
}
