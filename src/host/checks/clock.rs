//! Checks of the clock that times are read from.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Feed, Found, Severity, Verdict, When};
use crate::host::facts::Facts;

pub(super) const TSC: Check = Check {
    id: "tsc",
    why: "a time-stamp counter that changes its rate or stops in idle states is no clock: the kernel falls back to slow ones, and TSC ticks mean nothing",
    source: "/proc/cpuinfo",
    look: tsc,
    feeds: None,
};

/// Linux's flags for an invariant counter: one rate in all frequency and idle states.
const INVARIANT: [&str; 2] = ["constant_tsc", "nonstop_tsc"];

fn tsc(context: &HostContext<'_>) -> Verdict {
    let architecture = context.facts.architecture.as_str();
    if !["x86_64", "i686", ""].contains(&architecture) {
        return Ok(Found::ok(format!("{architecture} has none, and a timer of constant rate instead")));
    }
    let cpuinfo = context.read("proc/cpuinfo")?;
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    let (_, flags) = flags.ok_or("/proc/cpuinfo has no flags")?;
    let missing: Vec<&str> =
        INVARIANT.into_iter().filter(|flag| !flags.split_whitespace().any(|word| word == *flag)).collect();
    Ok(match missing.as_slice() {
        [] => Found::ok("invariant: constant_tsc, nonstop_tsc"),
        missing => Found::warning(format!("not invariant: no {}", missing.join(", no "))),
    })
}

pub(super) const CLOCKSOURCE: Check = Check {
    id: "clocksource",
    why: "every reading is a system call: ten times as expensive, and in every latency",
    source: "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    look: clocksource,
    feeds: Some(Feed { code: "slow-clock", when: When::Always, judge }),
};

/// Clock sources read through a device or no finer than a tick, and so not in user space.
const SLOW: [&str; 3] = ["hpet", "acpi_pm", "jiffies"];

fn judge(facts: &Facts) -> Option<Found> {
    let name = facts.clocksource.as_deref()?;
    let what = format!("the clocksource is `{name}`");
    Some(if SLOW.contains(&name) { Found::serious(what) } else { Found::ok(what) })
}

fn clocksource(context: &HostContext<'_>) -> Verdict {
    let folder = "sys/devices/system/clocksource/clocksource0";
    let Some(found) = judge(context.facts) else {
        return context
            .read(&format!("{folder}/current_clocksource"))
            .map(|name| Found::unknown(format!("it is {name:?}")));
    };
    if found.severity == Severity::Ok {
        return Ok(found);
    }
    let available = context.read(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let better = ["tsc", "kvm-clock", "arch_sys_counter"].into_iter().find(|name| available.contains(name));
    Ok(match better {
        Some(better) => found.fix(format!("echo {better} | sudo tee /{folder}/current_clocksource")),
        None => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Ok as Fine, Serious, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect};

    #[test]
    fn a_counter_is_a_clock_only_if_it_is_constant_and_never_stops() {
        let check = |files: &[(&str, &str)], severity, words| {
            expect(&MadeUp::default().look(&TSC, files), severity, words, "");
        };
        let cpuinfo = "proc/cpuinfo";
        check(&[(cpuinfo, "model\t: 1\nflags\t\t: fpu constant_tsc nonstop_tsc\n")], Fine, "invariant");
        check(&[(cpuinfo, "flags\t\t: fpu constant_tsc tsc\n")], Warning, "no nonstop_tsc");
        check(&[(cpuinfo, "flags\t\t: tsc\n")], Warning, "no constant_tsc, no nonstop_tsc");
        check(&[(cpuinfo, "Features\t: fp\n")], Unknown, "no flags");
        check(&[], Unknown, "/proc/cpuinfo");
        let mut arm = MadeUp::default();
        arm.facts.architecture = "aarch64".to_string();
        expect(&arm.look(&TSC, &[]), Fine, "aarch64 has none", "");
    }

    #[test]
    fn a_slow_clock_is_serious_and_a_better_one_named_if_there_is_one() {
        let look = |name: Option<&str>, available: &str| {
            let mut made_up = MadeUp::default();
            made_up.facts.clocksource = name.map(String::from);
            made_up
                .look(&CLOCKSOURCE, &[("sys/devices/system/clocksource/clocksource0/available_clocksource", available)])
        };
        expect(&look(Some("tsc"), "tsc hpet"), Fine, "`tsc`", "");
        expect(&look(Some("hpet"), "hpet tsc acpi_pm"), Serious, "`hpet`", "echo tsc | sudo tee /sys/");
        expect(&look(Some("acpi_pm"), "acpi_pm"), Serious, "`acpi_pm`", "");
        expect(&look(None, ""), Unknown, "current_clocksource", "");
    }
}
