//! Checks of the pinned CPU's SMT siblings and isolation.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};
use crate::host::probe;
use crate::host::surroundings::Surroundings;
use crate::sys::affinity::CpuList;
use crate::unit::Share;

pub(super) const SMT: Check = Check {
    id: "smt-sibling",
    why: "two hardware threads share one core: while the other is busy both are slower, and no switch on this CPU shows it",
    source: "/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list, /proc/stat",
    look: smt,
    feeds: None,
};

fn smt(context: &HostContext<'_>) -> Verdict {
    let siblings = probe::smt_siblings(context.root, context.cpu)
        .ok_or_else(|| format!("the kernel does not say with which CPUs CPU {} shares its core", context.cpu))?;
    if siblings.cpus().is_empty() {
        return Ok(Found::ok("the pinned CPU has none that this kernel knows of"));
    }
    let window = context.window;
    let busy_ns = window.surroundings.siblings_busy_ns.ok_or("/proc/stat does not say how busy the sibling is")?;
    // The sum over several, on some machines: one that is always busy is enough.
    let busy = busy_ns as f64 / window.surroundings.elapsed_ns.max(1) as f64;
    let what = format!("CPU {siblings} shares the core, busy {}", Share(busy));
    Ok(if busy > Surroundings::SIBLING_BUSY {
        Found::warning(what).fix("echo off | sudo tee /sys/devices/system/cpu/smt/control")
    } else {
        Found::ok(what)
    })
}

pub(super) const ISOLATED: Check = Check {
    id: "isolated-cpus",
    why: "on nohz_full CPUs every system call costs more; CPUs of isolcpus are quiet, and no process is put on them unless asked",
    source: "/sys/devices/system/cpu/isolated, /sys/devices/system/cpu/nohz_full",
    look: isolated,
    feeds: None,
};

fn isolated(context: &HostContext<'_>) -> Verdict {
    // A kernel without the feature has no file; one started without the option writes "(null)".
    let list = |name: &str| -> Result<CpuList, String> {
        let text = context.read_if_there(&format!("sys/devices/system/cpu/{name}"))?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
    };
    if !context.exists("sys/devices/system/cpu/isolated") {
        context.read("sys/devices/system/cpu/isolated")?;
    }
    let (isolated, tickless, cpu) = (list("isolated")?, list("nohz_full")?, context.cpu);
    Ok(if tickless.contains(cpu) {
        Found::warning(format!("CPU {cpu} is one of the nohz_full CPUs {tickless}: name another with --cpu"))
    } else if isolated.contains(cpu) {
        Found::ok(format!("CPU {cpu} is isolated ({isolated})"))
    } else if !isolated.cpus().is_empty() {
        let first = isolated.cpus()[0];
        Found::info(format!("CPUs {isolated} are isolated, and CPU {cpu} is not one of them"))
            .fix(format!("sudo taskset -c {first} ctxprof run --cpu {first}"))
    } else {
        Found::ok("no CPU is isolated or tickless")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect, unreadable};

    #[test]
    fn a_sibling_matters_when_it_is_busy() {
        let look = |busy_ns: Option<u64>, siblings: &str| {
            let mut made_up = MadeUp::default();
            made_up.window.surroundings.elapsed_ns = 500_000_000;
            made_up.window.surroundings.siblings_busy_ns = busy_ns;
            made_up.look(&SMT, &[("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", siblings)])
        };
        expect(&look(None, "1\n"), Fine, "none that", "");
        expect(&look(Some(5_000_000), "1,5\n"), Fine, "CPU 5 shares the core, busy 1.0 %", "");
        expect(&look(Some(300_000_000), "1,5\n"), Warning, "busy 60 %", "smt/control");
        expect(&look(None, "1,5\n"), Unknown, "/proc/stat", "");
        expect(&MadeUp::default().look(&SMT, &[]), Unknown, "does not say", "");
    }

    #[test]
    fn isolated_cpus_are_named_and_tickless_ones_warned_of() {
        let look = |isolated: &str, tickless: &str| {
            let folder = "sys/devices/system/cpu";
            let files = [(format!("{folder}/isolated"), isolated), (format!("{folder}/nohz_full"), tickless)];
            MadeUp::default().look(&ISOLATED, &files.each_ref().map(|(path, text)| (path.as_str(), *text)))
        };
        expect(&look("\n", "(null)\n"), Fine, "no CPU", "");
        expect(&look("2-3\n", "\n"), Info, "CPUs 2-3 are isolated", "taskset -c 2");
        expect(&look("1\n", "\n"), Fine, "CPU 1 is isolated", "");
        expect(&look("1-3\n", "1-3\n"), Warning, "nohz_full CPUs 1-3", "");
        expect(&MadeUp::default().look(&ISOLATED, &[]), Unknown, "cpu/isolated", "");
        let root = unreadable("sys/devices/system/cpu/isolated");
        expect(&MadeUp::default().look_below(&ISOLATED, root.path()), Unknown, "Is a directory", "");
    }
}
