//! Checks of other activity on the pinned CPU, watched for a moment while nothing is measured.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};
use crate::host::surroundings::Surroundings;
use crate::unit::Share;

pub(super) const INTERRUPTS: Check = Check {
    id: "interrupts",
    why: "an interrupt takes some microseconds from whoever runs: at this rate a per cent of the time and more",
    source: "/proc/interrupts, twice",
    look: interrupts,
    feeds: None,
};

/// Interrupts per second that take 1 % of the time at 2 µs each; five times those of a tick at HZ 1000.
const MANY_INTERRUPTS: f64 = 5_000.0;

fn interrupts(context: &HostContext<'_>) -> Verdict {
    let Surroundings { interrupts, elapsed_ns, .. } = context.window.surroundings;
    let taken = interrupts.ok_or_else(|| format!("/proc/interrupts has no column of CPU {}", context.cpu))?;
    let per_second = taken as f64 * 1e9 / elapsed_ns.max(1) as f64;
    let what = format!("{per_second:.0} a second on CPU {}", context.cpu);
    Ok(if per_second >= MANY_INTERRUPTS {
        Found::warning(what).fix("watch -d -n 1 cat /proc/interrupts")
    } else {
        Found::ok(what)
    })
}

pub(super) const LOAD: Check = Check {
    id: "load",
    why: "whoever else runs on this CPU is switched to and from, and few samples are undisturbed",
    source: "/proc/stat, twice",
    look: load,
    feeds: None,
};

/// Share of busy time that is reported. The kernel counts in ticks of 10 ms, one of which is 2 % of half a second.
const SOME_LOAD: f64 = 0.05;
const MUCH_LOAD: f64 = 0.25;

fn load(context: &HostContext<'_>) -> Verdict {
    let busy_ns = context.window.busy_ns.ok_or_else(|| format!("/proc/stat has no line of cpu{}", context.cpu))?;
    let elapsed_ns = context.window.surroundings.elapsed_ns.max(1);
    // The kernel may count one tick more than fits.
    let busy = (busy_ns as f64 / elapsed_ns as f64).min(1.0);
    let what = format!("CPU {} was busy {} of {:.1} s", context.cpu, Share(busy), elapsed_ns as f64 / 1e9);
    let who = "ps -eo psr,pcpu,pid,comm --sort=-pcpu | head";
    Ok(match busy {
        MUCH_LOAD.. => Found::serious(what).fix(who),
        SOME_LOAD.. => Found::warning(what).fix(who),
        _ => Found::ok(what),
    })
}

pub(super) const STEAL: Check = Check {
    id: "steal",
    why: "the hypervisor gives this CPU's time to other guests: gaps of milliseconds that no switch here explains",
    source: "/proc/stat, twice",
    look: steal,
    feeds: None,
};

fn steal(context: &HostContext<'_>) -> Verdict {
    let Surroundings { steal_ns, elapsed_ns, .. } = context.window.surroundings;
    let steal_ns = steal_ns.ok_or_else(|| format!("/proc/stat has no steal time of cpu{}", context.cpu))?;
    let share = steal_ns as f64 / elapsed_ns.max(1) as f64;
    let what = format!("the hypervisor took {} of CPU {}'s time", Share(share), context.cpu);
    Ok(if share > Surroundings::STEAL { Found::warning(what) } else { Found::ok(what) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Ok as Fine, Serious, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect};
    use crate::host::made_up_root;
    use crate::host::surroundings::{NoiseMonitor, Window};

    const INTERRUPTS_LATER: &str =
        "           CPU0       CPU1\n 41:       1651       4003   virtio\n LOC:      5851       5591   Local\n";
    const INTERRUPTS_BEFORE: &str =
        "           CPU0       CPU1\n 41:       1651       1000   virtio\n LOC:      5851       5341   Local\n";

    /// Returns a /proc/stat with this many ticks of user time and of steal on CPU 1.
    fn stat(busy: u64, steal: u64) -> String {
        format!(
            "cpu  9 0 0 9 0 0 0 0 0 0\ncpu0 9 0 0 9 0 0 0 0 0 0\ncpu1 {busy} 0 0 100 0 0 0 {steal} 0 0\nctxt 1\nbtime 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
        )
    }

    /// A window of half a second between two trees.
    fn between(before: &[(&str, &str)], later: &[(&str, &str)]) -> MadeUp {
        let look = |files: &[(&str, &str)]| NoiseMonitor::below(made_up_root(files).path(), &[1]).look();
        let earlier = look(before);
        let mut window = look(later).window_since(&earlier);
        window.surroundings.elapsed_ns = 500_000_000;
        MadeUp { window, ..MadeUp::default() }
    }

    fn after_ticks(busy: u64, steal: u64) -> MadeUp {
        between(&[("proc/stat", &stat(100, 7))], &[("proc/stat", &stat(100 + busy, 7 + steal))])
    }

    #[test]
    fn a_cpu_is_idle_busy_or_too_busy() {
        expect(&after_ticks(1, 0).look(&LOAD, &[]), Fine, "busy 2.0 % of 0.5 s", "");
        expect(&after_ticks(3, 0).look(&LOAD, &[]), Warning, "busy 6.0 %", "ps -eo");
        expect(&after_ticks(40, 0).look(&LOAD, &[]), Serious, "busy 80 %", "ps -eo");
        expect(&between(&[], &[]).look(&LOAD, &[]), Unknown, "/proc/stat has no line of cpu1", "");
    }

    #[test]
    fn stolen_time_is_worth_a_word_from_one_per_cent() {
        expect(&after_ticks(0, 0).look(&STEAL, &[]), Fine, "took 0 %", "");
        expect(&after_ticks(0, 1).look(&STEAL, &[]), Warning, "took 2.0 %", "");
        expect(&between(&[], &[]).look(&STEAL, &[]), Unknown, "no steal time of cpu1", "");
    }

    #[test]
    fn interrupts_are_told_by_the_second() {
        let before = [("proc/interrupts", INTERRUPTS_BEFORE)];
        let busy = between(&before, &[("proc/interrupts", INTERRUPTS_LATER)]);
        expect(&busy.look(&INTERRUPTS, &[]), Warning, "6506 a second on CPU 1", "/proc/interrupts");
        expect(&between(&before, &before).look(&INTERRUPTS, &[]), Fine, "0 a second", "");
        expect(&between(&[], &[]).look(&INTERRUPTS, &[]), Unknown, "no column of CPU 1", "");
    }

    #[test]
    fn this_machine_has_a_window() {
        let noise_monitor = NoiseMonitor::new(&[0]);
        let earlier = noise_monitor.look();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let Window { surroundings, busy_ns } = noise_monitor.look().window_since(&earlier);
        assert!(busy_ns.is_some() && surroundings.interrupts.is_some() && surroundings.elapsed_ns >= 30_000_000);
    }
}
