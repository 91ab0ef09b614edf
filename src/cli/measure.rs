//! Options shared by the commands that measure workloads: which, where, for how long, and the counting of switches.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::bench::engine::plan::Effort;
use crate::cli::duration::{duration, patience};
use crate::cli::word::{Offering, WorkloadWord, places, policies};
use crate::host::placement::PlaceChoice;
use crate::perf::fallback_chain::CounterChoice;
use crate::sys::policy::Policy;
use crate::workload::{self, Workload};

/// A longer sample would take seconds without progress, without reacting to Ctrl-C, and looking like a hang.
const MOST_OPS: u64 = 1_000_000;

#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Workloads: names, kinds, globs, or `all` [default: those marked * in `ctxprof list`]
    #[arg(value_name = "WORKLOAD", value_parser = WorkloadWord, hide_possible_values = true)]
    pub workloads: Vec<String>,

    /// Run the participants on this CPU, with --place the first of them [default: the strongest and quietest that is allowed]
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,

    /// Where the participants run: same CPU, smt, llc, socket or cross, by what two CPUs share; two CPUs, as 0,1; or all
    #[arg(long, value_name = "WHERE", default_value = "same", hide_possible_values = true, value_parser = Offering { parser: str::parse::<PlaceChoice>, words: places })]
    pub place: PlaceChoice,

    /// Scheduling policy of the participants: other, batch, idle, fifo:PRIORITY, rr:PRIORITY [default: as inherited]
    #[arg(long, value_name = "POLICY", hide_possible_values = true, value_parser = Offering { parser: str::parse::<Policy>, words: policies })]
    pub policy: Option<Policy>,

    /// Nice value of the participants, -20 to 19 [default: as inherited]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub nice: Option<i32>,

    /// Number of repetitions; participants are restarted for each, and intervals are over these
    #[arg(long, visible_alias = "runs", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repetitions: u32,

    /// Time for each workload, as 500ms or 2s [default: 800ms, of a sweep 300ms, or as long as --samples takes]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,

    /// Samples per repetition [default: as many as the time allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub samples: Option<u32>,

    /// Ops per sample [default: calibrated to 0.25 ms, across CPUs to 1 ms, of rings of threads and processes to 4 ms]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_OPS))]
    pub ops_per_sample: Option<u64>,

    /// Repeat the order of the rounds and the places in memory of the run that has this seed in its document [default: a new one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,

    /// Time to wait at most for the CPU to reach its full speed, as known from saved runs; not part of --time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    pub patience: Duration,

    /// Counters of kernel switches: CPU-wide, on participants' threads, by getrusage, or not
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = PossibleValuesParser::new(CounterChoice::ALL.map(CounterChoice::name)))]
    pub counters: String,
}

impl MeasureArgs {
    /// Returns the requested workloads, each once, in the order of the first words that select them; empty if none was named.
    pub fn selected(&self) -> Vec<&'static Workload> {
        let mut selected: Vec<&'static Workload> = Vec::new();
        for workload in self.workloads.iter().flat_map(|word| workload::meant_by(word)) {
            if selected.iter().all(|other| other.name != workload.name) {
                selected.push(workload);
            }
        }
        selected
    }

    /// Returns the effort for each row: `default` unless a time or a number of samples was given.
    pub fn effort(&self, default: Duration) -> Effort {
        let time = self.time.or_else(|| self.samples.is_none().then_some(default));
        Effort { time, samples: self.samples }
    }

    /// Returns the requested way of counting.
    pub fn counter_choice(&self) -> CounterChoice {
        CounterChoice::ALL.into_iter().find(|choice| choice.name() == self.counters).unwrap_or(CounterChoice::Auto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse_from};
    use crate::host::placement::Placement;
    use crate::workload::WORKLOADS;

    const A_SECOND: Duration = Duration::from_secs(1);

    fn run_args(line: &str) -> Result<MeasureArgs, clap::Error> {
        let cli = parse_from(line.split_whitespace())?;
        match cli.command {
            Command::Run(args) => Ok(args.measure),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_said_means_the_defaults_for_so_long_each() {
        let args = run_args("ctxprof run").unwrap();
        assert!(args.selected().is_empty());
        assert_eq!(
            (args.repetitions, args.effort(A_SECOND), args.place),
            (10, Effort { time: Some(Duration::from_secs(1)), samples: None }, PlaceChoice::At(Placement::Same))
        );
    }

    #[test]
    fn a_number_of_samples_lifts_the_time_limit_unless_both_are_given() {
        assert_eq!(
            run_args("ctxprof run --samples 7").unwrap().effort(A_SECOND),
            Effort { time: None, samples: Some(7) }
        );
        let both = run_args("ctxprof run --samples 7 --time 0.5").unwrap().effort(A_SECOND);
        assert_eq!(both, Effort { time: Some(Duration::from_millis(500)), samples: Some(7) });
    }

    #[test]
    fn a_workload_meant_twice_is_measured_once() {
        let names = |line: &str| {
            let selected = run_args(line).unwrap().selected();
            selected.iter().map(|workload| workload.name).collect::<Vec<_>>()
        };
        assert_eq!(names("ctxprof run task-channel thread-pipe task-channel"), ["task-channel", "thread-pipe"]);
        assert_eq!(
            names("ctxprof run process-futex process"),
            ["process-futex", "process-pipe", "process-yield", "process-pipe-ibpb", "process-pipe-cgroups"]
        );
        assert_eq!(names("ctxprof run all").len(), WORKLOADS.len());
    }
}
