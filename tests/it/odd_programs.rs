//! `ctxprof stat` of unusual programs, each of its own kind.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{fs, str};

use serde_json::Value;
use tempfile::TempDir;

use crate::machine::{Ability, can, needs};
use crate::support::{CTXPROF, Done, command, run, wait_until};

const JSON: &str = "--cost none --quiet --format json";

/// One of tests/cases, compiled by the compiler that Rust links with.
pub struct Case {
    folder: TempDir,
    name: &'static str,
}

impl Case {
    pub fn new(name: &'static str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let source = format!("{}/tests/cases/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let program = folder.path().join(name);
        let compiled = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(source).output().unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        Case { folder, name }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// Returns the command line with this program after it.
    pub fn after(&self, line: &str, arguments: &str) -> Command {
        let mut command = command(line);
        command.arg(self.path()).args(arguments.split_whitespace());
        command
    }
}

pub fn done(command: &mut Command) -> Done {
    command.output().unwrap().into()
}

/// Returns the document on stderr, after the program's own output.
#[track_caller]
pub fn document(done: &Done) -> Value {
    let json = done.stderr.find("{\n").unwrap_or_else(|| panic!("{done:?}"));
    serde_json::from_str(&done.stderr[json..]).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

pub fn shell(script: &str) -> Command {
    let mut bash = command("bash -c");
    bash.arg(script).env("C", CTXPROF);
    bash
}

fn warned(document: &Value, code: &str) -> bool {
    document["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code)
}

#[test]
fn a_program_may_end_by_any_signal_and_ctxprof_ends_by_it_after_the_report() {
    for (number, name) in [(34, "signal 34 (SIGRTMIN)"), (36, "signal 36 (SIGRTMIN+2)"), (64, "signal 64 (SIGRTMAX)")] {
        let script = format!("exec $C stat --cost none -- bash -c 'kill -{number} $$'");
        let output = shell(&script).output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        let said = str::from_utf8(&output.stderr).unwrap();
        assert!(said.contains(&format!("was killed by {name} after")), "{said}");
    }
}

#[test]
fn an_orphan_may_end_by_any_signal_too() {
    let script = "exec $C stat --cost none -- bash -c '( ( sleep 0.2; exec bash -c \"kill -36 \\$\\$\" ) & ); exit 0'";
    done(&mut shell(script)).expect(0, &["exited with 0 after", "context-switches"]);
}

#[test]
fn signals_are_handed_on_as_they_were_inherited() {
    let status = |trap: &str| {
        let script = format!("{trap} exec $C stat --cost none -q -o /dev/null.txt -- cat /proc/self/status");
        let folder = tempfile::tempdir().unwrap();
        let script = script.replace("/dev/null.txt", &folder.path().join("x.txt").display().to_string());
        done(&mut shell(&script)).expect(0, &[]).stdout
    };
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    let bit = |signal: u64| 1 << (signal - 1);
    let plain = status("");
    assert_eq!(line(&plain, "SigIgn") & bit(13), 0, "{plain}");
    for (name, number) in
        [("PIPE", 13), ("CHLD", 17), ("INT", 2), ("HUP", 1), ("USR1", 10), ("TTOU", 22), ("RTMIN+1", 35)]
    {
        let ignored = status(&format!("trap '' {name};"));
        assert_eq!(line(&ignored, "SigIgn"), line(&plain, "SigIgn") | bit(number), "{name}: {ignored}");
        assert_eq!(line(&ignored, "SigBlk"), line(&plain, "SigBlk"), "{name}: {ignored}");
    }
    let blocked = "exec perl -MPOSIX -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR1, SIGTERM, SIGCHLD)); exec @ARGV' $C stat --cost none -q -o X -- cat /proc/self/status;";
    let folder = tempfile::tempdir().unwrap();
    let blocked = blocked.replace("-o X", &format!("-o {}", folder.path().join("x.txt").display()));
    let blocked = done(&mut shell(&blocked)).expect(0, &[]).stdout;
    assert_eq!(line(&blocked, "SigBlk"), bit(10) | bit(15) | bit(17), "{blocked}");
}

#[test]
fn a_misspelt_option_is_no_program() {
    for (line, nearest) in [
        ("stat --intervall 1s -- true", "--interval"),
        ("stat --perthread -- true", "--per-thread"),
        ("stat --interval 1s --quite -- true", "--quiet"),
        ("--color never stat --leave-runing true", "--leave-running"),
    ] {
        run(&format!("ctxprof {line}")).expect(125, &[&format!("'{nearest}'")]);
    }
    run("ctxprof --color never run --repetitons 5").expect(2, &["'--repetitions'"]);
    // After the program's name, options are the program's.
    run("ctxprof stat --cost none ls --directory /").expect(0, &["ls --directory /: exited with 0"]);
}

#[test]
fn an_absurd_time_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("it-ran");
    for time in ["300000000000years", "18446744073709551615s", "25h", "1e300", "inf", "nan", "-1", "0s"] {
        let done = run(&format!("ctxprof stat --interval={time} --cost none -- touch {}", trace.display()));
        done.expect(125, &["--interval"]);
        assert!(!trace.exists(), "{time}");
        run(&format!("ctxprof stat -p 1 --for={time}")).expect(125, &["--duration"]);
        run(&format!("ctxprof run --time={time}")).expect(2, &["--time"]);
    }
}

#[test]
fn names_of_threads_are_shown_on_one_line_in_every_format_and_steer_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |suffix: &str| folder.path().join(format!("x.{suffix}"));
    let files =
        ["txt", "md", "csv", "prom", "html", "json"].map(|suffix| format!("-o {}", path(suffix).display())).join(" ");
    let program = Case::new("odd-names");
    done(&mut program.after(&format!("ctxprof stat --cost none -q {files} --table thread --"), "")).expect(0, &[]);
    let text = |suffix: &str| fs::read_to_string(path(suffix)).unwrap();
    for suffix in ["txt", "md", "csv", "prom", "html", "json"] {
        let text = text(suffix);
        assert!(!text.contains(|each: char| each.is_control() && each != '\n'), "{suffix}: {text}");
    }
    for suffix in ["txt", "md", "csv"] {
        let text = text(suffix);
        let shown = text.lines().filter(|line| line.contains("two?lines") || line.contains("?[31mred?[0m")).count();
        assert_eq!(shown, 2, "{suffix}: {text}");
    }
    for suffix in ["md", "html"] {
        assert!(text(suffix).contains("&lt;b&gt;x&lt;/b&gt;"), "{suffix}: {}", text(suffix));
    }
    let labels: Vec<String> =
        text("prom").lines().filter(|line| line.contains("thread_switches{")).map(String::from).collect();
    let mut unique = labels.clone();
    unique.sort_unstable();
    unique.dedup();
    assert!(labels.len() >= 11 && unique.len() == labels.len(), "{labels:?}");
    // The same for the output while they run.
    let live = done(&mut program.after("ctxprof stat --cost none --interval 50ms --per-thread --", "")).expect(0, &[]);
    assert!(!live.stderr.contains('\x1b'), "{live:?}");
}

#[test]
fn masks_of_more_cpus_than_usual_are_asked_for_and_where_none_is_had_nothing_is_lost() {
    needs!(Strace);
    for (times, arguments) in
        [("1", "stat --cost none -- true"), ("1+", "stat --cost none -- true"), ("1+", "list"), ("1+", "doctor")]
    {
        let line = format!(
            "strace -f --seccomp-bpf -qq -o /dev/null -e trace=sched_getaffinity -e inject=sched_getaffinity:error=EINVAL:when={times} ctxprof {arguments}"
        );
        run(&line).expect(0, &[]);
    }
}

#[test]
fn a_program_that_makes_itself_traced_goes_on_as_if_nobody_traced_it() {
    let done = done(&mut Case::new("traceme").after(&format!("ctxprof stat {JSON} --"), "")).expect(7, &["goes on"]);
    let document = document(&done);
    assert_eq!(document["ended"]["exited"], 7);
    assert!(!warned(&document, "traced"), "{document}");
}

#[test]
fn as_many_files_are_allowed_as_counters_on_threads_need() {
    needs!(Perf);
    let threads = Case::new("many-threads");
    let mut program = threads.after("env", "300 60").spawn().unwrap();
    let tasks = format!("/proc/{}/task", program.id());
    wait_until("300 threads", || fs::read_dir(&tasks).is_ok_and(|tasks| tasks.count() == 301));
    let line = format!("prlimit --nofile=256:4096 ctxprof stat {JSON} --counters thread -p {} --for 0.5", program.id());
    let done = run(&line).expect(0, &[]);
    program.kill().unwrap();
    program.wait().unwrap();
    let document = document(&done);
    assert_eq!(document["totals"]["threads"], 301, "{document}");
    assert_eq!(document["counting"]["counters"][0]["name"], "context-switches");
}

#[test]
fn root_of_a_user_namespace_is_not_taken_for_the_machines() {
    needs!(Root, UserNamespaces);
    let nobody = crate::isolation::Nobody::new();
    let home = nobody.folder.path().display();
    let line = format!(
        "setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_STATE_HOME HOME={home} unshare -Ur {} run thread-pipe --time 0.02 --repetitions 2",
        nobody.binary().display()
    );
    run(&line).expect(0, &[&format!("saved as {home}/.local/state/ctxprof/runs/run-")]);
}

#[test]
fn a_proc_of_another_pid_namespace_is_refused_and_no_other_process_is_measured() {
    needs!(Root);
    let refused = "/proc is of another PID namespace";
    for (line, code) in [
        ("stat --cost none -q -- true", 125),
        ("stat --cost none -q -p 1 --for 0.1", 125),
        ("trace --no-cost -q -- true", 125),
        ("run process-pipe --time 0.1 --no-save -q", 1),
        ("sweep ring 2..2 process-pipe --time 0.1 -q", 1),
        ("memory thread --max 50 --repetitions 1 -q", 1),
    ] {
        run(&format!("unshare --pid --fork ctxprof {line}")).expect(code, &[refused]);
    }
    run("unshare --pid --fork --mount-proc ctxprof stat --cost none -q -- sleep 0.01").expect(0, &["\nsleep "]);
}

#[test]
fn a_tracer_is_warned_of() {
    needs!(Strace);
    let traced = run(&format!("strace -f -qq -o /dev/null ctxprof stat {JSON} -- true")).expect(0, &[]);
    let document = document(&traced);
    assert!(warned(&document, "traced") && document.to_string().contains("traced by strace"), "{document}");
    let traced =
        run("strace -f -qq -o /dev/null ctxprof run thread-pipe --time 0.1 --repetitions 3 --no-save -q --format json");
    assert!(warned(&traced.expect(0, &[]).json(), "traced"));
    let untraced = run("ctxprof run thread-pipe --time 0.1 --repetitions 3 --no-save -q --format json").expect(0, &[]);
    assert!(!warned(&untraced.json(), "traced"));
}

#[test]
fn a_tracer_that_comes_later_is_warned_of_too() {
    needs!(Strace);
    let mut program = command("sleep 20").stdout(Stdio::null()).spawn().unwrap();
    let mut tracer = command("strace -qq -o /dev/null -p").arg(program.id().to_string()).spawn().unwrap();
    let status = format!("/proc/{}/status", program.id());
    let is_traced = |status: &str| !status.lines().any(|line| line == "TracerPid:\t0");
    wait_until("a tracer", || fs::read_to_string(&status).is_ok_and(|status| is_traced(&status)));
    let watched = run(&format!("ctxprof stat {JSON} -p {} --for 0.3", program.id())).expect(0, &[]);
    program.kill().unwrap();
    program.wait().unwrap();
    tracer.wait().unwrap();
    let document = document(&watched);
    assert!(warned(&document, "traced"), "{document}");
}

#[track_caller]
fn switches(document: &Value) -> u64 {
    let of = |figures: &Value| {
        let count = |name: &str| figures[name].as_u64().unwrap_or(0);
        count("voluntary_switches") + count("involuntary_switches")
    };
    let rows: u64 = document["threads"].as_array().unwrap().iter().map(of).sum();
    let total = document["totals"]["switches"].as_u64().unwrap();
    assert_eq!(rows + of(&document["ended_threads"]), total, "rows make the total: {document}");
    total
}

#[test]
fn a_child_that_shares_its_parents_memory_counts_once() {
    for options in ["", "--no-exit-records"] {
        let program = Case::new("clone-vm-child");
        let mut stat = program.after(&format!("ctxprof stat {JSON} {options} --"), "1000 2");
        let document = document(&done(&mut stat).expect(0, &["child: 100"]));
        let voluntary = document["totals"]["voluntary_switches"].as_u64().unwrap();
        assert!((1002..1100).contains(&voluntary), "{options}: {document}");
        switches(&document);
    }
}

#[test]
fn a_child_that_was_dropped_counts_beside_one_that_was_waited_for() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/sigchld-toggled.pl");
    for options in ["", "--no-exit-records"] {
        let document = document(&run(&format!("ctxprof stat {JSON} {options} -- perl {script}")).expect(0, &[]));
        let total = switches(&document);
        if options.is_empty() && can(Ability::Root) {
            let voluntary = document["totals"]["voluntary_switches"].as_u64().unwrap();
            assert!((505..600).contains(&voluntary), "{total}: {document}");
        }
    }
}

#[test]
fn a_thread_that_calls_exec_counts_once() {
    let program = Case::new("exec-by-thread");
    for options in ["", "--no-exit-records", "--interval 50ms"] {
        let mut stat = program.after(&format!("ctxprof stat --cost none -q --format json {options} --"), "1000");
        let document = document(&done(&mut stat).expect(0, &[]));
        assert!((1000..1100).contains(&document["totals"]["voluntary_switches"].as_u64().unwrap()), "{document}");
        switches(&document);
    }
}

#[test]
fn the_bound_of_what_is_missing_is_all_that_the_rest_of_the_machine_did() {
    let document = document(&run(&format!("ctxprof stat {JSON} -- switcher threads 2000 1")).expect(0, &[]));
    let most = document["totals"]["missing_at_most"].as_u64().unwrap();
    let ended = document["totals"]["ended_threads"].as_u64().unwrap();
    // The last switch of each is in no accounting, and so counts to the rest of the machine.
    assert!(ended == 0 || most >= ended / 2, "{document}");
    let text = run("ctxprof stat --cost none -q -- switcher threads 20 1").expect(0, &[]).stderr;
    assert!(text.contains("exit switches not counted"), "{text}");
}
