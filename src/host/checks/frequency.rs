//! Checks of the pinned CPU's frequency.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Feed, Found, Verdict, When};
use crate::host::facts::Facts;

pub(super) const GOVERNOR: Check = Check {
    id: "frequency-scaling",
    why: "ns move with the CPU's frequency, which a governor raises only after a while of work",
    source: "/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor",
    look: governor,
    feeds: Some(Feed { code: "frequency-scaling", when: When::Always, judge }),
};

fn judge(facts: &Facts) -> Option<Found> {
    let governor = facts.frequency_governor.as_deref()?;
    let what = format!("the frequency governor is `{governor}`");
    Some(match governor {
        "performance" => Found::ok(what),
        _ => Found::warning(what).fix("sudo cpupower frequency-set -g performance"),
    })
}

fn governor(context: &HostContext<'_>) -> Verdict {
    if let Some(found) = judge(context.facts) {
        return Ok(found);
    }
    let path = format!("sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", context.cpu);
    match context.read_if_there(&path)? {
        Some(governor) => Err(format!("it is {governor:?}")),
        None => Err("no cpufreq here: the frequency is the hypervisor's or the firmware's".to_string()),
    }
}

pub(super) const TURBO: Check = Check {
    id: "turbo",
    why: "with turbo the frequency depends on temperature and on how busy the other cores are",
    source: "/sys/devices/system/cpu/intel_pstate/no_turbo, /sys/devices/system/cpu/cpufreq/boost",
    look: turbo,
    feeds: None,
};

fn turbo(context: &HostContext<'_>) -> Verdict {
    // File, its content when turbo is off, and its content when on.
    let switches = [("intel_pstate/no_turbo", "1", "0"), ("cpufreq/boost", "0", "1")];
    for (file, off, on) in switches {
        let path = format!("sys/devices/system/cpu/{file}");
        match context.read_if_there(&path)? {
            Some(state) if state == off => return Ok(Found::ok("turbo is off")),
            Some(state) if state == on => {
                return Ok(Found::info("turbo is on").fix(format!("echo {off} | sudo tee /{path}")));
            }
            Some(state) => return Err(format!("/{path} is {state:?}")),
            None => {}
        }
    }
    Err("no switch for it here: turbo is the hypervisor's or the firmware's".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect, unreadable};

    #[test]
    fn a_governor_that_scales_is_warned_of() {
        let look = |governor: Option<&str>| {
            let mut made_up = MadeUp::default();
            made_up.facts.frequency_governor = governor.map(String::from);
            made_up.look(&GOVERNOR, &[])
        };
        expect(&look(Some("performance")), Fine, "`performance`", "");
        expect(&look(Some("schedutil")), Warning, "`schedutil`", "cpupower frequency-set -g performance");
        expect(&look(None), Unknown, "no cpufreq", "");
        let root = unreadable("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor");
        expect(&MadeUp::default().look_below(&GOVERNOR, root.path()), Unknown, "Is a directory", "");
    }

    #[test]
    fn turbo_is_found_in_either_place() {
        let look = |file: &str, state: &str| {
            MadeUp::default().look(&TURBO, &[(&format!("sys/devices/system/cpu/{file}"), state)])
        };
        expect(
            &look("intel_pstate/no_turbo", "0\n"),
            Info,
            "on",
            "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo",
        );
        expect(&look("intel_pstate/no_turbo", "1\n"), Fine, "off", "");
        expect(&look("cpufreq/boost", "1\n"), Info, "on", "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost");
        expect(&look("cpufreq/boost", "0\n"), Fine, "off", "");
        expect(&look("cpufreq/boost", "?\n"), Unknown, "?", "");
        expect(&look("none", ""), Unknown, "hypervisor", "");
    }
}
