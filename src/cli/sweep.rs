//! The command line of `sweep`.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::bench::engine::plan::Effort;
use crate::cli::OutputArgs;
use crate::cli::measure::MeasureArgs;
use crate::cli::run::MOST_PARTICIPANTS;
use crate::cli::size::size;
use crate::host::placement::PlaceChoice;
use crate::workload::shape::{RingShape, RingSteps, RingVariable};
use crate::workload::{self, WORKLOADS, Workload};

/// More would take hours, and no doubling sweep needs them.
const MOST_STEPS: usize = 64;
/// First step after 0: a page.
const FIRST_WORKING_SET: u64 = 4096;
const ROW_TIME: Duration = Duration::from_millis(300);
/// Default number of repetitions of a row.
pub(super) const REPETITIONS: &str = "6";

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Variable of the sweep: the size of the ring, or the memory that each of its participants walks on its turn
    #[arg(value_parser = PossibleValuesParser::new(RingVariable::ALL.map(RingVariable::name)).map(variable))]
    pub variable: RingVariable,

    /// From where to where, in doubling steps, both ends included: 2..4096, or 0..8M (after 0: 4K)
    #[arg(value_name = "FROM..TO", value_parser = ends)]
    pub range: Ends,

    #[command(flatten)]
    pub measure: MeasureArgs,

    /// In a sweep of the working set: size of the ring [default: 2]
    #[arg(long = "ring", value_name = "N", value_parser = clap::value_parser!(u64).range(RingShape::FEWEST..=MOST_PARTICIPANTS))]
    pub participants: Option<u64>,

    /// In a sweep of the ring: memory that each participant walks on its turn, e.g. 64KiB [default: none]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub working_set: Option<usize>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print the report only
    #[arg(long, short)]
    pub quiet: bool,

    /// Show no progress
    #[arg(long)]
    pub no_progress: bool,
}

/// Both ends of a range, the first no larger than the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub from: u64,
    pub to: u64,
}

impl SweepArgs {
    /// Returns the rings to measure.
    ///
    /// # Errors
    /// The range does not fit what is varied, or an option sets what is varied already.
    pub fn steps(&self) -> Result<RingSteps, String> {
        let Ends { from, to } = self.range;
        let fixed = RingShape {
            participants: self.participants.unwrap_or(RingShape::FEWEST),
            working_set_bytes: self.working_set.unwrap_or(0) as u64,
        };
        match self.variable {
            RingVariable::Participants if self.participants.is_some() => {
                return Err("a sweep of the ring takes its sizes from the range: leave out --ring".to_string());
            }
            RingVariable::WorkingSet if self.working_set.is_some() => {
                return Err(
                    "a sweep of the working set has its sizes from the range: leave out --working-set".to_string()
                );
            }
            RingVariable::Participants if from < RingShape::FEWEST => {
                return Err(format!(
                    "a ring has {} participants or more: try {}..{to}",
                    RingShape::FEWEST,
                    RingShape::FEWEST
                ));
            }
            RingVariable::Participants if to > MOST_PARTICIPANTS => {
                return Err(format!("{to} participants are more than any machine has memory for"));
            }
            _ => {}
        }
        if self.measure.place == PlaceChoice::All {
            return Err("a sweep is of one placement: name it, or leave out --place".to_string());
        }
        let steps = doubled(from, to);
        if steps.len() > MOST_STEPS {
            return Err(format!("{} steps are too many, {MOST_STEPS} would do", steps.len()));
        }
        Ok(RingSteps { variable: self.variable, steps, fixed })
    }

    /// Returns the requested workloads: `all`, a kind and a glob select those of them that can be rings; without a word, the defaults.
    ///
    /// # Errors
    /// None of them can be a ring, or one that was named cannot.
    pub fn selected(&self) -> Result<Vec<&'static Workload>, String> {
        let is_ring = |workload: &&'static Workload| workload.ring.is_some();
        let is_named = |workload: &&'static Workload| self.measure.workloads.iter().any(|word| word == workload.name);
        let asked = self.measure.selected();
        let no_ring = asked.iter().copied().find(|workload| is_named(workload) && !is_ring(workload));
        let rings: Vec<&'static Workload> = if self.measure.workloads.is_empty() {
            workload::defaults().filter(is_ring).collect()
        } else {
            asked.into_iter().filter(is_ring).collect()
        };
        if no_ring.is_none() && !rings.is_empty() {
            return Ok(rings);
        }
        let known: Vec<&str> = WORKLOADS.iter().filter(is_ring).map(|workload| workload.name).collect();
        let what = no_ring.map_or("nothing of this can".to_string(), |workload| format!("{} cannot", workload.name));
        Err(format!("{what} be a ring; those that can are {}", known.join(", ")))
    }

    pub fn effort(&self) -> Effort {
        self.measure.effort(ROW_TIME)
    }
}

