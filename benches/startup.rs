//! Overhead of the tool itself: from exec to the first op, a default run's length, and its memory.
//!
//! ```sh
//! cargo bench --bench startup [-- RUNS]
//! ```

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use ctxprof::sys::clock::monotonic_ns;
use nix::sys::resource::{UsageWho, getrusage};

/// Limits: ms, s, MB.
const WANTED: [(&str, f64); 3] =
    [("ms from exec to the first op", 10.0), ("s a default run", 6.0), ("MB resident", 20.0)];

fn main() {
    let runs: usize = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(5);
    let samples = std::env::temp_dir().join(format!("ctxprof-startup-{}.json", std::process::id()));
    let figures: Vec<[f64; 3]> = (1..=runs)
        .map(|run| {
            let figures = figures_of_a_run(&samples);
            let [first_op_ms, whole_s, resident_mb] = figures;
            println!(
                "run {run}: exec to first op {first_op_ms:.1} ms, whole run {whole_s:.2} s, resident {resident_mb:.1} MB"
            );
            figures
        })
        .collect();
    let _ = std::fs::remove_file(samples);
    for (at, (what, most)) in WANTED.into_iter().enumerate() {
        let mut each: Vec<f64> = figures.iter().map(|figures| figures[at]).collect();
        each.sort_by(f64::total_cmp);
        let (median, low, high) = (each[each.len() / 2], each[0], each[each.len() - 1]);
        let verdict = if high < most { "met:     " } else { "NOT MET: " };
        println!("{verdict} {what}: {median:.1} (runs {low:.1}…{high:.1}) (wanted: all under {most})");
    }
}

/// Returns the time from exec to the first op, ms; of the whole default run, s; and the peak memory of the runs so far, MB.
fn figures_of_a_run(samples: &Path) -> [f64; 3] {
    let (exec_ns, started) = (monotonic_ns(), Instant::now());
    let status = Command::new(env!("CARGO_BIN_EXE_ctxprof"))
        .args(["run", "--no-save", "--quiet", "--samples-out"])
        .arg(samples)
        .stdout(Stdio::null())
        .status()
        .expect("the built binary runs");
    assert!(status.success());
    let elapsed = started.elapsed();
    let text = std::fs::read_to_string(samples).expect("the samples were written");
    // Searched, not parsed: a child's peak is at least this process's memory when it was forked.
    let (_, after) = text.split_once("\"first_op_at_ns\":").expect("an op was played");
    let first_op_ns: u64 = after
        .split(|byte: char| !byte.is_ascii_digit())
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number of ns");
    let resident_kib = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage works").max_rss();
    [(first_op_ns - exec_ns) as f64 / 1e6, elapsed.as_secs_f64(), resident_kib as f64 * 1024.0 / 1e6]
}
