//! A command that is run to its end, or ended with all that it started.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sys::child::tie_to_life;
use crate::sys::signal;

/// How often to look whether a command has ended: short beside any build.
const GLANCE: Duration = Duration::from_millis(10);

/// What became of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(ExitStatus),
    /// It took longer than it was given.
    TookTooLong,
    /// This process was asked to stop.
    Stopped(Signal),
}

/// Runs a command in a process group of its own, and kills the group when the command takes longer than `patience` or
/// `stop_requested` says so. The watchdog is held off meanwhile.
///
/// # Errors
/// The command cannot be started.
pub(super) fn run(
    command: &mut Command,
    patience: Duration,
    stop_requested: impl Fn() -> Option<Signal>,
) -> Result<Outcome> {
    tie_to_life(command.process_group(0));
    let begun = Instant::now();
    let mut group =
        Group(command.spawn().with_context(|| format!("starting {}", Path::new(command.get_program()).display()))?);
    loop {
        signal::progress();
        if let Some(status) = group.0.try_wait().context("waiting for a command")? {
            return Ok(Outcome::Done(status));
        }
        if let Some(signal) = stop_requested() {
            return Ok(Outcome::Stopped(signal));
        }
        if begun.elapsed() > patience {
            return Ok(Outcome::TookTooLong);
        }
        thread::sleep(GLANCE);
    }
}

/// The leader of a process group; when dropped before it has ended, the whole group is killed.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Until its leader is reaped, the group's number is nobody else's.
        if let (Ok(None), Ok(leader)) = (self.0.try_wait(), i32::try_from(self.0.id())) {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_lock;
    use std::fs;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    /// Whether a process runs; one that has ended and waits to be reaped does not.
    fn runs(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
    }

    /// Runs a command that hangs together with one that it started, and returns what became of it.
    fn hang(patience: Duration, stop: impl Fn(&Path) -> Option<Signal>) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", note.display());
        let outcome = run(&mut shell(&script), patience, || stop(&note)).unwrap();
        let grandchild = fs::read_to_string(&note).unwrap();
        let gone = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            !runs(grandchild.trim())
        });
        assert!(gone, "what the command had started is still running");
        outcome
    }

    #[test]
    fn a_command_that_ends_is_done() {
        let _alone = test_lock();
        for code in [0, 3] {
            let outcome = run(&mut shell(&format!("exit {code}")), LONG, || None).unwrap();
            assert!(matches!(outcome, Outcome::Done(status) if status.code() == Some(code)), "{outcome:?}");
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_with_what_it_started() {
        let _alone = test_lock();
        assert_eq!(hang(Duration::from_millis(500), |_| None), Outcome::TookTooLong);
    }

    #[test]
    fn a_wish_to_stop_ends_a_command_with_what_it_started() {
        let _alone = test_lock();
        let outcome = hang(LONG, |note| note.exists().then_some(Signal::SIGINT));
        assert_eq!(outcome, Outcome::Stopped(Signal::SIGINT));
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let _alone = test_lock();
        let error = run(&mut Command::new("/nonexistent/tool"), LONG, || None).unwrap_err();
        assert!(format!("{error:#}").contains("starting /nonexistent/tool: No such file"), "{error:#}");
    }
}