fn variable(name: String) -> RingVariable {
    RingVariable::ALL.into_iter().find(|variable| variable.name() == name).unwrap_or(RingVariable::Participants)
}

/// Parses `FROM..TO`, each a number of things or a size; `FROM..=TO` is the same.
fn ends(text: &str) -> Result<Ends, String> {
    let (from, to) = text.split_once("..").ok_or("not a range; write it as 2..4096 or 0..8M")?;
    let end = |text: &str| size(text.trim()).map_err(|reason| format!("{text:?} is {reason}"));
    let ends = Ends { from: end(from)? as u64, to: end(to.strip_prefix('=').unwrap_or(to))? as u64 };
    if ends.from > ends.to {
        return Err(format!("goes down; write it as {to}..{from}"));
    }
    Ok(ends)
}

/// Returns steps that double each time, and the end of the range wherever it falls.
fn doubled(from: u64, to: u64) -> Vec<u64> {
    let next = |&step: &u64| if step == 0 { Some(FIRST_WORKING_SET) } else { step.checked_mul(2) };
    let mut steps: Vec<u64> = std::iter::successors(Some(from), next).take_while(|&step| step < to).collect();
    steps.push(to);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse_from};
    use proptest::prelude::*;

    fn steps(line: &str) -> Vec<u64> {
        match parse_from(line.split_whitespace()).unwrap().command {
            Command::Sweep(args) => args.steps().unwrap().steps,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steps_double_and_both_ends_are_among_them() {
        assert_eq!(steps("ctxprof sweep ring 2..16"), [2, 4, 8, 16]);
        assert_eq!(steps("ctxprof sweep ring 3..=20"), [3, 6, 12, 20]);
        assert_eq!(steps("ctxprof sweep ring 2..2"), [2]);
        assert_eq!(steps("ctxprof sweep working-set 0..16K"), [0, 4096, 8192, 16_384]);
        assert_eq!(steps("ctxprof sweep working-set 0..1000"), [0, 1000]);
        assert_eq!(steps("ctxprof sweep working-set 0..0"), [0]);
        assert_eq!(steps("ctxprof sweep working-set 64KiB..100KiB"), [65_536, 102_400]);
        assert_eq!(steps("ctxprof sweep working-set 0..8M").len(), 13);
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused_with_what_would() {
        for (line, words) in [
            ("ctxprof sweep", "FROM..TO"),
            ("ctxprof sweep threads 2..4", "ring"),
            ("ctxprof sweep ring", "FROM..TO"),
            ("ctxprof sweep ring 2", "2..4096"),
            ("ctxprof sweep ring 16..2", "2..16"),
            ("ctxprof sweep ring 1..8", "try 2..8"),
            ("ctxprof sweep ring 0..8", "2 participants or more"),
            ("ctxprof sweep ring 2..many", "not a size"),
            ("ctxprof sweep ring -2..4", "-2"),
            ("ctxprof sweep ring 2..", "not a size"),
            ("ctxprof sweep ring 2..99999999999", "more than any machine"),
            ("ctxprof sweep working-set 1..18446744073709551615", "too many"),
            ("ctxprof sweep ring 2..4 --ring 2", "leave out --ring"),
            ("ctxprof sweep working-set 0..4K --working-set 4K", "leave out --working-set"),
            ("ctxprof sweep ring 2..4 --place all", "one placement"),
            ("ctxprof sweep ring 2..4 thread-yield", "thread-yield"),
            ("ctxprof sweep ring 2..4 reference", "those that can"),
            ("ctxprof sweep ring 2..4 thred-pipe", "thread-pipe"),
        ] {
            let error = parse_from(line.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(words), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = ends(&text);
        }

        #[test]
        fn any_range_ascends_from_end_to_end(one in any::<u64>(), other in any::<u64>()) {
            let (from, to) = (one.min(other), one.max(other));
            let steps = doubled(from, to);
            prop_assert_eq!((steps[0], steps[steps.len() - 1]), (from, to));
            prop_assert!(steps.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
