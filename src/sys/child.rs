//! Child programs that answer requests through pipes: started, tied to their parent's life, reaped.
#![allow(unsafe_code)]

use std::io;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd;
use nix::unistd::{Pid, getpid, getppid};

use crate::sys::fork::Partner;
use crate::sys::reap::Ended;
use crate::sys::signal;

/// Longest answer unless more is allowed, without its end of line. Requests and answers are a few numbers.
const ANSWER_LIMIT: usize = 256;
/// Bytes kept of the end of a child's stderr.
const COMPLAINTS_LIMIT: usize = 1024;

/// A program that answers each line on its stdin with one on its stdout. It dies with its parent, and is killed and
/// reaped when dropped.
#[derive(Debug)]
pub struct Child {
    // Dropped first, so that it does not see its pipes close.
    process: Partner,
    program: PathBuf,
    questions: OwnedFd,
    answers: OwnedFd,
    complaints: Complaints,
}

impl Child {
    /// Starts a program, without any environment: a `GODEBUG` or `LD_PRELOAD` would change what is measured.
    ///
    /// To be called from the main thread: `PR_SET_PDEATHSIG` fires when the *thread* that forked ends. The program begins
    /// with SIGINT and SIGTERM ignored: a Ctrl-C reaches the whole group, and the parent still waits for an answer.
    ///
    /// # Errors
    /// There is no such program, it may not be executed, or `RLIMIT_NPROC` or `RLIMIT_NOFILE` is reached.
    pub fn start(program: &Path, args: &[&str]) -> Result<Child> {
        let starting = || format!("starting {}", program.display());
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tie_to_life(&mut command);
        // SAFETY: the closure runs between fork and exec, calls sigaction only, and allocates nothing unless that fails,
        // which it cannot for these two signals.
        unsafe { command.pre_exec(|| signal::ignore_stops().map_err(|_| Errno::EINVAL.into())) };
        let mut started = command.spawn().with_context(starting)?;
        let process = Partner::adopt(Pid::from_raw(started.id().try_into().context("a process id is positive")?));
        let (Some(questions), Some(answers), Some(complaints)) =
            (started.stdin.take(), started.stdout.take(), started.stderr.take())
        else {
            unreachable!("three pipes were asked for");
        };
        Ok(Child {
            process,
            program: program.to_path_buf(),
            questions: questions.into(),
            answers: answers.into(),
            complaints: Complaints::of(complaints.into()).with_context(starting)?,
        })
    }

    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Writes a line and returns the line that answers it: one write, and for a prompt child one read.
    ///
    /// # Errors
    /// As [`Child::listen`]; `BrokenPipe` when the child no longer listens.
    pub fn ask(&mut self, question: &str) -> io::Result<String> {
        self.ask_at_length(question, ANSWER_LIMIT)
    }

    /// As [`Child::ask`], where the answer may have up to `limit` bytes.
    ///
    /// # Errors
    /// As [`Child::ask`].
    pub fn ask_at_length(&mut self, question: &str, limit: usize) -> io::Result<String> {
        // A child that writes to stderr and goes on must not block on a full pipe.
        self.complaints.gather();
        tell(&self.questions, &format!("{question}\n")).map_err(|error| self.explain(error))?;
        hear(&self.answers, limit).map_err(|error| self.explain(error))
    }

    /// Waits for a line that the child writes without a request, as when it is ready.
    ///
    /// # Errors
    /// `UnexpectedEof` when the child has ended, with its exit status and its last line on stderr; `InvalidData` when it wrote
    /// something else than one line of UTF-8 with up to 256 bytes; `TimedOut` when the watchdog has stopped the measurement.
    pub fn listen(&mut self) -> io::Result<String> {
        hear(&self.answers, ANSWER_LIMIT).map_err(|error| self.explain(error))
    }

    /// Closes the child's stdin, which must end it, and waits for its end.
    ///
    /// # Errors
    /// The watchdog gave up while waiting.
    pub fn end(self) -> Result<Ended> {
        // The others stay open meanwhile: without a reader, its last output would end it by SIGPIPE.
        let Child { process, program, questions, answers: _answers, complaints: _complaints } = self;
        drop(questions);
        process.wait().with_context(|| format!("ending {}", program.display()))
    }

