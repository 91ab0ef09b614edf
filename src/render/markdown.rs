//! A view as Markdown, for READMEs, issues and CI summaries.

use crate::render::picture;
use crate::render::view::{Align, Table, View};

/// How wide a picture is: what shows in most places without a scroll bar.
const PAGE: usize = 80;

pub(super) fn draw(view: &View) -> String {
    let mut parts = Vec::new();
    if !view.heading.is_empty() {
        parts.push(view.heading.join("  \n"));
    }
    parts.extend(view.tables.iter().map(draw_table));
    let fenced = |picture| Some(format!("```text\n{}\n```", picture::draw(picture, PAGE, false)?));
    parts.extend(view.pictures.iter().filter_map(fenced));
    parts.extend(view.notes.iter().cloned());
    parts.extend(view.warnings.iter().map(|warning| format!("> **warning:** {warning}")));
    parts.join("\n\n") + "\n"
}

fn draw_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let escaped = |text: &str| text.replace('|', "\\|");
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
        let table = Table { title: "t", columns, rows: vec![vec![Cell::text("x"), Cell::Absent]] };
        let view =
            View { heading: vec!["h".into()], tables: vec![table], warnings: vec!["w".into()], ..View::default() };
        assert_eq!(draw(&view), "h\n\n| a\\|b | n |\n| --- | ---: |\n| x | – |\n\n> **warning:** w\n");
    }
}
