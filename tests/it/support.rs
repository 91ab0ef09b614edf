//! Running the built binary.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The binary under test: the one that `CTXPROF_TEST_BINARY` names, or the one that cargo built with this test.
#[derive(Debug, Clone, Copy)]
pub struct Binary;

pub const CTXPROF: Binary = Binary;

impl Binary {
    pub fn path(self) -> &'static Path {
        static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
            let named = env::var_os("CTXPROF_TEST_BINARY").map(PathBuf::from);
            let path = named.unwrap_or_else(|| env!("CARGO_BIN_EXE_ctxprof").into());
            assert!(path.is_absolute() && path.exists(), "there is no {} to be tested", path.display());
            path
        });
        &PATH
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(out)
    }
}

impl AsRef<OsStr> for Binary {
    fn as_ref(&self) -> &OsStr {
        self.path().as_os_str()
    }
}

impl AsRef<Path> for Binary {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

/// Returns one of the examples, built: in `CTXPROF_TEST_EXAMPLES`, or beside this test. Cargo builds them before tests, but not for
/// `--test it` alone.
pub fn example(name: &str) -> PathBuf {
    let beside = || env::current_exe().unwrap().parent().unwrap().with_file_name("examples");
    let program = env::var_os("CTXPROF_TEST_EXAMPLES").map_or_else(beside, PathBuf::from).join(name);
    assert!(program.exists(), "please run `cargo build --examples`, with --release as for this test");
    program
}

/// Returns the program that makes a known number of switches.
pub fn switcher() -> PathBuf {
    example("switcher")
}

/// Longest wait for anything that takes a second or less, on a busy machine.
const HUNG: Duration = Duration::from_secs(300);

/// Waits until a condition holds.
///
/// # Panics
///
/// If it never does.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < HUNG, "in {HUNG:?} this did not come: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// A started command; killed if a test ends before [`finish`], with its output printed if the test has failed.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().expect("it is there until it is finished")
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is there until it is finished")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        let ended = child.try_wait();
        let _ = child.kill();
        let output = child.wait_with_output();
        if thread::panicking() {
            eprintln!("what was started had ended: {ended:?}; it has said {output:?}");
        }
    }
}

/// Starts a command of these words with its output collected for [`finish`].
pub fn start(line: &str) -> Running {
    Running(Some(command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
}

/// A program that runs until it is killed, at the latest when the test that started it ends, however that ends.
#[derive(Debug)]
pub struct Program(Running);

impl Program {
    /// Starts a command of these words.
    pub fn start(line: &str) -> Program {
        Program(Running(Some(command(line).stdout(Stdio::null()).spawn().unwrap())))
    }

    pub fn pid(&self) -> Pid {
        pid_of(&self.0)
    }

    pub fn kill(self) {
        drop(self);
    }
}

/// Waits for a started command; returns its output and exit code.
///
/// # Panics
///
/// If it does not end.
#[track_caller]
pub fn finish(mut running: Running) -> Done {
    let pid = pid_of(&running);
    let child = running.0.take().expect("it is there until it is finished");
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    match ended.recv_timeout(HUNG) {
        Ok(output) => output.unwrap().into(),
        Err(_) => {
            let _ = kill(pid, Signal::SIGKILL);
            panic!("it did not end in {HUNG:?}");
        }
    }
}

/// Waits until a process catches or blocks a signal: before that it would be killed.
#[track_caller]
pub fn wait_until_handled(pid: Pid, signal: Signal) {
    let handled = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let masks = status.lines().filter_map(|line| line.strip_prefix("SigCgt:").or(line.strip_prefix("SigBlk:")));
        masks.map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap()).any(|mask| mask >> (signal as u32 - 1) & 1 == 1)
    };
    wait_until(&format!("{pid} handles {signal}"), handled);
}

/// Waits until the first thread of a started run passes control back and forth: this many waits of it.
#[track_caller]
pub fn wait_until_switching(run: &Child, waits: u64) {
    wait_until(&format!("{waits} waits of the run"), || waits_of(pid_of(run)) >= waits);
}

pub fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

pub fn signal(child: &Child, signal: Signal) {
    kill(pid_of(child), signal).unwrap();
}

/// Returns true if a process runs; false for a zombie.
pub fn runs(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with(['Z', 'X']))
}

