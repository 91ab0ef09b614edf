//! Rows one below the other, over one axis, with their figures in columns on the right.
//!
//! ```text
//!                                   ns/op  relative
//! thread-pipe      ├─●─┤      5094 ±0.6%       37x     on wide paper
//!
//! thread-pipe      5094 ±0.6%  37x                     on narrow paper
//!         ├─●─┤
//! ```

use anyhow::Result;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{ChartBuilder, Circle, PathElement, Rectangle, Text};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, RGBColor};

use crate::output::svg::paper::{
    Area, Chart, FAINT, INK, Paper, axis_below, line, refused, shortened, text, text_width,
};

/// A shape in a row.
pub(super) enum Mark {
    Bar {
        from: f64,
        to: f64,
        color: RGBColor,
    },
    /// An interval, with its ends.
    Whisker {
        low: f64,
        high: f64,
        color: RGBColor,
    },
    Line {
        from: f64,
        to: f64,
        color: RGBColor,
    },
    Dot {
        at: f64,
        color: RGBColor,
    },
    Ring {
        at: f64,
        color: RGBColor,
    },
    Tick {
        at: f64,
        color: RGBColor,
    },
}

/// One line of a picture.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) marks: Vec<Mark>,
    /// One for each of the heads.
    pub(super) texts: Vec<String>,
}

/// Positions of the rows on the paper, px.
struct Layout {
    row: u32,
    /// Height of the line of heads.
    head: u32,
    /// Distance of the texts above the middle of the marks.
    above: i32,
    left: u32,
    right: u32,
    /// The columns of figures that have room, and the right end of each.
    columns: Vec<(usize, u32)>,
    label_room: u32,
}

impl Layout {
    const AXIS: u32 = 26;
    const GAP: u32 = 8;
    /// Half of the axis's first or last label, which has eight letters at most.
    const NARROW_SIDE: u32 = 32;

    fn of(rows: &[Row], heads: &[&str], paper: Paper) -> Layout {
        let label = rows.iter().map(|row| text_width(&row.label)).max().unwrap_or_default();
        let gap = if paper == Paper::Wide { 2 * Self::GAP } else { Self::GAP };
        let column = |at: usize| {
            let texts = rows.iter().filter_map(|row| row.texts.get(at));
            let widest = texts.map(|text| text_width(text)).chain([text_width(heads[at])]).max();
            (at, widest.unwrap_or_default() + gap)
        };
        let mut columns: Vec<(usize, u32)> = (0..heads.len()).map(column).collect();
        let half = paper.width() / 2;
        let room = match paper {
            Paper::Wide => half,
            Paper::Narrow => paper.width() - label.min(half),
        };
        let width = |columns: &[(usize, u32)]| columns.iter().map(|(_, width)| width).sum::<u32>();
        // The first figure stays, whatever it takes, and the last as long as there is room for two.
        while columns.len() > 1 && width(&columns) > room {
            columns.remove(columns.len().saturating_sub(2).max(1));
        }
        let figures = width(&columns).min(room);
        let mut end = paper.width() - figures;
        let columns = columns.into_iter().map(|(at, width)| {
            end = (end + width).min(paper.width());
            (at, end - 2)
        });
        let columns = columns.collect();
        let head = if heads.iter().any(|head| !head.is_empty()) { 20 } else { 0 };
        match paper {
            Paper::Wide => {
                let left = (label + 2 * Self::GAP).min(half * 3 / 5);
                Layout { row: 20, head, above: 0, left, right: figures, columns, label_room: left - 2 * Self::GAP }
            }
            Paper::Narrow => Layout {
                row: 38,
                head,
                above: 14,
                left: Self::NARROW_SIDE,
                right: Self::NARROW_SIDE,
                columns,
                label_room: paper.width() - figures,
            },
        }
    }
}

/// Rows from the top, over an axis of this range, and the heads of their figures above them.
pub(super) fn draw<X>(
    rows: &[Row],
    heads: &[&str],
    range: X,
    paper: Paper,
    label: &dyn Fn(&f64) -> String,
) -> Result<String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let layout = Layout::of(rows, heads, paper);
    let height = layout.head + rows.len().max(1) as u32 * layout.row + Layout::AXIS;
    paper.draw(height, |area: &Area| {
        let mut chart = ChartBuilder::on(area)
            .margin_left(layout.left)
            .margin_right(layout.right)
            .margin_top(layout.head)
            .x_label_area_size(Layout::AXIS)
            .build_cartesian_2d(range, rows.len().max(1) as f64..0.0)
            .map_err(refused)?;
        axis_below(&mut chart, paper, label)?;
        for &(at, end) in layout.columns.iter().filter(|(at, _)| !heads[*at].is_empty()) {
            put(area, heads[at], (end as i32, layout.head as i32 / 2), FAINT, HPos::Right)?;
        }
        for (at, row) in rows.iter().enumerate() {
            let middle = at as f64 + if layout.above > 0 { 0.6 } else { 0.5 };
            row.marks.iter().try_for_each(|mark| draw_mark(&mut chart, mark, middle, paper))?;
            // On the whole area: the chart's own draws nothing beside it.
            let (_, y) = chart.backend_coord(&(0.0, middle));
            let name = shortened(&row.label, layout.label_room);
            match paper {
                Paper::Wide => put(area, &name, ((layout.left - Layout::GAP) as i32, y), INK, HPos::Right)?,
                Paper::Narrow => put(area, &name, (1, y - layout.above), INK, HPos::Left)?,
            }
            for &(at, end) in &layout.columns {
                put(area, &row.texts[at], (end as i32, y - layout.above), INK, HPos::Right)?;
            }
        }
        Ok(())
    })
}

fn put(area: &Area, words: &str, at: (i32, i32), color: RGBColor, side: HPos) -> Result<()> {
    area.draw(&Text::new(words.to_string(), at, text(color, side))).map_err(refused)
}

fn draw_mark<X: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, '_, X, RangedCoordf64>,
    mark: &Mark,
    middle: f64,
    paper: Paper,
) -> Result<()> {
    let half = if paper == Paper::Wide { 0.3 } else { 0.16 };
    let across = |at: f64, half: f64| vec![(at, middle - half), (at, middle + half)];
    let mut lines = Vec::new();
    match *mark {
        Mark::Bar { from, to, color } => {
            let bar = Rectangle::new([(from, middle - half), (to, middle + half)], color.filled());
            chart.draw_series([bar]).map_err(refused)?;
        }
        Mark::Whisker { low, high, color } => {
            lines.push(PathElement::new(vec![(low, middle), (high, middle)], color.stroke_width(2)));
            lines.extend([low, high].map(|end| PathElement::new(across(end, half / 2.0), color.stroke_width(2))));
        }
        Mark::Line { from, to, color } => {
            lines.push(PathElement::new(vec![(from, middle), (to, middle)], line(color)));
        }
        Mark::Tick { at, color } => lines.push(PathElement::new(across(at, half), color.stroke_width(2))),
        Mark::Dot { at, color } => {
            chart.draw_series([Circle::new((at, middle), 4, color.filled())]).map_err(refused)?;
        }
        Mark::Ring { at, color } => {
            chart.draw_series([Circle::new((at, middle), 4, color.stroke_width(2))]).map_err(refused)?;
        }
    }
    chart.draw_series(lines).map_err(refused)?;
    Ok(())
}
