//! Knees of a curve in words, and their possible causes.

use crate::bench::document::sweep::{Cache, CurveFigure, SweepDocument, SweepKnee, all_working_sets, is_sure};
use crate::bench::left_out::row_title;
use crate::host::placement::Placement;
use crate::unit::{Bytes, Span};
use crate::workload::kind::Kind;
use crate::workload::shape::RingVariable;

impl SweepDocument {
    pub(super) fn knee_sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self.body.knees.iter().map(|knee| self.knee_sentence(knee)).collect();
        let results = &self.body.results;
        let unsure = results.iter().filter(|result| !is_sure(result)).count();
        if sentences.is_empty() && unsure < results.len() {
            sentences.push("No knee: at no step does the cost clearly grow faster than before.".to_string());
        }
        if unsure > 0 {
            sentences.push(format!(
                "Knees are looked for without {unsure} of {} rows, which have too few undisturbed samples or repetitions.",
                results.len()
            ));
        }
        if self.settings.steps.variable == RingVariable::Participants && !self.body.knees.is_empty() {
            sentences.push(
                "No more than two participants are ever runnable at a time, so a knee is not the run queue's length."
                    .to_string(),
            );
        }
        sentences
    }

    fn knee_sentence(&self, of: &SweepKnee) -> String {
        let SweepKnee { knee, caches, figure, .. } = of;
        let title = row_title(&of.workload, of.placement, None);
        let net = match figure {
            CurveFigure::NetNsPerSwitch => "net ",
            CurveFigure::NsPerSwitch => "",
        };
        let [below, above] = [knee.below, knee.above].map(|step| self.step_name(step));
        let participants = match self.settings.steps.variable {
            RingVariable::Participants => " participants",
            RingVariable::WorkingSet => "",
        };
        format!(
            "{title} has a knee between {below} and {above}{participants}, from {net}{} to {} a switch: {}.",
            Span(knee.below_ns),
            Span(knee.above_ns),
            self.cause(of, caches)
        )
    }

    /// Returns the likely cause of a knee, and why.
    fn cause(&self, of: &SweepKnee, caches: &[Cache]) -> String {
        let steps = &self.settings.steps;
        let [below, above] = [of.knee.below, of.knee.above].map(|step| steps.variable.set(steps.fixed, step));
        if all_working_sets(above) == 0 {
            return self.guess(of);
        }
        let size = |cache: &Cache| format!("{} has {}", cache.name(), Bytes(cache.size_bytes as f64));
        let [from, to] = [below, above].map(|ring| Bytes(all_working_sets(ring) as f64));
        let walked = format!("all working sets together grow from {from} to {to}");
        if of.placement != Placement::Same {
            return format!("{walked}, and the participants have the caches of two CPUs");
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

    /// Returns what a participant without a working set would have to touch for a cache to end at a knee.
    fn guess(&self, of: &SweepKnee) -> String {
        let kind = self.body.results.iter().find(|result| result.workload == of.workload).map(|result| result.kind);
        // Of a task its future and its queues; of a thread several pages of stacks, user and kernel, and page tables.
        let plausible = if kind == Some(Kind::Task) { 128.0..=4096.0 } else { 2048.0..=32_768.0 };
        let guess = |cache: &Cache| {
            let [most, least] =
                [of.knee.below, of.knee.above].map(|participants| cache.size_bytes as f64 / participants as f64);
            let is_plausible = plausible.contains(&least) && plausible.contains(&most);
            let name = cache.name();
            is_plausible.then(|| format!("{name} ends there if each touches {} to {}", Bytes(least), Bytes(most)))
        };
        let guesses: Vec<String> = self.host.caches.iter().filter_map(guess).collect();
        let guesses = if guesses.is_empty() { String::new() } else { format!(": {}", guesses.join(", or ")) };
        format!("what a participant touches is not measured{guesses}")
    }
}
