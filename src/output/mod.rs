//! The registry of output formats, which know no subject. Tables, CSV, Markdown and pages are drawn from one view, OpenMetrics from figures that keep their
//! names from one version to the next; JSON is the document itself.

mod card;
mod csv;
pub(crate) mod html;
mod lanes;
mod markdown;
pub mod metrics;
mod openmetrics;
mod picture;
pub mod safe;
mod svg;
pub(crate) mod table;
pub mod view;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::output::metrics::Metrics;
use crate::output::view::View;

/// A document that can be shown in every format.
pub trait Shown: Serialize + std::fmt::Debug {
    /// Returns the document as people see it; `wide` asks for more columns.
    fn view(&self, wide: bool) -> View;

    /// Returns its metrics, drawn from the document and not from the view: names and units are a promise.
    fn metrics(&self) -> Metrics;
}

/// A shown document of any type.
pub trait Report: std::fmt::Debug {
    /// The document, as it is saved.
    ///
    /// # Errors
    /// It cannot be serialized.
    fn json(&self) -> Result<String>;

    /// As [`Shown::view`].
    fn view(&self, wide: bool) -> View;

    /// As [`Shown::metrics`].
    fn metrics(&self) -> Metrics;
}

impl<D: Shown> Report for D {
    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).context("writing JSON")? + "\n")
    }

    fn view(&self, wide: bool) -> View {
        Shown::view(self, wide)
    }

    fn metrics(&self) -> Metrics {
        Shown::metrics(self)
    }
}

/// Width and character set of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal or page.
    pub width: usize,
    pub wide: bool,
    /// No characters beyond ASCII.
    pub ascii: bool,
    pub color: bool,
}

/// One way of writing a report.
#[derive(Debug)]
pub struct Format {
    pub name: &'static str,
    pub suffixes: &'static [&'static str],
    pub draw: fn(&dyn Report, &Look) -> Result<String>,
}

/// Every format; the first is the default.
pub static FORMATS: &[Format] = &[
    Format {
        name: "table",
        suffixes: &["txt"],
        draw: |report, look| Ok(table::draw(&safe::view(report.view(look.wide)), look)),
    },
    Format { name: "json", suffixes: &["json"], draw: |report, _| report.json() },
    Format { name: CSV, suffixes: &["csv"], draw: |report, look| csv::draw(&safe::view(report.view(look.wide)), None) },
    Format {
        name: "markdown",
        suffixes: &["md", "markdown"],
        draw: |report, look| Ok(markdown::draw(&safe::view(report.view(look.wide)))),
    },
    Format { name: "html", suffixes: &["html", "htm"], draw: |report, look| html::draw(report, look.wide) },
    Format {
        name: "svg",
        suffixes: &["svg"],
        draw: |report, look| Ok(card::draw(&safe::view(report.view(look.wide)))),
    },
    Format { name: "openmetrics", suffixes: &["prom"], draw: |report, _| openmetrics::draw(report.metrics()) },
];

/// Returns a table of a report as CSV, by its name.
///
/// # Errors
/// It has none of that name; the message lists those that it has.
pub fn csv_table(report: &dyn Report, look: &Look, name: &str) -> Result<String> {
    csv::draw(&safe::view(report.view(look.wide)), Some(name))
}

pub const CSV: &str = "csv";

pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// The format that a file name asks for by its suffix.
///
/// # Errors
/// It has none, or one that no format has.
pub fn format_of(path: &Path) -> Result<&'static Format> {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    if let Some(format) = FORMATS.iter().find(|format| format.suffixes.contains(&suffix)) {
        return Ok(format);
    }
    bail!("cannot tell the format of {} from its suffix; known are {}", path.display(), suffixes())
}

/// Returns the file name suffixes of all formats, ready to print: `.txt, .json, …`.
pub fn suffixes() -> String {
    let all: Vec<String> =
        FORMATS.iter().flat_map(|format| format.suffixes).map(|suffix| format!(".{suffix}")).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_tells_the_format() {
        for (path, name) in [
            ("a.json", "json"),
            ("b/a.x.csv", "csv"),
            ("a.md", "markdown"),
            ("a.txt", "table"),
            ("a.prom", "openmetrics"),
            ("a.html", "html"),
            ("card.svg", "svg"),
        ] {
            assert_eq!(format_of(Path::new(path)).unwrap().name, name);
        }
        for path in ["a", "a.xml", "json", "/dev/null"] {
            assert!(format_of(Path::new(path)).unwrap_err().to_string().contains(".json"), "{path}");
        }
    }
}
