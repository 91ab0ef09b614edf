//! Checks for other processes that trace or observe.

use std::fs;
use std::path::Path;

use crate::host::checks::context::{HostContext, words_of};
use crate::host::checks::{Check, Feed, Found, Verdict, When};
use crate::host::facts::Facts;

pub(super) const OBSERVERS: Check = Check {
    id: "perf-and-bpf",
    why: "perf events on threads slow every switch by a fifth, BPF programs on switches run at each of them; which of these are is not told",
    source: "/proc/*/fd",
    look: observers,
    feeds: None,
};

/// Processes that hold perf events or BPF programs open, by their names.
#[derive(Debug, Default)]
struct Seen {
    perf: Vec<String>,
    bpf: Vec<String>,
    looked_at: usize,
    hidden: usize,
}

fn observers(context: &HostContext<'_>) -> Verdict {
    let entries = fs::read_dir(context.root.join("proc")).map_err(|error| format!("/proc: {}", words_of(&error)))?;
    let own = std::process::id().to_string();
    let mut seen = Seen::default();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && name != own {
            look_at(&entry.path(), &name, &mut seen);
        }
    }
    let Seen { perf, bpf, looked_at, hidden } = seen;
    let unseen = if hidden == 0 { String::new() } else { format!("; {hidden} more are not ours to look at") };
    let list = |names: &[String]| names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    Ok(match (perf.as_slice(), bpf.as_slice()) {
        (_, _) if looked_at == 0 => return Err(format!("{hidden} processes are not ours to look at")),
        ([], []) if hidden > 0 => {
            Found::unknown(format!("held by none of {looked_at}{unseen}")).fix("sudo ctxprof doctor")
        }
        ([], []) => Found::ok(format!("held by none of {looked_at} other processes")),
        ([], bpf) => {
            Found::info(format!("BPF programs are held by {}{unseen}", list(bpf))).fix("sudo bpftool prog list")
        }
        (perf, _) => Found::warning(format!("perf events are held by {}{unseen}", list(perf))),
    })
}

fn look_at(process: &Path, pid: &str, seen: &mut Seen) {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        // It may have ended meanwhile.
        seen.hidden += usize::from(process.exists());
        return;
    };
    seen.looked_at += 1;
    let targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let targets: Vec<String> = targets.map(|target| target.to_string_lossy().into_owned()).collect();
    let holds = |words: &[&str]| targets.iter().any(|target| words.contains(&target.as_str()));
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let who = || format!("{} ({pid})", name.trim());
    if holds(&["anon_inode:[perf_event]"]) {
        seen.perf.push(who());
    }
    if holds(&["anon_inode:bpf-prog", "anon_inode:bpf_link", "anon_inode:bpf-link"]) {
        seen.bpf.push(who());
    }
}

pub(super) const DEBUGGER: Check = Check {
    id: "debugger",
    why: "a tracer stops the process at system calls or signals, and every stop is two switches to the tracer",
    source: "/proc/self/status",
    look: debugger,
    feeds: Some(Feed { code: "traced", when: When::Always, judge: traced }),
};

fn traced(facts: &Facts) -> Option<Found> {
    let tracer = facts.tracer.as_deref()?;
    Some(Found::serious(format!("this process is traced by {tracer}")))
}

fn debugger(context: &HostContext<'_>) -> Verdict {
    let tracer = context.status("TracerPid")?;
    if tracer == "0" {
        return Ok(Found::ok("this process is not traced"));
    }
    let name = context.read(&format!("proc/{tracer}/comm")).unwrap_or_else(|_| "a process".to_string());
    Ok(Found::serious(format!("this process is traced by {name} ({tracer})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine, Serious, Unknown, Warning};
    use crate::host::checks::context::tests::{MadeUp, expect};
    use crate::host::made_up_root;
    use std::os::unix::fs::symlink;

    /// A tree with one process, which has these files open.
    fn process(open: &[&str]) -> tempfile::TempDir {
        let root = made_up_root(&[("proc/77/comm", "observer\n")]);
        let folder = root.path().join("proc/77/fd");
        fs::create_dir(&folder).unwrap();
        for (number, target) in open.iter().enumerate() {
            symlink(target, folder.join(number.to_string())).unwrap();
        }
        root
    }

    #[test]
    fn who_holds_perf_events_or_bpf_programs_is_named() {
        let look = |open: &[&str]| MadeUp::default().look_below(&OBSERVERS, process(open).path());
        expect(&look(&["/dev/null"]), Fine, "none of 1 other", "");
        expect(&look(&["/dev/null", "anon_inode:[perf_event]"]), Warning, "observer (77)", "");
        expect(&look(&["anon_inode:bpf-prog"]), Info, "BPF programs are held by observer (77)", "bpftool");
    }

    #[test]
    fn processes_that_cannot_be_looked_at_are_counted() {
        let some = process(&[]);
        fs::create_dir_all(some.path().join("proc/78")).unwrap();
        expect(
            &MadeUp::default().look_below(&OBSERVERS, some.path()),
            Unknown,
            "none of 1; 1 more are not ours",
            "sudo",
        );
        let none = made_up_root(&[("proc/78/comm", "x")]);
        expect(&MadeUp::default().look_below(&OBSERVERS, none.path()), Unknown, "1 processes are not ours", "");
        expect(&MadeUp::default().look(&OBSERVERS, &[]), Unknown, "/proc: No such file", "");
    }

    #[test]
    fn a_tracer_is_named() {
        let status = "proc/self/status";
        expect(&MadeUp::default().look(&DEBUGGER, &[(status, "TracerPid:\t0\n")]), Fine, "not traced", "");
        let traced = [(status, "TracerPid:\t9\n"), ("proc/9/comm", "strace\n")];
        expect(&MadeUp::default().look(&DEBUGGER, &traced), Serious, "strace (9)", "");
        expect(&MadeUp::default().look(&DEBUGGER, &[]), Unknown, "/proc/self/status", "");
    }
}
