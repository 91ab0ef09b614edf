//! Columns of the cost table.

use crate::bench::document::run::{RunBody, RunResult, SwitchesRange, When};
use crate::bench::figures::CountSource;
use crate::estimate::Estimate;
use crate::host::placement::Placement;
use crate::output::metrics::Quantity;
use crate::output::view::{Align, Cell, Column, Level, LevelStyle, Levels, Picture, Table, half_width};
use crate::perf::counting::{TO_IDLE, WAKE_UPS, names};
use crate::unit::{Bytes, Count, Nanoseconds, Share};

/// Content of the cycles column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CycleSource {
    Cycles,
    /// Of user mode only: the kernel may not be observed.
    UserCycles,
    TscTicks,
}

impl CycleSource {
    fn counter(self) -> &'static str {
        match self {
            CycleSource::Cycles => names::CYCLES,
            CycleSource::UserCycles => names::USER_CYCLES,
            CycleSource::TscTicks => "msr/tsc/",
        }
    }
}

pub(super) fn cycle_source(body: &RunBody) -> Option<CycleSource> {
    let has =
        |source: &CycleSource| body.results.iter().any(|result| counter_per_op(result, source.counter()).is_some());
    [CycleSource::Cycles, CycleSource::UserCycles, CycleSource::TscTicks].into_iter().find(has)
}

fn counter_per_op(result: &RunResult, name: &str) -> Option<f64> {
    result.counters.iter().find(|counter| counter.name == name).map(|counter| counter.per_op)
}

/// One column of the cost table: its heading, and the cell of a result.
pub(super) struct CostColumn {
    pub(super) column: Column,
    cell: Box<dyn Fn(&RunResult) -> Cell>,
}

pub(super) fn cost_column(
    key: &'static str,
    heading: &[&str],
    expendable: u8,
    cell: impl Fn(&RunResult) -> Cell + 'static,
) -> CostColumn {
    let align = if matches!(key, "workload" | "placement" | "op") { Align::Left } else { Align::Right };
    CostColumn { column: Column::new(key, heading, align, expendable), cell: Box::new(cell) }
}

pub(super) fn cost_table(body: &RunBody, wide: bool) -> Table {
    let some_apart = body.results.iter().any(|result| result.placement != Placement::Same);
    let mut columns = row_names(body, some_apart);
    columns.extend(costs(body));
    // Wall time times a constant adds nothing to ns/op.
    if let Some(source) = cycle_source(body).filter(|source| wide || *source != CycleSource::TscTicks) {
        let (key, heading) = match source {
            CycleSource::Cycles => ("cycles_per_op", "cycles"),
            CycleSource::UserCycles => ("user_cycles_per_op", "user cycles"),
            CycleSource::TscTicks => ("tsc_ticks_per_op", "TSC ticks"),
        };
        columns.push(cost_column(key, &[heading, "per op"], 5, move |result| cycles_cell(result, source)));
    }
    if some_apart {
        columns.push(cpu_column(6));
    }
    if wide {
        if body.results.iter().any(|result| result.reproducibility.is_some()) {
            columns.extend(widths());
        }
        columns.extend(wide_columns());
        if !some_apart {
            columns.push(cpu_column(9));
        }
        columns.extend(counted_columns());
    }
    // An optional column without a value takes no room.
    let is_optional = |column: &CostColumn| column.column.expendable > OPTIONAL;
    let says_something = |cell: &Cell| match cell {
        Cell::Absent => false,
        Cell::Number { value, .. } => *value >= SELDOM,
        Cell::Text(_) | Cell::Name(_) | Cell::Estimate { .. } => true,
    };
    columns.retain(|column| {
        !is_optional(column) || body.results.iter().any(|result| says_something(&(column.cell)(result)))
    });
    table_of(COSTS, columns, &body.results.iter().collect::<Vec<_>>())
}

/// Title of the table of costs.
const COSTS: &str = "Costs";

/// Returns the columns that tell rows apart, as far as these differ in them from the usual.
fn row_names(body: &RunBody, some_apart: bool) -> Vec<CostColumn> {
    let mut columns = vec![cost_column("workload", &["WORKLOAD"], 0, |result| Cell::text(&result.workload))];
    if some_apart {
        columns.push(cost_column("placement", &["placement"], 0, |result| Cell::text(result.placement.name())));
        columns.push(cost_column("cpus", &["CPUs"], 8, cpus_cell));
    }
    if body.results.iter().any(|result| result.ring.is_some()) {
        columns.push(cost_column("participants", &["ring"], 0, |result| {
            Cell::number(result.ring.map(|ring| ring.participants as f64), |participants| {
                Count(participants).to_string()
            })
        }));
    }
    if body.results.iter().any(|result| result.ring.is_some_and(|ring| ring.working_set_bytes > 0)) {
        columns.push(cost_column("working_set_bytes", &["working", "set"], 0, |result| {
            Cell::number(result.ring.map(|ring| ring.working_set_bytes as f64), |bytes| Bytes(bytes).to_string())
        }));
    }
    columns
}

