//! The answer of a run, how far to trust it, and the command that measures it again.

use crate::bench::document::run::{RunDocument, RunResult};
use crate::bench::view::{alike, costs};
use crate::workload::WORKLOADS;

impl RunDocument {
    /// Returns the ratios; without one, the cost of each row of a short run.
    pub(super) fn answer(&self) -> Vec<String> {
        /// More rows are a table and no answer.
        const MOST_ROWS: usize = 3;
        let ratios = alike::answer(&self.body);
        if !ratios.is_empty() || self.body.results.len() > MOST_ROWS {
            return ratios;
        }
        self.body.results.iter().filter_map(costs::sentence).collect()
    }

    /// Returns a word on the samples, and the least and the highest share of undisturbed ones.
    pub(super) fn quality(&self) -> Option<String> {
        let samples = |result: &RunResult| Some(result.samples.undisturbed as f64 / result.samples.taken as f64);
        let shares = || self.body.results.iter().filter(|result| result.samples.taken > 0).filter_map(samples);
        let (least, most) = (shares().reduce(f64::min)?, shares().reduce(f64::max)?);
        let word = match least {
            least if least >= 0.9 => "good",
            least if least >= 0.5 => "fair",
            _ => "poor",
        };
        let range = match (format!("{:.0}", least * 100.0), format!("{:.0}", most * 100.0)) {
            (least, most) if least == most => most,
            (least, most) => format!("{least}–{most}"),
        };
        Some(format!("{word}: {range} % of samples undisturbed"))
    }

    /// Returns the command line of such a run.
    pub(super) fn command(&self) -> String {
        let all = ["all".to_string()];
        let ring = self.body.results.first().and_then(|result| result.ring);
        let asked = &self.settings.workloads;
        let is_left_out = |name: &str| self.body.left_out.iter().any(|left_out| left_out.workload == name);
        let is_asked = |name: &str| asked.iter().any(|asked| asked == name) || is_left_out(name);
        let is_all = WORKLOADS.iter().all(|workload| is_asked(workload.name));
        self.settings
            .invocation(&self.host, "run", if is_all { &all } else { asked })
            .option("--ring", ring.map(|ring| ring.participants))
            .option("--working-set", ring.map(|ring| ring.working_set_bytes).filter(|&bytes| bytes > 0))
            .line()
    }
}
