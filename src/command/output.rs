//! Destinations of reports: stdout, stderr, and files.

use std::env;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use console::Term;

use crate::cli::{ColorChoice, OutputArgs};
use crate::output::{self, CSV, FORMATS, Format, Look, Report, safe};
use crate::store;
use crate::text::STANDARD;

/// Width of a report where there is no terminal to ask.
const PAGE_WIDTH: usize = 98;

/// Stream that a report goes to besides files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Written also when files are asked for.
    Stdout,
    /// Written unless files are asked for: stdout belongs to the program that was run.
    Stderr,
}

/// Prints the report in the requested format, then writes it to every requested file, each in its own format.
///
/// # Errors
/// The first of the outputs that could not be written; the others have been.
pub(super) fn deliver(report: &dyn Report, output: &OutputArgs, color: ColorChoice) -> Result<()> {
    deliver_to(Stream::Stdout, report, output, color)
}

/// As [`deliver`], to this stream.
pub(super) fn deliver_to(stream: Stream, report: &dyn Report, output: &OutputArgs, color: ColorChoice) -> Result<()> {
    let format = output::format(&output.format).unwrap_or(&FORMATS[0]);
    let draw_as = |format: &Format, look: &Look| match &output.table {
        Some(table) if format.name == CSV => output::csv_table(report, look, table),
        _ => (format.draw)(report, look),
    };
    let draw = |term: &Term| draw_as(format, &look_of(term, output.wide, color));
    let on_stdout = stream == Stream::Stdout || output.output.iter().any(|path| is_standard(path));
    let mut outcome = match stream {
        _ if on_stdout => draw(&Term::stdout()).and_then(|text| print(text.as_bytes())),
        Stream::Stderr if output.output.is_empty() => {
            draw(&Term::stderr()).and_then(|text| write(io::stderr(), "stderr", text.as_bytes()))
        }
        _ => Ok(()),
    };
    let plain = Look { width: PAGE_WIDTH, wide: output.wide, ascii: false, color: false };
    for path in output.output.iter().filter(|path| !is_standard(path)) {
        let written = output::format_of(path).and_then(|format| store::write_whole(path, &draw_as(format, &plain)?));
        outcome = outcome.and(written);
    }
    outcome
}

/// Checks that every file could be written, before hours are spent on its content.
///
/// # Errors
/// Those of [`store::check_writable`], of the first that could not.
pub(super) fn check_writable<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<()> {
    paths.into_iter().filter(|path| !is_standard(path)).try_for_each(|path| store::check_writable(path))
}

/// Writes a file, or to stdout.
///
/// # Errors
/// Those of [`store::write_whole`] and [`print`].
pub(super) fn write_file(path: &Path, content: &str) -> Result<()> {
    if is_standard(path) { print(content.as_bytes()) } else { store::write_whole(path, content) }
}

fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// Writes to stdout. A closed pipe (`| head`) is no failure.
///
/// # Errors
/// Stdout is a file on a full disk.
pub(super) fn print(text: &[u8]) -> Result<()> {
    write(io::stdout().lock(), "stdout", text)
}

fn write(mut stream: impl Write, name: &str, text: &[u8]) -> Result<()> {
    match stream.write_all(text).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.with_context(|| format!("writing to {name}")),
    }
}

/// Prints a message beside the report, on stderr; ignores a closed stderr.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "ctxprof: {}", safe::lines(text));
}

/// Returns true if a report is written to stderr in a form for programs, which messages beside it would break.
pub(super) fn is_alone_on_stderr(output: &OutputArgs) -> bool {
    output.output.is_empty() && output.format != FORMATS[0].name
}

pub(super) fn say_unless(quiet: bool, text: &str) {
    if !quiet {
        say(text);
    }
}

fn look_of(term: &Term, wide: bool, color: ColorChoice) -> Look {
    let terminal = term.is_term();
    let columns = || term.size_checked().map(|(_rows, columns)| usize::from(columns));
    let color = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb"),
    };
    let width = if terminal { columns().filter(|&columns| columns > 0).unwrap_or(PAGE_WIDTH) } else { PAGE_WIDTH };
    Look { width, wide, ascii: !locale_is_utf8(), color }
}

/// Returns true if a variable is set and not empty.
///
/// # References
/// <https://no-color.org>
fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Returns true if the locale is UTF-8, by the first of its variables that is set, as in locale(7).
fn locale_is_utf8() -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|name| is_set(name)).and_then(|name| env::var(name).ok());
    locale.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}
