//! Tables that scroll by themselves where they have no room, with a place to link to for every row.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::output::view::{Align, Cell, Column, Table};

/// Draws a table whose first column stays in sight; `section` names the one that it is in, and `known` the links of the page.
pub(super) fn draw(table: &Table, section: &str, known: &mut BTreeSet<String>) -> Markup {
    let class = |column: &Column| match (column.align, column.wraps) {
        (_, true) => "left wraps",
        (Align::Left, false) => "left",
        (Align::Right, false) => "right",
    };
    html! {
        // Whoever has no mouse scrolls it by its keys.
        div.table role="region" tabindex="0" aria-labelledby={ (section) "-title" } {
            table aria-labelledby={ (section) "-title" } {
                // One whose cells say what they are has no headings.
                @if table.columns.iter().any(|column| !column.name().is_empty()) {
                    thead {
                        tr {
                            @for column in &table.columns {
                                th scope="col" class=(class(column)) {
                                    @for (at, line) in column.heading.iter().filter(|line| !line.is_empty()).enumerate() {
                                        @if at > 0 { br; }
                                        (line)
                                    }
                                }
                            }
                        }
                    }
                }
                tbody {
                    @for row in &table.rows {
                        @let id = id(&format!("{section} {}", name_of(row)), known);
                        tr id=(id) {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" class=(class(&table.columns[0])) { a href={ "#" (id) } { (cell.shown()) } } }
                                @else { td class=(class(&table.columns[at])) { (cell.shown()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the texts with which a row begins: they name it.
fn name_of(row: &[Cell]) -> String {
    let texts = row.iter().map_while(|cell| match cell {
        Cell::Text(text) | Cell::Name(text) => Some(text.as_str()),
        Cell::Number { .. } | Cell::Estimate { .. } | Cell::Absent => None,
    });
    texts.take(2).collect::<Vec<_>>().join(" ")
}

/// Returns a name for links that no other has: letters and digits of the text, for it may come from elsewhere.
pub(super) fn id(text: &str, known: &mut BTreeSet<String>) -> String {
    /// As much as a link needs.
    const LONGEST: usize = 60;
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let id: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(LONGEST).collect();
    let id = if id.is_empty() { "row".to_string() } else { id };
    let numbered = (2..).map(|number| format!("{id}-{number}"));
    let free = std::iter::once(id.clone()).chain(numbered).find(|id| !known.contains(id)).unwrap_or_default();
    known.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_links_are_plain_and_differ() {
        let mut known = BTreeSet::new();
        for (text, expected) in [
            ("Costs thread-pipe", "costs-thread-pipe"),
            ("Costs thread pipe", "costs-thread-pipe-2"),
            ("\"><script>", "script"),
            ("日本", "row"),
            ("日本", "row-2"),
        ] {
            assert_eq!(id(text, &mut known), expected);
        }
    }
}
