//! Checks of the scheduler: real-time limit and sched_ext.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Feed, Found, Verdict, When};
use crate::host::facts::Facts;

pub(super) const REALTIME: Check = Check {
    id: "rt-throttling",
    why: "participants under --policy fifo or rr are stopped when they have used it up; samples that it falls into are excluded",
    source: "/proc/sys/kernel/sched_rt_runtime_us",
    look: realtime,
    feeds: Some(Feed { code: "rt-throttling", when: When::RealTime, judge }),
};

fn judge(facts: &Facts) -> Option<Found> {
    let runtime_us: i64 = facts.sched_rt_runtime_us.as_deref()?.parse().ok()?;
    Some(if runtime_us < 0 {
        Found::ok("real-time threads may have all of the time")
    } else {
        Found::info(format!("real-time threads may have {runtime_us} µs of a second (kernel.sched_rt_runtime_us)"))
            .fix("sudo sysctl kernel.sched_rt_runtime_us=-1")
    })
}

fn realtime(context: &HostContext<'_>) -> Verdict {
    match judge(context.facts) {
        Some(found) => Ok(found),
        None => Err(format!(
            "kernel.sched_rt_runtime_us is {:?}, which is no number",
            context.read("proc/sys/kernel/sched_rt_runtime_us")?
        )),
    }
}

pub(super) const SCHEDULER: Check = Check {
    id: "scheduler",
    why: "a scheduler from BPF decides otherwise who preempts whom, and runs its own code at every switch: these costs are its costs",
    source: "/sys/kernel/sched_ext, uname",
    look: scheduler,
    feeds: None,
};

/// The first kernel whose fair scheduler is EEVDF.
const EEVDF_SINCE: (u32, u32) = (6, 6);

fn scheduler(context: &HostContext<'_>) -> Verdict {
    let version = version_of(&context.facts.kernel);
    let version = version.ok_or_else(|| format!("uname says {:?}, which is no version", context.facts.kernel))?;
    let fair = if version >= EEVDF_SINCE { "EEVDF" } else { "CFS" };
    let slice = context.facts.base_slice_ns.as_deref();
    let slice = slice.map_or(String::new(), |ns| format!(", base slice {ns} ns"));
    match context.read_if_there("sys/kernel/sched_ext/state")?.as_deref() {
        None => Ok(Found::ok(format!("{fair}{slice}; this kernel takes none from BPF (sched_ext)"))),
        Some("disabled") => Ok(Found::ok(format!("{fair}{slice}; sched_ext is not in use"))),
        Some(state) => {
            let name = context.read_if_there("sys/kernel/sched_ext/root/ops")?.unwrap_or_else(|| "unnamed".to_string());
            Ok(Found::warning(format!("sched_ext is {state}: {name}")).fix("sudo systemctl stop scx"))
        }
    }
}

/// Returns the first two numbers of a kernel's release.
pub(super) fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect, unreadable};

    #[test]
    fn a_limit_on_real_time_is_told_with_its_command() {
        let look = |limit: Option<&str>, files: &[(&str, &str)]| {
            let mut made_up = MadeUp::default();
            made_up.facts.sched_rt_runtime_us = limit.map(String::from);
            made_up.look(&REALTIME, files)
        };
        expect(&look(Some("-1"), &[]), Fine, "all of the time", "");
        expect(&look(Some("950000"), &[]), Info, "950000 µs", "sched_rt_runtime_us=-1");
        expect(&look(None, &[]), Unknown, "No such file", "");
        expect(&look(Some("x"), &[("proc/sys/kernel/sched_rt_runtime_us", "x")]), Unknown, "no number", "");
    }

    #[test]
    fn the_scheduler_is_known_by_the_kernels_version_and_by_sched_ext() {
        let look = |kernel: &str, files: &[(&str, &str)]| {
            let mut made_up = MadeUp::default();
            made_up.facts.kernel = kernel.to_string();
            made_up.look(&SCHEDULER, files)
        };
        let state = "sys/kernel/sched_ext/state";
        expect(&look("6.5.13-generic", &[]), Fine, "CFS", "");
        expect(&look("6.6.0", &[]), Fine, "EEVDF; this kernel takes none", "");
        expect(&look("6.18.44", &[(state, "disabled\n")]), Fine, "EEVDF; sched_ext is not", "");
        let running = [(state, "enabled\n"), ("sys/kernel/sched_ext/root/ops", "rustland\n")];
        expect(&look("6.18.44", &running), Warning, "enabled: rustland", "systemctl stop scx");
        expect(&look("weird", &[]), Unknown, "no version", "");
        let mut made_up = MadeUp::default();
        made_up.facts.kernel = "6.18".to_string();
        expect(&made_up.look_below(&SCHEDULER, unreadable(state).path()), Unknown, "Is a directory", "");
    }
}
