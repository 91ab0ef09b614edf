//! What people and machines see of a sweep.

use std::slice;

use anyhow::{Context, Result};

use crate::record::run::{RunBody, RunDocument};
use crate::record::sweep::{Cache, CurveFigure, SweepBend, SweepDocument, all_working_sets, curves, is_sure};
use crate::render::Report;
use crate::render::conditions;
use crate::render::metrics::{self, Metrics, Quantity, row_labels};
use crate::render::prices::price_table;
use crate::render::run::{add_circumstances, add_prices};
use crate::render::view::{Curve, Mark, Picture, Plot, Table, View};
use crate::sample::{Kind, LeftOut, Placement, RingSteps, RingVariable, row_title};
use crate::summary::Warning;
use crate::unit::{Bytes, Span};

impl Report for SweepDocument {
    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).context("writing JSON")? + "\n")
    }

    fn view(&self, wide: bool) -> View {
        let run = self.as_run();
        View {
            heading: vec![run.machine_line(), run.counting_line(), self.steps_line()],
            conditions: conditions::of(self),
            tables: vec![self.table(&run.body, wide)],
            pictures: vec![Picture::Plot(self.plot())],
            notes: self
                .bend_sentences()
                .into_iter()
                .chain(self.left_out_sentences())
                .chain(run.remarks())
                .chain([run.explanation()])
                .chain(self.floor_sentence())
                .collect(),
            warnings: self.warning_sentences(),
        }
    }

    fn metrics(&self) -> Metrics {
        let body = &self.body;
        let mut metrics = Metrics::of(self);
        metrics
            .rows(slice::from_ref(self), metrics::command)
            .info("sweep_info", "What was made larger from step to step", |sweep| {
                vec![("variable", Some(sweep.settings.steps.variable.name().to_string()))]
            })
            .figure("complete", Quantity::Count, "1 if nothing ended this early", |sweep| {
                metrics::completeness(&sweep.body.ending)
            });
        add_prices(&mut metrics, &body.results);
        add_circumstances(&mut metrics, &body.results);
        metrics
            .rows(&body.bends, |bend| {
                let mut labels = row_labels(&bend.workload, bend.placement, None);
                labels.push(("below", bend.bend.below.to_string()));
                labels.push(("above", bend.bend.above.to_string()));
                labels
            })
            .figure("sweep_bend", Quantity::Ratio, "The price above a bend of the curve by that below it", |bend| {
                Some(bend.bend.above_ns / bend.bend.below_ns)
            });
        metrics
            .rows(&body.left_out, |left_out| row_labels(&left_out.workload, left_out.placement, left_out.ring))
            .figure("sweep_left_out", Quantity::Count, "1 for a step that cannot be measured here", |_| Some(1.0));
        metrics
    }
}

