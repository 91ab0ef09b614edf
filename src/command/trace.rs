//! `ctxprof trace`: why a program's threads leave the CPU.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use nix::unistd::User;

use crate::bpf::tracer::Programs;
use crate::cli::ColorChoice;
use crate::cli::trace::TraceArgs;
use crate::command::output::{Stream, check_writable, deliver_to, is_alone_on_stderr, say_unless};
use crate::command::{Outcome, program};
use crate::document::Tool;
use crate::host::probe;
use crate::program::trace::cost::{self, Cost};
use crate::program::trace::document::{SCHEMA, TraceDocument, TraceSettings, body};
use crate::program::trace::{self, Traced};
use crate::program::watch::{WatchPlan, What};
use crate::store::timestamp;
use crate::sys::signal;

pub(super) fn execute(arguments: &TraceArgs, color: ColorChoice) -> Result<Outcome> {
    check_writable(&arguments.output.output)?;
    let host = probe::facts(Path::new("/"), None, &probe::processors_if_told(Path::new("/")));
    let user = program::user(arguments.user.as_ref())?;
    let started_at = timestamp(SystemTime::now());
    // Before the program runs, so that a refusal comes first.
    let mut tracer = trace::load(Programs::Following)?;
    let plan = plan(arguments, user.as_ref());
    let quiet = arguments.quiet || is_alone_on_stderr(&arguments.output);
    let traced = trace::run(&mut tracer, &plan, arguments.per_thread, &mut |told| program::show(&told, quiet))?;
    drop(tracer);
    let cost = cost(arguments, &traced, quiet);
    let (body, warnings) = body(&traced, cost);
    if signal::stop_requested().is_some() {
        // The report is on its way.
        signal::ignore_stops()?;
    }
    let settings = TraceSettings {
        command: arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        user: user.map(|user| user.name),
        per_thread: arguments.per_thread,
    };
    let schema = SCHEMA.to_string();
    let document = TraceDocument { schema, tool: Tool::this(), started_at, host, settings, body, warnings };
    deliver_to(Stream::Stderr, &document, &arguments.output, color)?;
    Ok(program::outcome(&traced.watched))
}

fn plan<'a>(arguments: &'a TraceArgs, user: Option<&'a User>) -> WatchPlan<'a> {
    WatchPlan {
        what: What::Command { words: &arguments.command, user },
        per_thread: false,
        limit: None,
        interval: None,
        leave_orphans: arguments.leave_running,
        // The tracer sees every thread; exit records would cost each thread 2 µs at its end.
        exit_records: false,
        count_on_threads: false,
        every_thread: false,
    }
}

/// Returns the cost of tracing a switch on this host, or why it is not known.
fn cost(arguments: &TraceArgs, traced: &Traced, quiet: bool) -> Result<Cost, String> {
    if arguments.no_cost {
        return Err("--no-cost".to_string());
    }
    if traced.switches() == 0 {
        return Err("there was no switch".to_string());
    }
    say_unless(quiet, "measuring what tracing costs here, for half a second");
    let measured = signal::catch_stops().and_then(|()| trace::load(Programs::Following));
    let measured = measured.and_then(|mut tracer| cost::measure(&mut tracer, cost::AFTERWARDS));
    let cost = measured.map_err(|error| format!("{error:#}"))?;
    if cost::is_known(&cost.ns_per_switch) { Ok(cost) } else { Err("other work on this machine drowns it".to_string()) }
}
