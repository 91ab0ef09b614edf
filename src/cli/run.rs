//! The command line of `run`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::diff::GateArgs;
use crate::cli::measure::MeasureArgs;
use crate::cli::size::size;
use crate::cli::{OutputArgs, SortKey};
use crate::workload::shape::RingShape;

/// More would not fit into any machine's memory.
pub(super) const MOST_PARTICIPANTS: u64 = 1_000_000_000;

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub measure: MeasureArgs,

    /// Measure a ring of N instead of a pair: each hands one token on to the next, an op is one hop [default with --working-set: 2]
    #[arg(long = "ring", value_name = "N", value_parser = clap::value_parser!(u64).range(RingShape::FEWEST..=MOST_PARTICIPANTS))]
    pub participants: Option<u64>,

    /// Memory that each walks on its turn, e.g. 64KiB: net costs are then of the switch and of cache misses
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub working_set: Option<usize>,

    /// Worker threads of task-multi
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,

    /// Also time ops one by one: p50 to p99.9 and the longest, and a histogram; takes as much time again
    #[arg(long, conflicts_with_all = ["participants", "working_set"])]
    pub latency: bool,

    /// Split an op of threads and processes into calls, wake-ups and switches, from the kernel's records of each switch
    #[arg(long, conflicts_with_all = ["participants", "working_set"])]
    pub breakdown: bool,

    /// Draw one typical op of threads and processes: who ran for how long, and why it left the CPU
    #[arg(long, conflicts_with_all = ["participants", "working_set"])]
    pub timeline: bool,

    #[command(flatten)]
    pub output: OutputArgs,

    /// The order of the rows
    #[arg(long, value_enum, default_value_t = SortKey::List, value_name = "KEY")]
    pub sort: SortKey,

    /// Compare with this saved run when done, as `ctxprof diff` does
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    #[command(flatten)]
    pub gate: GateArgs,

    /// Also write the raw samples to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub samples_out: Option<PathBuf>,

    /// Do not save this run, nor add it to the history
    #[arg(long)]
    pub no_save: bool,

    /// History of earlier runs, from which ± is computed and to which this one is added [default: beside the saved runs]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// Print the report only: no progress, no line about where it was saved
    #[arg(long, short)]
    pub quiet: bool,

    /// Show no progress
    #[arg(long)]
    pub no_progress: bool,
}

impl RunArgs {
    /// Returns the requested ring; `None` for pairs.
    pub fn ring(&self) -> Option<RingShape> {
        let is_asked = self.participants.is_some() || self.working_set.is_some();
        is_asked.then(|| RingShape {
            participants: self.participants.unwrap_or(RingShape::FEWEST),
            working_set_bytes: self.working_set.unwrap_or(0) as u64,
        })
    }
}
