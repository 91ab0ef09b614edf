//! Warnings about a run as a whole; those about a row are the figures'.

use crate::bench::document::samples::{SamplesBody, SamplesDocument};
use crate::bench::document::settings::RunSettings;
use crate::bench::figures::{self, Row};
use crate::bench::left_out::row_title;
use crate::bench::sample::{RunSamples, WorkloadSamples};
use crate::document::{Ending, Warning};
use crate::estimate::Confidence;
use crate::host::checks;
use crate::perf::records::SWITCH_RECORDS;
use crate::unit::Share;

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
    warnings.extend(of_repetitions(seen, settings, rows));
    match &seen.ending {
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

/// Returns the warnings about repetitions that were not made, or are too few for an interval.
fn of_repetitions(seen: &RunSamples, settings: &RunSettings, rows: &[Row]) -> Vec<Warning> {
    let asked = settings.repetitions as usize;
    let is_refused = |workload: &WorkloadSamples| workload.refused_later.is_some();
    let mut warnings: Vec<Warning> =
        seen.workloads.iter().filter_map(|workload| refused_later(workload, settings)).collect();
    // Those that were refused have a warning of their own.
    let others = rows.iter().zip(&seen.workloads).filter(|(_, workload)| !is_refused(workload));
    let least = others.map(|(row, _)| row.rounds.len()).min().unwrap_or(asked);
    let few = rows.iter().map(|row| row.repetitions_with_cost).min().and_then(|few| few_repetitions(few, least));
    if seen.ending == Ending::Complete && least < asked {
        let so = few.map_or(String::new(), |(_, so)| format!(": {so}"));
        let message = format!("the time was up after {least} of {asked} repetitions{so}; a longer --time allows more");
        warnings.push(Warning::new("time-up", message));
    } else if let Some((what, so)) = few {
        warnings.push(Warning::new("few-repetitions", format!("{what}: {so}")));
    }
    warnings
}

/// Returns the number of repetitions that have a cost, of so many, and what follows for the intervals; `None` if nothing does.
fn few_repetitions(few: usize, of: usize) -> Option<(String, String)> {
    let confidence = Confidence::of(few);
    let so = match confidence {
        Some(confidence) if confidence.level >= Confidence::AIM => return None,
        Some(confidence) => format!("the range of {few} holds the median with {}", Share(confidence.level)),
        None => "one has no interval".to_string(),
    };
    let what = match few {
        few if few < of => format!("only {few} of {of} repetitions have undisturbed samples"),
        1 => "only one repetition".to_string(),
        few => format!("only {few} repetitions"),
    };
    Some((what, format!("{so}, 95 % need 6")))
}

/// Returns a warning about a ring that was refused before all of its repetitions were made.
fn refused_later(workload: &WorkloadSamples, settings: &RunSettings) -> Option<Warning> {
    let reason = workload.refused_later.as_ref()?;
    let (made, asked) = (workload.repetitions.len(), settings.repetitions as usize);
    let title = row_title(&workload.workload, workload.placement, workload.ring);
    let message = if made < asked {
        format!("{title}: refused after {made} of {asked} repetitions, of which its figures are: {reason}")
    } else {
        format!("{title}: refused in a pass that only counts, whose figures it lacks: {reason}")
    };
    Some(Warning::new("refused-later", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_repetitions_are_worth_one_sentence() {
        let said = |few, of| few_repetitions(few, of).map(|(what, so)| format!("{what}: {so}"));
        let range = "the range of 3 holds the median with 75 %, 95 % need 6";
        assert_eq!(said(3, 3), Some(format!("only 3 repetitions: {range}")));
        assert_eq!(said(3, 10), Some(format!("only 3 of 10 repetitions have undisturbed samples: {range}")));
        assert_eq!(said(1, 1).unwrap(), "only one repetition: one has no interval, 95 % need 6");
        assert_eq!(said(6, 10), None);
    }
}
