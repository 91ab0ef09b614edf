//! Words that select workloads.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::host::placement::Placement;
use crate::workload::kind::Kind;
use crate::workload::{self, WORKLOADS};

/// Parser of a word that selects one or more workloads; completions offer their names.
#[derive(Clone)]
pub(super) struct WorkloadWord;

impl WorkloadWord {
    fn names() -> PossibleValuesParser {
        PossibleValuesParser::new(WORKLOADS.iter().map(|workload| workload.name))
    }
}

impl TypedValueParser for WorkloadWord {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        match value.to_str().filter(|word| !workload::meant_by(word).is_empty()) {
            Some(word) => Ok(word.to_string()),
            // Reports the unknown name with the registry's suggestions.
            None => Self::names().parse_ref(command, argument, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = Kind::ALL.map(Kind::name).into_iter().chain([workload::ALL]);
        let names = WORKLOADS.iter().map(|workload| workload.name);
        let mut known = Vec::new();
        let unique = names.chain(words).filter(move |word| {
            !known.contains(word) && {
                known.push(*word);
                true
            }
        });
        Some(Box::new(unique.map(PossibleValue::new)))
    }
}

/// A parser whose usual values completions offer; it takes others, too.
#[derive(Clone)]
pub(super) struct Offering<P> {
    pub(super) parser: P,
    pub(super) words: fn() -> Vec<String>,
}

impl<P: TypedValueParser> TypedValueParser for Offering<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        self.parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.words)().into_iter().map(PossibleValue::new)))
    }
}

/// Returns the words for where participants run, besides pairs of CPUs.
pub(super) fn places() -> Vec<String> {
    Placement::ALL.into_iter().map(Placement::name).chain(["all"]).map(String::from).collect()
}

/// Returns the scheduling policies, those with a priority up to it.
pub(super) fn policies() -> Vec<String> {
    ["other", "batch", "idle", "fifo:", "rr:"].map(String::from).to_vec()
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    #[test]
    fn completions_offer_words_where_there_are_usual_ones() {
        let of_options = ["smt", "batch", "openmetrics"];
        let all = [&of_options[..], &["futex", "thread-pipe"]].concat();
        // Fish's script has none for words that are no option's.
        for (shell, words) in [(Shell::Bash, &all[..]), (Shell::Zsh, &all), (Shell::Fish, &of_options)] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut crate::cli::command(), "ctxprof", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in words {
                assert!(script.contains(*word), "{word} is not in the completions of {shell}");
            }
        }
    }
}
