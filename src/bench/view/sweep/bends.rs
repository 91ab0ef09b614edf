//! Knees of a curve in words, and their possible causes.

use crate::bench::document::sweep::{Cache, CurveFigure, SweepBend, SweepDocument, all_working_sets, is_sure};
use crate::bench::left_out::row_title;
use crate::host::placement::Placement;
use crate::unit::{Bytes, Span};
use crate::workload::kind::Kind;
use crate::workload::shape::RingVariable;

impl SweepDocument {
    pub(super) fn bend_sentences(&self) -> Vec<String> {
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

    /// Returns a note on net costs that fall again.
    pub(super) fn floor_sentence(&self) -> Option<String> {
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

    /// Returns the likely cause of a knee, and why.
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

    /// Returns what a participant without a working set would have to touch for a cache to end at a knee.
    fn guess(&self, of: &SweepBend) -> String {
        let kind = self.body.results.iter().find(|result| result.workload == of.workload).map(|result| result.kind);
        // Of a task its future and its queues; of a thread several pages of stacks, user and kernel, and page tables.
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
}
