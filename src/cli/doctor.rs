//! The command line of `doctor`.

use clap::Args;

use crate::cli::OutputArgs;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look at this CPU [default: the one that `run` would choose]
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,

    /// Show every check, not only problems
    #[arg(long)]
    pub all: bool,

    /// Exit with 1 if something serious is found
    #[arg(long)]
    pub strict: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}