/// Returns the children of a process's first thread.
pub fn children_of(pid: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// Returns the command line of a process, with spaces between; empty once it has ended.
pub fn command_line_of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// Asserts that a command is refused before it has measured anything, however long that would take.
#[track_caller]
pub fn refused_at_once(line: &str, code: i32, words: &[&str]) {
    finish(start(&format!("{line} --time 3600"))).expect(code, words);
}

/// Returns the number of waits of a process's first thread: they show that a ping-pong is under way.
pub fn waits_of(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let waits = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    waits.map_or(0, |waits| waits.trim().parse().unwrap())
}

/// Output and exit code of a command.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts an exit code and words on stderr.
    #[track_caller]
    pub fn expect(self, code: i32, words: &[&str]) -> Done {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not on stderr: {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a program with these words, split at spaces.
pub fn run(line: &str) -> Done {
    command(line).output().unwrap_or_else(|error| panic!("{line}: {error}")).into()
}

/// Returns a command of these words, split at spaces; `ctxprof` is the built binary, `switcher` the built program.
pub fn command(line: &str) -> Command {
    let mut words = line.split_whitespace().map(|word| match word {
        "ctxprof" => CTXPROF.path().into(),
        "switcher" => switcher(),
        other => other.into(),
    });
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null()).env("LANG", "C.UTF-8").env_remove("LC_ALL").env_remove("LC_CTYPE");
    command
}

/// Options of a run short enough for a test, which saves nothing.
pub const SHORT: &str = "--time 0.1 --repetitions 6 --no-save --patience 0 --quiet";

/// Returns ctxprof's output with these arguments on a terminal of this width, in an environment like `NO_COLOR=1`.
pub fn on_terminal(columns: u32, environment: &str, arguments: &str) -> String {
    let line = format!("stty cols {columns} rows 50; {environment} TERM=xterm {CTXPROF} {arguments}");
    let output = command("script -qec").arg(line).arg("/dev/null").output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

/// Returns the result of this workload in a run's document.
#[track_caller]
pub fn result<'v>(document: &'v Value, workload: &str) -> &'v Value {
    let results = document["results"].as_array().unwrap();
    results
        .iter()
        .find(|result| result["workload"] == workload)
        .unwrap_or_else(|| panic!("no {workload} in {document}"))
}

/// Returns a workload's raw samples in a document of `--samples-out`, of all its repetitions.
pub fn samples_of<'v>(seen: &'v Value, workload: &str) -> impl Iterator<Item = &'v Value> {
    let workloads = seen["seen"]["workloads"].as_array().unwrap();
    let of = workloads.iter().find(|each| each["workload"] == workload).unwrap_or_else(|| panic!("no {workload}"));
    let repetitions = of["repetitions"].as_array().unwrap();
    repetitions.iter().flat_map(|repetition| repetition["samples"].as_array().unwrap())
}

pub fn ops(sample: &Value) -> u64 {
    sample["ops"].as_u64().unwrap()
}

/// Returns the participants' kernel switches in a raw sample, by kernel accounting.
pub fn kernel_switches(sample: &Value) -> u64 {
    let of = |sort: &str| sample["participants"][sort].as_u64().unwrap_or_else(|| panic!("{sample}"));
    of("voluntary") + of("involuntary")
}

/// Returns true if a warning of this name is in the document or one of its results.
pub fn warned(document: &Value, code: &str) -> bool {
    let has =
        |warnings: &Value| warnings.as_array().is_some_and(|all| all.iter().any(|warning| warning["code"] == code));
    has(&document["warnings"]) || document["results"].as_array().unwrap().iter().any(|result| has(&result["warnings"]))
}

/// Asserts that a command writes every format of its report, each with these words in it, and that the saved document shows the
/// same table and the same JSON again. Returns the table, the folder, and the document's path.
#[track_caller]
pub fn in_every_format(line: &str, words: [(&str, &str); 4]) -> (String, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |suffix: &str| folder.path().join(format!("a.{suffix}")).display().to_string();
    let files = ["json", "csv", "md", "txt", "prom", "html"].map(|suffix| format!("-o {}", path(suffix))).join(" ");
    let table = run(&format!("{line} {files}")).expect(0, &[]).stdout;
    for (suffix, words) in words {
        let text = fs::read_to_string(path(suffix)).unwrap();
        assert!(text.contains(words), "{suffix}: {text}");
    }
    let document = path("json");
    let again = run(&format!("ctxprof report {document}")).expect(0, &[]).stdout;
    assert_eq!(again, table);
    let again = run(&format!("ctxprof report {document} --format json")).expect(0, &[]).stdout;
    assert_eq!(again, fs::read_to_string(&document).unwrap());
    let again = run(&format!("ctxprof report {} --format json", path("html"))).expect(0, &[]).stdout;
    assert_eq!(again, fs::read_to_string(&document).unwrap());
    (table, folder, document)
}

/// Returns the files with this suffix in a folder of the project and in all folders below it, sorted.
pub fn files_below(folder: &str, suffix: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|its| its == suffix) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Starts a command whose program prints `ready` first, and waits for that.
pub fn start_until_ready(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    child
}
