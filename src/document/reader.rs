//! Reading of a saved document, as far as it is the same for all.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::output::html::PAGE_DOCUMENT;
use crate::text;

/// Size limit. Raw samples of an hour of every workload take a tenth of it; reading more into memory is useless.
const MOST_BYTES: u64 = 1 << 30;

/// Returns what `parse` makes of a file's text.
///
/// # Errors
/// The file cannot be read; those of the reader, with the file's name.
pub fn read_as<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let bytes = text::read_bytes(path, MOST_BYTES, "any document of ctxprof's")?;
    text::decode(&bytes).and_then(parse).with_context(|| text::name(path))
}

/// Returns the document within a page; any other text as it is, without a byte order mark.
fn document_in(text: &str) -> &str {
    let text = text::without_mark(text);
    let is_page = text.trim_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"));
    let within = || {
        let (_, from) = text.split_once(&format!("id=\"{PAGE_DOCUMENT}\">"))?;
        Some(from.split_once("</script>")?.0)
    };
    if is_page { within().unwrap_or(text) } else { text }
}

#[derive(Debug, Deserialize)]
pub struct Header {
    pub schema: String,
}

impl Header {
    /// Returns the start of the document in a text, which may be a page, and the document.
    ///
    /// # Errors
    /// It is no document.
    pub fn of(text: &str) -> Result<(Header, &str)> {
        let text = document_in(text);
        let header = serde_json::from_str(text).context("this is not a document that ctxprof wrote")?;
        Ok((header, text))
    }

    /// Checks that it is no document of these schemas' first version, which no release wrote.
    ///
    /// # Errors
    /// It is one.
    pub fn check_age<'s>(&self, known: impl IntoIterator<Item = &'s str>) -> Result<()> {
        let name = self.schema.strip_suffix("/1");
        if name.is_some_and(|name| known.into_iter().any(|known| known.split('/').next() == Some(name))) {
            bail!("it was written by an unreleased ctxprof 0.1 ({}); measure again", self.schema)
        }
        Ok(())
    }
}
