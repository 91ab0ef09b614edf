//! A typical op: a lane for each thread that ran, time to the right.

use anyhow::Result;
use plotters::prelude::{ChartBuilder, PathElement, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use crate::output::lanes;
use crate::output::svg::paper::{INK, Paper, axis_below, color, refused, shortened, text, text_width};
use crate::sched::timeline::Timeline;
use crate::unit::Span;

/// Colours of the palette.
const RUNS: usize = 0;
const WAITS: usize = 5;
const SWITCHES: usize = 1;

const LANE: u32 = 34;
const AXIS: u32 = 26;
const MARGIN: u32 = 10;

pub(super) fn legend() -> Vec<(usize, String)> {
    [(RUNS, "runs"), (WAITS, "could run, waits"), (SWITCHES, "is switched to")]
        .map(|(color, name)| (color, name.to_string()))
        .to_vec()
}

pub(super) fn draw(op: &Timeline, paper: Paper) -> Result<String> {
    let names = lanes::names(op);
    let labels: Vec<String> = names.iter().map(|name| shortened(name, paper.width() / 2 - MARGIN)).collect();
    let left = labels.iter().map(|label| text_width(label)).max().unwrap_or_default() + MARGIN;
    let end = op.duration_ns.max(1);
    // Half of a label is beyond the axis where its tick is at the end.
    let right = text_width(&Span(end as f64).to_string()) / 2 + MARGIN;
    let height = names.len().max(1) as u32 * LANE + AXIS;
    paper.draw(height, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_left(left)
            .margin_right(right)
            .x_label_area_size(AXIS)
            .build_cartesian_2d(0.0..end as f64, names.len().max(1) as f64..0.0)
            .map_err(refused)?;
        axis_below(&mut chart, paper, &|ns| Span(*ns).to_string())?;
        let box_of = |lane: usize, from: u64, to: u64, colour: usize| {
            let [from, to] = [from, to].map(|at| at.min(end) as f64);
            Rectangle::new([(from, lane as f64 + 0.2), (to, lane as f64 + 0.8)], color(colour).filled())
        };
        for (lane, name) in names.iter().enumerate() {
            let waits = lanes::waits(op, name).into_iter().map(|(from, to)| box_of(lane, from, to, WAITS));
            chart.draw_series(waits).map_err(refused)?;
            let switches = lanes::switches_to(op, name).into_iter().map(|(from, to)| box_of(lane, from, to, SWITCHES));
            chart.draw_series(switches).map_err(refused)?;
            let runs = op.run_slices.iter().filter(|run| run.who == *name);
            chart.draw_series(runs.map(|run| box_of(lane, run.from_ns, run.to_ns, RUNS))).map_err(refused)?;
        }
        let lane_of = |who: &String| names.iter().position(|name| name == who);
        let wake_ups = op.wake_ups.iter().filter_map(|wake_up| {
            let (from, to) = (lane_of(&wake_up.by)?, lane_of(&wake_up.whom)?);
            let at = wake_up.at_ns.min(end) as f64;
            Some(PathElement::new(vec![(at, from as f64 + 0.5), (at, to as f64 + 0.5)], INK.stroke_width(2)))
        });
        chart.draw_series(wake_ups).map_err(refused)?;
        for (lane, label) in labels.into_iter().enumerate() {
            let (x, y) = chart.backend_coord(&(0.0, lane as f64 + 0.5));
            area.draw(&Text::new(label, (x - MARGIN as i32, y), text(INK, HPos::Right))).map_err(refused)?;
        }
        Ok(())
    })
}
