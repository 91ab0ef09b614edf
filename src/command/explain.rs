//! `ctxprof explain`: definitions of the words that ctxprof prints.

use anyhow::Result;

use crate::cli::ColorChoice;
use crate::cli::explain::ExplainArgs;
use crate::command::output::deliver;
use crate::document::Tool;
use crate::glossary;
use crate::glossary::document::{ExplainDocument, SCHEMA};

pub(super) fn execute(arguments: &ExplainArgs, color: ColorChoice) -> Result<()> {
    let asked = arguments.asked();
    let entries = asked.as_deref().map_or_else(glossary::entries, glossary::find);
    let document = ExplainDocument { schema: SCHEMA.to_string(), tool: Tool::this(), asked, entries };
    deliver(&document, &arguments.output, color)
}
