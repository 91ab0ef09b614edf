//! A view as text for a terminal.

use console::{Style, measure_text_width};
use prettytable::format::{Alignment, FormatBuilder, TableFormat};
use prettytable::{Cell as PrettyCell, Row as PrettyRow, Table as PrettyTable};

use crate::output::view::{Align, Column, Folded, Table, View};
use crate::output::{Look, picture};

/// Draws heading, answer, tables, pictures, notes and warnings; tables and pictures are narrowed to the look's width, unless it is wide.
pub(crate) fn draw(view: &View, look: &Look) -> String {
    let mut parts = Vec::new();
    let wrapped = |text: &str| hanging("", text, look);
    let paragraph = |lines: &[String]| lines.iter().map(|line| wrapped(line)).collect::<Vec<_>>().join("\n");
    if !view.heading.is_empty() {
        parts.push(view.heading.iter().map(|line| heading(line, look)).collect::<Vec<_>>().join("\n"));
    }
    if view.answer_label.is_none() && !view.answer.is_empty() {
        parts.push(paragraph(&view.answer));
    }
    let bold = Style::new().bold().force_styling(look.color);
    for (at, table) in view.tables.iter().enumerate().filter(|(_, table)| !table.rows.is_empty()) {
        let Some(Folded { from, line, .. }) = view.folded.as_ref().filter(|folded| folded.table == at) else {
            parts.push(draw_table(table, look, &bold));
            continue;
        };
        let shown = Table { rows: table.rows.iter().take(*from).cloned().collect(), ..table.clone() };
        let shown = (*from > 0).then(|| draw_table(&shown, look, &bold));
        parts.push(shown.into_iter().chain([wrapped(line)]).collect::<Vec<_>>().join("\n"));
    }
    parts.extend(view.pictures.iter().filter_map(|picture| picture::draw(picture, look.width, look.ascii)));
    let below = view.labelled().map(|(label, text)| hanging(label, text, look));
    let below: Vec<String> = below.chain(view.notes.iter().map(|note| wrapped(note))).collect();
    if !below.is_empty() {
        parts.push(below.join("\n"));
    }
    if !view.warnings.is_empty() {
        let label = Style::new().yellow().bold().force_styling(look.color).apply_to("warning:").to_string();
        let lines: Vec<String> = view
            .warnings
            .iter()
            .map(|warning| wrapped(&format!("warning: {warning}")).replacen("warning:", &label, 1))
            .collect();
        parts.push(lines.join("\n"));
    }
    let text = parts.join("\n\n") + "\n";
    written(&text, look)
}

/// Returns a text broken into lines, a label in front of the first one.
fn hanging(label: &str, text: &str, look: &Look) -> String {
    const LABEL: usize = 10;
    let (first, others) = match label {
        "" => (String::new(), "  ".to_string()),
        label => (format!("{label:<LABEL$}"), " ".repeat(LABEL)),
    };
    let options = textwrap::Options::new(look.width).initial_indent(&first).subsequent_indent(&others);
    let text = with_units(&written(text, look));
    // Names have hyphens and are looked for as they are.
    let options = options.break_words(false).word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&text, options).replace('\u{a0}', " ")
}

/// Returns a text whose numbers are not broken from the unit or the sign after them.
fn with_units(text: &str) -> String {
    const LONGEST_UNIT: usize = 3;
    let ends_in_digit = |word: &str| word.ends_with(|last: char| last.is_ascii_digit());
    let is_unit = |word: &str| {
        let unit = word.trim_end_matches([',', ';', '.', ')', ':']);
        unit.starts_with(char::is_alphabetic) && unit.chars().count() <= LONGEST_UNIT
    };
    let mut words = text.split(' ').peekable();
    let mut out = String::with_capacity(text.len() + 8);
    while let Some(word) = words.next() {
        out.push_str(word);
        if let Some(next) = words.peek() {
            let together = next.starts_with('%') || (ends_in_digit(word) && is_unit(next));
            out.push(if together { '\u{a0}' } else { ' ' });
        }
    }
    out
}

/// Returns a line of the heading, broken between its parts as far as these fit.
fn heading(line: &str, look: &Look) -> String {
    const BETWEEN: &str = " | ";
    let mut lines: Vec<String> = Vec::new();
    for part in line.split(BETWEEN) {
        match lines.last_mut() {
            Some(last)
                if measure_text_width(&written(last, look))
                    + BETWEEN.len()
                    + measure_text_width(&written(part, look))
                    <= look.width =>
            {
                last.push_str(BETWEEN);
                last.push_str(part);
            }
            Some(_) => lines.push(format!("  {part}")),
            None => lines.push(part.to_string()),
        }
    }
    lines.iter().map(|line| hanging("", line, look)).collect::<Vec<_>>().join("\n")
}

