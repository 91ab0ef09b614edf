//! Curves over steps that stand at equal distances, with the interval of each value.

use std::ops::Range;

use anyhow::Result;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{ChartBuilder, Circle, PathElement, RGBColor, Text};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use crate::estimate::Estimate;
use crate::output::metrics::Quantity;
use crate::output::svg::paper::{
    Area, Chart, FAINT, GRID, LogAxis, Paper, color, drawable, line, refused, text, text_width, tick,
};
use crate::output::view::{Curve, Mark, Plot};

const AXIS: u32 = 28;
const MARGIN: u32 = 12;
/// Margin before the first step and after the last, in steps.
const BESIDE: f64 = 0.1;
/// A line for the names of places.
const PLACES: u32 = 18;

pub(super) fn draw(plot: &Plot, paper: Paper) -> Result<String> {
    let values = || plot.curves.iter().flat_map(|curve| &curve.values).flatten();
    let ends = || values().flat_map(|value| [Some(value.median), value.low, value.high]).flatten();
    if plot.logarithmic_from().is_some() {
        if let Some(axis) = LogAxis::around(Quantity::Nanoseconds, ends()) {
            return draw_on(plot, paper, axis.range(), &|value| axis.within(value));
        }
    }
    let most = ends().map(drawable).fold(1.0, f64::max) * 1.05;
    let least = ends().map(drawable).fold(0.0, f64::min);
    draw_on(plot, paper, least..most, &drawable)
}

/// On an axis of this range, with every value `within` it.
fn draw_on<Y>(plot: &Plot, paper: Paper, range: Y, within: &dyn Fn(f64) -> f64) -> Result<String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let (height, ticks) = match paper {
        Paper::Wide => (360, 8),
        Paper::Narrow => (280, 5),
    };
    let last = plot.steps.len().saturating_sub(1).max(1) as f64;
    paper.draw(height, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(MARGIN)
            .margin_top(MARGIN + if plot.places.is_empty() { 0 } else { PLACES })
            .x_label_area_size(AXIS)
            .y_label_area_size(text_width("100 µs") + MARGIN)
            .build_cartesian_2d(-BESIDE..last + BESIDE, range)
            .map_err(refused)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .y_labels(ticks)
            .y_label_formatter(&|value| tick(Quantity::Nanoseconds, *value))
            .y_label_style(text(FAINT, HPos::Right))
            .axis_style(line(GRID))
            .bold_line_style(line(GRID))
            .light_line_style(GRID.mix(0.0))
            .draw()
            .map_err(refused)?;
        for (at, curve) in plot.curves.iter().enumerate() {
            segments(curve).iter().try_for_each(|segment| draw_segment(&mut chart, segment, color(at), within))?;
        }
        let (columns, lines) = chart.plotting_area().get_pixel_range();
        let column = |at: f64| {
            let share = if at.is_finite() { ((at + BESIDE) / (last + 2.0 * BESIDE)).clamp(0.0, 1.0) } else { 0.0 };
            columns.start + (share * f64::from(columns.end - columns.start)) as i32
        };
        plot.places.iter().try_for_each(|place| draw_place(area, place, column(place.at), &lines))?;
        // As many steps as have room are named.
        let widest = plot.steps.iter().map(|step| text_width(step)).max().unwrap_or_default() + MARGIN;
        let room = (columns.end - columns.start).max(1) as u32 / last as u32;
        for (at, step) in plot.steps.iter().enumerate().step_by(widest.div_ceil(room.max(1)).max(1) as usize) {
            let place = (column(at as f64), lines.end + AXIS as i32 / 2);
            area.draw(&Text::new(step.clone(), place, text(FAINT, HPos::Center))).map_err(refused)?;
        }
        Ok(())
    })
}

/// Steps without a gap, with their intervals.
fn draw_segment<Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, '_, RangedCoordf64, Y>,
    segment: &[(usize, Estimate)],
    color: RGBColor,
    within: &dyn Fn(f64) -> f64,
) -> Result<()> {
    let points = || segment.iter().map(|(step, value)| (*step as f64, within(value.median)));
    let intervals = segment.iter().filter_map(|(step, value)| {
        let step = *step as f64;
        Some(vec![(step, within(value.low?)), (step, within(value.high?))])
    });
    let lines = std::iter::once(points().collect()).chain(intervals);
    chart.draw_series(lines.map(|line| PathElement::new(line, color.stroke_width(2)))).map_err(refused)?;
    chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled()))).map_err(refused)?;
    Ok(())
}

/// A dashed line from top to bottom, with its name above.
fn draw_place(area: &Area, place: &Mark, x: i32, lines: &Range<i32>) -> Result<()> {
    for y in lines.clone().step_by(6) {
        area.draw(&PathElement::new(vec![(x, y), (x, y + 3)], line(FAINT))).map_err(refused)?;
    }
    let above = lines.start - PLACES as i32 / 2;
    area.draw(&Text::new(place.label.clone(), (x, above), text(FAINT, HPos::Center))).map_err(refused)
}

/// Runs of values over consecutive steps: a missing step breaks the line.
fn segments(curve: &Curve) -> Vec<Vec<(usize, Estimate)>> {
    let mut segments: Vec<Vec<(usize, Estimate)>> = vec![Vec::new()];
    for (step, value) in curve.values.iter().enumerate() {
        match value.filter(|value| value.median.is_finite()) {
            Some(value) => segments.last_mut().expect("there is always one").push((step, value)),
            None => segments.push(Vec::new()),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}
