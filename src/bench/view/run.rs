//! Report of a run, for people and machines.

use std::slice;

use crate::bench::document::run::{CounterRecord, RunDocument, RunResult, When};
use crate::bench::figures::{Ratio, warning};
use crate::bench::grouped::by_key;
use crate::bench::left_out::not_measured;
use crate::bench::view::costs::{self, ASSUMED, CycleSource, cost_table, cycle_source};
use crate::bench::view::labels::row_labels;
use crate::bench::view::{alike, breakdown, latency, quality};
use crate::document::headline::headline;
use crate::document::{Warning, conditions, metrics, warnings};
use crate::host::kernel;
use crate::output::Shown;
use crate::output::metrics::{Labels, Metrics, Quantity};
use crate::output::view::View;
use crate::perf::counting::CountingMode;

impl Shown for RunDocument {
    fn view(&self, wide: bool) -> View {
        let latency = Some(latency::latency_table(&self.body)).filter(|table| !table.rows.is_empty());
        let tables = [
            Some(cost_table(&self.body, wide)),
            alike::table(&self.body),
            latency,
            breakdown::table(&self.body.results),
        ];
        View {
            heading: self.heading(wide),
            answer: self.answer(),
            answer_label: Some("Summary"),
            quality: quality::quality(&self.body),
            command: Some(self.command()),
            conditions: conditions::of(self),
            tables: tables.into_iter().flatten().collect(),
            pictures: costs::levels(&self.body)
                .into_iter()
                .chain(latency::spans(&self.body))
                .chain(breakdown::stacks(&self.body.results))
                .chain(latency::pictures(&self.body))
                .chain(breakdown::pictures(&self.body.results))
                .collect(),
            notes: self
                .left_out_sentences()
                .into_iter()
                .chain(self.interval_sentence())
                .chain(latency::notes(self, wide))
                .chain(breakdown::notes(self))
                .chain(wide.then(|| self.remarks()).into_iter().flatten())
                .collect(),
            warnings: self.warning_sentences(wide, warning::is_of_the_machine),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let body = &self.body;
        let mut metrics = Metrics::of(self);
        metrics
            .rows(slice::from_ref(self), metrics::command)
            .info("run_info", "Settings of the run", |run| {
                vec![
                    ("counting", Some(run.body.counting.mode.name().to_string())),
                    ("policy", run.settings.policy.clone()),
                    ("nice", run.settings.nice.map(|nice| nice.to_string())),
                ]
            })
            .figure("complete", Quantity::Count, "1 if the measurement was complete, 0 if it was ended early", |run| {
                metrics::completeness(&run.body.ending)
            });
        add_costs(&mut metrics, &body.results);
        add_circumstances(&mut metrics, &body.results);
        breakdown::add_metrics(&mut metrics, &body.results, result_labels);
        let ratios: Vec<Ratio> = body.ratio.iter().chain(&body.ratios).cloned().collect();
        alike::add_metrics(&mut metrics, &body.alike);
        let both = |ratio: &Ratio| vec![("higher", ratio.higher.clone()), ("lower", ratio.lower.clone())];
        metrics
            .rows(&ratios, both)
            .estimate(
                "switch_cost",
                Quantity::Ratio,
                "Cost of a switch divided by that of a less expensive kind",
                |ratio| Some(ratio.gross),
            )
            .estimate(
                "net_switch_cost",
                Quantity::Ratio,
                "Net cost of a switch divided by that of a less expensive kind",
                |ratio| ratio.net,
            );
        metrics
            .rows(&body.left_out, |left_out| row_labels(&left_out.workload, left_out.placement, left_out.ring))
            .figure(
                "workload_left_out",
                Quantity::Count,
                "1 for what was asked for and cannot be measured here",
                |_| Some(1.0),
            );
        metrics
    }
}

fn result_labels(result: &RunResult) -> Labels {
    let mut labels = row_labels(&result.workload, result.placement, result.ring);
    labels.push(("kind", result.kind.name().to_string()));
    labels
}

/// Adds the costs of an op and of a switch.
pub(super) fn add_costs(metrics: &mut Metrics, results: &[RunResult]) {
    metrics
        .rows(results, result_labels)
        .estimate("op", Quantity::Nanoseconds, "Time per op, median of undisturbed samples", |result| {
            result.reproducible(result.ns_per_op, When::AnyDay)
        })
        .estimate("op_cpu", Quantity::Nanoseconds, "CPU time of all participants per op", |result| {
            result.reproducible(result.cpu_ns_per_op, When::AnyDay)
        })
        .figure("op_mean", Quantity::Nanoseconds, "Time per op, mean of all samples", |result| result.mean_ns_per_op)
        .figure("op_elsewhere_highest", Quantity::Nanoseconds, "Time per op at the slowest place in memory", |result| {
            result.elsewhere.map(|elsewhere| elsewhere.highest_ns_per_op)
        })
        .estimate("op_no_switch", Quantity::Nanoseconds, "Time of the same calls per op without a switch", |result| {
            result.no_switch_ns_per_op
        })
        .figure("switches_per_op", Quantity::Count, "Switches per op of the workload's own kind, counted", |result| {
            result.switches_per_op
        })
        .figure(
            "expected_switches_per_op",
            Quantity::Count,
            "Switches per op that the workload is written to make",
            |result| result.expected_switches_per_op,
        )
        .figure("kernel_switches_per_op", Quantity::Count, "Kernel context switches per op", |result| {
            result.kernel_switches_per_op
        })
        .figure("voluntary_switches_per_op", Quantity::Count, "Voluntary kernel context switches per op", |result| {
            result.kernel_switches.map(|switches| switches.voluntary)
        })
        .figure(
            "involuntary_switches_per_op",
            Quantity::Count,
            "Involuntary kernel context switches per op",
            |result| result.kernel_switches.map(|switches| switches.involuntary),
        )
        .estimate(
            "switch",
            Quantity::Nanoseconds,
            "Time per op divided by switches per op (expected ones where workload_info says so)",
            |result| result.reproducible(result.ns_per_switch, When::AnyDay),
        )
        .estimate("net_switch", Quantity::Nanoseconds, "Time per switch without the no-switch cost", |result| {
            result.reproducible(result.net_ns_per_switch, When::AnyDay)
        });
}

/// Adds the quality of the costs, and what else was counted.
pub(super) fn add_circumstances(metrics: &mut Metrics, results: &[RunResult]) {
    // Of no samples there is no share.
    let share =
        |part: usize, result: &RunResult| (result.samples.taken > 0).then(|| part as f64 / result.samples.taken as f64);
    metrics
        .rows(results, result_labels)
        .figure("undisturbed", Quantity::Ratio, "Share of samples that nothing else disturbed", |result| {
            share(result.samples.undisturbed, result)
        })
        .figure("slowed", Quantity::Ratio, "Share of samples in which the core was slow", |result| {
            share(result.samples.slowed, result)
        })
        .figure("samples_taken", Quantity::Count, "Timed samples", |result| Some(result.samples.taken as f64))
        .figure("repetitions", Quantity::Count, "Repetitions: how often the participants were restarted", |result| {
            Some(f64::from(result.repetitions))
        })
        .figure("interval_confidence", Quantity::Ratio, "Confidence level of the intervals of this run", |result| {
            result.interval_confidence
        })
        .estimate(
            "counting_cost",
            Quantity::Ratio,
            "Time per op with switches counted divided by time per op without",
            |result| result.counting_cost,
        )
        .samples("events_per_op", Quantity::Count, "perf events per op", |result| {
            let of = |counter: &CounterRecord| {
                let labels = vec![("event", counter.name.clone()), ("source", counter.source.name().to_string())];
                (labels, counter.per_op)
            };
            result.counters.iter().map(of).collect()
        })
        .info("workload_info", "Unit of an op, source of its switch count, and CPUs", |result| {
            let cpus: Vec<String> = result.cpus.iter().map(usize::to_string).collect();
            vec![
                ("op", Some(result.op.clone())),
                ("switches_source", Some(result.switches_source.name().to_string())),
                ("cpus", Some(cpus.join(","))),
            ]
        })
        .samples("workload_warning_info", Quantity::Count, "Warnings about a row, by code", |result| {
            metrics::codes(&result.warnings)
        });
    latency::add_metrics(&mut metrics.rows(results, result_labels));
}

impl RunDocument {
    /// Returns the host and how it was measured; `wide` with all that decides the costs.
    pub(super) fn heading(&self, wide: bool) -> Vec<String> {
        let cycles = match cycle_source(&self.body) {
            Some(CycleSource::Cycles) => None,
            Some(CycleSource::UserCycles) => Some("cycles of user mode only"),
            Some(CycleSource::TscTicks) | None => Some("no PMU"),
        };
        let host = &self.host;
        let mut how = vec![host.pinned_cpu.map_or("any CPU".to_string(), |cpu| format!("CPU {cpu}"))];
        how.extend(self.settings.policy.as_ref().map(|policy| format!("policy {policy}")));
        how.extend(self.settings.nice.map(|nice| format!("nice {nice}")));
        how.extend(self.repetitions());
        let mut lines = vec![headline(self, cycles, how)];
        if wide {
            let switches = match self.body.counting.mode {
                CountingMode::Cpu => "kernel switches counted there by perf",
                CountingMode::Thread => "kernel switches counted by perf on the threads",
                CountingMode::Rusage => "kernel switches counted by getrusage and /proc",
                CountingMode::None => "kernel switches not counted",
            };
            let mitigations = host.mitigations.as_ref();
            let mitigations = mitigations.map(|found| format!("mitigations: {}", kernel::mitigations_in_words(found)));
            let all = [Some(host.pinned_to()), Some(switches.to_string()), mitigations];
            lines.push(all.into_iter().flatten().collect::<Vec<_>>().join("; "));
        }
        lines
    }

