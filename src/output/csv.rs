//! A table of a view as CSV: the plain values, intervals in columns of their own, nothing but the table.
//!
//! # References
//! RFC 4180, but for the ends of lines, which are a line feed.

use std::borrow::Cow;

use anyhow::{Context, Result};

use crate::output::view::{Cell, Table, View};

/// Draws one of the view's tables: that of this name, or the first; absent values are empty fields.
///
/// # Errors
/// There is none of that name.
pub(super) fn draw(view: &View, name: Option<&str>) -> Result<String> {
    match name {
        Some(name) => draw_table(chosen(&view.tables, name)?),
        None => view.tables.first().map_or(Ok(String::new()), draw_table),
    }
}

/// Returns the table of this name, or the only one whose name contains it.
fn chosen<'t>(tables: &'t [Table], name: &str) -> Result<&'t Table> {
    let named = tables.iter().find(|table| table.name() == name);
    let mut alike = tables.iter().filter(|table| table.name().contains(name));
    let only = || alike.next().filter(|_| alike.next().is_none());
    named.or_else(only).with_context(|| {
        let names: Vec<String> = tables.iter().map(Table::name).collect();
        format!("there is no table {name:?} in this report: --table takes {}", names.join(", "))
    })
}

fn draw_table(table: &Table) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let intervals: Vec<bool> = (0..table.columns.len())
        .map(|at| table.rows.iter().any(|row| matches!(row[at], Cell::Estimate { .. })))
        .collect();
    let headings = table.columns.iter().zip(&intervals).flat_map(|(column, &interval)| {
        let names = [column.key.to_string(), format!("{}_low", column.key), format!("{}_high", column.key)];
        names.into_iter().take(if interval { 3 } else { 1 })
    });
    writer.write_record(headings)?;
    for row in &table.rows {
        writer.write_record(row.iter().zip(&intervals).flat_map(|(cell, &interval)| fields(cell, interval)))?;
    }
    String::from_utf8(writer.into_inner().context("writing CSV")?).context("writing CSV")
}

fn fields(cell: &Cell, interval: bool) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let fields = match cell {
        Cell::Text(text) | Cell::Name(text) => vec![harmless(text).into_owned()],
        Cell::Number { value, .. } => vec![number(Some(*value))],
        Cell::Estimate { value, .. } => vec![number(Some(value.median)), number(value.low), number(value.high)],
        Cell::Absent => vec![String::new()],
    };
    let width = if interval { 3 } else { 1 };
    fields.into_iter().chain(std::iter::repeat(String::new())).take(width).collect()
}

/// Returns text that no spreadsheet takes for a formula: a thread may be named `=1+1`.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Estimate;
    use crate::output::view::{Align, Column};

    #[test]
    fn intervals_get_columns_and_absent_values_empty_fields() {
        let column = |key| Column::new(key, &[key], Align::Left, 0);
        let estimate = Estimate { median: 2.5, low: Some(2.0), high: None };
        let rows = vec![
            vec![
                Cell::text("a, \"b\""),
                Cell::estimate(Some(estimate), true, |ns| ns.to_string()),
                Cell::number(Some(1.0), |n| n.to_string()),
            ],
            vec![Cell::text("c"), Cell::Absent, Cell::Absent],
        ];
        let table = Table { title: "t", columns: vec![column("name"), column("ns"), column("n")], rows };
        assert_eq!(draw_table(&table).unwrap(), "name,ns,ns_low,ns_high,n\n\"a, \"\"b\"\"\",2.5,2,,1\nc,,,,\n");
    }

    #[test]
    fn a_table_is_found_by_its_name_or_the_only_one_with_a_part_of_it() {
        let table = |title| Table { title, columns: vec![Column::new("k", &["k"], Align::Left, 0)], rows: vec![] };
        let tables = [table("Costs"), table("Switches by thread"), table("Switches by reason")];
        assert_eq!(chosen(&tables, "costs").unwrap(), &tables[0]);
        assert_eq!(chosen(&tables, "switches-by-thread").unwrap(), &tables[1]);
        assert_eq!(chosen(&tables, "reason").unwrap(), &tables[2]);
        for name in ["switches", "x"] {
            let error = chosen(&tables, name).unwrap_err().to_string();
            assert!(error.contains("costs, switches-by-thread, switches-by-reason"), "{error}");
        }
        let view = View { tables: tables.to_vec(), ..View::default() };
        assert_eq!(draw(&view, None).unwrap(), "k\n");
        assert_eq!(draw(&View::default(), None).unwrap(), "");
    }

    #[test]
    fn text_that_a_spreadsheet_would_run_is_quoted_for_it() {
        for (text, written) in
            [("=1+1", "'=1+1"), ("+1", "'+1"), ("-cmd", "'-cmd"), ("@SUM(A1)", "'@SUM(A1)"), ("a=1", "a=1"), ("", "")]
        {
            assert_eq!(fields(&Cell::name(text), false), [written]);
        }
        assert_eq!(fields(&Cell::number(Some(-1.5), |n| n.to_string()), false), ["-1.5"]);
    }
}
