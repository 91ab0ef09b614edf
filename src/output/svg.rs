//! Pictures as SVG, for pages, drawn by plotters. Figures in them are text, as the tables have them.

mod figures;
mod lanes;
mod paper;
mod plot;
mod rows;

use anyhow::Result;

use crate::output::view::Picture;

pub(super) use paper::{PALETTE, Paper, TEXT, hex, shortened, text_width};

/// Draws a picture on paper of this width; its height is what it takes. The title is left to the page. `None` for one that is
/// drawn in characters only.
///
/// # Errors
/// The drawing library refuses.
pub(super) fn draw(picture: &Picture, paper: Paper) -> Result<Option<String>> {
    let drawn = match picture {
        Picture::Levels(levels) => figures::levels(levels, paper)?,
        Picture::Stacks(stacks) => figures::stacks(stacks, paper)?,
        Picture::Changes(changes) => figures::changes(changes, paper)?,
        Picture::Histogram { .. } => return Ok(None),
        Picture::Timeline { op, .. } => lanes::draw(op, paper)?,
        Picture::Plot(plot) => plot::draw(plot, paper)?,
    };
    Ok(Some(drawn))
}

/// Returns the legend of a picture's colours: a number in [`PALETTE`] and a name each; empty for a single colour.
pub(super) fn legend(picture: &Picture) -> Vec<(usize, String)> {
    let names = match picture {
        Picture::Levels(levels) => figures::series(levels.levels.iter().map(|level| &level.series)),
        Picture::Changes(changes) => figures::series(changes.changes.iter().map(|change| &change.series)),
        Picture::Stacks(stacks) => figures::parts_in_use(stacks),
        Picture::Plot(plot) => plot.curves.iter().map(|curve| curve.name.clone()).enumerate().collect(),
        Picture::Timeline { .. } => return lanes::legend(),
        Picture::Histogram { .. } => return Vec::new(),
    };
    if names.len() > 1 || matches!(picture, Picture::Plot(_)) { names } else { Vec::new() }
}

/// The colours of text and lines, as a drawing has them.
pub(super) fn theme() -> [String; 3] {
    [paper::INK, paper::FAINT, paper::GRID].map(paper::hex)
}

#[cfg(test)]
mod tests;
