//! Checks of this kernel's build and boot options.

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};
use crate::host::kernel;

pub(super) const PREEMPTION: Check = Check {
    id: "preemption",
    why: "the model decides who preempts whom on a wake-up, and with it which switches are involuntary and what they cost",
    source: "/sys/kernel/debug/sched/preempt, uname, /proc/cmdline",
    look: preemption,
    feeds: None,
};

const MOUNT_DEBUGFS: &str = "sudo mount -t debugfs nodev /sys/kernel/debug";

fn preemption(context: &HostContext<'_>) -> Verdict {
    if let Some(model) = &context.facts.preemption {
        return Ok(Found::ok(format!("{model} (chosen at run time)")));
    }
    let build = &context.facts.kernel_build;
    let has = |word: &str| build.split_whitespace().any(|each| each == word);
    if has("PREEMPT_RT") {
        return Ok(Found::info("PREEMPT_RT: nearly everything is preempted, locks sleep, and switches cost more"));
    }
    if has("PREEMPT_DYNAMIC") {
        let line = context.read_if_there("proc/cmdline")?.unwrap_or_default();
        return Ok(match line.split_whitespace().find_map(|word| word.strip_prefix("preempt=")) {
            Some(model) => Found::ok(format!("{model} (preempt= on the kernel's command line)")),
            None => {
                Found::unknown("PREEMPT_DYNAMIC, and without debugfs the kernel does not say which model is chosen")
                    .fix(MOUNT_DEBUGFS)
            }
        });
    }
    Ok(match (has("PREEMPT_LAZY"), has("PREEMPT"), build.is_empty()) {
        (_, _, true) => return Err("uname has no word on it".to_string()),
        (true, ..) => Found::ok("lazy (built in)"),
        (_, true, _) => Found::ok("full (built in)"),
        _ => Found::ok("none or voluntary (built in)"),
    })
}

pub(super) const TICK: Check = Check {
    id: "timer-tick",
    why: "the tick interrupts whoever runs and decides when a slice is over: it is in every mean, and in the slowest of a thousand ops",
    source: "/proc/config.gz, /boot/config-*",
    look: tick,
    feeds: None,
};

fn tick(context: &HostContext<'_>) -> Verdict {
    let config = kernel::config(context.root, &context.facts.kernel)?;
    let value = |name: &str| kernel::option(&config, name);
    let hertz = value("CONFIG_HZ").ok_or("the kernel's configuration has no CONFIG_HZ")?;
    let kind = match (value("CONFIG_NO_HZ_FULL"), value("CONFIG_NO_HZ_IDLE"), value("CONFIG_HZ_PERIODIC")) {
        (Some("y"), ..) => ", may be stopped on CPUs with one thread (NO_HZ_FULL)",
        (_, Some("y"), _) => ", stopped on idle CPUs",
        (_, _, Some("y")) => ", on idle CPUs as well",
        _ => "",
    };
    Ok(Found::ok(format!("CONFIG_HZ={hertz}{kind}")))
}

pub(super) const MITIGATIONS: Check = Check {
    id: "mitigations",
    why: "they make system calls and switches more expensive, on some processors those between processes most: compare with hosts that have the same",
    source: "/sys/devices/system/cpu/vulnerabilities",
    look: mitigations,
    feeds: None,
};

fn mitigations(context: &HostContext<'_>) -> Verdict {
    let Some(told) = &context.facts.mitigations else {
        return Err("the kernel has no /sys/devices/system/cpu/vulnerabilities".to_string());
    };
    let with = |word: &str| -> Vec<&str> {
        let entries = told.split("; ").filter_map(|entry| entry.split_once(": "));
        entries.filter(|(_, state)| state.starts_with(word)).map(|(name, _)| name).collect()
    };
    let (mitigated, open) = (with("Mitigation"), with("Vulnerable"));
    let open = if open.is_empty() { String::new() } else { format!("; left open: {}", open.join(", ")) };
    Ok(match mitigated.as_slice() {
        [] => Found::ok(format!("none in force{open}")),
        names => Found::info(format!("in force against {}{open}", names.join(", "))),
    })
}

pub(super) const PRESSURE: Check = Check {
    id: "pressure-stall",
    why: "the kernel's accounting of pressure (PSI) adds some work to every switch between a running and a sleeping state",
    source: "/proc/pressure",
    look: pressure,
    feeds: None,
};

