//! Paper, colours, text and axes that all pictures share.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::{
    Cartesian2d, ChartContext, DrawingArea, IntoDrawingArea, IntoLogRange, LogCoord, RGBColor, SVGBackend, ShapeStyle,
    TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, IntoTextStyle};

use crate::output::metrics::Quantity;
use crate::unit::{Bytes, Count, Share, Span};

/// Text and axes. Pages in the dark give these three other colours, by their values.
pub(crate) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Secondary text.
pub(crate) const FAINT: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// Lines behind the figures.
pub(crate) const GRID: RGBColor = RGBColor(0xD8, 0xDE, 0xE4);

/// Colours that colour-blind people can tell apart, with a contrast of 3 to 1 on a light page and on a dark one: orange and sky blue
/// are darker than in the reference.
///
/// # References
/// Okabe & Ito, *Color Universal Design*, 2008. WCAG 2.2, success criterion 1.4.11.
pub(crate) const PALETTE: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xC0, 0x84, 0x00),
    RGBColor(0x3D, 0x9B, 0xD9),
    RGBColor(0x8C, 0x95, 0x9F),
];

/// A colour as the drawings have it.
pub(crate) fn hex(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}

/// The colour of a series; beyond the palette they start over.
pub(super) fn color(series: usize) -> RGBColor {
    PALETTE[series % PALETTE.len()]
}

/// Height of letters, px.
pub(crate) const TEXT: u32 = 13;
/// The library draws letters smaller than asked by this factor.
///
/// # References
/// `draw_text` of plotters-svg: `font-size` is the size ÷ 1.24.
const SHRUNK: f64 = 1.24;
/// Average width of a letter, a digit and a sign as shares of the letters' height, as in DejaVu Sans, the widest of the
/// usual fonts: texts are not measured.
const LETTER: f64 = 0.58;
const DIGIT: f64 = 0.64;
const SIGN: f64 = 0.95;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// An area with axes.
pub(super) type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;

/// Width class of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paper {
    /// Beside a table.
    Wide,
    /// On a telephone.
    Narrow,
}

impl Paper {
    pub(crate) const ALL: [Paper; 2] = [Paper::Wide, Paper::Narrow];

    /// Returns its name in a page's CSS classes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Paper::Wide => "wide",
            Paper::Narrow => "narrow",
        }
    }

    pub(super) const NOTHING: u32 = 24;

    pub(super) fn width(self) -> u32 {
        match self {
            Paper::Wide => 960,
            Paper::Narrow => 344,
        }
    }

    /// An SVG of this height in which `draw` has drawn.
    pub(super) fn draw(self, height: u32, draw: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (self.width(), height)).into_drawing_area();
            draw(&area)?;
            area.present().map_err(refused)?;
        }
        Ok(svg)
    }
}

/// The library's error, whose type depends on what is drawn on.
pub(super) fn refused(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

/// Returns the approximate width of a text, px.
pub(crate) fn text_width(text: &str) -> u32 {
    let width = |letter: char| match letter {
        '0'..='9' => DIGIT,
        '±' | '%' => SIGN,
        other => console::measure_text_width(other.encode_utf8(&mut [0; 4])) as f64 * LETTER,
    };
    (text.chars().map(width).sum::<f64>() * f64::from(TEXT)).ceil() as u32
}

/// Returns the text, or as much of its start as has room, with an ellipsis.
pub(crate) fn shortened(text: &str, room: u32) -> String {
    if text_width(text) <= room {
        return text.to_string();
    }
    let mut begin = text.to_string();
    while begin.pop().is_some() && text_width(&begin) + text_width("…") > room {}
    begin + "…"
}

/// Text of this colour that lies to this side of its place, in the middle of its line.
pub(super) fn text(color: RGBColor, side: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", f64::from(TEXT) * SHRUNK).into_font();
    font.color(&color).pos(Pos::new(side, VPos::Center)).into_text_style(&(0, 0))
}

pub(super) fn line(color: RGBColor) -> ShapeStyle {
    color.stroke_width(1)
}

/// An axis below the picture, with this many labels or fewer and a line above each; there is none to the side.
pub(super) fn axis_below<X, Y>(
    chart: &mut Chart<'_, '_, X, Y>,
    paper: Paper,
    label: &dyn Fn(&f64) -> String,
) -> Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let ticks = match paper {
        Paper::Wide => 8,
        Paper::Narrow => 3,
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(ticks)
        .x_label_formatter(label)
        .x_label_style(text(FAINT, HPos::Center))
        .axis_style(line(GRID))
        .bold_line_style(line(GRID))
        .light_line_style(GRID.mix(0.0))
        .draw()
        .map_err(refused)
}

/// A value as an axis has it: short.
pub(super) fn tick(quantity: Quantity, value: f64) -> String {
    // Ticks are round: what follows their points is nothing.
    let round = |text: String| text.replace(".00 ", " ").replace(".0 ", " ");
    match quantity {
        Quantity::Nanoseconds => round(Span(value).to_string()),
        Quantity::Seconds => round(Span(value * 1e9).to_string()),
        Quantity::Bytes => round(Bytes(value).to_string()),
        Quantity::Ratio => Share(value).to_string(),
        // Things: where there are less than one between two ticks, the library asks for parts of one.
        Quantity::Count if value.fract() == 0.0 => format!("{value:.0}"),
        Quantity::Count => Count(value).to_string(),
    }
}

pub(super) struct LogAxis {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Base of the powers that have a line each.
    base: f64,
}

impl LogAxis {
    /// From the round value below these to a little above them; `None` where nothing is above 0.
    pub(super) fn around(quantity: Quantity, values: impl Iterator<Item = f64>) -> Option<LogAxis> {
        let positive: Vec<f64> = values.filter(|value| value.is_finite() && *value > 0.0).collect();
        let least = positive.iter().copied().reduce(f64::min)?.max(LEAST);
        let most = positive.iter().copied().reduce(f64::max)?.clamp(LEAST, MOST);
        let base: f64 = if quantity == Quantity::Bytes { 16.0 } else { 10.0 };
        // Not at the least value itself, where its bar would have no length.
        let from = base.powf((least * 0.9).log(base).floor());
        Some(LogAxis { from, to: most.max(least) * 1.05, base })
    }

    pub(super) fn within(&self, value: f64) -> f64 {
        if value.is_finite() { value.clamp(self.from, self.to) } else { self.from }
    }

    pub(super) fn range(&self) -> LogCoord<f64> {
        (self.from..self.to).log_scale().base(self.base).into()
    }
}

/// The nearest figure that there is room for on an axis that begins at 0 or below.
pub(super) fn drawable(value: f64) -> f64 {
    if value.is_finite() { value.clamp(-MOST, MOST) } else { 0.0 }
}

/// Bound of the figures drawn; an axis to the ends of floating point has more lines than a page.
const LEAST: f64 = 1e-6;
const MOST: f64 = 1e21;
