//! `ctxprof memory`: the memory of one more thread, process, task, coroutine or goroutine.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::cli::ColorChoice;
use crate::cli::memory::{HoldArgs, MemoryArgs};
use crate::command::output::{check_writable, deliver, say_unless};
use crate::command::progress::Bar;
use crate::command::{Outcome, ended};
use crate::document::{Ending, Tool};
use crate::footprint;
use crate::footprint::document::{Around, KindLeftOut, Limit, MemoryDocument, MemorySettings, SCHEMA, body};
use crate::footprint::kind::{KINDS, ParticipantKind};
use crate::footprint::participant::Shape;
use crate::footprint::plan::FootprintPlan;
use crate::host::memory::{KernelAccount, huge_page_mode};
use crate::host::{ceilings, probe};
use crate::store::timestamp;
use crate::sys::signal;

/// This program, also after its file has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

pub(super) fn execute(arguments: &MemoryArgs, color: ColorChoice) -> Result<Outcome> {
    signal::catch_stops()?;
    check_writable(&arguments.output.output)?;
    let root = Path::new("/");
    let started_at = timestamp(SystemTime::now());
    let host = probe::facts(root, None, &probe::processors(root)?);
    let (kinds, left_out) = available(arguments);
    if kinds.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        bail!("nothing can be measured here: {}", reasons.join("; "));
    }
    let around = around(root, left_out);
    let shape = Shape { stack_use: arguments.stack_use, future_size: arguments.future_size, ..Shape::default() };
    let plan = FootprintPlan {
        kinds,
        max: arguments.max,
        repetitions: arguments.repetitions,
        shape,
        program: Path::new(THIS_PROGRAM),
    };
    let mut bar = Bar::new(!arguments.quiet && !arguments.no_progress);
    let seen = footprint::run(&plan, &mut |progress| bar.show_samples(progress.kind, progress.done, progress.of))?;
    bar.finish();
    let settings = MemorySettings {
        kinds: plan.kinds.iter().map(|kind| kind.kind.name().to_string()).collect(),
        max: arguments.max,
        repetitions: arguments.repetitions,
        stack_use_bytes: arguments.stack_use as u64,
        future_size_bytes: arguments.future_size as u64,
    };
    let (body, warnings) = body(seen, around);
    let (schema, ending) = (SCHEMA.to_string(), body.ending.clone());
    let document = MemoryDocument { schema, tool: Tool::this(), started_at, host, settings, body, warnings };
    if document.body.rows.iter().all(|row| row.counts.is_empty()) {
        if let Ending::Interrupted(_) | Ending::Failed(_) = ending {
            return ended(ending, Ok(Outcome::Done));
        }
        let reasons: Vec<&str> = document.warnings.iter().map(|warning| warning.message.as_str()).collect();
        bail!("nothing could be parked: {}", reasons.join("; "));
    }
    ended(ending, deliver(&document, &arguments.output, color).map(|()| Outcome::Done))
}

/// Holds participants for another ctxprof, which sends requests on stdin.
pub(super) fn hold(arguments: &HoldArgs) -> Result<Outcome> {
    let HoldArgs { capacity, stack_use, future_size, fixed_addresses, .. } = *arguments;
    let shape = Shape { capacity, stack_use, future_size, fixed_addresses };
    let kind = KINDS.iter().find(|kind| kind.kind.name() == arguments.kind).context("there is no such kind")?;
    footprint::serve(kind.kind, shape).map(|()| Outcome::Done)
}

/// Returns the requested kinds, or all; and those of them that are not available.
fn available(arguments: &MemoryArgs) -> (Vec<&'static ParticipantKind>, Vec<KindLeftOut>) {
    let is_asked = |kind: &&ParticipantKind| {
        arguments.kinds.is_empty() || arguments.kinds.iter().any(|name| name == kind.kind.name())
    };
    let (mut kinds, mut left_out) = (Vec::new(), Vec::new());
    for kind in KINDS.iter().filter(is_asked) {
        let name = kind.kind.name().to_string();
        if let Err(why) = (kind.available)() {
            left_out.push(KindLeftOut { kind: name, why });
        } else if let Err(error) = (kind.provide)(&|what| say_unless(arguments.quiet, what)) {
            left_out.push(KindLeftOut { kind: name, why: error.into() });
        } else {
            kinds.push(kind);
        }
    }
    (kinds, left_out)
}

fn around(root: &Path, left_out: Vec<KindLeftOut>) -> Around {
    let limits =
        ceilings::of_threads(root).into_iter().map(|ceiling| Limit { name: ceiling.name, value: ceiling.value });
    Around {
        limits: limits.collect(),
        huge_pages: huge_page_mode(root),
        cgroup_account: KernelAccount::find(root).map(|account| account.name().to_string()),
        left_out,
    }
}
