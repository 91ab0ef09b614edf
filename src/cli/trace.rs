//! The command line of `trace`.

use std::ffi::OsString;

use clap::Args;

use crate::cli::OutputArgs;

#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The program to run, with its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true, required = true)]
    pub command: Vec<OsString>,

    /// Under sudo: run CMD as the invoking user, or as NAME
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub user: Option<Option<String>>,

    /// Show every thread by itself, not all of one name together (JSON, --wide)
    #[arg(long)]
    pub per_thread: bool,

    /// Exit when CMD exits; do not wait for daemons it started
    #[arg(long)]
    pub leave_running: bool,

    /// Do not measure what tracing costs, which takes half a second after CMD's end
    #[arg(long)]
    pub no_cost: bool,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print the report only
    #[arg(long, short)]
    pub quiet: bool,
}
