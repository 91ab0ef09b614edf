//! Bars to the right, one below the other.
//!
//! ```text
//! thread-pipe   ██████████████████├┤  2582 ±0.6%     on wide paper
//!
//! thread-pipe                                        on narrow paper
//! ██████████████├┤  2582 ±0.6%
//! ```

use anyhow::Result;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{ChartBuilder, IntoLogRange, PathElement, Rectangle, Text};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, RGBColor};

use crate::estimate::Estimate;
use crate::output::metrics::Quantity;
use crate::output::svg::paper::{
    Area, Chart, FAINT, INK, LogAxis, Paper, axis_below, color, drawable, line, refused, text, text_width, tick,
};
use crate::output::view::{Bar, ChangeBar, Changes, Level, Levels, Stack, Stacks};

/// One line of a picture.
struct Row {
    label: String,
    /// From, to and colour of each part.
    parts: Vec<(f64, f64, RGBColor)>,
    /// Low and high end of the figure's interval.
    interval: Option<(f64, f64)>,
    /// Threshold that a change must exceed, drawn on both sides.
    bracket: Option<f64>,
    /// Position of the text, and the text.
    end: f64,
    text: String,
}

/// An interval's low end lies at most this factor below its figure on the axis.
const LOWEST_END: f64 = 100.0;

/// Figures on a logarithmic scale, with their intervals.
pub(super) fn levels(levels: &Levels, paper: Paper) -> Result<String> {
    let series = series(levels.levels.iter().map(|level| &level.series));
    // An interval that goes down to next to nothing would leave the figures no room, and the axis ticks of 0.000 ns.
    let low = |value: &Estimate| value.low.map(|low| low.max(value.median / LOWEST_END));
    let ends = |value: &Estimate| [Some(value.median), low(value), value.high].into_iter().flatten();
    let quantity = levels.quantity;
    let Some(axis) = LogAxis::around(quantity, levels.levels.iter().flat_map(|level| ends(&level.value))) else {
        return nothing(paper);
    };
    let row = |level: &Level| {
        let colour = series.iter().find(|(_, name)| *name == level.series).map_or(0, |(at, _)| *at);
        let interval = level.value.low.zip(level.value.high).map(|(low, high)| (axis.within(low), axis.within(high)));
        let median = axis.within(level.value.median);
        Row {
            label: level.label.clone(),
            parts: vec![(axis.from, median, color(colour))],
            interval,
            bracket: None,
            end: interval.map_or(median, |(_, high)| high.max(median)),
            text: level.text.clone(),
        }
    };
    let rows: Vec<Row> = levels.levels.iter().map(row).collect();
    draw_rows(&rows, axis.range(), paper, &|value| tick(quantity, *value))
}

/// Counts by size, on a logarithmic scale that begins below 1.
pub(super) fn histogram(bars: &[Bar], paper: Paper) -> Result<String> {
    const BELOW_ONE: f64 = 0.5;
    let most = bars.iter().map(|bar| drawable(bar.value)).fold(1.0, f64::max);
    let row = |bar: &Bar| {
        let to = drawable(bar.value).max(BELOW_ONE);
        Row {
            label: bar.label.clone(),
            parts: vec![(BELOW_ONE, to, color(0))],
            interval: None,
            bracket: None,
            end: to,
            text: bar.text.clone(),
        }
    };
    let rows: Vec<Row> = bars.iter().map(row).collect();
    draw_rows(&rows, (BELOW_ONE..most * 1.05).log_scale(), paper, &|value| tick(Quantity::Count, *value))
}

/// Wholes divided into their parts, from 0.
pub(super) fn stacks(stacks: &Stacks, paper: Paper) -> Result<String> {
    let part = |value: f64| drawable(value).max(0.0);
    let wholes = stacks.stacks.iter().map(|stack| stack.values.iter().copied().map(part).sum::<f64>());
    let most = wholes.fold(0.0, f64::max);
    if most <= 0.0 {
        return nothing(paper);
    }
    let row = |stack: &Stack| {
        let mut end = 0.0;
        let mut parts = Vec::new();
        for (at, value) in stack.values.iter().copied().map(part).enumerate().filter(|(_, value)| *value > 0.0) {
            parts.push((end, end + value, color(at)));
            end += value;
        }
        Row { label: stack.label.clone(), parts, interval: None, bracket: None, end, text: stack.text.clone() }
    };
    let rows: Vec<Row> = stacks.stacks.iter().map(row).collect();
    let quantity = stacks.quantity;
    draw_rows(&rows, 0.0..most * 1.02, paper, &|value| tick(quantity, *value))
}

/// Relative changes, to both sides of no change.
pub(super) fn changes(changes: &Changes, paper: Paper) -> Result<String> {
    /// Bars of larger changes end at this one; their text has the value.
    const MOST: f64 = 10.0;
    let within = |value: f64| if value.is_finite() { value.clamp(-1.0, MOST) } else { 0.0 };
    let series = series(changes.changes.iter().map(|change| &change.series));
    let row = |change: &ChangeBar| {
        let colour = series.iter().find(|(_, name)| *name == change.series).map_or(0, |(at, _)| *at);
        let median = within(change.value.median);
        let interval = change.value.low.zip(change.value.high).map(|(low, high)| (within(low), within(high)));
        let bracket = within(change.threshold.abs());
        Row {
            label: change.label.clone(),
            parts: vec![(median.min(0.0), median.max(0.0), color(colour))],
            interval,
            bracket: Some(bracket),
            end: interval.map_or(median, |(_, high)| high.max(median)).max(bracket),
            text: change.text.clone(),
        }
    };
    let rows: Vec<Row> = changes.changes.iter().map(row).collect();
    let lows = rows.iter().map(|row| row.interval.map_or(row.parts[0].0, |(low, _)| low.min(row.parts[0].0)));
    let least = lows.fold(0.0, f64::min).min(-rows.iter().filter_map(|row| row.bracket).fold(0.0, f64::max));
    let most = rows.iter().map(|row| row.end).fold(0.01, f64::max);
    draw_rows(&rows, least * 1.05..most * 1.05, paper, &|value| format!("{:+.1}%", value * 100.0))
}

