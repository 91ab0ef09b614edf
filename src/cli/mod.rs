//! The command line: parsed by clap, with every list of values from its registry.

pub mod compare;
pub mod diff;
pub mod doctor;
mod duration;
pub mod explain;
mod help;
pub mod measure;
pub mod memory;
pub mod run;
pub mod runs;
mod size;
pub mod stat;
mod suggestion;
pub mod sweep;
pub mod trace;
mod word;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::compare::CompareArgs;
use crate::cli::diff::DiffArgs;
use crate::cli::doctor::DoctorArgs;
use crate::cli::explain::ExplainArgs;
use crate::cli::help::{
    COMPARE_EXAMPLES, DIFF_EXAMPLES, DOCTOR_EXAMPLES, EXAMPLES, EXPLAIN_EXAMPLES, GROUPS, MEMORY_EXAMPLES,
    RUN_EXAMPLES, RUNS_EXAMPLES, STAT_EXAMPLES, SWEEP_EXAMPLES, TRACE_EXAMPLES,
};
use crate::cli::memory::{HoldArgs, MemoryArgs};
use crate::cli::run::RunArgs;
use crate::cli::runs::RunsArgs;
use crate::cli::stat::StatArgs;
use crate::cli::suggestion::{named_command, with_suggestion};
use crate::cli::sweep::SweepArgs;
use crate::cli::trace::TraceArgs;
use crate::output::{self, CSV, FORMATS};
use crate::text::STANDARD;

/// Measure what context switches cost: on this host, and in your program.
#[derive(Debug, Parser)]
#[command(name = "ctxprof", version, max_term_width = 100, arg_required_else_help = true)]
#[command(help_template = "{about}\n\n{usage-heading} {usage}\n\n{before-help}Options:\n{options}{after-help}\n")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// When to color
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When output is colored; `auto` also respects NO_COLOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure what a context switch costs here, by mechanism (start here)
    #[command(after_help = RUN_EXAMPLES)]
    #[command(mut_arg("fail_above", |arg| arg.requires("baseline").help_heading(BESIDE)))]
    #[command(mut_arg("fail_undecided", |arg| arg.requires("baseline").help_heading(BESIDE)))]
    #[command(mut_arg("allow_missing", |arg| arg.requires("baseline").help_heading(BESIDE)))]
    #[command(mut_arg("margin", |arg| arg.help_heading(BESIDE)))]
    Run(RunArgs),
    /// Count a program's switches, at no cost to it, and what they cost it
    #[command(after_help = STAT_EXAMPLES, mut_arg("format", |arg| arg.help("The form on stderr")))]
    #[command(mut_arg("output", |arg| arg.help(format!("Write it to this file instead, in the form of its suffix ({}); - is stdout, in the form of --format; may be repeated", output::suffixes()))))]
    Stat(StatArgs),
    /// Record why a program's threads leave the CPU, and what wakes them
    #[command(after_help = TRACE_EXAMPLES, mut_arg("format", |arg| arg.help("The form on stderr")))]
    #[command(mut_arg("output", |arg| arg.help(format!("Write it to this file instead, in the form of its suffix ({}); - is stdout, in the form of --format; may be repeated", output::suffixes()))))]
    Trace(TraceArgs),
    /// Measure a switch by the number of participants, or by the memory that each walks; see where it knees
    #[command(after_help = SWEEP_EXAMPLES)]
    #[command(mut_arg("workloads", |arg| arg.help("What to measure: names, kinds, globs, or `all`, of those that can be rings [default: those marked * in `ctxprof list` that can]")))]
    #[command(mut_arg("place", |arg| arg.help("Where the participants run: same CPU, smt, llc, socket or cross, by what two CPUs share; or two CPUs, as 0,1")))]
    #[command(mut_arg("repetitions", |arg| arg.default_value(sweep::REPETITIONS)))]
    #[command(mut_arg("time", |arg| arg.help("Time for each row, as 500ms or 2s [default: 300ms, or as long as --samples takes]")))]
    Sweep(SweepArgs),
    /// Measure what one more thread, process, task, coroutine or goroutine takes in memory
    #[command(after_help = MEMORY_EXAMPLES)]
    Memory(MemoryArgs),
    /// Hold participants for `memory`, which starts this by itself
    #[command(hide = true)]
    Hold(HoldArgs),
    /// Look for what makes the numbers worse on this host, and the commands that change it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// List workloads and counters, each available here or not, and why
    List(OutputArgs),
    /// Set perf bench and go test beside ctxprof, with their switches counted
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// Compare two saved runs: faster, slower, the same or undecided, and what else differs
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Show a saved run again, or raw samples worked out again
    Report(ReportArgs),
    /// List saved runs, and remove the oldest
    #[command(after_help = RUNS_EXAMPLES)]
    Runs(RunsArgs),
    /// Explain a column, reason, check or term
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell that is to use it
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man {
        /// The page of this command
        command: Option<String>,
    },
}

