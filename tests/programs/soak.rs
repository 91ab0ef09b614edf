//! Runs ctxprof's engine very often in one process, one workload after the other, and prints this process's memory, open files,
//! threads and children meanwhile.
//!
//! ```sh
//! cargo run --release --example soak -- 10000 10
//! ```
//!
//! Exits with 1 if there is more of anything at the end than after a tenth of the runs, by which every workload has had its turn
//! often enough for everything that the allocator, tokio and the loader retain on purpose.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ctxprof::bench::document::run::from_samples;
use ctxprof::bench::document::samples::SamplesDocument;
use ctxprof::bench::document::settings::RunSettings;
use ctxprof::bench::engine;
use ctxprof::bench::engine::plan::{Effort, Plan, lay_out};
use ctxprof::document::Ending;
use ctxprof::host::placement::{self, Place, Placement};
use ctxprof::host::probe;
use ctxprof::output::{FORMATS, Look};
use ctxprof::perf::fallback_chain::{CounterChoice, FallbackChain};
use ctxprof::workload::session::Setting;
use ctxprof::workload::{WORKLOADS, Workload};

/// Tolerance for malloc's free lists, KiB: a leak of 120 bytes a run shows in 10,000.
const SLACK_KIB: u64 = 1024;
/// Times of the reports, in tenths of the runs.
const LOOKS: [u32; 6] = [0, 1, 2, 5, 7, 10];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    resident_kib: u64,
    files: usize,
    threads: usize,
    children: usize,
}

fn main() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u32>());
    let mut number = |otherwise| words.next().unwrap_or(Ok(otherwise)).context("soak [RUNS [MILLISECONDS]]");
    let (runs, milliseconds) = (number(10_000)?, number(10)?);
    ensure!(runs >= 2000, "of fewer than 2000 runs, a tenth is no time to settle");
    let root = Path::new("/");
    let processors = probe::processors(root)?;
    let place = placement::choose(&probe::candidates(root, &processors.allowed))?;
    let setting = Setting { spare_cpu: processors.spare(place.cpu), ..Setting::on(place.cpu) };
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(|workload| (workload.available)().is_ok()).collect();
    for workload in &workloads {
        (workload.provide)(&|_| ())?;
    }
    println!("# {runs} runs of {milliseconds} ms, {} workloads in turn, in one process", workloads.len());
    let mut settled = None;
    for run in 0..=runs {
        if let Some(tenths) = LOOKS.into_iter().find(|&tenths| run == (u64::from(runs) * u64::from(tenths) / 10) as u32)
        {
            let held = held()?;
            println!(
                "run {run:>6}: resident {} KiB, {} files, {} threads, {} children",
                held.resident_kib, held.files, held.threads, held.children
            );
            if tenths == 1 {
                settled = Some(held);
            }
        }
        if run < runs {
            let workload = workloads[run as usize % workloads.len()];
            once(workload, setting, &place, Duration::from_millis(milliseconds.into()))
                .with_context(|| format!("run {run}, {}", workload.name))?;
        }
    }
    Ok(verdict(settled.context("no look")?, held()?))
}

/// A run as the command makes it, from the plan to a report in every format.
fn once(workload: &'static Workload, setting: Setting, place: &Place, time: Duration) -> Result<()> {
    let root = Path::new("/");
    let (entries, left_out) = lay_out(&[workload], &[(Placement::Same, setting)]);
    let plan = Plan::of_costs(entries, left_out, 2, Effort { time: Some(time), samples: None });
    let seen = engine::run(&plan, &mut FallbackChain::new(CounterChoice::Auto), &mut |_| ())?;
    if let Ending::Failed(reason) = &seen.ending {
        bail!("{reason}");
    }
    let host = probe::facts(root, Some(place), &probe::processors(root)?);
    let document = from_samples(&SamplesDocument::of(String::new(), host, RunSettings::default(), seen));
    let look = Look { width: 100, wide: true, ascii: false, color: false };
    FORMATS.iter().try_for_each(|format| (format.draw)(&document, &look).map(drop))
}

fn held() -> Result<Held> {
    let count = |folder: &str| Ok::<_, anyhow::Error>(fs::read_dir(folder)?.count());
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    Ok(Held {
        resident_kib: resident.context("no VmRSS in /proc/self/status")?.trim().parse()?,
        files: count("/proc/self/fd")?,
        threads: count("/proc/self/task")?,
        children: children.split_whitespace().count(),
    })
}

fn verdict(settled: Held, end: Held) -> ExitCode {
    let grown = [
        ("KiB of memory", end.resident_kib, settled.resident_kib + SLACK_KIB),
        ("open files", end.files as u64, settled.files as u64),
        ("threads", end.threads as u64, settled.threads as u64),
        ("children", end.children as u64, settled.children as u64),
    ];
    let mut code = ExitCode::SUCCESS;
    for (what, end, most) in grown {
        let met = end <= most;
        println!("{} {what} at the end: {end} (wanted: at most {most})", if met { "met:     " } else { "NOT MET: " });
        if !met {
            code = ExitCode::FAILURE;
        }
    }
    code
}
