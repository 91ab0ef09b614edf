//! A program started in two steps, so that it can be observed before its first instruction.
//!
//! ```text
//! this process   fork ── reads the child's accounting ── go ───────── learns if exec worked
//! the child       └ becomes the user, waits ─────────────── exec ─ the program
//! ```
#![allow(unsafe_code)]

use std::env;
use std::error::Error;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd;
use nix::unistd::{ForkResult, Pid, User, execvpe, fork, initgroups, pipe2, setresgid, setresuid};

use crate::sys::inbox::Inherited;
use crate::sys::{inherited, reap};

/// A child that waits to become a program. It ends when its parent ends, or when it is dropped.
#[derive(Debug)]
pub struct Suspended {
    pid: Pid,
    go: OwnedFd,
    /// Pipe without data if exec works, which closes it.
    failure: OwnedFd,
    program: OsString,
}

/// Reason why a program was not started, with the shell's exit code for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStarted {
    program: OsString,
    errno: Errno,
}

impl NotStarted {
    /// Returns 127 for a missing program, 126 for one that cannot be executed, as env(1) and shells do.
    pub fn exit_code(&self) -> u8 {
        if self.errno == Errno::ENOENT { 127 } else { 126 }
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = if self.program.is_empty() { "''".into() } else { self.program.to_string_lossy() };
        match self.errno {
            Errno::ENOENT => write!(out, "{program}: no such program"),
            errno => write!(out, "{program} cannot be executed: {}", errno.desc()),
        }
    }
}

impl Error for NotStarted {}

impl Suspended {
    /// Forks a child that will run `command`, as `user` if there is one, with signals as they were inherited.
    ///
    /// To be called while this process has one thread. Unlike a measurement's partner the program does not die with its parent. As
    /// `user`, it gets that user's groups and `HOME`, `USER`, `LOGNAME` and `SHELL`; `PATH` stays.
    ///
    /// # Errors
    /// A word of the command has a NUL in it; `EAGAIN` when `RLIMIT_NPROC` or the cgroup's `pids.max` is reached.
    pub fn start(command: &[OsString], user: Option<&User>, signals: &Inherited) -> Result<Suspended> {
        let words: Vec<CString> = command.iter().map(|word| c_string(word)).collect::<Result<_>>()?;
        let environment = environment(user)?;
        let name = user.map(|user| c_string(OsStr::new(&user.name))).transpose()?;
        let identity = user.zip(name.as_deref());
        let ignores_pipe = inherited::ignores_pipe();
        let (wait, go) = pipe2(OFlag::O_CLOEXEC).context("pipe2")?;
        let (failure, complain) = pipe2(OFlag::O_CLOEXEC).context("pipe2")?;
        // SAFETY: the caller's process has one thread, so the child finds no lock taken and no state half changed; it
        // leaves through exec or _exit, so that no destructor or exit handler of the parent runs twice.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => Ok(Suspended { pid: child, go, failure, program: command[0].clone() }),
            ForkResult::Child => {
                drop((go, failure));
                let become_it = || -> Result<(), Errno> {
                    if let Some((user, name)) = identity {
                        initgroups(name, user.gid)?;
                        setresgid(user.gid, user.gid, user.gid)?;
                        setresuid(user.uid, user.uid, user.uid)?;
                    }
                    // Without its parent's go it must not run: it would not be counted.
                    let mut word = [0];
                    match unistd::read(&wait, &mut word) {
                        Ok(1) => {}
                        _ => return Err(Errno::ECANCELED),
                    }
                    signals.restore()?;
                    if !ignores_pipe {
                        // Rust's runtime ignores it, and exec would inherit that.
                        // SAFETY: no handler is installed, only the default taken back.
                        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
                    }
                    execvpe(&words[0], &words, &environment).map(|_| ())
                };
                if let Err(errno) = become_it() {
                    let _ = unistd::write(&complain, &(errno as i32).to_ne_bytes());
                }
                // SAFETY: _exit only ends the process.
                unsafe { libc::_exit(127) }
            }
        }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets the child become the program, and waits until it has.
    ///
    /// # Errors
    /// [`NotStarted`]; the child has then been waited for.
    pub fn release(self) -> Result<Pid> {
        let told = loop {
            match unistd::write(&self.go, &[1]) {
                Err(Errno::EINTR) => {}
                told => break told,
            }
        };
        if told.is_err() {
            // It has ended already, or ends now without a go: it never becomes a program to wait for.
            drop(self.go);
            while reap::reap(self.pid, true)?.is_none() {}
            return told.map(|_| self.pid).context("telling a program to start");
        }
        let mut errno = [0; 4];
        let said = loop {
            match unistd::read(&self.failure, &mut errno) {
                Err(Errno::EINTR) => {}
                said => break said.context("waiting for a program to start")?,
            }
        };
        if said == 0 {
            return Ok(self.pid);
        }
        while reap::reap(self.pid, true)?.is_none() {}
        Err(NotStarted { program: self.program, errno: Errno::from_raw(i32::from_ne_bytes(errno)) }.into())
    }
}

fn c_string(word: &OsStr) -> Result<CString> {
    CString::new(word.as_bytes()).with_context(|| format!("{word:?} has a NUL in it"))
}

/// Returns this process's environment, with the variables that identify the user set to `user`.
fn environment(user: Option<&User>) -> Result<Vec<CString>> {
    let mut variables: Vec<(OsString, OsString)> = env::vars_os().collect();
    if let Some(user) = user {
        let of_user: [(&str, &OsStr); 4] = [
            ("HOME", user.dir.as_os_str()),
            ("USER", OsStr::new(&user.name)),
            ("LOGNAME", OsStr::new(&user.name)),
            ("SHELL", user.shell.as_os_str()),
        ];
        variables.retain(|(name, _)| of_user.iter().all(|(known, _)| name != known));
        variables.extend(of_user.map(|(name, value)| (name.into(), value.into())));
    }
    let pair = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        c_string(&name)
    };
    variables.into_iter().map(pair).collect()
}
