//! Report of a run, for people and machines.

use std::slice;

use crate::bench::document::run::{CounterRecord, RunDocument, RunResult, When};
use crate::bench::figures::{Ratio, warning};
use crate::bench::left_out::{LeftOut, row_title};
use crate::bench::view::costs::{self, ASSUMED, CycleSource, cost_table, cycle_source};
use crate::bench::view::labels::row_labels;
use crate::bench::view::{alike, breakdown, latency};
use crate::document::{conditions, metrics, warnings};
use crate::estimate::Reproducibility;
use crate::host::placement::Placement;
use crate::output::Shown;
use crate::output::metrics::{Labels, Metrics, Quantity};
use crate::output::view::View;
use crate::perf::counting::CountingMode;
use crate::unit::Share;

/// The op of most workloads, and of all in documents that do not say.
const ROUND_TRIP: &str = "round trip";

impl Shown for RunDocument {
    fn view(&self, wide: bool) -> View {
        let cost = self.counting_cost_sentence();
        let latency = Some(latency::latency_table(&self.body)).filter(|table| !table.rows.is_empty());
        View {
            heading: [Some(self.machine_line()), self.host.kernel_in_words(), Some(self.counting_line(wide))]
                .into_iter()
                .flatten()
                .collect(),
            answer: self.answer(),
            answer_label: Some("Summary"),
            quality: self.quality(),
            command: Some(self.command()),
            conditions: conditions::of(self),
            tables: [
                Some(cost_table(&self.body, wide)),
                alike::table(&self.body),
                latency,
                breakdown::table(&self.body.results),
            ]
            .into_iter()
            .flatten()
            .collect(),
            pictures: costs::levels(&self.body)
                .into_iter()
                .chain(latency::spans(&self.body))
                .chain(breakdown::stacks(&self.body.results))
                .chain(latency::pictures(&self.body))
                .chain(breakdown::pictures(&self.body.results))
                .collect(),
            notes: alike::notes(&self.body)
                .into_iter()
                .chain(self.remarks())
                .chain(self.left_out_sentences())
                .chain([self.explanation()])
                .chain(latency::notes(self))
                .chain(cost)
                .chain(breakdown::notes(self))
                .chain([next_steps(wide)])
                .collect(),
            warnings: self.all_warnings(),
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
    pub(super) fn machine_line(&self) -> String {
        let host = &self.host;
        let mut parts = vec![format!("ctxprof {} on Linux {} {}", self.tool.version, host.kernel, host.architecture)];
        parts.extend(host.cpu_model.clone());
        parts.extend(host.hypervisor.as_ref().map(|name| format!("{name} guest")));
        parts.join(", ")
    }

    pub(super) fn counting_line(&self, wide: bool) -> String {
        let switches = match self.body.counting.mode {
            CountingMode::Cpu => "kernel switches counted there by perf",
            CountingMode::Thread => "kernel switches counted by perf on the threads",
            CountingMode::Rusage => "kernel switches counted by getrusage and /proc",
            CountingMode::None => "kernel switches not counted",
        };
        let cycles = match cycle_source(&self.body) {
            Some(CycleSource::Cycles) => "hardware cycles",
            Some(CycleSource::UserCycles) => "hardware cycles of user mode only",
            Some(CycleSource::TscTicks) if wide => "TSC ticks, no PMU",
            Some(CycleSource::TscTicks) => "no PMU",
            None => "no cycles",
        };
        let places = if self.body.results.iter().any(|result| result.placement != Placement::Same) {
            "the other participant as placed below; ".to_string()
        } else {
            String::new()
        };
        let policy = self.settings.policy.iter().map(|policy| format!("policy {policy}"));
        let nice = self.settings.nice.iter().map(|nice| format!("nice {nice}"));
        let policy: String = policy.chain(nice).map(|asked| format!("; {asked}")).collect();
        format!("{}; {places}{switches}; {cycles}{policy}", self.host.pinned_to())
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

    /// Returns a description of one op, for each kind of it.
    fn op_sentence(&self) -> String {
        let sorts =
            self.workloads_by(|result| Some(if result.op.is_empty() { ROUND_TRIP } else { result.op.as_str() }));
        let others: Vec<String> = sorts
            .iter()
            .filter(|(op, _)| *op != ROUND_TRIP)
            .map(|(op, workloads)| format!("{op} ({})", workloads.join(", ")))
            .collect();
        let round_trip = "one round trip A → B → A";
        match (sorts.iter().any(|(op, _)| *op == ROUND_TRIP), others.as_slice()) {
            (true, []) => round_trip.to_string(),
            (true, others) => format!("{round_trip}, or {}", others.join(", ")),
            (false, others) => others.join(", "),
        }
    }

    /// Returns what to know of a workload before it is compared with another, once each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = Vec::new();
        for result in &self.body.results {
            let remark = result.remark.as_ref().map(|remark| format!("{}: {remark}.", result.workload));
            remarks.extend(remark.filter(|remark| !remarks.contains(remark)));
        }
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
        let mut reasons: Vec<(&LeftOut, Vec<String>)> = Vec::new();
        for left_out in &self.body.left_out {
            let title = row_title(&left_out.workload, left_out.placement, left_out.ring);
            match reasons.iter_mut().find(|(known, _)| known.why == left_out.why) {
                Some((_, titles)) => titles.push(title),
                None => reasons.push((left_out, vec![title])),
            }
        }
        let sentence = |(left_out, titles): (&LeftOut, Vec<String>)| {
            let remedy = left_out.why.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
            format!("Not measured: {}: {}{remedy}.", titles.join(", "), left_out.why.reason)
        };
        reasons.into_iter().map(sentence).collect()
    }

    /// Returns the meaning of ±: another run's interval, or this one's where nothing is known of others.
    fn interval_sentence(&self) -> String {
        let reproducible: Vec<Reproducibility> =
            self.body.results.iter().filter_map(|result| result.reproducibility).collect();
        if let Some(best) = reproducible.iter().max_by_key(|reproducibility| reproducibility.runs) {
            let by = match best.runs {
                0 => String::new(),
                1 => ", from 1 saved run".to_string(),
                runs => format!(", from {runs} saved runs"),
            };
            let some = reproducible.iter().any(|reproducibility| reproducibility.assumed);
            let assumed =
                if some { format!(" {ASSUMED} assumed: no earlier run of this host is saved.") } else { String::new() };
            return format!(" ±: another run in this session, 95 %{by}.{assumed}");
        }
        let intervals =
            self.body.results.iter().find_map(|result| Some((result.repetitions, result.interval_confidence?)));
        intervals.map_or(String::new(), |(repetitions, level)| {
            format!(" ±: {} interval of the median over {repetitions} repetitions.", Share(level))
        })
    }

    pub(super) fn explanation(&self) -> String {
        let interval = self.interval_sentence();
        format!(
            "op: {}. ns/switch: time ÷ counted switches of the same samples. no-switch: the same calls without a switch. net: ns/switch without that. v + i: voluntary + involuntary. undist.: samples undisturbed by other threads, steal, throttling or a slowed core; costs are medians of those.{interval}",
            self.op_sentence()
        )
    }

    /// Returns the cost of the switch counter where the costs exclude it.
    fn counting_cost_sentence(&self) -> Option<String> {
        let highest = self
            .body
            .results
            .iter()
            .filter_map(|result| Some((result, result.counting_cost?)))
            .max_by(|a, b| a.1.median.total_cmp(&b.1.median));
        let (result, cost) = highest.filter(|_| self.body.counting.mode == CountingMode::Cpu)?;
        let share = cost.median - 1.0;
        let workload = &result.workload;
        (share >= 0.005).then(|| {
            format!(
                "Counting overhead ({} of {workload}) excluded: switches are counted in separate samples.",
                Share(share)
            )
        })
    }

    /// Returns the document's warnings and the rows'; of those about the machine each kind once.
    fn all_warnings(&self) -> Vec<String> {
        let of_rows = self.body.results.iter().flat_map(|result| &result.warnings);
        let of_document = self.warnings.iter().map(|warning| warning.message.clone());
        of_document.chain(warnings::sentences(of_rows, warning::is_of_the_machine)).collect()
    }
}

fn next_steps(wide: bool) -> String {
    let wider = if wide { "" } else { "`ctxprof run --wide` for more columns, " };
    format!(
        "Next: {wider}`ctxprof list` for what can be measured on this host, `ctxprof report` to show this again, `ctxprof run --help` for more."
    )
}
