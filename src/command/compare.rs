//! `ctxprof compare`: external benchmarks next to ctxprof, with their switches counted.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::bench::document::compare::{
    CompareBody, CompareDocument, CompareSettings, PassedOverRow, SCHEMA, SavedRow, row,
};
use crate::bench::engine::plan::Effort;
use crate::bench::external::cross_check::{self, CrossCheckPlan};
use crate::bench::external::{EXTERNAL_BENCHMARKS, ExternalBenchmark, saved};
use crate::bench::left_out::LeftOut;
use crate::cli::ColorChoice;
use crate::cli::compare::CompareArgs;
use crate::command::output::{self, check_writable, deliver};
use crate::command::progress::Bar;
use crate::command::{Outcome, ended, place};
use crate::document::{Tool, Warning};
use crate::host::placement::Placement;
use crate::host::probe;
use crate::perf::fallback_chain::{CounterChoice, FallbackChain};
use crate::store::timestamp;
use crate::sys::signal;
use crate::workload::session::Setting;
use crate::{text, workload};

/// Time of ctxprof's own workload in each round.
const OWN_TIME: Duration = Duration::from_millis(400);
const OWN_REPETITIONS: u32 = 4;
const MOST_SAVED_BYTES: u64 = 16 * 1024 * 1024;

pub(super) fn execute(arguments: &CompareArgs, color: ColorChoice) -> Result<Outcome> {
    // Before signals are caught: opening a FIFO without a writer blocks until a signal ends this process.
    let saved = arguments.with.iter().map(|file| read_saved(file)).collect::<Result<Vec<_>>>()?;
    signal::catch_stops()?;
    check_writable(&arguments.output.output)?;
    let started_at = timestamp(SystemTime::now());
    let (place, processors) = place(arguments.cpu)?;
    let host = probe::facts(Path::new("/"), Some(&place), &processors);
    let setting = Setting { spare_cpu: processors.spare(place.cpu), ..Setting::on(place.cpu) };
    let (benchmarks, left_out) = available(arguments.quiet);
    if benchmarks.is_empty() && saved.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        bail!("none of the tools is here to compare with: {}", reasons.join("; "));
    }
    let effort = Effort { time: Some(OWN_TIME), samples: None };
    let plan = CrossCheckPlan { benchmarks, rounds: arguments.rounds, setting, repetitions: OWN_REPETITIONS, effort };
    let mut bar = Bar::new(!arguments.quiet);
    let mut fallback_chain = FallbackChain::new(CounterChoice::Auto);
    let seen = cross_check::run(&plan, &mut fallback_chain, &mut |progress| bar.show(progress))?;
    bar.finish();
    let document = CompareDocument {
        schema: SCHEMA.to_string(),
        tool: Tool::this(),
        started_at,
        host,
        settings: CompareSettings {
            rounds: arguments.rounds,
            with: arguments.with.iter().map(|file| file.display().to_string()).collect(),
        },
        body: CompareBody {
            rows: seen.benchmarks.iter().map(row).collect(),
            saved: saved.iter().flat_map(|file| file.rows.clone()).collect(),
            passed_over: saved.iter().flat_map(|file| file.passed_over.clone()).collect(),
            left_out,
            ending: seen.ending.clone(),
        },
        warnings: saved.into_iter().filter_map(|file| file.warning).collect(),
    };
    let something = document.body.rows.iter().any(|row| row.rounds > 0) || !document.body.saved.is_empty();
    let delivered = if something { deliver(&document, &arguments.output, color) } else { Ok(()) };
    ended(seen.ending, delivered.map(|()| Outcome::Done))
}

/// Returns the external benchmarks that are installed and whose counterpart can be measured, and why the others are left out.
fn available(quiet: bool) -> (Vec<&'static ExternalBenchmark>, Vec<LeftOut>) {
    let (mut benchmarks, mut left_out) = (Vec::new(), Vec::new());
    for benchmark in EXTERNAL_BENCHMARKS {
        let mut leave_out = |why| {
            left_out.push(LeftOut {
                workload: benchmark.name.to_string(),
                placement: Placement::Same,
                ring: None,
                why,
            });
        };
        let own = workload::meant_by(benchmark.own_workload);
        let say = |what: &str| output::say_unless(quiet, what);
        let provided = || (benchmark.provide)(&say).and_then(|()| own.iter().try_for_each(|own| (own.provide)(&say)));
        match (benchmark.available)() {
            Err(missing) => leave_out(missing),
            Ok(()) => match provided() {
                Ok(()) => benchmarks.push(benchmark),
                Err(error) => leave_out(error.into()),
            },
        }
    }
    (benchmarks, left_out)
}

/// Content of a file with saved output.
struct SavedFile {
    rows: Vec<SavedRow>,
    passed_over: Vec<PassedOverRow>,
    warning: Option<Warning>,
}

fn read_saved(path: &Path) -> Result<SavedFile> {
    let file = text::name(path);
    let bytes = text::read_bytes(path, MOST_SAVED_BYTES, "any benchmark prints")?;
    let output = saved::parse(&bytes).with_context(|| file.clone())?;
    let row = |claim: saved::SavedClaim| SavedRow {
        file: file.clone(),
        what: claim.what,
        configuration: claim.configuration,
        reported_ns_per_op: claim.ns_per_op,
    };
    let passed_over = |passed: saved::PassedOver| PassedOverRow {
        file: file.clone(),
        from_line: passed.lines.0,
        to_line: passed.lines.1,
        text: passed.text,
        reason: passed.why,
    };
    let message =
        || format!("{file}: its end is missing (Go says PASS after the last result), and results may be, too");
    Ok(SavedFile {
        rows: output.claims.into_iter().map(row).collect(),
        passed_over: output.passed_over.into_iter().map(passed_over).collect(),
        warning: output.is_cut_off.then(|| Warning::new("saved-output-cut-off", message())),
    })
}
