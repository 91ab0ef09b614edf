//! Check of the pinned CPU's idle states.

use std::fs;

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};

pub(super) const IDLE: Check = Check {
    id: "idle-states",
    why: "across CPUs a partner has to be woken from its idle state, and the deeper that is the longer it takes",
    source: "/sys/devices/system/cpu/cpuidle, /sys/devices/system/cpu/cpu{cpu}/cpuidle",
    look: idle,
    feeds: None,
};

/// States that take longer to leave than a round trip within one CPU takes.
const DEEP_US: u64 = 5;

fn idle(context: &HostContext<'_>) -> Verdict {
    let Some(driver) = context.read_if_there("sys/devices/system/cpu/cpuidle/current_driver")? else {
        return Err("no cpuidle here: idle CPUs halt, which in a guest is the hypervisor's to end".to_string());
    };
    let governor = context.read("sys/devices/system/cpu/cpuidle/current_governor");
    let governor = governor.unwrap_or_else(|_| "unknown".to_string());
    let states = states(context);
    let list: Vec<String> = states.iter().map(|state| format!("{} {} µs", state.name, state.exit_us)).collect();
    let list = if list.is_empty() { "no states listed".to_string() } else { list.join(", ") };
    let what = format!("driver {driver}, governor {governor}; {list}");
    Ok(match states.iter().any(|state| state.exit_us > DEEP_US && !state.disabled) {
        true => Found::info(what).fix(format!("sudo cpupower idle-set -D {DEEP_US}")),
        false => Found::ok(what),
    })
}

struct State {
    name: String,
    exit_us: u64,
    disabled: bool,
}

/// Returns the pinned CPU's states, the lightest first; empty where the kernel lists none.
fn states(context: &HostContext<'_>) -> Vec<State> {
    let folder = format!("sys/devices/system/cpu/cpu{}/cpuidle", context.cpu);
    let count = fs::read_dir(context.root.join(&folder)).map_or(0, Iterator::count);
    let state = |number: usize| {
        let field = |name: &str| context.read(&format!("{folder}/state{number}/{name}")).ok();
        let disabled = field("disable").is_some_and(|flag| flag != "0");
        Some(State { name: field("name")?, exit_us: field("latency")?.parse().ok()?, disabled })
    };
    (0..count).filter_map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Unknown};
    use crate::host::checks::context::tests::{MadeUp, expect, unreadable};

    const DRIVER: &str = "sys/devices/system/cpu/cpuidle/current_driver";

    #[test]
    fn deep_states_are_named_with_what_leaving_them_takes() {
        let look = |latency: &str, disable: &str| {
            let state = "sys/devices/system/cpu/cpu1/cpuidle/state0";
            let files = [
                (DRIVER.to_string(), "intel_idle"),
                ("sys/devices/system/cpu/cpuidle/current_governor".to_string(), "menu"),
                (format!("{state}/name"), "C6"),
                (format!("{state}/latency"), latency),
                (format!("{state}/disable"), disable),
            ];
            MadeUp::default().look(&IDLE, &files.each_ref().map(|(path, text)| (path.as_str(), *text)))
        };
        expect(&look("133\n", "0\n"), Info, "intel_idle, governor menu; C6 133 µs", "cpupower idle-set -D 5");
        expect(&look("133\n", "1\n"), Fine, "C6", "");
        expect(&look("2\n", "0\n"), Fine, "C6 2 µs", "");
        expect(&MadeUp::default().look(&IDLE, &[(DRIVER, "haltpoll")]), Fine, "haltpoll", "");
        expect(&MadeUp::default().look(&IDLE, &[]), Unknown, "no cpuidle", "");
        expect(&MadeUp::default().look_below(&IDLE, unreadable(DRIVER).path()), Unknown, "Is a directory", "");
    }
}
