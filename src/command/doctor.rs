//! `ctxprof doctor`: measurement problems of this host.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};

use crate::cli::ColorChoice;
use crate::cli::doctor::DoctorArgs;
use crate::command::output::{check_writable, deliver};
use crate::command::{Outcome, ended, place};
use crate::doctor::document::{DoctorBody, DoctorDocument, DoctorSettings, SCHEMA};
use crate::document::{Ending, Tool};
use crate::host::checks::context::{HostContext, ToolSeen, Tools};
use crate::host::surroundings::{NoiseMonitor, Window};
use crate::host::{checks, probe};
use crate::perf::trial;
use crate::store::timestamp;
use crate::sys::signal;
use crate::tool::{go, perf};

/// Time for which other activity on the pinned CPU is observed: 50 of the ticks in which the kernel counts it.
const WATCHED: Duration = Duration::from_millis(500);

pub(super) fn execute(arguments: &DoctorArgs, color: ColorChoice) -> Result<Outcome> {
    signal::catch_stops()?;
    check_writable(&arguments.output.output)?;
    let root = Path::new("/");
    let started_at = timestamp(SystemTime::now());
    let (place, processors) = place(arguments.cpu)?;
    let host = probe::facts(root, Some(&place), &processors);
    // First: the probes and programs started below must not be part of it.
    let window = watch(place.cpu);
    if let Some(number) = signal::stop_requested() {
        return ended(Ending::Interrupted(number as i32), Ok(Outcome::Done));
    }
    let context = HostContext {
        root,
        facts: &host,
        cpu: place.cpu,
        window: &window,
        perf_events: &trial::perf_events(place.cpu),
        tools: &tools(),
    };
    let body = DoctorBody { findings: checks::examine(&context).into_iter().map(Into::into).collect() };
    let settings = DoctorSettings { watched_ns: window.surroundings.elapsed_ns, all: arguments.all };
    let (schema, warnings) = (SCHEMA.to_string(), Vec::new());
    let document = DoctorDocument { schema, tool: Tool::this(), started_at, host, settings, body, warnings };
    deliver(&document, &arguments.output, color)?;
    match document.body.serious().as_slice() {
        serious @ [_, ..] if arguments.strict => bail!("--strict: serious: {}", serious.join(", ")),
        _ => Ok(Outcome::Done),
    }
}

/// Observes the activity on a CPU while this process sleeps.
fn watch(cpu: usize) -> Window {
    let noise_monitor = NoiseMonitor::new(&[cpu]);
    let earlier = noise_monitor.look();
    sleep(WATCHED);
    noise_monitor.look().window_since(&earlier)
}

fn tools() -> Tools {
    let perf = perf::find().map(|perf| ToolSeen { path: perf.path().into(), version: perf.version().to_string() });
    let go = go::find().and_then(|go| Ok(ToolSeen { path: go.path().into(), version: go.version()? }));
    Tools { perf, go }
}
