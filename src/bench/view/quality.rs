//! The quality of a run, in a line: the trust that its costs deserve.

use crate::bench::document::run::{RunBody, RunResult};
use crate::bench::figures::warning;
use crate::perf::counting::CountingMode;
use crate::unit::Share;

/// Returns a word on the samples with the reason, and what the costs leave out; `None` where nothing was sampled.
pub(super) fn quality(body: &RunBody) -> Option<String> {
    let sampled: Vec<&RunResult> = body.results.iter().filter(|result| result.samples.taken > 0).collect();
    let worst = *sampled.iter().min_by(|one, other| undisturbed(one).total_cmp(&undisturbed(other)))?;
    let least = undisturbed(worst);
    let most = sampled.iter().map(|result| undisturbed(result)).fold(least, f64::max);
    let word = match least {
        least if least >= 0.9 => "good",
        least if least >= 0.5 => "fair",
        _ => "poor",
    };
    let range = match (percent(least), percent(most)) {
        (least, most) if least == most => most,
        (least, most) => format!("{least}–{most}"),
    };
    let named =
        if word != "good" && sampled.len() > 1 { format!(", fewest of {}", worst.title()) } else { String::new() };
    let samples = format!("{word}: {range} % of samples undisturbed{named}");
    Some(
        [Some(samples), slowed(&sampled), counting_overhead(body)].into_iter().flatten().collect::<Vec<_>>().join("; ")
            + ".",
    )
}

fn undisturbed(result: &RunResult) -> f64 {
    result.samples.undisturbed as f64 / result.samples.taken as f64
}

fn percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

fn slowed(sampled: &[&RunResult]) -> Option<String> {
    let share = |result: &&RunResult| result.samples.slowed as f64 / result.samples.taken as f64;
    let most = sampled.iter().map(share).fold(0.0, f64::max);
    let up_to = if sampled.len() > 1 { "up to " } else { "" };
    (most > warning::CORE_SLOWED_SHARE).then(|| format!("CPU below full speed in {up_to}{}", Share(most)))
}

/// Returns what counting costs the most affected workload, where the costs exclude it.
fn counting_overhead(body: &RunBody) -> Option<String> {
    /// Less is not worth a word.
    const LEAST: f64 = 0.005;
    let costs = body.results.iter().filter_map(|result| Some(result.counting_cost?.median - 1.0));
    let share = costs.fold(0.0, f64::max);
    let is_apart = body.counting.mode == CountingMode::Cpu;
    (is_apart && share >= LEAST).then(|| format!("counting overhead ({}) excluded", Share(share)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::document::run::RunDocument;

    /// Returns the quality of a run whose rows have these numbers of undisturbed and of slowed samples, of 100 each.
    fn of(rows: &[(usize, usize)]) -> Option<String> {
        let golden = include_str!("../../../tests/golden/run-2.json");
        let mut body = serde_json::from_str::<RunDocument>(golden).unwrap().body;
        body.results.truncate(rows.len());
        for (result, &(undisturbed, slowed)) in body.results.iter_mut().zip(rows) {
            (result.samples.taken, result.samples.undisturbed, result.samples.slowed) = (100, undisturbed, slowed);
            result.counting_cost = None;
        }
        quality(&body)
    }

    #[test]
    fn the_quality_has_a_word_and_its_reason() {
        assert_eq!(of(&[(98, 0), (100, 0)]).unwrap(), "good: 98–100 % of samples undisturbed.");
        assert_eq!(of(&[(99, 1)]).unwrap(), "good: 99 % of samples undisturbed.");
        let poor = "poor: 12–79 % of samples undisturbed, fewest of process-pipe; CPU below full speed in up to 21 %.";
        assert_eq!(of(&[(79, 21), (12, 0)]).unwrap(), poor);
        assert_eq!(of(&[]), None);
    }
}
