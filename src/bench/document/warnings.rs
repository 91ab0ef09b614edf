//! Warnings about a run as a whole; those about a row are the figures'.

use crate::bench::document::samples::{SamplesBody, SamplesDocument};
use crate::bench::figures::{self, Row};
use crate::document::{Ending, Warning};
use crate::estimate::Confidence;
use crate::host::checks;
use crate::perf::records::SWITCH_RECORDS;

/// Returns the warnings about a run, its host and its settings.
pub(super) fn of_run(document: &SamplesDocument, rows: &[Row]) -> Vec<Warning> {
    let SamplesDocument { tool, host, settings, body: SamplesBody { seen, .. }, .. } = document;
    let mut warnings = figures::of_counting(&seen.counting);
    if tool.debug_build {
        warnings.push(Warning::new(
            "debug-build",
            "this is a debug build, whose loops are slow by themselves; build with --release",
        ));
    }
    warnings.extend(settings.injected_slowdown.as_ref().map(|slowdown| {
        Warning::new("injected-slowdown", format!("CTXPROF_TEST_SLOWDOWN={slowdown} made a workload slower on purpose"))
    }));
    let of_host = checks::of_facts(host, settings.is_realtime());
    warnings.extend(of_host.into_iter().map(|remark| Warning::new(remark.code, remark.message)));
    let refused = seen.counting.absent.iter().find(|absent| absent.name == SWITCH_RECORDS);
    let some = seen.workloads.iter().any(|workload| workload.recording.is_some());
    warnings.extend(refused.map(|absent| {
        let what = if some {
            "switches were not recorded everywhere, or not to the end"
        } else {
            "no records of switches: no breakdown and no timelines"
        };
        Warning::new("not-recorded", format!("{what}: {}", absent.reason))
    }));
    warnings
        .extend(figures::of_absent_records(seen.workloads.iter().filter_map(|workload| workload.recording.as_ref())));
    let repetitions = || seen.workloads.iter().flat_map(|workload| &workload.repetitions);
    let elapsed_ns = repetitions().map(|repetition| repetition.surroundings.elapsed_ns).sum();
    let steal_ns: Option<u64> = rows.iter().map(|row| row.steal_ns).sum();
    warnings.extend(steal_ns.and_then(|steal_ns| figures::of_steal(steal_ns, elapsed_ns)));
    let fewest = rows.iter().map(|row| row.repetitions_with_cost).min();
    if let Some(few) =
        fewest.filter(|&few| Confidence::of(few).is_none_or(|confidence| confidence.level < Confidence::AIM))
    {
        warnings.push(Warning::new("few-repetitions", few_repetitions(few)));
    }
    let least = rows.iter().map(|row| row.rounds.len()).min().unwrap_or_default();
    match &seen.ending {
        Ending::Complete if least < settings.repetitions as usize => {
            let message = format!(
                "the time was up after {least} of {} repetitions; more need a longer --time",
                settings.repetitions
            );
            warnings.push(Warning::new("time-up", message));
        }
        Ending::Complete => {}
        Ending::Interrupted(_) => {
            warnings.push(Warning::new("partial", "partial: interrupted; these are the samples taken until then"))
        }
        Ending::Failed(_) => {
            warnings.push(Warning::new("partial", "partial: ended by an error; these are the samples taken until then"))
        }
    }
    warnings
}

fn few_repetitions(few: usize) -> String {
    match few {
        0 | 1 => "one repetition has no interval: for one of 95 %, 6 are needed".to_string(),
        _ => format!("{few} repetitions are too few for a 95 % interval: 6 are needed; what is shown is their range"),
    }
}
