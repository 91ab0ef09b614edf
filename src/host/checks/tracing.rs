//! Checks for active tracers and probes, as far as tracefs shows them.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};

pub(super) const TRACERS: Check = Check {
    id: "tracing",
    why: "a tracer of functions, or events of the scheduler, are part of every switch's cost",
    source: "/sys/kernel/tracing/current_tracer, /sys/kernel/tracing/set_event",
    look: tracers,
    feeds: None,
};

const MOUNT: &str = "sudo mount -t tracefs nodev /sys/kernel/tracing";
/// Mount points of tracefs, the second on older systems.
const FOLDERS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

fn tracers(context: &HostContext<'_>) -> Verdict {
    let folder = match folder(context) {
        Ok(folder) => folder,
        Err(unknown) => return Ok(unknown),
    };
    let tracer = context.read(&format!("{folder}/current_tracer"))?;
    let events = context.read(&format!("{folder}/set_event"))?;
    let events: Vec<&str> = events.lines().map(str::trim).filter(|event| !event.is_empty()).collect();
    if tracer != "nop" {
        let fix = format!("echo nop | sudo tee /{folder}/current_tracer");
        return Ok(Found::serious(format!("the tracer {tracer} is on")).fix(fix));
    }
    let what = match events.as_slice() {
        [] => return Ok(Found::ok("no tracer and no event is on")),
        [one] => format!("the event {one} is on"),
        [first, ..] => format!("{} events are on, {first} among them", events.len()),
    };
    let found = if events.iter().any(|event| event.starts_with("sched:")) {
        Found::serious(format!("{what}; of the scheduler, too"))
    } else {
        Found::warning(what)
    };
    Ok(found.fix(format!("echo | sudo tee /{folder}/set_event")))
}

pub(super) const PROBES: Check = Check {
    id: "kernel-probes",
    why: "a probe that is hit on the way of a switch makes it more expensive; one on a program's function costs that program 10 µs a hit",
    source: "/sys/kernel/tracing/kprobe_events, /sys/kernel/tracing/uprobe_events",
    look: probes,
    feeds: None,
};

fn probes(context: &HostContext<'_>) -> Verdict {
    let folder = match folder(context) {
        Ok(folder) => folder,
        Err(unknown) => return Ok(unknown),
    };
    // A kernel without one of the kinds has no file for it.
    let count = |file: &str| -> Result<usize, String> {
        let text = context.read_if_there(&format!("{folder}/{file}"))?.unwrap_or_default();
        Ok(text.lines().filter(|line| !line.trim().is_empty()).count())
    };
    let (kernel, user) = (count("kprobe_events")?, count("uprobe_events")?);
    Ok(match (kernel, user) {
        (0, 0) => Found::ok("none by name"),
        _ => Found::warning(format!("{kernel} in the kernel, {user} in programs"))
            .fix(format!("sudo cat /{folder}/kprobe_events /{folder}/uprobe_events")),
    })
}

/// Returns the folder where tracefs can be read; otherwise a finding to report instead.
fn folder(context: &HostContext<'_>) -> Result<&'static str, Found> {
    if let Some(folder) = FOLDERS.into_iter().find(|folder| context.read(&format!("{folder}/current_tracer")).is_ok()) {
        return Ok(folder);
    }
    match context.read(&format!("{}/current_tracer", FOLDERS[0])) {
        Err(reason) if reason.contains("Permission") => {
            Err(Found::unknown(format!("{reason}: tracefs is root's")).fix("sudo ctxprof doctor"))
        }
        _ => Err(Found::unknown("tracefs is not mounted").fix(MOUNT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Ok as Fine, Serious, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect};

    #[test]
    fn a_tracer_or_an_event_of_the_scheduler_is_serious() {
        let look = |tracer: &str, events: &str| {
            let files = [("sys/kernel/tracing/current_tracer", tracer), ("sys/kernel/tracing/set_event", events)];
            MadeUp::default().look(&TRACERS, &files)
        };
        expect(&look("nop\n", ""), Fine, "no tracer", "");
        expect(&look("function\n", ""), Serious, "function", "echo nop | sudo tee /sys/kernel/tracing/current_tracer");
        expect(&look("nop\n", "sched:sched_switch\n"), Serious, "sched:sched_switch", "set_event");
        expect(&look("nop\n", "net:netif_rx\nsched:sched_waking\n"), Serious, "2 events", "set_event");
        expect(&look("nop\n", "net:netif_rx\n"), Warning, "net:netif_rx", "set_event");
        expect(&MadeUp::default().look(&TRACERS, &[]), Unknown, "not mounted", "mount -t tracefs");
        let old = [("sys/kernel/debug/tracing/current_tracer", "nop"), ("sys/kernel/debug/tracing/set_event", "")];
        expect(&MadeUp::default().look(&TRACERS, &old), Fine, "no tracer", "");
    }

    #[test]
    fn probes_are_counted() {
        let tracer = ("sys/kernel/tracing/current_tracer", "nop\n");
        let look = |files: &[(&str, &str)]| MadeUp::default().look(&PROBES, files);
        expect(&look(&[tracer, ("sys/kernel/tracing/kprobe_events", "")]), Fine, "none", "");
        expect(
            &look(&[tracer, ("sys/kernel/tracing/kprobe_events", "p:kprobes/x do_sys_open\n")]),
            Warning,
            "1 in the kernel",
            "cat /sys/kernel/tracing/kprobe_events",
        );
        expect(
            &look(&[tracer, ("sys/kernel/tracing/uprobe_events", "p:uprobes/x /bin/sh:0x10\n")]),
            Warning,
            "1 in programs",
            "uprobe_events",
        );
        expect(&look(&[]), Unknown, "not mounted", "mount -t tracefs");
    }
}