impl SweepDocument {
    /// The rows as a run's, which are shown alike.
    fn as_run(&self) -> RunDocument {
        let body = RunBody {
            counting: self.body.counting.clone(),
            results: self.body.results.clone(),
            ratio: None,
            ratios: Vec::new(),
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

    fn steps_line(&self) -> String {
        let RingSteps { variable, steps, fixed } = &self.settings.steps;
        let ends = [steps.first(), steps.last()].map(|end| self.step_name(end.copied().unwrap_or_default()));
        match variable {
            RingVariable::WorkingSet => {
                format!(
                    "rings of {} parties; each walks {} to {} of its own on its turn",
                    fixed.parties, ends[0], ends[1]
                )
            }
            RingVariable::Parties if fixed.working_set_bytes > 0 => format!(
                "rings of {} to {} parties; each walks {} of its own on its turn",
                ends[0],
                ends[1],
                Bytes(fixed.working_set_bytes as f64)
            ),
            RingVariable::Parties => format!("rings of {} to {} parties", ends[0], ends[1]),
        }
    }

    /// A step as sentences name it, without its unit where that is parties.
    fn step_name(&self, step: u64) -> String {
        match self.settings.steps.variable {
            RingVariable::Parties => step.to_string(),
            RingVariable::WorkingSet => Bytes(step as f64).to_string(),
        }
    }

    /// The price list, without what is the same in all rows. An op is one switch, so that its price is expendable.
    fn table(&self, body: &RunBody, wide: bool) -> Table {
        let mut table = price_table(body, wide);
        for column in &mut table.columns {
            match column.key {
                "ns_per_op" => column.expendable = 1,
                "ns_per_switch" => column.expendable = 7,
                _ => {}
            }
        }
        match self.settings.steps.variable {
            RingVariable::WorkingSet if !wide => table.without("parties"),
            RingVariable::Parties if !wide => table.without("working_set_bytes"),
            _ => table,
        }
    }

    fn plot(&self) -> Plot {
        let RingSteps { variable, steps, fixed } = &self.settings.steps;
        let places = self.caches_along_the_steps();
        let over = match variable {
            RingVariable::Parties => "the number of parties".to_string(),
            RingVariable::WorkingSet => format!("the working set of each of {} parties", fixed.parties),
        };
        let curve = |curve: Vec<&crate::record::run::RunResult>| {
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

    /// The caches that all working sets together outgrow, where they do, in steps from the first.
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

    fn bend_sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self.body.bends.iter().map(|bend| self.bend_sentence(bend)).collect();
        let results = &self.body.results;
        let unsure = results.iter().filter(|result| !is_sure(result)).count();
        if sentences.is_empty() && unsure < results.len() {
            sentences.push("No bend: at no step does the price grow clearly faster than before.".to_string());
        }
        if unsure > 0 {
            sentences.push(format!(
                "Bends are looked for without {unsure} of {} rows, which have too few clean samples or incarnations.",
                results.len()
            ));
        }
        if self.settings.steps.variable == RingVariable::Parties && !self.body.bends.is_empty() {
            sentences.push(
                "No more than two parties are ever runnable at a time, so a bend is not the run queue's length."
                    .to_string(),
            );
        }
        sentences
    }

    /// What a reader must know of net prices that fall again.
    fn floor_sentence(&self) -> Option<String> {
        let walks = self.settings.steps.rings().any(|ring| ring.working_set_bytes > 0);
        walks.then(|| {
            "The floor walks one working set by itself: net prices rise where all of them together outgrow a cache, and fall again where one alone does.".to_string()
        })
    }

    fn bend_sentence(&self, of: &SweepBend) -> String {
        let SweepBend { bend, caches, figure, .. } = of;
        let title = row_title(&of.workload, of.placement, None);
        let net = match figure {
            CurveFigure::NetNsPerSwitch => "net ",
            CurveFigure::NsPerSwitch => "",
        };
        let [below, above] = [bend.below, bend.above].map(|step| self.step_name(step));
        let parties = match self.settings.steps.variable {
            RingVariable::Parties => " parties",
            RingVariable::WorkingSet => "",
        };
        format!(
            "{title} bends between {below} and {above}{parties}, from {net}{} to {} a switch: {}.",
            Span(bend.below_ns),
            Span(bend.above_ns),
            self.cause(of, caches)
        )
    }

    /// What a bend may be put down to, and why.
    fn cause(&self, of: &SweepBend, caches: &[Cache]) -> String {
        let steps = &self.settings.steps;
        let [below, above] = [of.bend.below, of.bend.above].map(|step| steps.variable.set(steps.fixed, step));
        if all_working_sets(above) == 0 {
            return self.guess(of);
        }
        let size = |cache: &Cache| format!("{} has {}", cache.name(), Bytes(cache.size_bytes as f64));
        let [from, to] = [below, above].map(|ring| Bytes(all_working_sets(ring) as f64));
        let walked = format!("all working sets together grow from {from} to {to}");
        if of.placement != Placement::Same {
            return format!("{walked}, and the parties have the caches of two CPUs");
        }
        if self.host.caches.is_empty() {
            return format!("{walked}; how large the caches are is not known");
        }
        if !caches.is_empty() {
            return format!("{walked}, and {}", caches.iter().map(size).collect::<Vec<_>>().join(", "));
        }
        let next = self.host.caches.iter().find(|cache| cache.size_bytes > all_working_sets(above));
        let next = next.map_or(String::new(), |next| {
            let shared = next.shared_cpus.as_ref().filter(|cpus| cpus.contains(['-', ',']));
            let shared = shared.map_or(String::new(), |cpus| format!(", for CPUs {cpus}"));
            format!(
                "; {}{shared}{}",
                size(next),
                if self.host.hypervisor.is_some() { ", and perhaps other guests" } else { "" }
            )
        });
        format!("{walked}, and no cache ends there{next}")
    }

    /// What a party without a working set would have to touch for a cache to end at a bend.
    fn guess(&self, of: &SweepBend) -> String {
        let kind = self.body.results.iter().find(|result| result.workload == of.workload).map(|result| result.kind);
        // Of a task its future and its queues; of a thread several pages of stacks, the kernel's of it, and page tables.
        let plausible = if kind == Some(Kind::Task) { 128.0..=4096.0 } else { 2048.0..=32_768.0 };
        let guess = |cache: &Cache| {
            let [most, least] = [of.bend.below, of.bend.above].map(|parties| cache.size_bytes as f64 / parties as f64);
            let is_plausible = plausible.contains(&least) && plausible.contains(&most);
            let name = cache.name();
            is_plausible.then(|| format!("{name} ends there if each touches {} to {}", Bytes(least), Bytes(most)))
        };
        let guesses: Vec<String> = self.host.caches.iter().filter_map(guess).collect();
        let guesses = if guesses.is_empty() { String::new() } else { format!(": {}", guesses.join(", or ")) };
        format!("what a party touches is not measured{guesses}")
    }

    /// The document's warnings, and of the rows' each sort once: what is true of a machine is true of many rows.
    fn warning_sentences(&self) -> Vec<String> {
        let mut sorts: Vec<(&Warning, usize)> = Vec::new();
        for warning in self.body.results.iter().flat_map(|result| &result.warnings) {
            match sorts.iter_mut().find(|(first, _)| first.code == warning.code) {
                Some((_, others)) => *others += 1,
                None => sorts.push((warning, 0)),
            }
        }
        let sentence = |(first, others): (&Warning, usize)| match others {
            0 => first.message.clone(),
            1 => format!("{} (another row has this warning too)", first.message),
            _ => format!("{} ({others} other rows have this warning too)", first.message),
        };
        self.warnings.iter().map(|warning| warning.message.clone()).chain(sorts.into_iter().map(sentence)).collect()
    }

    /// Steps that are not in the table: of those that one remedy would help, the first one's reason.
    fn left_out_sentences(&self) -> Vec<String> {
        let mut groups: Vec<(&LeftOut, &LeftOut)> = Vec::new();
        for left_out in &self.body.left_out {
            let same = |(first, _): &&mut (&LeftOut, &LeftOut)| {
                (&first.workload, &first.remedy) == (&left_out.workload, &left_out.remedy)
            };
            match groups.iter_mut().find(same) {
                Some((_, last)) => *last = left_out,
                None => groups.push((left_out, left_out)),
            }
        }
        let sentence = |(first, last): (&LeftOut, &LeftOut)| {
            let title = row_title(&first.workload, first.placement, first.ring);
            let to = last.ring.filter(|_| first.ring != last.ring).map_or(String::new(), |ring| {
                format!(" and on to {}", self.step_name(self.settings.steps.variable.of(ring)))
            });
            let remedy = first.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
            format!("Not measured: {title}{to}: {}{remedy}.", first.reason)
        };
        groups.into_iter().map(sentence).collect()
    }
}

/// A step as an axis has it: `4K`.
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
mod tests {
    use super::*;
    use crate::record::run::RunResult;
    use crate::record::sweep::of_run;
    use crate::render::{Look, format};
    use crate::sample::RingShape;
    use crate::summary::{Estimate, NO_CLEAN_SAMPLES};

    const RUN: &str = include_str!("../../tests/golden/run-1.json");

    /// A sweep with these net prices, each known to ±1 %, on a CPU with caches of 32 KiB, 1 MiB and 32 MiB.
    fn sweep(variable: RingVariable, fixed: RingShape, prices: &[(u64, f64)]) -> SweepDocument {
        let mut run: RunDocument = serde_json::from_str(RUN).unwrap();
        let cache = |(level, size_bytes)| Cache { level, kind: "Unified".to_string(), size_bytes, shared_cpus: None };
        run.host.caches = [(1, 32 << 10), (2, 1 << 20), (3, 32 << 20)].map(cache).to_vec();
        let model = run.body.results[0].clone();
        let row = |&(step, ns): &(u64, f64)| RunResult {
            ring: Some(variable.set(fixed, step)),
            net_ns_per_switch: Some(Estimate { median: ns, low: Some(ns * 0.99), high: Some(ns * 1.01) }),
            ..model.clone()
        };
        run.body.results = prices.iter().map(row).collect();
        of_run(run, RingSteps { variable, steps: prices.iter().map(|(step, _)| *step).collect(), fixed })
    }

    fn pair() -> RingShape {
        RingShape { parties: 2, working_set_bytes: 0 }
    }

    fn of_working_sets() -> SweepDocument {
        let prices = [(0, 1500.0), (64, 1500.0), (128, 1500.0), (256, 1510.0), (512, 6000.0), (1024, 12_000.0)];
        sweep(RingVariable::WorkingSet, pair(), &prices.map(|(kib, ns)| (kib << 10, ns)))
    }

    /// Its text with each run of spaces and line breaks as one space.
    fn drawn(document: &SweepDocument, width: usize) -> String {
        (format("table").unwrap().draw)(document, &Look { width, wide: false, ascii: false, color: false }).unwrap()
    }

    #[track_caller]
    fn check_says(document: &SweepDocument, sentence: &str) {
        let text = drawn(document, 100).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(sentence), "{sentence:?} is not in {text}");
    }

    #[test]
    fn a_bend_is_put_down_to_the_cache_that_all_working_sets_outgrow() {
        check_says(
            &of_working_sets(),
            "thread-pipe bends between 256 KiB and 512 KiB, from net 1.51 µs to 6.00 µs a switch: all working sets together grow \
             from 512 KiB to 1.00 MiB, and L2 has 1.00 MiB.",
        );
    }

    #[test]
    fn rows_that_neighbours_have_spoiled_bend_nothing_and_are_counted() {
        let mut run = of_working_sets().as_run();
        let RingSteps { variable, steps, fixed } = of_working_sets().settings.steps;
        for spoiled in &mut run.body.results[4..] {
            spoiled.warnings.push(Warning::new(NO_CLEAN_SAMPLES, "spoiled"));
        }
        let document = of_run(run, RingSteps { variable, steps, fixed });
        assert_eq!(document.body.bends, []);
        check_says(&document, "Bends are looked for without 2 of 6 rows");
    }

    #[test]
    fn what_parties_touch_is_a_guess_and_said_to_be_one() {
        let prices = [(64, 1000.0), (128, 1000.0), (256, 1000.0), (512, 2000.0)];
        let document = sweep(RingVariable::Parties, pair(), &prices);
        check_says(
            &document,
            "what a party touches is not measured: L2 ends there if each touches 2.00 KiB to 4.00 KiB.",
        );
        check_says(&document, "a bend is not the run queue's length");
        check_says(&document, "those are not clean (3 other rows have this warning too)");
    }

    #[test]
    fn where_nothing_bends_or_nothing_is_known_of_caches_it_says_so() {
        let flat = [(2, 1000.0), (4, 1010.0), (8, 1000.0), (16, 1020.0)];
        check_says(&sweep(RingVariable::Parties, pair(), &flat), "No bend:");
        let mut unknown = of_working_sets();
        unknown.host.caches.clear();
        check_says(&unknown, "how large the caches are is not known");
        let between = [(2, 1000.0), (4, 1000.0), (8, 3000.0)];
        let each = RingShape { working_set_bytes: 16 << 10, ..pair() };
        check_says(
            &sweep(RingVariable::Parties, each, &between),
            "grow from 64.0 KiB to 128 KiB, and no cache ends there; L2 has 1.00 MiB, and perhaps other guests.",
        );
    }

    #[test]
    fn steps_left_out_are_told_once_with_what_would_help() {
        let mut document = of_working_sets();
        let left_out = |mib: u64| LeftOut {
            workload: "thread-pipe".to_string(),
            placement: Placement::Same,
            ring: Some(RingShape { working_set_bytes: mib << 20, ..pair() }),
            reason: format!("{mib} MiB are too many"),
            remedy: Some("get more".to_string()),
        };
        document.body.left_out = vec![left_out(2), left_out(4), left_out(8)];
        check_says(
            &document,
            "Not measured: thread-pipe (2 parties, 2.00 MiB each) and on to 8.00 MiB: 2 MiB are too many; get more.",
        );
    }

    #[test]
    fn the_plot_has_the_caches_on_its_axis_and_fits_a_narrow_terminal() {
        for width in [60, 80, 100] {
            let text = drawn(&of_working_sets(), width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            let caches = text.lines().find(|line| line.trim_start().starts_with("L1")).unwrap();
            let axis = text.lines().find(|line| line.contains("64K")).unwrap();
            // L1 is full at 16 KiB each, on the way to the first step; L2 at the fifth.
            assert!(caches.find("L1") < axis.find("64K") && caches.find("L2") == axis.find("512K"), "{text}");
            assert!(!caches.contains("L3"), "{text}");
        }
    }

    #[test]
    fn steps_are_short_on_an_axis() {
        for (variable, step, expected) in [
            (RingVariable::Parties, 4096, "4096"),
            (RingVariable::WorkingSet, 0, "0"),
            (RingVariable::WorkingSet, 100, "100"),
            (RingVariable::WorkingSet, 4096, "4K"),
            (RingVariable::WorkingSet, 3 << 19, "1.5M"),
            (RingVariable::WorkingSet, 1 << 30, "1G"),
        ] {
            assert_eq!(short(variable, step), expected);
        }
    }
}