/// Draws a table, leaving out the most expendable columns until it fits, and at last breaking texts into very short lines. A wide
/// one is whole.
fn draw_table(table: &Table, look: &Look, bold: &Style) -> String {
    let mut kept: Vec<usize> = (0..table.columns.len()).collect();
    let mut least_room = READABLE;
    loop {
        let text = columns_drawn(table, &kept, look, least_room);
        let fits = look.wide || text.lines().all(|line| measure_text_width(line) <= look.width);
        let most_expendable = kept
            .iter()
            .copied()
            .filter(|&at| table.columns[at].expendable > 0)
            .max_by_key(|&at| table.columns[at].expendable);
        match most_expendable {
            Some(at) if !fits => kept.retain(|&other| other != at),
            None if !fits && least_room == READABLE => least_room = LEGIBLE,
            _ => {
                let headings = heading_height(table, &kept);
                let styled = text
                    .lines()
                    .enumerate()
                    .map(|(at, line)| if at < headings { bold.apply_to(line).to_string() } else { line.to_string() });
                return styled.collect::<Vec<_>>().join("\n");
            }
        }
    }
}

fn heading_height(table: &Table, kept: &[usize]) -> usize {
    kept.iter().map(|&at| table.columns[at].heading.len()).max().unwrap_or_default()
}

