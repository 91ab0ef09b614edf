//! A view as Markdown, for READMEs, issues and CI summaries.

use crate::output::picture;
use crate::output::view::{Align, Cell, Table, View};

/// Width of a picture in columns: fits most places without a scroll bar.
const PAGE: usize = 80;

pub(super) fn draw(view: &View) -> String {
    let mut parts = Vec::new();
    if !view.heading.is_empty() {
        parts.push(view.heading.iter().map(|line| literal(line)).collect::<Vec<_>>().join("  \n"));
    }
    let paragraphs = |lines: &[String]| lines.iter().map(|line| without_markup(line)).collect::<Vec<_>>();
    if view.answer_label.is_none() {
        parts.extend(paragraphs(&view.answer));
    }
    parts.extend(view.tables.iter().filter(|table| !table.rows.is_empty()).map(draw_table));
    let fenced = |picture| Some(format!("```text\n{}\n```", picture::draw(picture, PAGE, false)?));
    parts.extend(view.pictures.iter().filter_map(fenced));
    parts.extend(view.labelled().map(|(label, text)| match label.trim() {
        "" => without_markup(text),
        label => format!("{label}: {}", without_markup(text)),
    }));
    parts.extend(paragraphs(&view.notes));
    parts.extend(view.warnings.iter().map(|warning| format!("> **warning:** {}", without_markup(warning))));
    parts.join("\n\n") + "\n"
}

/// Text in which nothing is taken for HTML.
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text from elsewhere, in which nothing is taken for emphasis, code, a link or a formula either. A `_` within a word is none,
/// nor is a bracket that no address follows.
fn literal(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let is_word = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|one| one.is_alphanumeric());
    let mut escaped = String::with_capacity(text.len());
    for (at, &character) in characters.iter().enumerate() {
        let marks = match character {
            '_' => !(is_word(at.checked_sub(1)) && is_word(Some(at + 1))),
            ']' => characters.get(at + 1) == Some(&'('),
            _ => matches!(character, '\\' | '*' | '`' | '~' | '$'),
        };
        if marks {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    without_markup(&escaped)
}

fn draw_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let escaped = |text: &str| without_markup(text).replace('\\', "\\\\").replace('|', "\\|");
    let headings = line(table.columns.iter().map(|column| escaped(&column.heading.join(" "))).collect());
    let rule = table.columns.iter().map(|column| if column.align == Align::Left { "---" } else { "---:" });
    let shown = |cell: &Cell| match cell {
        Cell::Name(name) => literal(name).replace('|', "\\|"),
        other => escaped(other.shown()),
    };
    let rows = table.rows.iter().map(|row| line(row.iter().map(shown).collect()));
    [headings, line(rule.map(String::from).collect())].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::view::Column;

    #[test]
    fn a_table_is_aligned_and_escaped() {
        let column = |heading: &str, align| Column::new("k", &[heading], align, 0);
        let columns = vec![column("a|b", Align::Left), column("n", Align::Right)];
        let rows = vec![vec![Cell::text("x"), Cell::Absent], vec![Cell::text("<b>\\|&"), Cell::Absent]];
        let table = Table { title: "t", columns, rows };
        let view =
            View { heading: vec!["<h>".into()], tables: vec![table], warnings: vec!["w".into()], ..View::default() };
        assert_eq!(
            draw(&view),
            "&lt;h&gt;\n\n| a\\|b | n |\n| --- | ---: |\n| x | – |\n| &lt;b&gt;\\\\\\|&amp; | – |\n\n> **warning:** w\n"
        );
    }

    #[test]
    fn a_name_is_shown_as_it_is_whatever_markdown_makes_of_its_characters() {
        for (name, written) in [
            ("tokio-rt_worker", "tokio-rt_worker"),
            ("*a*", "\\*a\\*"),
            ("_b_", "\\_b\\_"),
            ("`c`", "\\`c\\`"),
            ("[d](e)", "[d\\](e)"),
            ("?[31mred?[0m", "?[31mred?[0m"),
            ("~f~$g$", "\\~f\\~\\$g\\$"),
            ("back\\slash<b>&", "back\\\\slash&lt;b&gt;&amp;"),
        ] {
            assert_eq!(literal(name), written);
        }
        let column = Column::new("k", &["k"], Align::Left, 0);
        let table = Table { title: "t", columns: vec![column], rows: vec![vec![Cell::name("*a*|\\")]] };
        let view = View { heading: vec!["*p*: exited".into()], tables: vec![table], ..View::default() };
        assert_eq!(draw(&view), "\\*p\\*: exited\n\n| k |\n| --- |\n| \\*a\\*\\|\\\\ |\n");
    }
}
