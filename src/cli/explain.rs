//! The command line of `explain`.

use clap::Args;
use clap::builder::StringValueParser;

use crate::cli::OutputArgs;
use crate::cli::word::Offering;
use crate::glossary;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A column, reason, check, verdict, workload or term, or a subject [default: list them all]
    #[arg(value_name = "WORD", value_parser = Offering { parser: StringValueParser::new(), words: glossary::words }, hide_possible_values = true)]
    pub words: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,
}

impl ExplainArgs {
    /// Returns the words as one, so that a heading of several needs no quotes; `None` if there is none.
    pub fn asked(&self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.join(" "))
    }

    /// Checks that the word is known.
    ///
    /// # Errors
    /// It is not; the message has those that are near.
    pub fn check(&self) -> Result<(), String> {
        let Some(asked) = self.asked().filter(|asked| glossary::find(asked).is_empty()) else { return Ok(()) };
        let near = glossary::near(&asked);
        let near = if near.is_empty() { String::new() } else { format!("; similar: {}", near.join(", ")) };
        Err(format!("there is no explanation of {asked:?}{near}; `ctxprof explain` lists all words"))
    }
}
