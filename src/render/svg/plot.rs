//! Curves over steps that stand at equal distances, with the interval of each value.

use anyhow::Result;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::{ChartBuilder, Circle, PathElement, Text};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::paper::{FAINT, GRID, LogAxis, Paper, color, drawable, line, refused, text, text_width, tick};
use crate::render::metrics::Quantity;
use crate::render::view::{Curve, Plot};
use crate::summary::Estimate;

const AXIS: u32 = 28;
const MARGIN: u32 = 12;
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
            .build_cartesian_2d(-0.1..last + 0.1, range)
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
            for stretch in stretches(curve) {
                let points = || stretch.iter().map(|(step, value)| (*step as f64, within(value.median)));
                let way = PathElement::new(points().collect::<Vec<_>>(), color(at).stroke_width(2));
                chart.draw_series([way]).map_err(refused)?;
                chart.draw_series(points().map(|point| Circle::new(point, 3, color(at).filled()))).map_err(refused)?;
                let intervals = stretch.iter().filter_map(|(step, value)| {
                    let step = *step as f64;
                    Some(PathElement::new(
                        vec![(step, within(value.low?)), (step, within(value.high?))],
                        color(at).stroke_width(2),
                    ))
                });
                chart.draw_series(intervals).map_err(refused)?;
            }
        }
        let (columns, lines) = chart.plotting_area().get_pixel_range();
        let column = |at: f64| {
            let share = if at.is_finite() { ((at + 0.1) / (last + 0.2)).clamp(0.0, 1.0) } else { 0.0 };
            columns.start + (share * f64::from(columns.end - columns.start)) as i32
        };
        for place in &plot.places {
            let x = column(place.at);
            let dashes =
                (lines.start..lines.end).step_by(6).map(|y| PathElement::new(vec![(x, y), (x, y + 3)], line(FAINT)));
            dashes.into_iter().try_for_each(|dash| area.draw(&dash)).map_err(refused)?;
            let above = lines.start - PLACES as i32 / 2;
            area.draw(&Text::new(place.label.clone(), (x, above), text(FAINT, HPos::Center))).map_err(refused)?;
        }
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

/// Values without a gap between them, by their steps: over a step that is missing no line leads.
fn stretches(curve: &Curve) -> Vec<Vec<(usize, Estimate)>> {
    let mut stretches: Vec<Vec<(usize, Estimate)>> = vec![Vec::new()];
    for (step, value) in curve.values.iter().enumerate() {
        match value.filter(|value| value.median.is_finite()) {
            Some(value) => stretches.last_mut().expect("there is always one").push((step, value)),
            None => stretches.push(Vec::new()),
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}