    /// Returns the error with the child's exit status, where that caused it, and its last line on stderr.
    fn explain(&mut self, error: io::Error) -> io::Error {
        let ended = match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => self.ended_soon(),
            _ => None,
        };
        let child = format!("{} (process {})", self.program.display(), self.pid());
        let mut text = match ended {
            Some(ended) => format!("{child} {ended} instead of answering"),
            None => format!("asking {child}: {error}"),
        };
        self.complaints.gather();
        if let Some(words) = self.complaints.last_line() {
            text = format!("{text}; it said: {words}");
        }
        io::Error::new(error.kind(), text)
    }

    fn ended_soon(&mut self) -> Option<Ended> {
        // Its pipes close a moment before it can be waited for.
        (0..100).find_map(|attempt| {
            if attempt > 0 {
                thread::sleep(Duration::from_millis(1));
            }
            self.process.ended()
        })
    }
}

/// Makes a command's program die with the thread that starts it.
pub fn tie_to_life(command: &mut Command) {
    let starter = getpid();
    let tie = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above: then the signal would never be sent.
        if getppid() == starter { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: the closure runs between fork and exec; it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(tie) };
}

fn tell(writer: &OwnedFd, text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match unistd::write(writer, left) {
            Ok(length) => left = &left[length..],
            Err(Errno::EINTR) => signal::check_not_stalled()?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Waits in read(2) itself: a poll before it would be a second call for every answer.
fn hear(reader: &OwnedFd, limit: usize) -> io::Result<String> {
    let mut bytes = vec![0; limit + 1];
    let mut filled = 0;
    loop {
        let known = filled;
        match unistd::read(reader, &mut bytes[filled..]) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed its stdout")),
            Ok(length) => filled += length,
            Err(Errno::EINTR) => {
                signal::check_not_stalled()?;
                continue;
            }
            Err(errno) => return Err(errno.into()),
        }
        let said = &bytes[..filled];
        match said[known..].iter().position(|&byte| byte == b'\n').map(|at| known + at) {
            Some(end) if end + 1 == filled => {
                return str::from_utf8(&said[..end]).map(String::from).map_err(|_| garbage("no UTF-8", said));
            }
            // After an unrequested second line every later answer would be taken for that of the next request.
            Some(_) => return Err(garbage("more than one line", said)),
            None if filled == bytes.len() => return Err(garbage(&format!("more than {limit} bytes"), said)),
            None => {}
        }
    }
}

fn garbage(what: &str, said: &[u8]) -> io::Error {
    let begin: String = String::from_utf8_lossy(said).chars().take(40).collect();
    io::Error::new(ErrorKind::InvalidData, format!("its answer is {what}, beginning with {begin:?}"))
}

/// The end of a child's stderr.
#[derive(Debug)]
struct Complaints {
    reader: OwnedFd,
    tail: Vec<u8>,
}

impl Complaints {
    fn of(reader: OwnedFd) -> Result<Complaints> {
        // Only this end: the child's end of a pipe has its own flags.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("fcntl(O_NONBLOCK)")?;
        Ok(Complaints { reader, tail: Vec::new() })
    }

    /// Reads what is available, without waiting.
    fn gather(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = unistd::read(&self.reader, &mut bytes) {
            self.tail.extend_from_slice(&bytes[..length]);
            let surplus = self.tail.len().saturating_sub(COMPLAINTS_LIMIT);
            self.tail.drain(..surplus);
        }
    }

    fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.tail);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(line.trim().chars().filter(|char| !char.is_control()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_lock;
    use nix::sys::signal::kill;
    use std::fs;
    use std::os::fd::AsRawFd;

    const ECHO: &str = "while read -r line; do echo \"$line\"; done";

    fn shell(script: &str) -> Child {
        Child::start(Path::new("/bin/sh"), &["-c", script]).unwrap()
    }

    fn check_refused(script: &str, kinds: &[ErrorKind], words: &[&str]) {
        let error = shell(script).ask("play 1").unwrap_err();
        assert!(kinds.contains(&error.kind()), "{script:?}: {error:?}");
        for word in words {
            assert!(error.to_string().contains(word), "{word:?} is not in {error}");
        }
    }

    #[test]
    fn every_question_has_its_answer_and_the_end_of_stdin_ends_the_child() {
        let _alone = test_lock();
        let mut child = shell(&format!("echo ready $$; {ECHO}; exit 7"));
        assert_eq!(child.listen().unwrap(), format!("ready {}", child.pid()));
        for question in ["one", "", "two words, and ünïcode"] {
            assert_eq!(child.ask(question).unwrap(), question);
        }
        assert_eq!(child.end().unwrap(), Ended::Exited(7));
    }

    #[test]
    fn the_end_of_a_child_is_the_cause_of_a_missing_answer() {
        let _alone = test_lock();
        // It may end before the request or before the answer.
        let gone = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe];
        check_refused("exit 3", &gone, &["/bin/sh", "exited with code 3 instead of answering"]);
        check_refused("echo first >&2; echo last >&2; exit 3", &gone, &["exited with code 3", "it said: last"]);
        check_refused("read line; kill -KILL $$", &gone, &["was killed by SIGKILL"]);
        check_refused("exec >&-; read line; read line", &gone[..1], &["it closed its stdout"]);
    }

    #[test]
    fn an_answer_is_one_short_line_of_text() {
        let _alone = test_lock();
        let garbled = [ErrorKind::InvalidData];
        check_refused("read line; printf '%0300d\\n' 1; read line", &garbled, &["more than 256 bytes", "\"0000"]);
        check_refused("read line; printf '1\\n2\\n'; read line", &garbled, &["more than one line"]);
        check_refused("read line; printf '\\377\\n'; read line", &garbled, &["no UTF-8"]);
        let longest = shell("read line; printf '%0256d\\n' 1").ask("play 1").unwrap();
        assert_eq!(longest.len(), ANSWER_LIMIT);
        // More than a pipe holds, in many reads.
        let long = shell("read line; printf '%0200000d\n' 1").ask_at_length("play 1", 200_000).unwrap();
        assert_eq!(long.len(), 200_000);
        let error = shell("read line; printf '%0200001d\n' 1").ask_at_length("play 1", 200_000).unwrap_err();
        assert!(error.to_string().contains("more than 200000 bytes"), "{error}");
    }

    #[test]
    fn an_answer_may_come_in_pieces() {
        let _alone = test_lock();
        assert_eq!(shell("read line; printf 1; sleep 0.05; printf '2\\n'").ask("play 1").unwrap(), "12");
    }

    #[test]
    fn a_child_that_complains_without_end_still_answers() {
        let _alone = test_lock();
        // Together more than a pipe holds, which is 64 KiB.
        let mut child = shell("while read -r line; do printf '%050000d\\nenough\\n' 0 >&2; echo done; done");
        for _ in 0..4 {
            assert_eq!(child.ask("play 1").unwrap(), "done");
        }
        child.complaints.gather();
        assert_eq!(child.complaints.last_line().unwrap(), "enough");
        assert!(child.complaints.tail.len() <= COMPLAINTS_LIMIT);
    }

    #[test]
    fn a_dropped_child_is_gone_and_no_file_is_left() {
        let _alone = test_lock();
        let open = || -> Vec<PathBuf> {
            let entries = fs::read_dir("/proc/self/fd").unwrap();
            entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
        };
        for end in [drop, |child| assert_eq!(child.end().unwrap(), Ended::Exited(0))] as [fn(Child); 2] {
            let child = shell(ECHO);
            let pid = child.pid();
            // By name rather than number: other tests open files meanwhile.
            let pipes = [&child.questions, &child.answers, &child.complaints.reader]
                .map(|pipe| fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).unwrap());
            assert!(pipes.iter().all(|pipe| open().contains(pipe)));
            end(child);
            assert_eq!(kill(pid, None), Err(Errno::ESRCH));
            assert!(pipes.iter().all(|pipe| !open().contains(pipe)));
        }
    }

    #[test]
    fn a_child_ignores_the_signals_that_stop_its_starter() {
        let _alone = test_lock();
        let mut child = shell(ECHO);
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            kill(child.pid(), signal).unwrap();
            assert_eq!(child.ask("still there").unwrap(), "still there");
        }
    }

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let _alone = test_lock();
        let mut child = thread::spawn(|| shell(ECHO)).join().unwrap();
        let ended = (0..100).find_map(|_| child.ended_soon());
        assert_eq!(ended, Some(Ended::Killed(Signal::SIGKILL.into())));
    }

    #[test]
    fn a_child_has_no_environment() {
        let _alone = test_lock();
        assert_eq!(shell("read line; echo \"home: $HOME\"").ask("where").unwrap(), "home: ");
    }

    #[test]
    fn a_program_that_cannot_be_started_is_named() {
        let _alone = test_lock();
        let error = Child::start(Path::new("/nonexistent/program"), &[]).unwrap_err();
        assert!(format!("{error:#}").contains("starting /nonexistent/program: No such file"), "{error:#}");
    }
}
