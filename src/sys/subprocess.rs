//! A subprocess run to its end, or killed with its descendants: its output, exit status and resource usage.
//!
//! ```text
//! this process   spawn ─ poll(2): reads, checks for its end, for a signal and the clock ────────── wait4(2): its rusage
//! the command      └ in a process group of its own ─ writes output ─ writes more ─ ends, or is killed with its group
//! ```

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sys::child::tie_to_life;
use crate::sys::reap::{self, Ended, Reaped, Usage};
use crate::sys::signal;

/// Bytes kept of a command's stdout, and as many of its stderr.
const SAID_LIMIT: usize = 64 * 1024;
/// Bytes read at once from one pipe: more than it usually holds (64 KiB), but bounded.
const READ_LIMIT: u64 = 256 * 1024;
/// Lines of a command's output in the message that it failed.
const LAST_LINES: usize = 5;
/// Interval of clock checks while nothing happens. Each takes a switch, maybe on the command's CPU.
const GLANCE: Duration = Duration::from_millis(100);
/// First wait for a command that has closed its output, as commands that are about to end do.
const FIRST_NAP: Duration = Duration::from_millis(1);

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    pub stdout: Said,
    pub stderr: Said,
    pub ended: Ended,
    /// Reason why it was killed; `None` if it ended by itself.
    pub cut_short: Option<CutShort>,
    pub usage: Usage,
}

/// Reason for killing a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutShort {
    /// It exceeded its time limit.
    TookTooLong(Duration),
    /// This process was asked to stop.
    Stopped(Signal),
}

/// Output of a command on stdout or stderr; the last 64 KiB of it.
#[derive(Debug, Default)]
pub struct Said {
    tail: Vec<u8>,
    left_out: usize,
}

/// Runs a command in a process group of its own, and kills the group when the command takes longer than `patience` or
/// `stop_requested` returns a signal: a Ctrl-C reaches this process only. It has no stdin. The watchdog is reset meanwhile.
///
/// The command inherits the CPUs and the scheduling policy of the calling thread. To be called from the main thread:
/// the command dies with the *thread* that started it.
///
/// # Errors
/// The command cannot be started. Its exit status is no error: see [`Finished::check`].
pub fn run(command: &mut Command, patience: Duration, stop_requested: impl Fn() -> Option<Signal>) -> Result<Finished> {
    let name = Path::new(command.get_program()).display().to_string();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tie_to_life(command.process_group(0));
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
    let mut group = Group::led_by(&child)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("two pipes were asked for");
    };
    let mut ends = [End::of(stdout.into())?, End::of(stderr.into())?];
    let mut nap = FIRST_NAP;
    let (reaped, cut_short) = loop {
        signal::progress();
        wait_for_words(&ends, &mut nap)?;
        ends.iter_mut().for_each(End::gather);
        if let Some(reaped) = group.reap(false)? {
            break (reaped, None);
        }
        let cut_short = match stop_requested() {
            Some(signal) => CutShort::Stopped(signal),
            None if begun.elapsed() > patience => CutShort::TookTooLong(patience),
            None => continue,
        };
        break (group.kill()?, Some(cut_short));
    };
    // Its output just before it ended.
    ends.iter_mut().for_each(End::gather);
    let [stdout, stderr] = ends.map(|end| end.said);
    let Reaped { ended, usage, .. } = reaped;
    Ok(Finished { stdout, stderr, ended, cut_short, usage })
}

impl Finished {
    /// Returns an error unless it ended by itself with code 0; `what` names it at the beginning of a sentence.
    ///
    /// # Errors
    /// It was killed or failed; with its last lines.
    pub fn check(&self, what: &str) -> Result<()> {
        match self.cut_short {
            Some(CutShort::TookTooLong(patience)) => {
                let patience = humantime::format_duration(patience);
                bail!("{what} took more than {patience} and was ended{}", self.last_words())
            }
            Some(CutShort::Stopped(signal)) => bail!("{what} was ended, as {signal} came"),
            None if self.ended == Ended::Exited(0) => Ok(()),
            None => bail!("{what} {}{}", self.ended, self.last_words()),
        }
    }

