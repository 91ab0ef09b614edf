//! What people see of a run.

use anyhow::{Context, Result};

use crate::record::run::{RunBody, RunDocument, RunResult};
use crate::render::Report;
use crate::render::view::{Align, Cell, Column, Table, View};
use crate::sample::CountingMode;
use crate::summary::{CountSource, Ratio};
use crate::unit::{Count, Nanoseconds, Share};

impl Report for RunDocument {
    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).context("writing JSON")? + "\n")
    }

    fn view(&self, wide: bool) -> View {
        let ratio = self.body.ratio.iter().map(ratio_sentence);
        let cost = self.counting_cost_sentence();
        View {
            heading: vec![self.machine_line(), self.counting_line()],
            tables: vec![price_table(&self.body, wide)],
            notes: ratio.chain([self.explanation()]).chain(cost).chain([next_steps(wide)]).collect(),
            warnings: self.all_warnings(),
        }
    }
}

impl RunDocument {
    fn machine_line(&self) -> String {
        let host = &self.host;
        let mut parts = vec![format!("ctxprof {} on Linux {} {}", self.tool.version, host.kernel, host.architecture)];
        parts.extend(host.cpu_model.clone());
        parts.extend(host.hypervisor.as_ref().map(|name| format!("{name} guest")));
        parts.join(", ")
    }

    fn counting_line(&self) -> String {
        let switches = match self.body.counting.mode {
            CountingMode::Cpu => "kernel switches counted there by perf",
            CountingMode::Thread => "kernel switches counted by perf on the threads",
            CountingMode::Rusage => "kernel switches counted by getrusage and /proc",
            CountingMode::None => "kernel switches not counted",
        };
        let cycles = match cycle_source(&self.body) {
            Some(CycleSource::Cycles) => "hardware cycles",
            Some(CycleSource::UserCycles) => "hardware cycles of user mode only",
            Some(CycleSource::TscTicks) => "TSC ticks, no PMU",
            None => "no cycles",
        };
        format!("CPU {} ({}); {switches}; {cycles}", self.host.pinned_cpu, self.host.pinned_because)
    }

    fn explanation(&self) -> String {
        let intervals =
            self.body.results.iter().find_map(|result| Some((result.incarnations, result.interval_confidence?)));
        let interval = intervals.map_or(String::new(), |(incarnations, level)| {
            format!(" ±: {} interval of the median over {incarnations} incarnations (parties made anew).", Share(level))
        });
        format!(
            "op: one round trip A → B → A. ns/switch: ns/op ÷ counted switches. floor: the same calls where nothing switches. net: without the floor. kernel switches: voluntary + involuntary. clean: samples without other threads, steal, throttling or a slowed core; prices are their medians.{interval}"
        )
    }

    /// What the switch counter costs where it is kept out of the prices.
    fn counting_cost_sentence(&self) -> Option<String> {
        let dearest = self
            .body
            .results
            .iter()
            .filter_map(|result| Some((result, result.counting_cost?)))
            .max_by(|a, b| a.1.median.total_cmp(&b.1.median));
        let (result, cost) = dearest.filter(|_| self.body.counting.mode == CountingMode::Cpu)?;
        let share = cost.median - 1.0;
        let workload = &result.workload;
        (share >= 0.005).then(|| format!("Counting slows {workload} by {} here, so perf counts in samples of its own, from which no time is taken.", Share(share)))
    }

    fn all_warnings(&self) -> Vec<String> {
        self.warnings
            .iter()
            .chain(self.body.results.iter().flat_map(|result| &result.warnings))
            .map(|warning| warning.message.clone())
            .collect()
    }
}

/// What stands in the cycles column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CycleSource {
    Cycles,
    /// Of user mode only: the kernel may not be observed.
    UserCycles,
    TscTicks,
}

impl CycleSource {
    fn counter(self) -> &'static str {
        match self {
            CycleSource::Cycles => "cycles",
            CycleSource::UserCycles => "cycles:u",
            CycleSource::TscTicks => "msr/tsc/",
        }
    }
}

fn cycle_source(body: &RunBody) -> Option<CycleSource> {
    let has =
        |source: &CycleSource| body.results.iter().any(|result| counter_per_op(result, source.counter()).is_some());
    [CycleSource::Cycles, CycleSource::UserCycles, CycleSource::TscTicks].into_iter().find(has)
}

fn counter_per_op(result: &RunResult, name: &str) -> Option<f64> {
    result.counters.iter().find(|counter| counter.name == name).map(|counter| counter.per_op)
}

/// One column of the price list: how it is headed, and what of a result it shows.
struct PriceColumn {
    column: Column,
    cell: Box<dyn Fn(&RunResult) -> Cell>,
}

fn price_column(
    key: &'static str,
    heading: &[&str],
    expendable: u8,
    cell: impl Fn(&RunResult) -> Cell + 'static,
) -> PriceColumn {
    let align = if key == "workload" { Align::Left } else { Align::Right };
    PriceColumn {
        column: Column {
            key,
            heading: heading.iter().map(|line| line.to_string()).collect(),
            align,
            expendable,
            wraps: false,
        },
        cell: Box::new(cell),
    }
}