fn columns_drawn(table: &Table, kept: &[usize], look: &Look, least_room: usize) -> String {
    let mut drawn = PrettyTable::new();
    drawn.set_format(plain());
    for line in 0..heading_height(table, kept) {
        let cell = |&at: &usize| {
            aligned(
                &written(heading_line(&table.columns[at], line, heading_height(table, kept)), look),
                &table.columns[at],
            )
        };
        drawn.add_row(PrettyRow::new(kept.iter().map(cell).collect()));
    }
    let room = room_for_wrapping(table, kept, look.width).filter(|&room| room >= least_room && !look.wide);
    for row in &table.rows {
        let cell = |&at: &usize| match room.filter(|_| table.columns[at].wraps) {
            Some(room) => aligned(&textwrap::fill(&written(row[at].shown(), look), room), &table.columns[at]),
            None => aligned(&written(row[at].shown(), look), &table.columns[at]),
        };
        drawn.add_row(PrettyRow::new(kept.iter().map(cell).collect()));
    }
    // Not printstd: it writes escape codes to what it takes for a terminal.
    drawn.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Readable line length: texts are broken into lines of it before a column is left out.
const READABLE: usize = 24;

/// Shortest line length that can still be read.
const LEGIBLE: usize = 8;

/// Returns the width left for the columns that can be broken.
fn room_for_wrapping(table: &Table, kept: &[usize], width: usize) -> Option<usize> {
    let column_width = |at: usize| {
        let cells = table.rows.iter().map(|row| measure_text_width(row[at].shown()));
        cells.chain(table.columns[at].heading.iter().map(|line| measure_text_width(line))).max().unwrap_or_default()
    };
    let fixed: usize =
        kept.iter().filter(|&&at| !table.columns[at].wraps).map(|&at| column_width(at) + SEPARATOR).sum();
    width.checked_sub(fixed)
}

/// Headings stand on the lowest lines of their block.
fn heading_line(column: &Column, line: usize, height: usize) -> &str {
    let above = height - column.heading.len();
    line.checked_sub(above).map_or("", |line| &column.heading[line])
}

fn aligned(text: &str, column: &Column) -> PrettyCell {
    let alignment = match column.align {
        Align::Left => Alignment::LEFT,
        Align::Right => Alignment::RIGHT,
    };
    PrettyCell::new_align(text, alignment)
}

/// Spaces between columns: one of padding, one of separator.
const SEPARATOR: usize = 2;

/// No borders.
fn plain() -> TableFormat {
    FormatBuilder::new().column_separator(' ').padding(0, 1).build()
}

/// Returns a text in the look's characters. What is measured or wrapped goes through it before: `+-` is wider than ±.
fn written(text: &str, look: &Look) -> String {
    if look.ascii { to_ascii(text) } else { text.to_string() }
}

fn to_ascii(text: &str) -> String {
    let replaced = [
        ("±", "+-"),
        ("–", "-"),
        ("—", "-"),
        ("→", "->"),
        ("÷", "/"),
        ("×", "x"),
        ("µ", "u"),
        ("≠", "!="),
        ("…", "..."),
    ];
    let text = replaced.iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to));
    text.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::view::Cell;

    fn view() -> View {
        let column = |key, heading: &[&str], expendable| {
            Column::new(key, heading, if expendable == 0 { Align::Left } else { Align::Right }, expendable)
        };
        View {
            heading: vec!["a machine".to_string()],
            tables: vec![Table {
                title: "t",
                columns: vec![
                    column("name", &["name"], 0),
                    column("ns", &["ns", "per op"], 1),
                    column("clean", &["clean"], 2),
                ],
                rows: vec![vec![Cell::text("one"), Cell::number(Some(4553.0), |ns| format!("{ns} ±1%")), Cell::Absent]],
            }],
            notes: vec!["what it means".to_string()],
            warnings: vec!["believe nothing".to_string()],
            ..View::default()
        }
    }

    fn look(width: usize) -> Look {
        Look { width, wide: false, ascii: false, color: false }
    }

    #[test]
    fn headings_stand_above_their_columns() {
        let expected = "a machine\n\n            ns\nname    per op  clean\none   4553 ±1%      –\n\nwhat it means\n\nwarning: believe nothing\n";
        assert_eq!(draw(&view(), &look(100)), expected);
    }

    #[test]
    fn folded_rows_are_a_line_in_their_place() {
        let mut view = view();
        view.tables[0].rows.push(vec![Cell::text("two"), Cell::Absent, Cell::Absent]);
        let folded = |from, line: &str| Some(Folded { table: 0, from, line: line.to_string() });
        let text = draw(&View { folded: folded(1, "1 more"), ..view.clone() }, &look(100));
        assert!(text.contains("\none   4553 ±1%      –\n1 more\n") && !text.contains("two"), "{text}");
        let text = draw(&View { folded: folded(0, "2 rows"), ..view }, &look(100));
        assert!(text.starts_with("a machine\n\n2 rows\n\n"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_loses_the_most_expendable_columns_first() {
        assert!(!draw(&view(), &look(18)).contains("clean"));
        assert!(draw(&view(), &look(18)).contains("4553"));
        assert!(!draw(&view(), &look(8)).contains("4553"));
        assert!(draw(&view(), &look(1)).contains("one"));
    }

    #[test]
    fn long_text_is_broken_into_lines_before_a_column_goes() {
        let mut view = view();
        view.tables[0].columns[0].wraps = true;
        view.tables[0].rows[0][0] = Cell::text("a text that is a good deal longer than the terminal is wide");
        let text = draw(&view, &look(50));
        assert!(
            text.contains("clean")
                && text.contains("a good deal")
                && text.lines().all(|line| line.chars().count() <= 50),
            "{text}"
        );
    }

    #[test]
    fn a_wide_table_is_whole_however_narrow_the_terminal() {
        let mut view = view();
        view.tables[0].columns[0].wraps = true;
        view.tables[0].rows[0][0] = Cell::text("a text that is a good deal longer than the terminal is wide");
        let text = draw(&view, &Look { wide: true, ..look(20) });
        assert!(text.contains("longer than the terminal is wide  4553 ±1%      –\n"), "{text}");
    }

    #[test]
    fn the_answer_comes_first_or_below_the_tables_with_its_label() {
        let mut view = View { answer: vec!["37x".to_string()], quality: Some("good".to_string()), ..view() };
        let text = draw(&view, &look(100));
        assert!(
            text.starts_with("a machine\n\n37x\n\n") && text.contains("\nQuality   good\nwhat it means\n"),
            "{text}"
        );
        view.answer_label = Some("Summary");
        view.answer = vec!["a switch costs 37x a task".to_string(), "second".to_string()];
        let text = draw(&view, &look(24));
        let below = "\nSummary   a switch costs\n          37x a task\n          second\nQuality   good\n";
        assert!(text.contains(below), "{text}");
    }

    #[test]
    fn a_heading_is_broken_between_its_parts() {
        let view = View { heading: vec!["ctxprof 1 | Linux 6 x86_64 | CPU 0".to_string()], ..View::default() };
        assert_eq!(draw(&view, &look(34)), "ctxprof 1 | Linux 6 x86_64 | CPU 0\n");
        assert_eq!(draw(&view, &look(30)), "ctxprof 1 | Linux 6 x86_64\n  CPU 0\n");
        assert_eq!(draw(&view, &look(14)), "ctxprof 1\n  Linux 6\n  x86_64\n  CPU 0\n");
    }

    #[test]
    fn ascii_has_nothing_else() {
        let text = draw(&view(), &Look { ascii: true, ..look(100) });
        assert!(text.is_ascii() && text.contains("4553 +-1%"), "{text}");
    }

    #[test]
    fn texts_in_ascii_are_no_wider_than_they_may_be() {
        let note = "±5 ".repeat(20);
        let text = draw(&View { notes: vec![note], ..View::default() }, &Look { ascii: true, ..look(20) });
        assert!(text.contains("+-5") && text.lines().all(|line| line.len() <= 20), "{text}");
    }

    #[test]
    fn ascii_is_wider_and_has_its_columns_above_each_other_all_the_same() {
        assert!(draw(&view(), &look(21)).contains("clean"));
        let text = draw(&view(), &Look { ascii: true, ..look(21) });
        assert!(text.contains("4553 +-1%") && !text.contains("clean"), "{text}");
        let text = draw(&view(), &Look { ascii: true, ..look(22) });
        assert!(text.contains("name     per op  clean\none   4553 +-1%      -\n"), "{text}");
    }

    #[test]
    fn there_are_no_escape_codes_unless_color_is_wanted() {
        assert!(!draw(&view(), &look(100)).contains('\x1b'));
        assert!(draw(&view(), &Look { color: true, ..look(100) }).contains("\x1b["));
    }
}
