//! Words that select workloads.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

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