    /// Returns the number of repetitions, and how long all of it took.
    fn repetitions(&self) -> Option<String> {
        let counts = || self.body.results.iter().map(|result| result.repetitions);
        let (fewest, most) = (counts().min()?, counts().max()?);
        let count = if fewest == most { most.to_string() } else { format!("{fewest}–{most}") };
        let noun = if most == 1 { "repetition" } else { "repetitions" };
        let took = self.body.elapsed_s.map_or(String::new(), |seconds| format!(", {seconds:.1} s"));
        Some(format!("{count} {noun}{took}"))
    }

    /// Groups the workloads of the table by something that several of them share.
    fn workloads_by<'r>(&'r self, of: impl Fn(&'r RunResult) -> Option<&'r str>) -> Vec<(&'r str, Vec<&'r str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for result in &self.body.results {
            let Some(key) = of(result) else { continue };
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, workloads)) if workloads.contains(&result.workload.as_str()) => {}
                Some((_, workloads)) => workloads.push(&result.workload),
                None => groups.push((key, vec![&result.workload])),
            }
        }
        groups
    }

    /// Returns what to know of a workload before it is compared with another, once each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = Vec::new();
        for result in &self.body.results {
            let remark = result.remark.as_ref().map(|remark| format!("{}: {remark}.", result.workload));
            remarks.extend(remark.filter(|remark| !remarks.contains(remark)));
        }
        remarks.extend(alike::elsewhere(&self.body));
        remarks.extend(self.toolchains());
        remarks
    }

    /// Returns the other compilers than ctxprof's own that built participants, and whose.
    fn toolchains(&self) -> Vec<String> {
        let built = self.workloads_by(|result| result.toolchain.as_deref());
        built.iter().map(|(toolchain, workloads)| format!("{}: built by {toolchain}.", workloads.join(", "))).collect()
    }

    /// Returns what was asked for and is not in the table, once per reason.
    fn left_out_sentences(&self) -> Vec<String> {
        let reasons = by_key(self.body.left_out.iter().map(|left_out| (&left_out.why, left_out.title())));
        reasons.into_iter().map(|(why, titles)| not_measured(&titles.join(", "), why)).collect()
    }

    /// Returns what the intervals for another run are based on; `None` where they are this run's own.
    fn interval_sentence(&self) -> Option<String> {
        let known = || self.body.results.iter().filter_map(|result| result.reproducibility);
        let by = match known().map(|reproducibility| reproducibility.runs).max()? {
            0 => String::new(),
            1 => ", from 1 saved run".to_string(),
            runs => format!(", from {runs} saved runs"),
        };
        let is_assumed = known().any(|reproducibility| reproducibility.assumed);
        let assumed = if is_assumed {
            format!(" {ASSUMED} assumed: no earlier run of this host is saved.")
        } else {
            String::new()
        };
        Some(format!("±: another run in this session, 95 %{by}.{assumed}"))
    }

    /// Returns the document's warnings and the rows', each kind once that `folds`; unless it is wide, without what the quality says.
    pub(super) fn warning_sentences(&self, wide: bool, folds: fn(&str) -> bool) -> Vec<String> {
        let is_shown = |(result, warning): &(&RunResult, &Warning)| {
            wide || !warning::is_in_quality(&warning.code) || result.ns_per_op.is_some_and(|ns| ns.is_at_most())
        };
        let all =
            self.body.results.iter().flat_map(|result| result.warnings.iter().map(move |warning| (result, warning)));
        let of_rows = all.filter(is_shown).map(|(_, warning)| warning);
        let of_document = self.warnings.iter().map(|warning| warning.message.clone());
        of_document.chain(warnings::sentences(of_rows, folds)).collect()
    }
}
