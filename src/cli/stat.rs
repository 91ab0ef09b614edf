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
    #[arg(required_unless_present_any = ["pid", "cgroup"], conflicts_with_all = ["pid", "cgroup"])]
    pub command: Vec<OsString>,

    /// Attach to PID, or to several (1,2), and their descendants; Ctrl-C ends the watching, not the processes
    #[arg(long, short, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Vec<i32>,

    /// Attach to all processes of this cgroup and of those below it: its folder, or its path as in /proc/PID/cgroup
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    pub cgroup: Option<PathBuf>,

    /// With --pid or --cgroup: for so long, as 500ms, 10s or 1m [default: until it ends]
    #[arg(long = "duration", visible_alias = "for", value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    pub limit: Option<Duration>,

    /// Under sudo: run CMD as the invoking user, or as NAME
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, conflicts_with_all = ["pid", "cgroup"])]
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
    #[arg(long, conflicts_with_all = ["pid", "cgroup"])]
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
    /// Returns true if it watches what runs already.
    pub fn attaches(&self) -> bool {
        !self.pid.is_empty() || self.cgroup.is_some()
    }

    pub fn counts_on_threads(&self) -> bool {
        self.counters == "thread"
    }
}
