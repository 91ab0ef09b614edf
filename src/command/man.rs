//! Manual pages, from the command line's own help.

use std::fmt::Write;

use anyhow::{Context, Result};
use clap_mangen::Man;

use crate::cli;
use crate::command::output;

const FILES: &[(&str, &str)] = &[
    ("/var/lib/ctxprof/runs", "Root's saved runs, readable by all."),
    ("~/.local/state/ctxprof/runs", "Other users' saved runs, or below $XDG_STATE_HOME."),
    ("history", "Beside the saved runs: medians of earlier runs, by which intervals are known."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("NO_COLOR", "If set and not empty, nothing is colored, unless --color asks for it. TERM=dumb does the same."),
    ("LC_ALL, LC_CTYPE, LANG", "Without UTF-8 in the first that is set, output is ASCII."),
    ("XDG_STATE_HOME, HOME", "Where runs of other users than root are saved."),
    ("PATH", "Where perf and Go are looked for."),
];

const EXIT_CODES: &str = "Exit codes:";

/// Prints the page of a command, or of all.
///
/// # Errors
/// There is no such command.
pub(super) fn execute(of: Option<&str>) -> Result<()> {
    output::print(page(of)?.as_bytes())
}

fn page(of: Option<&str>) -> Result<String> {
    let mut whole = cli::command();
    // Gives each command its whole name in the usage.
    whole.build();
    let (name, command) = match of {
        None => ("ctxprof".to_string(), whole.clone()),
        Some(name) => {
            let part = whole.find_subcommand(name).with_context(|| format!("there is no command {name:?}"))?;
            (format!("ctxprof-{name}"), part.clone())
        }
    };
    let usage = command.clone().render_usage().to_string();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_commands = of.is_none();
    // The groups of commands are a section of their own.
    let command = command.name(name.clone()).bin_name(name.clone()).before_help("").after_help("");
    let version = format!("ctxprof {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(name.to_uppercase()).source(version).manual("ctxprof manual");
    let mut text = Vec::new();
    let writing = "writing the manual page";
    man.render_title(&mut text).context(writing)?;
    man.render_name_section(&mut text).context(writing)?;
    let usage = usage.lines().map(|line| line.trim_start_matches("Usage:").trim());
    text.extend(section("SYNOPSIS", &unfilled(usage)).into_bytes());
    man.render_description_section(&mut text).context(writing)?;
    man.render_options_section(&mut text).context(writing)?;
    if has_commands {
        man.render_subcommands_section(&mut text).context(writing)?;
    }
    Ok(String::from_utf8(text).context(writing)? + &below_options(&help) + &see_also(&name))
}

/// Returns the sections that a command's examples, its remarks and its exit codes make, and those of every page.
fn below_options(help: &str) -> String {
    let (examples, remarks) = help.split_once("\n\n").unwrap_or((help, ""));
    let mut page = String::new();
    let lines = examples.lines().filter(|line| *line != "Examples:").map(str::trim);
    if !examples.is_empty() {
        page += &section("EXAMPLES", &unfilled(lines));
    }
    let (codes, notes): (Vec<&str>, Vec<&str>) = remarks.lines().partition(|line| line.starts_with(EXIT_CODES));
    let notes: Vec<String> = notes.iter().filter(|line| !line.is_empty()).map(|line| escaped(line)).collect();
    if !notes.is_empty() {
        page += &section("NOTES", &(notes.join("\n.PP\n") + "\n"));
    }
    let codes = codes.first().map_or("0 done; 1 failed or refused; 2 wrong usage.", |line| &line[EXIT_CODES.len()..]);
    page += &section("EXIT STATUS", &(escaped(codes.trim()) + "\n"));
    page + &section("FILES", &terms(FILES)) + &section("ENVIRONMENT", &terms(ENVIRONMENT))
}

fn see_also(own: &str) -> String {
    let commands = cli::command();
    let shown = commands.get_subcommands().filter(|command| !command.is_hide_set());
    let pages = shown.map(|command| format!("ctxprof-{}", command.get_name()));
    let others = std::iter::once("ctxprof".to_string()).chain(pages).filter(|name| name != own);
    let others: Vec<String> =
        others.chain(["perf".to_string()]).map(|name| format!(".BR {} (1)", escaped(&name))).collect();
    section("SEE ALSO", &(others.join(" ,\n") + "\n"))
}

fn section(name: &str, content: &str) -> String {
    format!(".SH \"{name}\"\n{content}")
}

/// Returns lines that stay as they are.
fn unfilled<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let mut text = String::from(".nf\n");
    lines.for_each(|line| text += &(escaped(line) + "\n"));
    text + ".fi\n"
}

fn terms(terms: &[(&str, &str)]) -> String {
    terms.iter().fold(String::new(), |mut text, (term, meaning)| {
        let _ = write!(text, ".TP\n\\fB{}\\fR\n{}\n", escaped(term), escaped(meaning));
        text
    })
}

/// Returns text in which nothing is taken for a request or an escape.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('~', "\\(ti");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_would_be_is_text() {
        assert_eq!(escaped("-a 'b' \\ ~c"), "\\-a \\(aqb\\(aq \\e \\(tic");
        assert_eq!(escaped(".x"), "\\&.x");
    }

    #[test]
    fn a_page_names_its_command_as_it_is_typed_and_has_every_section() {
        let page = page(Some("run")).unwrap();
        assert!(page.contains(".SH \"SYNOPSIS\"\n.nf\nctxprof run [OPTIONS]"), "{page}");
        assert!(page.contains(".SH \"EXAMPLES\"\n.nf\nsudo ctxprof run  "), "{page}");
        for name in ["EXIT STATUS", "FILES", "ENVIRONMENT", "SEE ALSO"] {
            assert!(page.contains(&format!(".SH \"{name}\"\n")), "{name} is not in {page}");
        }
        assert!(page.contains(".BR ctxprof\\-stat (1)") && !page.contains(".BR ctxprof\\-run (1)"), "{page}");
        assert!(super::page(Some("walk")).is_err());
    }

    #[test]
    fn generated_reference_of_the_command_line_is_of_today() {
        let mut page = String::from(
            "# The command line\n\nThe help of every command, as `ctxprof COMMAND --help` prints it. Made from the source by `scripts/docs`.\n",
        );
        let mut whole = cli::command().term_width(100);
        whole.build();
        let mut add = |name: &str, command: &mut clap::Command| {
            let help = command.clone().term_width(100).render_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            page += &format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
        };
        add("ctxprof", &mut whole);
        for command in
            whole.get_subcommands_mut().filter(|command| !command.is_hide_set() && command.get_name() != "help")
        {
            add(&format!("ctxprof {}", command.get_name()), command);
        }
        crate::generated::hold("docs/reference/cli.md", &page);
    }
}