/// The names that have a colour each, in the order in which they come first.
pub(super) fn series<'a>(names: impl Iterator<Item = &'a String>) -> Vec<(usize, String)> {
    let mut known: Vec<String> = Vec::new();
    for name in names {
        if !known.contains(name) {
            known.push(name.clone());
        }
    }
    known.into_iter().enumerate().collect()
}

/// The parts that any whole has, with their colours.
pub(super) fn parts_in_use(stacks: &Stacks) -> Vec<(usize, String)> {
    let is_used = |&(at, _): &(usize, &String)| {
        stacks.stacks.iter().any(|stack| stack.values.get(at).is_some_and(|&value| value > 0.0))
    };
    stacks.parts.iter().enumerate().filter(is_used).map(|(at, name)| (at, name.clone())).collect()
}

fn nothing(paper: Paper) -> Result<String> {
    paper.draw(Paper::NOTHING, |area| {
        area.draw(&Text::new("nothing to be drawn", (0, 10), text(FAINT, HPos::Left))).map_err(refused)
    })
}

/// Positions of the rows on the paper, px.
struct Layout {
    row: u32,
    /// Half of what a bar takes of its row, in rows.
    half_bar: f64,
    /// Distance of a label above the middle of its bar; `None` where it is left of the bar.
    label_above: Option<i32>,
    /// Width of the labels on the left, and of the texts on the right.
    left: u32,
    right: u32,
}

impl Layout {
    const AXIS: u32 = 26;
    const GAP: u32 = 8;
    /// Half of the axis's first label, which has eight letters at most.
    const NARROW_LEFT: u32 = 32;

    fn of(rows: &[Row], paper: Paper) -> Layout {
        let widest = |of: fn(&Row) -> &str| rows.iter().map(|row| text_width(of(row))).max().unwrap_or_default();
        let right = (widest(|row| &row.text) + 2 * Self::GAP).min(paper.width() / 2);
        match paper {
            Paper::Wide => Layout {
                row: 24,
                half_bar: 0.32,
                label_above: None,
                left: (widest(|row| &row.label) + 2 * Self::GAP).min(paper.width() / 2),
                right,
            },
            Paper::Narrow => Layout { row: 40, half_bar: 0.18, label_above: Some(16), left: Self::NARROW_LEFT, right },
        }
    }
}

/// Rows from the top, over an axis of this range.
fn draw_rows<X>(rows: &[Row], range: X, paper: Paper, label: &dyn Fn(&f64) -> String) -> Result<String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let layout = Layout::of(rows, paper);
    let height = rows.len().max(1) as u32 * layout.row + Layout::AXIS;
    paper.draw(height, |area: &Area| {
        let mut chart = ChartBuilder::on(area)
            .margin_left(layout.left)
            .margin_right(layout.right)
            .x_label_area_size(Layout::AXIS)
            .build_cartesian_2d(range, rows.len().max(1) as f64..0.0)
            .map_err(refused)?;
        axis_below(&mut chart, paper, label)?;
        rows.iter().enumerate().try_for_each(|(at, row)| draw_row(area, &mut chart, at, row, &layout))
    })
}

fn draw_row<X: Ranged<ValueType = f64>>(
    area: &Area,
    chart: &mut Chart<'_, '_, X, RangedCoordf64>,
    at: usize,
    row: &Row,
    layout: &Layout,
) -> Result<()> {
    let middle = at as f64 + if layout.label_above.is_some() { 0.68 } else { 0.5 };
    let (top, bottom) = (middle - layout.half_bar, middle + layout.half_bar);
    let parts = row.parts.iter().map(|&(from, to, color)| Rectangle::new([(from, top), (to, bottom)], color.filled()));
    chart.draw_series(parts).map_err(refused)?;
    let half = layout.half_bar / 2.0;
    let mut lines = Vec::new();
    if let Some((low, high)) = row.interval {
        lines.push(PathElement::new(vec![(low, middle), (high, middle)], line(INK)));
        lines.extend(
            [low, high].map(|end| PathElement::new(vec![(end, middle - half), (end, middle + half)], line(INK))),
        );
    }
    if let Some(bracket) = row.bracket {
        let edge = |end: f64| PathElement::new(vec![(end, top), (end, bottom)], line(FAINT));
        lines.extend([-bracket, bracket].map(edge));
    }
    chart.draw_series(lines).map_err(refused)?;
    // On the whole area: the chart's own draws nothing beside it.
    let (end, line_y) = chart.backend_coord(&(row.end, middle));
    let (left, _) = chart.plotting_area().get_pixel_range();
    let put = |words: &str, x: i32, y: i32, color: RGBColor, side: HPos| {
        area.draw(&Text::new(words.to_string(), (x, y), text(color, side))).map_err(refused)
    };
    let gap = Layout::GAP as i32;
    match layout.label_above {
        Some(above) => put(&row.label, left.start, line_y - above, INK, HPos::Left)?,
        None => put(&row.label, left.start - gap, line_y, INK, HPos::Right)?,
    }
    put(&row.text, end + gap, line_y, INK, HPos::Left)
}
