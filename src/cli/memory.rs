//! The command line of `memory`.

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::OutputArgs;
use crate::cli::size::size;
use crate::footprint::kind::KINDS;
use crate::footprint::participant::{FUTURE_SIZES, MOST_STACK_USE};

#[derive(Debug, Args)]
pub struct MemoryArgs {
    /// Kinds of participant: thread, process, task, coroutine, goroutine [default: all that can be had here]
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.kind.name())))]
    pub kinds: Vec<String>,

    /// The highest count; others are a half, a quarter and an eighth of it [default: by kind, some tens of megabytes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub max: Option<u64>,

    /// Number of repetitions; participants are restarted for each, and intervals are over these
    #[arg(long, visible_alias = "runs", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repetitions: u32,

    /// Have each participant touch so much of its stack before it waits, as 16KiB (a task has none)
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = stack_use)]
    pub stack_use: usize,

    /// Have each task hold so much state across its await: 64, 256, 512 bytes, 1, 4, 16, 64, 256 KiB
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = future_size)]
    pub future_size: usize,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print the report only
    #[arg(long, short)]
    pub quiet: bool,

    /// Show no progress
    #[arg(long)]
    pub no_progress: bool,
}

/// Arguments of the process that holds the participants of `memory`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    #[arg(value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.kind.name())))]
    pub kind: String,
    pub capacity: usize,
    pub stack_use: usize,
    pub future_size: usize,
    #[arg(long)]
    pub fixed_addresses: bool,
}

fn stack_use(text: &str) -> Result<usize, String> {
    let bytes = size(text)?;
    if bytes > MOST_STACK_USE {
        return Err(format!("must be {} KiB or less: a coroutine's stack has 1 MiB", MOST_STACK_USE >> 10));
    }
    Ok(bytes)
}

fn future_size(text: &str) -> Result<usize, String> {
    let bytes = size(text)?;
    if !FUTURE_SIZES.contains(&bytes) {
        let known: Vec<String> = FUTURE_SIZES.iter().map(ToString::to_string).collect();
        return Err(format!("a future's size is part of its type; there are those of {}", known.join(", ")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stack_or_a_future_cannot_hold_is_refused() {
        assert!(stack_use("1MiB").is_err() && stack_use("768KiB").is_ok());
        assert!(future_size("100").is_err() && future_size("4KiB") == Ok(4096));
    }
}
