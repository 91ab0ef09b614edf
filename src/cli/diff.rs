//! The command line of `diff`, and of the gate that `run --baseline` shares with it.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::change::diff;
use crate::change::rows::DiffSettings;
use crate::cli::OutputArgs;

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier run and the later one; - is stdin [default: the last two comparable ones that were saved]
    #[arg(value_name = "FILE", num_args = 0..=2, conflicts_with_all = ["old", "new"])]
    pub files: Vec<PathBuf>,

    /// The earlier runs
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "new")]
    pub old: Vec<PathBuf>,

    /// The later runs
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "old")]
    pub new: Vec<PathBuf>,

    #[command(flatten)]
    pub gate: GateArgs,

    /// Refuse to compare what differs in these
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = PossibleValuesParser::new(diff::keys()))]
    pub require_same: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Thresholds and exit codes of a comparison.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// Changes that are surely smaller than this count as none
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "3")]
    pub margin: f64,

    /// Exit with 3 if a row is slower by more than this, beyond its interval
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fail_above: Option<f64>,

    /// Exit with 3 also if that, or without --fail-above the verdict, cannot be told: more runs are needed
    #[arg(long)]
    pub fail_undecided: bool,

    /// Let rows of the old side be missing; without, nothing passes --fail-above then
    #[arg(long)]
    pub allow_missing: bool,
}

impl GateArgs {
    /// Returns the settings as a diff saves them.
    pub fn settings(&self) -> DiffSettings {
        DiffSettings {
            margin: self.margin,
            fail_above: self.fail_above,
            fail_undecided: self.fail_undecided,
            allow_missing: self.allow_missing,
            ..DiffSettings::default()
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').parse().map_err(|_| "not a number of per cent".to_string())?;
    if !(0.0..=1000.0).contains(&percent) {
        return Err("must be between 0 and 1000 per cent".to_string());
    }
    Ok(percent / 100.0)
}