    /// Returns the last lines of its output, stderr last, to follow a sentence.
    pub fn last_words(&self) -> String {
        let said = [&self.stdout, &self.stderr].map(|said| String::from_utf8_lossy(&said.tail));
        let lines: Vec<String> = said
            .iter()
            .flat_map(|said| said.lines())
            .map(|line| line.trim_end().chars().filter(|each| *each == '\t' || !each.is_control()).collect())
            .filter(|line: &String| !line.is_empty())
            .collect();
        match &lines[lines.len().saturating_sub(LAST_LINES)..] {
            [] => "; it said nothing".to_string(),
            lines => format!("; it said:\n  {}", lines.join("\n  ")),
        }
    }
}

impl Said {
    /// Returns the whole output.
    ///
    /// # Errors
    /// It is more than 64 KiB, or not UTF-8.
    pub fn text(&self) -> Result<&str> {
        if self.left_out > 0 {
            bail!("{} bytes of output were expected at most, and {} came", SAID_LIMIT, SAID_LIMIT + self.left_out);
        }
        str::from_utf8(&self.tail).context("the output is not UTF-8")
    }

    fn add(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(SAID_LIMIT);
        self.tail.drain(..surplus);
        self.left_out += surplus;
    }
}

/// This process's end of a pipe that a command writes to.
struct End {
    pipe: Option<std::fs::File>,
    said: Said,
}

impl End {
    fn of(pipe: OwnedFd) -> Result<End> {
        // Only this end: the command's end of a pipe has its own flags.
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("fcntl(O_NONBLOCK)")?;
        Ok(End { pipe: Some(pipe.into()), said: Said::default() })
    }

    /// Reads what is available, without waiting.
    fn gather(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut bytes = Vec::new();
        // An error means that no more is available now; what came before it counts.
        let closed =
            matches!(pipe.take(READ_LIMIT).read_to_end(&mut bytes), Ok(length) if (length as u64) < READ_LIMIT);
        self.said.add(&bytes);
        if closed {
            self.pipe = None;
        }
    }
}

/// Waits for output, a signal, or the next clock check.
fn wait_for_words(ends: &[End], nap: &mut Duration) -> Result<()> {
    let open = ends.iter().filter_map(|end| end.pipe.as_ref());
    let mut open: Vec<PollFd<'_>> = open.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
    if open.is_empty() {
        thread::sleep(*nap);
        *nap = (*nap * 2).min(GLANCE);
        return Ok(());
    }
    let timeout = PollTimeout::try_from(GLANCE).context("a timeout")?;
    match poll(&mut open, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno).context("poll"),
    }
}

/// The leader of a process group; when dropped before it has ended, the whole group is killed.
struct Group {
    leader: Pid,
    reaped: bool,
}

impl Group {
    fn led_by(child: &Child) -> Result<Group> {
        let leader = Pid::from_raw(child.id().try_into().context("a process id is positive")?);
        Ok(Group { leader, reaped: false })
    }

    /// Returns the leader's exit status and usage, if it has ended.
    fn reap(&mut self, block: bool) -> Result<Option<Reaped>> {
        let reaped = reap::reap(self.leader, block);
        // An error means that it is no child of this process any more: its PID may be another process's now.
        self.reaped = !matches!(reaped, Ok(None));
        if let Ok(Some(_)) = reaped {
            signal::forget_ended_children();
        }
        reaped
    }

