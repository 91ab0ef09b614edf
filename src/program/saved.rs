//! Saved documents of every command, those of programs among them.

use std::path::Path;

use anyhow::{Context, Result};

use crate::program::trace::document::{SCHEMA, TraceDocument};
use crate::record::reader::{self, Header};
use crate::render::{Report, report_of};

/// A document of any command.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    Trace(Box<TraceDocument>),
    Other(reader::Saved),
}

impl Saved {
    /// What it is shown as.
    pub fn report(&self) -> &dyn Report {
        match self {
            Saved::Trace(trace) => &**trace,
            Saved::Other(saved) => report_of(saved),
        }
    }
}

/// Returns what a file holds.
///
/// # Errors
/// The file cannot be read, is no JSON, or has a schema that this version does not read; each says where.
pub fn read(path: &Path) -> Result<Saved> {
    reader::read_as(path, parse)
}

/// Returns what a text holds, as [`read`].
///
/// # Errors
/// As [`read`], of the text.
pub fn parse(text: &str) -> Result<Saved> {
    let (header, document) = Header::of(text)?;
    if header.schema == SCHEMA {
        let trace = serde_json::from_str(document).with_context(|| format!("a damaged {SCHEMA} document"))?;
        return Ok(Saved::Trace(trace));
    }
    reader::parse_beside(text, &[SCHEMA]).map(Saved::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_schema_is_refused_with_all_that_are_known() {
        let error = parse("{\"schema\": \"ctxprof.trace/9\"}").unwrap_err().to_string();
        assert!(
            error.contains("trace/9") && error.contains("ctxprof.trace/1") && error.contains("ctxprof.run/1"),
            "{error}"
        );
        let error = format!("{:#}", parse("{\"schema\": \"ctxprof.trace/1\", \"tool\": 5}").unwrap_err());
        assert!(error.contains("damaged"), "{error}");
    }
}
