//! A view as Markdown, for READMEs, issues and CI summaries.

use crate::render::picture;
use crate::render::view::{Align, Table, View};

/// How wide a picture is: what shows in most places without a scroll bar.
const PAGE: usize = 80;

pub(super) fn draw(view: &View) -> String {
    let mut parts = Vec::new();
    if !view.heading.is_empty() {
        parts.push(view.heading.iter().map(|line| without_markup(line)).collect::<Vec<_>>().join("  \n"));
    }
    parts.extend(view.tables.iter().map(draw_table));
    let fenced = |picture| Some(format!("```text\n{}\n```", picture::draw(picture, PAGE, false)?));
    parts.extend(view.pictures.iter().filter_map(fenced));
    parts.extend(view.notes.iter().map(|note| without_markup(note)));
    parts.extend(view.warnings.iter().map(|warning| format!("> **warning:** {}", without_markup(warning))));
    parts.join("\n\n") + "\n"
}

/// Text in which nothing is taken for HTML.
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn draw_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let escaped = |text: &str| without_markup(text).replace('\\', "\\\\").replace('|', "\\|");
    let headings = line(table.columns.iter().map(|column| escaped(&column.heading.join(" "))).collect());
    let rule = table.columns.iter().map(|column| if column.align == Align::Left { "---" } else { "---:" });
    let rows = table.rows.iter().map(|row| line(row.iter().map(|cell| escaped(cell.shown())).collect()));
    [headings, line(rule.map(String::from).collect())].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::view::{Cell, Column};

    #[test]
    fn a_table_is_aligned_and_escaped() {
        let column = |heading: &str, align| Column {
            key: "k",
            heading: vec![heading.to_string()],
            align,
            expendable: 0,
            wraps: false,
        };
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
}