/// Returns the columns of every run.
fn costs(body: &RunBody) -> [CostColumn; 7] {
    let lowest = body.results.iter().filter_map(|result| Some(result.ns_per_switch?.median)).reduce(f64::min);
    let half_width_heading = interval_level(body).map_or("±".to_string(), |level| format!("±{:.0}%", level * 100.0));
    let mut switches = cost_column("switches_per_op", &["switches/op"], 1, switches_cell);
    switches.column.align = Align::Left;
    [
        cost_column("ns_per_switch", &["ns/switch"], 0, |result| reproducible(result, result.ns_per_switch, false)),
        cost_column("half_width", &[&half_width_heading], 2, half_width_cell),
        // Where nothing switches, it is the cost and has the interval.
        cost_column("ns_per_op", &["ns/op"], 0, |result| {
            reproducible(result, result.ns_per_op, result.ns_per_switch.is_none())
        }),
        switches,
        cost_column("no_switch_ns_per_op", &["no-switch"], 4, |result| {
            Cell::estimate(result.no_switch_ns_per_op, false, nanoseconds)
        }),
        cost_column("net_ns_per_switch", &["net ns/switch"], 0, |result| {
            reproducible(result, result.net_ns_per_switch, true)
        }),
        cost_column("relative", &["relative"], 3, move |result| {
            let ratio = result.ns_per_switch.zip(lowest).map(|(ns, lowest)| ns.median / lowest);
            Cell::number(ratio.filter(|ratio| ratio.is_finite()), |ratio| Count(ratio).to_string())
        }),
    ]
}

fn cpu_column(expendable: u8) -> CostColumn {
    cost_column("cpu_ns_per_op", &["CPU", "ns/op"], expendable, |result| {
        Cell::estimate(result.cpu_ns_per_op, false, nanoseconds)
    })
}

/// Returns the confidence of the intervals in the table; `None` where rows differ in it.
fn interval_level(body: &RunBody) -> Option<f64> {
    const OF_ANOTHER_RUN: f64 = 0.95;
    let level = |result: &RunResult| match result.reproducibility {
        Some(_) => Some(OF_ANOTHER_RUN),
        None => result.interval_confidence,
    };
    let mut levels = body.results.iter().filter_map(level);
    let first = levels.next()?;
    levels.all(|other| (other - first).abs() < 0.005).then_some(first)
}

pub(super) fn table_of(title: &'static str, columns: Vec<CostColumn>, results: &[&RunResult]) -> Table {
    let row = |result: &&RunResult| columns.iter().map(|column| (column.cell)(result)).collect();
    let rows = results.iter().map(row).collect();
    Table { title, columns: columns.into_iter().map(|column| column.column).collect(), rows }
}

/// Returns the cost of an op in each workload, and of a switch where it makes any; `None` of nothing.
pub(super) fn levels(body: &RunBody) -> Option<Picture> {
    let level = |result: &RunResult| Level {
        label: result.title(),
        series: result.kind.name().to_string(),
        figures: vec![reproducible(result, result.ns_per_op, true), reproducible(result, result.ns_per_switch, false)],
    };
    let levels: Vec<Level> = body.results.iter().filter(|result| result.ns_per_op.is_some()).map(level).collect();
    let has_history = body.results.iter().any(|result| result.reproducibility.is_some());
    let interval = if has_history { "what another run of this session will say" } else { "the interval of the median" };
    let title = format!(
        "ns/op (filled) and ns/switch (hollow), with {interval}; relative: ns/op by the least of those that switch"
    );
    (!levels.is_empty()).then_some(Picture::Levels(Levels {
        title,
        table: COSTS,
        quantity: Quantity::Nanoseconds,
        style: LevelStyle::Dots,
        heads: vec!["ns/op", "ns/switch"],
        levels,
    }))
}

/// Returns the cost of a row in a sentence; `None` where none was measured.
pub(super) fn sentence(result: &RunResult) -> Option<String> {
    let op = Cell::interval(result.reproducible(result.ns_per_op, When::ThisSession), nanoseconds);
    let switch = Cell::interval(result.reproducible(result.ns_per_switch, When::ThisSession), nanoseconds);
    let of_switch = if switch == Cell::Absent { String::new() } else { format!(", {} ns/switch", switch.shown()) };
    (op != Cell::Absent).then(|| format!("{}: {} ns/op{of_switch}.", result.title(), op.shown()))
}

/// A column above this is shown only if it has a value, and the narrowest terminal does without.
const OPTIONAL: u8 = 8;

/// Counts below one in a thousand ops take no column; the JSON has them.
const SELDOM: f64 = 0.001;

/// Returns a figure with the interval for another run of this session.
fn reproducible(result: &RunResult, figure: Option<Estimate>, interval: bool) -> Cell {
    Cell::estimate(result.reproducible(figure, When::ThisSession), interval, nanoseconds)
}

