//! The nearest name in an error about a wrong one.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::workload::WORKLOADS;

/// Adds the nearest name to an error where clap found none near enough: `rnu` is two letters from everything to it.
pub(super) fn with_suggestion(mut error: clap::Error, command: &clap::Command, words: &[OsString]) -> clap::Error {
    let shown = || command.get_subcommands().filter(|command| !command.is_hide_set());
    let commands = || shown().map(|command| command.get_name().to_string()).collect();
    let workloads = || WORKLOADS.iter().map(|workload| workload.name.to_string()).collect();
    let options = || -> Vec<String> {
        let named = named_command(words).and_then(|name| command.find_subcommand(name)).unwrap_or(command);
        let options = named.get_arguments().filter(|option| !option.is_hide_set()).filter_map(clap::Arg::get_long);
        options.chain(["help"]).map(|option| format!("--{option}")).collect()
    };
    let is_option =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(word)) if word.starts_with("--"));
    let is_workload = matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(argument)) if argument.contains("WORKLOAD"));
    let (wrong, suggestion, names): (_, _, Vec<String>) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand, commands()),
        ErrorKind::InvalidValue if is_workload => (ContextKind::InvalidValue, ContextKind::SuggestedValue, workloads()),
        ErrorKind::UnknownArgument if is_option => (ContextKind::InvalidArg, ContextKind::SuggestedArg, options()),
        _ => return error,
    };
    // Of commands clap takes `runs` for nearer to `rnu` than `run`.
    if error.get(suggestion).is_none() || error.kind() == ErrorKind::InvalidSubcommand {
        if let Some(ContextValue::String(word)) = error.get(wrong) {
            if let Some(nearest) = names.into_iter().min_by_key(|name| strsim::damerau_levenshtein(name, word)) {
                let value = if matches!(suggestion, ContextKind::SuggestedValue | ContextKind::SuggestedArg) {
                    ContextValue::String(nearest)
                } else {
                    ContextValue::Strings(vec![nearest])
                };
                error.insert(suggestion, value);
            }
        }
    }
    error
}

/// Returns the first word that is neither an option of every command nor the value of one.
pub(super) fn named_command(words: &[OsString]) -> Option<&OsString> {
    let mut words = words.iter().skip(1);
    loop {
        let word = words.next()?;
        match word.to_str() {
            Some("--color") => drop(words.next()),
            Some(option) if option.starts_with('-') => {}
            _ => return Some(word),
        }
    }
}
