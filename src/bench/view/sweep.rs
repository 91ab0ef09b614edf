//! Report of a sweep, for people and machines.

mod knees;

use std::slice;

use crate::bench::document::run::{RunBody, RunDocument};
use crate::bench::document::sweep::{Cache, CurveFigure, SweepDocument, all_working_sets, curves};
use crate::bench::grouped::by_key;
use crate::bench::left_out::{LeftOut, not_measured};
use crate::bench::view::costs::cost_table;
use crate::bench::view::labels::row_labels;
use crate::bench::view::quality;
use crate::bench::view::run::{add_circumstances, add_costs};
use crate::document::{conditions, metrics};
use crate::host::placement::Placement;
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Curve, Mark, Picture, Plot, Table, View};
use crate::unit::Bytes;
use crate::workload::shape::{RingSteps, RingVariable};

impl Shown for SweepDocument {
    fn view(&self, wide: bool) -> View {
        let run = self.as_run();
        View {
            heading: run.heading(wide).into_iter().chain([self.steps_line()]).collect(),
            answer: self.knee_sentences(),
            quality: quality::quality(&run.body),
            command: Some(self.command()),
            conditions: conditions::of(self),
            tables: vec![self.table(&run.body, wide)],
            pictures: vec![Picture::Plot(self.plot())],
            notes: self
                .left_out_sentences()
                .into_iter()
                .chain(wide.then(|| run.remarks()).into_iter().flatten())
                .collect(),
            warnings: run.warning_sentences(wide, |_| true),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let body = &self.body;
        let mut metrics = Metrics::of(self);
        metrics
            .rows(slice::from_ref(self), metrics::command)
            .info("sweep_info", "Variable of the sweep", |sweep| {
                vec![("variable", Some(sweep.settings.steps.variable.name().to_string()))]
            })
            .figure(
                "complete",
                Quantity::Count,
                "1 if the measurement was complete, 0 if it was ended early",
                |sweep| metrics::completeness(&sweep.body.ending),
            );
        add_costs(&mut metrics, &body.results);
        add_circumstances(&mut metrics, &body.results);
        metrics
            .rows(&body.knees, |knee| {
                let mut labels = row_labels(&knee.workload, knee.placement, None);
                labels.push(("below", knee.knee.below.to_string()));
                labels.push(("above", knee.knee.above.to_string()));
                labels
            })
            .figure("sweep_knee", Quantity::Ratio, "Cost above a knee divided by the cost below it", |knee| {
                Some(knee.knee.above_ns / knee.knee.below_ns)
            });
        metrics
            .rows(&body.left_out, |left_out| row_labels(&left_out.workload, left_out.placement, left_out.ring))
            .figure("sweep_left_out", Quantity::Count, "1 for a step that cannot be measured here", |_| Some(1.0));
        metrics
    }
}

impl SweepDocument {
    /// Returns the rows as a run's, which are shown alike.
    fn as_run(&self) -> RunDocument {
        let body = RunBody {
            counting: self.body.counting.clone(),
            reference_loop_ns: None,
            reference_ns: None,
            waited_s: None,
            elapsed_s: None,
            results: self.body.results.clone(),
            ratio: None,
            ratios: Vec::new(),
            alike: Vec::new(),
            left_out: self.body.left_out.clone(),
            ending: self.body.ending.clone(),
        };
        RunDocument {
            schema: self.schema.clone(),
            tool: self.tool.clone(),
            started_at: self.started_at.clone(),
            host: self.host.clone(),
            settings: self.settings.run.clone(),
            body,
            warnings: self.warnings.clone(),
        }
    }

    fn command(&self) -> String {
        let RingSteps { variable, steps, fixed } = &self.settings.steps;
        let ends = steps.first().zip(steps.last()).map(|(from, to)| format!("{from}..{to}"));
        let words = [Some(variable.name().to_string()), ends].into_iter().flatten();
        let words: Vec<String> = words.chain(self.settings.run.workloads.iter().cloned()).collect();
        let is = |of: RingVariable| *variable == of;
        self.settings
            .run
            .invocation(&self.host, "sweep", &words)
            .option("--ring", Some(fixed.participants).filter(|_| is(RingVariable::WorkingSet)))
            .option(
                "--working-set",
                Some(fixed.working_set_bytes).filter(|&size| size > 0 && is(RingVariable::Participants)),
            )
            .line()
    }

