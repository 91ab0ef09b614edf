//! `ctxprof list`: what can be measured here, and why the rest cannot.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use crate::cli::{ColorChoice, OutputArgs};
use crate::command::output::deliver;
use crate::command::place;
use crate::counter::ladder::{CounterChoice, Ladder};
use crate::counter::meter::Attach;
use crate::counter::{self, Counter};
use crate::host::probe;
use crate::record::list::{CounterEntry, ListBody, ListDocument, ListSettings, SCHEMA, WorkloadEntry};
use crate::record::{Tool, timestamp};
use crate::sample::Counting;
use crate::sys::affinity::Pinned;
use crate::workload::{WORKLOADS, Workload};

pub(super) fn execute(output: &OutputArgs, color: ColorChoice) -> Result<()> {
    let started_at = timestamp(SystemTime::now());
    let (place, processors) = place(None)?;
    // The meter is tried out by a switch of this thread, which must happen where it is attached.
    let pinned = Pinned::to(place.cpu)?;
    let counting = Ladder::new(CounterChoice::Auto, place.cpu).attach()?.counting;
    drop(pinned);
    let body = ListBody {
        workloads: WORKLOADS.iter().map(workload_entry).collect(),
        counting: counting.mode,
        counters: counter::all().map(|counter| counter_entry(counter, &counting)).collect(),
    };
    let host = probe::facts(Path::new("/"), &place, &processors);
    let document = ListDocument {
        schema: SCHEMA.to_string(),
        tool: Tool::this(),
        started_at,
        host,
        settings: ListSettings {},
        body,
        warnings: Vec::new(),
    };
    deliver(&document, output, color)
}

fn workload_entry(workload: &Workload) -> WorkloadEntry {
    WorkloadEntry {
        name: workload.name.to_string(),
        kind: workload.kind,
        summary: workload.summary.to_string(),
        op: workload.op.to_string(),
        floor: workload.floor.as_ref().map(|floor| floor.summary.to_string()),
        expected_switches_per_op: workload.expected_switches_per_op,
        default: workload.default,
        available: true,
        reason: None,
    }
}

fn counter_entry(counter: &Counter, counting: &Counting) -> CounterEntry {
    let open = counting.counters.iter().find(|open| open.name == counter.name);
    let absent =
        || counting.absent.iter().find(|absent| absent.name == counter.name).map(|absent| absent.reason.clone());
    let left_out = || {
        if !counter.scope.includes(counting.mode) && counting.refused.is_empty() {
            return format!("it is for another way of counting than `{}`", counting.mode.name());
        }
        counting.refused.last().cloned().unwrap_or_else(|| "not needed: this machine has hardware cycles".to_string())
    };
    CounterEntry {
        name: counter.name.to_string(),
        summary: counter.summary.to_string(),
        available: open.is_some(),
        source: open.map(|open| open.scope),
        reason: if open.is_some() { None } else { Some(absent().unwrap_or_else(left_out)) },
    }
}