/// Returns the half width of the interval of ns/switch, marked where it is assumed.
fn half_width_cell(result: &RunResult) -> Cell {
    let known = result.reproducible(result.ns_per_switch, When::ThisSession);
    let is_assumed = result.reproducibility.is_some_and(|reproducibility| reproducibility.assumed);
    let mark = if is_assumed { ASSUMED } else { "" };
    Cell::number(known.and_then(|known| known.relative_half_width()), |share| half_width(share) + mark)
}

/// Mark of a ± that rests on no earlier run.
pub(super) const ASSUMED: &str = "*";

/// Returns the width of the cost's interval in this run, for another of this session, and of any day.
fn widths() -> [CostColumn; 3] {
    let width = |key, heading: [&str; 2], of: fn(&RunResult) -> Option<Estimate>| {
        cost_column(key, &heading, 1, move |result| {
            let known = result.reproducibility.and_then(|_| of(result)?.relative_half_width());
            Cell::number(known, half_width)
        })
    };
    [
        width("run_half_width", ["± this", "run"], |result| result.ns_per_op),
        width("session_half_width", ["± this", "session"], |result| {
            result.reproducible(result.ns_per_op, When::ThisSession)
        }),
        width("any_day_half_width", ["± any", "day"], |result| result.reproducible(result.ns_per_op, When::AnyDay)),
    ]
}

/// Returns the columns that `--wide` adds.
fn wide_columns() -> [CostColumn; 7] {
    let range_end = |key, heading: &[&str], of: fn(SwitchesRange) -> f64| {
        cost_column(key, heading, 9, move |result| {
            let range = result.switches_per_op_range.map(of);
            Cell::number(range, |per_op| format!("{per_op:.3}"))
        })
    };
    [
        cost_column("op", &["op"], 9, |result| {
            Cell::text(if result.op.is_empty() { "round trip" } else { &result.op })
        }),
        cost_column("kernel_switches_per_op", &["kernel switches", "per op, v + i"], 3, kernel_switches_cell),
        cost_column("undisturbed_share", &["samples", "undist."], 2, undisturbed_cell),
        cost_column("ops_per_second", &["ops/s"], 6, |result| {
            Cell::number(result.ns_per_op.map(|ns| 1e9 / ns.median), |ops| Count(ops).to_string())
        }),
        cost_column("mean_ns_per_op", &["mean of all", "ns/op"], 7, |result| {
            Cell::number(result.mean_ns_per_op, nanoseconds)
        }),
        range_end("switches_per_op_lowest", &["fewest", "per op"], |range| range.lowest),
        range_end("switches_per_op_highest", &["most", "per op"], |range| range.highest),
    ]
}

/// Returns the counters that `--wide` adds.
fn counted_columns() -> [CostColumn; 8] {
    let counted = |key, heading: &[&str], name: &'static str| {
        cost_column(key, heading, 9, move |result| {
            Cell::number(counter_per_op(result, name), |per_op| Count(per_op).to_string())
        })
    };
    [
        counted("wake_ups_per_op", &["wake-ups", "per op"], WAKE_UPS),
        counted("to_idle_per_op", &["to idle", "per op"], TO_IDLE),
        counted("migrations_per_op", &["migrations", "per op"], names::CPU_MIGRATIONS),
        counted("page_faults_per_op", &["page faults", "per op"], names::PAGE_FAULTS),
        counted("instructions_per_op", &["instructions", "per op"], names::INSTRUCTIONS),
        counted("user_instructions_per_op", &["user instr.", "per op"], names::USER_INSTRUCTIONS),
        counted("user_cycles_per_op", &["user cycles", "per op"], names::USER_CYCLES),
        counted("kernel_cycles_per_op", &["kernel cycles", "per op"], names::KERNEL_CYCLES),
    ]
}

fn cpus_cell(result: &RunResult) -> Cell {
    let cpus: Vec<String> = result.cpus.iter().map(usize::to_string).collect();
    if cpus.is_empty() { Cell::Absent } else { Cell::text(cpus.join(",")) }
}

pub(super) fn nanoseconds(value: f64) -> String {
    Nanoseconds(value).to_string()
}

fn switches_cell(result: &RunResult) -> Cell {
    let source = result.switches_source;
    match source {
        CountSource::Expected => {
            Cell::number(result.expected_switches_per_op, |per_op| format!("~{per_op} {}", source.name()))
        }
        CountSource::Kernel | CountSource::Polls | CountSource::Resumes | CountSource::Uprobe => {
            Cell::number(result.switches_per_op, |per_op| format!("{per_op:.3} {}", source.name()))
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

fn undisturbed_cell(result: &RunResult) -> Cell {
    let share = (result.samples.taken > 0).then(|| result.samples.undisturbed as f64 / result.samples.taken as f64);
    Cell::number(share, |share| Share(share).to_string())
}
