//! Functions shared by the commands that run a program.

use std::env;

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User, geteuid};

use crate::command::Outcome;
use crate::command::output::say_unless;
use crate::output::safe;
use crate::program::watch::Progress;
use crate::program::watched::{ProgramEnd, Watched};
use crate::sys::signal::SignalNumber;

/// Returns the user to run the command as.
///
/// # Errors
/// This process is not root's, or there is no such user.
pub(super) fn user(asked: Option<&Option<String>>) -> Result<Option<User>> {
    let Some(name) = asked else { return Ok(None) };
    if !geteuid().is_root() {
        bail!("--user takes root: with sudo, the command runs as the one who called sudo");
    }
    let user = match name {
        Some(name) => User::from_name(name)?.with_context(|| format!("there is no user {name:?}"))?,
        None => {
            let id = env::var("SUDO_UID").ok().and_then(|id| id.parse().ok());
            let id = Uid::from_raw(id.context("nobody called sudo (SUDO_UID is not set): name the user, --user=NAME")?);
            User::from_uid(id)?.with_context(|| format!("user {id}, who called sudo, has no name here"))?
        }
    };
    Ok(Some(user))
}

/// Prints events that need an explanation while a program is watched; intervals are shown elsewhere.
pub(super) fn show(told: &Progress, quiet: bool) {
    match told {
        Progress::WaitingFor(names) => {
            let named: Vec<String> =
                names.iter().take(5).map(|(pid, name)| format!("{} ({pid})", safe::line(name))).collect();
            say_unless(
                quiet,
                &format!(
                    "the program has ended; waiting for what it left running: {}. Ctrl-C for the report now, --leave-running not to wait",
                    named.join(", ")
                ),
            );
        }
        Progress::StopPassedOn(signal) => say_unless(
            quiet,
            &format!("{signal} has been passed on to the program, which goes on; the same again for the report now"),
        ),
        Progress::Interval { .. } => {}
    }
}

/// Returns the outcome of a command that has run a program: the program's.
pub(super) fn outcome(watched: &Watched) -> Outcome {
    match watched.ended {
        ProgramEnd::Exited(code) => Outcome::Passed(code as u8),
        ProgramEnd::Killed(signal) => Outcome::Killed(SignalNumber(signal)),
        ProgramEnd::GoesOn => watched.interrupted_by.map_or(Outcome::Done, Outcome::Interrupted),
        ProgramEnd::Gone => Outcome::Done,
    }
}
