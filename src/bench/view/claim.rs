//! The answer of a run, and the command that measures it again.

use crate::bench::document::run::RunDocument;
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
