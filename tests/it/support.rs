//! Running the built binary, and knowing what this machine must be able to test.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

/// The binary under test.
pub const CTXPROF: &str = env!("CARGO_BIN_EXE_ctxprof");

/// One of the examples, built: where `CTXPROF_TEST_EXAMPLES` says, or beside this test. Cargo builds them before tests, but not for
/// `--test it` alone.
pub fn example(name: &str) -> PathBuf {
    let beside = || env::current_exe().unwrap().parent().unwrap().with_file_name("examples");
    let program = env::var_os("CTXPROF_TEST_EXAMPLES").map_or_else(beside, PathBuf::from).join(name);
    assert!(program.exists(), "please run `cargo build --examples`, with --release as for this test");
    program
}

/// The program that makes a known number of switches.
pub fn switcher() -> PathBuf {
    example("switcher")
}

/// What a command did.
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

    /// Holds it to an exit code and to words on stderr.
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

/// A command of these words, split at spaces; `ctxprof` stands for the built binary, `switcher` for the built program.
pub fn command(line: &str) -> Command {
    let mut words = line.split_whitespace().map(|word| match word {
        "ctxprof" => CTXPROF.into(),
        "switcher" => switcher(),
        other => other.into(),
    });
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null()).env("LANG", "C.UTF-8").env_remove("LC_ALL").env_remove("LC_CTYPE");
    command
}

/// A shell script that runs its arguments in a mount namespace in which Go is in none of the places where it is looked for,
/// those besides `PATH` too.
const WITHOUT_GO: &str = "for go in /usr/local/go /snap/go /usr/lib/go /usr/lib/go-* /usr/share/go-*; do
    [ -L $go ] || [ ! -d $go ] || mount -t tmpfs none $go
  done
  exec env PATH=/nowhere \"$@\"";

/// A command of this program where there is no Go; takes root.
pub fn without_go(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", WITHOUT_GO, "sh"]).arg(program);
    command
}

/// Options of a run short enough for a test, that leaves nothing behind.
pub const SHORT: &str = "--time 0.1 --incarnations 6 --no-save --quiet";

/// What a terminal of this width shows of ctxprof with these arguments, in an environment like `NO_COLOR=1`.
pub fn on_terminal(columns: u32, environment: &str, arguments: &str) -> String {
    let line = format!("stty cols {columns} rows 50; {environment} TERM=xterm {CTXPROF} {arguments}");
    let output = command("script -qec").arg(line).arg("/dev/null").output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

/// Whether this machine can do what a test needs. Where it must (`CTXPROF_TEST_REQUIRE`, comma-separated), that it
/// cannot is a failure.
#[track_caller]
pub fn can(what: &str) -> bool {
    let able = match what {
        "root" => nix::unistd::geteuid().is_root(),
        "perf" => run(&format!("ctxprof run thread-pipe --counters cpu {SHORT}")).code == Some(0),
        "go" => run("go version").code == Some(0),
        "strace" => run("strace --version").code == Some(0),
        "chromium" => run("chromium --version").code == Some(0),
        "promtool" => Command::new("promtool").arg("--version").output().is_ok_and(|done| done.status.success()),
        other => panic!("nobody knows how to look for {other:?}"),
    };
    let required = env::var("CTXPROF_TEST_REQUIRE").is_ok_and(|list| list.split(',').any(|each| each == what));
    assert!(able || !required, "this machine is said to have {what}, and does not");
    if !able {
        eprintln!("skipped: no {what} here");
    }
    able
}

/// The result of this workload in a run's document.
#[track_caller]
pub fn result<'v>(document: &'v Value, workload: &str) -> &'v Value {
    let results = document["results"].as_array().unwrap();
    results
        .iter()
        .find(|result| result["workload"] == workload)
        .unwrap_or_else(|| panic!("no {workload} in {document}"))
}

/// Whether a warning of this name is in the document or one of its results.
pub fn warned(document: &Value, code: &str) -> bool {
    let has =
        |warnings: &Value| warnings.as_array().is_some_and(|all| all.iter().any(|warning| warning["code"] == code));
    has(&document["warnings"]) || document["results"].as_array().unwrap().iter().any(|result| has(&result["warnings"]))
}

/// A user without rights, and a copy of the binary where that user can reach it.
pub struct Nobody {
    pub folder: tempfile::TempDir,
}

impl Nobody {
    pub fn new() -> Nobody {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(CTXPROF, folder.path().join("ctxprof-copy")).unwrap();
        Nobody { folder }
    }

    pub fn binary(&self) -> PathBuf {
        self.folder.path().join("ctxprof-copy")
    }

    pub fn run(&self, arguments: &str) -> Done {
        self.run_under("env", arguments)
    }

    pub fn run_under(&self, wrapper: &str, arguments: &str) -> Done {
        let state = self.folder.path().display();
        run(&format!(
            "setpriv --reuid=65534 --regid=65534 --clear-groups env XDG_STATE_HOME={state} {wrapper} {} {arguments}",
            self.binary().display()
        ))
    }
}

/// A cgroup made for a test, of whichever version this machine has; removed when dropped.
pub struct Cgroup(PathBuf);

impl Cgroup {
    pub fn new(controller: &str) -> Option<Cgroup> {
        let name = format!("ctxprof-test-{}-{controller}", std::process::id());
        let mounts = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup".to_string()];
        for mount in mounts.iter().map(Path::new).filter(|mount| mount.join("cgroup.procs").exists()) {
            let folder = mount.join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Cgroup(folder);
            if ["pids.max", "memory.max", "memory.limit_in_bytes", "cpu.max", "cpu.cfs_quota_us"]
                .iter()
                .any(|file| file.starts_with(controller) && group.0.join(file).exists())
            {
                return Some(group);
            }
        }
        eprintln!("skipped: no cgroup with the controller {controller} can be made here");
        None
    }

    /// Runs ctxprof in it.
    pub fn run(&self, arguments: &str) -> Done {
        let script = format!("echo $$ > {}/cgroup.procs && exec {} {arguments}", self.0.display(), CTXPROF);
        let mut shell = command("sh -c");
        shell.arg(script).output().unwrap().into()
    }

    pub fn set(&self, file: &str, value: u64) -> bool {
        fs::write(self.0.join(file), value.to_string()).is_ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        eprintln!("{} could not be removed", self.0.display());
    }
}

/// Holds a command to every format of its report: that each file is written and has these words in it, and that the saved
/// document shows the same table and the same JSON again. Gives the table, and where the document is.
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