    /// Kills the group and waits for its leader.
    fn kill(&mut self) -> Result<Reaped> {
        // Until its leader is reaped, the group's number is not reused.
        let _ = killpg(self.leader, Signal::SIGKILL);
        loop {
            if let Some(reaped) = self.reap(true)? {
                return Ok(reaped);
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.kill();
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

    fn finish(script: &str) -> Finished {
        run(&mut shell(script), LONG, || None).unwrap()
    }

    /// Returns true if a process runs, false for a zombie.
    fn runs(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
    }

    /// Runs a command that hangs together with one that it started; returns the result.
    fn hang(patience: Duration, stop: impl Fn(&Path) -> Option<Signal>) -> Finished {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; echo hanging; wait", note.display());
        let finished = run(&mut shell(&script), patience, || stop(&note)).unwrap();
        let grandchild = fs::read_to_string(&note).unwrap();
        let gone = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            !runs(grandchild.trim())
        });
        assert!(gone, "what the command had started is still running");
        assert_eq!(finished.ended, Ended::Killed(Signal::SIGKILL.into()));
        finished
    }

    #[test]
    fn what_a_command_says_and_how_it_ends_is_kept() {
        let _alone = test_lock();
        let finished = finish("echo out; echo no >&2; exit 3");
        assert_eq!((finished.stdout.text().unwrap(), finished.stderr.text().unwrap()), ("out\n", "no\n"));
        assert_eq!((finished.ended, finished.cut_short), (Ended::Exited(3), None));
        let error = finished.check("the tool").unwrap_err().to_string();
        assert_eq!(error, "the tool exited with code 3; it said:\n  out\n  no");
        finish("exit 0").check("the tool").unwrap();
        let error = finish("kill -TERM $$").check("the tool").unwrap_err().to_string();
        assert_eq!(error, "the tool was killed by SIGTERM; it said nothing");
    }

    #[test]
    fn a_command_has_no_stdin() {
        let _alone = test_lock();
        assert_eq!(finish("read -r line || echo none").stdout.text().unwrap(), "none\n");
    }

    #[test]
    fn of_what_is_too_long_the_end_is_kept_and_that_is_known() {
        let _alone = test_lock();
        let exactly = finish("head -c 65536 /dev/zero; head -c 65536 /dev/zero >&2");
        assert_eq!((exactly.stdout.text().unwrap().len(), exactly.stderr.text().unwrap().len()), (65536, 65536));
        let finished = finish("head -c 1000000 /dev/zero; echo last");
        assert!(finished.stdout.tail.ends_with(b"last\n"));
        assert_eq!(finished.stdout.tail.len(), SAID_LIMIT);
        let error = finished.stdout.text().unwrap_err().to_string();
        assert_eq!(error, "65536 bytes of output were expected at most, and 1000005 came");
        assert!(finish("printf '\\377'").stdout.text().unwrap_err().to_string().contains("not UTF-8"));
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_with_what_it_started() {
        let _alone = test_lock();
        let patience = Duration::from_secs(2);
        let finished = hang(patience, |_| None);
        assert_eq!(finished.cut_short, Some(CutShort::TookTooLong(patience)));
        let error = finished.check("the tool").unwrap_err().to_string();
        assert_eq!(error, "the tool took more than 2s and was ended; it said:\n  hanging");
    }

    #[test]
    fn a_command_that_writes_without_end_takes_too_long_too() {
        let _alone = test_lock();
        let patience = Duration::from_secs(1);
        let finished = run(&mut shell("yes; yes >&2"), patience, || None).unwrap();
        assert_eq!(finished.cut_short, Some(CutShort::TookTooLong(patience)));
        assert_eq!(finished.stdout.tail.len(), SAID_LIMIT);
    }

    #[test]
    fn a_wish_to_stop_ends_a_command_with_what_it_started() {
        let _alone = test_lock();
        let finished = hang(LONG, |note| note.exists().then_some(Signal::SIGINT));
        assert_eq!(finished.cut_short, Some(CutShort::Stopped(Signal::SIGINT)));
        assert_eq!(finished.check("the tool").unwrap_err().to_string(), "the tool was ended, as SIGINT came");
    }

    #[test]
    fn a_command_is_done_when_it_ends_whoever_holds_its_pipes() {
        let _alone = test_lock();
        let finished = finish("sleep 1000 & echo $!");
        let left = finished.stdout.text().unwrap().trim();
        assert!(runs(left), "it was waited for");
        nix::sys::signal::kill(Pid::from_raw(left.parse().unwrap()), Signal::SIGKILL).unwrap();
        finish("exec >&- 2>&-; sleep 0.1").check("the tool").unwrap();
    }

    #[test]
    fn the_switches_and_the_time_of_a_command_and_of_what_it_waited_for_are_counted() {
        let _alone = test_lock();
        let idle = finish("exit 0").usage;
        // Each sleep is a voluntary switch of a grandchild.
        let sleeps = finish("for each in 1 2 3 4 5 6 7 8 9 10; do sleep 0.001; done").usage;
        assert!(sleeps.voluntary >= idle.voluntary + 10, "{idle:?} {sleeps:?}");
        let busy = finish("(number=0; while [ $number -lt 200000 ]; do number=$((number + 1)); done)").usage;
        assert!(busy.cpu_ns > 2 * idle.cpu_ns, "{idle:?} {busy:?}");
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let _alone = test_lock();
        let error = run(&mut Command::new("/nonexistent/tool"), LONG, || None).unwrap_err();
        assert!(format!("{error:#}").contains("starting /nonexistent/tool: No such file"), "{error:#}");
    }
}