/// Heading of the options of `run` that need a baseline.
const BESIDE: &str = "With --baseline";

/// Exit code of a command that runs a program when it fails itself, as of env(1) and timeout(1): other codes are its program's.
pub const PROGRAM_FAILED: u8 = 125;
/// The commands that run a program.
const OF_PROGRAMS: [&str; 2] = ["stat", "trace"];

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A file that ctxprof wrote, or - for stdin [default: the last saved run]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// The order of the rows
    #[arg(long, value_enum, default_value_t = SortKey::List, value_name = "KEY")]
    pub sort: SortKey,
}

/// Order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// As `ctxprof list` has them
    List,
    /// By the cost of a switch, the lowest first; then what makes none
    Cost,
}

/// Destination and format of a report.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The form on stdout
    #[arg(long, value_name = "FORMAT", default_value = FORMATS[0].name, value_parser = PossibleValuesParser::new(FORMATS.iter().map(|format| format.name)))]
    pub format: String,

    #[arg(long, short, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(output_file), help = format!("Also write it to this file, in the form of its suffix ({}); - is stdout, in the form of --format; may be repeated", output::suffixes()))]
    pub output: Vec<PathBuf>,

    /// The table that CSV has, as `latency`; an unknown name lists them [default: the first]
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// Show more columns
    #[arg(long)]
    pub wide: bool,
}

/// Parses the command line; an error suggests the nearest name.
///
/// # Errors
/// Wrong usage; a request for help or the version, which clap treats alike.
pub fn parse() -> Result<Cli, clap::Error> {
    parse_from(std::env::args_os())
}

/// Returns the exit code of a wrong command line.
pub fn usage_code() -> u8 {
    const WRONG_USAGE: u8 = 2;
    let words: Vec<OsString> = std::env::args_os().collect();
    let runs_program = named_command(&words).is_some_and(|word| OF_PROGRAMS.iter().any(|name| word == name));
    if runs_program { PROGRAM_FAILED } else { WRONG_USAGE }
}

pub(crate) fn parse_from(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let matches = command.try_get_matches_from_mut(&words);
    if matches.as_ref().is_ok_and(names_a_table_of_nothing) {
        let message = "--table chooses the table of a CSV report: add --format csv or -o FILE.csv";
        return Err(command.error(ErrorKind::MissingRequiredArgument, message));
    }
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.map_err(|error| with_suggestion(error, &command, &words))?;
    match &cli.command {
        Command::Diff(arguments) if arguments.files.len() == 1 => {
            let message = "name two files, or none for the last two saved runs";
            Err(command.error(ErrorKind::WrongNumberOfValues, message))
        }
        Command::Compare(arguments) if !arguments.documents.is_empty() => {
            let files: Vec<String> = arguments.documents.iter().map(|file| file.display().to_string()).collect();
            let message = format!("compare runs other tools; to compare saved runs: ctxprof diff {}", files.join(" "));
            Err(command.error(ErrorKind::UnknownArgument, message))
        }
        Command::Explain(arguments) => match arguments.check() {
            Ok(()) => Ok(cli),
            Err(message) => Err(command.error(ErrorKind::InvalidValue, message)),
        },
        Command::Sweep(arguments) => match arguments.steps().and(arguments.selected()) {
            Ok(_) => Ok(cli),
            Err(message) => Err(command.error(ErrorKind::ValueValidation, message)),
        },
        _ => Ok(cli),
    }
}

/// Returns true if a table is named and no CSV is to be written.
fn names_a_table_of_nothing(matches: &clap::ArgMatches) -> bool {
    let Some((_, of_command)) = matches.subcommand() else { return false };
    let text = |name: &str| of_command.try_get_one::<String>(name).ok().flatten();
    let files = of_command.try_get_many::<PathBuf>("output").ok().flatten().into_iter().flatten();
    text("table").is_some()
        && text("format").is_none_or(|format| format != CSV)
        && !files.into_iter().any(|file| output::format_of(file).is_ok_and(|format| format.name == CSV))
}