fn price_table(body: &RunBody, wide: bool) -> Table {
    let mut columns = vec![
        price_column("workload", &["workload"], 0, |result| Cell::text(&result.workload)),
        price_column("ns_per_op", &["ns/op"], 0, |result| Cell::estimate(result.ns_per_op, true, nanoseconds)),
        price_column("switches_per_op", &["switches", "per op"], 0, switches_cell),
        price_column("kernel_switches_per_op", &["kernel switches", "per op, v + i"], 3, kernel_switches_cell),
        price_column("ns_per_switch", &["ns per", "switch"], 0, |result| {
            Cell::estimate(result.ns_per_switch, false, nanoseconds)
        }),
        price_column("floor_ns_per_op", &["floor", "ns/op"], 4, |result| {
            Cell::estimate(result.floor_ns_per_op, false, nanoseconds)
        }),
        price_column("net_ns_per_switch", &["net ns", "per switch"], 0, |result| {
            Cell::estimate(result.net_ns_per_switch, true, nanoseconds)
        }),
    ];
    if let Some(source) = cycle_source(body) {
        let (key, heading) = match source {
            CycleSource::Cycles => ("cycles_per_op", "cycles"),
            CycleSource::UserCycles => ("user_cycles_per_op", "user cycles"),
            CycleSource::TscTicks => ("tsc_ticks_per_op", "TSC ticks"),
        };
        columns.push(price_column(key, &[heading, "per op"], 5, move |result| cycles_cell(result, source)));
    }
    columns.push(price_column("clean_share", &["clean"], 2, clean_cell));
    if wide {
        columns.push(price_column("ops_per_second", &["ops/s"], 6, |result| {
            Cell::number(result.ns_per_op.map(|ns| 1e9 / ns.median), |ops| format!("{ops:.0}"))
        }));
        columns.push(price_column("mean_ns_per_op", &["mean of all", "ns/op"], 7, |result| {
            Cell::number(result.mean_ns_per_op, nanoseconds)
        }));
    }
    let rows = body.results.iter().map(|result| columns.iter().map(|column| (column.cell)(result)).collect()).collect();
    Table { columns: columns.into_iter().map(|column| column.column).collect(), rows }
}

fn nanoseconds(value: f64) -> String {
    Nanoseconds(value).to_string()
}

fn switches_cell(result: &RunResult) -> Cell {
    match result.switches_source {
        CountSource::Expected => Cell::number(result.expected_switches_per_op, |per_op| format!("~{per_op}")),
        CountSource::Kernel | CountSource::Polls => {
            Cell::number(result.switches_per_op, |per_op| format!("{per_op:.3}"))
        }
    }
}

fn kernel_switches_cell(result: &RunResult) -> Cell {
    let split =
        result.kernel_switches.map(|switches| format!("{:.2} + {:.2}", switches.voluntary, switches.involuntary));
    Cell::number(result.kernel_switches_per_op, |per_op| split.unwrap_or_else(|| format!("{per_op:.2}")))
}

fn cycles_cell(result: &RunResult, source: CycleSource) -> Cell {
    Cell::number(counter_per_op(result, source.counter()), |per_op| Count(per_op).to_string())
}

fn clean_cell(result: &RunResult) -> Cell {
    let share = (result.samples.taken > 0).then(|| result.samples.clean as f64 / result.samples.taken as f64);
    Cell::number(share, |share| Share(share).to_string())
}

/// The sentence that people come for.
fn ratio_sentence(ratio: &Ratio) -> String {
    const SWITCHES_PER_SECOND: f64 = 20_000.0;
    let share_of_cpu = |ns_per_switch: f64| Share(ns_per_switch * SWITCHES_PER_SECOND / 1e9);
    let net = ratio.net.map_or(String::new(), |net| format!(" (net {})", fraction(net.median)));
    format!(
        "A {} switch ({}) costs {}{net} of a {} switch ({}) here: at 20,000 switches a second that is {} of a CPU against {}.",
        ratio.cheaper_kind.name(),
        ratio.cheaper,
        fraction(ratio.gross.median),
        ratio.dearer_kind.name(),
        ratio.dearer,
        share_of_cpu(ratio.cheaper_ns),
        share_of_cpu(ratio.dearer_ns)
    )
}

/// `1/15` of a ratio of 15, `1.25 times` of one of 0.8.
fn fraction(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 9.95 => format!("1/{ratio:.0}"),
        ratio if ratio >= 1.05 => format!("1/{ratio:.1}"),
        ratio => format!("{:.2} times", 1.0 / ratio),
    }
}

fn next_steps(wide: bool) -> String {
    let wider = if wide { "" } else { "`ctxprof run --wide` for more columns, " };
    format!(
        "Next: {wider}`ctxprof list` for what can be measured here, `ctxprof report` to see this again, `ctxprof run --help` for more."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_read_as_fractions() {
        for (ratio, expected) in
            [(39.4, "1/39"), (9.96, "1/10"), (3.21, "1/3.2"), (1.0, "1.00 times"), (0.8, "1.25 times")]
        {
            assert_eq!(fraction(ratio), expected);
        }
    }
}
