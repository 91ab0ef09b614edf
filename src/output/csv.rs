//! A view as CSV: the plain values, intervals in columns of their own, nothing but the table.

use anyhow::{Context, Result};

use crate::output::view::{Cell, Table, View};

/// Draws the view's tables, an empty line between them; absent values are empty fields.
pub(super) fn draw(view: &View) -> Result<String> {
    let tables: Result<Vec<String>> = view.tables.iter().map(draw_table).collect();
    Ok(tables?.join("\n"))
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
        Cell::Text(text) | Cell::Name(text) => vec![text.clone()],
        Cell::Number { value, .. } => vec![number(Some(*value))],
        Cell::Estimate { value, .. } => vec![number(Some(value.median)), number(value.low), number(value.high)],
        Cell::Absent => vec![String::new()],
    };
    let width = if interval { 3 } else { 1 };
    fields.into_iter().chain(std::iter::repeat(String::new())).take(width).collect()
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
}
