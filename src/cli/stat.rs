//! The command line of `stat`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::OutputArgs;
use crate::cli::duration::{duration, interval};

#[derive(Debug, Args)]
pub struct StatArgs {
    /// The program to run, with its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    #[arg(required_unless_present = "pid", conflicts_with = "pid")]
    pub command: Vec<OsString>,

    /// Watch this process, which runs already, and what comes from it; Ctrl-C ends the watching, not the process
    #[arg(long, short, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,

    /// With --pid: for so long, as 500ms, 10s or 1m [default: until it ends]
    #[arg(long = "duration", visible_alias = "for", value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    pub limit: Option<Duration>,

    /// Under sudo: run CMD as the invoking user, or as NAME
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, conflicts_with = "pid")]
    pub user: Option<Option<String>>,

    /// The program did so many operations: show everything per op, too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub ops: Option<u64>,

    /// Print counts every TIME, as 500ms or 2s
    #[arg(long, short = 'I', value_name = "TIME", value_parser = interval)]
    pub interval: Option<Duration>,

    /// Show every thread by itself, not all of one name together
    #[arg(long)]
    pub per_thread: bool,

    /// auto: kernel accounting, at no cost; thread: perf's counters too, which slow every switch
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = PossibleValuesParser::new(["auto", "thread"]))]
    pub counters: String,

    /// Saved run to take switch costs from; calibrate: measure them afterwards; none [default: the last saved run, and
    /// what it lacks calibrated]
    #[arg(long, value_name = "RUN")]
    pub cost: Option<PathBuf>,

    /// End with CMD, and leave running what it leaves running (daemons); counted up to then
    #[arg(long, conflicts_with = "pid")]
    pub leave_running: bool,

    /// Do without the kernel's record of every thread that ends, which takes that thread 2 µs
    #[arg(long)]
    pub no_exit_records: bool,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print the report only
    #[arg(long, short)]
    pub quiet: bool,
}

impl StatArgs {
    pub fn counts_on_threads(&self) -> bool {
        self.counters == "thread"
    }
}
