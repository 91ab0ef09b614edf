//! Checks of permission to count, and of the available counters.

use nix::errno::Errno;

use crate::host::checks::context::HostContext;
use crate::host::checks::{Check, Found, Verdict};
use crate::perf::answer::{Cycles, Refusal};

/// Command that lets every user count on a CPU.
const ALLOW: &str = "sudo sysctl kernel.perf_event_paranoid=0";
/// Options that a container must be started with, besides the level.
const ALLOW_IN_CONTAINER: &str = "docker run --cap-add PERFMON --security-opt seccomp=unconfined IMAGE ctxprof run";

pub(super) const PARANOID: Check = Check {
    id: "perf-paranoid",
    why: "this level decides what users without CAP_PERFMON may count: 0 on CPUs, 1 on their own threads (which slows every switch), 2 in user mode only",
    source: "/proc/sys/kernel/perf_event_paranoid",
    look: paranoid,
    feeds: None,
};

fn paranoid(context: &HostContext<'_>) -> Verdict {
    let text = context.read("proc/sys/kernel/perf_event_paranoid")?;
    let level: i64 = text.parse().map_err(|_| format!("kernel.perf_event_paranoid is {text:?}, which is no number"))?;
    let is_exempt = context.status("CapEff").ok().is_some_and(|sets| is_exempt(&sets)) && !in_user_namespace(context);
    if is_exempt {
        return Ok(Found::ok(format!("level {level}, from which this process is exempt (CAP_PERFMON)")));
    }
    let found = match level {
        ..=0 => return Ok(Found::ok(format!("level {level}: every user may count on CPUs"))),
        1 => "level 1: this user may count on own threads only, which slows every switch".to_string(),
        2 => "level 2: this user may not count in the kernel, where switches are".to_string(),
        _ => format!("level {level}: this user may count nothing"),
    };
    Ok(Found::warning(found).fix(ALLOW))
}

/// Returns true if the effective capabilities include CAP_PERFMON or, as before Linux 5.8, CAP_SYS_ADMIN.
fn is_exempt(effective: &str) -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_PERFMON: u64 = 1 << 38;
    u64::from_str_radix(effective, 16).is_ok_and(|set| set & (CAP_PERFMON | CAP_SYS_ADMIN) != 0)
}

