//! The command line of `compare`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::OutputArgs;

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Rounds of each tool and the workload beside it, in turn
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,

    /// Run everything on this CPU [default: the strongest and quietest that is allowed]
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,

    /// Also show what go test -bench or perf bench sched pipe printed elsewhere; may be repeated
    #[arg(long, value_name = "FILE")]
    pub with: Vec<PathBuf>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print the report only
    #[arg(long, short)]
    pub quiet: bool,

    /// Two documents, for which there is `ctxprof diff`
    #[arg(hide = true)]
    pub documents: Vec<PathBuf>,
}