    fn steps_line(&self) -> String {
        let RingSteps { variable, steps, fixed } = &self.settings.steps;
        let ends = [steps.first(), steps.last()].map(|end| self.step_name(end.copied().unwrap_or_default()));
        match variable {
            RingVariable::WorkingSet => {
                format!(
                    "rings of {} participants; each walks {} to {} of its own on its turn",
                    fixed.participants, ends[0], ends[1]
                )
            }
            RingVariable::Participants if fixed.working_set_bytes > 0 => format!(
                "rings of {} to {} participants; each walks {} of its own on its turn",
                ends[0],
                ends[1],
                Bytes(fixed.working_set_bytes as f64)
            ),
            RingVariable::Participants => format!("rings of {} to {} participants", ends[0], ends[1]),
        }
    }

    /// Returns a step as sentences name it, without its unit where that is participants.
    fn step_name(&self, step: u64) -> String {
        match self.settings.steps.variable {
            RingVariable::Participants => step.to_string(),
            RingVariable::WorkingSet => Bytes(step as f64).to_string(),
        }
    }

    /// Returns the cost table without what is the same in all rows, or has no meaning between them. An op is one switch: its cost
    /// is expendable.
    fn table(&self, body: &RunBody, wide: bool) -> Table {
        let mut table = cost_table(body, wide).without("relative");
        let of_op = table.columns.iter_mut().filter(|column| column.key == "ns_per_op");
        of_op.for_each(|column| column.expendable = 7);
        match self.settings.steps.variable {
            RingVariable::WorkingSet if !wide => table.without("participants"),
            RingVariable::Participants if !wide => table.without("working_set_bytes"),
            _ => table,
        }
    }

    fn plot(&self) -> Plot {
        let RingSteps { variable, steps, fixed } = &self.settings.steps;
        let places = self.caches_along_the_steps();
        let over = match variable {
            RingVariable::Participants => "the number of participants".to_string(),
            RingVariable::WorkingSet => format!("the working set of each of {} participants", fixed.participants),
        };
        let curve = |curve: Vec<&crate::bench::document::run::RunResult>| {
            let figure = CurveFigure::of(curve.iter().copied());
            let value = |&step: &u64| {
                let result = curve.iter().find(|result| result.ring.is_some_and(|ring| variable.of(ring) == step))?;
                figure.value(result)
            };
            let gross = match figure {
                CurveFigure::NetNsPerSwitch => "",
                CurveFigure::NsPerSwitch => " (not net)",
            };
            Curve { name: format!("{}{gross}", curve[0].workload), values: steps.iter().map(value).collect() }
        };
        Plot {
            title: format!("net ns per switch over {over}"),
            steps: steps.iter().map(|&step| short(*variable, step)).collect(),
            curves: curves(&self.body.results).into_iter().map(curve).collect(),
            places,
            places_are: "a cache, full with all working sets".to_string(),
        }
    }

    /// Returns the caches that all working sets together outgrow, where they do, in steps from the first.
    fn caches_along_the_steps(&self) -> Vec<Mark> {
        let steps = &self.settings.steps;
        let walked: Vec<u64> = steps.rings().map(all_working_sets).collect();
        let is_on_one_cpu = self.body.results.iter().all(|result| result.placement == Placement::Same);
        let mark = |cache: &Cache| {
            let size = cache.size_bytes;
            let above = walked.iter().position(|&walked| walked >= size).filter(|_| is_on_one_cpu)?;
            let below = above.checked_sub(1)?;
            let way = match (walked[below], walked[above]) {
                (0, to) => size as f64 / to as f64,
                (from, to) => (size as f64 / from as f64).log2() / (to as f64 / from as f64).log2(),
            };
            Some(Mark { at: below as f64 + way, label: cache.name() })
        };
        self.host.caches.iter().filter_map(mark).collect()
    }

    /// Returns the steps that are not in the table: of those that one remedy would help, the first one's reason.
    fn left_out_sentences(&self) -> Vec<String> {
        let key = |left_out: &LeftOut| (left_out.workload.clone(), left_out.why.remedy.clone());
        let groups = by_key(self.body.left_out.iter().map(|left_out| (key(left_out), left_out)));
        let sentence = |(_, steps): (_, Vec<&LeftOut>)| {
            let (first, last) = (steps[0], steps[steps.len() - 1]);
            let to = last.ring.filter(|_| first.ring != last.ring).map_or(String::new(), |ring| {
                format!(" and on to {}", self.step_name(self.settings.steps.variable.of(ring)))
            });
            not_measured(&(first.title() + &to), &first.why)
        };
        groups.into_iter().map(sentence).collect()
    }
}

/// Formats a step for an axis: `4K`.
fn short(variable: RingVariable, step: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    let unit = UNITS.iter().find(|(size, _)| variable == RingVariable::WorkingSet && step >= *size);
    match unit {
        Some((size, unit)) if step % size == 0 => format!("{}{unit}", step / size),
        Some((size, unit)) => format!("{:.1}{unit}", step as f64 / *size as f64),
        None => step.to_string(),
    }
}

#[cfg(test)]
mod tests;
