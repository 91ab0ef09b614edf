//! Parses, runs one command, prints its error, and exits.

use std::io::Write;
use std::process::ExitCode;

use ctxprof::cli;
use ctxprof::command::{self, Outcome};
use ctxprof::output::safe;
use ctxprof::sys::reap::Ended;
use ctxprof::sys::{signal, stand_in};

/// A regression was found.
const REGRESSION: u8 = 3;
/// Base of a shell's exit code for a program that a signal ended.
const SIGNALLED: u8 = 128;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        // Help and version are "errors" too; clap prints each to its stream.
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(cli::usage_code()) } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match stand_in::without_children() {
        Ok(None) => command::execute(&cli),
        Ok(Some(Ended::Exited(code))) => Ok(Outcome::Passed(code as u8)),
        Ok(Some(Ended::Killed(signal))) => Ok(Outcome::Killed(signal)),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Regression) => ExitCode::from(REGRESSION),
        Ok(Outcome::Passed(code)) => ExitCode::from(code),
        Ok(Outcome::Killed(signal)) => {
            signal::die_of(signal);
            ExitCode::from(SIGNALLED + signal.0 as u8)
        }
        Ok(Outcome::Interrupted(signal)) => ExitCode::from(SIGNALLED + signal as u8),
        Err(error) => {
            // Not eprintln, which panics where stderr is closed; in one write, so that no other process's output comes between.
            let words = format!("{error:#}");
            let _ = std::io::stderr().write_all(format!("ctxprof: {}\n", safe::lines(&words)).as_bytes());
            ExitCode::from(command::failure_code(&cli, &error))
        }
    }
}
