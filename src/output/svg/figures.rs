//! Figures, wholes and changes as rows.

use anyhow::Result;
use plotters::prelude::Text;
use plotters::style::text_anchor::HPos;

use crate::estimate::{Estimate, WIDEST_RATIO};
use crate::output::svg::paper::{FAINT, INK, LogAxis, Paper, color, drawable, refused, text, tick};
use crate::output::svg::rows::{self, Mark, Row};
use crate::output::view::{Cell, ChangeBar, Changes, Level, LevelStyle, Levels, Stack, Stacks};
use crate::unit::Times;

/// An interval's low end lies at most this factor below its figure on the axis.
const LOWEST_END: f64 = 100.0;

/// Figures on a logarithmic scale, the least first.
pub(super) fn levels(levels: &Levels, paper: Paper) -> Result<String> {
    let series = series(levels.levels.iter().map(|level| &level.series));
    // An interval that goes down to next to nothing would leave the figures no room, and the axis ticks of 0.000 ns.
    let low = |value: &Estimate| value.low.map(|low| low.max(value.median / LOWEST_END));
    let ends = |value: Estimate| [Some(value.median), low(&value), value.high].into_iter().flatten();
    let figures = levels.levels.iter().flat_map(|level| &level.figures).filter_map(Cell::as_estimate);
    let Some(axis) = LogAxis::around(levels.quantity, figures.flat_map(ends)) else {
        return nothing(paper);
    };
    let first = |level: &Level| level.figures.first().and_then(Cell::as_estimate);
    let mut sorted: Vec<&Level> = levels.levels.iter().collect();
    sorted.sort_by(|one, other| {
        let median = |level| first(level).map_or(f64::INFINITY, |value| value.median);
        median(one).total_cmp(&median(other))
    });
    // What lacks a figure is of another sort: a call by itself makes no switch.
    let is_whole = |level: &Level| level.figures.iter().all(|cell| cell.as_estimate().is_some());
    let least = sorted.iter().filter(|level| is_whole(level)).find_map(|level| first(level));
    let least = least.filter(|value| value.median > 0.0);
    let row = |level: &&Level| {
        let colour = color(series.iter().find(|(_, name)| *name == level.series).map_or(0, |(at, _)| *at));
        let within = |value: Estimate| Estimate {
            median: axis.within(value.median),
            low: value.low.map(|low| axis.within(low)),
            high: value.high.map(|high| axis.within(high)),
        };
        let figures: Vec<Option<Estimate>> = level.figures.iter().map(|cell| cell.as_estimate().map(within)).collect();
        let marks = match levels.style {
            LevelStyle::Dots => dots(&figures, colour),
            LevelStyle::Spans => span(&figures, colour),
        };
        let mut texts: Vec<String> = level.figures.iter().map(|cell| cell.shown().to_string()).collect();
        if levels.style == LevelStyle::Dots {
            let value = first(level).filter(|_| is_whole(level));
            texts.push(value.zip(least).map_or("–".to_string(), |(value, least)| times(value, least)));
        }
        Row { label: level.label.clone(), marks, texts }
    };
    let rows: Vec<Row> = sorted.iter().map(row).collect();
    let relative = (levels.style == LevelStyle::Dots).then_some("relative");
    let heads: Vec<&str> = levels.heads.iter().copied().chain(relative).collect();
    let quantity = levels.quantity;
    rows::draw(&rows, &heads, axis.range(), paper, &|value| tick(quantity, *value))
}

/// A filled dot for the first figure, hollow ones for the others, each on its interval.
fn dots(figures: &[Option<Estimate>], color: plotters::style::RGBColor) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (at, value) in figures.iter().enumerate().rev() {
        let Some(Estimate { median, low, high }) = *value else { continue };
        marks.extend(low.zip(high).map(|(low, high)| Mark::Whisker { low, high, color }));
        marks.push(if at == 0 { Mark::Dot { at: median, color } } else { Mark::Ring { at: median, color } });
    }
    marks
}

/// A line from the first figure, a dot, to the last, a ring, with a tick at each between; thick up to the second.
fn span(figures: &[Option<Estimate>], color: plotters::style::RGBColor) -> Vec<Mark> {
    let at: Vec<f64> = figures.iter().flatten().map(|value| value.median).collect();
    let (Some(&from), Some(&to)) = (at.first(), at.last()) else { return Vec::new() };
    let mut marks = vec![Mark::Line { from, to, color }];
    marks.extend(at.iter().skip(1).rev().skip(1).map(|&at| Mark::Tick { at, color }));
    marks.push(Mark::Ring { at: to, color });
    marks.push(Mark::Dot { at: from, color });
    marks
}

/// Returns how many times the least figure another is; nothing where the intervals leave that open.
fn times(value: Estimate, least: Estimate) -> String {
    let spread = |value: Estimate| value.low.zip(value.high).map_or(1.0, |(low, high)| high / low);
    if spread(value) * spread(least) > WIDEST_RATIO && value != least {
        return "–".to_string();
    }
    Times(value.median / least.median).to_string()
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
        let mut marks = Vec::new();
        for (at, value) in stack.values.iter().copied().map(part).enumerate().filter(|(_, value)| *value > 0.0) {
            marks.push(Mark::Bar { from: end, to: end + value, color: color(at) });
            end += value;
        }
        Row { label: stack.label.clone(), marks, texts: vec![stack.text.clone()] }
    };
    let rows: Vec<Row> = stacks.stacks.iter().map(row).collect();
    let quantity = stacks.quantity;
    rows::draw(&rows, &[""], 0.0..most * 1.02, paper, &|value| tick(quantity, *value))
}

/// Relative changes, to both sides of no change, between the ends of what a change must exceed.
pub(super) fn changes(changes: &Changes, paper: Paper) -> Result<String> {
    /// Larger changes are drawn here; their text has the value.
    const MOST: f64 = 10.0;
    let within = |value: f64| if value.is_finite() { value.clamp(-1.0, MOST) } else { 0.0 };
    let series = series(changes.changes.iter().map(|change| &change.series));
    let mut ends = vec![-0.01, 0.01];
    let mut row = |change: &ChangeBar| {
        let color = color(series.iter().find(|(_, name)| *name == change.series).map_or(0, |(at, _)| *at));
        let [median, threshold] = [change.value.median, change.threshold.abs()].map(within);
        let interval = change.value.low.zip(change.value.high).map(|(low, high)| (within(low), within(high)));
        ends.extend([median, threshold, -threshold]);
        ends.extend(interval.into_iter().flat_map(|(low, high)| [low, high]));
        let bracket = [-threshold, threshold].map(|at| Mark::Tick { at, color: FAINT });
        let whisker = interval.map(|(low, high)| Mark::Whisker { low, high, color });
        let zero = Mark::Tick { at: 0.0, color: INK };
        let marks = [zero].into_iter().chain(bracket).chain(whisker).chain([Mark::Dot { at: median, color }]).collect();
        Row { label: change.label.clone(), marks, texts: vec![change.text.clone()] }
    };
    let rows: Vec<Row> = changes.changes.iter().map(&mut row).collect();
    let (least, most) = (ends.iter().copied().fold(0.0, f64::min), ends.iter().copied().fold(0.0, f64::max));
    rows::draw(&rows, &[""], least * 1.05..most * 1.05, paper, &|value| match value * 100.0 {
        percent if percent.abs() < 1e-9 => "0%".to_string(),
        percent => format!("{percent:+.1}%"),
    })
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