/// Returns the parser, with its help grouped by task.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let width = command.get_subcommands().map(|command| command.get_name().len()).max().unwrap_or_default();
    let line = |name: &&str| {
        let about = command
            .find_subcommand(name)
            .and_then(|command| command.get_about())
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("  {name:width$}  {about}\n")
    };
    let groups: Vec<String> = GROUPS
        .iter()
        .map(|(heading, names)| format!("{heading}:\n{}", names.iter().map(line).collect::<String>()))
        .collect();
    command.before_help(groups.join("\n")).after_help(EXAMPLES)
}

fn output_file(path: PathBuf) -> Result<PathBuf, String> {
    if path != Path::new(STANDARD) {
        output::format_of(&path).map_err(|error| error.to_string())?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let whole = Cli::command();
        let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
        let mut known: Vec<String> = shown.map(|command| command.get_name().to_string()).collect();
        grouped.sort_unstable();
        known.sort_unstable();
        assert_eq!(grouped, known);
    }

    #[test]
    fn nonsense_is_refused_and_the_nearest_name_offered() {
        for (line, words) in [
            ("ctxprof run thred-pipe", "thread-pipe"),
            ("ctxprof run zzz", "similar value"),
            ("ctxprof rnu", "'run'"),
            ("ctxprof lst", "'list'"),
            ("ctxprof run --repetitions 0", "1..=10000"),
            ("ctxprof run --samples -1", "-1"),
            ("ctxprof run --samples 1000001", "1000000"),
            ("ctxprof run --ops-per-sample 0", "0"),
            ("ctxprof run --ops-per-sample 1000001", "1000000"),
            ("ctxprof run --time 0", "between"),
            ("ctxprof run --time -1", "-1"),
            ("ctxprof run --time nan", "between"),
            ("ctxprof run --time 1e99", "between"),
            ("ctxprof run --cpu x", "invalid"),
            ("ctxprof run --cpu -1", "-1"),
            ("ctxprof run zzz-*", "similar value"),
            ("ctxprof run --place near", "none of same"),
            ("ctxprof run --place 0,x", "none of same"),
            ("ctxprof run --policy fifo", "priority from 1 to 99"),
            ("ctxprof run --policy rr:100", "priority from 1 to 99"),
            ("ctxprof run --policy other:1", "no priority"),
            ("ctxprof run --policy deadline", "none of other"),
            ("ctxprof run --nice -21", "-20..=19"),
            ("ctxprof run --nice x", "invalid"),
            ("ctxprof run --workers 0", "1..=1024"),
            ("ctxprof run --sort name", "cost"),
            ("ctxprof run --fail-above 5", "--baseline"),
            ("ctxprof compare a.json b.json", "ctxprof diff a.json b.json"),
            ("ctxprof compare --rounds 0", "1..=1000"),
            ("ctxprof diff a b c", "unexpected"),
            ("ctxprof diff a b --fail-above x", "per cent"),
            ("ctxprof diff a b --fail-above -1", "-1"),
            ("ctxprof diff a b --margin x", "per cent"),
            ("ctxprof run --allow-missing", "--baseline"),
            ("ctxprof run --fail-undecided", "--baseline"),
            ("ctxprof diff a b --require-same weather", "kernel"),
            ("ctxprof diff --old a", "--new"),
            ("ctxprof diff a --old b --new c", "cannot be used"),
            ("ctxprof run --counters gpu", "cpu"),
            ("ctxprof run --format xml", "markdown"),
            ("ctxprof run --table latency", "--format csv"),
            ("ctxprof report --table latency -o a.md", "--format csv"),
            ("ctxprof run -o costs", "suffix"),
            ("ctxprof run --repetition 5", "'--repetitions'"),
            ("ctxprof run --tiem 5", "'--time'"),
            ("ctxprof stat --intervall 1s -- true", "'--interval'"),
            ("ctxprof stat --intervall=1s true", "'--interval'"),
            ("ctxprof stat --colour never -- true", "'--color'"),
            ("ctxprof stat --evry 1s -- true", "similar argument"),
            ("ctxprof stat -x -- true", "'-x'"),
            ("ctxprof stat --interval 300000000000years -- true", "a day"),
            ("ctxprof stat --interval 25h -- true", "a day"),
            ("ctxprof stat --interval 1e300 -- true", "86400"),
            ("ctxprof stat --interval 99999999999999999999s -- true", "a day"),
            ("ctxprof stat -p 1 --for 1e300", "86400"),
            ("ctxprof stat -p 1 --for inf", "86400"),
            ("ctxprof sweep ring 2..4 --time 1e300", "86400"),
        ] {
            let error = parse_from(line.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(words), "{line}: {error}");
        }
    }
}
