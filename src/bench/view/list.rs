//! Report of what can be measured, for people and machines.

use std::slice;

use crate::bench::document::list::{CounterEntry, ListDocument, WorkloadEntry};
use crate::document::invocation::Invocation;
use crate::document::{conditions, metrics};
use crate::output::Shown;
use crate::output::metrics::{Metrics, Quantity};
use crate::output::view::{Align, Cell, Column, Table, View};

impl Shown for ListDocument {
    fn view(&self, _wide: bool) -> View {
        View {
            heading: vec![format!("kernel switches would be counted with: {}", self.body.counting.name())],
            tables: vec![workload_table(&self.body.workloads), counter_table(&self.body.counters)],
            answer: vec![self.available_sentence()],
            command: Some(Invocation::of(&self.host, "list").line()),
            conditions: conditions::of(self),
            notes: vec![
                "* measured by `ctxprof run` when it is not told what; `ctxprof run WORKLOAD…` measures others."
                    .to_string(),
            ],
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

fn workload_table(workloads: &[WorkloadEntry]) -> Table {
    let row = |entry: &WorkloadEntry| {
        let star = if entry.default { " *" } else { "" };
        vec![
            Cell::text(format!("{}{star}", entry.name)),
            Cell::text(entry.kind.name()),
            Cell::number(entry.expected_switches_per_op, |per_op| per_op.to_string()),
            availability(entry.available, None),
            Cell::text(entry.reason.as_ref().unwrap_or(&entry.summary)),
        ]
    };
    let columns = vec![
        column("workload", "workload", 0),
        column("kind", "kind", 2),
        column("expected_switches_per_op", "switches/op", 3),
        column("available", "here", 0),
        column("description", "what it is, or why not", 1),
    ];
    Table { title: "Workloads", columns, rows: workloads.iter().map(row).collect() }
}

fn counter_table(counters: &[CounterEntry]) -> Table {
    let row = |entry: &CounterEntry| {
        vec![
            Cell::text(&entry.name),
            availability(entry.available, entry.source.map(|source| source.name())),
            Cell::text(entry.reason.as_ref().unwrap_or(&entry.summary)),
        ]
    };
    let columns = vec![
        column("counter", "counter", 0),
        column("available", "here", 0),
        column("description", "what it counts, or why not", 1),
    ];
    Table { title: "Counters", columns, rows: counters.iter().map(row).collect() }
}

fn column(key: &'static str, heading: &str, expendable: u8) -> Column {
    Column { wraps: key == "description", ..Column::new(key, &[heading], Align::Left, expendable) }
}

fn availability(available: bool, source: Option<&str>) -> Cell {
    Cell::text(match (available, source) {
        (true, Some(source)) => source,
        (true, None) => "yes",
        (false, _) => "no",
    })
}
