//! Report of what can be measured, for people and machines.

use std::slice;

use crate::bench::document::list::{CounterEntry, ListDocument, WorkloadEntry};
use crate::bench::grouped::by_key;
use crate::document::headline::headline;
use crate::document::invocation::Invocation;
use crate::document::{conditions, metrics};
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Table, View};
use crate::workload::WORKLOADS;

impl Shown for ListDocument {
    fn view(&self, wide: bool) -> View {
        let body = &self.body;
        let counted = format!("counting: {}", body.counting.name());
        let reasons = if wide { Vec::new() } else { reasons(&body.counters) };
        let default = "* measured by `ctxprof run` by default; `ctxprof run WORKLOAD…` measures others.";
        View {
            heading: vec![headline(self, None, [counted])],
            tables: vec![workload_table(&body.workloads, wide), counter_table(&body.counters, wide)],
            answer: vec![self.available_sentence()],
            command: Some(Invocation::of(&self.host, "list").line()),
            conditions: conditions::of(self),
            notes: std::iter::once(default.to_string()).chain(reasons).collect(),
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            ..View::default()
        }
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::of(self);
        let yes = |is: bool| Some(f64::from(u8::from(is)));
        metrics.rows(slice::from_ref(self), metrics::command).info(
            "counting_info",
            "Counting mode of kernel switches that run would choose",
            |list| vec![("counting", Some(list.body.counting.name().to_string()))],
        );
        metrics
            .rows(&self.body.workloads, |entry| {
                vec![("workload", entry.name.clone()), ("kind", entry.kind.name().to_string())]
            })
            .figure(
                "workload_available",
                Quantity::Count,
                "1 if the workload can be measured on this host, else 0",
                |entry| yes(entry.available),
            );
        // Events: the word counter is reserved for a type of metric.
        metrics.rows(&self.body.counters, |entry| vec![("event", entry.name.clone())]).figure(
            "event_available",
            Quantity::Count,
            "1 if the event can be counted on this host, else 0",
            |entry| yes(entry.available),
        );
        metrics
    }
}

impl ListDocument {
    fn available_sentence(&self) -> String {
        let available = self.body.workloads.iter().filter(|entry| entry.available).count();
        format!("{available} of {} workloads can be measured on this host.", self.body.workloads.len())
    }
}

/// Returns the table of workloads, a line each; `wide` with their long descriptions.
fn workload_table(workloads: &[WorkloadEntry], wide: bool) -> Table {
    let row = |entry: &WorkloadEntry| {
        let star = if entry.default { " *" } else { "" };
        let known = WORKLOADS.iter().find(|workload| workload.name == entry.name).filter(|_| !wide);
        let description = known.map_or(entry.summary.as_str(), |workload| workload.brief);
        let mut cells = vec![
            Cell::text(format!("{}{star}", entry.name)),
            availability(entry.available, None),
            Cell::text(entry.reason.as_deref().unwrap_or(description)),
        ];
        if wide {
            cells.push(Cell::text(entry.kind.name()));
            cells.push(Cell::number(entry.expected_switches_per_op, |per_op| per_op.to_string()));
            cells.push(Cell::text(&entry.op));
        }
        cells
    };
    let mut columns = described("workload", "WORKLOAD");
    if wide {
        let of = |key, heading| Column::new(key, &[heading], Align::Left, 1);
        columns.extend([of("kind", "kind"), of("expected_switches_per_op", "switches/op"), of("op", "op")]);
    }
    Table { title: "Workloads", columns, rows: workloads.iter().map(row).collect() }
}

/// Returns the table of counters; `wide` with the reason why one is not available.
fn counter_table(counters: &[CounterEntry], wide: bool) -> Table {
    let row = |entry: &CounterEntry| {
        // The first clause says what it counts.
        let brief = entry.summary.split([',', ':']).next().unwrap_or_default();
        let description = if wide { entry.reason.as_deref().unwrap_or(&entry.summary) } else { brief };
        vec![
            Cell::text(&entry.name),
            availability(entry.available, entry.source.map(|source| source.name())),
            Cell::text(description),
        ]
    };
    Table { title: "Counters", columns: described("counter", "COUNTER"), rows: counters.iter().map(row).collect() }
}

/// Returns the reasons why counters are not available, each once.
fn reasons(counters: &[CounterEntry]) -> Vec<String> {
    let reasons = counters.iter().filter_map(|counter| Some((counter.reason.as_deref()?, counter.name.as_str())));
    by_key(reasons).into_iter().map(|(reason, names)| format!("Not counted: {}: {reason}", names.join(", "))).collect()
}

fn described(key: &'static str, heading: &str) -> Vec<Column> {
    let column = |key, heading| Column::new(key, &[heading], Align::Left, 0);
    vec![
        column(key, heading),
        column("available", "here"),
        Column { wraps: true, expendable: 1, ..column("description", "what it is, or why not") },
    ]
}

fn availability(available: bool, source: Option<&str>) -> Cell {
    Cell::text(match (available, source) {
        (true, Some(source)) => source,
        (true, None) => "yes",
        (false, _) => "no",
    })
}