fn pressure(context: &HostContext<'_>) -> Verdict {
    match context.read_if_there("proc/pressure/cpu") {
        Ok(Some(_)) => Ok(Found::info("on; psi=0 on the kernel's command line turns it off")),
        Ok(None) if context.exists("proc/self") => Ok(Found::ok("off")),
        Ok(None) => Err("/proc is not there".to_string()),
        // With psi=0 a kernel that has PSI still has the file, which cannot be opened.
        Err(reason) if reason.contains("not supported") => Ok(Found::ok("off")),
        Err(reason) => Err(reason),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Unknown};
    use crate::host::checks::context::tests::{MadeUp, expect, unreadable};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn the_preemption_model_is_told_by_debugfs_the_command_line_or_the_build() {
        let look = |model: Option<&str>, build: &str, files: &[(&str, &str)]| {
            let mut made_up = MadeUp::default();
            made_up.facts.preemption = model.map(String::from);
            made_up.facts.kernel_build = build.to_string();
            made_up.look(&PREEMPTION, files)
        };
        let dynamic = "#1 SMP PREEMPT_DYNAMIC Debian";
        expect(&look(Some("full"), dynamic, &[]), Fine, "full (chosen", "");
        expect(&look(None, dynamic, &[("proc/cmdline", "ro preempt=none quiet")]), Fine, "none (preempt=", "");
        expect(&look(None, dynamic, &[("proc/cmdline", "ro")]), Unknown, "without debugfs", "mount -t debugfs");
        expect(&look(None, "#1 SMP PREEMPT_RT", &[]), Info, "PREEMPT_RT", "");
        expect(&look(None, "#1 SMP PREEMPT Debian", &[]), Fine, "full (built in)", "");
        expect(&look(None, "#1 SMP Debian", &[]), Fine, "none or voluntary", "");
        expect(&look(None, "", &[]), Unknown, "uname", "");
    }

    fn packed(text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        fs::write(root.path().join("proc/config.gz"), encoder.finish().unwrap()).unwrap();
        root
    }

    #[test]
    fn the_tick_is_read_from_either_configuration() {
        let mut made_up = MadeUp::default();
        made_up.facts.kernel = "6.1".to_string();
        let from_kernel = packed("# X is not set\nCONFIG_HZ_1000=y\nCONFIG_HZ=1000\nCONFIG_NO_HZ_IDLE=y\n");
        expect(&made_up.look_below(&TICK, from_kernel.path()), Fine, "CONFIG_HZ=1000, stopped on idle", "");
        expect(&made_up.look(&TICK, &[("boot/config-6.1", "CONFIG_HZ=250\n")]), Fine, "CONFIG_HZ=250", "");
        expect(&made_up.look(&TICK, &[("boot/config-6.1", "CONFIG_X=y\n")]), Unknown, "no CONFIG_HZ", "");
        expect(&made_up.look(&TICK, &[]), Unknown, "neither /proc/config.gz nor /boot/config-6.1", "");
        expect(&made_up.look(&TICK, &[("proc/config.gz", "no gzip")]), Unknown, "/proc/config.gz", "");
    }

    #[test]
    fn mitigations_in_force_and_left_open_are_named() {
        let look = |told: Option<&str>| {
            let mut made_up = MadeUp::default();
            made_up.facts.mitigations = told.map(String::from);
            made_up.look(&MITIGATIONS, &[])
        };
        expect(
            &look(Some("spectre_v1: Mitigation: x; y; meltdown: Vulnerable")),
            Info,
            "against spectre_v1; left open: meltdown",
            "",
        );
        expect(&look(Some("")), Fine, "none in force", "");
        expect(&look(None), Unknown, "vulnerabilities", "");
    }

    #[test]
    fn pressure_accounting_is_on_where_its_files_can_be_read() {
        let made_up = MadeUp::default();
        expect(&made_up.look(&PRESSURE, &[("proc/pressure/cpu", "some avg10=0.00\n")]), Info, "on", "");
        expect(&made_up.look(&PRESSURE, &[("proc/self/status", "")]), Fine, "off", "");
        expect(&made_up.look(&PRESSURE, &[]), Unknown, "/proc", "");
        expect(&made_up.look_below(&PRESSURE, unreadable("proc/pressure/cpu").path()), Unknown, "Is a directory", "");
    }
}
