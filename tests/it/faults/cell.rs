//! One run with one fault, and its verdict.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::faults::table::{Call, Repeat, Subject, Whose};
use crate::support::{CTXPROF, command};

/// The watchdog ends a run that stands still after 14 s; on a busy machine it takes a while to begin.
const PATIENCE: Duration = Duration::from_secs(140);

pub struct Cell {
    pub subject: &'static Subject,
    pub call: &'static Call,
    pub errno: &'static str,
    /// Index of the call of this name that is refused, from 1.
    pub nth: usize,
    pub repeat: Repeat,
}

#[derive(Debug)]
pub enum Verdict {
    /// Exit code 0: the fault did not matter, or the report says what is missing.
    WentOn,
    /// It failed with a reason.
    SaidWhy,
    Failed(String),
    /// This run made fewer calls than the one that was counted, or the call was one that cannot fail so.
    NotReached,
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plus = if self.repeat == Repeat::FromThenOn { "+" } else { "" };
        write!(out, "{} / {} {} {}{plus}", self.subject.name, self.call.name, self.errno, self.nth)
    }
}

/// Returns the arguments of a command, with its documents in this folder.
pub fn arguments(subject: &Subject, folder: &Path) -> String {
    let options: String = subject.files.iter().map(|file| format!(" -o FOLDER/{file}")).collect();
    let line = match subject.line.split_once(" -- ") {
        Some((ours, program)) => format!("{ours}{options} -- {program}"),
        None => format!("{}{options}", subject.line),
    };
    line.replace("FOLDER", &folder.display().to_string())
}

/// Returns strace's options to follow these calls.
pub fn following(whose: Whose) -> &'static [&'static str] {
    match whose {
        Whose::Everyones => &["-f", "--seccomp-bpf"],
        Whose::MainThreads => &[],
    }
}

/// Runs the rest in a mount namespace of its own: runs are saved in the first argument, Go is hidden if the second says so, and
/// switches can be recorded.
const PREPARE: &str = "mount --bind \"$1\" /var/lib
  [ \"$2\" = false ] || for go in /usr/local/go /snap/go /usr/lib/go /usr/lib/go-* /usr/share/go-*; do
    [ -L $go ] || [ ! -d $go ] || mount -t tmpfs none $go
  done
  mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing
  shift 2
  exec \"$@\"";

/// Returns a command with this preparation, for strace to follow.
pub fn prepared(subject: &Subject, state: &Path) -> Command {
    let mut command = command("setsid unshare --mount sh -ec");
    command.arg(PREPARE).arg("sh").arg(state).arg(subject.hides_go.to_string()).arg("strace");
    command
}

impl Cell {
    pub fn run(&self) -> Verdict {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let folders = ["documents", "tmp", "state"].map(path);
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let [documents, temporary, state] = &folders;
        let plus = if self.repeat == Repeat::FromThenOn { "+" } else { "" };
        let mut command = prepared(self.subject, state);
        let whose = if self.call.main_threads { Whose::MainThreads } else { self.subject.whose };
        command.args(following(whose));
        command.args(["-qq", "-yy", "-e", "signal=none", "-e", "status=failed", "-o"]).arg(path("strace"));
        command.args(["-e", &format!("trace={}", self.call.name)]);
        command.args(["-e", &format!("inject={}:error={}:when={}{plus}", self.call.name, self.errno, self.nth)]);
        command.arg(CTXPROF).args(arguments(self.subject, documents).split_whitespace());
        command.env("TMPDIR", temporary).env("RUST_BACKTRACE", "0");
        command.stdout(File::create(path("stdout")).unwrap()).stderr(File::create(path("stderr")).unwrap());
        let mut child = command.spawn().unwrap();
        let code = wait(&mut child);
        let left = end_session(child.id());
        let log = text(&path("strace"));
        if !self.was_reached(&log) {
            return Verdict::NotReached;
        }
        let Some(code) = code else {
            return Verdict::Failed(format!(
                "it hung; of its processes there were {left:?}; {}",
                text(&path("stderr"))
            ));
        };
        let stderr = text(&path("stderr"));
        let trouble = self
            .trouble_in_end(code, &stderr, &log)
            .or_else(|| (!left.is_empty()).then(|| format!("it left processes: {left:?}")))
            .or_else(|| self.trouble_in_files(documents))
            .or_else(|| trouble_in_leavings(temporary, &state.join("ctxprof/runs")))
            .or_else(|| self.trouble_in_silence(code, documents));
        match trouble {
            Some(trouble) => Verdict::Failed(format!("{trouble} (exit code {code})\n{stderr}")),
            None if code == 0 => Verdict::WentOn,
            None => Verdict::SaidWhy,
        }
    }

    /// Returns true if the fault occurred, and only in calls that can fail so.
    fn was_reached(&self, log: &str) -> bool {
        let mut injected = log.lines().filter(|line| line.contains("(INJECTED)")).peekable();
        injected.peek().is_some() && injected.all(|line| self.call.is_possible(line))
    }

    fn trouble_in_end(&self, code: i32, stderr: &str, log: &str) -> Option<String> {
        if stderr.contains("panicked") || stderr.contains("has overflowed") || stderr.contains("allocation of") {
            return Some("it panicked".to_string());
        }
        if code == 0 {
            return None;
        }
        if !self.subject.failed.contains(&code) {
            return Some("another exit code".to_string());
        }
        if log.lines().any(|line| line.contains("(INJECTED)") && line.contains("write(2<")) {
            // Its error message was refused as well.
            return None;
        }
        let reason = stderr.lines().any(|line| line.strip_prefix("ctxprof: ").is_some_and(|line| line.len() > 10));
        (!reason).then(|| "it does not say why it failed".to_string())
    }

    /// Documents are complete or absent, without other files beside them.
    fn trouble_in_files(&self, folder: &Path) -> Option<String> {
        let known = |name: &str| self.subject.files.contains(&name) || name == "samples.json";
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !known(&name) {
                return Some(format!("it left {name}"));
            }
            if !is_whole(&entry.path()) {
                return Some(format!("half of {name} was written"));
            }
        }
        None
    }

    /// A permanent refusal of perf's shows in the document.
    fn trouble_in_silence(&self, code: i32, folder: &Path) -> Option<String> {
        if code != 0 || self.call.name != "perf_event_open" || self.repeat == Repeat::Once {
            return None;
        }
        let document = text(&folder.join("a.json"));
        let counts = ["\"counting\"", "\"counters\""].iter().any(|word| document.contains(word));
        (counts && !document.contains(self.errno)).then(|| "the document does not say what was refused".to_string())
    }
}

