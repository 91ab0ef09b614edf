//! The command line of `runs`.

use clap::Args;

use crate::cli::OutputArgs;

#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Remove the oldest runs of this user beyond N, without asking, and print which
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,

    /// With --keep: remove nothing, print what would be removed
    #[arg(long, requires = "keep")]
    pub dry_run: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}
