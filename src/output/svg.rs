//! Pictures as SVG, for pages, drawn by plotters. Figures in them are text, as the tables have them.

mod bars;
mod lanes;
mod paper;
mod plot;

use anyhow::Result;

use crate::output::view::Picture;

pub(super) use paper::{PALETTE, Paper, hex};

/// Draws a picture on paper of this width; its height is what it takes. The title is left to the page.
///
/// # Errors
/// The drawing library refuses.
pub(super) fn draw(picture: &Picture, paper: Paper) -> Result<String> {
    match picture {
        Picture::Levels(levels) => bars::levels(levels, paper),
        Picture::Stacks(stacks) => bars::stacks(stacks, paper),
        Picture::Changes(changes) => bars::changes(changes, paper),
        Picture::Histogram { bars, .. } => bars::histogram(bars, paper),
        Picture::Timeline { op, .. } => lanes::draw(op, paper),
        Picture::Plot(plot) => plot::draw(plot, paper),
    }
}

/// Returns the legend of a picture's colours: a number in [`PALETTE`] and a name each; empty for a single colour.
pub(super) fn legend(picture: &Picture) -> Vec<(usize, String)> {
    let names = match picture {
        Picture::Levels(levels) => bars::series(levels.levels.iter().map(|level| &level.series)),
        Picture::Changes(changes) => bars::series(changes.changes.iter().map(|change| &change.series)),
        Picture::Stacks(stacks) => bars::parts_in_use(stacks),
        Picture::Plot(plot) => plot.curves.iter().map(|curve| curve.name.clone()).enumerate().collect(),
        Picture::Timeline { .. } => return lanes::legend(),
        Picture::Histogram { .. } => return Vec::new(),
    };
    if names.len() > 1 || matches!(picture, Picture::Plot(_)) { names } else { Vec::new() }
}

/// The colours of text and lines, as a drawing has them.
#[cfg(test)]
pub(super) fn theme() -> [String; 3] {
    [paper::INK, paper::FAINT, paper::GRID].map(paper::hex)
}

#[cfg(test)]
mod tests;