fn is_whole(path: &Path) -> bool {
    let content = text(path);
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("json") => serde_json::from_str::<Value>(&content).is_ok(),
        Some("html") => content.trim_end().ends_with("</html>"),
        _ => content.ends_with('\n'),
    }
}

/// Temporary files are gone, and saved runs are complete.
fn trouble_in_leavings(temporary: &Path, runs: &Path) -> Option<String> {
    let names = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let left = names(temporary);
    if !left.is_empty() {
        return Some(format!("it left {left:?}"));
    }
    let half = |path: &PathBuf| path.extension().is_none_or(|suffix| suffix != "json") || !is_whole(path);
    names(runs).into_iter().find(half).map(|path| format!("among the kept runs is {}", path.display()))
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Returns the exit code, with a shell's codes for signals; `None` if it did not end in time.
fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
        if begun.elapsed() > PATIENCE {
            return None;
        }
        sleep(Duration::from_millis(5));
    }
}

/// Kills the rest of a session, its leader too, and returns it. Processes that are ending get a moment.
fn end_session(leader: u32) -> Vec<String> {
    let begun = Instant::now();
    let mut left = members(leader);
    while !left.is_empty() && begun.elapsed() < Duration::from_secs(1) {
        sleep(Duration::from_millis(5));
        left = members(leader);
    }
    left.into_iter()
        .map(|(pid, stat)| {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            stat.chars().take(40).collect()
        })
        .collect()
}

/// Returns the processes of a session that have not ended, with their lines of /proc/PID/stat.
fn members(leader: u32) -> Vec<(i32, String)> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, text(&entry.path().join("stat"))))
    });
    processes
        .filter(|(_, stat)| {
            // state, parent, group, session
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').take(4).collect();
            matches!(fields[..], [state, _, _, session] if session == leader.to_string() && state != "Z")
        })
        .collect()
}
