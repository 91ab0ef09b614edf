//! `ctxprof list`: workloads and counters available on this host, and why the others are not.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use crate::bench::document::list::{CounterEntry, ListBody, ListDocument, ListSettings, SCHEMA, WorkloadEntry};
use crate::cli::{ColorChoice, OutputArgs};
use crate::command::output::deliver;
use crate::command::place;
use crate::document::Tool;
use crate::host::probe;
use crate::perf::counting::{Counting, CountingMode, PROBE, TO_IDLE, WAKE_UPS};
use crate::perf::fallback_chain::{CounterChoice, FallbackChain};
use crate::perf::meter::{Attach, Extra};
use crate::perf::refusal::Refused;
use crate::perf::{self, Counter};
use crate::store::timestamp;
use crate::sys::affinity::Pinned;
use crate::workload::{WORKLOADS, Workload};

pub(super) fn execute(output: &OutputArgs, color: ColorChoice) -> Result<()> {
    let started_at = timestamp(SystemTime::now());
    let (place, processors) = place(None)?;
    // The meter is tried with a switch of this thread, which must happen on its CPU.
    let pinned = Pinned::to(place.cpu)?;
    let mut fallback_chain = FallbackChain::new(CounterChoice::Auto);
    let counting = fallback_chain.attach(&[place.cpu])?.counting;
    let extras = extra_entries(&mut fallback_chain, place.cpu);
    drop(pinned);
    let body = ListBody {
        workloads: WORKLOADS.iter().map(workload_entry).collect(),
        counting: counting.mode,
        counters: perf::all().map(|counter| counter_entry(counter, &counting)).chain(extras).collect(),
    };
    let host = probe::facts(Path::new("/"), Some(&place), &processors);
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

/// Returns the counters that need a pass of their own, each after a trial.
fn extra_entries(fallback_chain: &mut FallbackChain, cpu: usize) -> Vec<CounterEntry> {
    // Any function of any program shows whether probes are available.
    let program = std::env::current_exe().unwrap_or_default();
    let probe = Extra::Probe { program: &program, function: "main" };
    let extras = [
        (WAKE_UPS, "threads woken, in a pass of its own", Extra::WakeUps),
        (
            TO_IDLE,
            "switches to the idle thread, in a pass of its own where participants run on two CPUs",
            Extra::ToIdle,
        ),
        (PROBE, "calls of a runtime's function that switches (goroutines), in a pass of its own", probe),
    ];
    let entry = |(name, summary, extra): (&str, &str, Extra<'_>)| {
        let refused = fallback_chain.attach_extra(&extra, &[cpu]).err();
        CounterEntry {
            name: name.to_string(),
            summary: summary.to_string(),
            available: refused.is_none(),
            source: refused.is_none().then_some(CountingMode::Cpu),
            reason: refused.map(|refused| match refused {
                Refused::NotNeeded => "it is for another way of counting".to_string(),
                Refused::Absent(absent) => absent.reason,
            }),
        }
    };
    extras.into_iter().map(entry).collect()
}

fn workload_entry(workload: &Workload) -> WorkloadEntry {
    let missing = (workload.available)().err();
    WorkloadEntry {
        name: workload.name.to_string(),
        kind: workload.kind,
        summary: workload.summary.to_string(),
        op: workload.op.to_string(),
        no_switch: workload.no_switch.as_ref().map(|no_switch| no_switch.summary.to_string()),
        expected_switches_per_op: workload.expected_switches_per_op,
        default: workload.default,
        available: missing.is_none(),
        reason: missing.map(|missing| missing.to_string()),
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