/// Returns true if capabilities hold in a user namespace only, which perf ignores.
fn in_user_namespace(context: &HostContext<'_>) -> bool {
    let map = context.read("proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    !map.is_empty() && words != ["0", "0", "4294967295"]
}

pub(super) const PERF_EVENTS: Check = Check {
    id: "perf-events",
    why: "where the kernel's counters are refused, switches come from getrusage, costs have no cycles, and disturbed samples are harder to tell",
    source: "perf_event_open(2), tried",
    look: perf_events,
    feeds: None,
};

fn perf_events(context: &HostContext<'_>) -> Verdict {
    let tried = context.perf_events;
    let refusal = match (&tried.on_cpu, &tried.on_thread, &tried.in_user_mode) {
        (Ok(()), _, _) => return Ok(Found::ok(format!("events on CPU {} are allowed", context.cpu))),
        (Err(refusal), ..) => refusal,
    };
    let answer = &refusal.answer;
    let found = match (&tried.on_thread, &tried.in_user_mode) {
        (Ok(()), _) => Found::warning(format!("events are allowed on own threads only: {answer}")),
        (_, Ok(())) => Found::warning(format!("events are allowed in user mode only: {answer}")),
        _ => Found::serious(format!("events are refused altogether: {answer}")),
    };
    Ok(match refusal.errno.map(Errno::from_raw) {
        Some(Errno::EACCES) => found.fix(ALLOW),
        Some(Errno::EPERM | Errno::ENOSYS) if filters(context).is_ok_and(|filters| filters > 0) => {
            found.fix(ALLOW_IN_CONTAINER)
        }
        Some(Errno::EPERM) => found.fix(ALLOW),
        Some(Errno::EMFILE) => found.fix("ulimit -n 1024"),
        _ => found,
    })
}

pub(super) const SECCOMP: Check = Check {
    id: "seccomp",
    why: "a filter is run at every system call (some 3 % of a pipe round trip for a hundred instructions) and may hide perf_event_open",
    source: "/proc/self/status",
    look: seccomp,
    feeds: None,
};

fn seccomp(context: &HostContext<'_>) -> Verdict {
    let filters = filters(context)?;
    if filters == 0 {
        return Ok(Found::ok("no seccomp filter on this process"));
    }
    let refused = context.perf_events.in_user_mode.as_ref().err();
    let errno = refused.and_then(|refusal| refusal.errno).map(Errno::from_raw);
    let of_process = format!("{filters} seccomp filter{} on this process", if filters == 1 { "" } else { "s" });
    // The kernel itself answers this only if built without perf events, or to a user at Debian's level 3.
    Ok(match errno.filter(|errno| [Errno::EPERM, Errno::ENOSYS].contains(errno)) {
        Some(errno) => {
            Found::serious(format!("{of_process}, and perf_event_open answers {errno:?}")).fix(ALLOW_IN_CONTAINER)
        }
        None => Found::info(of_process),
    })
}

/// Returns the number of filters; kernels before 5.9 only report that there are some.
fn filters(context: &HostContext<'_>) -> Result<u64, String> {
    let mode = context.status("Seccomp")?;
    if mode == "0" {
        return Ok(0);
    }
    Ok(context.status("Seccomp_filters").ok().and_then(|count| count.parse().ok()).unwrap_or(1).max(1))
}

pub(super) const PMU: Check = Check {
    id: "pmu",
    why: "without a performance monitoring unit there are no cycles and instructions (on x86, ticks of the time-stamp counter instead); the costs in ns stay",
    source: "perf_event_open(2), tried: cycles",
    look: pmu,
    feeds: None,
};

fn pmu(context: &HostContext<'_>) -> Verdict {
    Ok(match &context.perf_events.cycles {
        Cycles::Counting { gigahertz } => Found::ok(format!("cycles are counted, {gigahertz:.2} a ns")),
        Cycles::Emulated(how) => Found::warning(format!("emulated: {how}")),
        Cycles::Lying(how) => Found::warning(format!("not to be believed: {how}")),
        Cycles::Refused(Refusal { errno, answer }) => match errno.map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => Found::info(format!("absent: {answer}")),
            _ => Found::unknown(answer.clone()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Serious, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect};

    const LEVEL: &str = "proc/sys/kernel/perf_event_paranoid";
    const STATUS: &str = "proc/self/status";
    const NO_CAPABILITY: &str = "CapEff:\t0000000000000000\nSeccomp:\t0\n";
    const FILTERED: &str = "CapEff:\t0000000000000000\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    fn refused(errno: Errno) -> Result<(), Refusal> {
        Err(Refusal { errno: Some(errno as i32), answer: format!("{errno:?}") })
    }

    fn with_perf(on_cpu: Result<(), Refusal>, on_thread: Result<(), Refusal>, user: Result<(), Refusal>) -> MadeUp {
        let mut made_up = MadeUp::default();
        (made_up.perf_events.on_cpu, made_up.perf_events.on_thread) = (on_cpu, on_thread);
        made_up.perf_events.in_user_mode = user;
        made_up
    }

    #[test]
    fn the_paranoid_level_is_judged_by_what_it_leaves_this_user() {
        let check = |level: &str, status: &str, severity, words, fix| {
            let found = MadeUp::default().look(&PARANOID, &[(LEVEL, level), (STATUS, status)]);
            expect(&found, severity, words, fix);
        };
        for level in ["-1\n", "0\n"] {
            check(level, NO_CAPABILITY, Fine, "may count on CPUs", "");
        }
        check("1\n", NO_CAPABILITY, Warning, "own threads only", "perf_event_paranoid=0");
        check("2\n", NO_CAPABILITY, Warning, "not count in the kernel", "perf_event_paranoid=0");
        check("4\n", NO_CAPABILITY, Warning, "count nothing", "perf_event_paranoid=0");
        check("4\n", "CapEff:\t0000004000000000\n", Fine, "exempt", "");
        check("2\n", "CapEff:\t0000000000200000\n", Fine, "exempt", "");
        check("x\n", NO_CAPABILITY, Unknown, "no number", "");
        expect(&MadeUp::default().look(&PARANOID, &[]), Unknown, "No such file", "");
    }

    #[test]
    fn roots_capabilities_in_a_user_namespace_are_not_believed() {
        let files = [(LEVEL, "2"), (STATUS, "CapEff:\t000001ffffffffff\n"), ("proc/self/uid_map", "0 1000 1\n")];
        expect(&MadeUp::default().look(&PARANOID, &files), Warning, "level 2", "sysctl");
        let files = [files[0], files[1], ("proc/self/uid_map", "         0          0 4294967295\n")];
        expect(&MadeUp::default().look(&PARANOID, &files), Fine, "exempt", "");
    }

    #[test]
    fn every_rung_of_counting_is_told_apart() {
        let (eacces, eperm) = (|| refused(Errno::EACCES), || refused(Errno::EPERM));
        let check = |made_up: MadeUp, files: &[(&str, &str)], severity, words, fix| {
            expect(&made_up.look(&PERF_EVENTS, files), severity, words, fix);
        };
        check(MadeUp::default(), &[], Fine, "events on CPU 1", "");
        check(with_perf(eacces(), Ok(()), Ok(())), &[], Warning, "own threads only: EACCES", "paranoid=0");
        check(with_perf(eacces(), eacces(), Ok(())), &[], Warning, "user mode only: EACCES", "paranoid=0");
        check(with_perf(eacces(), eacces(), eacces()), &[], Serious, "refused altogether", "paranoid=0");
        check(with_perf(eperm(), eperm(), eperm()), &[(STATUS, FILTERED)], Serious, "EPERM", "docker run");
        let emfile = || refused(Errno::EMFILE);
        check(with_perf(emfile(), emfile(), emfile()), &[], Serious, "EMFILE", "ulimit -n");
        let enosys = || refused(Errno::ENOSYS);
        check(with_perf(enosys(), enosys(), enosys()), &[], Serious, "ENOSYS", "");
    }

    #[test]
    fn a_filter_is_known_by_its_number_and_by_what_it_hides() {
        let enosys = || refused(Errno::ENOSYS);
        expect(&MadeUp::default().look(&SECCOMP, &[(STATUS, NO_CAPABILITY)]), Fine, "no seccomp", "");
        expect(&MadeUp::default().look(&SECCOMP, &[(STATUS, FILTERED)]), Info, "2 seccomp filters", "");
        let hiding = with_perf(enosys(), enosys(), enosys());
        expect(&hiding.look(&SECCOMP, &[(STATUS, FILTERED)]), Serious, "answers ENOSYS", "docker run");
        let old = [(STATUS, "Seccomp:\t2\n")];
        expect(&MadeUp::default().look(&SECCOMP, &old), Info, "1 seccomp filter on", "");
        expect(&MadeUp::default().look(&SECCOMP, &[]), Unknown, "/proc/self/status", "");
    }

    #[test]
    fn a_pmu_is_present_emulated_lying_absent_or_forbidden() {
        let with = |cycles| {
            let mut made_up = MadeUp::default();
            made_up.perf_events.cycles = cycles;
            made_up.look(&PMU, &[])
        };
        let refused =
            |errno: Errno| with(Cycles::Refused(Refusal { errno: Some(errno as i32), answer: format!("{errno:?}") }));
        expect(&with(Cycles::Counting { gigahertz: 3.4 }), Fine, "3.40 a ns", "");
        expect(&with(Cycles::Emulated("1.000 GHz".to_string())), Warning, "emulated: 1.000 GHz", "");
        expect(&with(Cycles::Lying("reads 0".to_string())), Warning, "reads 0", "");
        expect(&refused(Errno::ENOENT), Info, "absent: ENOENT", "");
        expect(&refused(Errno::EACCES), Unknown, "EACCES", "");
    }
}
