//! Reads saved documents, whatever wrote them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::record::run::{self, RunDocument};
use crate::record::samples::{self, SamplesDocument};

/// A run's document from a file: as saved, or worked out again from saved samples.
///
/// # Errors
/// The file cannot be read, is no JSON, or has a schema that this version does not read; each says where.
pub fn read_run(path: &Path) -> Result<RunDocument> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse_run(&text).with_context(|| path.display().to_string())
}

/// A run's document from its text, as [`read_run`].
///
/// # Errors
/// As [`read_run`], of the text.
pub fn parse_run(text: &str) -> Result<RunDocument> {
    #[derive(Deserialize)]
    struct Header {
        schema: String,
    }
    let header: Header = serde_json::from_str(text).context("this is not a document that ctxprof wrote")?;
    match header.schema.as_str() {
        run::SCHEMA => serde_json::from_str(text).context("a damaged ctxprof.run document"),
        samples::SCHEMA => {
            let document: SamplesDocument = serde_json::from_str(text).context("a damaged ctxprof.samples document")?;
            samples::check(&document.body.seen).context("a damaged ctxprof.samples document")?;
            Ok(run::from_samples(&document))
        }
        other => bail!("the schema is {other:?}; this version shows {} and {}", run::SCHEMA, samples::SCHEMA),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, words: &[&str]) {
        let error = format!("{:#}", parse_run(text).unwrap_err());
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
    }

    #[test]
    fn what_is_no_run_is_refused_with_the_place() {
        check("", &["line 1 column 0"]);
        check("{\"schema\": 3}", &["line 1"]);
        check("[1, 2]", &["not a document"]);
        check("{\"schema\": \"ctxprof.run/9\"}", &["ctxprof.run/9", "ctxprof.run/1"]);
        check("{\"schema\": \"ctxprof.run/1\",\n\"tool\": 5}", &["damaged", "line 2"]);
        check("{\"schema\": \"ctxprof.run/1\", \"tool\":", &["EOF"]);
    }
}
